"""Latency during and outside faults, and over time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.checks.rules.latency import STEPS, latency
from harness.checks.tally.fault_records import FaultRecord
from harness.checks.tally.times import NEVER, Times
from harness.effects import Becomes, on_node
from harness.verdict.times import LatencyDetail, Percentiles
from tests.unit.histories import noted

SECOND = 1_000_000_000


def fault(begin_s: int, struck_s: int, healed_s: int | None, *, healable: bool = True) -> FaultRecord:
    return FaultRecord(
        fault=0,
        action="kill",
        title="kill n1",
        family="broker",
        colour="#888888",
        targets=("n1",),
        at_ns=begin_s * SECOND,
        struck_ns=struck_s * SECOND,
        healable=healable,
        healed_ns=NEVER if healed_s is None else healed_s * SECOND,
        detail="",
        clean=None,
        times=1,
        noun=("broker kill", "broker kills"),
        effects=on_node(Becomes.KILLED),
        taken=None,
    )


def seconds(*values: int) -> Times:
    return noted([value * SECOND for value in values])


def test_a_message_that_waited_while_a_fault_acted_counts_as_during_it() -> None:
    begin, end = seconds(0, 1, 3, 7, 20), seconds(1, 4, 4, 8, 30)
    found = latency(begin, end, [fault(2, 3, 6)], zero_ns=0)[1]
    assert found is not None
    assert found.during_faults is not None
    assert found.outside_faults is not None
    assert (found.during_faults.count, found.during_faults.max) == (2, 3.0)
    assert (found.outside_faults.count, found.outside_faults.max) == (3, 10.0)


def test_a_fault_that_never_healed_acts_to_the_end_and_one_that_is_over_at_once_while_it_strikes() -> None:
    begin, end = seconds(0, 2, 9), seconds(1, 3, 10)
    for healable, during in ((True, 2), (False, 1)):
        found = latency(begin, end, [fault(2, 3, None, healable=healable)], zero_ns=0)[1]
        assert found is not None
        assert found.during_faults is not None
        assert found.during_faults.count == during


def test_without_a_fault_all_is_outside_and_without_an_end_there_is_nothing() -> None:
    found = latency(seconds(0), seconds(1), [], zero_ns=0)[1]
    assert found is not None
    assert (found.during_faults, found.outside_faults is not None) == (None, True)
    assert latency(seconds(0), noted([NEVER]), [], zero_ns=0)[1] is None


def detail(begin: Times, end: Times, faults: Sequence[FaultRecord] = (), *, zero_s: int = 0) -> LatencyDetail:
    found = latency(begin, end, faults, zero_ns=zero_s * SECOND)[1]
    assert found is not None
    return found


def during(begin: Times, end: Times, *faults: FaultRecord) -> int:
    """How many messages count as during some faults."""
    found = detail(begin, end, faults).during_faults
    return 0 if found is None else found.count


def test_the_percentiles_are_those_that_the_report_names() -> None:
    whole = latency(seconds(*[0] * 101), seconds(*range(101)), [], zero_ns=0)[0]
    assert whole == Percentiles(count=101, p50=50.0, p95=95.0, p99=99.0, max=100.0)


@pytest.mark.parametrize(
    ("begin", "end", "count"),
    [((0, 1), (1, NEVER), 1), ((0, NEVER), (1, 2), 1), ((0, NEVER, 2), (NEVER, 1, 3), 1), ((NEVER, 1), (2, NEVER), 0)],
)
def test_only_messages_that_had_both_events_count(begin: tuple[int, ...], end: tuple[int, ...], count: int) -> None:
    times = [[at if at == NEVER else at * SECOND for at in column] for column in (begin, end)]
    whole = latency(noted(times[0]), noted(times[1]), [], zero_ns=0)[0]
    assert (0 if whole is None else whole.count) == count
    assert whole is None or whole.max == 1


@pytest.mark.parametrize(
    ("span_ns", "step_s"),
    [
        (0, 0.001),
        (59_000_000 - 1, 0.001),
        (59_000_000, 0.002),
        (118_000_000 - 1, 0.002),
        (118_000_000, 0.005),
        (295_000_000 - 1, 0.005),
        (295_000_000, 0.01),
        (590_000_000 - 1, 0.01),
        (590_000_000, 0.02),
        (5_900_000_000 - 1, 0.1),
        (5_900_000_000, 0.2),
    ],
)
def test_a_run_is_cut_into_at_most_sixty_steps_of_round_length(span_ns: int, step_s: float) -> None:
    begin = noted([0, span_ns])
    found = detail(begin, begin)
    assert found.step_s == step_s
    assert [step.count for step in found.steps] == ([1, 1] if span_ns else [2])
    assert found.steps[-1].begin_s == pytest.approx(span_ns // (step_s * 1e9) * step_s)


def test_steps_are_counted_from_the_beginning_of_the_traffic() -> None:
    """Even where the first message comes much later, or before; and wherever the clock itself begins."""
    later = detail(seconds(1100, 1101, 1101), seconds(1101, 1102, 1105), zero_s=1000)
    assert later.step_s == 2
    assert [(step.begin_s, step.count, step.max) for step in later.steps] == [(100, 3, 4)]
    before = detail(seconds(990, 1001), seconds(991, 1003), zero_s=1000)
    assert before.step_s == 0.2
    assert [(step.begin_s, step.count, step.max) for step in before.steps] == [(-10, 1, 1), (1, 1, 2)]
    clock = detail(seconds(100, 101), seconds(101, 103), zero_s=-1000)
    assert clock.step_s == 20
    assert [(step.begin_s, step.count, step.max) for step in clock.steps] == [(1100, 2, 2)]


def test_a_step_of_time_has_what_was_during_a_fault_and_what_was_not() -> None:
    found = detail(noted([0, 900_000_000, 40 * SECOND]), noted([1, SECOND, 40 * SECOND]), [fault(1, 1, 2)])
    assert [(step.begin_s, step.count) for step in found.steps] == [(0, 2), (40, 1)]
    assert found.during_faults is not None
    assert found.during_faults.count == 1


@pytest.mark.parametrize("beside", [(), (30,)])
def test_a_message_that_touches_a_fault_is_during_it(beside: tuple[int, ...]) -> None:
    struck = fault(10, 11, 20)
    assert during(seconds(20, *beside), seconds(21, *beside), struck) == 1
    assert during(seconds(9, *beside), seconds(10, *beside), struck) == 1
    assert during(seconds(8, 21, *beside), seconds(9, 22, *beside), struck) == 0


@pytest.mark.parametrize(
    "second", [fault(15, 16, 30), fault(20, 21, 30), fault(1, 2, 30), fault(22, 22, 30), fault(12, 13, 14)]
)
def test_of_faults_that_overlap_each_acts_for_its_own_time(second: FaultRecord) -> None:
    last_s = max(20, second.healed_ns // SECOND)
    for order in ([fault(10, 11, 20), second], [second, fault(10, 11, 20)]):
        assert during(seconds(last_s - 1, last_s + 1), seconds(last_s, last_s + 2), *order) == 1
        assert during(seconds(18, 12), seconds(19, 13), *order) == 2


spans = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 50)), min_size=1, max_size=60)
faults = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 5), st.none() | st.integers(5, 60)), max_size=5)


@given(spans, faults)
def test_parts_and_steps_add_up_and_agree_with_the_naive_answer(
    messages: list[tuple[int, int]], struck: list[tuple[int, int, int | None]]
) -> None:
    acting = [fault(at, at + took, None if lasts is None else at + lasts) for at, took, lasts in struck]
    begin, end = seconds(*(at for at, _ in messages)), seconds(*(at + took for at, took in messages))
    found = latency(begin, end, acting, zero_ns=0)[1]
    assert found is not None
    met = sum(
        any(each.at_ns <= (at + took) * SECOND and each.healed_ns >= at * SECOND for each in acting)
        for at, took in messages
    )
    assert (found.during_faults.count if found.during_faults else 0) == met
    assert (found.outside_faults.count if found.outside_faults else 0) == len(messages) - met
    assert sum(step.count for step in found.steps) == len(messages)
    assert len(found.steps) <= STEPS
    assert max(step.max for step in found.steps) == max(took for _, took in messages)
    for step in found.steps:
        mine = [took for at, took in messages if step.begin_s <= at < step.begin_s + found.step_s]
        assert step.count == len(mine)
        assert step.p50 == pytest.approx(float(np.percentile(mine, 50)))
