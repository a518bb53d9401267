"""A headless Chromium of the machine, which no page reaches a network with, and what every page has to live up to in it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, TimeoutError, sync_playwright
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from tests.required import lacking

CHARTS_DRAWN = "html[data-charts]"
SCREENSHOTS = os.environ.get("CHAOS_TEST_SCREENSHOTS")
"""A folder that pictures of the pages are kept in, if it is set."""
PHONE_PX = 390
WAIT_MS = 120_000
"""A machine may be busy: a bound, not a time that anything takes."""


def chromium() -> str:
    """The program; skips or fails the test where there is none."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    return found or lacking("Chromium is not installed")


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
        self.page.wait_for_selector(CHARTS_DRAWN, state="attached")
        return int(self.page.evaluate("document.documentElement.dataset.charts"))


@contextmanager
def opened(
    path: Path, *, width: int = 1200, height: int = 900, scheme: Literal["light", "dark"] = "light"
) -> Iterator[Opened]:
    """Open a file from disk with the network cut off."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
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


def assert_quiet(found: Opened, page: Path) -> None:
    assert found.complaints() == []
    assert {url for url in found.asked if not url.startswith(("data:", "blob:"))} == {page.resolve().as_uri()}


def assert_accessible(page: Page) -> None:
    violations = Axe().run(page).response["violations"]
    broken = [(each["id"], [node["html"][:200] for node in each["nodes"][:3]]) for each in violations]
    assert not broken, broken


def assert_fits(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]  # type: ignore[index]


def keep(page: Page, name: str) -> None:
    if SCREENSHOTS:
        folder = Path(SCREENSHOTS)
        folder.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=folder / f"{name.replace(' ', '-')}.png", full_page=True)


def drawn(page: Page) -> int:
    """Count the canvases of the charts that something is drawn on."""
    return int(
        page.evaluate(
            """() => {
              const canvases = [];
              const walk = (root) => {
                for (const element of root.querySelectorAll("*")) {
                  if (element.tagName === "CANVAS") canvases.push(element);
                  if (element.shadowRoot) walk(element.shadowRoot);
                }
              };
              document.querySelectorAll(".chart").forEach((chart) => walk(chart));
              return canvases.filter((canvas) => {
                if (!canvas.width || !canvas.height) return false;
                const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
                return data.some((value, place) => place % 4 === 3 && value !== 0);
              }).length;
            }"""
        )
    )


def assert_good(found: Opened, page: Path, *, charts: int, name: str) -> None:
    """Every chart drawn, nothing said or fetched, accessible, and no wider than a phone."""
    assert found.charts() == found.page.locator(".chart").count() == charts
    assert drawn(found.page) >= charts
    assert_accessible(found.page)
    keep(found.page, name)
    found.page.set_viewport_size({"width": PHONE_PX, "height": 844})
    assert_fits(found.page)
    keep(found.page, f"{name}-phone")
    assert_quiet(found, page)


def tip_at(page: Page, chart: str) -> str:
    """Point at the middle of a chart's first plot until it answers; what it says."""
    place = page.locator(chart)
    place.scroll_into_view_if_needed()
    box = place.bounding_box()
    assert box is not None
    tip = page.locator(".bk-tooltip-content").first
    for attempt in range(60):  # a pointer that moves while the page is still drawing is not answered
        page.mouse.move(box["x"] + box["width"] * 0.5 + attempt, box["y"] + 160)
        try:
            tip.wait_for(state="visible", timeout=2000)
        except TimeoutError:
            continue
        said = tip.inner_text()
        page.mouse.move(0, 0)  # Bokeh hangs the tip outside of the page's landmarks: it must not stay
        tip.wait_for(state="hidden")
        return said
    raise AssertionError(f"{chart} does not answer the pointer")


def ink(page: Page, *, other_than: str = "") -> str:
    """Return the colour that the charts' axes are drawn in, as soon as it is another one."""
    ask = """() => [...Bokeh.documents[0].roots()[0].references()]
      .find((model) => model.type === "LinearAxis").major_label_text_color"""
    told = retry(
        retry=retry_if_result(lambda colour: colour == other_than),
        stop=stop_after_delay(WAIT_MS / 1000),
        wait=wait_fixed(0.05),
        retry_error_callback=lambda state: state.outcome.result() if state.outcome is not None else "",
    )(page.evaluate)(ask)
    return str(told)
