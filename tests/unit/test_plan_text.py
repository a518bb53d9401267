"""What `chaos plan` says of the shipped scenarios."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cli.plan_text import plan_text
from harness.faults.registry import actions
from harness.scenario.load import Loaded, load, load_text

SCENARIOS = Path(__file__).parents[2] / "scenarios"


def planned(name: str) -> str:
    return plan_text(load(SCENARIOS / f"{name}.yaml", actions()), backend="native", seed=5)


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_variant_and_every_step_is_told(path: Path) -> None:
    loaded: Loaded = load(path, actions())
    text = plan_text(loaded, backend="native", seed=None)
    for variant in loaded.variants():
        assert variant.name in text
        for step in variant.scenario.timeline:
            assert f"{step.trigger}: {step.action.title()}" in text
    assert "=" not in text.replace(">=", "").replace("<=", ""), "a plan is for people and shows no objects"


def test_expectations_are_told_down_to_their_values() -> None:
    dealt = planned("round_robin").splitlines()
    assert "     expect round_robin: true" in dealt
    assert "     expect dealt.1: Second message.. | Fourth message...." in dealt
    assert "     expect errors.0.code: 406" in planned("redeclare").splitlines()
    assert "     expect shares.slow: 40%..60%" in planned("fair_dispatch").splitlines()
    assert "     expect lost_at.worker: >= 1" in planned("worker_kill").splitlines()


@pytest.mark.parametrize(
    ("backend", "said"),
    [("auto", "settle: until the broker has written its queues to disk"), ("external", "settle: 5 s")],
)
def test_how_what_is_declared_gets_to_disk_is_told(backend: str, said: str) -> None:
    text = plan_text(load(SCENARIOS / "broker_kill.yaml", actions()), backend=backend, seed=None)
    assert f"     {said}" in text.splitlines()


def test_what_queues_do_with_messages_is_told() -> None:
    text = """
name: x
queues:
  tasks: {type: quorum, delivery_limit: 3, max_length: 5000, arguments: {x-dead-letter-exchange: amq.fanout}}
  small: {max_length: 5, overflow: reject-publish, arguments: {x-max-length-bytes: 2000}}
  retry: {message_ttl: 2s, dead_letter: tasks}
  dead: {}
bindings: [{exchange: amq.fanout, queue: retry}, {exchange: amq.fanout, queue: dead}]
publishers: {messages: 5}
workers: {queue: tasks, fails: {every: 2, by: reject}}
"""
    lines = plan_text(load_text(text, Path("x.yaml"), actions()), backend="native", seed=None).splitlines()
    assert [line.strip() for line in lines if "declare" in line] == [
        "declare tasks: quorum, durable, holds 5,000 messages and drops its oldest beyond that, gives a message up after 3 returns, "
        "dead letters to amq.fanout",
        "declare small: classic, durable, holds 5 messages and refuses more, holds 2,000 bytes and refuses more",
        "declare retry: classic, durable, messages expire after 2 s, dead letters to tasks",
        "declare dead: classic, durable, messages rest here",
    ]
