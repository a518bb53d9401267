"""Latency: overall, while faults were acting and while none was, and over time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from harness.checks.happenings import Happening
from harness.checks.settlement import NEVER
from harness.checks.verdict import LatencyDetail, LatencyStep, Percentiles

STEPS = 60
"""Most steps of time that a latency is told for."""
_AT_ONCE = 1 << 16
"""Messages that are looked at at once: a processor's cache holds what that takes."""


def latency(
    begin_ns: np.ndarray, end_ns: np.ndarray, faults: Sequence[Happening], *, zero_ns: int
) -> tuple[Percentiles | None, LatencyDetail | None]:
    """Summarise the times between two events of each message that had both, and take them apart; None if none had.

    A message counts as during a fault when its time from the first event to the second overlaps that of the fault: from its injection to
    its healing, or to the end of its injection where it is over at once.
    """
    count = sum(int(np.count_nonzero(both)) for _, _, both in _parts(begin_ns, end_ns))
    if not count:
        return None, None
    least = min(int(begin[both].min()) for begin, _, both in _parts(begin_ns, end_ns) if both.any())
    most = max(int(begin[both].max()) for begin, _, both in _parts(begin_ns, end_ns) if both.any())
    acting, width = _acting(faults), _width_ns(most - min(least, zero_ns))
    first = (least - zero_ns) // width
    sizes = np.zeros((most - zero_ns) // width - first + 1, dtype=np.int64)
    for begin, _, both in _parts(begin_ns, end_ns):
        sizes += np.bincount((begin[both] - zero_ns) // width - first, minlength=len(sizes))
    # One array, divided by steps first and by faults then, holds the times: there may be many.
    spans = np.empty(count, dtype=np.int64)
    steps = _Division(spans, sizes)
    for begin, end, both in _parts(begin_ns, end_ns):
        steps.put((begin[both] - zero_ns) // width - first, np.maximum(end[both] - begin[both], 0))
    told = tuple(
        LatencyStep((number + first) * width / 1e9, len(part), *_summary(part))
        for number, part in enumerate(steps.parts())
        if len(part)
    )
    met = sum(
        int(np.count_nonzero(_overlapping(begin[both], end[both], acting)))
        for begin, end, both in _parts(begin_ns, end_ns)
    )
    sides = _Division(spans, np.array([count - met, met]))
    for begin, end, both in _parts(begin_ns, end_ns):
        sides.put(_overlapping(begin[both], end[both], acting).astype(np.int64), np.maximum(end[both] - begin[both], 0))
    outside, during = (Percentiles(len(part), *_summary(part)) if len(part) else None for part in sides.parts())
    return Percentiles(count, *_summary(spans)), LatencyDetail(during, outside, width / 1e9, told)


def _parts(begin_ns: np.ndarray, end_ns: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield the two times of some messages after the other, and which of these have both."""
    for place in range(0, len(begin_ns), _AT_ONCE):
        begin, end = begin_ns[place : place + _AT_ONCE], end_ns[place : place + _AT_ONCE]
        yield begin, end, (begin != NEVER) & (end != NEVER)


class _Division:
    """An array divided into parts of known sizes, which are filled little by little."""

    def __init__(self, values: np.ndarray, sizes: np.ndarray) -> None:
        self._values = values
        self._ends = np.cumsum(sizes)
        self._filled = self._ends - sizes
        self._begins = self._filled.copy()

    def put(self, part: np.ndarray, values: np.ndarray) -> None:
        """Add values, each to the part whose number is given."""
        order = np.argsort(part.astype(np.min_scalar_type(len(self._ends))), kind="stable")
        counts = np.bincount(part, minlength=len(self._ends))
        ordered, taken = values[order], 0
        for number in np.flatnonzero(counts).tolist():
            size = int(counts[number])
            place = int(self._filled[number])
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
    begins = np.append(acting[:, 0], NEVER)
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
