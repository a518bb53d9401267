"""Which acks a killed node may not have written: a classic queue writes when it must confirm, or has nothing to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    story = Story(queues=("tasks", "other", "third"))
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


def test_a_confirm_tells_nothing_of_the_queues_that_a_death_leads_to() -> None:
    story = a_story()
    busy(story, 5000, seqs=range(20))
    story.confirm(story.publish(20, route=1))
    story.deliver(20, died=True)
    story.deliver(20, queue=2, died=True)
    story.now = KILL_MS * MS - MS
    story.fault("kill", "n1", family="broker")
    history = story.history(end=False)
    table = tabulate(
        history,
        scenario(
            queues={"tasks": {}, "other": {"dead_letter": {"exchange": "all"}}, "third": {}},
            exchanges={"all": {"type": "fanout"}},
            bindings=[{"exchange": "all", "queue": name} for name in ("tasks", "third")],
            publishers={"to": ["tasks", "other"], "messages": 100},
        ),
    )
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


@pytest.mark.parametrize(("confirmed_ms", "shows"), [(KILL_MS - 1, True), (KILL_MS, False), (KILL_MS + 50, False)])
def test_a_confirm_shows_something_only_before_the_kill(confirmed_ms: int, shows: bool) -> None:
    story = a_story()
    busy(story, 8000, seqs=range(40))
    story.now = 8000 * MS - MS
    tag = story.publish(40)
    story.now = 8100 * MS
    busy(story, KILL_MS - 2, seqs=range(41, 50))
    story.now = (confirmed_ms - 1) * MS
    story.confirm(tag)
    assert from_ms(story) == (7000 if shows else 0)


@pytest.mark.parametrize(("later_ms", "shows"), [(0, False), (1, True)])
def test_what_is_done_as_it_is_confirmed_may_have_been_confirmed_for_its_ack(later_ms: int, shows: bool) -> None:
    story = a_story()
    busy(story, 8000, seqs=range(40))
    story.now = 8000 * MS - MS
    story.confirm(story.publish(40))
    story.now += (later_ms - 2) * MS
    story.complete(40, story.deliver(40))
    story.now = 8100 * MS
    busy(story, KILL_MS - 2, seqs=range(41, 50))
    assert from_ms(story) == (7000 if shows else 0)


@pytest.mark.parametrize(("route", "found"), [(0, 0), (1, 8005)])
def test_a_queue_is_busy_while_messages_come_that_nobody_takes(route: int, found: int) -> None:
    story = a_story()
    busy(story, 8000, seqs=range(40))
    story.now = 8000 * MS
    story.publish(40, confirms=False)
    story.process(40)
    for seq, at_ms in ((41, 8500), (42, 9000), (43, 9500)):
        story.now = at_ms * MS
        story.publish(seq, confirms=False, route=route)
    assert from_ms(story) == found


def test_two_pauses_that_are_too_short_are_not_one_that_is_long_enough() -> None:
    story = a_story()
    busy(story, 8400, seqs=range(40))
    for seq, at_ms in ((40, 8400), (41, 9050), (42, 9450)):
        story.now = (at_ms - 3) * MS
        story.publish(seq, confirms=False)
        story.process(seq)
    assert from_ms(story) == 0


def test_what_is_acknowledged_right_after_it_was_idle_may_be_unwritten() -> None:
    story = a_story()
    busy(story, 3000, seqs=range(10))
    idle_ns = story.rows[("worker", "worker-1", 1, 1)][-1]["at_ns"]
    story.now = 4500 * MS
    busy(story, KILL_MS - 2, seqs=range(10, 40))
    story.now = KILL_MS * MS - MS
    story.fault("kill", "n1", family="broker")
    history = story.history(end=False)
    table = tabulate(history, scenario(publishers={"messages": 100}, queues={"tasks": {}, "other": {}}))
    disk = Written(table, history.events)
    place = table.queues.index("tasks")
    assert disk.missing(disk.kills[0], np.full(2, place), idle_ns + np.arange(2)).tolist() == [False, True]


class Passed(NamedTuple):
    """What passes through a queue, and when: in milliseconds."""

    published_ms: int
    held_ms: int
    settled_ms: int
    rejected: bool
    to_another: bool


PASSED = st.builds(
    Passed, st.integers(1, KILL_MS + 5), st.integers(1, 3000), st.integers(1, 3000), st.booleans(), st.booleans()
)


@given(st.lists(PASSED, min_size=1, max_size=14))
def test_a_queue_was_idle_where_nothing_passed_for_a_second(messages: list[Passed]) -> None:
    story = a_story()
    tags: dict[int, int] = {}
    steps: list[tuple[int, int, Callable[[int], None]]] = []
    for seq, each in enumerate(messages):
        route = int(each.to_another)

        def publish(seq: int, route: int = route) -> None:
            story.publish(seq, confirms=False, route=route)

        def deliver(seq: int, route: int = route) -> None:
            tags[seq] = story.deliver(seq, queue=route)

        def settle(seq: int, rejected: bool = each.rejected) -> None:
            if rejected:
                story.reject(seq, tags[seq], requeue=True)
            else:
                story.ack(tags[seq])

        at_ms = np.cumsum([each.published_ms, each.held_ms, each.settled_ms]).tolist()
        steps += [(moment, seq, step) for moment, step in zip(at_ms, (publish, deliver, settle), strict=True)]
    for moment, seq, step in sorted(steps, key=lambda one: one[0]):
        story.now = (moment - 1) * MS
        step(seq)
    busy_ms = sorted({at for at, seq, _ in steps if at <= KILL_MS and not messages[seq].to_another} | {KILL_MS})
    idle_ms = [at for at, following in pairwise(busy_ms) if following - at >= 1000]
    assert from_ms(story) == (min(idle_ms[-1] + 1, 9000) if idle_ms else 0)
