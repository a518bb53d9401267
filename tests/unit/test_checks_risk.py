"""What a fault could have taken when it struck, to the moment. All is done in the end, so that nothing counts for having been lost."""

from __future__ import annotations

from typing import Any

import pytest

from harness.checks.judge import judge
from tests.unit.histories import MS, Story, scenario
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
