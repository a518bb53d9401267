"""Outages of workers: work was waiting, and no worker was at work on any."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.checks.rules.timing import outages
from harness.checks.tally import idle
from harness.checks.tally.idle import both, either, without
from harness.checks.tally.message_table import tabulate
from harness.events import ProcessPaused, ProcessResumed
from tests.unit.histories import MS, Story, scenario

TWO_QUEUES = {"queues": {"tasks": {}, "others": {}}, "workers": [{"count": 1}, {"name": "slow", "queue": "others"}]}


def found(story: Story, **changes: Any) -> list[tuple[int, int]]:
    """The outages of workers of half a second or longer, in milliseconds."""
    listed = outages(tabulate(story.history(), scenario(**changes))).listed
    return [(round(each.begin_s * 1e3), round(each.end_s * 1e3)) for each in listed if each.who == "workers"]


def at(story: Story, ms: int) -> Story:
    """Set the time of the next record or event, in milliseconds after the release (which is at 2 ms)."""
    story.now = (ms + 1) * MS
    return story


def begun() -> Story:
    """Three messages are published, and the first one is done at 100 ms."""
    story = Story()
    for seq in range(3):
        story.sent(seq)
    at(story, 98).process(0)
    return story


def test_a_task_that_takes_long_is_no_outage_though_others_wait() -> None:
    story = begun()
    tag = at(story, 110).deliver(1)
    at(story, 5000).complete(1, tag)
    story.process(2)
    assert found(story) == []


def test_work_that_waits_while_no_worker_has_any_is_an_outage() -> None:
    story = begun()
    at(story, 2000).process(1)
    story.process(2)
    assert found(story) == [(99, 2000)]


def test_what_a_worker_holds_and_has_not_begun_keeps_it_at_work() -> None:
    story = begun()
    tags = [at(story, 110).deliver(1), story.deliver(2)]
    at(story, 1000).complete(1, tags[0])
    at(story, 2000).complete(2, tags[1])
    assert found(story) == []


def test_between_two_tasks_that_are_done_as_they_come_no_worker_is_at_work() -> None:
    story = Story()
    for seq in range(2):
        story.sent(seq)
    at(story, 100).deliver(0, done=True)
    at(story, 1100).deliver(1, done=True)
    assert found(story) == [(100, 1100)]


def test_a_killed_worker_is_at_work_until_its_death_and_the_next_one_from_its_first_delivery_on() -> None:
    story = begun()
    at(story, 110).deliver(1)
    at(story, 1000).exited("worker")
    at(story, 3000).process(1, incarnation=2, redelivered=True)
    story.process(2, incarnation=2)
    assert found(story) == [(1000, 3000)]


def test_a_worker_that_stands_still_is_not_at_work() -> None:
    story = begun()
    tag = at(story, 110).deliver(1)
    at(story, 200).event(ProcessPaused, actor="worker-1", incarnation=1)
    at(story, 1500).event(ProcessResumed, actor="worker-1", incarnation=1)
    at(story, 2500).complete(1, tag)
    story.process(2)
    assert found(story) == [(200, 1500)]


def test_a_worker_whose_work_takes_no_time_has_an_outage_while_it_stands_still() -> None:
    story = Story()
    for seq in range(3):
        story.sent(seq)
        at(story, 100 + seq).deliver(seq, done=True)
    at(story, 1000).event(ProcessPaused, actor="worker-1", incarnation=1)
    at(story, 1100).sent(3)
    at(story, 5000).event(ProcessResumed, actor="worker-1", incarnation=1)
    story.deliver(3, done=True)
    assert found(story) == [(1100, 5001)]


def test_another_worker_that_is_at_work_makes_it_no_outage_whatever_its_queue() -> None:
    story = Story(queues=("tasks", "others"))
    story.publish(0)
    story.publish(1, route=1)
    story.publish(2)
    at(story, 98).process(0)
    tag = story.deliver(1, to=2, queue=1)
    at(story, 4000).complete(1, tag, to=2)
    at(story, 5000).process(2)
    assert found(story, **TWO_QUEUES) == [(4000, 5000)]


def test_a_worker_whose_connection_is_lost_finishes_what_it_has_begun() -> None:
    story = begun()
    tags = [at(story, 110).deliver(1), story.deliver(2)]
    at(story, 200).lose_connection("worker")
    at(story, 1200).complete(1, tags[0])
    at(story, 2000)
    for seq in (1, 2):
        tag = story.deliver(seq, redelivered=True, connection=2)
        story.complete(seq, tag, connection=2)
    assert found(story) == [(1200, 2000)]


def test_a_worker_whose_connections_are_lost_one_after_the_other_is_at_work_on_what_it_began_first() -> None:
    story = begun()
    tag = at(story, 110).deliver(1)
    at(story, 1000).lose_connection("worker")
    at(story, 1010).connect("worker", connection=2)
    at(story, 3000).lose_connection("worker", connection=2)
    at(story, 5000).complete(1, tag)
    tag = story.deliver(2, connection=3)
    story.complete(2, tag, connection=3)
    assert found(story) == []


def test_a_worker_is_at_work_on_what_it_has_begun_until_its_death_though_its_connection_is_lost() -> None:
    story = begun()
    at(story, 110).deliver(1)
    at(story, 1000).lose_connection("worker")
    at(story, 4000).exited("worker")
    at(story, 6000).process(1, incarnation=2, redelivered=True)
    story.process(2, incarnation=2)
    assert found(story) == [(4000, 6000)]


def test_a_worker_with_automatic_acks_works_off_what_it_holds_when_its_connection_is_lost() -> None:
    story = begun()
    tags = [at(story, 110).deliver(1), story.deliver(2)]
    at(story, 200).lose_connection("worker")
    at(story, 1200).complete(1, tags[0])
    at(story, 2500).complete(2, tags[1])
    assert found(story, workers={"acks": "automatic"}) == []
    assert found(story, workers={"acks": "manual"}) == [], "whatever it completes it had begun"


def test_attempts_to_connect_do_not_part_an_outage() -> None:
    story = begun()
    at(story, 200).lose_connection("worker")
    at(story, 900).connect("worker", connection=2)
    tag = at(story, 1500).deliver(1, connection=2)
    story.complete(1, tag, connection=2)
    assert found(story) == [(99, 1500)]


def test_an_idle_system_has_no_outage_and_one_begins_with_the_work_that_comes() -> None:
    story = Story()
    story.sent(0)
    at(story, 98).process(0)
    at(story, 3000).publish(1)
    at(story, 4000).process(1)
    assert found(story) == [(3000, 4000)]


def test_what_is_never_done_does_not_wait() -> None:
    story = Story()
    story.sent(0)
    story.sent(1)
    at(story, 98).process(0)
    at(story, 2999).sent(2)
    story.process(2)
    assert found(story) == []


def test_before_the_first_delivery_and_after_the_last_completion_is_no_outage() -> None:
    story = Story()
    story.sent(0)
    story.sent(1)
    at(story, 3000).process(0)
    assert found(story) == []


DELAY: dict[str, Any] = {
    "queues": {"tasks": {"dead_letter": "delay"}, "delay": {"message_ttl": "2s", "dead_letter": "tasks"}}
}


def test_what_lies_in_a_queue_with_a_delay_does_not_wait() -> None:
    story = Story(queues=("tasks", "delay"))
    story.publish(0)
    story.publish(1, route=1)
    at(story, 98).process(0)
    tag = at(story, 2000).deliver(1, path=(("delay", "expired", 1),))
    story.complete(1, tag)
    assert found(story, **DELAY, publishers={"messages": 10, "to": ["tasks", "delay"]}) == []


@pytest.mark.parametrize(
    ("tasks", "outage"),
    [
        ({"dead_letter": "dead"}, [(99, 2000)]),
        ({"message_ttl": "60s"}, [(99, 2000)]),
        ({"max_length": 5}, [(99, 2000)]),
        ({"dead_letter": "dead", "message_ttl": "60s"}, []),
        ({"dead_letter": "dead", "max_length": 5}, []),
    ],
)
def test_work_is_out_of_reach_where_a_queue_may_pass_it_on(
    tasks: dict[str, Any], outage: list[tuple[int, int]]
) -> None:
    story = Story(queues=("tasks", "dead"))
    story.publish(0)
    story.publish(1)
    at(story, 98).process(0)
    at(story, 2000).process(1)
    assert found(story, queues={"tasks": tasks, "dead": {}}) == outage


def test_a_rejected_task_waits_again_from_its_next_delivery_on() -> None:
    story = Story(queues=("tasks", "delay"))
    story.publish(0)
    tag = at(story, 98).deliver(0)
    story.reject(0, tag)
    path = (("tasks", "rejected", 1), ("delay", "expired", 1))
    tag = at(story, 2100).deliver(0, path=path)
    at(story, 2110).exited("worker")
    tag = at(story, 3110).deliver(0, path=path, redelivered=True, incarnation=2)
    story.complete(0, tag, incarnation=2)
    assert found(story, **DELAY) == [(2110, 3110)]


def test_a_requeued_task_waits_at_once() -> None:
    story = Story()
    story.publish(0)
    tag = at(story, 98).deliver(0)
    story.reject(0, tag, requeue=True)
    at(story, 2100).process(0, redelivered=True)
    assert found(story) == [(99, 2100)]
    delayed = {"queues": {"tasks": {"type": "quorum", "arguments": {"x-delayed-retry-min": 1000}}}}
    assert found(story, **delayed) == [], "the queue may keep it back"


def test_of_fan_out_each_copy_waits_for_its_own_worker() -> None:
    story = Story(queues=("tasks", "others"), routes=("all/",))
    story.consume(2, queue=1)
    story.publish(0)
    at(story, 98).process(0)
    at(story, 2000).process(0, to=2, queue=1)
    changes = TWO_QUEUES | {
        "exchanges": {"all": {"type": "fanout"}},
        "bindings": [{"exchange": "all", "queue": "tasks"}, {"exchange": "all", "queue": "others"}],
        "publishers": {"messages": 1, "exchange": "all"},
    }
    assert found(story, **changes) == [(99, 2000)]


@given(st.integers(0, 2**32))
def test_outages_are_what_a_clock_that_looks_every_millisecond_sees(seed: int) -> None:
    random, story = Random(seed), Story()
    free = {1: 10, 2: 10}
    work: list[tuple[int, int, int, int]] = []
    for seq in range(random.randint(1, 12)):
        published = random.randint(3, 80)
        worker = random.choice((1, 2))
        begin = max(published, free[worker]) + random.randint(1, 30)
        end = free[worker] = begin + random.randint(0, 20)
        work.append((seq, published, begin, end))
        story.now = (published - 1) * MS
        story.publish(seq)
        story.now = (begin - 1) * MS
        tag = story.deliver(seq, to=worker, done=begin == end)
        if begin < end:
            story.now = (end - 1) * MS
            story.complete(seq, tag, to=worker)
    first, last = min(begin for _, _, begin, _ in work), max(end for *_, end in work)
    touched = {time for _, _, begin, end in work for time in (begin, end)}
    longest = current = 0
    for moment in range(first, last):
        waits = any(published <= moment < end for _, published, _, end in work)
        busy = any(begin <= moment < end for _, _, begin, end in work)
        current = 0 if busy or not waits else 1 if moment in touched else current + 1
        longest = max(longest, current)
    seen = outages(tabulate(story.history(), scenario())).longest_workers_s
    assert seen == pytest.approx(longest / 1000)


SPANS = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 10)), max_size=6).map(
    lambda pairs: either(
        np.empty((0, 2), dtype=np.int64), [(begin * MS, (begin + length) * MS) for begin, length in pairs]
    )
)


def moments(spans: np.ndarray) -> set[int]:
    return {moment for begin, end in (spans // MS).tolist() for moment in range(begin, end)}


@given(SPANS, SPANS)
def test_spans_are_sets_of_moments(left: np.ndarray, right: np.ndarray) -> None:
    others = [(begin, end) for begin, end in right.tolist()]
    assert moments(both(left, right)) == moments(left) & moments(right)
    assert moments(either(left, others)) == moments(left) | moments(right)
    assert moments(without(left, others)) == moments(left) - moments(right)


def test_of_very_many_idle_times_the_longest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle, "MOST_SPANS", 8)
    story = Story()
    for seq in range(40):
        story.publish(seq)
    for seq in range(40):
        story.now += (600 if seq == 20 else 2) * MS
        story.deliver(seq, done=True)
    assert [end - begin for begin, end in found(story)] == [601]
