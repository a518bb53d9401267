"""When a publisher may send: a rate that shifts after a pause, and a schedule that is caught up with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.traffic.pace import CATCH_UP_S, Pace, Schedule, ShiftingRate, Unpaced, pace
from harness.traffic.spec import PublisherSpec, Route, Target

S = 1_000_000_000
MS = 1_000_000
BEGIN_NS = 5000 * S
SPEC = PublisherSpec(
    Target((("127.0.0.1", 1),), "guest", "guest"), "", "publisher-1", 1, 1, (Route("tasks", "", "tasks"),)
)


def sent(paced: Pace, *pauses: tuple[int, int], until_ns: int = 10 * S, start: int = 0) -> Iterator[tuple[int, int]]:
    """Yield (seq, time in ns since the release) of a publisher that looks every millisecond, but for some pauses [begin, end)."""
    paced.begin(BEGIN_NS)
    seq = start
    for since_ns in range(0, until_ns, MS):
        if any(begin <= since_ns < end for begin, end in pauses):
            continue
        allowed, _ = paced.allowance(BEGIN_NS + since_ns, 100, seq, 0)
        for _ in range(allowed):
            yield seq, since_ns
            seq += 1


def test_what_came_due_in_a_pause_is_sent_right_after_it_and_the_schedule_goes_on_as_if_there_had_been_none() -> None:
    times = dict(sent(Schedule(100, None), (2 * S, 5 * S)))
    assert len(times) == 1000
    late = {seq: at_ns - seq * 10 * MS for seq, at_ns in times.items() if at_ns - seq * 10 * MS > 5 * MS}
    assert (min(late), max(late)) == (200, 499)
    assert {times[seq] for seq in late} == {5 * S, 5 * S + MS, 5 * S + 2 * MS}
    assert max(late.values()) == 3 * S


def test_a_rate_without_a_schedule_makes_up_for_a_quarter_of_a_second_and_no_more() -> None:
    times = dict(sent(ShiftingRate(100), (2 * S, 5 * S)))
    assert len(times) == 700 + CATCH_UP_S * 100
    assert times[900 - 200] - 700 * 10 * MS == pytest.approx((3 - CATCH_UP_S) * S, abs=10 * MS)


@given(st.floats(0.5, 5000), st.lists(st.integers(0, 50), max_size=20))
def test_a_schedule_sends_nothing_before_it_is_due_and_all_that_is(rate: float, steps_ms: list[int]) -> None:
    schedule, seq, now_ns = Schedule(rate, BEGIN_NS), 0, BEGIN_NS
    for step_ms in steps_ms:
        now_ns += step_ms * MS
        allowed, wait_s = schedule.allowance(now_ns, 10**6, seq, 0)
        seq += allowed
        since_s = (now_ns - BEGIN_NS) / 1e9
        assert (seq - 1) / rate <= since_s + 1e-9
        assert seq / rate > since_s - 1e-9
        assert wait_s == pytest.approx(seq / rate - since_s, abs=1e-6)


def test_a_publisher_that_comes_back_goes_on_with_the_schedule_of_its_first_life() -> None:
    later = Schedule(100, BEGIN_NS - 4 * S)
    assert later.allowance(BEGIN_NS, 1000, 150, 0) == (251, 0.01)


def test_a_schedule_begins_with_the_first_message() -> None:
    schedule = Schedule(10, None)
    schedule.begin(BEGIN_NS)
    assert schedule.allowance(BEGIN_NS + 7 * S, 100, 0, 0) == (1, 0.1)


def test_what_is_sent_again_comes_first_and_is_not_held_back_by_the_schedule() -> None:
    schedule = Schedule(10, BEGIN_NS)
    assert schedule.allowance(BEGIN_NS, 100, 1, 30) == (30, 0.1)
    assert schedule.allowance(BEGIN_NS + S, 100, 1, 30)[0] == 40
    assert schedule.allowance(BEGIN_NS + S, 20, 1, 30) == (20, 0.0)


def test_without_a_rate_all_may_be_sent_at_once() -> None:
    assert pace(SPEC).allowance(BEGIN_NS, 100, 0, 0) == (100, 0.0)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [({}, Unpaced), ({"rate_per_s": 5.0}, ShiftingRate), ({"rate_per_s": 5.0, "catch_up": True}, Schedule)],
)
def test_the_spec_chooses(changes: dict[str, object], kind: type[Pace]) -> None:
    assert isinstance(pace(replace(SPEC, **changes)), kind)  # type: ignore[arg-type]


def test_what_is_to_be_sent_again_waits_for_no_new_message() -> None:
    schedule = Schedule(1, BEGIN_NS)
    assert schedule.allowance(BEGIN_NS + 100 * MS, 100, 1, 250) == (100, 0.0)
    allowed, wait_s = schedule.allowance(BEGIN_NS + 100 * MS, 100, 1, 50)
    assert (allowed, round(wait_s, 6)) == (50, 0.9)
