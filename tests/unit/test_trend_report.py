from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from harness.cli.app import app
from harness.errors import ChaosError, UsageError
from harness.report.index import write_index
from harness.report.trend_page import trend_page, write_trend
from harness.report.trend_text import print_trend
from harness.report.trend_words import change, method, result
from harness.trend.changes import changes
from harness.trend.rows import Row
from harness.trend.store import append
from harness.trend.table import Table, table
from harness.verdict.data import Outcome
from tests.browser import opened
from tests.unit.report_samples import HOSTILE
from tests.unit.trend_samples import nights, shifted


def slower() -> list[Row]:
    """Make 35 nights in which recoveries take three times as long since the 28th, on a newer RabbitMQ."""
    rows = nights(35, seed=11, scenarios=2, green=1.0, draw=shifted(3.0, since=28))
    return [replace(row, rabbitmq="4.3.6") if row.night >= "night 028" else row for row in rows]


def text_of(found: Table, *, width: int = 200) -> str:
    console = Console(width=width, record=True, color_system=None)
    print_trend(found, changes(found), console, left_out=0)
    return console.export_text()


def test_the_terminal_shows_every_variant_and_what_has_changed() -> None:
    said = text_of(table(slower()))
    assert said.startswith("35 nights, 70 runs, the newest night as expected\n")
    assert "35 of 35" in said
    assert "·" * 14 in said
    assert re.search(r"  scenario 0, guarantee \(container\): recovery is higher: \S+ s in the newest 7 nights, ", said)
    assert "; RabbitMQ 4.3.6, before 4.0.5" in said
    assert re.search(r"transient messages .*, was ", said)


def test_the_test_that_was_used_is_said() -> None:
    found = changes(table(slower()))
    said = method(found)
    assert "exact permutation test of the rank sum" in said
    assert "Fisher's exact test" in said
    assert f"{found.tested} tests, corrected with Holm's method" in said
    assert "at most 5%" in said


def test_no_change_and_too_few_nights_are_said() -> None:
    assert result(changes(table(nights(35, seed=3)))) == "No change in the newest 7 nights"
    assert result(changes(table(nights(5, seed=3)))) == "Too few nights to tell a change: 14 are needed"


def test_a_verdict_that_changed_is_told_as_a_share_of_nights() -> None:
    rows = [
        replace(row, outcome=Outcome.VIOLATED.value) if row.night >= "night 028" and row.variant == "guarantee" else row
        for row in nights(35, seed=4, scenarios=1, green=1.0)
    ]
    found = changes(table(rows))
    assert "share of nights as expected is lower: 0% in the newest 7 nights, 100% in the 28 before" in [
        change(each).split(" (p =")[0] for each in found.changed
    ]
    assert "VVVVVVV" in text_of(table(rows))


def test_the_page_shows_verdicts_figures_and_changes() -> None:
    found = table(slower())
    page = trend_page(found, changes(found), warnings=["a.parquet was left out: it is empty"])
    assert "<strong>35 nights, 70 runs, the newest night as expected; 1 file could not be read</strong>" in page
    assert "scenario 1, guarantee (container)" in page
    assert page.count('<span class="nights" role="img" aria-label="as expected in 35 of 35 nights">') == 6
    assert page.count('<i class="good"') == 6 * 35
    assert page.count('<span class="was unsure">was ') == sum(
        each.measure is not None for each in changes(found).changed
    )
    assert "a.parquet was left out: it is empty" in page


def test_a_bad_newest_night_is_red_even_if_nothing_changed() -> None:
    rows = nights(35, seed=3, green=1.0, scenarios=1)
    for outcome, colour in ((Outcome.AS_EXPECTED, "good"), (Outcome.VIOLATED, "bad"), (Outcome.INCONCLUSIVE, "unsure")):
        found = table([*rows[:-1], replace(rows[-1], outcome=outcome.value)])
        assert (
            f'<p class="verdict {colour}"><strong>35 nights, 35 runs, the newest night {outcome.value}<'
            in trend_page(found, changes(found))
        )


