"""Who may ask the page of `mlproject inspect`: a real server, and a browser's headers."""

import socket
import threading
from collections.abc import Iterator

import pytest
import requests
import uvicorn

from mlproject.core.errors import UserError
from mlproject.inference.inspect_guard import Guard, names


async def page(scope, receive, send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"page"})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A guarded server on all addresses of this machine, which `box.lan` leads to as well."""
    with socket.create_server(("0.0.0.0", 0)) as listener:
        port = listener.getsockname()[1]
        guard = Guard(page, names(["Box.lan", "box.lan:80"], "0.0.0.0", port))
        server = uvicorn.Server(uvicorn.Config(guard, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield port
        server.should_exit = True
        thread.join()


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("127.0.0.2:PORT", "http://127.0.0.2:PORT", 200),  # the address that is connected to
        ("localhost:PORT", None, 200),
        ("[::1]:PORT", None, 200),
        ("BOX.lan:PORT", "http://box.lan:PORT", 200),
        ("box.lan", "http://box.lan", 200),
        ("127.0.0.3:PORT", None, 403),
        ("127.0.0.2", None, 403),
        ("127.0.0.2:1", None, 403),
        ("other.lan:PORT", None, 403),
        ("box.lan.other.lan:PORT", None, 403),
        ("", None, 403),
        ("box.lan", "http://other.lan", 403),
        ("box.lan", "http://box.lan:1", 403),
        ("box.lan", "null", 403),
        ("box.lan", "", 403),
    ],
)
def test_the_page_answers_only_under_its_own_names(port, host, origin, status):
    headers = {"Host": host.replace("PORT", str(port))}
    if origin is not None:
        headers["Origin"] = origin.replace("PORT", str(port))
    answer = requests.get(f"http://127.0.0.2:{port}/", headers=headers, timeout=60)
    assert answer.status_code == status, answer.text
    assert (answer.text == "page") == (status == 200)


@pytest.mark.parametrize("name", ["", "http://box.lan", "box.lan:", "box.lan:http", ":80"])
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(UserError, match=r"give a host name such as box\.lan"):
        names([name], "127.0.0.1", 7860)
