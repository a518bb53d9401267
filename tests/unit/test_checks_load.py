"""What is said to have set the pace, for each thing that can."""

from __future__ import annotations

from typing import Any

import pytest

from harness.checks.rules.load import load
from harness.events import LoadMeasured, ProcessStarted
from harness.verdict.data import Limit, Load
from tests.unit.histories import MS, Story, scenario

ROLES = {"publisher-1": "publisher", "worker-1": "worker", "worker-2": "worker"}

ONE_WITH_A_RATE = [{"name": "slow", "messages": 10, "rate": 5}, {"name": "fast", "messages": 10}]
ONE_THAT_TAKES_TIME = [{"name": "slow", "work": "2ms"}, {"name": "fast"}]


def measured(machine_s: float, *, struck: bool = False, settings: dict[str, Any] | None = None, **busy: float) -> Load:
    """Ten seconds on two processors; `busy` are processor seconds."""
    story = Story()
    for actor, role in ROLES.items():
        story.event(ProcessStarted, role=role, actor=actor, incarnation=1, pid=1)
    if struck:
        story.fault("kill", "worker-1")
    actors_s = {actor: busy.get(actor.replace("-", "_"), 0.5) for actor in ROLES}
    story.event(LoadMeasured, span_s=10.0, processors=2, machine_s=machine_s, harness_s=0.5, actors_s=actors_s)
    found = load(story.history().events, scenario(**settings or {}))
    assert found is not None
    return found


def test_the_shares_add_up_to_what_was_busy() -> None:
    found = measured(12.0, publisher_1=4.0, worker_1=2.0, worker_2=1.5)
    assert (found.publishers, found.workers, found.harness, found.machine) == pytest.approx((0.2, 0.175, 0.025, 0.6))
    assert found.others == pytest.approx(0.2)
    assert (found.busiest, round(found.busiest_share, 6)) == ("publisher-1", 0.4)


@pytest.mark.parametrize(
    ("machine_s", "options", "limit", "says"),
    [
        (19.9, {"worker_2": 9.7}, Limit.HARNESS, "worker-2 kept a processor busy 97% of the time"),
        (19.0, {"worker_2": 5.0}, Limit.MACHINE, "busy 95% of the time"),
        (11.0, {"worker_2": 5.0}, Limit.BROKER, "busy 55% of the time, and no publisher or worker more than 50%"),
        (11.0, {"settings": {"publishers": {"messages": 10, "rate": 5}}}, Limit.SCENARIO, "scenario set the pace"),
        (11.0, {"settings": {"workers": {"count": 2, "work": "2ms"}}}, Limit.SCENARIO, "scenario set the pace"),
        (11.0, {"settings": {"workers": {"count": 2, "work": "dots"}}}, Limit.SCENARIO, "scenario set the pace"),
        (11.0, {"settings": {"publishers": ONE_WITH_A_RATE}}, Limit.SCENARIO, "scenario set the pace"),
        (11.0, {"settings": {"workers": ONE_THAT_TAKES_TIME}}, Limit.SCENARIO, "scenario set the pace"),
        (11.0, {"struck": True}, Limit.SCENARIO, "scenario set the pace"),
        (19.0, {"struck": True}, Limit.MACHINE, "machine was the limit"),
        (18.0, {}, Limit.MACHINE, "machine was the limit"),
        (17.9, {}, Limit.BROKER, "broker was the limit"),
        (18.0, {"worker_2": 9.0}, Limit.HARNESS, "harness was the limit"),
        (17.9, {"worker_2": 8.9}, Limit.BROKER, "broker was the limit"),
    ],
)
def test_the_limit_is_what_had_nothing_left_to_give(
    machine_s: float, options: dict[str, Any], limit: Limit, says: str
) -> None:
    found = measured(machine_s, **options)
    assert found.limit is limit
    assert says in found.sentence


def over(span_s: float, *, struck: str = "never") -> Load | None:
    """Nobody did anything for a while; a step struck before, at or after the moment at which that was measured."""
    story = Story()
    measured_ns = story.now + 10 * MS
    story.now = {"before": measured_ns - 2 * MS, "at": measured_ns - MS, "after": measured_ns}.get(struck, story.now)
    if struck != "never":
        story.fault("kill", "worker-1")
    story.now = measured_ns - MS
    story.event(LoadMeasured, span_s=span_s, processors=2, machine_s=0.0, harness_s=0.0, actors_s={})
    return load(story.history().events, scenario())


def test_a_run_that_was_not_measured_says_nothing() -> None:
    assert load(Story().history().events, scenario()) is None
    assert over(0.0) is None


def test_the_shortest_run_that_was_measured_has_its_shares() -> None:
    found = over(0.5)
    assert found is not None
    assert (found.limit, found.span_s, found.machine, found.others) == (Limit.BROKER, 0.5, 0.0, 0.0)
    assert (found.busiest, found.busiest_share) == ("", 0.0)


@pytest.mark.parametrize(
    ("struck", "limit"), [("before", Limit.SCENARIO), ("at", Limit.BROKER), ("after", Limit.BROKER)]
)
def test_a_step_that_struck_only_when_the_publishers_were_done_held_up_nobody(struck: str, limit: Limit) -> None:
    found = over(10.0, struck=struck)
    assert found is not None
    assert found.limit is limit


def test_rounding_of_the_clocks_takes_no_share_below_nothing_nor_above_all() -> None:
    found = measured(20.4, publisher_1=8.0, worker_1=8.0, worker_2=8.0)
    assert (found.machine, found.others) == (1.0, 0.0)
