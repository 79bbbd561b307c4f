"""A download over HTTP that goes on where it stopped. What came is kept in `<name>.part`."""

import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from mlproject.core import files
from mlproject.core.errors import UserError, refusal

CHUNK = 1 << 18
TIMEOUT = (10, 60)  # seconds to connect, and seconds without any byte
PAUSES = (0.5, 1.0, 2.0, 4.0)  # seconds before each further try of one call
# What may pass when tried again: dropped connections, time-outs, the server's own errors (5xx).
PASSING = (
    requests.ConnectionError,
    requests.Timeout,
    requests.HTTPError,
    requests.exceptions.ChunkedEncodingError,
)


class WrongAddress(UserError):
    """The address leads to no file to download."""


def download(url: str, path: Path) -> None:
    """Make `path` appear, whole, going on from its `.part` file where the remote file is still the same.

    Whether the content is right is not known here: the caller compares its hash.

    Raises:
        WrongAddress: the address leads to no file.
        UserError: a full disk, or more dropped connections than are worth waiting for.
    """
    part = path.with_name(path.name + ".part")
    with os_errors_explained(part, "What came is kept"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.locked(path):
            _complete(url, path, part)


def _complete(url: str, path: Path, part: Path) -> None:
    for pause in (*PAUSES, None):
        try:
            _receive(url, part)
            break
        except PASSING as error:
            if pause is None:
                raise UserError(
                    f"{url}: the download stopped after {_size(part):,} bytes ({error}). "
                    f"What came is kept in {part}: run again to go on from there."
                ) from None
            time.sleep(pause)
        except requests.RequestException as error:
            raise WrongAddress(f"{url}: cannot be downloaded ({error}).") from None
    part.replace(path)
    _version_file(part).unlink(missing_ok=True)


def _receive(url: str, part: Path) -> None:
    """Ask once for what `part` lacks and append it.

    Raises:
        requests.RequestException: the connection failed; what came is kept.
        UserError: no such file, or no room for it.
    """
    have = _size(part)
    with requests.get(url, headers=_headers(part), stream=True, timeout=TIMEOUT) as response:
        status = response.status_code
        if have and status == 416 and response.headers.get("Content-Range") == f"bytes */{have}":
            return  # nothing is lacking
        resumed = bool(have) and status == 206 and _continues(response, part)
        if have and status in (206, 416) and not resumed:
            _forget(part)
            return _receive(url, part)
        _refuse_other_answers(response, resumed)
        if not resumed:
            # In this order: killed in between, no old part ever lies next to a new version.
            _forget(part)
            _version_file(part).write_text(_version(response), encoding="utf-8")
        _append(response, part)


def _headers(part: Path) -> dict[str, str]:
    """Return headers that ask for the rest of `part`, or for all if the remote file has changed."""
    headers = {"Accept-Encoding": "identity"}
    if have := _size(part):
        headers["Range"] = f"bytes={have}-"
        if kept := _kept_version(part):
            headers["If-Range"] = kept
    return headers


def _continues(response: requests.Response, part: Path) -> bool:
    """Return whether a 206 starts where `part` ends and is of the same version of the remote file."""
    start = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    kept, now = _kept_version(part), _version(response)
    return start is not None and int(start[1]) == _size(part) and (not kept or not now or kept == now)


def _version(response: requests.Response) -> str:
    """Return what identifies this version of the remote file; If-Range takes no weak ETag."""
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified", "")


def _version_file(part: Path) -> Path:
    return part.with_name(part.name + ".version")


def _kept_version(part: Path) -> str:
    file = _version_file(part)
    return file.read_text(encoding="utf-8") if file.exists() else ""


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _version_file(part).unlink(missing_ok=True)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _refuse_other_answers(response: requests.Response, resumed: bool) -> None:
    if response.status_code >= 500:
        response.raise_for_status()
    if response.status_code != 200 and not resumed:
        raise WrongAddress(f"{response.url}: the server answered {response.status_code} {response.reason}.")
    # Share services answer an expired link with a page: it must not replace gigabytes that came.
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise WrongAddress(f"{response.url}: is a web page, not a file to download.")


def _append(response: requests.Response, part: Path) -> None:
    """Append the body to `part`, if the disk has room for it."""
    have, length = _size(part), response.headers.get("Content-Length")
    total = have + int(length) if length else None
    free = shutil.disk_usage(part.parent).free
    if total and total - have > free:
        raise UserError(
            f"{part.parent}: the disk has {free:,} bytes free, the download needs {total - have:,} more. "
            "Free some space, then run again."
        )
    with progress("download", total) as tell, part.open("ab") as file:
        for chunk in response.iter_content(CHUNK):
            file.write(chunk)
            have += len(chunk)
            tell(have)
    if total is not None and have != total:
        raise requests.ConnectionError(f"closed after {have:,} of {total:,} bytes")


@contextmanager
def os_errors_explained(path: Path, state: str) -> Iterator[None]:
    """Turn the operating system's refusals about `path` into words: what is kept, what to do.

    Raises:
        UserError: disk full, permission denied, and so on.
    """
    try:
        yield
    except requests.RequestException:
        raise  # an OSError too, but not about `path`
    except OSError as error:
        raise refusal(path, error, state) from None


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Yield a function that is told the bytes done: a bar on a terminal, a line every 5 % elsewhere."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        with Progress(f"{what}:", *columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(what, total=total)
            yield lambda done: bar.update(task, completed=done)
        return
    said = -1

    def tell(done: int) -> None:
        nonlocal said
        step = 20 * done // total if total else done // 500_000_000
        if step > said:
            said = step
            print(f"{what}: {done:,} of {f'{total:,}' if total else '?'} bytes", file=sys.stderr, flush=True)

    yield tell
