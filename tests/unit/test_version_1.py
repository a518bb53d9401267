"""A run directory and a trend that the first version wrote are read like those of today.

`tests/data/version-1` is what that version left of a run of 60 messages: a worker is killed, another frozen, then the broker killed;
the control takes the manual acks away. Reports, the broker's log and standard errors are left out.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from harness.cli.app import app
from harness.effects import Becomes, on_node, on_process
from harness.events import FaultInjected
from harness.history.events_io import EVENTS_FILE, read_events
from harness.history.history import load
from harness.history.records import NEVER_DIED
from harness.trend.store import read
from harness.verdict.as_json import from_json

DATA = Path(__file__).parents[1] / "data/version-1"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A copy of the run directory, which commands write to."""
    return shutil.copytree(DATA / "run", tmp_path / "20261129-172925-first-version")


def chaos(*arguments: str | Path) -> str:
    """What a command prints; it must succeed."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_its_history_is_judged_as_it_was_then(run: Path) -> None:
    chaos("report", run)
    guarantee, control = from_json((run / "verdict.json").read_text()).variants
    assert (guarantee.counts.published, guarantee.counts.deliveries, guarantee.counts.redelivered) == (60, 69, 32)
    assert str(guarantee.outcome) == str(control.outcome) == "as expected"
    assert (len(guarantee.lost), guarantee.counts.duplicates, len(control.lost)) == (0, 3, 3)
    assert [(str(cause.place), cause.actor, cause.count, cause.setting) for cause in control.causes] == [
        ("worker", "worker-1", 3, "workers.acks: manual")
    ]
    assert control.causes[0].fault_title == "kill worker-1"
    assert (run / "report.html").stat().st_size > 100_000


def test_its_faults_get_the_effects_that_they_had(run: Path) -> None:
    events = list(read_events(run / "variants/guarantee" / EVENTS_FILE))
    faults = [event for event in events if isinstance(event, FaultInjected)]
    assert [(fault.action, fault.family, fault.effects) for fault in faults] == [
        ("kill", "process", on_process(Becomes.KILLED)),
        ("pause", "process", on_process(Becomes.FROZEN)),
        ("kill", "broker", on_node(Becomes.KILLED)),
    ]


def test_its_logs_have_the_tables_of_a_log_that_defined_nothing(run: Path) -> None:
    for log in load(run / "variants/without-acks").logs:
        assert log.header.version == 1
        assert log.names == (("tasks",) if log.header.role == "publisher" else ("tasks", "dead"))
        assert (log.deaths, log.reasons, log.identities) == ((NEVER_DIED,), ("",), ())
        assert (log.records["death"] == 0).all()


def test_a_message_is_traced(run: Path) -> None:
    what = [line.split(maxsplit=3)[3] for line in chaos("trace", run, "publisher-1#25").splitlines()]
    assert what == [
        "published (attempt 1) (persistent, to tasks)",
        "confirmed",
        "delivered (from tasks, redelivered)",
        "completed",
        "acknowledged (the worker sent it; the broker may not have received it)",
    ]


def test_its_history_is_a_frame_as_it_was_written_and_written_anew(run: Path) -> None:
    old = chaos("history", run)
    chaos("report", run)
    new = chaos("history", run)
    assert "published          65" in old
    assert new.splitlines()[1:] == old.splitlines()[1:]
    assert "first_death_queue" in new.splitlines()[0]
    assert "first_death_queue" not in old.splitlines()[0]
    csv = run / "history.csv"
    csv.write_text(chaos("history", run, "--csv"))
    frame = pd.read_csv(csv)
    assert frame["deaths"].dropna().unique().tolist() == [0]
    assert frame["acks"].isna().all()


def test_it_stands_beside_itself_judged_anew(run: Path, tmp_path: Path) -> None:
    again = shutil.copytree(run, tmp_path / "again")
    chaos("report", again)
    assert json.loads((run / "verdict.json").read_text())["schema_version"] == 1
    page = tmp_path / "compared.html"
    compared = chaos("compare", run, again, "--html", page)
    assert "first version" in compared
    assert "without acks" in compared
    assert "counts messages (verdict version 1)" in page.read_text()
    assert "lost to it" not in page.read_text()
    chaos("compare", again, again, "--html", page)
    assert "lost to it" in page.read_text()


def test_its_row_of_the_trend_is_read_beside_new_ones(tmp_path: Path) -> None:
    trend = shutil.copytree(DATA / "trend", tmp_path / "trend")
    rows = read(trend)
    assert rows.warnings == ()
    assert [(row.variant, row.published, row.lost) for row in rows.rows] == [
        ("guarantee", 60, 0),
        ("without acks", 60, 3),
    ]
    assert "first version" in chaos("trend", "--reports", tmp_path)
