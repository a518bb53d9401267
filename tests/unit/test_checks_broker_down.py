"""For how long no node of the broker answered."""

from __future__ import annotations

import pytest

from harness.checks.judge import judge
from harness.effects import Becomes, on_node, on_process
from harness.verdict.times import BrokerDown, TimeSpan
from tests.unit.histories import MS, Story, scenario, strike

KILL, FREEZE, THAW, STOP = (on_node(each) for each in (Becomes.KILLED, Becomes.FROZEN, Becomes.THAWED, Becomes.STOPPED))


def a_run(nodes: int = 1) -> Story:
    story = Story(nodes=tuple(f"n{number}" for number in range(1, nodes + 1)))
    story.sent(0)
    story.process(0)
    return story


def times(story: Story) -> list[tuple[int, int]]:
    """When the broker was down, in milliseconds after the release (which is at 2 ms)."""
    found = judge(story.history(), scenario(), name="x").broker_down
    assert found is not None
    assert found.total_s == pytest.approx(sum(each.end_s - each.begin_s for each in found.times))
    assert found.longest_s == max((each.end_s - each.begin_s for each in found.times), default=0)
    return [(round(each.begin_s * 1e3) + 2, round(each.end_s * 1e3) + 2) for each in found.times]


def test_a_killed_node_is_down_until_it_was_started_again() -> None:
    story = a_run()
    story.events += strike(KILL, "n1", at_ns=1000 * MS, healed_ns=4000 * MS)
    assert times(story) == [(1001, 4000)]


def test_a_node_that_is_stopped_in_order_is_down_from_the_first_connection_that_it_ends() -> None:
    story = a_run()
    story.events += strike(STOP, "n1", at_ns=1000 * MS, struck_ns=3000 * MS, healed_ns=4000 * MS)
    story.now = 1499 * MS
    story.lose_connection("worker", code=320)
    assert times(story) == [(1500, 4000)]


def test_a_node_that_is_frozen_does_not_answer_until_it_is_thawed_by_whichever_step() -> None:
    story = a_run()
    story.events += strike(FREEZE, "n1", at_ns=1000 * MS, healed_ns=9000 * MS)
    story.events += strike(THAW, "n1", at_ns=3000 * MS, fault=1, healable=False)
    assert times(story) == [(1001, 3001)]


def test_a_node_that_is_struck_again_is_down_until_the_last_of_it_is_over() -> None:
    story = a_run()
    story.events += strike(FREEZE, "n1", at_ns=1000 * MS, healed_ns=9000 * MS)
    story.events += strike(STOP, "n1", at_ns=3000 * MS, healed_ns=3500 * MS, fault=1)
    story.events += strike(KILL, "n1", at_ns=8000 * MS, healed_ns=9500 * MS, fault=2)
    assert times(story) == [(1001, 9500)]


def test_a_thaw_is_of_the_nodes_that_it_names() -> None:
    story = a_run(nodes=2)
    story.events += strike(FREEZE, "n1", "n2", at_ns=1000 * MS, healed_ns=9000 * MS)
    story.events += strike(THAW, "n2", at_ns=3000 * MS, fault=1, healable=False)
    story.events += strike(FREEZE, "n2", at_ns=5000 * MS, healed_ns=9000 * MS, fault=2)
    assert times(story) == [(1001, 3001), (5001, 9000)]


def test_a_cluster_is_down_while_all_of_its_nodes_are() -> None:
    story = a_run(nodes=3)
    for fault, (node, begin, end) in enumerate(
        (("n1", 1000, 5000), ("n2", 2000, 6000), ("n3", 3000, 4000), ("n3", 4500, 4600))
    ):
        story.events += strike(KILL, node, at_ns=begin * MS, healed_ns=end * MS, fault=fault)
    assert times(story) == [(3001, 4000), (4501, 4600)]


def test_nodes_that_are_struck_at_once_are_down_together() -> None:
    story = a_run(nodes=2)
    story.events += strike(KILL, "n1", "n2", at_ns=1000 * MS, healed_ns=5000 * MS)
    assert times(story) == [(1001, 5000)]


def test_a_node_that_was_never_healed_is_down_until_the_last_event() -> None:
    story = a_run()
    story.events += strike(KILL, "n1", at_ns=1000 * MS)
    story.now = 7000 * MS
    assert times(story) == [(1001, 7001)]


def test_a_node_that_lets_a_worker_consume_is_up_whenever_the_harness_learns_of_it() -> None:
    story = a_run()
    story.events += strike(KILL, "n1", at_ns=1000 * MS, healed_ns=4000 * MS)
    story.now = 3199 * MS
    story.consume(1, connection=2)
    assert times(story) == [(1001, 3200)]


@pytest.mark.parametrize("target", ["worker-1", "n2"])
def test_other_faults_leave_it_up(target: str) -> None:
    story = a_run(nodes=2)
    effects = KILL if target == "n2" else on_process(Becomes.KILLED)
    story.events += strike(effects, target, at_ns=1000 * MS, healed_ns=4000 * MS)
    assert times(story) == []


def test_without_a_broker_nothing_is_known() -> None:
    story = a_run()
    story.events = story.events[1:]
    assert judge(story.history(), scenario(), name="x").broker_down is None


@pytest.mark.parametrize(("wanted", "holds"), [("< 2s", True), ("< 1s", False)])
def test_it_may_be_expected(wanted: str, holds: bool) -> None:
    story = a_run()
    for fault, (begin, end) in enumerate(((1000, 1500), (2000, 3500))):
        story.events += strike(KILL, "n1", at_ns=begin * MS, healed_ns=end * MS, fault=fault)
    found = judge(story.history(), scenario(expect={"outage": {"broker": wanted}}), name="x")
    (result,) = (each for each in found.expectations if each.path == "outage.broker")
    assert (result.observed, result.holds) == ("1.5 s", holds)
    assert found.broker_down is not None
    assert found.broker_down == BrokerDown(
        found.broker_down.total_s, found.broker_down.longest_s, (TimeSpan(0.999, 1.498), TimeSpan(1.999, 3.498))
    )
