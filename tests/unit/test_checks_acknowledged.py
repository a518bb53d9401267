"""What was acknowledged and is still in a queue at the end was kept by the broker, unless the ack may never have been written."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from harness.checks.rules.acknowledged import kept_after_ack
from harness.checks.tally.message_table import tabulate
from tests.unit.histories import FOREIGN, MS, Story, scenario

SECOND = 1000 * MS


def kept(story: Story) -> list[int]:
    """The sequence numbers of the messages that were kept."""
    history = story.history()
    table = tabulate(history, scenario(queues={"tasks": {}, "second": {}}))
    return [table.name(copy)[1] for copy in kept_after_ack(table, history.events).tolist()]


def a_story() -> Story:
    return Story(queues=("tasks", "second"))


def acked(story: Story, seqs: Sequence[int] = (0,), *, found: Sequence[int] = (0,)) -> Story:
    """Messages that worker-1 did and acknowledged, of which some are found at the end."""
    for seq in seqs:
        story.sent(seq)
        story.process(seq)
    for seq in found:
        story.find(seq)
    return story


@pytest.mark.parametrize("found", [[0], [2], [0, 2], [1, 2, 3]])
def test_what_was_acknowledged_and_is_found_was_kept(found: list[int]) -> None:
    assert kept(acked(a_story(), range(4), found=found)) == found


def test_with_nothing_found_nothing_was_kept() -> None:
    assert kept(acked(a_story(), found=[])) == []


def test_what_was_delivered_and_not_acknowledged_is_there_by_right() -> None:
    story = a_story()
    story.sent(0)
    story.complete(0, story.deliver(0))
    story.find(0)
    assert kept(story) == []


def test_it_is_kept_once_however_often_it_was_acknowledged() -> None:
    story = acked(a_story(), found=[])
    story.process(0, to=2)
    story.find(0)
    assert kept(story) == [0]


@pytest.mark.parametrize(("found", "was_kept"), [(1, True), (2, False), (3, False)])
def test_an_ack_speaks_of_its_own_attempt_only(found: int, was_kept: bool) -> None:
    story = acked(a_story(), found=[])
    for attempt in (2, 3):
        story.confirm(story.publish(0, attempt=attempt))
    story.find(0, attempt=found)
    assert kept(story) == ([0] if was_kept else [])


@pytest.mark.parametrize(("found", "was_kept"), [(2, []), (1, [0])])
def test_an_ack_speaks_of_its_own_message_only(found: int, was_kept: list[int]) -> None:
    """A second attempt of one message is not taken for a first one of the next."""
    story = a_story()
    for seq in range(3):
        story.sent(seq)
        story.confirm(story.publish(seq, attempt=2))
    story.process(0, attempt=found)
    story.find(1, attempt=1)
    story.find(2, attempt=2)
    story.find(0, attempt=1)
    assert kept(story) == was_kept


def test_what_nobody_published_or_nobody_led_to_its_queue_is_none_of_the_copies() -> None:
    story = acked(a_story(), [0, 1], found=[])
    story.process(0, of=FOREIGN)
    story.find(0, of=FOREIGN)
    story.find(1, queue=1)
    tag = story.deliver(1, queue=1)
    story.ack(tag)
    assert kept(story) == []


@pytest.mark.parametrize(("before_s", "was_kept"), [(0.1, False), (3, True)])
def test_an_ack_may_have_been_lost_with_its_connection_if_it_was_sent_shortly_before(
    before_s: float, was_kept: bool
) -> None:
    story = acked(a_story(), found=[])
    story.now += round(before_s * SECOND)
    story.lose_connection("worker")
    story.find(0)
    assert kept(story) == ([0] if was_kept else [])


def test_one_ack_that_had_arrived_is_enough() -> None:
    story = acked(a_story(), found=[])
    story.process(0, to=2)
    story.lose_connection("worker")
    story.find(0)
    assert kept(story) == [0]


@pytest.mark.parametrize(
    ("action", "before_s", "was_kept"), [("kill", 0.1, False), ("kill", 3, True), ("restart", 0.1, True)]
)
@pytest.mark.parametrize("kill_is_last", [True, False])
def test_an_ack_may_not_have_been_written_by_a_node_that_was_killed_shortly_after(
    action: str, before_s: float, was_kept: bool, kill_is_last: bool
) -> None:
    story = a_story()
    if kill_is_last:
        story.fault("purge", "second", family="topology", fault=0)
    acked(story, found=[])
    story.now += round(before_s * SECOND)
    story.restart_broker(action=action, fault=1)
    if not kill_is_last:
        story.fault("purge", "second", family="topology", fault=2)
    story.find(0)
    assert kept(story) == ([0] if was_kept else [])
