"""Latency during and outside faults, and over time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.checks.rules.latency import STEPS, latency
from harness.checks.tally.fault_records import FaultRecord
from harness.checks.tally.times import NEVER, Times
from harness.effects import Becomes, on_node
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
