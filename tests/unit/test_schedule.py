from __future__ import annotations

import pytest

from harness.cli.schedule import Schedule


def night(durations_s: list[float], *, budget_s: float, jobs: int = 1) -> tuple[list[int], float]:
    """Play a night with a clock of its own: what ran how often, and when the last run ended."""
    schedule = Schedule(len(durations_s), budget_s)
    counts, free, running = [0] * len(durations_s), jobs, []
    now_s = 0.0
    while True:
        while free and (number := schedule.next(now_s)) is not None:
            counts[number] += 1
            free -= 1
            running.append((now_s + durations_s[number], number))
        if not running:
            return counts, now_s
        running.sort()
        now_s, number = running.pop(0)
        schedule.ended(number, durations_s[number])
        free += 1


def test_every_scenario_runs_once_whatever_the_budget() -> None:
    assert night([10, 20, 30], budget_s=0) == ([1, 1, 1], 60)
    assert night([10, 20, 30], budget_s=0, jobs=2)[0] == [1, 1, 1]


def test_the_budget_is_filled_and_not_overrun() -> None:
    counts, end_s = night([10, 20, 30], budget_s=200)
    assert 190 <= end_s <= 200
    assert min(counts) >= 3


def test_all_get_their_turn_and_short_ones_fill_what_is_left() -> None:
    counts, end_s = night([5, 50], budget_s=99)
    assert counts == [9, 1]
    assert end_s == 95


@pytest.mark.parametrize("jobs", [1, 2, 4])
def test_several_at_once_do_more(jobs: int) -> None:
    counts, end_s = night([10, 10, 10, 10], budget_s=100, jobs=jobs)
    assert sum(counts) == 10 * jobs
    assert end_s == 100
    assert max(counts) - min(counts) <= 1
