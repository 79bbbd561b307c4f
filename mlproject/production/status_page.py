"""Figures of a running watch over HTTP: /health for people and supervisors, /metrics for Prometheus."""

import json
import re
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mlproject.core.listening import LOCAL, bracketed, listen
from mlproject.production.arrivals import Folder
from mlproject.production.verdict_table import Verdict, VerdictTable, Window
from mlproject.registry.loaded_version import LoadedVersion

STUCK_SECONDS = 60.0  # without a look or a verdict, after which the watch counts as stuck
LATENCIES = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)  # seconds, limits of the histogram
PORT = re.compile(r":\d+$")
PREFIX = "mlproject_watch_"


class Figures(Collector):
    """What a watch has done so far; counts go on where the table ends.

    Args:
        every: seconds between two looks.

    Attributes:
        missing: folders that were gone at the last look → why.
    """

    def __init__(self, table: VerdictTable, every: float) -> None:
        self.missing: Mapping[Folder, str] = {}
        self._model: LoadedVersion | None = None
        self._longest_silence = STUCK_SECONDS + every
        self._alive_at = time.monotonic()
        self._counts = table.counts()
        self._alarms = table.alarms()
        self._window: Window | None = None
        self._waiting = 0
        last = table.last_scored_at()
        self._last_photo = datetime.fromisoformat(last).timestamp() if last else None
        self.registry = CollectorRegistry()
        self.registry.register(self)
        about = "From when a photo was first seen to its verdict."
        self._latency = Histogram(
            f"{PREFIX}latency_seconds", about, buckets=LATENCIES, registry=self.registry
        )

    def use(self, model: LoadedVersion) -> None:
        """Take note of the version that photos are scored by from now on."""
        self._model = model

    def looked(self, waiting: int, missing: Mapping[Folder, str] | None = None) -> None:
        """Take note that the watch goes on.

        Args:
            waiting: photos without a verdict.
            missing: folders that are gone → why; None: as before.
        """
        self._alive_at = time.monotonic()
        self._waiting = waiting
        if missing is not None:
            self.missing = missing

    def add(self, verdict: Verdict, scored_at: float, seconds: float) -> None:
        """Count a verdict.

        Args:
            scored_at: seconds since 1970.
            seconds: from when the photo was first seen.
        """
        name = {None: "unreadable", True: "defective", False: "good"}[verdict.defective]
        self._counts[name] += 1
        self._latency.observe(seconds)
        self._last_photo = scored_at

    def compared(self, window: Window | None, alarms: int = 0) -> None:
        """Take note of the newest window that was tested for drift, and of how many alarms are new."""
        self._window = window
        self._alarms += alarms

    def problems(self) -> list[str]:
        """Return what keeps photos from being scored, in words."""
        found = list(self.missing.values())
        silent = time.monotonic() - self._alive_at
        if silent > self._longest_silence:
            found.append(f"no look and no verdict for {silent:.0f} seconds")
        return found

    def health(self) -> dict[str, Any]:
        """Return what /health shows."""
        problems, window = self.problems(), self._window
        return {
            "status": "failing" if problems else "ok",
            "problems": problems,
            "model": self._model.title if self._model else None,
            "photos": dict(self._counts),
            "waiting_photos": self._waiting,
            "last_photo_age_seconds": self._age(),
            "drift": {"alarm": bool(window and window.alarm), "p_value": window.p_value if window else None},
        }

    def collect(self) -> Iterator[Metric]:
        """Yield what /metrics shows besides the latency."""
        photos = CounterMetricFamily(f"{PREFIX}photos", "Photos with a verdict.", labels=["verdict"])
        for verdict, count in self._counts.items():
            photos.add_metric([verdict], count)
        yield photos
        window, age = self._window, self._age()
        nan = float("nan")
        for name, about, value in (
            ("waiting_photos", "Photos seen, still without a verdict.", self._waiting),
            (
                "last_photo_age_seconds",
                "Since the newest verdict; NaN before any.",
                nan if age is None else age,
            ),
            ("drift_p_value", "Of the newest window; NaN before one.", window.p_value if window else nan),
            ("drift_alarm", "1 if the newest window is an alarm, else 0.", bool(window and window.alarm)),
            ("healthy", "1 if /health says ok, else 0.", not self.problems()),
        ):
            yield GaugeMetricFamily(f"{PREFIX}{name}", about, value=float(value))
        yield CounterMetricFamily(f"{PREFIX}drift_alarms", "Windows that were alarms.", value=self._alarms)
        names = ["model", "version", "architecture"]
        model = GaugeMetricFamily(f"{PREFIX}model", "1 for the version in use.", labels=names)
        if self._model:
            model.add_metric([getattr(self._model, name) for name in ("name", *names[1:])], 1)
        yield model

    def _age(self) -> float | None:
        """Return the seconds since the newest verdict; None before any."""
        return None if self._last_photo is None else max(0.0, time.time() - self._last_photo)


@contextmanager
def served(figures: Figures, host: str, port: int) -> Iterator[str]:
    """Serve the figures while the block runs; yield the page's address.

    Args:
        host: ``127.0.0.1`` for this machine alone.
        port: 0 for a free one.

    Raises:
        UserError: the address cannot be used.
    """
    listener = listen(host, port)
    with _Server(listener, _handler(figures, host)) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield f"http://{bracketed(host)}:{listener.getsockname()[1]}"
        finally:
            server.shutdown()


class _Server(ThreadingHTTPServer):
    def __init__(self, listener: socket.socket, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(listener.getsockname()[:2], handler, bind_and_activate=False)
        self.socket.close()  # it would be of IPv4
        self.socket = listener

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing of a client that went away before it had its answer."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _handler(figures: Figures, listening: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # seconds that a client may take to ask

        def do_GET(self) -> None:  # its name in the library
            """Answer for the two pages."""
            name = PORT.sub("", self.headers.get("Host", "").lower())
            if bracketed(listening) in LOCAL and name not in LOCAL:  # another site's name that leads here
                self._answer(403, "text/plain; charset=utf-8", b"Refused: another Host than this page's.\n")
            elif self.path == "/health":
                health = figures.health()
                body = json.dumps(health, indent=1).encode() + b"\n"
                self._answer(200 if health["status"] == "ok" else 503, "application/json", body)
            elif self.path == "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest(figures.registry))
            else:
                self._answer(404, "text/plain; charset=utf-8", b"There are /health and /metrics.\n")

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *given: Any) -> None:  # its name in the library
            """Print nothing: Prometheus asks every few seconds."""

    return Handler
