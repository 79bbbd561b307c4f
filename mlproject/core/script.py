"""How a stage's script or a command ends: a user's mistake is a line of text and exit code 2."""

import sys
from collections.abc import Callable

from mlproject.core.errors import UserError


def run(main: Callable[..., None]) -> None:
    """Call `main` with the command line's arguments; print a UserError as text and exit with its code."""
    try:
        main(*sys.argv[1:])
    except UserError as error:
        print(f"error: {_printable(str(error))}", file=sys.stderr)
        sys.exit(error.exit_code)


def _printable(text: str) -> str:
    """Return text with control characters escaped: a file's name in it must not drive the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)
