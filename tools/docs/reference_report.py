"""Writes the report of the reference sweep and its picture: needs a browser on PATH.

Run `python tools/docs/reference_report.py` after the words or the look have changed.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    # Run as a script, Python looks for neighbours in this folder only.
    sys.path.insert(0, str(ROOT))

PAGE = ROOT / "docs" / "reference-report.html"
PICTURE = ROOT / "docs" / "images" / "report.png"
SWEEP = "20261129-145825"
WIDTH, HEIGHT = 1160, 1640


def main() -> int:
    """Write both, and say what could not be done."""
    from playwright.sync_api import sync_playwright

    from orket.cli.main import run_command

    warehouse = str(ROOT / "warehouse")
    if code := run_command(["report", SWEEP, "-w", warehouse, "-o", str(PAGE)]):
        return code
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    if browser_path is None:
        print("no chromium or google-chrome on PATH: no picture", file=sys.stderr)
        return 1
    PICTURE.parent.mkdir(exist_ok=True)
    with sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(PAGE.as_uri())
        page.screenshot(path=str(PICTURE))
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
