"""Markdown elements of the report. Text from outside the project is escaped first."""

import re
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

# Characters that Markdown or HTML could take for markup; `_` inside a word is not markup.
MARKUP = re.compile(r"[\\`*\[\]<>|&#~!]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def escape(text: Any) -> str:
    """Return any text as Markdown that shows exactly that text, on one line."""
    return MARKUP.sub(r"\\\g<0>", " ".join(str(text).split()))


def table(columns: Sequence[str], lines: Iterable[Sequence[str]], words: int = 1) -> str:
    """Return a table of Markdown cells; the first `words` columns are text, the others numbers."""
    rules = ["---"] * words + ["---:"] * (len(columns) - words)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (columns, rules, *lines))


def bullets(sentences: Iterable[str]) -> str:
    """Return a bullet list of Markdown sentences."""
    return "\n".join(f"- {sentence}" for sentence in sentences)


def picture(caption: str, path: str) -> str:
    """Return a picture with its caption; the path is relative to reports/."""
    return f"![{escape(caption)}]({quote(path)})"


def printed(value: float) -> str:
    """Write a number as the paper prints it: two decimals at least, four at most."""
    digits = f"{value:.4f}".rstrip("0")
    return digits + "0" * max(0, 2 - len(digits.partition(".")[2]))


def joined(parts: Iterable[str]) -> str:
    """Return the parts joined by commas; `-` for none."""
    return ", ".join(parts) or "-"
