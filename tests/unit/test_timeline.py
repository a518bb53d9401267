"""When the timeline wants to be looked at next, and what it makes of steps that cannot strike yet."""

from __future__ import annotations

import math
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from harness.broker.protocol import ControlResult, StopReport
from harness.engine.counters import Totals
from harness.engine.timeline import Timeline
from harness.events import Event, FaultHealed, FaultInjected, FaultMissed
from harness.faults.registry import actions
from harness.scenario.scenario import scenario_model
from harness.traffic.spec import Target
from tests.unit.fake_pooled import printed


class Told(list[Event]):
    """The events of a timeline whose broker does what it is told."""

    def timeline(self, *steps: dict[str, Any], broker: Any = None) -> Timeline:
        scenario = scenario_model(actions()).model_validate(
            {
                "name": "x",
                "publishers": {"messages": 10},
                "broker": {"nodes": 2},
                "timeline": [step if len(step) == 2 else {"close": "connections"} | step for step in steps],
            }
        )
        broker = broker or SimpleNamespace(
            nodes=("n1",), alive=lambda _node: True, control=lambda *_, **_options: ControlResult(0, printed(0), "")
        )
        processes: Any = SimpleNamespace(pause=None, kill=None, resume=None)
        return Timeline(
            scenario,
            broker=broker,
            processes=processes,
            target=Target(addresses=(("127.0.0.1", 5672),), username="", password="", virtual_host="/", tls=False),
            publish=lambda *_: None,
            seed=1,
            emit=self.append,
            variant="guarantee",
        )


def settle(timeline: Timeline, elapsed_s: float) -> None:
    """Go on at one moment of the run until nothing is striking any more."""
    deadline = time.monotonic() + 30
    timeline.advance(Totals(), elapsed_s)
    while timeline.active:
        assert time.monotonic() < deadline
        timeline.advance(Totals(), elapsed_s)


def test_the_next_look_is_due_when_the_next_step_is() -> None:
    told = Told()
    timeline = told.timeline({"at": "2s"}, {"at": "500ms"}, {"after": {"confirmed": 5}})
    assert timeline.until_due_s(0.2) == pytest.approx(0.3)
    settle(timeline, 0.5)
    assert timeline.until_due_s(0.5) == pytest.approx(1.5)
    settle(timeline, 2)
    assert timeline.until_due_s(2) == math.inf
    assert [event.fault for event in told if isinstance(event, FaultInjected)] == [1, 0]
    timeline.close()


def test_a_step_that_is_due_is_looked_at_often_and_without_a_busy_loop() -> None:
    timeline = Told().timeline({"at": "1s"})
    assert 0 < timeline.until_due_s(3) <= 0.002
    timeline.close()


def test_what_never_struck_is_missed_with_its_trigger() -> None:
    told = Told()
    timeline = told.timeline({"at": "1s"}, {"after": {"confirmed": 5}})
    settle(timeline, 0.9)
    timeline.end()
    missed = [event.reason for event in told if isinstance(event, FaultMissed)]
    assert ["at 1 s" in missed[0], "after 5 confirmed" in missed[1]] == [True, True]
    assert timeline.finished
    assert timeline.until_due_s(5) == math.inf
    timeline.close()


def test_nodes_that_steps_of_their_own_took_down_are_started_all_before_any_is_waited_for() -> None:
    several = threading.Barrier(2)
    told = Told()
    broker: Any = SimpleNamespace(
        nodes=("n1", "n2"),
        stop=lambda _node: StopReport(clean=True, exit_code=0),
        start_node=lambda _node: several.wait(20),
    )
    timeline = told.timeline({"stop": {"broker": 0}, "at": "1s"}, {"stop": {"broker": 1}, "at": "2s"}, broker=broker)
    settle(timeline, 1)
    settle(timeline, 2)
    assert timeline.heal(30) == []
    assert sorted(event.fault for event in told if isinstance(event, FaultHealed)) == [0, 1]
    timeline.close()


def test_what_two_steps_struck_is_healed_by_the_last_one_first() -> None:
    done: list[str] = []

    def thaw(_node: int) -> None:
        time.sleep(0.05)  # time enough for a start that does not wait
        done.append("resume")

    broker: Any = SimpleNamespace(
        nodes=("n1",),
        pause=lambda _node: done.append("pause"),
        stop=lambda _node: StopReport(clean=True, exit_code=0),
        resume=thaw,
        start_node=lambda _node: done.append("start"),
    )
    timeline = Told().timeline({"stop": {"broker": 0}, "at": "1s"}, {"pause": {"broker": 0}, "at": "2s"}, broker=broker)
    settle(timeline, 1)
    settle(timeline, 2)
    assert timeline.heal(30) == []
    assert done == ["pause", "resume", "start"]
    timeline.close()


@pytest.mark.parametrize(("nodes", "order"), [(1, ["kill", "start", "purge"]), (2, ["kill", "purge", "start"])])
def test_what_needs_an_answer_of_the_broker_waits_while_its_only_node_is_down(
    monkeypatch: pytest.MonkeyPatch, nodes: int, order: list[str]
) -> None:
    done: list[str] = []
    broker: Any = SimpleNamespace(
        nodes=("n1", "n2")[:nodes],
        kill=lambda _node: done.append("kill"),
        start_node=lambda _node: done.append("start"),
    )

    def purge(*_: object) -> int:
        done.append("purge")
        return 3

    monkeypatch.setattr("harness.traffic.topology.purge", purge)
    told = Told()
    kill = {"kill": {"broker": 0, "back_after": "300ms"}, "at": "1s"}
    timeline = told.timeline(kill, {"purge": "tasks", "at": "2s"}, broker=broker)
    deadline = time.monotonic() + 30
    while "kill" not in done and time.monotonic() < deadline:
        timeline.advance(Totals(), 1)
    while not timeline.finished and time.monotonic() < deadline:
        timeline.advance(Totals(), 2)
    assert done == order
    assert [event.taken for event in told if isinstance(event, FaultInjected) and event.action == "purge"] == [3]
    timeline.close()


def test_a_node_that_an_earlier_step_has_down_is_not_among_any() -> None:
    killed: list[int] = []
    broker: Any = SimpleNamespace(
        nodes=("n1", "n2"),
        stop=lambda _node: StopReport(clean=True, exit_code=0),
        kill=killed.append,
        start_node=lambda _node: None,
    )
    steps = [{"stop": {"broker": 0}, "at": "1s"}] + [{"kill": {"broker": "any"}, "at": f"{n}s"} for n in range(2, 8)]
    timeline = Told().timeline(*steps, broker=broker)
    for second in range(1, 8):
        settle(timeline, second)
    assert killed == [1] * 6
    timeline.close()


def test_a_pause_is_over_once_all_that_it_froze_is_thawed() -> None:
    thawed: list[int] = []
    broker: Any = SimpleNamespace(nodes=("n1", "n2"), pause=lambda _node: None, resume=thawed.append)
    told = Told()
    timeline = told.timeline(
        {"pause": {"broker": "all"}, "at": "1s"},
        {"resume": {"broker": 0}, "at": "2s"},
        {"resume": {"broker": 1}, "at": "3s"},
        broker=broker,
    )
    for second, over in ((1, []), (2, [1]), (3, [1, 2, 0])):
        settle(timeline, second)
        assert [event.fault for event in told if isinstance(event, FaultHealed)] == over
    assert timeline.heal(30) == []
    assert thawed == [0, 1], "what is over is not healed once more"
    timeline.close()
