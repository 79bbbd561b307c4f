"""Caddy, with the configuration of compose.yaml, passes all on that MLflow and S3 need."""

import hashlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import requests
from support import caddy

pytestmark = pytest.mark.skipif(
    caddy.COMMAND is None, reason="caddy is not installed (Debian's package caddy)"
)


class Echo(BaseHTTPRequestHandler):
    """Answers what it was sent."""

    def do_PUT(self) -> None:
        """Say which host was asked for, and the hash of what came."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = (
            f"{self.server.server_port} {self.headers['Host']} {hashlib.sha256(body).hexdigest()}".encode()
        )
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


@pytest.fixture
def echoes():
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Echo) for _ in caddy.SITES]
    threads = [Thread(target=server.serve_forever) for server in servers]
    for thread in threads:
        thread.start()
    yield {name: server.server_port for name, server in zip(caddy.SITES, servers, strict=True)}
    for server, thread in zip(servers, threads, strict=True):
        server.shutdown()
        thread.join()
        server.server_close()


def test_host_and_uploads_of_any_size_arrive_at_the_right_service_and_only_with_its_authority(
    echoes, tmp_path
):
    """S3's signatures cover the host; a model is tens of megabytes."""
    body = bytes(range(256)) * 2**17
    behind = {name: f"http://127.0.0.1:{port}" for name, port in echoes.items()}
    with caddy.running(tmp_path, behind) as (urls, authority):
        for name, url in urls.items():
            answer = requests.put(url, data=body, verify=authority, timeout=60).text
            host = url.removeprefix("https://")
            assert answer == f"{echoes[name]} {host} {hashlib.sha256(body).hexdigest()}"
            with pytest.raises(requests.exceptions.SSLError):
                requests.put(url, data=body, timeout=60)
