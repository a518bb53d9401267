"""What the broker refused, and what says that it did not take it: resurrected, or done twice for no reason."""

from __future__ import annotations

import pytest

from harness.checks.rules.done_twice import Reason
from harness.checks.rules.duplicates import find_duplicates
from harness.checks.rules.fates import ORDER, find_fates
from harness.checks.tally.message_table import tabulate
from harness.scenario.scenario import Scenario
from harness.verdict.data import Fate
from tests.unit.histories import MS, Story, scenario

QUORUM = scenario(queues={"tasks": {"type": "quorum"}})
CLASSIC = scenario()


def fates(story: Story, of: Scenario = CLASSIC) -> list[Fate]:
    """By copy."""
    history = story.history()
    return [ORDER[code] for code in find_fates(tabulate(history, of), history.events).codes.tolist()]


def reasons(story: Story) -> list[Reason]:
    """Why each copy that was done twice was."""
    history = story.history()
    return [Reason(each) for each in find_duplicates(tabulate(history, CLASSIC), history.events).reason.tolist()]


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


def test_in_a_cluster_a_classic_queue_may_keep_what_is_nacked_near_a_fault_of_a_node() -> None:
    """The publisher's node nacks for a home node that is gone, and may have written the message."""
    story = Story(nodes=("n1", "n2"))
    story.restart_broker()
    nacked(story)
    assert fates(story) == [Fate.RECOVERED]


def test_in_a_cluster_a_nack_of_a_classic_queue_speaks_far_from_any_fault_of_a_node() -> None:
    story = Story(nodes=("n1", "n2"))
    story.restart_broker()
    story.now += 5000 * MS
    nacked(story)
    assert fates(story) == [Fate.RESURRECTED]


REFUSES = {"max_length": 4, "overflow": "reject-publish"}
REFUSES_AND_PASSES_ON = {"max_length": 4, "overflow": "reject-publish-dlx", "dead_letter": "dead"}


@pytest.mark.parametrize(
    ("settings", "fate"),
    [
        (REFUSES, Fate.RESURRECTED),
        (REFUSES_AND_PASSES_ON, Fate.RECOVERED),
        (REFUSES | {"overflow": "reject-publish-dlx"}, Fate.RESURRECTED),
        (REFUSES_AND_PASSES_ON | {"overflow": "reject-publish"}, Fate.RESURRECTED),
        ({"dead_letter": "dead", "overflow": "reject-publish-dlx"}, Fate.RESURRECTED),
        (REFUSES_AND_PASSES_ON | {"type": "quorum"}, Fate.RESURRECTED),
    ],
)
def test_a_queue_may_dead_letter_what_it_refuses(settings: dict[str, object], fate: Fate) -> None:
    of = scenario(queues={"tasks": settings, "dead": {}})
    story = Story(queues=("tasks", "dead"))
    story.confirm(story.publish(0), nack=True)
    story.deliver(0, queue=int("dead_letter" in settings), died="dead_letter" in settings, done=True)
    assert fates(story, of) == [fate]


# Each attempt of a publish is a message of its own to the broker.


@pytest.mark.parametrize(("done", "fate"), [(1, Fate.RESURRECTED), (2, Fate.RECOVERED)])
def test_a_nack_speaks_of_its_own_attempt_and_of_no_other(done: int, fate: Fate) -> None:
    story = Story()
    story.confirm(story.publish(0), nack=True)
    story.publish(0, attempt=2)
    story.process(0, attempt=done)
    assert fates(story) == [fate]


def test_a_return_says_nothing_of_an_earlier_attempt() -> None:
    story = Story()
    story.publish(0)
    story.lose_connection("publisher")
    story.publish(0, attempt=2, connection=2)
    story.returned(0, attempt=2)
    story.process(0, attempt=1)
    assert fates(story) == [Fate.RECOVERED]


def test_a_publish_after_a_nack_explains_no_second_delivery() -> None:
    story = Story()
    story.confirm(story.publish(0), nack=True)
    story.confirm(story.publish(0, attempt=2))
    story.process(0, attempt=1)
    story.process(0, attempt=2)
    assert fates(story) == [Fate.PROCESSED]
    assert reasons(story) == [Reason.NOTHING]


def test_a_publish_after_a_lost_connection_explains_a_second_delivery() -> None:
    story = Story()
    story.publish(0)
    story.lose_connection("publisher")
    story.confirm(story.publish(0, attempt=2, connection=2), connection=2)
    story.process(0, attempt=1)
    story.process(0, attempt=2)
    assert reasons(story) == [Reason.REPUBLISHED]


def test_an_attempt_that_was_refused_and_not_done_is_no_reason_to_doubt_the_others() -> None:
    story = Story()
    story.confirm(story.publish(0), nack=True)
    story.publish(0, attempt=2)
    story.lose_connection("publisher")
    story.confirm(story.publish(0, attempt=3, connection=2), connection=2)
    story.process(0, attempt=2)
    story.process(0, attempt=3)
    assert reasons(story) == [Reason.REPUBLISHED]
