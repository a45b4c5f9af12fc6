"""A real browser for the suite, and a page in it that tells what it did.

Without a browser a test is skipped, and says so. ORKET_REQUIRE_BROWSER=1 makes that a
failure: where the suite is run for everybody, it is there.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDTHS = (360, 800, 1280)


@contextlib.contextmanager
def started_browser() -> Iterator[Browser]:
    """The system's browser; skips the test, or fails it, where there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        reason = f"no browser on PATH: {', '.join(NAMES)}"
        if os.environ.get("ORKET_REQUIRE_BROWSER") == "1":
            pytest.fail(f"{reason}, and ORKET_REQUIRE_BROWSER is 1")
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


class Seen:
    """A page, and what it said or asked for while it opened."""

    def __init__(self, browser: Browser, path: object, width: int, scheme: str) -> None:
        self.page: Page = browser.new_page(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,  # type: ignore[arg-type]
        )
        self.said: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: self.said.append(dialog.message))
        self.page.on("request", lambda request: self.said.append(request.url))
        self.page.goto(f"file://{path}")

    def __enter__(self) -> Seen:
        return self

    def __exit__(self, *_: object) -> None:
        self.page.close()
