"""Whatever fails in a run, it is cleaned up, judged and reported as far as it came, and its outcome is no verdict about the queue."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import ModuleType
from typing import cast

import pytest

from harness.broker.protocol import Broker, BrokerSettings
from harness.checks import judge
from harness.cli import answer
from harness.cli.options import BrokerOption
from harness.cli.settings import Settings
from harness.cli.suite import run_all
from harness.engine import run as engine
from harness.engine.judging import RunResult
from harness.errors import BrokerError, ExitCode, HistoryError
from harness.events import Event, Listener
from harness.faults.registry import actions
from harness.history import history, parquet
from harness.history.events_io import EventWriter
from harness.ledger import Ledger, state_directory
from harness.report import write
from harness.scenario.load import load
from harness.trend import store
from harness.unforeseen import TRACEBACK_FILE
from harness.verdict.data import Outcome

KILL = load(Path("scenarios/worker_kill.yaml"), actions())
UNFORESEEN = "this is a fault of the harness, and no verdict"


class Faulty:
    """A broker that fails at every call, and notes that it was asked to go."""

    name = "faulty"

    def __init__(self, start: Exception, destroy: Exception | None = None) -> None:
        self._start, self._destroy = start, destroy
        self.destroyed = 0

    def start(self) -> None:
        raise self._start

    def logs(self) -> dict[str, str]:
        raise ZeroDivisionError

    def destroy(self) -> None:
        self.destroyed += 1
        if self._destroy is not None:
            raise self._destroy


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAOS_STATE_DIR", str(tmp_path / "state"))


def run(tmp_path: Path, broker: Faulty, *listeners: Listener) -> RunResult:
    def make(_settings: BrokerSettings, _ledger: Ledger) -> tuple[Broker, str]:
        return cast("Broker", broker), "a test"

    def named(settings: BrokerSettings, ledger: Ledger) -> tuple[Broker, str]:
        return make(settings, ledger)

    return engine.run(
        KILL, reports=tmp_path / "reports", seed=1, make_broker=named, with_controls=False, listeners=listeners
    )


def test_an_error_that_nobody_foresaw_in_a_phase_is_broken_infrastructure_and_the_broker_is_removed(
    tmp_path: Path,
) -> None:
    broker = Faulty(KeyError("key"))
    result = run(tmp_path, broker)
    assert result.verdict.outcome is Outcome.INFRASTRUCTURE
    (reason,) = result.verdict.variants[0].reasons
    assert reason.startswith(f"KeyError: 'key': {UNFORESEEN}")
    kept = result.directory.variant("guarantee") / TRACEBACK_FILE
    assert str(kept) in reason
    assert "KeyError: 'key'" in kept.read_text()
    assert broker.destroyed == 1
    # Its logs could not be kept, so there may be something left, which stays written down.
    assert [note for note in result.verdict.variants[0].notes if note.startswith("clean-up: ZeroDivisionError: ")]
    assert list(state_directory().glob("*.json")) != []


def test_one_step_of_the_clean_up_that_fails_keeps_no_other_from_being_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[str] = []

    def close(*_: object) -> None:
        closed.append("standby")
        raise RuntimeError("stuck")

    monkeypatch.setattr("harness.engine.standby.Standby.close", close)
    broker = Faulty(BrokerError("no broker"), destroy=OSError(28, "No space left on device"))
    result = run(tmp_path, broker)
    assert (closed, broker.destroyed) == (["standby"], 1)
    said = [note.partition(":")[2].strip() for note in result.verdict.variants[0].notes if note.startswith("clean-up")]
    assert [each.partition(":")[0] for each in said] == [
        "RuntimeError",
        "ZeroDivisionError",
        "No space left on device; `chaos clean` removes what is left",
    ]
    assert result.verdict.variants[0].reasons == ("no broker",)


@pytest.mark.parametrize("where", [(history, "load"), (judge, "judge")], ids=["reading", "judging"])
def test_a_run_that_cannot_be_judged_has_a_report_that_says_so(
    where: tuple[object, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, name = where
    real = getattr(module, name)
    calls: list[None] = []

    def fail_once(*given: object, **named: object) -> object:
        calls.append(None)
        if len(calls) == 1:
            raise IndexError("out of bounds")
        return real(*given, **named)

    monkeypatch.setattr(module, name, fail_once)
    result = run(tmp_path, Faulty(BrokerError("no broker")))
    assert result.verdict.outcome is Outcome.INFRASTRUCTURE
    assert any(f"IndexError: out of bounds: {UNFORESEEN}" in reason for reason in result.verdict.variants[0].reasons)


def test_live_progress_that_fails_costs_no_run_and_is_noted(tmp_path: Path) -> None:
    seen: list[Event] = []

    def fail(event: Event) -> None:
        seen.append(event)
        raise ValueError("no terminal")

    result = run(tmp_path, Faulty(BrokerError("no broker")), fail)
    assert len(seen) == 1
    assert result.verdict.variants[0].reasons == ("no broker",)
    assert any(note.startswith(f"ValueError: no terminal: {UNFORESEEN}") for note in result.verdict.variants[0].notes)


def test_a_run_whose_events_could_not_be_written_is_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(EventWriter):
        def flush(self) -> None:
            raise HistoryError("no room for events")

    monkeypatch.setattr(engine, "EventWriter", Full)
    result = run(tmp_path, Faulty(BrokerError("no broker")))
    assert result.verdict.outcome is Outcome.INFRASTRUCTURE
    assert result.verdict.variants[0].reasons == ("no room for events",)


def test_a_suite_goes_on_after_a_run_of_which_everything_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def make(*_: object) -> tuple[Broker, str]:
        raise KeyError("key")

    monkeypatch.setattr(BrokerOption, "make", make)
    code = run_all([KILL, KILL], settings(tmp_path / "reports"), jobs=1, no_color=True)
    assert code is ExitCode.INFRASTRUCTURE
    said = capsys.readouterr()
    assert said.out.count(UNFORESEEN) >= 2
    assert "Traceback" not in said.out + said.err
    assert len(list((tmp_path / "reports").glob("2*/report.html"))) == 2


def test_a_run_whose_folder_is_removed_while_it_goes_on_says_so(tmp_path: Path) -> None:
    def remove(_event: Event) -> None:
        shutil.rmtree(tmp_path / "reports", ignore_errors=True)

    result = run(tmp_path, Faulty(BrokerError("no broker")), remove)
    assert result.verdict.outcome is Outcome.INFRASTRUCTURE
    (reason,) = result.verdict.variants[0].reasons
    assert reason.endswith("is gone, or what was in it: somebody removed or moved it while the run went on")


@pytest.mark.parametrize(
    "place", [(write, "write_all"), (parquet, "write"), (store, "append")], ids=["reports", "history", "trend"]
)
def test_a_suite_goes_on_after_a_report_that_fails_unforeseen(
    place: tuple[ModuleType, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyError("key")

    monkeypatch.setattr(*place, fail)
    monkeypatch.setattr(BrokerOption, "make", _no_broker)
    assert run_all([KILL, KILL], settings(tmp_path / "reports"), jobs=1, no_color=True) is ExitCode.INFRASTRUCTURE
    said = capsys.readouterr()
    assert said.out.count("no broker") >= 2
    assert said.err.count("a report could not be written: KeyError: 'key'") == 2


def test_a_reports_folder_whose_name_is_not_utf_8_takes_all_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(BrokerOption, "make", _no_broker)
    here = tmp_path / os.fsdecode(b"here\xff")
    here.mkdir()
    monkeypatch.chdir(here)
    reports = here / os.fsdecode(b"reports\xfe")
    assert run_all([KILL, KILL], settings(reports), jobs=1, no_color=True) is ExitCode.INFRASTRUCTURE
    said = capsys.readouterr()
    assert said.out.count("no broker") >= 2
    assert "could not be written" not in said.err
    for name in ("2*/report.html", "2*/junit.xml", "2*/verdict.json", "2*/**/history.parquet"):
        assert len(list(reports.glob(name))) == 2
    assert [answer(["report", str(run)]) for run in reports.glob("2*")] == [ExitCode.AS_EXPECTED] * 2
    assert UNFORESEEN not in "".join(capsys.readouterr())


def _no_broker(*_: object) -> tuple[Broker, str]:
    raise BrokerError("no broker")


def settings(reports: Path) -> Settings:
    return Settings(
        option=BrokerOption(),
        broker=None,
        image=None,
        reports=reports,
        seed=1,
        controls=False,
        quiet=True,
        json_output=False,
    )
