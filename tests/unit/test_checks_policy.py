"""What a queue's policy took is no loss, and nothing else passes for it."""

from __future__ import annotations

import pytest

from harness.checks.judge import judge
from harness.verdict.data import VariantVerdict
from tests.unit.histories import MS, Story, scenario


def verdict(story: Story, **settings: object) -> VariantVerdict:
    publishers = settings.pop("publishers", {"messages": 10})
    return judge(story.history(), scenario(queues={"tasks": settings}, publishers=publishers), name="x")


def fates(found: VariantVerdict) -> dict[str, int]:
    return {fate.value: count for fate, count in found.counts.fates.items() if count}


# Time to live.


def test_what_waited_longer_than_its_time_to_live_expired() -> None:
    story = Story()
    story.sent(0)
    story.now += 1500 * MS
    assert fates(verdict(story, message_ttl="1s")) == {"expired": 1}


@pytest.mark.parametrize(
    ("begins_ms", "ends_ms", "found", "possible"),
    [(1500, 1600, "expired", 0), (800, 1500, "expired", 1), (500, 900, "lost", 0)],
)
def test_what_expires_while_a_node_stops_may_have_been_lost_before(
    begins_ms: int, ends_ms: int, found: str, possible: int
) -> None:
    """The queues are gone at some moment of it."""
    story = Story()
    story.confirm(story.publish(0, persistent=False))
    sent_ns = story.now
    story.now = sent_ns + (begins_ms - 1) * MS
    story.fault("stop", "n1", family="broker", lasts_ms=ends_ms - begins_ms)
    story.now = sent_ns + 5000 * MS
    said = verdict(story, message_ttl="1s")
    assert fates(said) == {found: 1}
    assert sum(said.counts.possible.values()) == possible


def test_what_was_gone_before_its_time_was_up_is_lost() -> None:
    story = Story()
    story.sent(0)
    story.now += 500 * MS
    assert fates(verdict(story, message_ttl="1s")) == {"lost": 1}


def test_what_was_overtaken_before_its_time_was_up_is_lost() -> None:
    """A queue hands out its messages in their order: when a later one came out, the earlier one was there no more."""
    story = Story()
    story.sent(0)
    story.sent(1)
    story.process(1)
    story.now += 5000 * MS
    assert fates(verdict(story, message_ttl="1s")) == {"processed": 1, "lost": 1}


def test_what_was_overtaken_after_its_time_expired() -> None:
    story = Story()
    story.sent(0)
    story.now += 1500 * MS
    story.sent(1)
    story.process(1)
    assert fates(verdict(story, message_ttl="1s")) == {"processed": 1, "expired": 1}


def test_what_a_restart_took_before_its_time_was_up_did_not_expire() -> None:
    story = Story()
    story.confirm(story.publish(0, persistent=False))
    story.restart_broker()
    story.now += 5000 * MS
    found = verdict(story, message_ttl="1s")
    assert fates(found) == {"lost": 1}
    assert found.causes[0].setting == "publishers.persistent: true"


def test_a_restart_does_not_keep_a_durable_message_from_expiring() -> None:
    story = Story()
    story.sent(0)
    story.restart_broker()
    story.now += 5000 * MS
    assert fates(verdict(story, message_ttl="1s")) == {"expired": 1}


def test_what_a_worker_gave_back_may_expire() -> None:
    story = Story()
    story.sent(0)
    story.deliver(0)
    story.kill_worker()
    story.now += 5000 * MS
    assert fates(verdict(story, message_ttl="1s")) == {"expired": 1}


def test_what_was_acknowledged_did_not_expire() -> None:
    story = Story()
    story.sent(0)
    story.ack(story.deliver(0))
    story.now += 5000 * MS
    assert fates(verdict(story, message_ttl="1s")) == {"lost": 1}


def test_what_expires_with_a_dead_letter_target_would_be_there() -> None:
    story = Story(queues=("tasks", "dead"))
    story.sent(0)
    story.now += 5000 * MS
    queues = {"tasks": {"message_ttl": "1s", "dead_letter": "dead"}, "dead": {}}
    assert fates(judge(story.history(), scenario(queues=queues), name="x")) == {"lost": 1}


