"""Take the pictures of docs/mlflow.md from a project's own MLflow pages.

`make ui > links.txt &`, then `python tests/support/screenshots.py links.txt docs/images`. Needs Chromium.
"""

import re
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

PICTURES = {  # as `make ui` names a link → file, height in pixels
    "table": ("mlflow-runs.png", 620),
    "charts": ("mlflow-compare.png", 1250),
    "model": ("mlflow-model.png", 900),
}
CLOSE = '[data-component-id="mlflow.assistant.chat_panel.close"]'  # a panel that opens on the first visit
SETTLED = 60_000  # milliseconds until the charts are drawn on a busy machine


def main(links: str, folder: str) -> None:
    """Write the pictures of the first category that `make ui` printed."""
    addresses = dict(
        reversed(re.findall(r"^ +(\w+) +(http\S+)$", Path(links).read_text("utf-8"), re.MULTILINE))
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        for name, (file, height) in PICTURES.items():
            page = browser.new_context(viewport={"width": 1500, "height": height}).new_page()
            page.set_default_timeout(120_000)
            page.goto(addresses[name])
            page.wait_for_timeout(SETTLED / 3)
            page.evaluate(f"document.querySelector('{CLOSE}')?.click()")
            page.wait_for_timeout(SETTLED)
            page.screenshot(path=Path(folder) / file)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
