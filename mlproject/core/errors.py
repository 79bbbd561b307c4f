"""Errors meant for people: what is wrong, where, what is allowed. Never a traceback."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """A mistake that the user can correct. Commands print its text alone and exit with code 2."""

    exit_code = 2


class TooFewImages(UserError):
    """Fewer images than the question asked of them needs."""


def unknown_name(where: str, name: str, allowed: Iterable[str]) -> UserError:
    """Return the error for a name that does not exist: it suggests the nearest one.

    Args:
        where: what holds the name, such as ``"params.yaml: models.kd_cae.bandwith"``.
        name: the name as given.
        allowed: every name that would do.
    """
    names = sorted(allowed)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]}?" if near else ""
    return UserError(f"{where} is not known.{hint} Allowed: {', '.join(names) or '(nothing)'}")


def quoted(name: object) -> str:
    """Return a name from outside, such as a file's, so that it can be printed on one line.

    A name that holds a line end, an escape sequence or another unprintable character, or that begins with a
    quote, comes out in quotes with these escaped, as Python writes it; any other as it is.
    """
    text = str(name)
    return text if text.isprintable() and not text.startswith(("'", '"')) else repr(text)
