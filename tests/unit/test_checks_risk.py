"""What a fault could have taken when it struck, to the moment. All is done in the end, so that nothing counts for having been lost."""

from __future__ import annotations

from typing import Any

import pytest

from harness.checks.judge import judge
from harness.effects import AtRisk, Becomes, Cuts, Effects
from tests.unit.histories import MS, Story, scenario, strike
from tests.unit.test_checks_copies import FAN, fan

TWO: dict[str, Any] = {"tasks": {"dead_letter": "second"}, "second": {}}


def risk(story: Story, **settings: Any) -> int | None:
    """What the only fault put at risk."""
    (fault,) = judge(story.history(), scenario(**settings), name="x").faults
    assert fault.taken == 0
    return fault.at_risk


def back_by(story: Story, milliseconds: int) -> None:
    """Let the next record be that much before the last event."""
    story.now -= (milliseconds + 1) * MS


# What the broker had.


def test_what_is_published_while_a_fault_strikes_is_at_risk() -> None:
    story = Story()
    story.restart_broker()
    back_by(story, 1)
    story.publish(0)  # when it had struck
    story.now += 9 * MS
    story.process(0)
    assert risk(story) == 1


@pytest.mark.parametrize(("back_ms", "at_risk"), [(1, 1), (2, 0)])
def test_what_is_done_when_a_fault_begins_is_not_at_risk(back_ms: int, at_risk: int) -> None:
    story = Story()
    story.sent(0)
    tag = story.deliver(0)
    story.restart_broker()
    back_by(story, back_ms)
    story.complete(0, tag)  # when it had struck, or when it began
    assert risk(story) == at_risk


def test_what_is_done_again_because_of_a_fault_was_at_risk() -> None:
    """All was done when it struck, but one ack was lost with the connection, so that the run has met a message."""
    story = Story()
    story.sent(0)
    tag = story.deliver(0)
    story.complete(0, tag)
    story.restart_broker()
    story.lose_connection("worker")
    story.complete(0, story.deliver(0, connection=2, redelivered=True), connection=2)
    assert risk(story) == 1


def test_what_rests_in_a_queue_stays_at_risk_though_it_was_done_before() -> None:
    story = Story(queues=("tasks", "second"))
    story.sent(0)
    tag = story.deliver(0)
    story.complete(0, tag)
    story.reject(0, tag)
    story.restart_broker()
    story.find(0, queue=1, died=True)
    assert risk(story, queues=TWO) == 1


def test_what_was_never_promised_is_at_risk_until_it_is_done() -> None:
    story = Story()
    story.publish(0)
    story.lose_connection("publisher")
    story.restart_broker()
    story.process(0)
    assert risk(story) == 1


def test_each_copy_of_a_message_that_was_never_promised_is_at_risk_until_its_connection_is_lost() -> None:
    for lost_before, at_risk in ((False, 2), (True, 0)):
        story = fan()
        story.publish(0)
        if lost_before:
            story.lose_connection("publisher")
        story.restart_broker()
        if not lost_before:
            story.lose_connection("publisher")
        (fault,) = judge(story.history(), FAN, name="x").faults
        assert fault.at_risk == at_risk


def test_faults_of_the_broker_and_of_workers_each_risk_what_they_met() -> None:
    story = Story()
    for seq in range(3):
        story.sent(seq)
    story.deliver(0)
    story.kill_worker(1, fault=0)
    story.restart_broker(fault=1)
    for seq in range(3):
        story.process(seq, to=2)
    assert [each.at_risk for each in judge(story.history(), scenario(), name="x").faults] == [1, 3]


def test_a_purge_of_which_the_broker_says_how_many_it_took_met_as_many_beside_other_faults_too() -> None:
    story = Story()
    for seq in range(3):
        story.sent(seq)
    story.fault("purge", "tasks", family="topology", fault=0, taken=2)
    story.restart_broker(fault=1)
    story.process(2)
    assert [each.at_risk for each in judge(story.history(), scenario(), name="x").faults] == [2, 1]


# What a purge met.


def test_a_purge_risks_what_is_there_and_was_not_delivered() -> None:
    story = Story()
    for seq in range(5):
        story.sent(seq)
    story.process(0)
    story.deliver(1)
    story.fault("purge", "tasks", family="topology")
    story.complete(1, 2)
    for seq in range(2, 5):
        story.process(seq)
    assert risk(story) == 3


@pytest.mark.parametrize(("back_ms", "at_risk"), [(1, 1), (2, 0)])
def test_what_is_delivered_when_a_purge_begins_is_not_at_risk(back_ms: int, at_risk: int) -> None:
    story = Story()
    story.sent(0)
    story.fault("purge", "tasks", family="topology")
    back_by(story, back_ms)
    story.deliver(0)  # when it had struck, or when it began
    story.now += 9 * MS
    story.complete(0, 1)
    assert risk(story) == at_risk


@pytest.mark.parametrize(("queue", "at_risk"), [("second", 1), ("third", 0)])
def test_a_purge_risks_what_can_come_to_its_queue(queue: str, at_risk: int) -> None:
    story = Story(queues=("tasks", "second", "third"))
    story.sent(0)
    story.fault("purge", queue, family="topology")
    story.process(0)
    assert risk(story, queues=TWO | {"third": {}}) == at_risk


# What clients had in hand.


def test_a_worker_that_is_stopped_risks_what_it_has_not_done_whether_acknowledged_or_not() -> None:
    story = Story()
    for seq in range(3):
        story.sent(seq)
    story.process(0)
    story.complete(1, story.deliver(1))
    story.deliver(2)
    story.fault("stop", "worker-1")
    story.complete(2, 3)
    story.ack(2)
    story.ack(3)
    assert risk(story) == 1


