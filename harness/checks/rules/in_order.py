"""The times of messages, sorted, a slice after the other: of many messages, all at once would take too much memory."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from harness.checks.tally.columns import TimeColumn
from harness.checks.tally.times import NEVER

AT_ONCE = 1 << 15
"""Messages that are looked at at once: a processor's cache holds what that takes."""
_SLICES = 64
"""Most slices: each one looks at all those messages again whose times are not near each other."""
_LEAST_SLICE = 1 << 18
_LEAST_RUN = 1024
_SAMPLED = 64
"""One time in so many tells where slices end."""


def in_order(times_ns: TimeColumn, others_ns: TimeColumn) -> Iterator[np.ndarray]:
    """Yield the times of those messages that have both times, sorted, in slices of roughly one size."""
    lowest, highest, samples = [], [], [np.empty(0, dtype=np.int64)]
    count = 0
    for number in range(-(-len(times_ns) // AT_ONCE)):
        times = _part(times_ns, others_ns, number)
        count += len(times)
        lowest.append(int(times.min(initial=NEVER)))
        highest.append(int(times.max(initial=-NEVER)))
        samples.append(times[::_SAMPLED].copy())
    least, most = np.array(lowest, dtype=np.int64), np.array(highest, dtype=np.int64)
    for begin, end in _slices(np.sort(np.concatenate(samples)), count):
        found = []
        for number in np.flatnonzero((least < end) & (most >= begin)).tolist():
            times = _part(times_ns, others_ns, number)
            inside = begin <= lowest[number] and highest[number] < end
            found.append(times if inside else times[(times >= begin) & (times < end)])
        if found:
            yield _sorted(found)


def _slices(samples: np.ndarray, count: int) -> Iterator[tuple[int, int]]:
    """Yield begins and ends that part times of which there are some samples, in order."""
    size = max(_LEAST_SLICE, -(-count // _SLICES)) // _SAMPLED
    edges = [-NEVER, *np.unique(samples[size::size]).tolist(), NEVER]
    yield from pairwise(edges)


def _part(times_ns: TimeColumn, others_ns: TimeColumn, number: int) -> np.ndarray:
    here = slice(number * AT_ONCE, (number + 1) * AT_ONCE)
    times = times_ns[here]
    both = others_ns.known(here)
    both &= times != NEVER
    return times if both.all() else times[both]


def _sorted(parts: list[np.ndarray]) -> np.ndarray:
    times = np.concatenate(parts)
    # What is made of few sorted runs, as publishers leave it, is merged; there is a faster way for all else.
    runs = np.count_nonzero(times[1:] < times[:-1])
    if runs:
        times.sort(kind="stable" if runs < len(times) // _LEAST_RUN else None)
    return times
