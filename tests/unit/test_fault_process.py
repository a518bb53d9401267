"""Kill, stop, restart, pause and resume: whom they strike, and several at once."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from harness.broker.protocol import StopReport
from harness.broker.together import together
from harness.effects import Becomes
from harness.errors import BrokerError
from harness.faults.base import Fault
from harness.faults.context import FaultContext, Holding, NoTargetError
from harness.faults.registry import actions
from harness.traffic.spec import Target

NODES = ("n1", "n2", "n3")
WAIT_S = 20.0


@dataclass
class AllAtOnce:
    """A broker, and processes, whose every command returns only when as many as there are have been given."""

    several: threading.Barrier = field(default_factory=lambda: threading.Barrier(len(NODES)))
    done: list[tuple[str, Any]] = field(default_factory=list)
    nodes: tuple[str, ...] = NODES

    def act(self, what: str, whom: Any) -> None:
        self.several.wait(WAIT_S)
        self.done.append((what, whom))

    def living(self, role: str) -> tuple[str, ...]:
        return tuple(f"{role}-{number}" for number in range(1, len(NODES) + 1))

    def paused(self, role: str) -> tuple[str, ...]:  # noqa: ARG002 - nobody is
        return ()

    def kill(self, whom: Any, *_: Any) -> None:
        self.act("kill", whom)

    def pause(self, whom: Any) -> None:
        self.act("pause", whom)

    def resume(self, whom: Any) -> None:
        self.act("resume", whom)

    def start_node(self, node: int) -> None:
        self.act("start", node)

    def start(self, actor: str) -> None:
        self.act("start", actor)


class Nodes(AllAtOnce):
    def stop(self, node: int) -> StopReport:
        self.act("stop", node)
        return StopReport(clean=node != 1, exit_code=node)


class Processes(AllAtOnce):
    def stop(self, actor: str, _fault: int) -> int:
        self.act("stop", actor)
        return 0


def context(broker: Any, actors: Any, struck: dict[str, Becomes] | None = None) -> FaultContext:
    def nothing(*_: Any) -> None:
        pass

    target = Target(addresses=(("127.0.0.1", 5672),), username="", password="", virtual_host="/", tls=False)
    return FaultContext(
        0, broker, actors, target, {}, Random(1), nothing, nothing, nothing, lambda: False, lambda: struck or {}
    )


def made(action: str, **fields: Any) -> Fault:
    return actions()[action].model_validate(fields)


@pytest.mark.parametrize(
    ("action", "struck", "healed"),
    [
        ("kill", "kill", "start"),
        ("stop", "stop", "start"),
        ("restart", "stop", "start"),
        ("pause", "pause", "resume"),
    ],
)
def test_all_nodes_are_struck_before_any_is_waited_for_and_brought_back_so_too(
    action: str, struck: str, healed: str
) -> None:
    broker, fault = Nodes(), made(action, broker="all")
    injection = fault.inject(context(broker, Processes()))
    assert injection.targets == NODES
    assert sorted(broker.done) == [(struck, node) for node in range(3)]
    broker.done.clear()
    fault.heal(context(broker, Processes()), injection)
    assert sorted(broker.done) == [(healed, node) for node in range(3)]


def test_each_node_that_did_not_stop_in_order_is_named() -> None:
    injection = made("stop", broker="all").inject(context(Nodes(), Processes()))
    assert (injection.clean, injection.detail) == (False, "n2 was not seen to stop cleanly (exit code 1)")


@pytest.mark.parametrize(
    ("action", "struck"),
    [("kill", "kill"), ("stop", "stop"), ("restart", "stop"), ("pause", "pause"), ("resume", "resume")],
)
def test_all_workers_are_struck_before_any_is_waited_for(action: str, struck: str) -> None:
    actors = Processes()
    injection = made(action, worker="all").inject(context(Nodes(), actors))
    assert injection.targets == ("worker-1", "worker-2", "worker-3")
    assert sorted(actors.done) == [(struck, f"worker-{number}") for number in (1, 2, 3)]


def test_the_others_are_waited_for_when_one_cannot_be_struck() -> None:
    done: list[str] = []

    def act(name: str) -> str:
        if name == "n2":
            raise BrokerError("n2 does not run")
        done.append(name)
        return name

    with pytest.raises(BrokerError, match=r"^n2 does not run$"):
        together(act, NODES)
    assert sorted(done) == ["n1", "n3"]
    assert together(act, ("n3", "n1")) == ["n3", "n1"]


def test_what_every_node_has_to_say_is_said_in_one_error() -> None:
    def act(name: str) -> None:
        raise BrokerError(f"{name} does not run")

    with pytest.raises(BrokerError, match=r"^n1 does not run; n2 does not run; n3 does not run$"):
        together(act, NODES)


# Whom a selector names.


class Some(AllAtOnce):
    """Three publishers and workers, of whom the second is paused and only the third holds something."""

    def __init__(self) -> None:
        super().__init__(several=threading.Barrier(1))

    def paused(self, role: str) -> tuple[str, ...]:
        return (f"{role}-2",)

    def stop(self, actor: str, _fault: int) -> int:
        self.act("stop", actor)
        return 0

    def strike_if_holding(self, actor: str, _fault: int, becomes: Becomes) -> Holding | None:
        if actor.endswith("3"):
            self.act(becomes.value, actor)
            return Holding(5, 0 if becomes is Becomes.STOPPED else None)
        return None


@pytest.mark.parametrize(("role", "selector"), [("worker", "holding deliveries"), ("publisher", "holding unconfirmed")])
@pytest.mark.parametrize(
    ("action", "becomes"),
    [("kill", "killed"), ("stop", "stopped"), ("restart", "stopped"), ("pause", "frozen"), ("resume", "thawed")],
)
def test_whoever_holds_something_is_found_for_every_action(action: str, becomes: str, role: str, selector: str) -> None:
    actors = Some()
    injection = made(action, **{role: selector}).inject(context(Nodes(), actors))
    assert (injection.targets, injection.held) == ((f"{role}-3",), {f"{role}-3": 5})
    assert (injection.title, injection.detail) == (f"{action} {role}-3", f"{role}-3 held 5")
    assert actors.done == [(becomes, f"{role}-3")]


@pytest.mark.parametrize(
    ("action", "selector", "struck"),
    [
        ("pause", "all", {"worker-1", "worker-3"}),  # the second is paused already
        ("resume", "all", {"worker-2"}),
        ("resume", "any", {"worker-2"}),
        ("kill", "all", {"worker-1", "worker-2", "worker-3"}),
        ("stop", 2, {"worker-2"}),
        ("restart", "worker-1", {"worker-1"}),
        ("pause", 3, {"worker-3"}),
    ],
)
def test_any_and_all_are_of_those_that_can_be_struck(action: str, selector: int | str, struck: set[str]) -> None:
    actors = Some()
    injection = made(action, worker=selector).inject(context(Nodes(), actors))
    assert set(injection.targets) == {name for _, name in actors.done} == struck


@pytest.mark.parametrize(
    ("action", "selector", "struck"),
    [
        ("kill", "all", {"n1", "n2"}),
        ("stop", "all", {"n1", "n2"}),
        ("restart", "all", {"n1", "n2"}),
        ("pause", "all", {"n1"}),
        ("pause", "any", {"n1"}),
        ("resume", "any", {"n2"}),
        ("resume", "all", {"n2"}),
    ],
)
def test_any_and_all_nodes_leave_out_those_that_a_step_has_down_or_frozen(
    action: str, selector: str, struck: set[str]
) -> None:
    broker = Nodes(several=threading.Barrier(1))
    there = {"n2": Becomes.FROZEN, "n3": Becomes.STOPPED}
    injection = made(action, broker=selector).inject(context(broker, Processes(), there))
    assert set(injection.targets) == struck


def test_where_no_node_is_left_to_strike_the_step_says_so() -> None:
    there = dict.fromkeys(NODES, Becomes.KILLED)
    with pytest.raises(NoTargetError, match="there is no node to kill: earlier steps have all of them down or frozen"):
        made("kill", broker="any").inject(context(Nodes(), Processes(), there))


@pytest.mark.parametrize(
    ("role", "selector", "said"),
    [
        ("worker", "holding unconfirmed", "a worker is never holding unconfirmed; say worker: holding deliveries"),
        (
            "publisher",
            "holding deliveries",
            "a publisher is never holding deliveries; say publisher: holding unconfirmed",
        ),
    ],
)
def test_what_the_other_role_holds_is_refused(role: str, selector: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        made("kill", **{role: selector})
