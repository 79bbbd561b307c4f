"""The report as one self-contained HTML page: pictures and style are embedded, nothing is loaded."""

import base64
import html
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

STYLE = """
:root { --ink: #1b1f24; --soft: #57606a; --line: #d8dee4; --tint: #f6f8fa; --link: #0b5cad; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 68rem; color: var(--ink); background: #fff;
  font: 1rem/1.55 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 1rem; }
h2 { font-size: 1.4rem; margin: 3rem 0 .75rem; padding-top: 1rem; border-top: 2px solid var(--ink); }
h3 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p, ul { max-width: 46rem; }
li { margin: .3rem 0; }
a { color: var(--link); }
code { font: .88em ui-monospace, monospace; background: var(--tint); padding: .1em .3em; border-radius: 3px; }
nav { margin: 1.5rem 0; padding: .75rem 1rem; background: var(--tint); border-left: 3px solid var(--ink); }
nav a { display: inline-block; margin-right: 1.25rem; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
td { white-space: nowrap; }
th { vertical-align: bottom; border-bottom: 2px solid var(--ink); line-height: 1.3; font-weight: 600; }
th:first-child, td:first-child { position: sticky; left: 0; background: #fff; }
tbody tr:nth-child(even) td { background: var(--tint); }
figure { margin: 1.25rem 0; }
figure img { max-width: 100%; height: auto; border: 1px solid var(--line); }
figcaption { color: var(--soft); font-size: .88rem; }
@media print {
  @page { size: A4 landscape; margin: 12mm; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav { display: none; }
  .scroll { overflow: visible; }
  table { font-size: 7.5pt; }
  td { white-space: normal; }
  th:first-child, td:first-child { position: static; }
  h2, h3 { break-after: avoid; }
  tr, figure { break-inside: avoid; }
  figure img { max-height: 170mm; }
}
"""
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""
Rule = Callable[[RendererHTML, Sequence[Token], int, Any, Any], str]


def page(markdown: str, folder: Path) -> str:
    """Return the page of a report.

    Args:
        markdown: the report; HTML in it is shown as text.
        folder: base of the pictures' paths; every picture must exist there as PNG.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule("image", _picture(folder))
    parser.add_render_rule("table_open", _wrapped_table)
    parser.add_render_rule("table_close", lambda *_: "</table></div>\n")
    tokens = parser.parse(markdown)
    sections = _number_headings(tokens)
    body = parser.renderer.render(tokens, parser.options, {})
    # a picture stands alone in its paragraph
    body = re.sub(r"<p>(<figure>.*?</figure>)</p>", r"\1", body, flags=re.DOTALL)
    links = "".join(f'<a href="#{name}">{html.escape(title)}</a>' for name, title in sections)
    body = body.replace("<h2", f"<nav>{links}</nav>\n<h2", 1)
    title = next(token.content for token in tokens if token.type == "inline")
    return PAGE.format(title=html.escape(title), style=STYLE, body=body)


def _number_headings(tokens: Sequence[Token]) -> list[tuple[str, str]]:
    """Give each section an id to link to; return ids and titles."""
    sections: list[tuple[str, str]] = []
    for token, content in pairwise(tokens):
        if token.type == "heading_open" and token.tag == "h2":
            name = f"section-{len(sections) + 1}"
            token.attrSet("id", name)
            sections.append((name, content.content))
    return sections


def _wrapped_table(*_: Any) -> str:
    """Open a table in a box that scrolls on a narrow screen and can be focused by keyboard."""
    return '<div class="scroll" tabindex="0" role="region" aria-label="table"><table>\n'


def _picture(folder: Path) -> Rule:
    def rule(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        token = tokens[index]
        content = (folder / unquote(str(token.attrs["src"]))).read_bytes()
        source = f"data:image/png;base64,{base64.b64encode(content).decode()}"
        caption = html.escape(renderer.renderInlineAsText(token.children, options, env))
        image = f'<img src="{source}" alt="{caption}">'
        return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"

    return rule
