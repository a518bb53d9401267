"""How long copies can have stood in a queue, and how many a length limit must have taken: by the order of what came and left."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness.checks.rules.stays import (
    AT_LAST,
    Arrivals,
    dead_lettered_into,
    given_back_ns,
    may_have_died_into,
    most_at_consumers,
    published_into,
)
from harness.checks.tally.message_table import MessageTable, tabulate
from harness.checks.tally.times import NEVER
from harness.checks.tally.topology import RunTopology
from harness.faults.registry import actions
from harness.history.records import AckMode
from harness.scenario.scenario import Scenario, scenario_model
from tests.unit.histories import MS, Story, scenario


def ns(*times: int) -> np.ndarray:
    return np.array(times, dtype=np.int64)


def arrivals(*came_sure_left: tuple[int, int, int]) -> Arrivals:
    came, sure, left = zip(*came_sure_left, strict=True)
    return Arrivals.of(ns(*came), ns(*sure), ns(*left))


def read(story: Story, of: Scenario | None = None) -> MessageTable:
    return tabulate(story.history(), of or scenario())


# What came after a copy.


def test_what_came_after_a_copy_until_some_time_is_counted() -> None:
    four = arrivals((10, 12, NEVER), (20, 22, NEVER), (30, 32, NEVER), (40, 42, NEVER))
    assert four.after(ns(10, 10, 20, 40), ns(40, 29, 30, 99)).tolist() == [3, 1, 1, 0]


def test_what_came_as_a_purge_ended_or_was_there_only_as_the_next_began_came_not_surely_between_them() -> None:
    three = arrivals((10, 12, NEVER), (11, 13, NEVER), (12, 14, NEVER))
    assert three.between(10, 14).came_ns.tolist() == [11]


def test_one_that_surely_came_at_the_same_moment_may_have_come_after() -> None:
    both = arrivals((10, 22, NEVER), (22, 25, NEVER))
    assert both.after(ns(22), ns(22)).tolist() == [1]


@pytest.mark.parametrize(("left", "after"), [(NEVER, 1), (21, 1), (19, 0)])
def test_one_that_is_not_known_to_have_come_may_have_come_after_until_it_was_delivered(left: int, after: int) -> None:
    """Another connection may be slower."""
    both = arrivals((10, NEVER, left), (20, 22, NEVER))
    assert both.after(ns(20), ns(30)).tolist() == [after]


# What waits.


def test_what_came_and_was_not_delivered_by_then_waits() -> None:
    three = arrivals((10, 12, 50), (20, 22, 30), (40, 42, NEVER))
    moments = ns(9, 10, 29, 30, 40, 50)
    assert three.waiting(moments, moments, np.array(False)).tolist() == [0, 1, 2, 1, 2, 1]


def test_what_left_in_a_span_of_time_and_what_came_in_it_may_have_waited_at_once() -> None:
    three = arrivals((10, 12, 50), (20, 22, 30), (40, 42, NEVER))
    assert three.waiting(ns(29, 30), ns(40, 39), np.array(False)).tolist() == [3, 1]


def test_what_is_not_known_to_have_come_does_not_wait_but_what_was_delivered_did() -> None:
    four = arrivals((10, NEVER, NEVER), (15, NEVER, NEVER), (20, NEVER, 50), (30, 32, NEVER))
    assert four.waiting(ns(40), ns(40), np.array(False)).tolist() == [2]
    assert four.waiting(ns(40), ns(40), np.array(True)).tolist() == [4]


# What a length limit must have taken.


def test_a_queue_without_consumers_dropped_all_that_did_not_fit() -> None:
    five = arrivals(*((at, at + 1, NEVER) for at in range(10, 60, 10)))
    assert five.overflow(3, 0) == 2
    assert five.overflow(5, 0) == five.overflow(9, 0) == 0


def test_what_left_before_the_next_came_made_room() -> None:
    four = arrivals((10, 12, 15), (20, 22, NEVER), (30, 32, 40), (40, 42, NEVER))
    assert four.overflow(1, 0) == 1
    assert four.overflow(2, 0) == 0


def test_what_left_at_the_very_moment_made_room() -> None:
    assert arrivals((10, 12, 22), (20, 22, NEVER)).overflow(1, 0) == 0
    assert arrivals((10, 12, 23), (20, 22, NEVER)).overflow(1, 0) == 1


def test_what_may_have_been_on_its_way_to_consumers_made_room() -> None:
    """It was delivered in the end, so it was not dropped; when it left the queue is not known."""
    five = arrivals(*((at, at + 1, 90 if at < 40 else NEVER) for at in range(10, 60, 10)))
    assert [five.overflow(1, at_consumers) for at_consumers in (0, 1, 2, 3, 9)] == [4, 3, 2, 1, 1]
    assert five.overflow(1, None) == 1


def test_what_is_not_known_to_have_come_takes_no_room() -> None:
    assert arrivals((10, NEVER, NEVER), (20, 22, NEVER), (30, 32, NEVER)).overflow(1, 0) == 1
    assert arrivals((10, NEVER, NEVER), (20, NEVER, NEVER)).overflow(0, 0) == 0


# Where arrivals are read from.


TWO = scenario(queues={"tasks": {"dead_letter": "second"}, "second": {}})


def two_queues() -> Story:
    story = Story(queues=("tasks", "second"))
    story.now = 0
    return story


def columns(found: Arrivals) -> list[list[int]]:
    """When each came, surely had come, and left, in milliseconds."""
    return [
        [at if at == NEVER else at // MS for at in each.tolist()]
        for each in (found.came_ns, found.sure_ns, found.left_ns)
    ]


def test_publishes_come_when_they_are_sent_surely_when_confirmed_and_leave_when_delivered() -> None:
    story = two_queues()
    story.confirm(story.publish(0))
    story.publish(1, route=1)
    story.publish(2)
    story.deliver(0)
    table = read(story, TWO)
    assert columns(published_into(table.queues.index("tasks"), table)) == [[1, 4], [2, NEVER], [5, NEVER]]


def dead(story: Story, queue: str = "second") -> list[list[int]]:
    table = read(story, TWO)
    return columns(dead_lettered_into(table.queues.index(queue), table))


def test_a_dead_letter_comes_when_it_is_rejected_and_leaves_when_it_is_delivered() -> None:
    story = two_queues()
    story.sent(0)
    story.reject(0, story.deliver(0))  # at 4 ms
    story.deliver(0, queue=1, died=True)
    assert dead(story) == [[4], [4], [5]]
    assert dead(story, "tasks") == [[], [], []]


def test_a_dead_letter_that_nobody_rejected_came_after_its_publish_and_before_it_was_seen() -> None:
    story = two_queues()
    story.sent(0)  # at 1 ms
    story.deliver(0, queue=1, died=True)
    assert dead(story) == [[1], [3], [3]]


def test_a_dead_letter_that_rests_there_came_when_it_was_rejected_or_some_time_after_its_publish() -> None:
    story = two_queues()
    story.sent(0)
    story.reject(0, story.deliver(0))  # at 4 ms
    story.find(0, queue=1, died=True)
    story.sent(1)  # at 6 ms
    story.find(1, queue=1, died=True)  # it may have expired at any time
    assert dead(story) == [[4, 6], [4, AT_LAST // MS], [NEVER, NEVER]]


def test_what_rests_elsewhere_or_is_no_dead_letter_did_not_die_into_the_queue() -> None:
    story = two_queues()
    for seq in range(3):
        story.sent(seq)
        story.reject(seq, story.deliver(seq))
    story.find(0, queue=0, died=True)
    story.find(1, queue=1)
    story.find(2, queue=1, died=True)
    assert dead(story) == [[12], [12], [NEVER]]


def test_what_stayed_in_another_queue_did_not_die_into_this_one() -> None:
    story = two_queues()
    story.sent(0)
    story.find(0)
    assert dead(story) == [[], [], []]


def test_what_is_delivered_elsewhere_or_is_no_dead_letter_did_not_die_into_the_queue() -> None:
    story = two_queues()
    for seq in range(3):
        story.sent(seq)
        story.reject(seq, story.deliver(seq))
    story.deliver(0, queue=0, died=True)
    story.deliver(1, queue=1)
    assert dead(story) == [[], [], []]


def test_the_last_reject_brought_it_there() -> None:
    story = two_queues()
    story.sent(0)
    story.reject(0, story.deliver(0))
    story.reject(0, story.deliver(0, to=2), to=2)  # at 6 ms
    story.reject(0, story.deliver(0, queue=1, died=True))  # this one leads away
    assert dead(story) == [[6], [6], [7]]


def test_a_dead_letter_whose_story_is_plain_counts_like_any_other() -> None:
    story = two_queues()
    story.sent(0)
    tag = story.deliver(0, queue=1, died=True)  # at 3 ms
    story.complete(0, tag)
    story.ack(tag)
    story.sent(1)
    story.find(1, queue=1, died=True)
    assert dead(story) == [[1, 6], [3, AT_LAST // MS], [3, NEVER]]


IN_A_ROW = scenario(queues={"tasks": {"dead_letter": "second"}, "second": {"dead_letter": "third"}, "third": {}})


def test_what_is_seen_further_on_has_come_and_left() -> None:
    story = Story(queues=("tasks", "second", "third"))
    story.now = 0
    story.sent(0)
    story.deliver(0, queue=2, died=True)  # at 3 ms
    story.sent(1)  # at 4 ms
    story.find(1, queue=2, died=True)
    story.sent(2)
    story.find(2)
    table = read(story, IN_A_ROW)
    second, third = (columns(dead_lettered_into(table.queues.index(name), table)) for name in ("second", "third"))
    assert second == [[1, 4], [3, AT_LAST // MS], [3, AT_LAST // MS]]
    assert third == [[1, 4], [3, AT_LAST // MS], [3, NEVER]]


def test_what_is_seen_there_and_further_on_came_once() -> None:
    story = Story(queues=("tasks", "second", "third"))
    story.now = 0
    story.sent(0)
    story.deliver(0, queue=1, died=True)  # at 3 ms
    story.deliver(0, queue=2, died=True)
    table = read(story, IN_A_ROW)
    assert columns(dead_lettered_into(table.queues.index("second"), table)) == [[1], [3], [3]]


INTO_TWO = scenario(
    queues={
        "tasks": {"dead_letter": "second"},
        "second": {"dead_letter": {"exchange": "all"}},
        "left": {},
        "right": {},
    },
    exchanges={"all": {"type": "fanout"}},
    bindings=[{"exchange": "all", "queue": "left"}, {"exchange": "all", "queue": "right"}],
)


def test_what_died_into_several_queues_came_once_to_each_on_its_way() -> None:
    story = Story(queues=("tasks", "second", "left", "right"))
    story.now = 0
    story.confirm(story.publish(0))
    story.deliver(0, queue=2, died=True)  # at 3 ms
    story.deliver(0, queue=3, died=True)
    table = read(story, INTO_TWO)
    assert columns(published_into(table.queues.index("tasks"), table)) == [[1], [2], [NEVER]]
    assert columns(published_into(table.queues.index("left"), table)) == [[], [], []]
    assert columns(dead_lettered_into(table.queues.index("second"), table)) == [[1], [3], [3]]
    assert columns(dead_lettered_into(table.queues.index("right"), table)) == [[1], [4], [4]]


def may_have_died(story: Story, of: Scenario, *, queue: str = "second") -> list[list[int]]:
    table = read(story, of)
    return columns(may_have_died_into(table.queues.index(queue), np.arange(table.total), table))


def test_what_nobody_saw_may_have_died_where_a_queue_gives_its_messages_up() -> None:
    story = two_queues()
    story.sent(0)  # at 1 ms
    limited = scenario(queues={"tasks": {"dead_letter": "second", "max_length": 3}, "second": {}})
    at_any_time = [[1], [AT_LAST // MS], [AT_LAST // MS]]
    assert may_have_died(story, limited) == at_any_time
    quorum = {"tasks": {"dead_letter": "second", "type": "quorum"}, "second": {}}
    assert may_have_died(story, scenario(queues=quorum)) == at_any_time
    expiring = {"tasks": {"dead_letter": "second", "message_ttl": "1s"}, "second": {}}
    assert may_have_died(story, scenario(queues=expiring)) == at_any_time
    assert may_have_died(story, limited, queue="tasks") == [[], [], []]
    assert may_have_died(story, TWO) == [[], [], []], "only a reject leads there"


def test_what_was_rejected_may_have_died_since() -> None:
    story = two_queues()
    story.sent(0)
    story.reject(0, story.deliver(0))  # at 4 ms
    assert may_have_died(story, TWO) == [[4], [AT_LAST // MS], [AT_LAST // MS]]


def given_back(story: Story) -> list[int]:
    table = read(story, TWO)
    back_ns, _ = given_back_ns(table.queues.index("tasks"), table)
    return [at // MS for at in back_ns.tolist()]


def test_what_came_back_waits_until_it_is_delivered_again() -> None:
    story = two_queues()
    for seq in range(2):
        story.sent(seq)
    story.reject(0, story.deliver(0), requeue=True)
    story.reject(1, story.deliver(1), requeue=True)
    story.deliver(0)  # at 9 ms
    table = read(story)
    _, again_ns = given_back_ns(table.queues.index("tasks"), table)
    assert [at if at == NEVER else at // MS for at in again_ns.tolist()] == [9, NEVER]


def test_what_is_found_in_a_queue_at_last_had_come_to_it() -> None:
    story = two_queues()
    story.publish(0, confirms=False)
    story.publish(1, confirms=False)
    story.find(0)
    table = read(story)
    assert published_into(table.queues.index("tasks"), table).sure_ns.tolist() == [AT_LAST, NEVER]


def test_what_a_worker_requeues_comes_back_then_and_what_it_rejects_does_not() -> None:
    story = two_queues()
    for seq in range(3):
        story.sent(seq)
    story.reject(0, story.deliver(0), requeue=True)  # at 8 ms
    story.reject(1, story.deliver(1))
    story.reject(2, story.deliver(2, to=2), to=2, requeue=True)  # at 12 ms
    story.deliver(0, queue=1, died=True)
    assert given_back(story) == [8, 12]


def test_what_is_held_comes_back_with_its_connection_and_what_is_acknowledged_does_not() -> None:
    story = two_queues()
    story.sent(0)
    story.sent(1)
    story.deliver(0)
    story.ack(story.deliver(1))
    story.deliver(0, queue=1, died=True)
    story.lose_connection("worker")  # at 9 ms
    assert given_back(story) == [9]


@pytest.mark.parametrize(
    ("prefetches", "acks", "most"),
    [
        ((3,), AckMode.MANUAL, 3),
        ((3, 4), AckMode.MANUAL, 7),
        ((3, 0), AckMode.MANUAL, None),
        ((3,), AckMode.AUTOMATIC, None),
    ],
)
def test_consumers_hold_at_most_their_prefetch(prefetches: tuple[int, ...], acks: AckMode, most: int | None) -> None:
    story = two_queues()
    story.sent(0)
    for worker, prefetch in enumerate(prefetches, 1):
        story.consume(worker, prefetch=prefetch, acks=acks)
    story.consume(9, prefetch=0, queue=1)
    assert most_at_consumers("tasks", read(story, TWO).sessions) == most


# How many messages fill a queue.


@pytest.mark.parametrize(
    ("settings", "publishers", "most"),
    [
        ({"max_length": 7}, {"messages": 10}, 7),
        ({"arguments": {"x-max-length-bytes": 5000}}, {"messages": 10}, 19),
        ({"arguments": {"x-max-length-bytes": 5000}}, {"messages": 10, "body": "1KiB"}, 4),
        ({"arguments": {"x-max-length-bytes": 5000}, "max_length": 3}, {"messages": 10}, 3),
        ({"arguments": {"x-max-length-bytes": 5000}, "max_length": 30}, {"messages": 10}, 19),
        ({"arguments": {"x-max-length-bytes": 5000}, "type": "quorum"}, {"messages": 10}, None),
        ({"arguments": {"x-max-length-bytes": 5000}}, {"tasks": ["a", "bb"]}, None),
        ({}, {"messages": 10}, None),
    ],
)
def test_bytes_are_so_many_messages_where_all_bodies_have_one_size(
    settings: dict[str, Any], publishers: dict[str, Any], most: int | None
) -> None:
    of = scenario(queues={"tasks": settings}, publishers=publishers)
    assert RunTopology(of, []).most_ready("tasks") == most


def test_bodies_by_hand_may_have_another_size() -> None:
    settings = {"arguments": {"x-max-length-bytes": 5000}}
    base = {"name": "x", "publishers": {"messages": 10}, "workers": {}, "queues": {"tasks": settings}}
    of = scenario_model(actions()).model_validate(base | {"timeline": [{"at": "1s", "publish": "by hand"}]})
    assert RunTopology(of, []).most_ready("tasks") is None
