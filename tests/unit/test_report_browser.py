"""The pages in a real browser, with its network cut off: no error, every chart drawn, all that can be clicked works, accessible."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.report.compare import Side, comparison_page
from harness.report.html import html
from harness.report.index import write_index
from harness.report.write import write_all
from harness.verdict.data import Fate
from tests.browser import (
    PHONE_PX,
    assert_accessible,
    assert_fits,
    assert_good,
    assert_quiet,
    ink,
    keep,
    opened,
    tip_at,
)
from tests.unit import report_samples as samples

FEW = (Fate.PROCESSED, Fate.DEAD_LETTERED)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(600),
]


def written(name: str, folder: Path) -> Path:
    return page_of(samples.ALL[name](), folder)


def page_of(sample: samples.Sample, folder: Path) -> Path:
    page = folder / "report.html"
    page.write_text(
        html(
            sample.run,
            histories=sample.histories,
            resolved_scenario=sample.resolved,
            broker_logs=sample.logs,
            scenarios=sample.scenarios,
        ),
        encoding="utf-8",
    )
    return page


@pytest.mark.parametrize(
    ("name", "charts"),
    [
        ("passing", 6),
        ("failing", 2),
        ("hostile", 2),
        ("infrastructure", 1),
        ("huge", 2),
        ("fan-out", 2),
        ("every fate", 2),
    ],
)
@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_a_page_opens_from_disk_draws_every_chart_and_is_accessible(
    tmp_path: Path, name: str, charts: int, scheme: str
) -> None:
    page = written(name, tmp_path)
    with opened(page, scheme="dark" if scheme == "dark" else "light") as found:
        assert_good(found, page, charts=charts, name=f"{name}-{scheme}")
        assert "hacked" not in found.page.title().split(":")[0]


@pytest.mark.slow  # every change has those of real runs: tests/integration/test_shipped_reports.py
@pytest.mark.parametrize("scenario", samples.SHIPPED, ids=lambda path: path.stem)
def test_the_report_of_every_scenario_that_ships_is_good(tmp_path: Path, scenario: Path) -> None:
    sample = samples.shipped(scenario)
    page = page_of(sample, tmp_path)
    with opened(page) as found:
        assert_good(found, page, charts=2 * len(sample.run.variants), name=scenario.stem)


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("fates", [2, 12])
def test_no_table_by_queue_publisher_or_worker_is_cut(tmp_path: Path, width: int, fates: int) -> None:
    sample = samples.every_fate()
    variant = sample.run.variants[0]
    found = {fate: count for fate, count in variant.counts.fates.items() if fate in FEW or fates == len(Fate)}
    groups = {
        name: {f"{name}-{number}": found for number in (1, 2)} for name in ("by_queue", "by_publisher", "by_worker")
    }
    few = replace(variant, counts=replace(variant.counts, fates=found), **groups)  # type: ignore[arg-type]
    page = page_of(replace(sample, run=replace(sample.run, variants=(few,))), tmp_path)
    with opened(page, width=width) as shown:
        tables = shown.page.locator(".by > details")
        assert tables.count() == 3
        for table in tables.all():
            assert table.evaluate("each => each.scrollWidth <= each.clientWidth"), table.inner_text()


def test_lost_messages_are_searched_paged_and_opened(tmp_path: Path) -> None:
    with opened(written("failing", tmp_path)) as found:
        box = found.page.locator("[data-list='variant-1-lost']")
        status, rows = box.get_by_role("status"), box.locator("summary")
        assert status.inner_text() == "1 to 20 of 312"
        assert rows.count() == 20
        assert box.get_by_role("button", name="Previous").is_disabled()
        for _ in range(15):
            box.get_by_role("button", name="Next").click()
        assert status.inner_text() == "301 to 312 of 312"
        assert box.get_by_role("button", name="Next").is_disabled()
        box.get_by_role("searchbox").fill("PUBLISHER-1#33")
        assert status.inner_text() == "1 to 3 of 3", "33, 330 and 331"
        rows.first.focus()
        found.page.keyboard.press("Enter")
        events = box.locator("details[open] .life li")
        assert events.first.inner_text().split("\n")[1] == "published (attempt 1)"
        assert "delivered" in events.last.inner_text()
        box.get_by_role("searchbox").fill("nothing like it")
        assert (status.inner_text(), rows.count()) == ("none found", 0)


def test_lines_are_switched_and_the_chart_answers_to_the_pointer(tmp_path: Path) -> None:
    with opened(written("failing", tmp_path)) as found:
        found.charts()
        visible = "(name) => Bokeh.documents[0].get_model_by_name(name).visible"
        button = found.page.get_by_role("button", name="published")
        assert found.page.evaluate(visible, "published") is True
        button.click()
        assert button.get_attribute("aria-pressed") == "false"
        assert found.page.evaluate(visible, "published") is False
        assert re.search(r"confirmed:\s*500", tip_at(found.page, "#variant-1-chart"))


def test_dark_and_light_draw_with_different_ink(tmp_path: Path) -> None:
    with opened(written("failing", tmp_path)) as found:
        found.charts()
        light = ink(found.page)
        found.page.emulate_media(color_scheme="dark")
        assert ink(found.page, other_than=light) != light


def test_a_printed_page_opens_its_evidence_and_is_drawn_in_dark_ink(tmp_path: Path) -> None:
    with opened(written("passing", tmp_path), scheme="dark") as found:
        found.charts()
        seen = ink(found.page)
        chart = found.page.locator(".chart canvas").first
        wide = chart.bounding_box()
        found.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert found.page.locator("details[data-print]:not([open])").count() == 0
        assert ink(found.page) == "#444"
        narrow = chart.bounding_box()
        assert wide is not None
        assert narrow is not None
        assert narrow["width"] < 660 < wide["width"], "what an A4 page has room for within its margins"
        found.page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert found.page.locator("details[data-print][open]").count() == 0
        assert ink(found.page) == seen != "#444"
        assert found.page.pdf().startswith(b"%PDF")


def index_page(folder: Path) -> Path:
    for name in ("passing", "hostile"):
        sample = samples.ALL[name]()
        (folder / name).mkdir()
        write_all(
            sample.run,
            folder / name,
            histories={},
            resolved_scenario=sample.resolved,
            broker_logs={},
        )
    path = write_index(folder)
    assert path is not None
    return path


def sides() -> tuple[Side, Side]:
    hostile = Side(samples.HOSTILE, samples.hostile().run, {samples.HOSTILE: samples.HOSTILE})
    return Side("passing", samples.passing().run, {}), hostile


def compared(folder: Path) -> Path:
    path = folder / "compare.html"
    path.write_text(comparison_page(*sides()), encoding="utf-8")
    return path


@pytest.mark.parametrize("make", [index_page, compared])
def test_the_index_and_a_comparison_are_quiet_accessible_and_fit_a_phone(
    tmp_path: Path, make: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    page = make(tmp_path)
    with opened(page, width=PHONE_PX) as found:
        assert_fits(found.page)
        assert_accessible(found.page)
        keep(found.page, make.__name__)
        assert_quiet(found, page)


def test_the_console_is_listened_to(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(
        "<title>x</title><script>undefined_name</script><img src='https://example.invalid/x.png'>", encoding="utf-8"
    )
    with opened(page) as found, pytest.raises(AssertionError):
        assert_quiet(found, page)
    assert any("undefined_name is not defined" in text for text in found.said)
    assert "https://example.invalid/x.png" in found.asked


def test_what_is_not_accessible_is_found(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text("<html lang='en'><title>x</title><main><h1>x</h1><input></main>", encoding="utf-8")
    with opened(page) as found, pytest.raises(AssertionError, match="label"):
        assert_accessible(found.page)
