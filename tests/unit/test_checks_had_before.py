"""Which settings a scenario has that a control takes away: those whose value would have kept a copy."""

from __future__ import annotations

from typing import Any

import pytest

from harness.checks.rules.had_before import HadBefore
from tests.unit.histories import scenario

QUORUM = {"type": "quorum"}
EX: dict[str, Any] = {"type": "fanout"}


@pytest.mark.parametrize(
    ("path", "before", "made", "had"),
    [
        ("queues.tasks.message_ttl", {}, {"message_ttl": "1s"}, True),
        ("queues.tasks.message_ttl", {"message_ttl": "2s"}, {"message_ttl": "1s"}, True),
        ("queues.tasks.message_ttl", {"message_ttl": "1s"}, {"message_ttl": "2s"}, False),
        ("queues.tasks.message_ttl", {"message_ttl": "1s"}, {}, False),
        ("queues.tasks.message_ttl", {}, {}, False),
        ("queues.tasks.arguments.x-max-length-bytes", {}, {"arguments": {"x-max-length-bytes": 9}}, True),
        ("queues.tasks.arguments.x-expires", {"arguments": {"x-expires": 9}}, {"arguments": {"x-expires": 9}}, False),
        ("queues.tasks.arguments.x-expires", {}, {"arguments": {"x-expires": 9}}, True),
        ("queues.tasks.delivery_limit", QUORUM, {**QUORUM, "delivery_limit": 3}, True),
        ("queues.tasks.delivery_limit", QUORUM, {**QUORUM, "delivery_limit": 20}, False),
        ("queues.tasks.delivery_limit", {**QUORUM, "delivery_limit": 30}, QUORUM, True),
        ("queues.tasks.durable", QUORUM, {"durable": False}, True),
        (
            "queues.tasks.arguments.x-dead-letter-strategy",
            {**QUORUM, "dead_letter": "dead", "arguments": {"x-dead-letter-strategy": "at-least-once"}},
            {**QUORUM, "dead_letter": "dead"},
            True,
        ),
        (
            "queues.tasks.arguments.x-dead-letter-strategy",
            {**QUORUM, "dead_letter": "dead"},
            {**QUORUM, "dead_letter": "dead"},
            False,
        ),
        ("queues.tasks.dead_letter", {"dead_letter": "dead"}, {"dead_letter": "dead"}, False),
        ("queues.tasks.dead_letter", {"dead_letter": "dead"}, {"dead_letter": "tasks"}, True),
        ("queues.tasks", {}, {"durable": False}, True),
        ("queues.new.durable", {}, {}, True),
    ],
)
def test_of_a_queue(path: str, before: dict[str, Any], made: dict[str, Any], had: bool) -> None:
    was, is_now = (
        scenario(
            queues={"tasks": queue, "dead": {}},
            publishers={"messages": 1, "to": "tasks"},
            workers={"queue": "tasks", "count": 1},
        )
        for queue in (before, made)
    )
    assert HadBefore(was, is_now, "4.0.5").has(path, {}) is had


@pytest.mark.parametrize(
    ("path", "before", "made", "had"),
    [
        ("exchanges.ex.durable", {"exchanges": {"ex": EX}}, {"exchanges": {"ex": EX}}, True),
        ("exchanges.ex.durable", {"exchanges": {"ex": {**EX, "durable": False}}}, {"exchanges": {"ex": EX}}, False),
        ("exchanges.ex.durable", {}, {"exchanges": {"ex": EX}}, True),
        ("exchanges.ex.type", {"exchanges": {"ex": {**EX, "durable": False}}}, {"exchanges": {"ex": EX}}, True),
        ("settle", {"settle": "2s"}, {"settle": "1s"}, True),
        ("settle", {"settle": "1s"}, {"settle": "1s"}, False),
        ("bindings", {}, {}, True),
        ("publishers.body", {}, {}, True),
    ],
)
def test_of_other_sections(path: str, before: dict[str, Any], made: dict[str, Any], had: bool) -> None:
    assert HadBefore(scenario(**before), scenario(**made), "4.0.5").has(path, {}) is had
