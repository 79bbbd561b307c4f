"""Caddy, as compose.yaml sets it up, in front of servers on loopback."""

import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from conftest import ROOT

from support.mlflow_server import free_port

COMMAND = shutil.which("caddy")  # Debian's package of that name
SITES = {"mlflow:5000": "${TRACKING_HOST:-localhost}", "s3:8333": "${S3_HOST:-s3.localhost}"}
OPTIONS = """{
    admin off
    auto_https disable_redirects
    default_bind 127.0.0.1
    skip_install_trust
    storage file_system %s
}
"""


@contextmanager
def running(folder: Path, behind: Mapping[str, str]) -> Iterator[tuple[dict[str, str], Path]]:
    """Yield the https URL of each service, and its authority's certificate: Caddy makes one for localhost.

    Args:
        folder: for Caddy's files.
        behind: the name that compose.yaml's Caddyfile passes requests on to, one of SITES → an http URL.
    """
    assert COMMAND
    text = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["configs"]["caddy"]["content"]
    urls = {}
    for upstream, host in SITES.items():
        assert host in text and upstream in text
        if upstream in behind:
            urls[upstream] = f"https://localhost:{free_port()}"
        address = urls.get(upstream, f"https://localhost:{free_port()}").removeprefix("https://")
        passed_on = urlsplit(behind.get(upstream, "//127.0.0.1:1")).netloc
        text = text.replace(host, address).replace(upstream, passed_on)
    (folder / "Caddyfile").write_text(OPTIONS % folder + text, encoding="utf-8")
    files = ["--config", str(folder / "Caddyfile"), "--pidfile", str(folder / "pid")]
    start = [COMMAND, "start", "--adapter", "caddyfile", *files]  # returns once it serves
    with (folder / "log").open("wb") as log:
        subprocess.run(start, check=True, cwd=folder, env={"HOME": str(folder)}, stdout=log, stderr=log)
    authority = folder / "pki/authorities/local/root.crt"
    try:
        for url in urls.values():
            _wait(url, authority)
        yield urls, authority
    finally:
        os.kill(int((folder / "pid").read_text()), signal.SIGTERM)


def _wait(url: str, authority: Path) -> None:
    """Return once there is a certificate for an address: Caddy makes it after it has begun to serve."""
    context, deadline = ssl.create_default_context(cafile=authority), time.monotonic() + 60
    address = urlsplit(url)
    while True:
        try:
            with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
                context.wrap_socket(connection, server_hostname=address.hostname).close()
                return
        except ssl.SSLError:
            if time.monotonic() > deadline:
                raise
