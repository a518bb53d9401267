"""What was not looked at is said, and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest

from harness.checks.judge import judge
from harness.events import BrokerLook
from harness.verdict.data import VariantVerdict
from tests.unit.histories import Story, queue_facts, scenario

COUNTS = {"n1": {"classic/disabled/expired": 0}}
NOT_ASKED = "of itself before the traffic (it is external)"
NOT_COUNTED = "how many messages the broker threw away: RabbitMQ 4.0.5 does not count them"
BEGAN_ANEW = "how many messages the broker threw away: its counts began anew with a node"


def verdict(before: dict[str, Any], after: dict[str, Any], queues: dict[str, Any] | None = None) -> VariantVerdict:
    """Of a run in which one message was lost, whose looks say so."""
    usual: dict[str, Any] = {
        "queues": (queue_facts("tasks"),),
        "dead_lettered": COUNTS,
        "node_started": {"n1": "once"},
        "own_virtual_host": True,
    }
    story = Story()
    story.event(BrokerLook, moment="before the traffic", **usual | before)
    story.sent(0)
    story.event(BrokerLook, moment="after the drain", **usual | after)
    return judge(story.history(), scenario(queues=queues or {"tasks": {}}), name="guarantee")


def test_where_everything_was_looked_at_nothing_is_said() -> None:
    found = verdict({}, {})
    assert found.not_looked_at == ()
    assert found.causes[0].sentence.endswith(
        "with no fault of this run to explain it. This is what a fault of the broker itself looks like."
    )


@pytest.mark.parametrize(
    ("before", "after", "queues", "said"),
    [
        ({"not_asked": "it is external"}, {}, {}, ["what the broker says " + NOT_ASKED]),
        (
            {},
            {},
            {"tasks": {"arguments": {"x-odd": 1, "x-max-priority": 3}}},
            ["what the argument x-odd of queue tasks does"],
        ),
        ({"dead_lettered": {}}, {"dead_lettered": {}}, {}, []),
        ({"dead_lettered": {}}, {"dead_lettered": {}}, {"tasks": {"message_ttl": "1h"}}, [NOT_COUNTED]),
        ({"dead_lettered": {}}, {"dead_lettered": {}}, {"tasks": {"max_length": 9}}, [NOT_COUNTED]),
        ({}, {"node_started": {"n1": "twice"}}, {}, []),
        ({}, {"node_started": {"n1": "twice"}}, {"tasks": {"max_length": 9}}, [BEGAN_ANEW]),
        ({}, {}, {"tasks": {"max_length": 9}}, []),
    ],
)
def test_what_was_not_looked_at_is_said_beside_what_nothing_explains(
    before: dict[str, Any], after: dict[str, Any], queues: dict[str, Any], said: list[str]
) -> None:
    found = verdict(before, after, queues)
    assert list(found.not_looked_at) == said
    if said:
        assert found.causes[0].sentence.endswith(f"to explain it. Not looked at: {'; '.join(said)}.")


def test_what_others_may_have_done_is_not_looked_at() -> None:
    found = verdict({"foreign_connections": ("a", "b")}, {"foreign_connections": ("b",)})
    assert found.not_looked_at == ("what 2 connections of others did",)
    assert found.causes == ()


def test_one_queue_that_throws_messages_away_is_enough() -> None:
    there = {"queues": (queue_facts("tasks"), queue_facts("limited"), queue_facts("plain")), "dead_lettered": {}}
    declared = {"tasks": {}, "limited": {"max_length": 3}, "plain": {}}
    assert verdict(there, there, declared).not_looked_at == (NOT_COUNTED,)


def test_it_is_said_once() -> None:
    found = verdict({"not_asked": "it is external"}, {"not_asked": "it is external"})
    assert [each.partition(" (")[0] for each in found.not_looked_at] == [
        "what the broker says of itself before the traffic",
        "what the broker says of itself after the drain",
        "the policies of the broker, which may have dropped or expired messages",
    ]
