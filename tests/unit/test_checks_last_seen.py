"""When lost messages were last seen, and which worker had which message."""

from __future__ import annotations

from harness.checks.judge import judge
from harness.checks.words.sentences import SEEN_TIMES
from harness.verdict.data import Fate, VariantVerdict
from tests.unit.histories import MS, Story, scenario


def killed_while_holding(lost: int) -> VariantVerdict:
    """Worker 1 holds `lost` messages, delivered 1 ms after each other from 3 ms on, when it is killed; worker 2 does two."""
    story = Story()
    for seq in range(lost + 2):
        story.publish(seq, confirms=False)
    for seq in range(2):
        story.process(seq, to=2)
    for seq in range(2, lost + 2):
        story.deliver(seq, to=1)
    story.kill_worker(1)
    return judge(story.history(), scenario(workers={"count": 2, "acks": "automatic"}), name="x")


def test_a_lost_message_was_last_seen_at_its_last_record() -> None:
    found = killed_while_holding(3)
    (cause,) = found.causes
    assert [seen.count for seen in cause.last_seen] == [1, 1, 1]
    assert [round(seen.at_s, 6) for seen in cause.last_seen] == [round(each.last_seen_s, 6) for each in found.lost]
    assert [each.last_seen_s for each in found.lost] == [each.life[-1].at_s for each in found.lost]


def test_an_acknowledgement_counts_as_seen() -> None:
    story = Story()
    story.sent(0)
    tag = story.deliver(0)
    story.now += 50 * MS
    story.ack(tag)
    story.kill_worker(1)
    (lost,) = judge(story.history(), scenario(workers={"count": 2, "acks": "early"}), name="x").lost
    assert lost.life[-1].what == "acknowledged"
    assert lost.last_seen_s == lost.life[-1].at_s


def test_many_times_are_put_together_and_every_lost_message_is_counted() -> None:
    (cause,) = killed_while_holding(500).causes
    assert len(cause.last_seen) == SEEN_TIMES
    assert sum(seen.count for seen in cause.last_seen) == cause.count == 500


def test_the_fates_by_worker_add_up_to_what_was_published() -> None:
    found = killed_while_holding(3)
    assert found.by_worker["worker-1"][Fate.LOST] == 3
    assert found.by_worker["worker-2"][Fate.PROCESSED] == 2
    assert sum(sum(row.values()) for row in found.by_worker.values()) == found.counts.published


def test_a_message_belongs_to_the_worker_that_completed_it_first() -> None:
    story = Story()
    story.sent(0)
    story.sent(1)
    story.deliver(0, to=1)
    story.process(0, to=2, redelivered=True)
    story.process(0, to=1, redelivered=True)
    found = judge(story.history(), scenario(), name="x")
    assert found.by_worker["worker-2"][Fate.PROCESSED] == 1
    assert sum(found.by_worker["worker-1"].values()) == 0
    assert found.by_worker[""][Fate.LOST] == 1
    assert found.deliveries_each == {0: 1, 3: 1}


def test_fairness_is_one_for_equal_shares_and_one_in_n_if_one_did_all() -> None:
    story = Story()
    for seq in range(4):
        story.sent(seq)
        story.process(seq, to=seq % 2 + 1)
    assert judge(story.history(), scenario(), name="x").fairness == 1
    story = Story()
    for seq in range(4):
        story.sent(seq)
        story.process(seq, to=1)
    story.deliver(3, to=2, redelivered=True)
    assert judge(story.history(), scenario(), name="x").fairness == 0.5
