"""What is said of copies that were not done and are not lost for sure: what took them, or lost them, and what would have kept them."""

from __future__ import annotations

from typing import Any

from harness.checks.judge import judge
from harness.history.records import AckMode
from harness.verdict.data import NotDone
from tests.unit.histories import MS, Story, scenario

TTL = {"message_ttl": "1s"}


def later(story: Story, seconds: float) -> None:
    story.now += round(seconds * 1000) * MS


def not_done(story: Story, **queue: Any) -> NotDone:
    """The only group of what was not done."""
    verdict = judge(story.history(), scenario(queues={"tasks": queue}), name="x")
    (found,) = verdict.not_done
    return found


def test_what_surely_expired_is_said_so() -> None:
    story = Story()
    story.sent(0)
    later(story, 5)
    found = not_done(story, **TTL)
    assert found.sentence == (
        "1 message expired by the time to live of tasks. Would have kept it: "
        "queues.tasks.dead_letter or a longer queues.tasks.message_ttl."
    )
    assert not found.possible


def test_what_may_have_been_lost_by_no_fault_may_have_expired() -> None:
    story = Story()
    story.publish(0, confirms=False)
    story.sent(1, by=2)
    later(story, 5)
    verdict = judge(story.history(), scenario(queues={"tasks": TTL}), name="x")
    assert [each.sentence for each in verdict.not_done if each.possible] == [
        "1 message may have expired by the time to live of tasks, or may have been lost. If so, would have kept it: "
        "queues.tasks.dead_letter or a longer queues.tasks.message_ttl."
    ]


def test_where_a_restart_may_have_taken_it_instead_both_causes_and_both_settings_are_named() -> None:
    story = Story()
    tag = story.publish(0, persistent=False)
    later(story, 1.5)
    story.restart_broker()
    story.confirm(tag)
    later(story, 9)
    found = not_done(story, **TTL)
    assert found.possible
    assert found.sentence == (
        "1 message may have expired by the time to live of tasks, or may have been lost in a queue at n1 when `restart n1` struck "
        "at 1.5 s. Would have kept it: queues.tasks.dead_letter or a longer queues.tasks.message_ttl in the one case, "
        "publishers.persistent: true in the other."
    )


def test_where_a_worker_without_acks_may_have_had_it_both_causes_are_named() -> None:
    story = Story()
    story.consume(acks=AckMode.AUTOMATIC)
    story.sent(0)
    story.kill_worker()
    later(story, 9)
    found = not_done(story, **TTL)
    assert found.sentence == (
        "1 message may have expired by the time to live of tasks, or may have been lost at worker-1, acknowledged and not done, "
        "when `kill worker-1` struck at 0.0 s. Would have kept it: queues.tasks.dead_letter or a longer queues.tasks.message_ttl "
        "in the one case, workers.acks: manual in the other."
    )
    assert found.settings[-1] == "workers.acks: manual"


def test_what_left_its_first_queue_by_dying_is_lost_in_the_next_one() -> None:
    """A later message came past it in the first queue long before the fault: that says nothing of the queue that it died into."""
    story = Story(queues=("tasks", "second"))
    story.consume(prefetch=1)
    story.confirm(story.publish(0, persistent=False))
    later(story, 1.5)
    story.sent(1)
    story.process(1)
    later(story, 3)
    story.restart_broker()
    later(story, 9)
    queues = {"tasks": TTL | {"dead_letter": "second"}, "second": {"rests": True}}
    (cause,) = judge(story.history(), scenario(queues=queues), name="x").causes
    assert (cause.fault, cause.setting) == (0, "publishers.persistent: true")
