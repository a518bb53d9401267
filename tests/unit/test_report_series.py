from __future__ import annotations

import numpy as np
import pytest

from harness.events import (
    BrokerStarted,
    FaultHealed,
    FaultInjected,
    ProcessExited,
    ProcessPaused,
    ProcessResumed,
    ProcessStarted,
    TrafficStarted,
)
from harness.history.history import History
from harness.history.read import DTYPE, Log
from harness.history.records import Kind, LogHeader
from harness.history.series import BUCKETS, Series, series
from harness.report.lanes import Span, lanes
from tests.unit.histories import MS, Story, V, a_fault

SECOND = 1_000_000_000


def made(story: Story, *, buckets: int = BUCKETS) -> Series:
    data = series(story.history(), buckets=buckets)
    assert data is not None
    return data


def total(data: Series, name: str) -> int:
    return round(float(data.rates[name].sum()) * data.width_s)


def test_the_buckets_hold_every_event_once() -> None:
    story = Story()
    for seq in range(50):
        story.sent(seq)
    story.confirm(story.publish(50, attempt=2))
    for seq in range(40):
        story.process(seq)
    for buckets in (5, 24, 160):
        data = made(story, buckets=buckets)
        assert len(data.begin_s) <= buckets
        assert total(data, "published") == total(data, "confirmed") == 51
        assert total(data, "delivered") == total(data, "completed") == total(data, "acknowledged") == 40


def test_a_range_of_confirms_counts_every_message_in_it() -> None:
    story = Story()
    for seq in range(30):
        story.publish(seq)
    story.confirm(1, 30)
    assert total(made(story), "confirmed") == 30


def test_backlog_is_what_was_published_and_not_completed_whatever_was_done_twice() -> None:
    story = Story()
    for seq in range(10):
        story.sent(seq)
    for seq in range(7):
        story.process(seq)
    story.process(0, redelivered=True)
    story.process(99)
    data = made(story)
    assert data.backlog[-1] == 3, "duplicates and phantoms are no progress"
    assert data.backlog.max() == 10


def test_in_flight_ends_with_acknowledgement_rejection_connection_or_process() -> None:
    story = Story()
    tags = [story.deliver(seq, to=1) for seq in range(4)]
    story.complete(0, tags[0])
    story.ack(tags[0])
    story.reject(1, tags[1])
    assert made(story).in_flight[-1] == 2

    story.lose_connection("worker", 1)
    story.complete(2, tags[2])
    assert made(story).in_flight[-1] == 0, "work completed after the loss brings nothing back"

    story = Story()
    for seq in range(5):
        story.deliver(seq, to=2)
    assert made(story).in_flight[-1] == 5
    story.kill_worker(2)
    assert made(story).in_flight[-1] == 0


def test_work_acknowledged_early_is_in_flight_until_it_is_completed() -> None:
    story = Story()
    tag = story.deliver(0)
    story.ack(tag)
    assert made(story).in_flight[-1] == 1
    story.complete(0, tag)
    assert made(story).in_flight[-1] == 0


def test_work_acknowledged_by_the_broker_itself_is_in_flight_until_it_is_completed() -> None:
    story = Story()
    tag = story.deliver(0)
    story.deliver(1, done=True)
    assert made(story).in_flight[-1] == 1
    story.complete(0, tag)
    assert made(story).in_flight[-1] == 0


def test_work_of_a_lost_connection_that_is_completed_later_ends_no_other_connection() -> None:
    story = Story()
    late = story.deliver(0)
    story.lose_connection("worker")
    tags = [story.deliver(seq, connection=2) for seq in range(1, 4)]
    story.complete(0, late)
    story.now += SECOND
    for seq, tag in enumerate(tags, start=1):
        story.complete(seq, tag, connection=2)
        story.ack(tag, connection=2)
    data = made(story)
    assert data.in_flight.max() == 3
    assert data.in_flight[-1] == 0


def test_time_counts_from_the_release_of_the_publishers() -> None:
    story = Story()
    story.now = 5 * SECOND
    story.event(TrafficStarted)
    story.events = [event for event in story.events if event.at_ns > SECOND]
    story.now = 7 * SECOND
    story.sent(0)
    data = made(story)
    assert data.begin_s[0] <= 0
    busy = data.begin_s[data.rates["published"] > 0]
    assert abs(float(busy[0]) - 2.0) <= data.width_s


def test_nothing_done_is_no_series() -> None:
    assert series(Story().history()) is None
    assert series(History((), ())) is None


def test_a_million_messages_are_aggregated_in_a_handful_of_passes() -> None:
    count = 1_000_000
    records = np.zeros(count, dtype=DTYPE)
    records["at_ns"] = np.arange(count) * 10_000
    records["seq"], records["publisher"], records["attempt"] = np.arange(count), 1, 1
    records["kind"] = Kind.PUBLISHED
    data = series(History((Log(LogHeader("publisher", "publisher-1", 1, 1, 1, ("tasks",)), records),), ()))
    assert data is not None
    assert len(data.begin_s) <= 160
    assert total(data, "published") == count == data.backlog[-1]


