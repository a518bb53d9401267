"""When the broker can have forgotten a worker's connection, and which acknowledgements had surely arrived before."""

from __future__ import annotations

import numpy as np
import pytest

from harness.checks.rules.endings import Endings, find_endings
from harness.checks.tally.message_table import tabulate
from harness.checks.tally.times import NEVER
from harness.events import HostGathered
from tests.unit.histories import MS, Story, scenario


def a_story() -> Story:
    story = Story()
    story.now = 0
    return story


def in_ms(at_ns: int) -> int:
    return at_ns if at_ns in (NEVER, -NEVER) else at_ns // MS


def ending(story: Story, worker: int = 1, connection: int = 1) -> tuple[int, int, int]:
    """When a worker's connection can have been forgotten, until when acks surely arrived (milliseconds), and the fault."""
    found, number = found_of(story, worker, connection)
    return in_ms(found.gone_ns[number]), in_ms(found.arrived_ns[number]), int(found.fault[number])


def room_ms(story: Story) -> int:
    found, number = found_of(story, 1, 1)
    return in_ms(found.room_ns[number])


def found_of(story: Story, worker: int, connection: int) -> tuple[Endings, int]:
    history = story.history(end=False)
    table = tabulate(history, scenario())
    wanted = np.array([session.role == "worker" for session in table.sessions])
    number = next(
        place
        for place, session in enumerate(table.sessions)
        if (session.actor, session.connection) == (f"worker-{worker}", connection)
    )
    return find_endings(wanted, table, history.events), number


def held_since(story: Story, at_ms: int = 1) -> None:
    """A worker consumes and receives something."""
    story.publish(0)
    story.consume()
    story.now = (at_ms - 1) * MS
    story.deliver(0)


# Connections that ended.


def test_a_connection_that_broke_by_itself_may_have_been_forgotten_a_lag_before() -> None:
    story = a_story()
    held_since(story)
    story.now = 4999 * MS
    story.lose_connection("worker")  # at 5000 ms
    assert ending(story) == (4000, 4000, -1)


def test_a_connection_was_there_when_the_youngest_message_that_it_brought_was_published() -> None:
    """As far as the clocks of two machines agree, each of which may be wrong."""
    story = a_story()
    story.consume()
    story.now = 4499 * MS
    story.publish(0)  # at 4500 ms
    story.deliver(0)
    story.publish(1, by=2)  # not brought by it
    story.now = 4999 * MS
    story.lose_connection("worker")  # at 5000 ms
    assert ending(story) == (4500, 4000, -1)
    for error_ms in (30, 50, 10):
        story.event(HostGathered, host="here", offset_ns=0, error_ns=error_ms * MS, records=1)
    assert ending(story) == (4400, 4000, -1)


def test_a_connection_that_never_ended_was_never_forgotten() -> None:
    story = a_story()
    held_since(story)
    assert ending(story) == (NEVER, NEVER, -1)


def test_a_connection_that_was_closed_in_order_was_there_until_its_last_record() -> None:
    story = a_story()
    held_since(story, at_ms=100)
    story.complete(0, 1)
    story.ack(1)  # at 102 ms
    story.finish("worker")
    assert ending(story) == (102, NEVER, -1)


def test_the_last_record_of_a_connection_may_be_a_completion_or_a_reject() -> None:
    completed, rejected = a_story(), a_story()
    held_since(completed, at_ms=100)
    completed.complete(0, 1)  # at 101 ms
    completed.finish("worker")
    held_since(rejected, at_ms=100)
    rejected.now += 7 * MS
    rejected.reject(0, 1)  # at 108 ms
    rejected.finish("worker")
    assert ending(completed)[0] == 101
    assert ending(rejected)[0] == 108


def test_an_orderly_end_by_a_fault_is_joined_to_it() -> None:
    story = a_story()
    held_since(story)
    story.fault("stop", "worker-1", fault=3)
    story.finish("worker")
    story.exited("worker", exit_code=0, fault=3)
    assert ending(story)[2] == 3


# Processes that died.


def test_a_killed_process_was_alive_when_its_kill_began() -> None:
    story = a_story()
    held_since(story, at_ms=100)
    story.now = 4999 * MS
    story.kill_worker(fault=2)  # from 5000 ms on
    assert ending(story) == (5000, 4000, 2)


