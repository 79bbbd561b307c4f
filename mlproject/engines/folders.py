"""A folder of files as a value that can be sent to another machine."""

from collections.abc import Mapping
from pathlib import Path

from mlproject.core import files


def packed(folder: Path) -> dict[str, bytes]:
    """Return the content of each file directly in a folder by its name."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def unpack(content: Mapping[str, bytes], folder: Path) -> None:
    """Write what `packed` returned; the folder appears whole or not at all.

    Raises:
        UserError: the disk is full, or the folder may not be written to.
    """
    with files.written_whole(folder) as part:
        for name, data in content.items():
            (part / name).write_bytes(data)
        files.demand_files(part, content)
