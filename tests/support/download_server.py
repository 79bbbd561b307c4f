"""A small HTTP server on loopback that behaves as badly as it is told to."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Remote:
    """What the server holds and how it behaves; `requests` is what it was asked and what it sent."""

    body: bytes
    etag: str = '"1"'
    ranges: bool = True  # honours Range
    if_range: bool = True  # honours If-Range
    content_type: str = "application/x-xz"
    statuses: list[int] = field(default_factory=list)  # for the next requests, instead of the file
    stop_after: list[int] = field(default_factory=list)  # bytes sent before the connection is dropped
    requests: list[dict] = field(default_factory=list)
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        remote: Remote = self.server.remote
        entry = {"range": self.headers["Range"], "if_range": self.headers["If-Range"], "sent": 0}
        remote.requests.append(entry)
        if remote.statuses:
            self.send_error(remote.statuses.pop(0))
            return
        asked = re.fullmatch(r"bytes=(\d+)-", entry["range"] or "")
        changed = remote.if_range and entry["if_range"] not in (None, remote.etag)
        start = int(asked[1]) if asked and remote.ranges and not changed else 0
        if start >= len(remote.body):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(remote.body)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        rest = remote.body[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(remote.body) - 1}/{len(remote.body)}")
        self.send_header("Content-Length", str(len(rest)))
        self.send_header("Content-Type", remote.content_type)
        self.send_header("ETag", remote.etag)
        self.end_headers()
        rest = rest[: remote.stop_after.pop(0)] if remote.stop_after else rest
        entry["sent"] = len(rest)  # before the client can have read it all and looked
        self.wfile.write(rest)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def serving(body: bytes) -> Iterator[Remote]:
    """Serve `body` at `.url`, on a port of the system's choice."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.remote = Remote(body, url=f"http://127.0.0.1:{server.server_port}/share/download")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.remote
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