def test_with_too_few_nights_the_page_is_not_green() -> None:
    found = table(nights(3, seed=3, green=1.0, scenarios=1))
    assert '<p class="verdict unsure">' in trend_page(found, changes(found))


@pytest.mark.seconds
def test_the_page_fetches_nothing_and_stays_small() -> None:
    rows = nights(60, seed=5, scenarios=12)
    found = table(rows)
    page = trend_page(found, changes(found))
    ours = page[: page.index('<script type="text/plain"')]
    assert not re.search(r'(?:src|href)="(?:https?:)?//|@import|url\(', ours)
    assert "default-src 'none'" in ours
    assert len(page.encode()) < 1_700_000


def test_hostile_names_change_nothing() -> None:
    rows = [
        replace(row, scenario=HOSTILE, variant=HOSTILE, backend=HOSTILE, settings=HOSTILE, rabbitmq=HOSTILE)
        for row in slower()
        if row.variant == "guarantee"
    ]
    found = table(rows)
    page = trend_page(found, changes(found), warnings=[HOSTILE])
    assert "<script>document" not in page
    assert "\u202e" not in page
    assert "\x1b" not in text_of(found)


@pytest.mark.browser
@pytest.mark.parametrize("hostile", [False, True])
def test_the_page_opens_from_disk_without_a_word_on_the_console(tmp_path: Path, hostile: bool) -> None:
    rows = [replace(row, variant=HOSTILE) if hostile and row.control else row for row in slower()]
    found = table(rows)
    page = write_trend(found, changes(found), tmp_path)
    assert page is not None
    with opened(page) as seen:
        assert seen.charts() == 10
        assert seen.complaints() == []
        assert "hacked" not in seen.page.title()


def test_a_page_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "trend.html").write_text("mine")
    found = table(nights(3, seed=1))
    assert write_trend(found, changes(found), tmp_path) is None
    assert (tmp_path / "trend.html").read_text() == "mine"


def test_the_index_links_to_the_trend_once_there_is_one(tmp_path: Path) -> None:
    index = write_index(tmp_path)
    assert index is not None
    assert "trend.html" not in index.read_text()
    found = table(nights(3, seed=1))
    write_trend(found, changes(found), tmp_path)
    write_index(tmp_path)
    assert '<a href="trend.html">' in index.read_text()


def run_trend(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["trend", *arguments], catch_exceptions=True)
    if isinstance(done.exception, ChaosError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def test_the_command_prints_the_trend_writes_the_page_and_warns_of_what_it_left_out(tmp_path: Path) -> None:
    for row in nights(16, seed=6, scenarios=1):
        append(tmp_path / "trend", [row])
    (tmp_path / "trend" / "broken.parquet").write_text("x")
    said = run_trend("--reports", str(tmp_path))
    assert "broken.parquet was left out: " in said
    assert "16 nights, 16 runs, the newest night as expected; 1 file could not be read" in said
    assert (tmp_path / "trend.html").exists()
    assert "Too few nights" not in said
    assert "Too few nights to tell a change: 20 are needed" in run_trend("--reports", str(tmp_path), "--window", "10")
    assert "5 nights, 5 runs" in run_trend("--reports", str(tmp_path), "--nights", "5")


def test_the_command_says_that_there_is_nothing_yet(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no runs yet"):
        run_trend("--reports", str(tmp_path))


def test_nights_of_both_versions_show_no_change_of_the_loss_where_only_its_unit_changed() -> None:
    def said(older: int) -> tuple[str, str]:
        rows = [
            replace(row, schema_version=older, loss_rate=0.5)
            if row.night < "night 028"
            else replace(row, loss_rate=0.1)
            for row in nights(35, seed=1, scenarios=1)
        ]
        found = table(rows)
        return text_of(found), trend_page(found, changes(found))

    for text, page in (said(1), said(2)):
        assert "10%" in text
        assert "10%" in page
    assert not any("was 50%" in each or "loss is lower" in each for each in said(1))
    assert all("was 50%" in each and "loss is lower" in each for each in said(2)), "of one version, it is a change"
