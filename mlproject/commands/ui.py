"""`mlproject ui`: links to prepared views of the results, and the server that shows MLflow's pages."""

import os
import socket
import sys
from typing import Annotated

import typer

from mlproject.core.errors import UserError

HOST = "127.0.0.1"


def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where the pages listen.")] = 5000,
) -> None:
    """Print links that compare all models of a category, then start MLflow's pages on this machine."""
    from mlproject.registry import pages
    from mlproject.tracking import connection

    nothing = UserError("Nothing is recorded yet: `make run` comes first.")
    if not connection.exists():
        raise nothing
    serve = not connection.is_server()  # which shows its pages itself
    if serve:
        _require_free(port)
    client = connection.open_registry()
    if not pages.anything_recorded(client):
        raise nothing
    for line in pages.links(client, connection.dataset(), pages.address(port)):
        typer.echo(line)
    if serve:
        typer.echo(f"The pages open in a few seconds at http://{HOST}:{port}   (Ctrl-C ends them)")
        sys.stdout.flush()
        # The address of the store goes through the environment: arguments are seen by everybody.
        os.environ["MLFLOW_BACKEND_STORE_URI"] = connection.uri()
        server = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port)]
        os.execv(sys.executable, [*server, "--workers", "1"])  # noqa: S606 - this interpreter, MLflow


def _require_free(port: int) -> None:
    """Raise UserError where something listens on the port already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UserError(
                f"{HOST}:{port} cannot be used ({error.strerror}). Another port: make ui PORT={port + 1}"
            ) from None