def test_a_worker_with_automatic_acks_risks_only_what_it_has_not_done() -> None:
    story = Story()
    for seq in range(2):
        story.sent(seq)
        story.complete(seq, story.deliver(seq))
    story.kill_worker()
    assert risk(story, workers={"count": 2, "acks": "automatic"}) == 0


@pytest.mark.parametrize(("later_ms", "at_risk"), [(-1, 0), (0, 1), (1, 1)])
def test_a_fault_of_a_worker_meets_a_connection_that_is_lost_no_earlier_than_it_begins(
    later_ms: int, at_risk: int
) -> None:
    story = Story()
    story.sent(0)
    story.deliver(0)
    story.fault("stop", "worker-1")
    story.now += (later_ms - 3) * MS  # it began two events ago
    story.lose_connection("worker")
    story.now += 9 * MS
    story.process(0, to=2)
    assert risk(story) == at_risk


def test_a_fault_of_another_package_that_kills_a_worker_may_risk_what_its_cut_connection_carried() -> None:
    story = Story()
    story.sent(0)
    story.deliver(0)
    effects = Effects(cuts=Cuts.TARGETS, at_risk=AtRisk.ON_CUT_CONNECTIONS, process=Becomes.KILLED)
    story.events += strike(effects, "worker-1", at_ns=story.tick(), struck_ns=story.tick())
    story.lose_connection("worker")
    story.process(0, to=2)
    assert risk(story) == 1


def a_kill_of_the_publisher(story: Story) -> None:
    story.fault("kill", "publisher-1")
    story.now += 9 * MS
    story.exited("publisher", fault=0)


@pytest.mark.parametrize(("back_ms", "at_risk"), [(0, 0), (1, 1), (2, 1)])
def test_a_publisher_that_is_killed_risks_what_it_had_sent_by_then(back_ms: int, at_risk: int) -> None:
    story = Story()
    story.fault("kill", "publisher-1")  # it had struck a millisecond before the last event
    back_by(story, back_ms)
    story.publish(0)
    story.now += 9 * MS
    story.exited("publisher", fault=0)
    story.process(0)
    assert risk(story) == at_risk


@pytest.mark.parametrize(("back_ms", "at_risk"), [(0, 1), (1, 0)])
def test_what_is_confirmed_when_a_publisher_is_killed_is_not_at_risk(back_ms: int, at_risk: int) -> None:
    story = Story()
    tag = story.publish(0)
    story.fault("kill", "publisher-1")
    back_by(story, back_ms)
    story.confirm(tag)
    story.now += 9 * MS
    story.exited("publisher", fault=0)
    story.process(0)
    assert risk(story) == at_risk


def closed(story: Story) -> int:
    """A step closes all connections; returns when worker-1 is to lose its own."""
    story.fault("close", "n1", family="connection")
    return story.now + 20 * MS


@pytest.mark.parametrize(("later_ms", "at_risk"), [(-1, 1), (0, 1), (1, 0)])
def test_a_worker_whose_connection_is_closed_risks_what_it_had_got_by_then(later_ms: int, at_risk: int) -> None:
    story = Story()
    story.sent(0)
    lost_ns = closed(story)
    story.now = lost_ns + (later_ms - 1) * MS
    story.deliver(0)
    story.now = lost_ns - MS
    story.lose_connection("worker")
    story.process(0, to=2)
    assert risk(story) == at_risk


@pytest.mark.parametrize(("later_ms", "at_risk"), [(-1, 0), (0, 0), (1, 1)])
def test_a_worker_whose_connection_is_closed_does_not_risk_what_it_had_done_by_then(
    later_ms: int, at_risk: int
) -> None:
    story = Story()
    story.sent(0)
    tag = story.deliver(0)
    lost_ns = closed(story)
    story.now = lost_ns + (later_ms - 1) * MS
    story.complete(0, tag)
    story.now = lost_ns - MS
    story.lose_connection("worker")
    assert risk(story) == at_risk


def test_a_worker_whose_connection_is_closed_does_not_risk_what_it_has_rejected() -> None:
    story = Story()
    story.sent(0)
    story.reject(0, story.deliver(0), requeue=True)
    story.process(0, to=2)
    closed(story)
    story.lose_connection("worker")
    assert risk(story) == 0


def test_a_worker_that_is_killed_beside_the_closing_of_connections_risks_nothing_by_that() -> None:
    story = Story()
    for seq in range(2):
        story.sent(seq)
        story.deliver(seq, to=1 + seq)
    closed(story)
    story.lose_connection("worker", 1)
    story.kill_worker(2, fault=1)
    for seq in range(2):
        story.process(seq, to=3)
    found = judge(story.history(), scenario(), name="x").faults
    assert [each.at_risk for each in found] == [1, 1]


def test_a_client_that_asks_for_confirms_only_later_risks_what_was_neither_delivered_nor_confirmed() -> None:
    story = Story()
    story.publish(0, confirms=False)
    story.publish(1, confirms=False)
    tag = story.publish(2)
    story.publish(3)
    story.process(0)
    story.confirm(tag)
    a_kill_of_the_publisher(story)
    for seq in (1, 2, 3):
        story.process(seq)
    assert risk(story) == 2


def test_without_confirms_a_message_is_at_risk_until_its_last_copy_was_delivered() -> None:
    story = fan()
    for seq in range(2):
        story.publish(seq, confirms=False)
        story.process(seq, queue=0)
    story.process(0, to=2, queue=1)
    a_kill_of_the_publisher(story)
    story.process(1, to=2, queue=1)
    of = FAN.model_copy(
        update={"publishers": tuple(each.model_copy(update={"confirms": False}) for each in FAN.publishers)}
    )
    (fault,) = judge(story.history(), of, name="x").faults
    assert (fault.taken, fault.at_risk) == (0, 1)
