"""The official archive is unpacked only when it is right and safe, and then whole."""

import hashlib
import io
import random
import shutil
import signal
import subprocess
import sys
import tarfile
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.download_server import Remote, serving

from mlproject.core.errors import UserError
from mlproject.data import archive, download

CATEGORIES = ("bottle", "screw")
Space = namedtuple("Space", "total used free")


def noise(size: int, seed: object = 0) -> bytes:
    return random.Random(str(seed)).randbytes(size)


def tar_of(*extra: tarfile.TarInfo) -> bytes:
    """Return a .tar.xz in MVTec's layout, read-only as the official one, with more members at its end."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz", preset=0) as tar:
        for category in CATEGORIES:
            for name in ("train/good/000.png", "test/broken/000.png", "license.txt"):
                member = tarfile.TarInfo(f"{category}/{name}")
                content = noise(50_000, f"{category}/{name}")
                member.size, member.mode = len(content), 0o444
                tar.addfile(member, io.BytesIO(content))
        for member in extra:
            tar.addfile(member, io.BytesIO(b"evil" * (member.size // 4)) if member.isreg() else None)
    return buffer.getvalue()


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> Iterator[Remote]:
    """A server that has the archive, and a client that tries once and reads in small pieces."""
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(download, "PAUSES", ())
    monkeypatch.setattr(download, "CHUNK", 4096)
    with serving(tar_of()) as remote:
        yield remote


@pytest.fixture
def downloads(tmp_path: Path) -> Path:
    return tmp_path / "download"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "project" / "raw"


@pytest.fixture
def fetch(remote: Remote, downloads: Path, out: Path):
    def call(*categories: str, sha256: str | None = None, accept_licence: bool = True) -> None:
        sha256 = sha256 or digest(remote.body)
        archive.fetch(remote.url, sha256, accept_licence, downloads, out, categories or ("bottle",))

    return call


def part_of(downloads: Path) -> Path:
    return downloads / f"{archive.ARCHIVE}.part"


def assert_nothing_unpacked(out: Path) -> None:
    """Neither a category nor a temporary folder beside it."""
    assert not out.exists() or not list(out.iterdir())
    assert not out.parent.exists() or set(out.parent.iterdir()) <= {out}


def test_only_the_categories_asked_for_are_unpacked_whole_and_writable(fetch, out, downloads):
    fetch("bottle")
    files = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert files == ["bottle/license.txt", "bottle/test/broken/000.png", "bottle/train/good/000.png"]
    assert (out / "bottle/train/good/000.png").read_bytes() == noise(50_000, "bottle/train/good/000.png")
    assert (out / "bottle/train/good/000.png").stat().st_mode & 0o777 == 0o644
    assert set(out.parent.iterdir()) == {out}
    assert [path.name for path in downloads.iterdir()] == [archive.ARCHIVE]


def test_a_complete_archive_is_not_downloaded_again(fetch, remote, out):
    fetch("bottle")
    fetch("screw")
    assert len(remote.requests) == 1
    assert {path.name for path in out.iterdir()} == {"bottle", "screw"}


def test_a_category_that_is_there_is_replaced_as_a_whole(fetch, out):
    (out / "bottle/train/good").mkdir(parents=True)
    (out / "bottle/train/good/old.png").touch()
    fetch("bottle")
    assert [path.name for path in (out / "bottle/train/good").iterdir()] == ["000.png"]
    assert set(out.parent.iterdir()) == {out}


def test_without_the_licence_nothing_is_asked_of_the_server(fetch, remote, downloads):
    with pytest.raises(UserError, match=r"CC BY-NC-SA 4\.0.*data\.accept_licence: true"):
        fetch(accept_licence=False)
    assert not remote.requests
    assert not downloads.exists()


def test_an_interrupted_download_goes_on_at_the_next_call(fetch, remote, downloads, out):
    remote.stop_after = [100_000]
    with pytest.raises(UserError, match="run again to go on"):
        fetch()
    have = part_of(downloads).stat().st_size
    assert 0 < have <= 100_000
    assert_nothing_unpacked(out)
    fetch()
    assert remote.requests[1]["range"] == f"bytes={have}-"
    assert remote.requests[1]["if_range"] == '"1"'
    assert remote.requests[1]["sent"] == len(remote.body) - have
    assert (out / "bottle").is_dir()


def test_a_wrong_hash_unpacks_nothing_and_the_next_call_downloads_anew(fetch, remote, downloads, out):
    right = digest(remote.body)
    remote.body, good = noise(len(remote.body)), remote.body
    with pytest.raises(UserError) as error:
        fetch(sha256=right)
    assert right in str(error.value)
    assert digest(remote.body) in str(error.value)
    assert_nothing_unpacked(out)
    assert [path.name for path in downloads.iterdir()] == [f"{archive.ARCHIVE}.bad"]
    remote.body = good
    fetch()
    assert remote.requests[-1]["range"] is None
    assert (out / "bottle").is_dir()


def test_a_moved_archive_is_told_apart_and_says_which_setting_to_change(fetch, remote):
    remote.statuses = [404]
    with pytest.raises(UserError, match=r"data\.url"):
        fetch()


def test_an_archive_that_unpacks_to_more_than_the_disk_holds_is_refused(fetch, out, monkeypatch):
    fetch("screw")
    shutil.rmtree(out)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Space(10**6, 0, 120_000))
    with pytest.raises(UserError, match="disk is full"):
        fetch("bottle")
    assert_nothing_unpacked(out)


def test_an_unknown_category_names_the_nearest_and_unpacks_nothing(fetch, out):
    with pytest.raises(UserError, match="Did you mean bottle"):
        fetch("screw", "botle")
    assert_nothing_unpacked(out)


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, 4 if kind == tarfile.REGTYPE else 0
    return info


MALICIOUS = {
    "parent": member("../evil"),
    "parent inside": member("bottle/../../evil"),
    "absolute": member("/tmp/mlproject-evil"),
    "backslash": member("bottle\\..\\..\\evil"),
    "drive": member("C:evil"),
    "control character": member("bottle/evil\n"),
    "symbolic link": member("bottle/evil", tarfile.SYMTYPE, "../../evil"),
    "hard link": member("bottle/evil", tarfile.LNKTYPE, "bottle/license.txt"),
    "character device": member("bottle/evil", tarfile.CHRTYPE),
    "block device": member("bottle/evil", tarfile.BLKTYPE),
    "fifo": member("bottle/evil", tarfile.FIFOTYPE),
    "link in another category": member("screw/evil", tarfile.SYMTYPE, "/etc"),
}


@pytest.mark.parametrize("kind", MALICIOUS)
def test_a_malicious_member_is_named_and_nothing_at_all_is_unpacked(kind, fetch, remote, out, tmp_path):
    remote.body = tar_of(MALICIOUS[kind])
    with pytest.raises(UserError, match="refused") as error:
        fetch("bottle")
    assert repr(MALICIOUS[kind].name) in str(error.value)
    assert_nothing_unpacked(out)
    assert not [path for path in tmp_path.rglob("*") if "evil" in path.name]
    assert not Path("/tmp/mlproject-evil").exists()


@pytest.mark.parametrize("damage", ["no archive", "cut short"])
def test_an_archive_that_cannot_be_read_is_an_error_for_people(fetch, remote, out, damage):
    remote.body = noise(5000) if damage == "no archive" else remote.body[: len(remote.body) // 2]
    with pytest.raises(UserError, match="no readable archive"):
        fetch()
    assert_nothing_unpacked(out)


KILLED = """
import os, signal, sys, tarfile
from pathlib import Path
from mlproject.data import archive

real, done = tarfile.TarFile.extract, []

def extract_then_die(*args, **kwargs):
    real(*args, **kwargs)
    done.append(1)
    if len(done) == 2:
        os.kill(os.getpid(), signal.SIGKILL)

tarfile.TarFile.extract = extract_then_die
archive.fetch("http://unused", sys.argv[1], True, Path(sys.argv[2]), Path(sys.argv[3]), ["bottle"])
"""


def test_killed_while_unpacking_leaves_no_category_and_the_next_call_mends_it(fetch, remote, downloads, out):
    downloads.mkdir()
    (downloads / archive.ARCHIVE).write_bytes(remote.body)
    command = [sys.executable, "-c", KILLED, digest(remote.body), str(downloads), str(out)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert list(out.parent.rglob("000.png")), "it was killed before it had begun"
    assert not (out / "bottle").exists()
    fetch()
    assert len(list((out / "bottle").rglob("*.*"))) == 3
    assert set(out.parent.iterdir()) == {out}
