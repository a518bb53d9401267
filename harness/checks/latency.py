"""Latency: overall, while faults were acting and while none was, and over time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from harness.checks.happenings import Happening
from harness.checks.settlement import NEVER
from harness.checks.verdict import LatencyDetail, LatencyStep, Percentiles

STEPS = 60
"""Most steps of time that a latency is told for."""
_SHORT_NS = np.iinfo(np.uint32).max
"""Some four seconds: times up to this take half the room."""
_AT_ONCE = 1 << 16
"""Messages that are looked at at once: a processor's cache holds what that takes."""


def latency(
    begin_ns: np.ndarray, end_ns: np.ndarray, faults: Sequence[Happening], *, zero_ns: int
) -> tuple[Percentiles | None, LatencyDetail | None]:
    """Summarise the times between two events of each message that had both, and take them apart; None if none had.

    A message counts as during a fault when its time from the first event to the second overlaps that of the fault: from its injection to
    its healing, or to the end of its injection where it is over at once.
    """
    count, least, most = 0, NEVER, -NEVER
    for begin, _ in _parts(begin_ns, end_ns):
        count += len(begin)
        least, most = min(least, int(begin.min())), max(most, int(begin.max()))
    if not count:
        return None, None
    acting, width = _acting(faults), _width_ns(most - min(least, zero_ns))
    first = (least - zero_ns) // width
    edges = zero_ns + np.arange(first, (most - zero_ns) // width + 2) * width
    sizes = np.zeros(len(edges) - 1, dtype=np.int64)
    met = longest = 0
    for begin, end in _parts(begin_ns, end_ns):
        sizes += _sizes(begin, edges)
        longest = max(longest, int((end - begin).max()))
        met += int(np.count_nonzero(_overlapping(begin, end, acting)))
    # One array, divided by steps first and by faults then, holds the times: there may be many.
    spans = np.empty(count, dtype=np.int64 if longest > _SHORT_NS else np.uint32)
    steps = _Division(spans, sizes)
    for begin, end in _parts(begin_ns, end_ns):
        steps.put(_spans(begin, end), _sizes(begin, edges), _order(begin, edges))
    told = tuple(
        LatencyStep((number + first) * width / 1e9, len(part), *_summary(part))
        for number, part in enumerate(steps.parts())
        if len(part)
    )
    whole = Percentiles(count, *_summary(spans))
    if met in (0, count):
        return whole, LatencyDetail(whole if met else None, None if met else whole, width / 1e9, told)
    sides = _Division(spans, np.array([count - met, met]))
    for begin, end in _parts(begin_ns, end_ns):
        during = _overlapping(begin, end, acting)
        inside = int(np.count_nonzero(during))
        order = np.argsort(during, kind="stable") if 0 < inside < len(during) else None
        sides.put(_spans(begin, end), np.array([len(during) - inside, inside]), order)
    outside, inside_them = (Percentiles(len(part), *_summary(part)) for part in sides.parts())
    return whole, LatencyDetail(inside_them, outside, width / 1e9, told)


def _parts(begin_ns: np.ndarray, end_ns: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the two times of those messages that have both, some messages after the other."""
    for place in range(0, len(begin_ns), _AT_ONCE):
        begin, end = begin_ns[place : place + _AT_ONCE], end_ns[place : place + _AT_ONCE]
        if int(begin.max()) == NEVER or int(end.max()) == NEVER:
            both = np.flatnonzero((begin != NEVER) & (end != NEVER))
            begin, end = begin[both], end[both]
        if len(begin):
            yield begin, end


def _spans(begin: np.ndarray, end: np.ndarray) -> np.ndarray:
    spans: np.ndarray = end - begin
    np.maximum(spans, 0, out=spans)
    return spans


def _sizes(begin: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Count the times in each step."""
    if _is_sorted(begin):
        return np.diff(np.searchsorted(begin, edges))
    return np.bincount(np.searchsorted(edges, begin, side="right") - 1, minlength=len(edges) - 1)


def _order(begin: np.ndarray, edges: np.ndarray) -> np.ndarray | None:
    """Return the order of times by their steps; None if they are in it."""
    if _is_sorted(begin):
        return None
    step = np.searchsorted(edges, begin, side="right") - 1
    return np.argsort(step.astype(np.uint8), kind="stable")


def _is_sorted(times: np.ndarray) -> bool:
    return bool((times[1:] >= times[:-1]).all())


class _Division:
    """An array divided into parts of known sizes, which are filled little by little."""

    def __init__(self, values: np.ndarray, sizes: np.ndarray) -> None:
        self._values = values
        self._ends = np.cumsum(sizes)
        self._filled = self._ends - sizes
        self._begins = self._filled.copy()

    def put(self, values: np.ndarray, sizes: np.ndarray, order: np.ndarray | None) -> None:
        """Add values, so many to each part; `order` puts them in the order of the parts, if they are not in it."""
        ordered, taken = values if order is None else values[order], 0
        for number in np.flatnonzero(sizes).tolist():
            size, place = int(sizes[number]), int(self._filled[number])
            self._values[place : place + size] = ordered[taken : taken + size]
            self._filled[number] += size
            taken += size

    def parts(self) -> Iterator[np.ndarray]:
        """Yield the parts; whoever gets one may put it in another order."""
        for begin, end in zip(self._begins.tolist(), self._ends.tolist(), strict=True):
            yield self._values[begin:end]


def _summary(spans: np.ndarray) -> tuple[float, float, float, float]:
    """Summarise spans, which are put in another order."""
    p50, p95, p99 = (float(value) / 1e9 for value in np.percentile(spans, [50, 95, 99], overwrite_input=True))
    return p50, p95, p99, float(spans.max()) / 1e9


def _acting(faults: Iterable[Happening]) -> np.ndarray:
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
