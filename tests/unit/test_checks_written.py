"""Which acks a killed node may not have written: a classic queue writes when it must confirm, or has nothing to do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.checks.rules.written import Written
from harness.checks.tally.message_table import tabulate
from harness.checks.tally.times import NEVER
from harness.events import FaultInjected
from tests.unit.histories import MS, Story, scenario

KILL_MS = 10_000


def busy(story: Story, until_ms: int, *, seqs: range, confirms: bool = False, **settings: Any) -> None:
    """Something to do every half second."""
    step = (until_ms * MS - story.now) // len(seqs)
    for seq in seqs:
        at_ns = story.now
        tag = story.publish(seq, confirms=confirms, **settings)
        if confirms:
            story.confirm(tag)
        story.process(seq)
        story.now = at_ns + step


def from_ms(story: Story, *, action: str = "kill", clean: bool | None = None, **settings: Any) -> int | None:
    """Since when acks may not have been written when the node is struck at 10 s; None if all are."""
    story.now = KILL_MS * MS - MS
    story.fault(action, "n1", family="broker")
    story.events = [replace(each, clean=clean) if isinstance(each, FaultInjected) else each for each in story.events]
    history = story.history(end=False)
    table = tabulate(history, scenario(publishers={"messages": 100}, queues={"tasks": settings, "other": {}}))
    disk = Written(table, history.events)
    if not disk.kills:
        return None
    (kill,) = disk.kills
    moments = np.arange(0, KILL_MS + 10) * MS
    places = np.full(len(moments), table.queues.index("tasks"))
    lost = disk.missing(kill, places, moments)
    first, last = np.flatnonzero(lost)[[0, -1]].tolist()
    assert lost[first:last].all()
    assert moments[last] <= kill.struck_ns < moments[last] + MS
    assert not disk.missing(kill, places[:1], np.array([NEVER])).any()
    return int(first)


def a_story() -> Story:
    story = Story(queues=("tasks", "other"))
    story.now = 0
    return story


@pytest.mark.parametrize(
    ("action", "clean", "found"),
    [("kill", None, 9000), ("stop", None, None), ("stop", True, None), ("stop", False, 9000)],
)
def test_a_node_that_does_not_stop_in_order_leaves_unwritten_what_was_acknowledged_shortly_before(
    action: str, clean: bool | None, found: int | None
) -> None:
    story = a_story()
    busy(story, KILL_MS - 2, seqs=range(40), confirms=True)
    assert from_ms(story, action=action, clean=clean, type="quorum") == found


def test_a_busy_classic_queue_without_confirms_may_have_written_nothing() -> None:
    story = a_story()
    busy(story, KILL_MS - 2, seqs=range(40))
    assert from_ms(story) == 0


def test_a_queue_that_had_nothing_to_do_had_written() -> None:
    story = a_story()
    busy(story, 3000, seqs=range(10))
    last_ms = story.rows[("worker", "worker-1", 1, 1)][-1]["at_ns"] // MS
    story.now = 4500 * MS
    busy(story, KILL_MS - 2, seqs=range(10, 40))
    assert from_ms(story) == last_ms + 1


@pytest.mark.parametrize(("acked_ms", "found"), [(9000, 9000), (9001, 0)])
def test_it_takes_a_while_to_be_sure_that_it_had_nothing_to_do(acked_ms: int, found: int) -> None:
    story = a_story()
    busy(story, 8500, seqs=range(40))
    story.now = (acked_ms - 4) * MS
    story.publish(40, confirms=False)
    story.process(40)
    assert story.now == acked_ms * MS
    assert from_ms(story) == found


def test_dead_letters_come_unseen_so_that_their_queue_may_always_have_been_busy() -> None:
    story = a_story()
    busy(story, 3000, seqs=range(10))
    story.now = KILL_MS * MS - MS
    story.fault("kill", "n1", family="broker")
    history = story.history(end=False)
    of = scenario(
        queues={"tasks": {}, "other": {"dead_letter": "tasks", "message_ttl": "1s"}},
        publishers={"to": ["tasks", "other"], "messages": 100},
    )
    table = tabulate(history, of)
    disk = Written(table, history.events)
    assert disk.missing(disk.kills[0], np.array([table.queues.index("tasks")]), np.array([100 * MS])).all()


@pytest.mark.parametrize(
    ("how", "shows"),
    [
        ("confirmed before it was done", True),
        ("done before it was confirmed", False),
        ("transient", False),
        ("to another queue", False),
    ],
)
def test_a_confirm_that_did_not_come_by_an_ack_shows_that_the_queue_has_written(how: str, shows: bool) -> None:
    story = a_story()
    busy(story, 5000, seqs=range(20))
    tag = story.publish(20, persistent=how != "transient", route=int(how == "to another queue"))
    published_ms = story.now // MS
    if how == "done before it was confirmed":
        story.process(20)
        story.confirm(tag)
    else:
        story.confirm(tag)
        story.process(20)
    busy(story, KILL_MS - 2, seqs=range(21, 41))
    assert from_ms(story) == (published_ms - 1000 if shows else 0)


def test_a_confirm_after_the_kill_shows_nothing() -> None:
    story = a_story()
    busy(story, KILL_MS - 2, seqs=range(40))
    tag = story.publish(40)
    story.now = (KILL_MS + 50) * MS
    story.confirm(tag)
    assert from_ms(story) == 0
