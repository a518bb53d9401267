from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import HistoryError
from harness.report import write as writing
from harness.report.index import runs_in, write_index
from harness.report.write import write_all
from harness.verdict.as_json import from_json
from tests.unit import report_samples as samples

NAMES = ("verdict.json", "junit.xml", "summary.md", "metrics.prom", "badge.svg", "report.html")


def write(sample: samples.Sample, directory: Path) -> tuple[Path, ...]:
    directory.mkdir(parents=True, exist_ok=True)
    return write_all(
        sample.run,
        directory,
        histories=sample.histories,
        resolved_scenario=sample.resolved,
        broker_logs=sample.logs,
        scenarios=sample.scenarios,
    )


@pytest.mark.parametrize("name", samples.ALL)
def test_every_report_of_every_run_is_written(tmp_path: Path, name: str) -> None:
    sample = samples.ALL[name]()
    written = write(sample, tmp_path / "run")
    assert written == (*(tmp_path / "run" / each for each in NAMES), tmp_path / "index.html")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == sorted(NAMES), "nothing temporary is left"
    assert from_json((tmp_path / "run" / "verdict.json").read_text()) == sample.run


@pytest.mark.parametrize(
    ("maker", "file"),
    [
        ("junit", "junit.xml"),
        ("markdown", "summary.md"),
        ("to_json", "verdict.json"),
        ("openmetrics", "metrics.prom"),
        ("badge", "badge.svg"),
    ],
)
def test_a_renderer_that_fails_costs_no_other_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, maker: str, file: str
) -> None:
    def broken(*_given: object, **_options: object) -> str:
        raise ValueError("a mistake")

    monkeypatch.setattr(writing, maker, broken)
    with pytest.raises(HistoryError, match=rf"{file} could not be written: ValueError: a mistake"):
        write(samples.passing(), tmp_path / "run")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == sorted(set(NAMES) - {file})


def test_a_report_that_fails_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(samples.passing(), tmp_path / "run")
    before = (tmp_path / "run" / "junit.xml").read_text()
    monkeypatch.setattr(writing, "junit", lambda _run, **_options: 1 / 0)
    with pytest.raises(HistoryError):
        write(samples.failing(), tmp_path / "run")
    assert (tmp_path / "run" / "junit.xml").read_text() == before
    assert "violated" in (tmp_path / "run" / "summary.md").read_text()


def test_a_folder_that_is_gone_is_told_for_each_report(tmp_path: Path) -> None:
    sample = samples.without_variants()
    with pytest.raises(HistoryError) as caught:
        write_all(sample.run, tmp_path / "no" / "run", histories={}, resolved_scenario="", broker_logs={})
    assert str(caught.value).count("could not be written: No such file or directory") == len(NAMES) + 1


def test_the_index_lists_runs_the_newest_first(tmp_path: Path) -> None:
    for number, name in enumerate(("passing", "failing", "hostile")):
        sample = samples.ALL[name]()
        started = f"2026-11-2{number}T09:00:00+00:00"
        write(replace(sample, run=replace(sample.run, started_at=started)), tmp_path / f"run {number} & <b>")
    (tmp_path / "latest").symlink_to("run 0 & <b>")
    (tmp_path / "unfinished").mkdir()
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "verdict.json").write_text("{")
    runs = runs_in(tmp_path)
    assert [run.started_at[:10] for run in runs] == ["2026-11-22", "2026-11-21", "2026-11-20"]
    assert [run.outcome.value for run in runs] == ["violated", "violated", "as expected"]
    page = (tmp_path / "index.html").read_text()
    assert "3 runs" in page
    assert 'href="run%201%20%26%20%3Cb%3E/report.html"' in page
    assert "<script" not in page
    assert page.index("hacked") < page.index("worker kill") < page.index("broker restart")


def test_the_index_of_nothing_says_so(tmp_path: Path) -> None:
    path = write_index(tmp_path)
    assert path is not None
    assert "0 runs so far." in path.read_text()


def test_a_page_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    mine = tmp_path / "index.html"
    mine.write_text("<h1>my own page</h1>")
    assert write_index(tmp_path) is None
    written = write(samples.without_variants(), tmp_path / "run")
    assert mine not in written
    assert mine.read_text() == "<h1>my own page</h1>"


def test_an_odd_verdict_of_another_version_is_no_run(tmp_path: Path) -> None:
    for number, data in enumerate(([], {"scenario": "x"}, {"scenario": "x", "outcome": "splendid"})):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "verdict.json").write_text(json.dumps(data))
    assert runs_in(tmp_path) == ()


def test_what_only_rendering_needs_is_not_imported_before() -> None:
    program = (
        "import sys, harness.report.write, harness.report.terminal, harness.report.annotations\n"
        "print(sorted({'bokeh', 'pandas', 'jinja2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_end_of_a_run_needs_neither_pandas_nor_models_of_the_chart_library(tmp_path: Path) -> None:
    """Each takes longer to import than all reports of a run to write."""
    program = (
        "import sys; from pathlib import Path; from tests.unit import report_samples as samples\n"
        "from harness.history.parquet import write; from harness.report.write import write_all\n"
        "from harness.trend.rows import rows_of; from harness.trend.store import append\n"
        f"sample, folder = samples.failing(), Path({str(tmp_path)!r})\n"
        "write_all(sample.run, folder, histories=sample.histories, resolved_scenario='', broker_logs={})\n"
        "write(next(iter(sample.histories.values())), folder / 'history.parquet')\n"
        "append(folder / 'trend', rows_of(sample.run, sample.histories, run_id='a', night='b'))\n"
        "print(sorted({'pandas', 'bokeh.models', 'bokeh.core'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout.strip() == "[]"
    assert {path.name for path in tmp_path.iterdir()} >= {"report.html", "history.parquet", "trend"}