def fault(fault_id: int, at_s: int, action: str, target: str) -> FaultInjected:
    made = a_fault(action, target, on_node=True)
    assert made is not None
    return FaultInjected(
        at_ns=at_s * SECOND,
        variant=V,
        fault=fault_id,
        action=action,
        title=f"{action} {target}",
        family="broker",
        colour="#2471a3",
        targets=(target,),
        struck_at_ns=at_s * SECOND,
        healable=True,
        effects=made.effects(),
    )


def test_lanes_tell_who_was_alive_paused_and_down() -> None:
    events = (
        BrokerStarted(
            at_ns=0 * SECOND, variant=V, backend="", reason="", endpoint="", nodes=("n1", "n2"), rabbitmq="", erlang=""
        ),
        TrafficStarted(at_ns=1 * SECOND, variant=V),
        ProcessStarted(at_ns=2 * SECOND, variant=V, role="worker", actor="worker-1", incarnation=1, pid=1),
        fault(0, 3, "restart", "n1"),
        fault(1, 4, "pause", "n2"),
        FaultHealed(at_ns=5 * SECOND, variant=V, fault=1, action="pause"),
        ProcessPaused(at_ns=5 * SECOND, variant=V, actor="worker-1", incarnation=1),
        ProcessResumed(at_ns=6 * SECOND, variant=V, actor="worker-1", incarnation=1),
        FaultHealed(at_ns=7 * SECOND, variant=V, fault=0, action="restart"),
        ProcessExited(
            at_ns=7 * SECOND,
            variant=V,
            role="worker",
            actor="worker-1",
            incarnation=1,
            exit_code=-9,
            cause="fault",
            fault=2,
        ),
        ProcessStarted(at_ns=8 * SECOND, variant=V, role="worker", actor="worker-1", incarnation=2, pid=2),
        ProcessExited(
            at_ns=9 * SECOND, variant=V, role="worker", actor="worker-1", incarnation=2, exit_code=0, cause="stop"
        ),
        fault(3, 9, "purge", "n1"),
        FaultHealed(at_ns=10 * SECOND, variant=V, fault=3, action="purge"),
    )
    assert lanes(History((), events)) == (
        Span("n1", -1, 2, "alive", ""),
        Span("n1", 2, 6, "down", "restart n1"),
        Span("n1", 6, 9, "alive", ""),
        Span("n2", -1, 3, "alive", ""),
        Span("n2", 3, 4, "paused", "pause n2"),
        Span("n2", 4, 9, "alive", ""),
        Span("worker-1", 1, 4, "alive", "incarnation 1"),
        Span("worker-1", 4, 5, "paused", "incarnation 1"),
        Span("worker-1", 5, 6, "alive", "incarnation 1"),
        Span("worker-1", 6, 7, "down", "fault, exit code -9"),
        Span("worker-1", 7, 8, "alive", "incarnation 2"),
    )


def test_no_events_are_no_lanes() -> None:
    assert lanes(History((), ())) == ()


def test_a_process_that_lost_its_connection_is_reconnecting_until_it_has_one() -> None:
    story = Story()
    story.event(ProcessStarted, role="publisher", actor="publisher-1", incarnation=1, pid=1)
    story.sent(0)
    story.lose_connection("publisher")
    lost = story.now
    story.now += 100 * MS
    story.connect("publisher", connection=2)
    back = story.now
    story.exited("publisher", fault=0)
    history = story.history()
    mine = [span for span in lanes(history) if span.lane == "publisher-1"]
    assert [span.state for span in mine] == ["alive", "reconnecting", "alive", "down"]
    assert mine[1].begin_s == pytest.approx((lost - history.zero_ns) / 1e9)
    assert mine[1].end_s == pytest.approx((back - history.zero_ns) / 1e9)


def test_a_process_paused_while_it_reconnects_goes_on_reconnecting() -> None:
    story = Story()
    story.lose_connection("worker")
    story.event(ProcessPaused, actor="worker-1", incarnation=1)
    story.event(ProcessResumed, actor="worker-1", incarnation=1)
    story.connect("worker", connection=2)
    story.event(ProcessPaused, actor="worker-1", incarnation=1)
    story.event(ProcessResumed, actor="worker-1", incarnation=1)
    story.lose_connection("worker", connection=2)
    story.exited("worker", fault=0)
    story.event(ProcessStarted, role="worker", actor="worker-1", incarnation=2, pid=2)
    story.event(ProcessPaused, actor="worker-1", incarnation=2)
    story.event(ProcessResumed, actor="worker-1", incarnation=2)
    mine = [span.state for span in lanes(story.history()) if span.lane == "worker-1"]
    assert mine == [
        *("alive", "reconnecting", "paused", "reconnecting"),
        *("alive", "paused", "alive", "reconnecting", "down"),
        *("alive", "paused", "alive"),
    ]
