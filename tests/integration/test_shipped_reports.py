"""The reports of real runs of all scenarios that ship, opened from disk in a browser without a network."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.browser import Opened, assert_accessible, assert_good, ink, opened, tip_at
from tests.integration.backends import ALONE, require

ROOT = Path(__file__).parents[2]
SCENARIOS = sorted((ROOT / "scenarios").glob("*.yaml"))

pytestmark = [
    pytest.mark.browser,
    pytest.mark.native,
    pytest.mark.timeout(1800),
    ALONE,
]


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Run all scenarios once; the run directory of each, by the name of its file."""
    require("native")
    folder = tmp_path_factory.mktemp("shipped")
    command = [sys.executable, "-m", "harness", "run", "scenarios", "-j", "2", "--quiet", "--reports", str(folder)]
    environment = os.environ | {"CHAOS_BROKER": "native"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    found = {}
    for path in folder.glob("*/verdict.json"):
        verdict = json.loads(path.read_text(encoding="utf-8"))
        assert verdict["outcome"] != "infrastructure", verdict["headline"]
        found[Path(verdict["file"]).stem] = path.parent
    assert set(found) == {path.stem for path in SCENARIOS}, done.stderr
    return found


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.stem)
def test_the_report_of_a_real_run_is_good(reports: dict[str, Path], scenario: Path) -> None:
    directory = reports[scenario.stem]
    verdict = json.loads((directory / "verdict.json").read_text(encoding="utf-8"))
    page = directory / "report.html"
    assert page.stat().st_size < 2_000_000
    with opened(page) as found:
        found.charts()
        light = ink(found.page)
        assert re.search(r"at:\s*[\d.,]+ s", tip_at(found.page, "#variant-1-chart"))
        lists = found.page.locator("[data-list]")
        assert lists.count() >= sum(bool(variant["lost"]) for variant in verdict["variants"])
        for number in range(lists.count()):
            assert_searched(found, number)
        found.page.emulate_media(color_scheme="dark")
        assert ink(found.page, other_than=light) != light
        assert_accessible(found.page)
        found.page.emulate_media(color_scheme="light")
        assert_good(found, page, charts=2 * len(verdict["variants"]), name=f"real-{scenario.stem}")


def assert_searched(found: Opened, number: int) -> None:
    """Page through a list of messages, find the first one by its name, and open its life."""
    box = found.page.locator("[data-list]").nth(number)
    status, rows = box.get_by_role("status"), box.locator("summary")
    total = status.inner_text().rpartition(" of ")[2]
    shown = rows.count()
    assert status.inner_text() == f"1 to {shown} of {total}"
    following = box.get_by_role("button", name="Next")
    assert following.is_disabled() == (str(shown) == total)
    if following.is_enabled():
        following.click()
        assert status.inner_text().startswith(f"{shown + 1} to ")
        box.get_by_role("button", name="Previous").click()
    name = rows.first.locator("code").inner_text()
    box.get_by_role("searchbox").fill(name)
    assert name in rows.first.inner_text()
    rows.first.click()
    box.locator("details[open] .life li").first.wait_for()  # drawn by an event that comes after the click
