"""A headless Chromium of the machine, which no page reaches a network with."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from playwright.sync_api import Page, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
CHARTS_DRAWN = "document.documentElement.dataset.charts !== undefined"
WAIT_MS = 120_000
"""A machine may be busy: a bound, not a time that anything takes."""


@dataclass
class Opened:
    """A page, what its console and its errors say, and what it asked a network for."""

    page: Page
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def complaints(self) -> list[str]:
        """What was said but for Bokeh's greeting."""
        return [text for text in self.said if not re.match(r"\[bokeh [\d.]+\] setting log level", text)]

    def charts(self) -> int:
        """Wait until the page has drawn its charts; how many there are."""
        self.page.wait_for_function(CHARTS_DRAWN)
        return int(self.page.evaluate("document.documentElement.dataset.charts"))


@contextmanager
def opened(
    path: Path, *, width: int = 1200, height: int = 900, scheme: Literal["light", "dark"] = "light"
) -> Iterator[Opened]:
    """Open a file from disk with the network cut off."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, offline=True, reduced_motion="reduce"
        )
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()
        found = Opened(page)
        page.on("console", lambda message: found.said.append(message.text))
        page.on("pageerror", lambda error: found.said.append(str(error)))
        page.on("request", lambda request: found.asked.append(request.url))
        page.goto(path.resolve().as_uri())
        yield found
        browser.close()
