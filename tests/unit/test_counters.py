"""Live counters: what progress triggers and the live display go by."""

from __future__ import annotations

from typing import Any

import pytest

from harness.engine.counters import ActorCounters, Totals
from tests.unit.histories import scenario

FANOUT: dict[str, Any] = {
    "queues": {"a": {}, "b": {}, "c": {}},
    "exchanges": {"fan": {"type": "fanout"}},
    "bindings": [{"exchange": "fan", "queue": "a"}, {"exchange": "fan", "queue": "b"}],
}
TO_TWO_QUEUES = {"name": "wide", "exchange": "fan", "messages": 10, "count": 2}
TO_ONE_QUEUE = {"name": "plain", "to": "c", "messages": 5}


def totals(*counters: tuple[ActorCounters, float]) -> Totals:
    return Totals.of((each, True, copies) for each, copies in counters)


def test_a_backlog_is_of_copies() -> None:
    """Ten messages in two queues each, and the workers of one of the queues have done their ten."""
    found = totals((ActorCounters(published=10), 2.0), (ActorCounters(processed=10), 1.0))
    assert (found.published, found.copies, found.processed, found.backlog) == (10, 20, 10, 10)
    assert found.reached({"backlog": 10})
    assert not found.reached({"backlog": 11})


def test_routes_that_are_taken_in_turn_count_with_their_mean() -> None:
    assert totals((ActorCounters(published=9), 1.5), (ActorCounters(published=1), 1.0)).copies == 14


def test_duplicates_make_no_backlog_below_nothing() -> None:
    assert totals((ActorCounters(published=1), 1.0), (ActorCounters(processed=3), 1.0)).backlog == 0


@pytest.mark.parametrize(
    ("publishers", "copies"),
    [
        ([TO_ONE_QUEUE], 5),
        ([TO_TWO_QUEUES], 40),
        ([TO_TWO_QUEUES, TO_ONE_QUEUE], 45),
        ([TO_ONE_QUEUE | {"duration": "1s", "messages": None}], None),
    ],
)
def test_a_scenario_knows_how_many_copies_there_will_be(publishers: list[dict[str, Any]], copies: int | None) -> None:
    groups = [{key: value for key, value in group.items() if value is not None} for group in publishers]
    assert scenario(**FANOUT, publishers=groups, workers={"queue": "c"}).expected_copies == copies


def test_a_message_that_reaches_no_queue_is_one_copy() -> None:
    of = scenario(
        queues={"a": {}}, exchanges={"fan": {"type": "fanout"}}, publishers={"exchange": "fan", "messages": 7}
    )
    assert of.expected_copies == 7
