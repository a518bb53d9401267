"""What a scenario says as a test that fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.faults.registry import actions
from harness.pytest_plugin import ScenarioFailedError, ScenarioFile, ScenarioItem
from harness.scenario.load import load
from harness.verdict.data import RunVerdict
from tests.unit import report_samples as samples


@pytest.fixture
def item(request: pytest.FixtureRequest, tmp_path: Path) -> ScenarioItem:
    """A scenario as a test."""
    path = tmp_path / "one.chaos.yaml"
    path.write_text("name: one\npublishers: {messages: 10}\nworkers: {count: 1}\n", encoding="utf-8")
    parent = ScenarioFile.from_parent(request.session, path=path)
    made: Any = ScenarioItem.from_parent(parent, name="one", loaded=load(path, actions()))
    assert isinstance(made, ScenarioItem)
    return made


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
