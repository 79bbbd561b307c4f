"""The little Markdown that the report is written in. What comes from outside is escaped first."""

import re
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

# Anything that Markdown or HTML could take for markup; `_` inside a word is none, and stays readable.
MARKUP = re.compile(r"[\\`*\[\]<>|&#~!]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def escape(text: Any) -> str:
    """Return any text as Markdown that shows it and does nothing else, on one line."""
    return MARKUP.sub(r"\\\g<0>", " ".join(str(text).split()))


def table(columns: Sequence[str], lines: Iterable[Sequence[str]], words: int = 1) -> str:
    """Return a table of cells that are Markdown already; the first `words` columns are text."""
    rules = ["---"] * words + ["---:"] * (len(columns) - words)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (columns, rules, *lines))


def bullets(sentences: Iterable[str]) -> str:
    """Return a list of sentences that are Markdown already."""
    return "\n".join(f"- {sentence}" for sentence in sentences)


def picture(caption: str, path: str) -> str:
    """Return a picture, its path relative to reports/; the caption says in words what it is."""
    return f"![{escape(caption)}]({quote(path)})"


def printed(value: float) -> str:
    """Write a number as the paper prints it: two decimals at least, four at most."""
    digits = f"{value:.4f}".rstrip("0")
    return digits + "0" * max(0, 2 - len(digits.partition(".")[2]))


def joined(parts: Iterable[str]) -> str:
    """Return the parts as a list in words; `-` for none."""
    return ", ".join(parts) or "-"