def test_a_killed_process_was_alive_when_it_wrote_its_last_record() -> None:
    story = a_story()
    held_since(story, at_ms=100)
    story.now = 4999 * MS
    story.fault("kill", "worker-1", fault=2)  # from 5000 to 5002 ms
    story.complete(0, 1)  # at 5003 ms
    story.exited("worker", fault=2)
    assert ending(story) == (5003, 4003, 2)


def test_of_a_process_that_crashed_before_it_wrote_anything_nothing_had_arrived() -> None:
    story = a_story()
    story.consume()
    story.exited("worker", exit_code=1, cause="crash")
    found, number = found_of(story, 1, 1)
    assert found.arrived_ns[number] == -NEVER


def test_a_process_that_crashed_was_alive_until_its_last_record() -> None:
    story = a_story()
    held_since(story, at_ms=100)
    story.now = 4999 * MS
    story.exited("worker", exit_code=70, cause="crash")
    assert ending(story) == (100, -900, -1)


def test_an_orderly_end_is_not_joined_to_the_fault_of_another_incarnation() -> None:
    story = a_story()
    held_since(story)
    story.finish("worker")
    story.fault("stop", "worker-1", fault=3)
    story.exited("worker", exit_code=0, fault=3, incarnation=2)
    assert ending(story)[2] == -1


# Faults that may have cut it off.


def test_a_connection_that_a_restart_cut_was_alive_until_the_restart_began() -> None:
    story = a_story()
    held_since(story)
    story.now = 4999 * MS
    story.restart_broker(fault=1)  # from 5000 ms on
    story.now = 5999 * MS
    story.lose_connection("worker")
    assert ending(story) == (5000, 4000, 1)


def test_of_several_faults_the_earliest_may_have_cut_it_and_the_last_is_named() -> None:
    story = a_story()
    held_since(story)
    story.now = 4999 * MS
    story.restart_broker(fault=1)  # from 5000 ms on
    story.restart_broker(fault=2)
    story.lose_connection("worker")
    assert ending(story) == (5000, 4000, 2)


@pytest.mark.parametrize(("delivered_ms", "fault"), [(6002, 1), (6003, -1)])
def test_a_connection_that_was_used_long_after_a_fault_was_not_cut_by_it(delivered_ms: int, fault: int) -> None:
    story = a_story()
    story.now = 4999 * MS
    story.restart_broker(fault=1)  # over at 5002 ms
    story.now = 0
    held_since(story, at_ms=delivered_ms)
    story.now = 9999 * MS
    story.lose_connection("worker")
    assert ending(story)[2] == fault


@pytest.mark.parametrize(("since_ms", "fault"), [(5001, 1), (5002, 1), (5003, -1)])
def test_a_connection_that_began_after_a_fault_was_over_was_not_cut_by_it(since_ms: int, fault: int) -> None:
    story = a_story()
    story.publish(0)
    story.now = 4999 * MS
    story.restart_broker(fault=1)  # over at 5002 ms
    story.now = (since_ms - 1) * MS
    story.consume()
    story.now = 8999 * MS
    story.lose_connection("worker")
    assert ending(story)[2] == fault


def test_a_connection_that_began_during_a_fault_was_alive_then() -> None:
    story = a_story()
    story.publish(0)
    story.now = 4999 * MS
    story.restart_broker(fault=1)  # from 5000 to 5002 ms
    story.now = 5000 * MS
    story.consume()  # at 5001 ms
    story.now = 8999 * MS
    story.lose_connection("worker")
    assert ending(story) == (5001, 4001, 1)


def test_what_was_delivered_during_a_fault_had_been_sent_at_most_a_lag_before() -> None:
    story = a_story()
    story.now = 4999 * MS
    story.restart_broker(fault=1)  # from 5000 to 5002 ms
    story.now = 0
    held_since(story, at_ms=6002)
    story.lose_connection("worker")
    assert ending(story) == (5002, 4002, 1)


