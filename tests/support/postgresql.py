"""A real PostgreSQL server on loopback."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

USER = "owner"


def binaries() -> Path:
    """Return the folder of PostgreSQL's programs; skip the test where it is not installed."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install -e '.[dev]'")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    return found[-1].parent


@contextmanager
def server() -> Iterator[str]:
    """Start a server on a free port of this machine only; yield the URL of its database `postgres`.

    It takes any password. When the block ends it is gone, with all its data.
    """
    programs = binaries()
    # not below pytest's own folder, into which only the user that runs the tests may look
    with tempfile.TemporaryDirectory() as folder:
        home, prefix = Path(folder), []
        if os.getuid() == 0:  # PostgreSQL refuses to run as root
            if shutil.which("runuser") is None:
                pytest.skip("PostgreSQL does not run as root, and there is no runuser")
            shutil.chown(home, "postgres")
            prefix = ["runuser", "-u", "postgres", "--"]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]

        def call(*command: object) -> None:
            done = subprocess.run(
                [*prefix, *map(str, command)], cwd=home, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr

        data = home / "data"
        call(programs / "initdb", "-D", data, "-U", USER, "--auth=trust", "--no-sync")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={home} -c fsync=off"
        call(programs / "pg_ctl", "-D", data, "-l", home / "log", "-o", options, "-w", "start")
        try:
            yield f"postgresql://{USER}:secret@127.0.0.1:{port}/postgres"
        finally:
            call(programs / "pg_ctl", "-D", data, "-m", "immediate", "stop")
