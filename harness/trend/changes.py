"""Which figures have changed: the newest nights are tested against the nights before them, all figures together.

- A figure: an exact two-sided permutation test of the rank sum (Wilcoxon, Mann and Whitney), ties by their middle ranks. It assumes
  nothing of how a figure is distributed, only that the nights could be exchanged if nothing had changed.
- A verdict: Fisher's exact test, two-sided, of the nights that were as expected.
- All of them: Holm's correction. In a store in which nothing has changed, the chance that anything at all is flagged is at most the
  level, however the figures depend on each other. That is for one look; who looks every night has that chance each night.

A figure that was the same in all nights is not tested: permutations leave it as it is, so leaving it out costs no certainty.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Final

import numpy as np

from harness.trend.table import MEASURES, Line, Measure, Table
from harness.verdict.data import Outcome

WINDOW: Final = 7
"""How many of the newest nights are tested."""
BEFORE: Final = 28
"""How many nights before them they are tested against, at most."""
LEVEL: Final = 0.05


@dataclass(frozen=True, slots=True)
class Comparison:
    """The newest nights of a figure, or of a verdict, beside those before."""

    line: Line
    measure: Measure | None
    """None: the verdict, whose figure is the share of nights that were as expected."""
    nights_before: int
    nights_newest: int
    before: float
    """The median (of a verdict: the share) of the nights before."""
    newest: float
    p: float | None
    """None: not tested, for the figure was the same in all nights."""
    adjusted_p: float | None = None
    """After Holm's correction."""
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Changes:
    """What was compared, and what has changed."""

    window: int
    before: int
    level: float
    comparisons: tuple[Comparison, ...]
    too_few: int
    """Figures with too few nights to be compared."""

    @property
    def tested(self) -> int:
        """How many comparisons were tested."""
        return sum(each.p is not None for each in self.comparisons)

    @property
    def changed(self) -> tuple[Comparison, ...]:
        """Those that have changed, the surest first."""
        found = (each for each in self.comparisons if each.changed)
        return tuple(sorted(found, key=lambda each: each.adjusted_p or 0.0))

    def of(self, line: Line, measure: Measure | None) -> Comparison | None:
        """Return the comparison of a line's figure; None where there were too few nights."""
        return next((each for each in self.comparisons if each.line.key == line.key and each.measure == measure), None)


def changes(found: Table, *, window: int = WINDOW, before: int = BEFORE, level: float = LEVEL) -> Changes:
    """Compare the newest `window` nights of every figure with up to `before` nights before them.

    At least `window` nights are needed before them, too. A line that did not run in any of the newest nights is not compared.
    """
    comparisons: list[Comparison] = []
    too_few = 0
    for line in found.lines:
        if all(outcome is None for outcome in line.outcomes[-window:]):
            continue
        for measure in (None, *MEASURES):
            values = _values(line, measure)[-(window + before) :]
            if not values:
                continue
            if len(values) < 2 * window:
                too_few += 1
                continue
            comparisons.append(_compare(line, measure, values[:-window], values[-window:]))
    tested = [each for each in comparisons if each.p is not None]
    adjusted = holm([each.p for each in tested if each.p is not None])
    by_test = {id(each): p for each, p in zip(tested, adjusted, strict=True)}
    return Changes(
        window, before, level, tuple(_corrected(each, by_test.get(id(each)), level) for each in comparisons), too_few
    )


def rank_sum_p(before: Sequence[float], newest: Sequence[float]) -> float:
    """Return the exact two-sided p-value of the rank sum of `newest`, over all ways to choose as many of all the values."""
    values = np.asarray([*before, *newest], dtype=np.float64)
    size, chosen = len(values), len(newest)
    # Twice the middle ranks are whole numbers.
    order = np.sort(values)
    ranks = np.searchsorted(order, values, "left") + np.searchsorted(order, values, "right") + 1
    most = int(np.sort(ranks)[-chosen:].sum())
    ways = np.zeros((chosen + 1, most + 1))
    ways[0, 0] = 1
    for rank in ranks.tolist():
        if rank <= most:
            ways[1:, rank:] += ways[:-1, : most + 1 - rank].copy()
    sums = np.arange(most + 1)
    expected = chosen * (size + 1)
    seen = abs(int(ranks[len(before) :].sum()) - expected)
    return min(1.0, float(ways[chosen][np.abs(sums - expected) >= seen].sum() / math.comb(size, chosen)))


def fisher_p(good_before: int, before: int, good_newest: int, newest: int) -> float:
    """Return the exact two-sided p-value of two proportions, `good_before` of `before` and `good_newest` of `newest`."""
    good, size = good_before + good_newest, before + newest
    low, high = max(0, good - before), min(good, newest)
    ways = {count: math.comb(newest, count) * math.comb(before, good - count) for count in range(low, high + 1)}
    return sum(each for each in ways.values() if each <= ways[good_newest]) / math.comb(size, good)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return p-values corrected for there being several, after Holm, in the order given."""
    adjusted = [0.0] * len(p_values)
    least = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = least
    return tuple(adjusted)


def _values(line: Line, measure: Measure | None) -> list[float]:
    if measure is None:
        return [float(outcome is Outcome.AS_EXPECTED) for outcome in line.outcomes if outcome is not None]
    return [value for value in line.figures[measure.column] if value is not None]


def _compare(line: Line, measure: Measure | None, before: list[float], newest: list[float]) -> Comparison:
    p = None
    if len(set(before + newest)) > 1:
        if measure is None:
            p = fisher_p(round(sum(before)), len(before), round(sum(newest)), len(newest))
        else:
            p = rank_sum_p(before, newest)
    middle = median if measure is not None else _share
    return Comparison(line, measure, len(before), len(newest), middle(before), middle(newest), p)


def _share(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _corrected(found: Comparison, adjusted_p: float | None, level: float) -> Comparison:
    if adjusted_p is None:
        return found
    return replace(found, adjusted_p=adjusted_p, changed=adjusted_p <= level)
