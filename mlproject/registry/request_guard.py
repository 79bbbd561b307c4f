"""Refuse requests that MLflow's scoring server would read without end, or answer with 500.

It has no limit on a request's size, on the memory that all requests take together, or on what an error
repeats of its input; JSON nested a thousand deep, a request without Content-Type and some malformed tables
end in a traceback. A served model loads before the server makes its application, so it can put this around
it. Elsewhere (`mlflow.pyfunc.load_model`) nothing is changed.
"""

import json
import math
import os
import sys
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from threading import Lock
from typing import Any

from mlproject.core.errors import UserError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

SERVER = "mlflow.pyfunc.scoring_server.app"  # uvicorn imports it, and it loads the model
PATH = "/invocations"
LIMIT = "MLPROJECT_MAX_REQUEST_MB"  # environment variable
DEFAULT_LIMIT = "32"  # a 20-megapixel PNG in base64
PIXELS = "MLPROJECT_MAX_MEGAPIXELS"  # environment variable
DEFAULT_PIXELS = "180"  # two of the largest images that are decoded; some 20 bytes a pixel meanwhile
RETRY_AFTER = b"2"  # seconds; the largest image is decoded in about one
LONGEST_ERROR = 1000  # characters of an error's message: MLflow repeats the whole input in some
DRAINED = 4  # times the limit: what is read of a larger body, and thrown away
# What parsing raises on input that is not what it seems. MLflow answers for what the model itself raises.
NOT_PARSED = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    MemoryError,
)


class TooLarge(Exception):
    """The body is larger than allowed."""


class Busy(Exception):
    """As many pixels are being decoded as this server may hold."""


class PixelsInFlight:
    """Count the pixels of images that are being decoded in this process, all requests together.

    Args:
        limit: pixels that may be decoded at a time.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._now = 0
        self._lock = Lock()

    @contextmanager
    def reserved(self, pixels: int) -> Iterator[None]:
        """Count `pixels` while the block runs.

        Raises:
            Busy: they are more than the limit leaves.
        """
        with self._lock:
            if self._now + pixels > self.limit:
                raise Busy
            self._now += pixels
        try:
            yield
        finally:
            with self._lock:
                self._now -= pixels


class Guard:
    """ASGI middleware around MLflow's application.

    Args:
        limit: bytes that a request may have at most.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], limit: float) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http" or scope["path"] != PATH:
            await self.app(scope, receive, send)
            return
        from starlette.requests import ClientDisconnect

        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"")
        if b"content-type" not in headers:
            await _refuse(send, 415, "Content-Type is missing: it must be application/json")
        elif length.isdigit() and int(length) > self.limit:
            await self._refuse_large(receive, send)
        else:
            try:
                await self.app(scope, self._counted(receive), _Answer(send))
            except TooLarge:
                await self._refuse_large(receive, send)
            except (*NOT_PARSED, ClientDisconnect) as error:  # without an answer there would be a traceback
                await _refuse(send, 400, f"the request cannot be read ({type(error).__name__})")

    def _counted(self, receive: Receive) -> Receive:
        """Return `receive` that ends once more came than is allowed: a length need not be sent, or true."""
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.limit:
                raise TooLarge
            return message

        return counted

    async def _refuse_large(self, receive: Receive, send: Send) -> None:
        """Answer 413; first read on for a while, as many a client sends all before it looks for an answer."""
        drained, more = 0, True
        while more and drained < DRAINED * self.limit:
            message = await receive()
            drained += len(message.get("body", b""))
            more = message.get("more_body", False)
        text = f"a request holds at most {self.limit / 1e6:g} MB; {LIMIT} changes it where the server starts"
        await _refuse(send, 413, text)


class _Answer:
    """`send` with long error messages cut, and Retry-After where the server is busy."""

    def __init__(self, send: Send) -> None:
        self.send = send
        self.start: Message | None = None  # of an error, held back until its body is there
        self.body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] >= 400:
            self.start = message
        elif self.start is None:
            await self.send(message)
        else:
            self.body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._send_error(self.start)

    async def _send_error(self, start: Message) -> None:
        body = _shortened(self.body)
        kept = [header for header in start.get("headers", []) if header[0] != b"content-length"]
        added = [(b"content-length", str(len(body)).encode())]
        if start["status"] == 503:
            added.append((b"retry-after", RETRY_AFTER))
        await self.send({**start, "headers": [*kept, *added]})
        await self.send({"type": "http.response.body", "body": body})


def _shortened(body: bytes) -> bytes:
    """Return an error's body with at most LONGEST_ERROR characters of text, still JSON if it was."""
    if len(body) <= LONGEST_ERROR:
        return body
    try:
        error = json.loads(body)
        return json.dumps({name: _ends(str(text)) for name, text in error.items()}).encode()
    except (ValueError, AttributeError, RecursionError):
        return body[:LONGEST_ERROR]


def _ends(text: str) -> str:
    """Return beginning and end of a long text: MLflow writes the reason before the input, or after it."""
    half = LONGEST_ERROR // 2
    return text if len(text) <= LONGEST_ERROR else f"{text[:half]} … {text[-half:]}"


async def _refuse(send: Send, status: int, reason: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": f"{reason}\n".encode()})


def _millions(variable: str, default: str, unit: str) -> float:
    """Return the value of an environment variable that is set in millions.

    Raises:
        UserError: it is not a positive number.
    """
    given = os.environ.get(variable, default)
    try:
        number = float(given)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise UserError(f"{variable} is {given!r}: it must be a number of {unit}, such as {default}")
    return number * 1e6


def install() -> PixelsInFlight | None:
    """Guard the application that this process is about to serve.

    Returns:
        The count that decoding must keep to; None if this process serves nothing.

    Raises:
        UserError: LIMIT or PIXELS is not a positive number.
    """
    if SERVER not in sys.modules:
        return None
    limit = _millions(LIMIT, DEFAULT_LIMIT, "megabytes")
    in_flight = PixelsInFlight(_millions(PIXELS, DEFAULT_PIXELS, "megapixels"))
    import fastapi

    class Guarded(fastapi.FastAPI):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.add_middleware(Guard, limit=limit)

    fastapi.FastAPI = Guarded  # type: ignore[misc]  # MLflow imports it after the model is loaded
    return in_flight
