"""Work for a machine of a Ray cluster in a test, which finds it by its name."""

import os
import signal
from pathlib import Path

from mlproject.core.errors import UserError


def square(number: int) -> int:
    return number * number


def killed_once(marker: Path) -> str:
    """Be killed by the system the first time, as where memory ends."""
    if marker.exists():
        return "ran again"
    marker.touch()
    os.kill(os.getpid(), signal.SIGKILL)
    return "not reached"


def killed(item: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def refuses(item: str) -> None:
    raise UserError(f"{item}: is not allowed")


def refuses_beside(folder: str) -> None:
    """Wait to be killed; if another process already waits here, raise an error instead."""
    fifo = Path(folder, "fifo")
    try:
        os.mkfifo(fifo)
    except FileExistsError:
        fifo.write_bytes(b"another is here")  # goes on when the other reads
        raise UserError("refused while another runs") from None
    Path(folder, "running").write_text(str(os.getpid()))
    fifo.read_bytes()
    signal.pause()
