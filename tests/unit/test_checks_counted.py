"""How many copies died for a reason, by the broker's own counters: at most what it counted, and at least that without what else can have died."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from harness.checks.rules.counted import EXPIRED, MAXLEN, Bounds, Counters, Pool, pool_of
from harness.checks.tally.message_table import MessageTable, tabulate
from harness.events import BrokerLook
from harness.history.records import AckMode
from harness.scenario.scenario import Scenario
from tests.unit.histories import FOREIGN, MS, Story, queue_facts, scenario

PLAIN = Pool("classic", "disabled")
LEADING = Pool("classic", "at_most_once")
ENDS = scenario(queues={"tasks": {"message_ttl": "1s"}, "second": {"type": "quorum"}})
LEADS = scenario(queues={"tasks": {"message_ttl": "1s", "dead_letter": "second"}, "second": {}})


def a_story() -> Story:
    return Story(queues=("tasks", "second"))


def look(story: Story, count: int, *, after: bool, key: str = "classic/disabled/expired", **changes: Any) -> None:
    moment = "after the drain" if after else "before the traffic"
    fields: dict[str, Any] = {"dead_lettered": {"n1": {key: count}}, "node_started": {"n1": "once"}}
    story.event(BrokerLook, moment=moment, **fields | changes)


def bounds(
    story: Story,
    pool: Pool = PLAIN,
    reason: str = EXPIRED,
    *,
    before: int = 0,
    after: int = 5,
    missing: Sequence[int] = (),
    of: Scenario = ENDS,
    **changes: Any,
) -> Bounds | None:
    """What the counters say, of a run that begins and ends with a look."""
    key = "/".join((*pool, reason))
    look(story, before, after=False, key=key)
    look(story, after, after=True, key=key, **changes)
    return of_looks(story, pool, reason, missing=missing, of=of)


def of_looks(
    story: Story, pool: Pool = PLAIN, reason: str = EXPIRED, *, missing: Sequence[int] = (), of: Scenario = ENDS
) -> Bounds | None:
    history = story.history()
    table: MessageTable = tabulate(history, of)
    return Counters(np.array(missing, dtype=np.int64), table, history.events).bounds(pool, reason)


# What is counted.


def test_what_was_counted_between_the_looks_died_for_the_reason() -> None:
    assert bounds(a_story(), before=2, after=7) == (5, 5)


def test_nodes_are_added_up_and_other_queues_and_reasons_do_not_count() -> None:
    story = a_story()
    look(story, 0, after=False)
    counts = {"classic/disabled/expired": 2, "classic/disabled/maxlen": 90, "quorum/disabled/expired": 90}
    look(story, 0, after=True, dead_lettered={"n1": counts, "n2": {"classic/disabled/expired": 1}, "n3": {}})
    assert of_looks(story) == (3, 3)


def test_a_queue_belongs_to_the_pool_of_its_type_and_strategy() -> None:
    queues = {
        "tasks": {"type": "quorum"},
        "leading": {"dead_letter": "tasks"},
        "safe": {
            "type": "quorum",
            "dead_letter": "tasks",
            "arguments": {"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"},
        },
    }
    topology = tabulate(a_story().history(), scenario(queues=queues)).topology
    assert {name: pool_of(topology.policy(name)) for name in queues} == {
        "tasks": ("quorum", "disabled"),
        "leading": ("classic", "at_most_once"),
        "safe": ("quorum", "at_least_once"),
    }


# What is not known.


def test_without_both_looks_nothing_is_known() -> None:
    only_before, only_after = a_story(), a_story()
    look(only_before, 0, after=False)
    look(only_after, 0, after=True)
    assert of_looks(only_before) is of_looks(only_after) is None


def test_a_look_that_was_not_taken_tells_nothing() -> None:
    assert bounds(a_story(), not_asked="it is down") is None


def test_a_broker_that_does_not_count_tells_nothing() -> None:
    story = a_story()
    look(story, 0, after=False, dead_lettered={})
    look(story, 0, after=True, dead_lettered={})
    assert of_looks(story) is None


def test_the_last_look_after_the_drain_counts() -> None:
    story = a_story()
    look(story, 0, after=False)
    look(story, 3, after=True)
    look(story, 4, after=True)
    assert of_looks(story) == (4, 4)


# At least.


def test_where_strangers_are_connected_nothing_surely_died() -> None:
    assert bounds(a_story(), foreign_connections=("somebody",)) == (0, 5)


def test_where_the_dead_go_on_nothing_surely_died() -> None:
    """The same copy may die again in the next queue."""
    assert bounds(a_story(), LEADING, of=LEADS) == (0, 5)


def test_what_was_published_again_may_have_died_twice() -> None:
    story = a_story()
    story.publish(0)
    story.publish(0, attempt=2)
    story.process(0)
    assert bounds(story) == (4, 5)


def test_what_was_requeued_and_did_not_come_again_may_have_died_in_its_queue() -> None:
    story = a_story()
    for seq in range(2):
        story.sent(seq)
        story.process(seq)
    story.reject(0, story.deliver(0), requeue=True)
    story.reject(1, story.deliver(1), requeue=True)
    story.process(1)
    story.sent(2)
    story.reject(2, story.deliver(2))
    assert bounds(story) == (4, 5)


def test_what_was_requeued_into_another_queue_did_not_die_in_this_one() -> None:
    story = a_story()
    story.publish(0, route=1)
    story.reject(0, story.deliver(0, queue=1), requeue=True)
    story.process(0, queue=1)
    assert bounds(story) == (5, 5)


def test_what_was_held_when_its_connection_ended_may_have_come_back_and_died() -> None:
    story = a_story()
    for seq in range(4):
        story.sent(seq)
    story.complete(0, story.deliver(0))  # never acknowledged
    early, late = story.deliver(1), story.deliver(2)
    story.complete(1, early)
    story.complete(2, late)
    story.ack(early)
    story.now += 2000 * MS
    story.ack(late)  # so late that the broker may have missed it
    story.lose_connection("worker")
    assert bounds(story, missing=(3,)) == (3, 5)


def test_an_ack_that_made_room_for_what_was_held_in_the_end_was_not_lost() -> None:
    story = a_story()
    story.consume(prefetch=2)
    for seq in range(3):
        story.sent(seq)
    tag = story.deliver(0)
    story.complete(0, tag)
    story.ack(tag)
    story.deliver(1)
    story.deliver(2)
    story.lose_connection("worker")
    assert bounds(story, missing=(1, 2)) == (5, 5)


@pytest.mark.parametrize(("before_ms", "least"), [(1000, 4), (1001, 5)])
def test_what_was_acknowledged_no_more_than_a_second_before_its_connection_was_lost_may_have_come_back(
    before_ms: int, least: int
) -> None:
    story = a_story()
    story.sent(0)
    tag = story.deliver(0)
    story.complete(0, tag)
    story.ack(tag)
    story.now += (before_ms - 1) * MS
    story.lose_connection("worker")
    assert bounds(story) == (least, 5)


def test_what_came_back_with_its_connection_and_was_sent_again_did_not_die() -> None:
    story = a_story()
    story.sent(0)
    story.complete(0, story.deliver(0))
    story.lose_connection("worker")
    tag = story.deliver(0, connection=2)
    story.ack(tag, connection=2)
    assert bounds(story) == (5, 5)


@pytest.mark.parametrize(("counted", "least"), [({"n1": 7}, 5), ({"n1": 6}, 4), ({"n1": 8}, 4), ({}, 4)])
def test_as_many_acks_as_the_broker_counted_arrived(counted: dict[str, int], least: int) -> None:
    story = a_story()
    story.sent(0)
    tag = story.deliver(0)
    story.complete(0, tag)
    story.ack(tag)
    story.lose_connection("worker")
    look(story, 0, after=False, acknowledged=dict.fromkeys(counted, 6))
    look(story, 5, after=True, acknowledged=counted)
    assert of_looks(story) == (least, 5)


@pytest.mark.parametrize(
    ("counted", "others", "all_of_them"), [(2, (), True), (1, (), False), (2, ("somebody",), False)]
)
def test_as_many_rejects_as_the_broker_counted_arrived(
    counted: int, others: tuple[str, ...], *, all_of_them: bool
) -> None:
    story = a_story()
    for seq in range(3):
        story.sent(seq)
    story.reject(0, story.deliver(0))
    story.reject(1, story.deliver(1))
    story.reject(2, story.deliver(2), requeue=True)
    look(story, 3, after=False, key="classic/disabled/rejected")
    look(story, 3 + counted, after=True, key="classic/disabled/rejected", foreign_connections=others)
    history = story.history()
    table = tabulate(history, ENDS)
    counters = Counters(np.empty(0, dtype=np.int64), table, history.events)
    assert counters.all_rejects_arrived("tasks") is all_of_them


def test_without_counts_nothing_is_known_of_rejects() -> None:
    story = a_story()
    history = story.history()
    assert not Counters(np.empty(0, dtype=np.int64), tabulate(history, ENDS), history.events).all_rejects_arrived(
        "tasks"
    )


def test_what_a_worker_holds_whose_connection_has_not_ended_has_not_come_back() -> None:
    story = a_story()
    story.sent(0)
    story.complete(0, story.deliver(0))
    assert bounds(story) == (5, 5)


def test_with_automatic_acks_nothing_comes_back() -> None:
    story = a_story()
    story.consume(acks=AckMode.AUTOMATIC)
    story.sent(0)
    story.complete(0, story.deliver(0))
    story.lose_connection("worker")
    assert bounds(story) == (5, 5)


def test_what_is_missing_is_not_counted_as_come_back() -> None:
    story = a_story()
    story.sent(0)
    story.deliver(0)
    story.lose_connection("worker")
    assert bounds(story, missing=(0,)) == (5, 5)


def test_what_was_never_promised_nor_done_may_have_died() -> None:
    story = a_story()
    story.publish(0)
    story.process(0)
    story.publish(1)
    story.publish(2)
    story.publish(3, route=1)
    story.sent(4)
    assert bounds(story, missing=(4,)) == (3, 5)


def test_what_was_refused_at_first_and_never_promised_later_may_have_died() -> None:
    story = a_story()
    story.confirm(story.publish(0), nack=True)
    assert bounds(story) == (5, 5)
    story = a_story()
    story.confirm(story.publish(0), nack=True)
    story.publish(0, attempt=2)
    assert bounds(story) == (3, 5)


def test_what_was_never_promised_may_have_died_where_a_death_led_it() -> None:
    of = scenario(queues={"tasks": {"dead_letter": "second"}, "second": {"message_ttl": "1s"}})
    story = a_story()
    story.publish(0)
    story.publish(1, route=1)
    assert bounds(story, of=of) == (3, 5)


@pytest.mark.parametrize(("more", "least"), [({"max_length": 9}, 4), ({}, 5)])
def test_what_came_back_to_a_queue_may_have_died_where_a_death_that_nobody_sees_led_it(
    more: dict[str, object], least: int
) -> None:
    of = scenario(queues={"tasks": {"dead_letter": "second", **more}, "second": {"message_ttl": "1s"}})
    story = a_story()
    story.sent(0)
    story.complete(0, story.deliver(0))
    story.lose_connection("worker")
    assert bounds(story, of=of) == (least, 5)


def test_what_a_node_counted_since_its_start_is_the_least() -> None:
    story = a_story()
    look(story, 7, after=False)
    look(story, 5, after=True, node_started={"n1": "twice"})
    found = of_looks(story)
    assert found is not None
    assert found.least == 5
    assert found.most > 1 << 60


def test_a_node_that_has_counted_nothing_since_its_start_tells_nothing() -> None:
    story = a_story()
    look(story, 7, after=False)
    look(story, 0, after=True, node_started={"n1": "twice"})
    assert of_looks(story) is None


def test_what_each_publisher_was_never_promised_may_have_died_in_its_own_queue() -> None:
    story = a_story()
    story.publish(0, route=1)
    story.confirm(1)
    story.sent(0, by=2)
    story.publish(1, by=2)
    assert bounds(story, missing=(0, 1)) == (4, 5)


def test_no_less_than_nothing_died() -> None:
    story = a_story()
    for seq in range(4):
        story.publish(seq)
    assert bounds(story, after=2) == (0, 2)


def test_what_strangers_sent_may_have_died() -> None:
    story = a_story()
    story.find(0, of=FOREIGN)
    assert bounds(story) == (4, 5)


# At most.


def test_what_stood_in_a_queue_at_the_last_look_and_was_not_found_may_have_died_since() -> None:
    story = a_story()
    story.sent(0)
    story.find(0)
    queues = (queue_facts("tasks", ready=3, unacknowledged=2), queue_facts("second", ready=70))
    assert bounds(story, queues=queues) == (5, 9)


def test_what_was_found_and_did_not_stand_there_takes_nothing_away() -> None:
    story = a_story()
    story.sent(0)
    story.find(0)
    assert bounds(story, queues=(queue_facts("tasks"),)) == (5, 5)


def test_what_came_as_a_dead_letter_died_and_is_not_missing() -> None:
    story = a_story()
    for seq in range(4):
        story.sent(seq)
    story.deliver(0, queue=1, died=True)
    story.find(1, queue=1, died=True)
    story.find(2, queue=1)
    assert bounds(story, LEADING, missing=(3,), of=LEADS) == (0, 3)


def test_a_death_into_two_queues_is_one_death() -> None:
    of = scenario(
        queues={"tasks": {"message_ttl": "1s", "dead_letter": {"exchange": "fan"}}, "second": {}, "third": {}},
        exchanges={"fan": {"type": "fanout"}},
        bindings=[{"exchange": "fan", "queue": "second"}, {"exchange": "fan", "queue": "third"}],
    )
    story = Story(queues=("tasks", "second", "third"))
    for seq in range(2):
        story.sent(seq)
    story.find(0, queue=1, died=True)
    story.find(0, queue=2, died=True)
    story.find(1, queue=2, died=True)
    assert bounds(story, LEADING, of=of) == (0, 3)


def test_what_a_worker_rejected_did_not_die_for_the_reason() -> None:
    story = a_story()
    story.sent(0)
    story.reject(0, story.deliver(0))
    story.deliver(0, queue=1, died=True)
    assert bounds(story, LEADING, of=LEADS) == (0, 5)


def test_what_a_quorum_queue_counted_may_have_died_of_that() -> None:
    quorum = scenario(
        queues={"tasks": {"type": "quorum", "message_ttl": "1s", "dead_letter": "second"}, "second": {"type": "quorum"}}
    )
    for count, most in ((0, 4), (1, 5)):
        story = a_story()
        story.sent(0)
        story.deliver(0, count=count)
        story.lose_connection("worker")
        story.find(0, queue=1, died=True)
        assert bounds(story, Pool("quorum", "at_most_once"), of=quorum) == (0, most)


@pytest.mark.parametrize(
    ("reason", "more", "most"),
    [
        (EXPIRED, {}, 4),
        (EXPIRED, {"max_length": 9}, 5),
        (MAXLEN, {}, 5),
        (MAXLEN, {"max_length": 9, "message_ttl": None}, 4),
    ],
)
def test_a_dead_letter_tells_its_reason_only_where_there_is_one(reason: str, more: dict[str, Any], most: int) -> None:
    story = a_story()
    story.sent(0)
    story.find(0, queue=1, died=True)
    settings = {"message_ttl": "1s", "dead_letter": "second", **more}
    of = scenario(queues={"tasks": {key: each for key, each in settings.items() if each}, "second": {}})
    assert bounds(story, LEADING, reason, of=of) == (0, most)


def test_one_leading_queue_with_another_reason_or_of_another_pool_leaves_the_reason_open() -> None:
    leading: dict[str, Any] = {"message_ttl": "1s", "dead_letter": "second"}
    for other in ({"max_length": 9}, {"type": "quorum"}):
        story = Story(queues=("tasks", "third", "second"))
        story.sent(0)
        story.find(0, queue=2, died=True)
        of = scenario(queues={"tasks": leading, "third": leading | other, "second": {}})
        assert bounds(story, LEADING, of=of) == (0, 5)


def test_a_dead_letter_of_another_pool_tells_nothing() -> None:
    story = a_story()
    story.sent(0)
    story.find(0, queue=1, died=True)
    assert bounds(story, PLAIN, of=LEADS) == (5, 5)


def test_no_more_than_nothing_died_where_nothing_was_counted() -> None:
    story = a_story()
    story.sent(0)
    story.find(0, queue=1, died=True)
    found = bounds(story, LEADING, after=0, of=LEADS)
    assert found == (0, 0)


@pytest.mark.parametrize(("standing", "found", "most"), [(0, 0, 5), (7, 0, 12), (7, 3, 9)])
def test_what_stood_in_a_queue_that_leads_there_can_have_died_there_after_the_look(
    standing: int, found: int, most: int
) -> None:
    of = scenario(queues={"tasks": {"message_ttl": "1s", "dead_letter": "second"}, "second": {"max_length": 3}})
    story = a_story()
    for seq in range(found):
        story.sent(seq)
        story.find(seq)
    facts = (queue_facts("tasks", standing), queue_facts("elsewhere", 50))
    limits = bounds(story, PLAIN, MAXLEN, of=of, queues=facts)
    assert limits is not None
    assert limits.most == most


def test_what_stood_in_queues_that_lead_to_each_other_can_have_died_in_either_after_the_look() -> None:
    to_each_other = {"tasks": {"message_ttl": "1s", "dead_letter": "second"}, "second": {"dead_letter": "tasks"}}
    facts = (queue_facts("tasks", 2), queue_facts("second", 3))
    assert bounds(a_story(), LEADING, of=scenario(queues=to_each_other), queues=facts) == (0, 10)
