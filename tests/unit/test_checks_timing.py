"""Latencies, times without service, recovery, and whether more workers were faster."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.checks.judge import judge
from harness.checks.rules.latency import latency
from harness.checks.rules.timing import outages, speed_up
from harness.checks.tally.fault_records import fault_records
from harness.checks.tally.message_table import tabulate
from harness.checks.tally.times import NEVER
from harness.verdict.times import Outage
from tests.unit.histories import MS, Story, noted, scenario


def test_percentiles_are_of_the_messages_that_came_to_their_end() -> None:
    begin = noted([0, 0, 0, 10**9])
    end = noted([10**9, 2 * 10**9, NEVER, 4 * 10**9])
    found = latency(begin, end, [], zero_ns=0)[0]
    assert found is not None
    assert (found.count, found.p50, found.max) == (3, 2.0, 3.0)
    assert latency(begin, noted([NEVER] * 4), [], zero_ns=0) == (None, None)


def test_latencies_run_from_the_first_publish_to_the_first_end() -> None:
    story = Story()
    story.publish(0)
    story.now += 99 * MS
    story.confirm(1)
    story.now += 98 * MS
    story.process(0)
    found = judge(story.history(), scenario(), name="x")
    assert found.confirm_latency is not None
    assert found.completion_latency is not None
    assert found.confirm_latency.max == pytest.approx(0.1)
    assert found.completion_latency.max == pytest.approx(0.2, abs=0.0015)


def test_a_time_in_which_work_waited_and_none_was_done_is_an_outage() -> None:
    story = Story()
    for seq in range(2):
        story.sent(seq)
    story.process(0)
    story.now += 1000 * MS
    story.process(1)
    found = judge(story.history(), scenario(), name="x")
    assert [(outage.who, round(outage.end_s - outage.begin_s, 2)) for outage in found.outages] == [("workers", 1.0)]


def test_a_time_in_which_nothing_waited_is_none() -> None:
    story = Story()
    story.sent(0)
    story.process(0)
    story.now += 1000 * MS
    story.sent(1)
    story.process(1)
    found = judge(story.history(), scenario(expect={"outage": {"workers": "< 10ms", "publishers": "< 10ms"}}), name="x")
    assert found.outages == ()
    assert all(result.holds for result in found.expectations)


def test_what_is_never_done_does_not_wait_for_ever() -> None:
    story = Story()
    story.sent(0)
    story.sent(1)
    story.process(1)
    story.now += 1000 * MS
    story.sent(2)
    story.process(2)
    assert judge(story.history(), scenario(), name="x").outages == ()


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60) | st.none()), max_size=12))
def test_outages_are_what_a_clock_that_looks_every_millisecond_sees(spans: list[tuple[int, int | None]]) -> None:
    story = Story()
    zero = story.now
    for seq, (begin, length) in enumerate(spans):
        story.now = zero + begin * MS - MS
        story.publish(seq)
        if length is not None:
            story.now = zero + (begin + length) * MS - MS
            story.confirm(seq + 1)
    seen = tabulate(story.history(), scenario())
    ended = sorted((begin, begin + length) for begin, length in spans if length is not None)
    ends = sorted(end for _, end in ended)
    longest = current = 0
    for moment in range(ends[0], ends[-1]) if ends else ():
        # A message waits through [moment, moment + 1) if it was there and is not done by then.
        waits = sum(begin <= moment for begin, _ in ended) > sum(end <= moment for end in ends)
        current = current + 1 if waits else 0
        longest = max(longest, current)
        if moment + 1 in ends:
            current = 0
    expected = None if not ends else longest / 1000
    found = outages(seen).longest_publishers_s
    assert (found is None) == (expected is None)
    assert found is None or found == pytest.approx(expected)


def test_only_long_outages_are_listed_and_the_longest_is_always_known() -> None:
    story = Story()
    for seq in range(3):
        story.sent(seq)
    story.process(0)
    story.now += 700 * MS
    story.process(1)
    story.now += 100 * MS
    story.process(2)
    found = outages(tabulate(story.history(), scenario()))
    assert [outage.who for outage in found.listed] == ["workers"]
    assert isinstance(found.listed[0], Outage)
    assert found.longest_workers_s == pytest.approx(0.702)  # the ack before it and the delivery take 1 ms each
    assert found.longest_publishers_s is not None


def test_recovery_runs_from_the_heal_to_the_next_work() -> None:
    story = Story()
    story.sent(0)
    story.sent(1)
    story.process(0)
    story.restart_broker()
    story.now += 497 * MS
    story.process(1)
    story.now += 100 * MS
    (fault,) = judge(story.history(), scenario(), name="x").faults
    assert fault.recovery_s == pytest.approx(0.499)


def test_without_any_work_recovery_runs_to_the_next_confirm() -> None:
    story = Story()
    story.sent(0)
    tag = story.publish(1)
    story.restart_broker()
    story.now += 499 * MS
    story.confirm(tag)
    (fault,) = judge(story.history(), scenario(), name="x").faults
    assert fault.recovery_s == pytest.approx(0.5)


def test_a_fault_after_which_nothing_was_done_has_no_recovery() -> None:
    story = Story()
    story.sent(0)
    story.process(0)
    story.restart_broker()
    (fault,) = judge(story.history(), scenario(), name="x").faults
    assert fault.recovery_s is None


def scaled(before_ms: int, after_ms: int, *, all_at_once: bool = True) -> float | None:
    story = Story()
    if all_at_once:
        for seq in range(200):
            story.publish(seq)
    for seq in range(200):
        if not all_at_once:
            story.publish(seq)
        if seq == 100:
            story.fault("scale", "worker-2", family="scale")
        story.now += (before_ms if seq < 100 else after_ms) * MS
        story.process(seq, to=1 if seq < 100 else 2)
    (fault_record,) = fault_records(story.history().events)
    return speed_up(fault_record, tabulate(story.history(), scenario()))


def test_more_workers_are_faster_by_the_ratio_of_their_rates() -> None:
    faster = scaled(37, 7)
    assert faster is not None
    assert faster == pytest.approx(4, abs=0.2)


def test_the_same_rate_is_no_faster() -> None:
    assert scaled(17, 17) == pytest.approx(1, abs=0.05)


def test_a_rate_that_the_publishers_bound_tells_nothing() -> None:
    assert scaled(17, 7, all_at_once=False) is None
