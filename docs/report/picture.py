"""Make docs/report.png: a part of the page that `agn-bench report results/reduced` makes, as Chromium shows it.

    python docs/report/picture.py

It needs the packages of the extra `dev`, and a Chromium.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from agn_bench.analysis import comparison
from agn_bench.analysis.report import document, page

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "results" / "reduced"
SHOWN = "#detail=1"
"""What is chosen on the page, in its address."""
WIDTH, HEIGHT = 1280, 900
_QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")


def photograph(path: Path, chromium: str) -> bytes:
    """The curves of a page and what lies below them, as PNG."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=[*_QUIET])
        shown = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        shown.goto(path.as_uri() + SHOWN)
        shown.locator("#curves canvas").first.wait_for()
        shown.evaluate("document.querySelector('#curves').scrollIntoView({ behavior: 'instant' })")
        shown.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        taken = shown.screenshot()
        browser.close()
    return taken


def main() -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("no Chromium is installed")
    runs = comparison.read_runs([FOLDER]).asked()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        page.write(path, document.document(runs, runs.measured(), FOLDER.name))
        taken = photograph(path, chromium)
    whole = Image.open(io.BytesIO(taken)).convert("RGB")
    few = whole.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(ROOT / "docs" / "report.png", optimize=True)


if __name__ == "__main__":
    main()
