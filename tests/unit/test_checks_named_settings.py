"""The settings that are named for what was lost: of the group that lacks them, and none that would not have helped."""

from __future__ import annotations

from typing import Any

from harness.checks.judge import judge
from harness.checks.rules.remedies import of_not_done
from harness.checks.rules.taken import Reason
from harness.checks.tally.message_table import tabulate
from harness.history.records import Kind
from tests.unit.histories import Story, scenario
from tests.unit.told_causes import cause

CONFIRMS = "publishers.confirms: true"
UNCONFIRMED = scenario(publishers={"messages": 10, "confirms": False})


def test_what_was_larger_than_the_broker_allows_would_not_have_been_kept_by_confirms() -> None:
    story = Story()
    story.publish(0, confirms=False)
    story.publish(1, confirms=False)
    said = "PRECONDITION_FAILED - message size 153600 is larger than configured max size 100000"
    story.lose_connection("publisher", code=406, reason=said, kind=Kind.CHANNEL_CLOSED)
    (found,) = judge(story.history(), UNCONFIRMED, name="x").causes
    assert found.sentence == (
        "2 messages were lost on the way from publisher-1 to the queue. A body of 153,600 bytes is larger than the broker's "
        "max_message_size, 100,000 bytes, so it closed the channel. Would have kept them: a greater max_message_size in "
        "broker.config (or smaller bodies)."
    )
    assert found.settings[0] == ("broker.config.max_message_size",)


def test_a_channel_that_was_closed_for_another_reason_would_have_been_told_by_confirms() -> None:
    story = Story()
    story.publish(0, confirms=False)
    story.lose_connection("publisher", code=404, reason="NOT_FOUND - no exchange", kind=Kind.CHANNEL_CLOSED)
    assert cause(story, UNCONFIRMED)[3] == CONFIRMS


# Several groups.


GROUPS: list[dict[str, Any]] = [
    {"name": "publisher", "messages": 10, "confirms": False},
    {"name": "second", "messages": 10, "persistent": False},
]


def lost_on_the_way() -> Story:
    story = Story()
    story.publish(0, confirms=False)
    story.lose_connection("publisher")
    return story


def test_only_the_group_that_lacks_a_setting_is_named() -> None:
    (found,) = judge(lost_on_the_way().history(), scenario(publishers=GROUPS), name="x").causes
    path = "publishers.publisher.confirms"
    assert (found.setting, found.settings) == (f"{path}: true", ((path,),))


def test_a_setting_that_all_groups_lack_is_named_for_all() -> None:
    both = [each | {"confirms": False} for each in GROUPS]
    (found,) = judge(lost_on_the_way().history(), scenario(publishers=both), name="x").causes
    assert (found.setting, found.settings) == (CONFIRMS, (("publishers.confirms",),))


def test_only_the_group_of_workers_that_acknowledges_by_itself_is_named() -> None:
    story = Story()
    story.sent(0)
    story.ack(story.deliver(0))
    story.kill_worker()
    workers = [{"name": "slow"}, {"name": "worker", "acks": "early"}]
    (found,) = judge(story.history(), scenario(workers=workers), name="x").causes
    assert (found.setting, found.settings) == ("workers.worker.acks: manual", (("workers.worker.acks",),))


def test_what_a_full_queue_refused_names_the_groups_that_send_to_it_without_confirms() -> None:
    queues = {"tasks": {"max_length": 1, "overflow": "reject-publish"}, "second": {}}
    groups: list[dict[str, Any]] = [
        {"name": "sure", "messages": 10},
        {"name": "one", "messages": 10, "confirms": False},
        {"name": "elsewhere", "messages": 10, "confirms": False, "to": "second"},
    ]
    of = tabulate(Story(queues=tuple(queues)).history(), scenario(queues=queues, publishers=groups)).topology
    first = next(of_not_done(Reason.LENGTH, "tasks", of))
    assert (first.text, first.ways) == ("publishers.one.confirms: true", (("publishers.one.confirms",),))
