"""Run a stage's script or a command: a user's mistake ends it with a line of text and exit code 2."""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import NoReturn

from mlproject.core.errors import MISPLACED, REFUSALS, UserError, refusal

INTERRUPTED = 130  # exit code, as shells report Ctrl-C
_NO_TEMPORARY_FOLDER = "No usable temporary directory"  # of Python's tempfile, of whatever cause


def run(main: Callable[..., None]) -> None:
    """Call `main` with the command line's arguments; print a UserError as text and exit with its code.

    Ctrl-C and SIGTERM end it with a line and exit code INTERRUPTED; what it made for itself is removed.

    A letter that the terminal's encoding lacks is printed as its escape, such as ``\\xd7`` for ×.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            main(*sys.argv[1:])
        finally:
            with suppress(BrokenPipeError):  # its reader wants no more
                print(end="", flush=True)  # or the disk may be full
    except UserError as error:
        _end(f"error: {_printable(str(error))}", error.exit_code)
    except KeyboardInterrupt:
        _end("interrupted", INTERRUPTED)
    except OSError as error:
        if _NO_TEMPORARY_FOLDER in str(error):
            text = "no temporary file can be written: the disk is full, or TMPDIR names no folder to write to"
        elif error.errno in (*REFUSALS, *MISPLACED):
            text = str(refusal(error.filename or "output", error, "The run stopped"))
        else:
            raise
        _end(f"error: {_printable(text)}", UserError.exit_code)


def _end(line: str, code: int) -> NoReturn:
    """Print a line and exit; what standard output does not take, Python would complain of at its end."""
    print(line, file=sys.stderr)
    try:
        print(end="", flush=True)
    except OSError:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the end
    sys.exit(code)


def _printable(text: str) -> str:
    """Return text with control characters escaped: a file's name in it must not drive the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)
