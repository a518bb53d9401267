from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from harness.cli.app import app
from harness.report.compare import Row, Section, Side, comparison, comparison_page, print_comparison
from harness.scenario.resolve import flat
from harness.verdict.as_json import to_json
from harness.verdict.times import Outage
from tests.unit import report_samples as samples

SETTINGS = {"workers.0.acks": "manual", "workers.0.count": "2"}


def both() -> tuple[Side, Side]:
    left, right = samples.failing(3).run, samples.failing(5).run
    outages = (Outage("workers", 1.0, 3.5), Outage("workers", 4.0, 5.0))
    variant = replace(right.variants[0], outages=outages)
    return (
        Side("first", left, SETTINGS | {"workers.0.acks": "automatic"}),
        Side("second", replace(right, variants=(variant,)), SETTINGS),
    )


def sections(left: Side, right: Side) -> dict[str, Section]:
    return {section.title: section for section in comparison(left, right)}


def test_only_settings_that_differ_are_shown() -> None:
    assert sections(*both())["Settings that differ"].rows == (Row("workers.0.acks", "automatic", "manual"),)


def test_fates_and_outages_stand_side_by_side() -> None:
    rows = {row.what: (row.left, row.right, row.differs) for row in sections(*both())["guarantee"].rows}
    assert rows["lost"] == ("3", "5", True)
    assert rows["processed"] == ("20", "20", False)
    assert rows["outages of workers"] == ("0", "2", True)
    assert rows["longest outage of workers"] == ("—", "2.5 s", True)
    assert "publish to completion: 99%" in rows


def test_a_variant_that_one_run_lacks_is_shown_with_dashes() -> None:
    left, right = both()
    found = sections(Side("first", samples.passing().run, {}), right)["transient messages"]
    assert found.rows[0] == Row("outcome", "as expected", "—")
    assert left.run.variants[0].name == "guarantee"


CHANGED = {
    "copies",
    "processed",
    "lost",
    "dropped",
    "processed twice or more",
    "step 1 (kill): lost to it",
    "publish to completion: 99%",
}
"""What a run of version 1 counts in messages, and one of version 2 in copies."""


def test_what_counts_messages_in_one_run_and_copies_in_the_other_is_not_compared() -> None:
    _, right = both()
    old = replace(samples.every_fate().run, schema_version=1)
    new = {row.what for row in sections(right, Side("new", samples.every_fate().run, {}))["guarantee"].rows}
    assert new >= CHANGED, "of one version, they are"
    found = sections(Side("old", old, {}), right)
    rows = {row.what for row in found["guarantee"].rows}
    assert not rows & CHANGED
    assert {"published", "deliveries", "publish to confirm: 99%", "step 1 (kill): next work after its end"} <= rows
    assert [(row.left, row.right) for row in found["Not compared"].rows] == [
        ("counts messages (verdict version 1)", "counts copies (verdict version 3)"),
        ("no work was completed (verdict version 1)", "no worker was at work (verdict version 3)"),
    ]


def test_outages_of_workers_are_not_compared_with_those_of_version_2() -> None:
    _, right = both()
    old = replace(samples.every_fate().run, schema_version=2)
    found = sections(Side("old", old, {}), right)
    rows = {row.what for row in found["guarantee"].rows}
    assert rows >= CHANGED
    assert {"outages of publishers", "broker down for"} <= rows
    assert not {"outages of workers", "longest outage of workers"} & rows
    assert [row.what for row in found["Not compared"].rows] == ["outages of workers"]


def test_two_runs_of_version_1_are_compared_in_full() -> None:
    old = Side("old", replace(samples.failing(3).run, schema_version=1), {})
    found = sections(old, old)
    assert "Not compared" not in found
    assert Row("lost", "3", "3") in found["guarantee"].rows


def test_what_is_only_possible_is_compared_as_an_interval() -> None:
    side = Side("one", samples.every_fate().run, {})
    rows = {row.what: row.left for row in sections(side, side)["guarantee"].rows}
    assert (rows["dropped"], rows["lost"], rows["expired"]) == ("16 to 18", "3 to 5", "17")


