"""The messages that a verdict names one by one."""

from __future__ import annotations

from harness.checks.judge import judge
from harness.verdict.data import DoneTwice, VariantVerdict
from tests.unit.histories import Story, scenario


def verdict(story: Story) -> VariantVerdict:
    return judge(story.history(), scenario(), name="guarantee")


def requeued_after_its_work(seq: int, story: Story) -> None:
    story.sent(seq)
    story.complete(seq, story.deliver(seq))
    story.reject(seq, seq + 1, requeue=True)
    story.process(seq, to=2, redelivered=True)


def test_each_message_done_twice_is_named_with_its_reason_and_its_life() -> None:
    story = Story()
    for seq in range(2):
        requeued_after_its_work(seq, story)
    story.sent(2)
    story.process(2)
    named = verdict(story).done_twice
    assert [str(each.message) for each in named] == ["publisher-1#0", "publisher-1#1"]
    first = named[0]
    assert (first.queue, first.reason, first.actor, first.times) == ("tasks", DoneTwice.REQUEUED, "worker-1", 2)
    assert [event.what for event in first.life].count("completed") == 2


def test_what_nothing_explains_is_named_too() -> None:
    story = Story()
    story.sent(0)
    story.process(0)
    story.process(0, to=2)
    (named,) = verdict(story).done_twice
    assert (named.reason, named.times) == (DoneTwice.UNEXPLAINED, 2)


def test_where_nothing_was_done_twice_nothing_is_named() -> None:
    story = Story()
    story.sent(0)
    story.process(0)
    assert verdict(story).done_twice == ()
