"""What a scenario says as a test that fails."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.cli.brokers import pooled
from harness.cli.pytest_options import read_options
from harness.engine.judging import RunResult
from harness.engine.rundir import RunDirectory
from harness.errors import HistoryError
from harness.faults.registry import actions
from harness.pytest_plugin import ScenarioFailedError, ScenarioFile, ScenarioItem, pytest_runtestloop
from harness.scenario.load import load
from harness.verdict.data import RunVerdict
from tests.unit import report_samples as samples


@pytest.fixture
def item(request: pytest.FixtureRequest, tmp_path: Path) -> ScenarioItem:
    """A scenario as a test."""
    path = tmp_path / "one.chaos.yaml"
    path.write_text("name: one\npublishers: {messages: 10}\nworkers: {count: 1}\n", encoding="utf-8")
    parent = ScenarioFile.from_parent(request.session, path=path)
    made: Any = ScenarioItem.from_parent(parent, loaded=load(path, actions()), settings=read_options({}))
    assert isinstance(made, ScenarioItem)
    return made


@pytest.fixture
def run_started(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """How the engine is asked for a run, which then comes to its end as `passing` does."""
    asked: dict[str, Any] = {}

    def run(_loaded: object, **how: Any) -> RunResult:
        asked.update(how)
        return RunResult(samples.passing().run, RunDirectory(Path("reports/run")), {}, interrupted=False)

    monkeypatch.setattr("harness.cli.suite.run_one", run)
    monkeypatch.setattr("harness.cli.suite.write_reports", lambda *_: asked.get("unwritten", ()))
    monkeypatch.setattr("harness.cli.suite.add_to_trend", lambda *_: ())
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    return asked


def judged(monkeypatch: pytest.MonkeyPatch, run: RunVerdict) -> None:
    monkeypatch.setattr("harness.cli.suite.run_quietly", lambda *_arguments, **_options: (run, Path("reports/run")))


def test_a_failed_scenario_says_headline_every_cause_and_the_way_to_the_report(
    item: ScenarioItem, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = samples.every_fate().run
    judged(monkeypatch, run)
    with pytest.raises(ScenarioFailedError) as failure:
        item.runtest()
    assert str(failure.value).splitlines() == [
        f"violated: {run.headline}",
        *run.variants[0].explained,
        "report: reports/run/report.html",
        f"replay: {run.replay}",
    ]
    assert "17 messages expired by the time to live of tasks." in str(failure.value)
    assert "1 with no reason." in str(failure.value)
    assert item.repr_failure(pytest.ExceptionInfo.from_exception(failure.value)) == str(failure.value)


def test_a_scenario_as_expected_passes_and_tells_the_outcomes(
    item: ScenarioItem, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged(monkeypatch, samples.passing().run)
    item.runtest()
    assert item.user_properties[0] == ("guarantee.outcome", "as expected")
    assert len(item.user_properties) == 3


def test_a_scenario_that_proved_nothing_fails(item: ScenarioItem, monkeypatch: pytest.MonkeyPatch) -> None:
    judged(monkeypatch, samples.infrastructure().run)
    with pytest.raises(ScenarioFailedError, match=r"^infrastructure: "):
        item.runtest()


def test_the_replay_command_of_a_run_names_the_broker_as_that_of_chaos_run_does(
    item: ScenarioItem, run_started: dict[str, Any]
) -> None:
    settings = read_options({"broker": "amqp://ann:hunter2@h/", "seed": "7"})
    assert item.parent is not None
    made: Any = ScenarioItem.from_parent(item.parent, loaded=load(item.path, actions()), settings=settings)
    made.runtest()
    assert run_started["replay_options"] == ["--broker", "amqp://ann:***@h/"]
    assert run_started["seed"] == 7


def test_a_report_that_could_not_be_written_fails_a_scenario_that_would_have_passed(
    item: ScenarioItem, run_started: dict[str, Any]
) -> None:
    item.runtest()
    run_started["unwritten"] = ("junit.xml: No space left on device",)
    with pytest.raises(HistoryError, match=r"^a report could not be written: junit.xml: No space left on device$"):
        item.runtest()


def test_the_scenarios_of_a_session_share_their_brokers(item: ScenarioItem, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[object] = []
    monkeypatch.setattr("harness.broker.pool.BrokerPool.close", lambda pool: closed.append(pool))  # noqa: PLW0108
    session: Any = SimpleNamespace(items=[item, item])
    loop = pytest_runtestloop(session)
    next(loop)
    with pooled() as first:
        pass
    with pooled() as second:
        assert second is first
    assert not closed
    with pytest.raises(StopIteration):
        loop.send(None)
    assert closed == [first]


def test_what_holds_an_address_does_not_show_it() -> None:
    settings = read_options({"broker": "amqp://ann:hunter2@h/"})
    assert "hunter2" not in f"{settings!r} {settings.option!r}"
