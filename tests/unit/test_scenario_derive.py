from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given

from harness.errors import ScenarioError
from harness.faults.registry import actions
from harness.scenario.check import check
from harness.scenario.derive import LONGEST_NAME, derive, file_name, named, short, with_settings
from harness.scenario.load import Loaded, load
from harness.scenario.resolve import canonical, masked_setting
from harness.scenario.scenario import scenario_model
from tests.unit.scenario_strategies import scenarios

KILL = load(Path("scenarios/worker_kill.yaml"), actions())


def made(data: dict[str, Any]) -> Loaded:
    return derive(data, Path("made.yaml"), source=Path("source.yaml"), origin="here", actions=actions())


@given(scenarios())
def test_what_is_made_without_a_change_is_the_same_scenario(data: dict[str, Any]) -> None:
    scenario = scenario_model(actions()).model_validate(data)
    assume(not check(scenario))
    whole = canonical(scenario)
    assert canonical(made(whole).scenario) == whole


@pytest.mark.parametrize("path", sorted(Path("scenarios").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_shipped_scenario_is_made_again_with_its_controls(path: Path) -> None:
    one = load(path, actions())
    again = made(canonical(one.scenario))
    assert again.scenario == one.scenario
    assert [variant.scenario for variant in again.variants()] == [variant.scenario for variant in one.variants()]
    assert again.text.startswith("# Made of source.yaml;")


def test_a_setting_goes_for_the_guarantee_and_its_controls() -> None:
    data = with_settings(KILL.scenario, {"queues.tasks.type": "quorum"}, origin="here", actions=actions())
    variants = made(data).variants()
    assert [variant.scenario.queues["tasks"].type for variant in variants] == ["quorum", "quorum"]
    assert [variant.scenario.workers[0].acks for variant in variants] == ["manual", "automatic"]


def test_every_mistake_is_placed_where_it_was_made() -> None:
    settings = {"workers.ack": "manual", "queue": 1}
    with pytest.raises(ScenarioError) as raised:
        with_settings(KILL.scenario, settings, origin="--over", actions=actions())
    assert [str(each).split(": ")[:2] for each in raised.value.problems] == [
        ["--over", "workers.ack"],
        ["--over", "queue"],
    ]
    data = with_settings(KILL.scenario, {"workers.acks": "manul"}, origin="--over", actions=actions())
    with pytest.raises(ScenarioError, match=r"^here: workers\.0\.acks: must be manual, .*did you mean manual\?$"):
        made(data)
    data = with_settings(KILL.scenario, {"workers.acks": "automatic"}, origin="--over", actions=actions())
    with pytest.raises(ScenarioError, match=r"^here: controls\.automatic acks\.set: takes nothing away"):
        made(data)


def test_names_tell_what_was_changed() -> None:
    settings = {"queues.tasks.type": "quorum", "workers.prefetch": "1"}
    assert named("worker kill", short(settings)) == "worker kill, type=quorum, prefetch=1"
    assert file_name(Path("a/worker_kill.yaml"), 7, short(settings)) == "worker_kill-007-type-quorum-prefetch-1.yaml"
    assert short({"publishers.0.rate": "1", "publishers.1.rate": "2"}) == ["0.rate=1", "1.rate=2"]
    assert short({"rate": "1", "publishers.rate": "2"}) == ["rate=1", "publishers.rate=2"]


def test_a_name_stays_one_line_that_a_scenario_may_have() -> None:
    name = named("x" * 118, ["text=a\nb\x00"])
    assert len(name) == LONGEST_NAME
    assert name.endswith("x,…")
    assert named("x", ["text=a\nb"]) == "x, text=a b"
    long = file_name(Path("s" * 300 + ".yaml"), 1, ["../../" + "é" * 300, "v" * 300])
    assert len(long) < 140
    assert "/" not in long


def test_a_secret_is_not_shown() -> None:
    assert masked_setting("broker.config.default_pass", "hunter2") == "***"
    assert masked_setting("broker.commands.kill", "curl http://me:hunter2@host/") == "curl http://me:***@host/"
    assert masked_setting("publishers.messages", 5) == "5"
