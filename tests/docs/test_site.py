"""The documents build into a site that has no dead link and asks no other machine for anything."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

# What a page would fetch by itself; links that a reader follows are not among them.
FETCHED = re.compile(r'<(?:script|link|img|iframe)[^>]+(?:src|href)=["\']?(https?:)?//', re.IGNORECASE)


def build(source: Path, site: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--config-file", source / "mkdocs.yml", "--site-dir", site],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    built = build(ROOT, folder)
    assert built.returncode == 0, built.stderr
    return folder


def test_every_document_is_a_page(site):
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")}
    assert pages == {path.stem for path in site.glob("*.html")} - {"404"}


def test_a_dead_link_is_an_error(tmp_path):
    shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("*.js"))
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    with (tmp_path / "docs/index.md").open("a") as index:
        index.write("\n[gone](no-such-page.md)\n")
    built = build(tmp_path, tmp_path / "site")
    assert built.returncode != 0
    assert "no-such-page.md" in built.stderr


def test_pages_fetch_nothing_from_other_machines(site):
    for page in site.rglob("*.html"):
        assert not FETCHED.search(page.read_text()), page.name


def test_mermaid_is_served_with_the_pages(site):
    """Material loads it from another server where the page has none."""
    assert "mermaid.tiny.js" in (site / "index.html").read_text()
    assert 'globalThis["mermaid"]' in (site / "javascripts/mermaid.tiny.js").read_text()