@pytest.mark.parametrize(("action", "gone_ms"), [("pause", 5000), ("stop", 5001)])
def test_what_a_frozen_client_received_may_have_been_sent_before_it_froze(action: str, gone_ms: int) -> None:
    story = a_story()
    story.now = 4999 * MS
    story.fault(action, "worker-1", fault=1)  # from 5000 to 5002 ms
    story.now = 0
    held_since(story, at_ms=6001)
    story.lose_connection("worker")
    assert ending(story) == (gone_ms, gone_ms - 1000, 1)


def test_a_fault_that_cuts_nobody_off_ended_no_connection() -> None:
    story = a_story()
    held_since(story)
    story.now = 4999 * MS
    story.fault("purge", "tasks", family="topology")
    story.lose_connection("worker")
    assert ending(story)[2] == -1


def test_a_connection_that_broke_before_its_process_was_killed_was_not_ended_by_the_kill() -> None:
    story = a_story()
    held_since(story)
    story.now = 4999 * MS
    story.lose_connection("worker")  # at 5000 ms
    story.kill_worker(fault=2)
    assert ending(story) == (4000, 4000, -1)


# Acks that had surely arrived.


def test_acks_that_made_room_for_a_later_delivery_had_arrived() -> None:
    """With a prefetch of two, the fourth delivery shows that two settlements had arrived."""
    story = a_story()
    story.consume(prefetch=2)
    for seq in range(4):
        story.publish(seq)
    story.deliver(0)
    story.deliver(1)
    story.ack(2)  # at 8 ms
    story.reject(0, 1)  # at 9 ms
    story.deliver(2)
    story.deliver(3)
    story.ack(3)
    assert room_ms(story) == 9


def test_no_delivery_beyond_the_prefetch_shows_that_acks_had_arrived() -> None:
    story = a_story()
    story.consume(prefetch=2)
    story.publish(0)
    story.publish(1)
    story.ack(story.deliver(0))
    story.ack(story.deliver(1))
    assert room_ms(story) == -NEVER


def test_a_prefetch_of_one_shows_the_arrival_of_each_ack_but_the_last() -> None:
    story = a_story()
    story.consume(prefetch=1)
    story.publish(0)
    story.publish(1)
    story.ack(story.deliver(0))  # at 5 ms
    story.ack(story.deliver(1))
    assert room_ms(story) == 5


def test_a_prefetch_is_one_of_each_queue() -> None:
    story = a_story()
    story.queues = ("tasks", "second")
    story.consume(prefetch=1)
    story.consume(prefetch=1, queue=1)
    story.publish(0)
    story.publish(1)
    story.ack(story.deliver(0))
    story.ack(story.deliver(1))
    assert room_ms(story) == -NEVER


def test_without_a_prefetch_nothing_has_to_make_room() -> None:
    story = a_story()
    story.consume(prefetch=0)
    story.publish(0)
    story.publish(1)
    story.ack(story.deliver(0))
    story.ack(story.deliver(1))
    assert room_ms(story) == -NEVER


def test_an_ack_arrived_if_it_was_sent_before_the_moment_or_made_room() -> None:
    endings = Endings(*(np.array(each) for each in ([50, NEVER], [40, NEVER], [-NEVER, NEVER], [-1, -1])))
    session, acked_ns = np.array([0, 0, 0, 1, 1, 1]), np.array([39, 40, NEVER, 30, 31, NEVER])
    assert endings.arrived(session, acked_ns).tolist() == [True, False, False, True, True, False]
    room_only = Endings(*(np.array(each) for each in ([50], [20], [30], [-1])))
    assert room_only.arrived(np.array([0, 0, 0]), np.array([19, 30, 31])).tolist() == [True, True, False]


def test_sessions_that_nobody_asked_for_have_no_ending() -> None:
    story = a_story()
    story.consume(prefetch=1)
    story.publish(0)
    story.publish(1)
    story.ack(story.deliver(0))
    story.deliver(1)
    story.lose_connection("worker")
    history = story.history()
    table = tabulate(history, scenario())
    found = find_endings(np.zeros(len(table.sessions), dtype=bool), table, history.events)
    assert {tuple(each.tolist()) for each in (found.gone_ns, found.arrived_ns)} == {(NEVER, NEVER)}
    assert (found.room_ns.tolist(), found.fault.tolist()) == ([-NEVER, -NEVER], [-1, -1])
