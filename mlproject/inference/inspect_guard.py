"""Restrict who may ask the page of `mlproject inspect`, and what a browser may load for it.

Any web site can make a visitor's browser send requests to this machine. The header Origin shows that, unless
the site points a host name of its own to this machine (DNS rebinding), which the header Host shows.
"""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from mlproject.core.errors import UserError
from mlproject.core.listening import LOCAL, bracketed

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

LARGEST_REQUEST = 101 * 1024**2  # bytes, a file of `inspect_server.LARGEST_FILE` among them
TOO_LARGE = b"Refused: a request holds 100 MiB at most, and says how much it holds.\n"
REFUSED = b"Refused: another Host or Origin than this page's. `mlproject inspect --name` adds one.\n"
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; frame-ancestors 'none'; base-uri 'self'"
)


def names(allowed: Iterable[str], host: str, port: int) -> frozenset[str]:
    """Return every `name:port` under which the page may be asked for.

    Args:
        allowed: further names, each with a port or without (then it is `port`).
        host: where the server listens.
        port: where the server listens.

    Raises:
        UserError: one of them is neither NAME nor NAME:PORT.
    """
    found = {f"{name}:{port}" for name in (*LOCAL, bracketed(host).lower())}
    for given in allowed:
        name, _, number = given.lower().partition(":")
        if not name or "/" in given or (":" in given and not number.isdecimal()):
            raise UserError(f"--name {given!r}: give a host name such as box.lan, or box.lan:8080")
        found.add(f"{name}:{number or port}")
    return frozenset(found)


class Guard:
    """ASGI middleware: 403 for requests that are not for this page, a content security policy otherwise.

    413 for a request that holds more than LARGEST_REQUEST, or does not say how much. The address that a
    connection reached is allowed as a Host too: no foreign name leads to that.

    Args:
        allowed: from `names`.
    """

    def __init__(self, app: Any, allowed: frozenset[str]) -> None:
        self.app = app
        self.allowed = allowed

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "http" and not self._is_for_this_page(scope):
            await _refuse(send, 403, REFUSED)
        elif scope["type"] == "http" and _is_too_large(scope):
            await _refuse(send, 413, TOO_LARGE)
        elif scope["type"] != "websocket":  # the page uses none
            await self.app(scope, receive, _with_policy(send))

    def _is_for_this_page(self, scope: Message) -> bool:
        own = "{}:{}".format(bracketed(scope["server"][0]), scope["server"][1])
        origins = [origin.partition("://")[2] for origin in _values(scope, b"origin")]
        hosts = _values(scope, b"host")
        return len(hosts) == 1 and {*hosts, *origins} <= self.allowed | {own}


def _is_too_large(scope: Message) -> bool:
    """Say whether a request holds too much, or comes in pieces and does not say how much.

    The server reads no more of the others than they say that they hold.
    """
    headers = dict(scope["headers"])
    return b"transfer-encoding" in headers or int(headers.get(b"content-length", b"0")) > LARGEST_REQUEST


async def _refuse(send: Send, status: int, why: bytes) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": why})


def _values(scope: Message, header: bytes) -> list[str]:
    """Return every value of a header, lower-case; a default port, which browsers leave out, is added."""
    values = [value.decode("latin-1").lower() for name, value in scope["headers"] if name == header]
    return [value if value.rpartition(":")[2].isdecimal() else f"{value}:80" for value in values]


def _with_policy(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [
                *message.get("headers", []),
                (b"content-security-policy", POLICY.encode()),
                (b"referrer-policy", b"no-referrer"),
            ]
        await send(message)

    return sent