def test_a_run_beside_itself_differs_in_nothing() -> None:
    left, _ = both()
    found = comparison(left, left)
    assert not [row for section in found for row in section.rows if row.differs]


def test_a_terminal_and_a_page_show_both_sides() -> None:
    out = io.StringIO()
    print_comparison(*both(), Console(file=out, width=200))
    page = comparison_page(*both())
    for text in (out.getvalue(), page):
        assert "first" in text
        assert "automatic" in text
        assert "2.5 s" in text
    assert "<script" not in page


def test_hostile_names_change_nothing() -> None:
    left, _ = both()
    side = Side(samples.HOSTILE, samples.hostile().run, {samples.HOSTILE: samples.HOSTILE})
    out = io.StringIO()
    print_comparison(left, side, Console(file=out, width=200, force_terminal=False))
    page = comparison_page(left, side)
    for text in (out.getvalue(), page):
        assert not {"\x1b", "\x00", "\u202e", "\u2066"} & set(text)
    assert "<script" not in page
    assert "&lt;script&gt;document.title" in page


def test_plain_values_become_paths() -> None:
    assert flat({"a": {"b": [1, {"c": True}]}, "d": [], "e": None}) == {
        "a.b.0": "1",
        "a.b.1.c": "true",
        "d": "[]",
        "e": "null",
    }


SCENARIO = "name: x\nqueues: {tasks: {}}\npublishers: {messages: 10}\nworkers: {count: COUNT}\n"


def run_folder(reports: Path, name: str, count: int) -> None:
    folder = reports / name
    folder.mkdir(parents=True)
    (folder / "scenario.yaml").write_text(SCENARIO.replace("COUNT", str(count)))
    (folder / "run.json").write_text(json.dumps({}))
    (folder / "verdict.json").write_text(to_json(samples.failing(count).run))


def test_the_command_prints_and_writes_a_page(tmp_path: Path) -> None:
    run_folder(tmp_path, "one", 1)
    run_folder(tmp_path, "two", 2)
    page = tmp_path / "page.html"
    done = CliRunner().invoke(app, ["compare", "one", "two", "--reports", str(tmp_path), "--html", str(page)])
    assert done.exit_code == 0, done.output
    assert "workers.0.count" in done.stdout
    assert "Two runs side by side" in page.read_text()


@pytest.mark.parametrize("missing", ["run.json", "verdict.json"])
def test_a_run_that_is_none_or_has_no_verdict_is_a_mistake_of_usage(tmp_path: Path, missing: str) -> None:
    run_folder(tmp_path, "one", 1)
    (tmp_path / "one" / missing).unlink()
    done = CliRunner().invoke(app, ["compare", "one", "one", "--reports", str(tmp_path)])
    assert done.exit_code != 0
    assert "one" in str(done.exception)


def test_a_verdict_of_another_version_is_told_in_one_line_with_what_to_do(tmp_path: Path) -> None:
    run_folder(tmp_path, "one", 1)
    path = tmp_path / "one" / "verdict.json"
    verdict = json.loads(path.read_text())
    del verdict["variants"][0]["counts"], verdict["variants"][0]["outcome"]
    path.write_text(json.dumps(verdict))
    done = CliRunner().invoke(app, ["compare", "one", "one", "--reports", str(tmp_path)])
    told = str(done.exception)
    assert str(path) in told
    assert "`chaos report one` writes it anew" in told
    assert "\n" not in told


def test_a_verdict_from_before_the_load_was_measured_is_read(tmp_path: Path) -> None:
    run_folder(tmp_path, "one", 1)
    path = tmp_path / "one" / "verdict.json"
    verdict = json.loads(path.read_text())
    del verdict["variants"][0]["load"]
    path.write_text(json.dumps(verdict))
    assert CliRunner().invoke(app, ["compare", "one", "one", "--reports", str(tmp_path)]).exit_code == 0


def test_a_report_is_opened_in_a_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    run_folder(tmp_path, "one", 1)
    done = CliRunner().invoke(app, ["compare", "one", "one", "--open", "--reports", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert opened == [(tmp_path / "compare.html").resolve().as_uri()]
