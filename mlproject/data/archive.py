"""The official MVTec AD archive: downloaded so that it can be resumed, verified, then unpacked safely.

An archive with the wrong hash is set aside as `<name>.bad`, never deleted and never unpacked: the next
call downloads it again.
"""

import errno
import lzma
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path, PurePosixPath, PureWindowsPath

from mlproject.core import files
from mlproject.core.errors import UserError, unknown_name
from mlproject.core.files import demand_files, written_whole
from mlproject.data.download import WrongAddress, os_errors_explained, progress
from mlproject.data.download import download as download_file

ARCHIVE = "mvtec_anomaly_detection.tar.xz"
HOME = "https://www.mvtec.com/company/research/datasets/mvtec-ad"


def fetch(
    url: str, sha256: str, accept_licence: bool, download: Path, out: Path, categories: Sequence[str]
) -> None:
    """Bring categories of MVTec AD to `out`/<category>, downloading only what is not here yet.

    Args:
        url: http(s) address of the archive.
        sha256: 64 lower-case hexadecimal digits that the whole archive must have.
        accept_licence: the person has accepted CC BY-NC-SA 4.0.
        download: folder that keeps the archive, or the part of it that has come.
        out: folder that gets one folder a category; a folder in it is always whole.
        categories: names of folders of the archive.

    Raises:
        UserError: licence not accepted, no archive at the address, full disk, wrong hash, unsafe or
            unreadable archive, unknown category.
    """
    if not accept_licence:
        raise UserError(
            "MVTec AD is licensed CC BY-NC-SA 4.0 (https://creativecommons.org/licenses/by-nc-sa/4.0/): "
            "non-commercial use only. If you accept that, set data.accept_licence: true in params.yaml."
        )
    archive = download / ARCHIVE
    if not archive.exists():
        try:
            download_file(url, archive)
        except WrongAddress as error:
            raise UserError(
                f"{error} Correct data.url in params.yaml: the address has changed before, and {HOME} has "
                f"the current one. Or put the archive, if you have it, at {archive}."
            ) from None
    with os_errors_explained(archive, "Nothing was unpacked"):
        _verify(archive, sha256)
    _unpack(archive, out, categories)


def _verify(archive: Path, sha256: str) -> None:
    """Set an archive with another hash aside, so that the next call downloads it again."""
    found = files.sha256(archive)
    if found == sha256:
        return
    size = archive.stat().st_size
    bad = archive.replace(archive.with_name(archive.name + ".bad"))
    raise UserError(
        f"{archive}: sha256 is {found} ({size:,} bytes), data.sha256 in params.yaml says {sha256}. "
        f"Nothing was unpacked; the file was set aside as {bad}. Check data.url and data.sha256, then run "
        "again: the download starts from the beginning."
    )


def _unpack(archive: Path, out: Path, categories: Sequence[str]) -> None:
    """Put `categories` of a verified archive into `out`, as whole folders."""
    try:
        with ExitStack() as stack:
            folders = {
                name: stack.enter_context(written_whole(out / name)) for name in dict.fromkeys(categories)
            }
            found = _unpack_members(archive, folders)
            for name in categories:
                if name not in found:
                    raise unknown_name(f"{archive}: category {name}", name, found)
                demand_files(folders[name], found[name])
    except (tarfile.TarError, lzma.LZMAError, EOFError) as error:
        raise UserError(f"{archive}: is no readable archive ({error}). Nothing was unpacked.") from None


def _unpack_members(archive: Path, folders: Mapping[str, Path]) -> dict[str, list[str]]:
    """Unpack the members of the wanted categories in one pass.

    Args:
        folders: category → the folder that gets its files.

    Returns:
        For every category of the archive, the files that were unpacked, relative to its folder.
    """
    free = min(shutil.disk_usage(folder).free for folder in folders.values())
    needed, found = 0, dict[str, list[str]]()
    size = archive.stat().st_size
    with archive.open("rb") as raw, tarfile.open(fileobj=raw) as tar, progress("unpack", size) as tell:
        for member in tar:
            tell(raw.tell())
            parts = _safe_parts(member, archive)
            if member.isdir() or len(parts) < 2:
                continue
            unpacked = found.setdefault(parts[0], [])
            if parts[0] not in folders:
                continue
            needed += member.size
            if needed > free:
                raise OSError(errno.ENOSPC, "unpacks to more than the disk holds")
            # The filter also makes the official files, which are read-only, writable for their owner.
            inside = "/".join(parts[1:])
            tar.extract(member.replace(name=inside), folders[parts[0]], filter="data")
            unpacked.append(inside)
    return found


def _safe_parts(member: tarfile.TarInfo, archive: Path) -> tuple[str, ...]:
    """Return the parts of a member's path, or refuse the whole archive because of it."""
    name = member.name
    windows = PureWindowsPath(name)  # knows drives and both slashes: one rule for every system
    if windows.anchor or ".." in windows.parts or "\\" in name or not name.isprintable():
        reason = "its path does not plainly stay inside the target folder"
    elif not (member.isfile() or member.isdir()):
        reason = "it is a link or a device"
    else:
        return PurePosixPath(name).parts
    raise UserError(
        f"{archive}: holds {name!r}, which is refused: {reason}. Nothing was unpacked. "
        "Check where the archive comes from (data.url, data.sha256 in params.yaml)."
    )
