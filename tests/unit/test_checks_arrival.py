"""Which publishes are known to have reached the broker: those that were answered or seen, and all before them on their connection."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from harness.checks.rules.arrival import arrived
from harness.checks.tally.message_table import tabulate
from tests.unit.histories import FOREIGN, Story, scenario

UNCONFIRMED = scenario(publishers={"messages": 10, "confirms": False})


def reached(story: Story) -> list[bool]:
    """By publish, in the order of the log."""
    table = tabulate(story.history(), UNCONFIRMED)
    found: list[bool] = arrived(np.arange(len(table.publishes.message)), table).tolist()
    return found


def deliver(story: Story) -> None:
    story.deliver(1)


def find(story: Story) -> None:
    story.find(1)


def give_back(story: Story) -> None:
    story.returned(1)


@pytest.mark.parametrize("seen", [deliver, find, give_back])
def test_what_was_seen_had_arrived_and_all_that_was_sent_before_it(seen: Callable[[Story], None]) -> None:
    story = Story()
    for seq in range(3):
        story.publish(seq, confirms=False)
    seen(story)
    assert reached(story) == [True, True, False]


@pytest.mark.parametrize("nack", [True, False])
def test_what_was_answered_had_arrived_and_all_that_was_sent_before_it(nack: bool) -> None:
    story = Story()
    tags = [story.publish(seq) for seq in range(3)]
    story.confirm(tags[1], nack=nack)
    assert reached(story) == [True, True, False]


def test_of_nothing_that_was_seen_nothing_is_known() -> None:
    story = Story()
    for seq in range(2):
        story.publish(seq, confirms=False)
    story.deliver(1, of=FOREIGN)
    assert reached(story) == [False, False]


def test_the_very_first_message_may_be_the_last_that_arrived() -> None:
    story = Story()
    for seq in range(2):
        story.publish(seq, confirms=False)
    story.deliver(0)
    assert reached(story) == [True, False]


@pytest.mark.parametrize("found", [True, False])
def test_the_attempt_that_was_seen_arrived_and_not_the_one_before(found: bool) -> None:
    story = Story()
    for seq in range(2):
        story.publish(seq, confirms=False)
    story.lose_connection("publisher")
    story.publish(1, attempt=2, confirms=False, connection=2)
    if found:
        story.find(1, attempt=2)
    else:
        story.deliver(1, attempt=2)
    assert reached(story) == [False, False, True]


def test_an_end_in_order_sends_everything_and_only_on_its_own_connection() -> None:
    story = Story()
    story.publish(0, confirms=False)
    story.lose_connection("publisher")
    story.publish(1, confirms=False, connection=2)
    story.finish("publisher", connection=2)
    assert reached(story) == [False, True]


def test_what_arrived_from_one_publisher_says_nothing_of_another() -> None:
    story = Story()
    story.publish(0, confirms=False)
    story.publish(0, by=2, confirms=False)
    story.deliver(0, of=2)
    assert reached(story) == [False, True]
