"""A scenario written out in full is the same scenario when it is read again, and holds no secret."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, reject

from harness.errors import ScenarioError
from harness.faults.registry import actions
from harness.masking import MASK
from harness.scenario.load import load
from harness.scenario.resolve import resolve, setting_text, to_yaml
from harness.scenario.scenario import Scenario, scenario_model
from tests.unit.scenario_strategies import scenarios


def build(**sections: Any) -> Scenario:
    return scenario_model(actions()).model_validate({"name": "x", "publishers": {"messages": 5}} | sections)


@given(data=scenarios())
def test_resolved_and_loaded_again_a_scenario_is_equal(
    data: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "first.yaml").write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
    try:
        first = load(folder / "first.yaml", actions()).scenario
    except ScenarioError:
        reject()  # what is drawn may ask for more than is published
    (folder / "again.yaml").write_text(to_yaml(resolve(first)), encoding="utf-8")
    assert resolve(load(folder / "again.yaml", actions()).scenario) == resolve(first)


def test_defaults_are_filled_in_and_shorthands_written_out() -> None:
    resolved = resolve(build(workers={"work": 0.0025}, timeline=[{"at": 90, "kill": "worker-1"}]))
    assert resolved["publishers"][0]["confirms"] == {"window": 100}
    assert resolved["queues"] == {"tasks": {"type": "classic", "durable": True, "rests": False, "arguments": {}}}
    assert resolved["workers"][0]["work"] == "2.5ms"
    assert resolved["timeline"] == [{"at": "1.5m", "kill": {"worker": "worker-1"}}]
    assert "exchange" not in resolved["publishers"][0]


def test_a_null_that_means_something_is_kept() -> None:
    assert resolve(build(workers={"back_after": None}))["workers"][0]["back_after"] is None


def test_the_seed_that_was_used_is_written_down() -> None:
    assert "seed" not in resolve(build())
    assert resolve(build(seed=4))["seed"] == 4
    assert resolve(build(), seed=7)["seed"] == 7


def test_secrets_are_masked() -> None:
    config = {"default_pass": "hunter2", "ssl_options.password": "hunter2", "heartbeat": 5}
    commands = {"restart": "restarter amqp://admin:hunter2@broker:5672/ --now"}
    broker = resolve(build(broker={"config": config, "commands": commands}))["broker"]
    assert broker["config"] == {"default_pass": MASK, "ssl_options.password": MASK, "heartbeat": 5}
    assert broker["commands"] == {"restart": "restarter amqp://admin:***@broker:5672/ --now"}


def test_settings_are_written_in_one_line() -> None:
    assert [setting_text(value) for value in (False, None, "early", [1, "a"])] == ["false", "null", "early", '[1, "a"]']
