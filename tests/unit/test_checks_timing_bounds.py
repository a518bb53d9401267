"""Times without service and ratios of rates, to the very bounds: how long, how many, how far before and after a step."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from harness.checks.rules.timing import FEWEST_FOR_A_RATE, LISTED_OUTAGE_S, LISTED_OUTAGES, Outages, outages, speed_up
from harness.checks.rules.timing import recovery_s as recovery
from harness.checks.tally.fault_records import FaultRecord, fault_records
from harness.checks.tally.message_table import MessageTable, tabulate
from tests.unit.histories import MS, Story, noted, scenario

Spans = Sequence[tuple[int, int]]


def table(begun_ms: np.ndarray | Sequence[int], done_ms: np.ndarray | Sequence[int]) -> MessageTable:
    """Messages that were published and completed at some times, and confirmed as they were completed; no worker tells of them."""
    begun, done = (noted(np.asarray(each, dtype=np.int64) * MS) for each in (begun_ms, done_ms))
    messages = SimpleNamespace(first_published_ns=begun, first_confirmed_ns=done)
    known = {"first_published_ns": begun, "first_completed_ns": done}
    nobody = {
        "sessions": (),
        "all_deliveries": lambda _: (),
        "flow": SimpleNamespace(completed=np.zeros(1), invented=0),
    }
    made = SimpleNamespace(messages=messages, seconds=lambda at_ns: at_ns / 1e9, **known, **nobody)
    return cast("MessageTable", made)


def of_publishers(begun_ms: np.ndarray | Sequence[int], done_ms: np.ndarray | Sequence[int]) -> Outages:
    return outages(table(begun_ms, done_ms))


def lengths(found: Outages) -> list[float]:
    return [round(each.end_s - each.begin_s, 3) for each in found.listed]


# Times without service.


def test_the_figures_that_the_documentation_names() -> None:
    assert (LISTED_OUTAGE_S, LISTED_OUTAGES, FEWEST_FOR_A_RATE) == (0.5, 100, 20)


def test_half_a_second_is_listed_and_less_is_not() -> None:
    found = of_publishers([1, 1, 1], [10, 510, 1009])
    assert lengths(found) == [0.5]
    assert found.longest_publishers_s == 0.5
    assert found.longest_workers_s is None


def test_the_longest_is_known_where_none_is_listed() -> None:
    found = of_publishers([1, 1, 1, 1], [10, 210, 509, 600])
    assert lengths(found) == []
    assert found.longest_publishers_s == 0.299


def test_what_begins_after_the_last_end_was_not_waiting() -> None:
    found = of_publishers([1, 300, 1000], [10, 1010, 1020])
    assert [(each.begin_s, each.end_s) for each in found.listed] == [(0.3, 1.01)]


@pytest.mark.parametrize("descending", [True, False])
def test_of_more_than_a_hundred_the_longest_are_listed(descending: bool) -> None:
    gaps = np.arange(600, 1010, 4)[:: -1 if descending else 1]
    found = of_publishers([1] * (len(gaps) + 1), np.append(10, 10 + np.cumsum(gaps)))
    assert len(gaps) == 103
    assert sorted(lengths(found)) == [each / 1000 for each in sorted(gaps.tolist())[3:]]
    assert [each.begin_s for each in found.listed] == sorted(each.begin_s for each in found.listed)


SLICES = 270_000
"""More messages than are looked at at once."""


def with_gaps(*gaps: tuple[int, int]) -> np.ndarray:
    """Ends of so many messages, one each millisecond, but for some longer gaps before some of them."""
    steps = np.ones(SLICES, dtype=np.int64)
    for place, length in gaps:
        steps[place] = length
    return np.cumsum(steps)


def test_gaps_are_found_in_every_slice_of_a_long_run() -> None:
    begun = np.zeros(SLICES, dtype=np.int64)
    found = of_publishers(begun, with_gaps((1000, 700), (SLICES - 1000, 600)))
    assert lengths(found) == [0.7, 0.6]
    assert found.longest_publishers_s == 0.7


def test_the_longest_of_a_long_run_may_be_in_its_first_slice() -> None:
    begun = np.zeros(SLICES, dtype=np.int64)
    found = of_publishers(begun, with_gaps((1000, 400), (SLICES - 1000, 300)))
    assert lengths(found) == []
    assert found.longest_publishers_s == 0.4


def test_every_gap_of_a_long_run_is_one_between_neighbours_even_where_slices_meet() -> None:
    done = np.arange(SLICES, dtype=np.int64) * 600
    assert of_publishers(done - 1, done).longest_publishers_s == 0.001


# Recovery.


def test_a_confirm_at_the_very_end_of_a_fault_is_service() -> None:
    story = Story()
    tag = story.publish(0)
    story.restart_broker()
    story.now -= MS
    story.confirm(tag)
    (fault,) = fault_records(story.history().events)
    assert recovery(fault, tabulate(story.history(), scenario())) == 0


# Ratios of rates.


def scaling(at_ms: int) -> FaultRecord:
    """A step without new workers that strikes a millisecond later."""
    story = Story()
    story.now = (at_ms - 1) * MS
    story.fault("scale", "worker-2", family="scale")
    (found,) = fault_records(story.history().events)
    return found


def ratio(done_ms: Sequence[int], begun_ms: Sequence[int] | None = None, *, at_ms: int = 1000) -> float | None:
    return speed_up(scaling(at_ms), table(begun_ms or [0] * len(done_ms), list(done_ms)))


def every(step: int, count: int, begin: int) -> list[int]:
    return [begin + step * number for number in range(count)]


@pytest.mark.parametrize(("before", "after", "found"), [(20, 20, 1.0), (20, 19, None), (19, 20, None)])
def test_twenty_completions_on_each_side_are_enough(before: int, after: int, found: float | None) -> None:
    assert ratio([*every(10, before, 800), *every(10, after, 1011), 9000]) == found


def test_windows_are_equal_and_end_where_the_step_is() -> None:
    """Work from 500 to 1000 and on to 2001: half of what was done after the step counts."""
    done = [*every(5, 100, 500), *every(2, 500, 1003)]
    assert ratio(done) == pytest.approx(250 / 100)


def test_the_bounds_of_the_windows_count_once() -> None:
    """Of what is done at the step itself, at its strike and at the last moment of the window, only the last one counts."""
    before, after = every(10, 50, 500), every(10, 50, 1011)
    assert ratio([*before, *after, 9000]) == 1.0
    assert ratio([*before, 1000, *after, 9000]) == 1.0
    assert ratio([*before, 1001, *after, 9000]) == 1.0
    assert ratio([*before, *after, 1501, 9000]) == pytest.approx(51 / 50)
    assert ratio([*before, *after, 1502, 9000]) == 1.0


def test_work_that_paused_before_the_step_bounds_the_window() -> None:
    """Nothing waited from 300 to 600: only what came after that tells of the rate."""
    early, before, after = every(10, 30, 10), every(10, 39, 610), every(5, 200, 1006)
    begun = [0] * 30 + [600] * 39 + [600] * 200
    assert ratio([*early, *before, *after], begun) == pytest.approx(80 / 39)


def test_work_that_paused_after_the_step_bounds_the_window() -> None:
    before, after, late = every(5, 200, 0), every(10, 30, 1011), every(1, 100, 5000)
    begun = [0] * 230 + [4999] * 100
    assert ratio([*before, *after, *late], begun) == pytest.approx(30 / 60)


def test_work_is_waiting_again_from_the_first_that_was_published_after_a_pause() -> None:
    early, first, before, after = every(10, 30, 10), [710], every(10, 28, 720), every(5, 200, 1006)
    begun = [0] * 30 + [600] + [700] * 228
    assert ratio([*early, *first, *before, *after], begun) == pytest.approx(80 / 29)


def test_what_is_published_as_the_last_one_is_done_makes_no_pause() -> None:
    early, before, after = every(20, 25, 120), every(10, 39, 610), every(5, 200, 1006)
    assert ratio([*early, *before, *after], [0] * 25 + [600] * 239) == pytest.approx(176 / 64)


def test_work_goes_on_until_the_very_last_completion() -> None:
    assert ratio([*every(10, 50, 500), *every(10, 20, 1011), 1500]) == pytest.approx(21 / 49)


def test_work_that_pauses_at_the_very_step_has_no_ratio() -> None:
    before, after = every(10, 50, 500), every(5, 200, 1105)
    assert ratio([*before, 1001, *after], [0] * 51 + [1100] * 200) is None
    assert ratio([*every(10, 50, 100), *every(5, 200, 1006)], [0] * 50 + [1000] * 200) is None


def test_without_work_on_both_sides_there_is_no_ratio() -> None:
    assert ratio(every(10, 90, 10)) is None
    assert ratio(every(10, 90, 1100)) is None
    assert ratio(every(10, 90, 10), at_ms=5) is None
    assert speed_up(scaling(1000), table([], [])) is None


def test_the_window_after_begins_with_the_first_that_the_new_worker_did() -> None:
    story = Story()
    for seq in range(200):
        story.publish(seq)
    for seq in range(60):
        story.now += 7 * MS
        story.process(seq)
    story.fault("scale", "worker-2", family="scale")
    for seq in range(60, 90):  # the old one goes on alone, and slower
        story.now += 17 * MS
        story.process(seq)
    for seq in range(90, 200):
        story.now += 2 * MS
        story.process(seq, to=2)
    (fault,) = fault_records(story.history().events)
    assert speed_up(fault, tabulate(story.history(), scenario())) == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("at_the_step", [True, False])
def test_what_the_new_worker_did_until_the_step_does_not_count(at_the_step: bool) -> None:
    story = Story()
    for seq in range(200):
        story.publish(seq)
    for seq in range(60):
        story.now += 7 * MS
        story.process(seq, to=2)
    if at_the_step:
        story.deliver(199, to=2, done=True)
        story.now -= MS
    story.fault("scale", "worker-2", family="scale")
    for seq in range(60, 90):
        story.now += 17 * MS
        story.process(seq)
    for seq in range(90, 199):
        story.now += 2 * MS
        story.process(seq, to=2)
    (fault,) = fault_records(story.history().events)
    assert speed_up(fault, tabulate(story.history(), scenario())) == pytest.approx(2, abs=0.1)
