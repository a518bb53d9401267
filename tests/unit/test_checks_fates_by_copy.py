"""Fates copy by copy: what was found, and what may have had another fate."""

from __future__ import annotations

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
