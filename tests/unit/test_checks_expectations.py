"""Every expectation of the language is held against what was seen: one value that holds, one that does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness.checks.judge import judge
from harness.events import BrokerLook, QueueFacts
from harness.history.records import Kind
from harness.scenario.expectations import Expectations, LostAt, Percentiles
from harness.verdict.data import ExpectationResult, Outcome
from tests.unit.histories import FOREIGN, MS, Story, scenario


def busy() -> Story:
    """Ten messages and one of everything that can be counted."""
    story = Story(queues=("tasks", "dead"))
    for seq in range(3):
        story.sent(seq)
        story.process(seq, to=1 + seq % 2)
    story.process(0, to=2, redelivered=True)  # unexplained: the mark is a hint
    story.process(1, to=1)  # unexplained
    story.process(7, of=FOREIGN)
    story.confirm(story.publish(3), nack=True)  # never promised
    story.publish(4)
    story.lose_connection("publisher")
    story.process(4)  # recovered
    story.publish(5, connection=2)
    story.returned(5)
    story.process(5)  # resurrected
    story.confirm(story.publish(6, connection=2), connection=2)
    story.find(6)  # stranded
    story.confirm(story.publish(7, connection=2), connection=2)
    story.find(7, queue=1, died=True)  # dead-lettered
    story.confirm(story.publish(8, connection=2), connection=2)  # lost
    tag = story.publish(9, connection=2)
    story.confirm(tag, connection=2)
    story.complete(9, story.deliver(9, corrupt=True))  # lost
    story.error(406, "PRECONDITION_FAILED - inequivalent arg 'durable'")
    return story


def dropped() -> Story:
    story = Story()
    story.sent(0)
    story.reject(0, story.deliver(0))
    return story


def expired() -> Story:
    story = Story()
    story.sent(0)
    story.now += 2000 * MS
    return story


def purged() -> Story:
    story = Story()
    story.sent(0)
    story.fault("purge", "tasks", family="topology")
    return story


def misrouted() -> Story:
    story = Story(queues=("tasks", "dead"))
    story.sent(0)
    story.process(0)
    story.process(0, queue=1)
    return story


def acknowledged_and_found() -> Story:
    story = Story()
    story.sent(0)
    story.process(0)
    story.find(0)
    return story


def delayed() -> Story:
    story = Story(queues=("delay", "tasks"))
    story.sent(0)
    story.find(0)
    return story


def held() -> Story:
    story = Story(queues=("tasks", "dead"))
    story.sent(0)
    story.reject(0, story.deliver(0))
    facts = QueueFacts(
        name="tasks", type="quorum", durable=True, arguments={}, policy={}, policy_name="", operator_policy_name="",
        consumers=0, foreign_consumers=0, ready=0, unacknowledged=0, held=1, node="n1", state="running",
    )  # fmt: skip
    story.event(BrokerLook, moment="after the drain", own_virtual_host=True, queues=(facts,))
    return story


def struck() -> Story:
    """Work before and after a scaling: 25 completions 10 ms apart, then 50 of them 5 ms apart; a worker killed and back."""
    story = Story()
    for seq in range(80):
        story.sent(seq)
    for seq in range(25):
        story.now += 8 * MS
        story.process(seq)
    story.fault("scale", "worker-2", family="scale")
    for seq in range(25, 75):
        story.now += 3 * MS
        story.process(seq, to=2)
    story.deliver(75)
    story.kill_worker(fault=1)
    story.now += 200 * MS
    for seq in range(75, 80):
        story.process(seq, to=2, redelivered=True)
    return story


DEAD = {"queues": {"tasks": {"dead_letter": "dead"}, "dead": {}}}
DELAY = {
    "queues": {"delay": {"message_ttl": "1h", "dead_letter": "tasks"}, "tasks": {}},
    "workers": {"queue": "tasks"},
}
AT_LEAST_ONCE = {
    "queues": {
        "tasks": {
            "type": "quorum",
            "dead_letter": "dead",
            "overflow": "reject-publish",
            "arguments": {"x-dead-letter-strategy": "at-least-once"},
        },
        "dead": {"max_length": 1, "overflow": "reject-publish"},
    }
}
TASKS = {"publishers": {"tasks": ["one", "two", "three"], "messages": 10}}

CASES: list[tuple[str, Any, Any, Callable[[], Story], dict[str, Any]]] = [
    ("lost", 2, 0, busy, DEAD),
    ("lost_at", {"unknown": 2}, {"worker": ">= 1"}, busy, DEAD),
    ("duplicates", 2, 1, busy, DEAD),
    ("unexplained_duplicates", 2, 1, busy, DEAD),
    ("phantom", 1, 0, busy, DEAD),
    ("corrupt", 1, 0, busy, DEAD),
    ("stranded", 1, 0, busy, DEAD),
    ("published", 10, 9, busy, DEAD),
    ("confirmed", 7, 10, busy, DEAD),
    ("processed", 5, "<= 4", busy, DEAD),
    ("redelivered", 1, 0, busy, DEAD),
    ("dead_lettered", 1, 0, busy, DEAD),
    ("expired", 1, 0, expired, {"queues": {"tasks": {"message_ttl": "1s"}}}),
    ("dropped", 1, 0, dropped, {}),
    ("removed", 1, 0, purged, {}),
    ("retained", 1, 0, held, AT_LEAST_ONCE),
    ("misrouted", 1, 0, misrouted, DEAD),
    ("kept_after_ack", 1, 0, acknowledged_and_found, {}),
    ("in_transit", 1, 0, delayed, DELAY),
    ("returned", 1, 0, busy, DEAD),
    ("nacked", 1, 0, busy, DEAD),
    ("never_promised", 1, 0, busy, DEAD),
    ("recovered", 1, 0, busy, DEAD),
    ("resurrected", 1, 2, busy, DEAD),
    ("order", True, False, busy, DEAD),
    ("round_robin", False, True, busy, DEAD),
    ("processed_by", {"worker-2": 2}, {"worker-2": 1}, busy, DEAD),
    ("processed_by", {"worker-2": ["two", "one"]}, {"worker-2": ["one", "two"]}, busy, DEAD | TASKS),
    ("dealt", [["two", "one"], ["one", "three", "two", "two", "three", "one"]], [["two", "one"]], busy, DEAD | TASKS),
    ("shares", {"worker-2": "20%..30%"}, {"worker": "< 100%"}, busy, DEAD),
    ("fairness", "<= 4", "<= 3", busy, DEAD),
    ("outage", {"publishers": "< 500ms"}, {"workers": "< 100ms"}, struck, {}),
    ("latency", {"confirm": {"max": "<= 1ms"}}, {"completion": {"p50": "< 1ms"}}, struck, {}),
    ("recovery", ">= 150ms", "< 150ms", struck, {}),
    ("faster_after", {"scale": ">= 1.5"}, {"scale": "< 1.5"}, struck, {}),
    ("errors", {"code": 406, "text": "durable"}, {"code": 406, "count": ">= 2"}, busy, DEAD),
]


def results(story: Story, expect: dict[str, Any], settings: dict[str, Any]) -> list[ExpectationResult]:
    return list(judge(story.history(), scenario(expect=expect, **settings), name="x").expectations)


@pytest.mark.parametrize(
    ("field", "good", "bad", "story", "settings"), CASES, ids=[f"{case[0]}-{place}" for place, case in enumerate(CASES)]
)
def test_an_expectation_is_held_against_what_was_seen(
    field: str, good: Any, bad: Any, story: Callable[[], Story], settings: dict[str, Any]
) -> None:
    for value, holds in ((good, True), (bad, False)):
        stated = [each for each in results(story(), {field: value}, settings) if each.stated]
        assert stated, f"{field} was accepted and held against nothing"
        assert {each.path.partition(".")[0] for each in stated} == {field}
        assert [each.holds for each in stated] == [holds] * len(stated), stated


def test_no_field_of_the_language_is_left_out() -> None:
    assert {case[0] for case in CASES} == set(Expectations.model_fields)


@pytest.mark.parametrize("place", sorted(LostAt.model_fields))
def test_every_place_can_be_expected(place: str) -> None:
    (result,) = (each for each in results(busy(), {"lost_at": {place: 2}}, DEAD) if each.path == f"lost_at.{place}")
    assert result.holds is (place == "unknown")


@pytest.mark.parametrize("percentile", sorted(Percentiles.model_fields))
@pytest.mark.parametrize("which", ["confirm", "completion"])
def test_every_percentile_can_be_bounded(which: str, percentile: str) -> None:
    for bound, holds in (("< 1m", True), ("< 1us", False)):
        found = results(struck(), {"latency": {which: {percentile: bound}}}, {})
        (result,) = (each for each in found if each.path == f"latency.{which}.{percentile}")
        assert result.holds is holds


@pytest.mark.parametrize("side", ["publishers", "workers"])
def test_both_sides_can_be_without_service(side: str) -> None:
    for bound, holds in (("< 1m", True), ("< 1us", False)):
        (result,) = (each for each in results(struck(), {"outage": {side: bound}}, {}) if each.stated)
        assert (result.path, result.holds) == (f"outage.{side}", holds)


@pytest.mark.parametrize(
    "expect",
    [
        {"recovery": "< 1s"},
        {"outage": {"workers": "< 1s"}},
        {"latency": {"completion": {"p99": "< 1s"}}},
        {"faster_after": {"scale": ">= 1"}},
        {"shares": {"worker": ">= 50%"}},
        {"fairness": "<= 2"},
    ],
    ids=lambda expect: next(iter(expect)),
)
def test_what_could_not_be_measured_makes_a_run_inconclusive(expect: dict[str, Any]) -> None:
    story = Story()
    story.sent(0)
    story.find(0)
    verdict = judge(story.history(), scenario(expect=expect | {"stranded": 1}), name="x")
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert [result.holds for result in verdict.expectations if result.path.startswith(next(iter(expect)))] == [None]


def test_with_nothing_said_nothing_may_be_lost_invented_corrupted_or_doubled() -> None:
    found = {each.path: each.holds for each in results(busy(), {}, DEAD)}
    seen = ("lost", "unexplained_duplicates", "phantom", "corrupt", "stranded", "dead_lettered", "resurrected")
    unseen = ("misrouted", "kept_after_ack", "in_transit", "expired", "dropped", "removed", "retained")
    assert found == dict.fromkeys(seen, False) | dict.fromkeys(unseen, True)


def test_what_an_expectation_says_of_nobody_is_explained() -> None:
    (result,) = (each for each in results(busy(), {"processed_by": {"worker-9": 1}}, DEAD) if each.stated)
    assert (result.holds, result.explanation) == (False, "there was no worker or group 'worker-9' in this run")


FORCED = "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'"


def errors(story: Story, expected: object) -> tuple[bool | None, str]:
    verdict = judge(story.history(), scenario(expect={"errors": expected}), name="x")
    (result,) = (each for each in verdict.expectations if each.path == "errors.0")
    return result.holds, result.observed


def test_errors_of_publishers_and_workers_count_like_those_of_steps() -> None:
    story = Story()
    story.sent(0)
    story.process(0)
    story.error(406, "PRECONDITION_FAILED - inequivalent arg 'durable'")
    story.close_channel(code=406, reason="PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out")
    story.lose_connection("publisher", code=320, reason=FORCED)
    story.lose_connection(
        "worker", 2, code=403, reason="ACCESS_REFUSED - login refused", kind=Kind.CONNECT_FAILED, connection=0
    )
    assert errors(story, {"code": 406, "count": 2}) == (True, "2 times")
    assert errors(story, {"code": 406, "text": "timed out", "count": 1}) == (True, "1 time")
    assert errors(story, {"code": 320, "text": "shutdown"}) == (True, "1 time")
    assert errors(story, {"code": 403}) == (True, "1 time")


def test_a_socket_that_breaks_and_an_end_in_order_are_no_errors() -> None:
    story = Story()
    story.sent(0)
    story.process(0)
    story.lose_connection("publisher")
    story.lose_connection("worker", code=200, reason="Normal shutdown")
    assert errors(story, {"code": 200}) == (False, "no error")


def test_of_many_errors_that_were_not_expected_some_are_named() -> None:
    story = Story()
    story.sent(0)
    story.process(0)
    for number in range(9):
        story.lose_connection(
            "worker", 1 + number // 2, code=320 + number, reason=f"reason {number // 2}", connection=number
        )
    holds, observed = errors(story, {"code": 406})
    assert (holds, observed) == (False, "320 reason 0, 321 reason 0, 322 reason 1, and 6 others")
