"""Requests that MLflow's scoring server would read without end, or answer with 500, are refused with 4xx.

It has no limit on a request's size, and no setting for one; JSON nested a thousand deep, a request without
Content-Type and some tables that are none end in a traceback. A served model loads before the server makes
its application, so it can put this around it. Elsewhere (`mlflow.pyfunc.load_model`) nothing is changed.
"""

import math
import os
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from mlproject.core.errors import UserError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

SERVER = "mlflow.pyfunc.scoring_server.app"  # uvicorn imports it, and it loads the model
PATH = "/invocations"
LIMIT = "MLPROJECT_MAX_REQUEST_MB"  # environment variable
DEFAULT_LIMIT = "32"  # a 20-megapixel PNG in base64
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
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"")
        if b"content-type" not in headers:
            await _refuse(send, 415, "Content-Type is missing: application/json, or text/csv")
        elif length.isdigit() and int(length) > self.limit:
            await self._refuse_large(send)
        else:
            try:
                await self.app(scope, self._counted(receive), send)
            except TooLarge:
                await self._refuse_large(send)
            except NOT_PARSED as error:
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

    async def _refuse_large(self, send: Send) -> None:
        text = f"a request holds at most {self.limit / 1e6:g} MB; {LIMIT} changes it where the server starts"
        await _refuse(send, 413, text)


async def _refuse(send: Send, status: int, reason: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": f"{reason}\n".encode()})


def _limit() -> float:
    """Return the largest request allowed, bytes."""
    given = os.environ.get(LIMIT, DEFAULT_LIMIT)
    try:
        megabytes = float(given)
    except ValueError:
        megabytes = math.nan
    if not 0 < megabytes < math.inf:
        raise UserError(f"{LIMIT} is {given!r}: it must be a number of megabytes, such as {DEFAULT_LIMIT}")
    return megabytes * 1e6


def install() -> bool:
    """Guard the application that this process is about to serve; say whether it is to serve one.

    Raises:
        UserError: LIMIT is no size.
    """
    if SERVER not in sys.modules:
        return False
    limit = _limit()
    import fastapi

    class Guarded(fastapi.FastAPI):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.add_middleware(Guard, limit=limit)

    fastapi.FastAPI = Guarded  # type: ignore[misc]  # MLflow imports it after the model is loaded
    return True