# Length limits.


def test_the_head_is_dropped_when_as_many_as_fit_came_behind_it() -> None:
    story = Story()
    for seq in range(5):
        story.sent(seq)
    for seq in (2, 3, 4):
        story.process(seq)
    assert fates(verdict(story, max_length=3)) == {"processed": 3, "dropped": 2}


def test_what_had_room_is_lost() -> None:
    story = Story()
    for seq in range(5):
        story.sent(seq)
    for seq in (0, 1, 3, 4):
        story.process(seq)
    assert fates(verdict(story, max_length=5)) == {"processed": 4, "lost": 1}


def test_what_was_overtaken_before_the_queue_was_full_is_lost() -> None:
    story = Story()
    story.sent(0)
    story.sent(1)
    story.process(1)
    for seq in range(2, 9):
        story.sent(seq)
        story.process(seq)
    assert fates(verdict(story, max_length=3)) == {"processed": 8, "lost": 1}


def test_what_an_earlier_drop_left_behind_is_not_counted_twice() -> None:
    """Dropped messages stay undelivered for ever; they must not make a queue look full to later ones."""
    story = Story()
    for seq in range(4):
        story.sent(seq)
    for seq in (1, 2, 3):
        story.process(seq)
    story.sent(4)
    story.sent(5)
    story.process(5)
    assert fates(verdict(story, max_length=3)) == {"processed": 4, "dropped": 1, "lost": 1}


def test_what_a_restart_took_while_there_was_room_was_not_dropped() -> None:
    story = Story()
    story.confirm(story.publish(0, persistent=False))
    story.restart_broker()
    for seq in range(1, 6):
        story.sent(seq)
        story.find(seq)
    assert fates(verdict(story, max_length=3))["lost"] == 1


def test_a_full_queue_that_refuses_loses_what_is_sent_without_confirms() -> None:
    story = Story()
    for seq in range(4):
        story.publish(seq, confirms=False)
    for seq in (0, 1):
        story.process(seq)
    settings = {"max_length": 2, "overflow": "reject-publish", "publishers": {"messages": 4, "confirms": False}}
    assert fates(verdict(story, **settings)) == {"processed": 2, "dropped": 2}


@pytest.mark.parametrize(("overflow", "fate"), [("reject-publish", "dropped"), ("reject-publish-dlx", "lost")])
def test_what_a_full_queue_refuses_is_dead_lettered_only_where_it_says_so(overflow: str, fate: str) -> None:
    queues = {"tasks": {"max_length": 1, "overflow": overflow, "dead_letter": "dead"}, "dead": {}}
    story = Story(queues=("tasks", "dead"))
    story.publish(0, confirms=False)
    story.publish(1, confirms=False)
    story.now += 2000 * MS
    story.process(0)
    found = judge(story.history(), scenario(queues=queues), name="guarantee")
    assert fates(found) == {"processed": 1, fate: 1}


def test_a_full_queue_that_refuses_does_not_explain_the_loss_of_a_confirmed_message() -> None:
    story = Story()
    for seq in range(4):
        story.sent(seq)
    for seq in (0, 1, 3):
        story.process(seq)
    assert fates(verdict(story, max_length=2, overflow="reject-publish")) == {"processed": 3, "lost": 1}


# Delivery limits and rejects.


def requeued(times: int) -> Story:
    story = Story()
    story.sent(0)
    for _ in range(times):
        story.reject(0, story.deliver(0), requeue=True)
    return story


@pytest.mark.parametrize(("times", "fate"), [(3, "lost"), (4, "dropped")])
def test_a_quorum_queue_gives_up_after_its_delivery_limit(times: int, fate: str) -> None:
    assert fates(verdict(requeued(times), type="quorum", delivery_limit=3)) == {fate: 1}


