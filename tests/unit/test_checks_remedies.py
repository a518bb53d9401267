"""What would have kept what a queue threw away or gave up: each setting alone, and nothing that is in force already."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.checks.rules.remedies import of_not_done
from harness.checks.rules.taken import Reason
from harness.checks.tally.message_table import tabulate
from harness.events import BrokerLook
from tests.unit.histories import Story, queue_facts, scenario

EXPIRES = {"arguments": {"x-expires": 1000}}


def remedies(reason: Reason, **tasks: Any) -> dict[str, tuple[str, ...]]:
    """What is said, and the first path of each way."""
    story = Story(queues=("tasks", "second"))
    topology = tabulate(
        story.history(), scenario(queues={"tasks": tasks, "second": {}, "limited": {"max_length": 3}})
    ).topology
    return {each.text: tuple(way[0] for way in each.ways) for each in of_not_done(reason, "tasks", topology)}


DEAD_LETTER = "queues.tasks.dead_letter"
BYTES = "queues.tasks.arguments.x-max-length-bytes"


@pytest.mark.parametrize(
    ("reason", "tasks", "found"),
    [
        (
            Reason.TTL,
            {},
            {DEAD_LETTER: DEAD_LETTER, "a longer queues.tasks.message_ttl": "queues.tasks.message_ttl"},
        ),
        (
            Reason.DELIVERY_LIMIT,
            {},
            {DEAD_LETTER: DEAD_LETTER, "a greater queues.tasks.delivery_limit": "queues.tasks.delivery_limit"},
        ),
        (
            Reason.LENGTH,
            {"max_length": 1},
            {
                "queues.tasks.overflow: reject-publish with publishers.confirms: true": "queues.tasks.overflow",
                "a greater queues.tasks.max_length": "queues.tasks.max_length",
            },
        ),
        (
            Reason.LENGTH,
            {"max_length": 1, "overflow": "reject-publish"},
            {
                "publishers.confirms: true": "publishers.confirms",
                "a greater queues.tasks.max_length": "queues.tasks.max_length",
            },
        ),
        (
            Reason.LENGTH,
            {"arguments": {"x-max-length-bytes": 9, "x-overflow": "reject-publish"}},
            {
                "publishers.confirms: true": "publishers.confirms",
                f"a greater {BYTES}": BYTES,
            },
        ),
        (Reason.REJECTED, {}, {DEAD_LETTER: DEAD_LETTER}),
        (Reason.CYCLE, {}, {"queues.tasks.dead_letter: a queue outside the cycle": DEAD_LETTER}),
        (Reason.NO_TARGET, {}, {"queues.tasks.dead_letter: a queue that exists": DEAD_LETTER}),
        (Reason.QUEUE_GONE, EXPIRES, {"queues.tasks without x-expires": "queues.tasks.arguments.x-expires"}),
        (Reason.QUEUE_GONE, {}, {}),
        (
            Reason.HELD,
            {"dead_letter": "limited"},
            {"a greater queues.limited.max_length": "queues.limited.max_length"},
        ),
        (Reason.HELD, {"dead_letter": "second"}, {}),
        (Reason.PURGED, {}, {}),
        (Reason.TAKEN, {}, {}),
        (Reason.BY_OTHERS, {}, {}),
        (Reason.HELD_BY_OTHERS, {}, {}),
        (Reason.BY_POLICY, {}, {}),
    ],
)
def test_what_would_have_kept_it_is_named(reason: Reason, tasks: dict[str, Any], found: dict[str, str]) -> None:
    said = remedies(reason, **tasks)
    assert {text: ways[0] for text, ways in said.items()} == found


@pytest.mark.parametrize(
    ("own", "policy", "remedy"),
    [
        ({}, 5, "a greater max-length in the policy lim"),
        ({"max_length": 9}, 5, "a greater max-length in the policy lim"),
        ({"max_length": 5}, 9, "a greater queues.tasks.max_length"),
    ],
)
def test_where_a_policy_is_the_tighter_one_no_key_of_the_scenario_is_named(
    own: dict[str, object], policy: int, remedy: str
) -> None:
    story = Story()
    facts = replace(queue_facts("tasks"), policy={"max-length": policy}, policy_name="lim")
    story.event(BrokerLook, moment="before the traffic", queues=(facts,))
    topology = tabulate(story.history(), scenario(queues={"tasks": own})).topology
    assert [each.text for each in of_not_done(Reason.LENGTH, "tasks", topology)][1:] == [remedy]


def test_what_is_held_for_a_target_that_leads_nowhere_asks_for_a_queue() -> None:
    held = {"type": "quorum", "dead_letter": {"exchange": "amq.direct", "routing_key": "none"}}
    (found,) = remedies(Reason.HELD, **held)
    assert found == "a binding for queues.tasks.dead_letter (or a queue that exists)"
