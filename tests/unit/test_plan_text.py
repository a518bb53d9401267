"""What `chaos plan` says of the shipped scenarios."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from harness.broker.sharing import Foreseen
from harness.cli.plan_text import plan_text
from harness.effects import HARMLESS, Effects
from harness.faults.base import Fault, Injection
from harness.faults.context import FaultContext
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


@pytest.mark.parametrize(
    ("backend", "said"),
    [
        ("native", "booted for it; used again by the next variant that asks for the same"),
        ("external", "used as it is, and left alone"),
        ("compose", "started for this variant alone and removed after it"),
    ],
)
def test_what_becomes_of_the_broker_is_told(backend: str, said: str) -> None:
    text = plan_text(load(SCENARIOS / "worker_kill.yaml", actions()), backend=backend, seed=None)
    assert f"     broker: {backend}, {said}" in text.splitlines()


def brokers(scenario: str, foreseen: Foreseen | None = None) -> list[str]:
    """What the plan of a scenario says of its variants' brokers."""
    text = f"name: x\npublishers: {{messages: 9}}\nworkers: {{count: 1}}\n{scenario}"
    loaded = load_text(text, Path("x.yaml"), actions())
    lines = map(str.strip, plan_text(loaded, backend="native", seed=None, foreseen=foreseen).splitlines())
    return [line.removeprefix("broker: native, ") for line in lines if line.startswith("broker: ")]


AGAIN = "used again by the next variant that asks for the same"
ALONE = "booted for this variant alone and removed after it"


def test_which_broker_each_variant_gets_is_told_and_why() -> None:
    one = "controls: {c: {set: {workers.acks: automatic}, expect: {lost: 0}}}"
    assert brokers(one) == [
        f"booted for it; {AGAIN}",
        f"the one that guarantee left, in a virtual host of its own; {AGAIN}",
    ]
    other = "controls: {c: {set: {broker.config: {channel_max: 9}}, expect: {lost: 0}}}"
    assert brokers(other)[1] == f"booted for it, as the one that guarantee left has other settings; {AGAIN}"
    assert brokers("broker: {fresh: true}") == [f"{ALONE}, as broker.fresh asks for"]
    assert brokers("", Foreseen(fresh=True)) == [f"{ALONE}, as --fresh asks for"]


def test_a_plan_of_several_scenarios_goes_from_one_to_the_next() -> None:
    foreseen = Foreseen()
    assert brokers("", foreseen) == [f"booted for it; {AGAIN}"]
    assert brokers("", foreseen) == [f"the one that guarantee left, in a virtual host of its own; {AGAIN}"]


@pytest.mark.parametrize(
    ("scenario", "why"),
    [
        ("broker: {nodes: 3}\ntimeline: [{at: 1s, kill: broker}]", "step 1 (kill broker) strikes a node of a cluster"),
    ],
)
def test_why_nobody_has_a_broker_again_is_told(scenario: str, why: str) -> None:
    (said,) = brokers(scenario)
    assert said.endswith(f"booted for it; removed after it, as {why}")


@pytest.mark.parametrize(
    "scenario",
    [
        "timeline: [{at: 1s, kill: broker}]",
        "broker: {nodes: 3}\ntimeline: [{at: 1s, kill: {worker: any}}]",
        "timeline: [{at: 1s, close: connections}]",
    ],
    ids=["a single node that is killed", "a cluster that no step strikes", "connections that are closed"],
)
def test_a_broker_that_comes_back_whole_is_used_again(scenario: str) -> None:
    (said,) = brokers(scenario)
    assert said.endswith(f"booted for it; {AGAIN}")


class Unknown(Fault):
    """A fault of another package that declares nothing."""

    name: ClassVar[str] = "unknown"
    family = "other"
    colour = "#000000"

    def inject(self, context: FaultContext) -> Injection:
        raise AssertionError(f"a plan strikes nothing: {context}")


class Declared(Unknown):
    """A fault of another package that harms nothing, by rabbitmqctl."""

    def broker_abilities(self) -> frozenset[str]:
        return frozenset({"control"})

    def effects(self) -> Effects:
        return HARMLESS


@pytest.mark.parametrize(
    ("fault", "why"),
    [(Unknown, "does not declare what it does to a broker"), (Declared, "runs rabbitmqctl")],
)
def test_nobody_has_a_broker_again_after_a_fault_that_may_leave_something(fault: type[Fault], why: str) -> None:
    text = "name: x\npublishers: {messages: 9}\nworkers: {count: 1}\ntimeline: [{at: 1s, unknown: {}}]\n"
    loaded = load_text(text, Path("x.yaml"), {**actions(), "unknown": fault})
    said = plan_text(loaded, backend="native", seed=None)
    assert f"removed after it, as step 1 (unknown) {why}" in said


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


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("kill: {worker: 1, back_after: 500ms}", "kill worker 1, started again after 500 ms"),
        ("kill: {worker: 1}", "kill worker 1, not started again"),
        ("kill: broker", "kill broker, started again at once"),
        ("kill: {broker: any, back_after: 2s}", "kill broker, started again after 2 s"),
        ("stop: {publisher: 1, back_after: 1s}", "stop publisher 1, started again after 1 s"),
        ("stop: {worker: 1}", "stop worker 1, not started again"),
        ("stop: broker", "stop broker, started again at the end of the traffic"),
        ("restart: {broker: any, down_for: 3s}", "restart broker, down for 3 s"),
        ("restart: broker", "restart broker"),
        ("pause: {worker: any, for: 2s}", "pause worker, for 2 s"),
        ("pause: {worker: any}", "pause worker, until the end of the traffic or a `resume`"),
        ("close: {times: 3, every: 200ms}", "close all connections 3 times, every 200 ms"),
        ("close: connections", "close all connections"),
    ],
)
def test_a_plan_says_how_long_each_step_lasts(step: str, said: str) -> None:
    text = f"name: x\npublishers: {{count: 1, messages: 1}}\nworkers: {{count: 1}}\ntimeline: [{{at: 1s, {step}}}]\n"
    planned_text = plan_text(load_text(text, Path("x.yaml"), actions()), backend="native", seed=None)
    assert f"     at 1 s: {said}" in planned_text.splitlines()
