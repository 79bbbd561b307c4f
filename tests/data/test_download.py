"""A download comes whole through whatever network and disk do, and asks for no byte twice without need."""

import errno
import io
import os
import random
import shutil
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.download_server import Remote, serving

from mlproject.core.errors import UserError
from mlproject.data import download
from mlproject.data.download import WrongAddress

BODY = random.Random(0).randbytes(300_000)
OTHER = random.Random(1).randbytes(300_000)
Space = namedtuple("Space", "total used free")


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> Iterator[Remote]:
    """A server, and a client that tries once and reads in small pieces."""
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(download, "PAUSES", ())
    monkeypatch.setattr(download, "CHUNK", 4096)
    with serving(BODY) as remote:
        yield remote


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "download" / "file"


def part_of(path: Path) -> Path:
    return path.with_name("file.part")


@pytest.fixture
def interrupted(remote: Remote, path: Path) -> int:
    """A first call was cut off: the number of bytes that it kept."""
    remote.stop_after = [100_000]
    with pytest.raises(UserError, match="run again to go on"):
        download.download(remote.url, path)
    have = part_of(path).stat().st_size
    assert 50_000 < have <= 100_000
    assert not path.exists()
    return have


def test_a_download_leaves_the_file_alone(remote, path):
    download.download(remote.url, path)
    assert path.read_bytes() == BODY
    assert list(path.parent.iterdir()) == [path]


def test_an_interrupted_download_goes_on_at_the_next_call(remote, path, interrupted):
    download.download(remote.url, path)
    second = remote.requests[1]
    assert (second["range"], second["if_range"]) == (f"bytes={interrupted}-", '"1"')
    assert second["sent"] == len(BODY) - interrupted
    assert path.read_bytes() == BODY
    assert list(path.parent.iterdir()) == [path]


def test_dropped_connections_and_server_errors_are_tried_again_in_one_call(remote, path, monkeypatch):
    monkeypatch.setattr(download, "PAUSES", (0, 0, 0))
    remote.statuses = [503]
    remote.stop_after = [50_000, 30_000]
    download.download(remote.url, path)
    assert path.read_bytes() == BODY
    assert [bool(request["range"]) for request in remote.requests] == [False, False, True, True]


def test_a_server_without_range_starts_again(remote, path, interrupted):
    remote.ranges = False
    download.download(remote.url, path)
    assert remote.requests[1]["sent"] == len(BODY)
    assert path.read_bytes() == BODY


@pytest.mark.parametrize("if_range", [True, False], ids=["server knows If-Range", "server ignores If-Range"])
def test_a_remote_file_that_changed_in_between_starts_again(remote, path, interrupted, if_range):
    remote.body, remote.etag, remote.if_range = OTHER, '"2"', if_range
    download.download(remote.url, path)
    assert path.read_bytes() == OTHER


def test_a_weak_etag_is_never_sent_as_if_range(remote, path):
    remote.etag, remote.stop_after = 'W/"1"', [100_000]
    with pytest.raises(UserError):
        download.download(remote.url, path)
    download.download(remote.url, path)
    assert remote.requests[1]["range"]
    assert remote.requests[1]["if_range"] is None
    assert path.read_bytes() == BODY


def test_a_part_that_is_complete_already_is_taken(remote, path):
    path.parent.mkdir()
    part_of(path).write_bytes(BODY)
    download.download(remote.url, path)
    assert [request["sent"] for request in remote.requests] == [0]
    assert path.read_bytes() == BODY


def test_a_part_longer_than_the_remote_file_starts_again(remote, path):
    path.parent.mkdir()
    part_of(path).write_bytes(BODY + b"more")
    download.download(remote.url, path)
    assert path.read_bytes() == BODY


@pytest.mark.parametrize(("status", "kind"), [(404, WrongAddress), (403, WrongAddress), (500, UserError)])
def test_an_error_of_the_server_is_named(remote, path, status, kind):
    remote.statuses = [status]
    with pytest.raises(UserError, match=str(status)) as error:
        download.download(remote.url, path)
    assert type(error.value) is kind
    assert not path.exists()


def test_a_web_page_instead_of_the_file_leaves_what_came(remote, path, interrupted):
    remote.etag, remote.content_type = '"login page"', "text/html; charset=utf-8"
    with pytest.raises(WrongAddress, match="web page"):
        download.download(remote.url, path)
    assert part_of(path).read_bytes() == BODY[:interrupted]


@pytest.mark.parametrize("url", ["ftp://example.org/a.tar.xz", "no address", "http://"])
def test_an_address_that_is_none_is_named(url, path):
    with pytest.raises(WrongAddress, match=url):
        download.download(url, path)


def test_too_little_disk_is_seen_before_the_first_byte(remote, path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Space(10**6, 10**6 - 10, 10))
    with pytest.raises(UserError, match="10 bytes free, the download needs 300,000 more"):
        download.download(remote.url, path)
    assert not part_of(path).exists()


class FullDisk(io.FileIO):
    """A file on a disk with room for 100,000 bytes."""

    def write(self, data) -> int:
        if self.tell() + len(data) > 100_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


def test_a_disk_that_fills_up_meanwhile_keeps_what_came(remote, path, monkeypatch):
    real_open = Path.open

    def open_on_full_disk(file, mode="r", *args, **kwargs):
        if mode == "ab":
            return io.BufferedWriter(FullDisk(file, "ab"), buffer_size=4096)
        return real_open(file, mode, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", open_on_full_disk)
        with pytest.raises(UserError, match=r"disk is full.*kept"):
            download.download(remote.url, path)
    have = part_of(path).stat().st_size
    assert have > 50_000
    download.download(remote.url, path)
    assert remote.requests[1]["range"] == f"bytes={have}-"
    assert path.read_bytes() == BODY


def test_a_folder_that_cannot_be_made_is_an_error_for_people(remote, path):
    path.parent.touch()
    with pytest.raises(UserError, match="run again"):
        download.download(remote.url, path)


def test_progress_elsewhere_than_on_a_terminal_is_at_most_a_line_every_five_percent(remote, path, capsys):
    download.download(remote.url, path)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("download:")]
    assert 20 <= len(lines) <= 21
    assert lines[-1] == "download: 300,000 of 300,000 bytes"
