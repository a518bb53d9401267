"""Latency: overall, while faults were acting and while none was, and over time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from harness.checks.rules.percentiles import Ranked
from harness.checks.tally.columns import TimeColumn
from harness.checks.tally.fault_records import FaultRecord
from harness.checks.tally.times import NEVER
from harness.verdict.times import LatencyDetail, LatencyStep, Percentiles

PERCENTILES = (50, 95, 99, 100)
"""Those that are told; the last one is the most."""
STEPS = 60
"""Most steps of time that a latency is told for."""
_AT_ONCE = 1 << 15
"""Messages that are looked at at once: a processor's cache holds what that takes."""


def latency(
    begin_ns: TimeColumn, end_ns: TimeColumn, faults: Sequence[FaultRecord], *, zero_ns: int
) -> tuple[Percentiles | None, LatencyDetail | None]:
    """Summarise the times between two events of each message that had both, and take them apart; None if none had.

    A message counts as during a fault when its time from the first event to the second overlaps that of the fault: from its injection to
    its healing, or to the end of its injection where it is over at once.
    """
    least, most, longest = NEVER, -NEVER, 0
    for begin, end in _parts(begin_ns, end_ns):
        least, most = min(least, int(begin.min())), max(most, int(begin.max()))
        longest = max(longest, int((end - begin).max()))
    if least == NEVER:
        return None, None
    acting, width = _acting(faults), _width_ns(most - min(least, zero_ns))
    first = (least - zero_ns) // width
    edges = zero_ns + np.arange(first, (most - zero_ns) // width + 2) * width
    steps = len(edges) - 1

    def read() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        # The groups: the steps outside faults, then those during faults.
        for begin, end in _parts(begin_ns, end_ns):
            group = _steps(begin, edges)
            during = _overlapping(begin, end, acting)
            if during.any():
                group[during] += steps
            yield np.maximum(end - begin, 0), group

    ranked = Ranked(read, 2 * steps, longest)
    sizes = ranked.sizes
    parts = [np.arange(2 * steps), np.arange(steps), np.arange(steps, 2 * steps)]
    parts = [part for part in parts if sizes[part].any()]
    each = [np.array([step, steps + step]) for step in range(steps) if sizes[step] + sizes[steps + step]]
    found = ranked.percentiles([*parts, *each], PERCENTILES) / 1e9
    counts = [int(sizes[part].sum()) for part in (*parts, *each)]
    summaries = [(count, *row) for count, row in zip(counts, found.tolist(), strict=True)]
    told = tuple(
        LatencyStep((int(part[0]) + first) * width / 1e9, *summary)
        for part, summary in zip(each, summaries[len(parts) :], strict=True)
    )
    whole, *sides = (Percentiles(*summary) for summary in summaries[: len(parts)])
    outside = sides[0] if sizes[:steps].any() else None
    inside = sides[-1] if sizes[steps:].any() else None
    return whole, LatencyDetail(inside, outside, width / 1e9, told)


def _parts(begin_ns: TimeColumn, end_ns: TimeColumn) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the two times of those messages that have both, some messages after the other."""
    for place in range(0, len(begin_ns), _AT_ONCE):
        here = slice(place, place + _AT_ONCE)
        begin, end = begin_ns[here], end_ns[here]
        if int(begin.max()) == NEVER or int(end.max()) == NEVER:
            both = np.flatnonzero((begin != NEVER) & (end != NEVER))
            begin, end = begin[both], end[both]
        if len(begin):
            yield begin, end


def _steps(begin: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the step of each time."""
    if (begin[1:] >= begin[:-1]).all():
        return np.repeat(np.arange(len(edges) - 1), np.diff(np.searchsorted(begin, edges)))
    return np.searchsorted(edges, begin, side="right") - 1


def _acting(faults: Iterable[FaultRecord]) -> np.ndarray:
    """Return when faults were acting, as rows of begin and end that do not overlap, in their order."""
    rows: list[list[int]] = []
    for fault in sorted(faults, key=lambda each: each.at_ns):
        over_ns = max(fault.healed_ns if fault.healable else fault.struck_ns, fault.at_ns)
        if rows and fault.at_ns <= rows[-1][1]:
            rows[-1][1] = max(rows[-1][1], over_ns)
        else:
            rows.append([fault.at_ns, over_ns])
    return np.array(rows, dtype=np.int64).reshape(-1, 2)


def _overlapping(begin: np.ndarray, end: np.ndarray, acting: np.ndarray) -> np.ndarray:
    first, last = np.searchsorted(acting[:, 1], [int(begin.min()), int(begin.max())])
    begins = np.append(acting[:, 0], NEVER)
    if first == last:  # the first that is not over is the same for all
        same: np.ndarray = end >= begins[first]
        return same
    first_not_over = np.searchsorted(acting[:, 1], begin)
    met: np.ndarray = begins[first_not_over] <= end
    return met


def _width_ns(span_ns: int) -> int:
    """Return the smallest of 1, 2 and 5 times a power of ten milliseconds that needs at most STEPS steps."""
    unit = 1_000_000
    while True:
        for width in (unit, 2 * unit, 5 * unit):
            if span_ns < (STEPS - 1) * width:
                return width
        unit *= 10
