"""Fates copy by copy: what the broker refused and was done all the same, what was found, and what may have had another fate."""

from __future__ import annotations

import pytest

from harness.checks.rules.fates import ORDER, Fates, find_fates
from harness.checks.tally.message_table import tabulate
from harness.scenario.scenario import Scenario
from harness.verdict.data import Fate
from tests.unit.histories import FOREIGN, MS, Story, scenario

QUORUM = scenario(queues={"tasks": {"type": "quorum"}})
CLASSIC = scenario()


def found(story: Story, of: Scenario = CLASSIC) -> Fates:
    history = story.history()
    return find_fates(tabulate(history, of), history.events)


def fates(story: Story, of: Scenario = CLASSIC) -> list[Fate | None]:
    """By copy; None for one that does not exist."""
    return [None if code < 0 else ORDER[code] for code in found(story, of).codes.tolist()]


# What the broker said it does not have.


def nacked(story: Story, seq: int = 0) -> None:
    story.confirm(story.publish(seq), nack=True)
    story.process(seq)


RESTART_LASTS_MS = 2


@pytest.mark.parametrize(
    ("at_ms", "fate"),
    [
        (-1001, Fate.RESURRECTED),
        (-1000, Fate.RECOVERED),
        (0, Fate.RECOVERED),
        (1000 + RESTART_LASTS_MS, Fate.RECOVERED),
        (1001 + RESTART_LASTS_MS, Fate.RESURRECTED),
    ],
)
def test_a_nack_of_a_quorum_queue_says_nothing_so_near_a_fault_of_a_node(at_ms: int, fate: Fate) -> None:
    story = Story()
    story.sent(1)
    story.process(1)
    story.now += 5000 * MS
    begins = story.now + MS
    story.restart_broker()
    story.now = begins + (at_ms - 1) * MS
    nacked(story)
    assert fates(story, QUORUM) == [fate, Fate.PROCESSED]


def test_a_nack_of_a_classic_queue_speaks_even_near_a_fault_of_a_node() -> None:
    story = Story()
    story.restart_broker()
    nacked(story)
    assert fates(story) == [Fate.RESURRECTED]


def test_a_nack_speaks_near_a_fault_that_leaves_the_nodes_alone() -> None:
    story = Story()
    story.kill_worker(2)
    nacked(story)
    assert fates(story, QUORUM) == [Fate.RESURRECTED]


def test_of_two_queues_only_the_quorum_queue_may_keep_what_it_nacks() -> None:
    of = scenario(queues={"tasks": {"type": "quorum"}, "second": {}})
    story = Story(queues=("tasks", "second"))
    story.restart_broker()
    nacked(story)
    story.confirm(story.publish(1, route=1), nack=True)
    story.process(1, queue=1)
    assert fates(story, of) == [Fate.RECOVERED, Fate.RESURRECTED]


# What was found.


def test_what_was_done_and_found_is_done_and_strangers_are_nobodys() -> None:
    story = Story()
    for seq in range(3):
        story.sent(seq)
    for seq in (0, 2):
        story.process(seq)
    story.find(0)
    story.find(1)
    story.find(2, of=FOREIGN)
    assert fates(story) == [Fate.PROCESSED, Fate.STRANDED, Fate.PROCESSED]


def test_only_a_stranger_was_found() -> None:
    story = Story()
    story.sent(0)
    story.find(0, of=FOREIGN)
    assert fates(story) == [Fate.LOST]


def test_a_message_that_was_never_published_has_no_fate() -> None:
    story = Story()
    for seq in (0, 2):
        story.sent(seq)
        story.process(seq)
    assert fates(story) == [Fate.PROCESSED, None, Fate.PROCESSED]


# Asking for a fate.


def test_the_copies_of_a_fate_are_named_and_counted() -> None:
    story = Story()
    for seq in range(3):
        story.sent(seq)
    story.process(1)
    every = found(story)
    assert every.of(Fate.LOST).tolist() == [0, 2]
    counts = every.counts()
    assert (counts[Fate.LOST], counts[Fate.PROCESSED], counts[Fate.EXPIRED]) == (2, 1, 0)


def test_what_is_only_possible_counts_for_the_fate_that_it_may_have() -> None:
    story = Story()
    story.publish(0, confirms=False)
    story.sent(1, by=2)
    story.now += 5000 * MS
    every = found(story, scenario(queues={"tasks": {"message_ttl": "1s"}}))
    assert every.counts()[Fate.EXPIRED] == 2
    assert [every.possible(fate) for fate in (Fate.EXPIRED, Fate.DROPPED, Fate.REMOVED)] == [1, 0, 0]
