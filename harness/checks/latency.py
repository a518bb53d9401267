"""Latency: overall, while faults were acting and while none was, and over time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from harness.checks.happenings import Happening
from harness.checks.settlement import NEVER
from harness.checks.verdict import LatencyDetail, LatencyStep, Percentiles

STEPS = 60
"""Most steps of time that a latency is told for."""


def percentiles(begin_ns: np.ndarray, end_ns: np.ndarray) -> Percentiles | None:
    """Summarise the times between two events of each message that had both; None if none had."""
    spans = _spans(*_with_both(begin_ns, end_ns))
    return Percentiles(len(spans), *_summary(spans)) if len(spans) else None


def detail(
    begin_ns: np.ndarray, end_ns: np.ndarray, faults: Sequence[Happening], *, zero_ns: int
) -> LatencyDetail | None:
    """Take a latency apart; None if no message had both events.

    A message counts as during a fault when its time from the first event to the second overlaps that of the fault: from its injection to
    its healing, or to the end of its injection where it is over at once.
    """
    begin, end = _with_both(begin_ns, end_ns)
    if not len(begin):
        return None
    met = _overlapping(begin, end, _acting(faults))
    width = _width_ns(int(begin.max()) - min(int(begin.min()), zero_ns))
    return LatencyDetail(
        during_faults=percentiles(begin[met], end[met]),
        outside_faults=percentiles(begin[~met], end[~met]),
        step_s=width / 1e9,
        steps=tuple(_steps(begin - zero_ns, _spans(begin, end), width)),
    )


def _with_both(begin_ns: np.ndarray, end_ns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    both = (begin_ns != NEVER) & (end_ns != NEVER)
    return (begin_ns, end_ns) if both.all() else (begin_ns[both], end_ns[both])


def _spans(begin: np.ndarray, end: np.ndarray) -> np.ndarray:
    spans: np.ndarray = np.maximum(end - begin, 0)
    return spans


def _summary(spans: np.ndarray) -> tuple[float, float, float, float]:
    p50, p95, p99 = (float(value) / 1e9 for value in np.percentile(spans, [50, 95, 99]))
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


def _steps(since_zero: np.ndarray, spans: np.ndarray, width: int) -> Iterator[LatencyStep]:
    step = since_zero // width
    order = np.argsort(step, kind="stable")
    numbers, starts = np.unique(step[order], return_index=True)
    for number, part in zip(numbers.tolist(), np.split(spans[order], starts[1:]), strict=True):
        yield LatencyStep(number * width / 1e9, len(part), *_summary(part))
