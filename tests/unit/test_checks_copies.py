"""Routes: to one queue, to several at once, to none."""

from __future__ import annotations

import pytest

from harness.checks.judge import judge
from harness.scenario.routing import downstream, route_queues, topic_matches
from harness.scenario.scenario import Scenario
from harness.verdict.data import Place, VariantVerdict
from tests.unit.histories import Story, scenario

FAN = scenario(
    queues={"left": {}, "right": {}},
    exchanges={"fan": {"type": "fanout"}},
    bindings=[{"exchange": "fan", "queue": "left"}, {"exchange": "fan", "queue": "right"}],
    publishers={"messages": 5, "exchange": "fan"},
    workers=[{"name": "worker", "queue": "left"}, {"name": "else", "queue": "right"}],
)


def fan() -> Story:
    return Story(queues=("left", "right"), routes=("fan/",))


def fates(found: VariantVerdict) -> dict[str, int]:
    return {fate.value: count for fate, count in found.counts.fates.items() if count}


def test_a_message_of_two_queues_has_two_copies() -> None:
    story = fan()
    story.sent(0)
    story.process(0, queue=0)
    story.process(0, to=2, queue=1)
    found = judge(story.history(), FAN, name="x")
    assert (found.counts.published, found.counts.copies) == (1, 2)
    assert fates(found) == {"processed": 2}
    assert found.counts.duplicates == 0


def test_one_copy_may_be_lost_and_the_other_processed() -> None:
    story = fan()
    story.sent(0)
    story.process(0, queue=0)
    story.restart_broker()
    found = judge(story.history(), FAN, name="x")
    assert fates(found) == {"processed": 1, "lost": 1}
    assert (found.lost[0].place, found.lost[0].queue) == (Place.BROKER, "right")


def test_a_copy_that_is_left_over_is_stranded() -> None:
    story = fan()
    story.sent(0)
    story.process(0, queue=0)
    story.find(0, queue=1)
    assert fates(judge(story.history(), FAN, name="x")) == {"processed": 1, "stranded": 1}


def test_a_copy_processed_twice_is_a_duplicate() -> None:
    story = fan()
    story.sent(0)
    story.process(0, queue=0)
    story.process(0, queue=1)
    story.process(0, to=2, queue=1)
    found = judge(story.history(), FAN, name="x")
    assert (found.counts.duplicates, found.counts.unexplained_duplicates) == (1, 1)


TOPOLOGY: Scenario = scenario(
    queues={"a": {}, "b": {"dead_letter": "c"}, "c": {"dead_letter": {"exchange": "direct", "routing_key": "one"}}},
    exchanges={
        "direct": {},
        "fan": {"type": "fanout"},
        "topic": {"type": "topic"},
        "headers": {"type": "headers"},
        "spare": {"arguments": {"alternate-exchange": "fan"}},
        "with/slash": {},
    },
    bindings=[
        {"exchange": "direct", "queue": "a", "routing_key": "one"},
        {"exchange": "direct", "queue": "a", "routing_key": "two"},
        {"exchange": "direct", "queue": "b", "routing_key": "two"},
        {"exchange": "fan", "queue": "a"},
        {"exchange": "fan", "queue": "a", "routing_key": "again"},
        {"exchange": "topic", "queue": "a", "routing_key": "order.*"},
        {"exchange": "topic", "queue": "b", "routing_key": "order.#"},
        {"exchange": "headers", "queue": "a", "arguments": {"x-match": "all", "kind": "order"}},
        {"exchange": "headers", "queue": "b"},
        {"exchange": "with/slash", "queue": "c", "routing_key": "k"},
    ],
)


@pytest.mark.parametrize(
    ("route", "queues"),
    [
        ("a", ("a",)),
        ("/a", ("a",)),
        ("nowhere", ()),
        ("direct/one", ("a",)),
        ("direct/two", ("a", "b")),
        ("direct/three", ()),
        ("fan/", ("a",)),
        ("topic/order.new", ("a", "b")),
        ("topic/order", ("b",)),
        ("topic/order.new.big", ("b",)),
        ("topic/other", ()),
        ("headers/", ("b",)),
        ("spare/anything", ("a",)),
        ("with/slash/k", ("c",)),
        ("unknown/key", ()),
    ],
)
def test_a_route_leads_to_the_queues_that_are_bound(route: str, queues: tuple[str, ...]) -> None:
    assert route_queues(route, TOPOLOGY) == queues


def test_dead_letters_go_on_from_queue_to_queue() -> None:
    assert downstream("b", "b", TOPOLOGY) == {"b", "c", "a"}


@pytest.mark.parametrize(
    ("pattern", "key", "matches"),
    [
        ("#", "", True),
        ("#", "a.b", True),
        ("*", "", False),
        ("", "", True),
        ("a.#.b", "a.b", True),
        ("a.#.b", "a.x.y.b", True),
        ("a.#.b", "a.x.y", False),
        ("a.*.b", "a.b", False),
        ("a", "a.b", False),
    ],
)
def test_a_topic_matches_by_words(pattern: str, key: str, matches: bool) -> None:
    assert topic_matches(pattern, key) is matches


def test_a_lost_copy_is_named_by_its_queue() -> None:
    story = fan()
    story.sent(0)
    story.process(0, queue=0)
    assert [lost.queue for lost in judge(story.history(), FAN, name="x").lost] == ["right"]