@pytest.mark.parametrize(("times", "fate"), [(20, "lost"), (21, "dropped")])
def test_its_limit_is_20_by_default_from_rabbitmq_4_on(times: int, fate: str) -> None:
    assert fates(verdict(requeued(times), type="quorum")) == {fate: 1}


def test_a_classic_queue_has_no_delivery_limit() -> None:
    assert fates(verdict(requeued(40), type="classic")) == {"lost": 1}


def test_a_limit_counts_the_deliveries_of_one_attempt() -> None:
    story = requeued(3)
    story.confirm(story.publish(0, attempt=2))
    story.reject(0, story.deliver(0, attempt=2), requeue=True)
    assert fates(verdict(story, type="quorum", delivery_limit=3)) == {"lost": 1}


def test_a_reject_that_was_not_the_last_of_it_explains_nothing() -> None:
    story = Story()
    story.sent(0)
    story.reject(0, story.deliver(0))
    story.deliver(0, to=2)
    assert fates(verdict(story)) == {"lost": 1}


def test_what_is_dead_lettered_to_no_queue_is_dropped() -> None:
    story = Story()
    story.sent(0)
    story.reject(0, story.deliver(0))
    assert fates(verdict(story, dead_letter={"exchange": "", "routing_key": "nowhere"})) == {"dropped": 1}


# Behind a dead letter target.


def through(story: Story, **queues: object) -> dict[str, int]:
    return fates(judge(story.history(), scenario(queues=queues, publishers={"messages": 10}), name="x"))


def rejected(*, wait_s: float = 0) -> Story:
    story = Story(queues=("tasks", "second", "third"))
    story.sent(0)
    story.reject(0, story.deliver(0))
    story.now += round(wait_s * 1000) * MS
    return story


def test_the_policy_of_the_queue_that_a_message_was_last_in_decides() -> None:
    story = rejected()
    story.reject(0, story.deliver(0, queue=1, died=True))
    assert through(story, tasks={"dead_letter": "second"}, second={}) == {"dropped": 1}
    assert through(rejected(), tasks={"dead_letter": "second"}, second={}) == {"lost": 1}


def test_a_limit_counts_the_deliveries_from_its_own_queue() -> None:
    story = Story(queues=("tasks", "second"))
    story.sent(0)
    for _ in range(2):
        story.reject(0, story.deliver(0), requeue=True)
    story.reject(0, story.deliver(0))
    story.reject(0, story.deliver(0, queue=1, died=True), requeue=True)
    second = {"type": "quorum", "delivery_limit": 2}
    assert through(story, tasks={"dead_letter": "second"}, second=second) == {"lost": 1}


@pytest.mark.parametrize(("wait_s", "fate"), [(1.5, "expired"), (0.5, "lost")])
def test_what_was_dead_lettered_may_expire_in_its_target(wait_s: float, fate: str) -> None:
    found = through(rejected(wait_s=wait_s), tasks={"dead_letter": "second"}, second={"message_ttl": "1s"})
    assert found == {fate: 1}


@pytest.mark.parametrize(("wait_s", "fate"), [(3.5, "expired"), (2.5, "lost")])
def test_what_expires_twice_must_have_had_the_time_for_both(wait_s: float, fate: str) -> None:
    story = Story(queues=("tasks", "second"))
    story.sent(0)
    story.now += round(wait_s * 1000) * MS
    tasks = {"dead_letter": "second", "message_ttl": "1s"}
    assert through(story, tasks=tasks, second={"message_ttl": "2s"}) == {fate: 1}


def test_a_purge_of_the_target_takes_what_did_not_expire_before() -> None:
    story = rejected(wait_s=0.5)
    story.fault("purge", "second", family="topology")
    story.now += 5000 * MS
    assert through(story, tasks={"dead_letter": "second"}, second={"message_ttl": "1s"}) == {"removed": 1}


def test_a_circle_of_dead_letter_targets_keeps_its_messages() -> None:
    tasks, second = {"dead_letter": "second"}, {"dead_letter": "tasks", "message_ttl": "1s"}
    assert through(rejected(wait_s=5), tasks=tasks, second=second) == {"lost": 1}
