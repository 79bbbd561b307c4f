"""Take the pictures of docs/production.md: `/health`, `/metrics`, and a correction on the page of inspect.

In a project whose champion is registered: `python tests/support/line_screenshots.py bracket@champion
data/raw/bracket/test docs/images`. Needs Chromium.
"""

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

PAGES = {"health": 280, "metrics": 640}  # of a watch → height in pixels


@contextmanager
def command(*arguments: object) -> Iterator[str]:
    """Start `mlproject`; yield the address that it prints first, and end it with the block."""
    process = subprocess.Popen(
        ["mlproject", *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[0].removesuffix("/health")
    finally:
        process.terminate()
        process.wait()


def watched(page: Page, address: str, photos: int, folder: Path) -> None:
    """Take both pages of a watch once it has scored so many photos."""
    while sum(json.load(urllib.request.urlopen(f"{address}/health"))["photos"].values()) < photos:
        time.sleep(1)
    for name, height in PAGES.items():
        page.set_viewport_size({"width": 1000, "height": height})
        page.goto(f"{address}/{name}")
        take(page, folder / f"watch-{name}.png")


def corrected(page: Page, address: str, photo: Path, folder: Path) -> None:
    """Take the page after a photo is marked."""
    page.set_viewport_size({"width": 1000, "height": 800})
    page.goto(address)
    page.set_input_files("#image input[type=file]", photo)
    expect(page.locator("#result .panels")).to_contain_text(photo.name, timeout=60_000)
    page.get_by_role("button", name="It is defective").click()
    expect(page.locator("#kept")).to_contain_text("is kept as", timeout=60_000)
    take(page, folder / "inspect-corrections.png")
    page.goto("about:blank")  # the server ends once nobody is connected


def take(page: Page, path: Path) -> None:
    """Write a picture of the page, in 256 colours."""
    page.screenshot(path=path)
    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(256)
    small.save(path, optimize=True)


def main(model: str, photos: str, folder: str) -> None:
    """Write the pictures."""
    found = sorted(Path(photos).rglob("*.png"))
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as work:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page()
        with command("watch", model, photos, "--table", f"{work}/line.db", "--port", 0) as address:
            watched(page, address, len(found), Path(folder))
        defective = next(path for path in found if path.parent.name != "good")
        with command("inspect", model, "--port", 0, "--corrections", f"{work}/line-7.csv") as address:
            corrected(page, address, defective, Path(folder))
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
