"""Errors meant for people: what is wrong, where, what is allowed. Never a traceback."""

import errno
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
REFUSALS = (*FULL, *FORBIDDEN)  # by which the operating system lets no file be written
MISPLACED = (errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP)  # no file can be at that path


class UserError(Exception):
    """A mistake that the user can correct. Commands print its text alone and exit with code 2."""

    exit_code = 2


class TooFewImages(UserError):
    """Fewer images than the question asked of them needs."""


def unfitting_weights(weights: Path, description: str, error: Exception) -> UserError:
    """Return the error for a weights file that lacks an array or has one of another shape.

    Args:
        description: name of the file that says which arrays it must have.
        error: what loading the arrays raised.
    """
    reason = f"no array {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
    return UserError(f"{weights}: does not fit {description} ({reason}). `dvc repro` makes both again.")


def refusal(path: str | Path, error: OSError, state: str = "Nothing was written") -> UserError:
    """Return the error for a file that the operating system did not let be written, or read.

    Args:
        path: the output, or what else was refused.
        state: what became of the output.
    """
    reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
    if error.errno == errno.ENOTDIR:
        files = [str(above) for above in Path(path).parents if above.is_file()]
        reason = f"{files[0]} is a file, not a folder" if files else reason
    remedy = "Correct that"
    if error.errno in FULL:
        remedy = "Free some space"
    elif error.errno in FORBIDDEN:
        remedy = "Set its permissions"
    return UserError(f"{path}: {reason}. {state}. {remedy}, then run again.")


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
