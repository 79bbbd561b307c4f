"""A folder that appears whole or not at all."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlproject.errors import UserError

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def written_whole(folder: Path) -> Iterator[Path]:
    """Yield an empty folder `<folder>.part` to write into, which replaces `folder` when all went well.

    What a killed run left under that name is removed by the next one.

    Raises:
        UserError: the disk is full or may not be written to.
    """
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        yield part
        if folder.exists():
            shutil.rmtree(folder)
        part.replace(folder)
    except OSError as error:
        if error.errno not in (*_FULL, errno.EACCES, errno.EROFS):
            raise
        remedy = "Free some space" if error.errno in _FULL else "Set its permissions"
        where = error.filename or folder
        raise UserError(
            f"{where}: {error.strerror}. Nothing was written. {remedy}, then run again."
        ) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
