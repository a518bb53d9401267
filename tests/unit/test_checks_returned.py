"""A message that came back as unroutable reached no queue: it is one copy, however many queues its exchange led to."""

from __future__ import annotations

from typing import Any

from harness.checks.judge import judge
from harness.verdict.data import Fate, VariantVerdict
from tests.unit.histories import Story, scenario

FAN: dict[str, Any] = {
    "queues": {"a": {"durable": False}, "b": {"durable": False}},
    "exchanges": {"fan": {"type": "fanout"}},
    "bindings": [{"exchange": "fan", "queue": "a"}, {"exchange": "fan", "queue": "b"}],
    "publishers": {"messages": 10, "exchange": "fan", "routing_key": "k", "mandatory": True},
    "workers": [{"name": "worker", "queue": "a"}, {"name": "other", "queue": "b"}],
}


def of_a_fan_out() -> Story:
    """One message was done in both queues before the broker ended, and took them with it."""
    story = Story(queues=("a", "b"), routes=("fan/k",))
    story.sent(0)
    story.process(0)
    story.process(0, to=2, queue=1)
    story.restart_broker()
    return story


def came_back(story: Story, seq: int, *, attempt: int = 1) -> None:
    tag = story.publish(seq, attempt=attempt, mandatory=True, connection=2)
    story.returned(seq, attempt=attempt)
    story.confirm(tag, connection=2)


def judged(story: Story) -> VariantVerdict:
    return judge(story.history(), scenario(**FAN), name="x")


def not_done(found: VariantVerdict) -> dict[str, int]:
    return {name: fates[Fate.NEVER_PROMISED] for name, fates in found.by_queue.items()}


def test_what_came_back_from_a_fan_out_is_one_copy_in_no_queue() -> None:
    story = of_a_fan_out()
    came_back(story, 1)
    found = judged(story)
    assert (found.counts.published, found.counts.copies) == (2, 3)
    assert not_done(found) == {"a": 0, "b": 0, "fan/k": 1}


def test_what_came_back_at_each_attempt_is_one_copy() -> None:
    story = of_a_fan_out()
    came_back(story, 1)
    came_back(story, 1, attempt=2)
    found = judged(story)
    assert (found.counts.copies, not_done(found)["fan/k"]) == (3, 1)


def test_what_was_refused_first_and_came_back_then_may_be_in_its_queues() -> None:
    story = of_a_fan_out()
    story.confirm(story.publish(1, connection=2), nack=True, connection=2)
    came_back(story, 1, attempt=2)
    found = judged(story)
    assert (found.counts.copies, not_done(found)) == (4, {"a": 1, "b": 1})


def test_what_came_back_and_was_done_all_the_same_is_counted_where_it_was_done() -> None:
    story = of_a_fan_out()
    came_back(story, 1)
    story.process(1)
    found = judged(story)
    assert (found.counts.copies, found.counts.fates[Fate.RESURRECTED]) == (3, 1)
    assert found.by_queue["a"][Fate.RESURRECTED] == 1


def test_what_came_back_and_was_done_after_later_ones_is_out_of_order() -> None:
    story = of_a_fan_out()
    came_back(story, 1)
    story.confirm(story.publish(2, connection=2), connection=2)
    story.process(2)
    story.process(1)
    assert judged(story).counts.out_of_order == 1
