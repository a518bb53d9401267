"""The times of messages, sorted, a slice after the other: of many messages, all at once would take too much memory."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from harness.checks.settlement import NEVER

AT_ONCE = 1 << 16
"""Messages that are looked at at once: a processor's cache holds what that takes."""
_SLICES = 16
"""Most slices: each one looks at all those messages again whose times are not near each other."""
_LEAST_SLICE = 1 << 18
_LEAST_RUN = 1024
_SAMPLED = 64
"""One time in so many tells where slices end."""


def in_order(times_ns: np.ndarray, others_ns: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the times of those messages that have both times, sorted, in slices of roughly one size."""
    lowest, highest, samples = [], [], [np.empty(0, dtype=np.int64)]
    count = 0
    for times in _parts(times_ns, others_ns):
        count += len(times)
        lowest.append(int(times.min(initial=NEVER)))
        highest.append(int(times.max(initial=-NEVER)))
        samples.append(times[::_SAMPLED])
    least, most = np.array(lowest, dtype=np.int64), np.array(highest, dtype=np.int64)
    for begin, end in _slices(np.sort(np.concatenate(samples)), count):
        there = np.flatnonzero((least < end) & (most >= begin))
        found = [_within(_part(times_ns, others_ns, number), begin, end) for number in there.tolist()]
        if found:
            times = np.concatenate(found)
            # What is made of few sorted runs, as publishers leave it, is merged; there is a faster way for all else.
            runs = np.count_nonzero(times[1:] < times[:-1])
            times.sort(kind="stable" if runs < len(times) // _LEAST_RUN else None)
            yield times


def _slices(samples: np.ndarray, count: int) -> Iterator[tuple[int, int]]:
    """Yield begins and ends that part times of which there are some samples, in order."""
    size = max(_LEAST_SLICE, -(-count // _SLICES)) // _SAMPLED
    edges = [-NEVER, *np.unique(samples[size::size]).tolist(), NEVER]
    yield from pairwise(edges)


def _part(times_ns: np.ndarray, others_ns: np.ndarray, number: int) -> np.ndarray:
    here = slice(number * AT_ONCE, (number + 1) * AT_ONCE)
    times: np.ndarray = times_ns[here]
    others: np.ndarray = others_ns[here]
    if int(times.max()) == NEVER or int(others.max()) == NEVER:
        times = times[(times != NEVER) & (others != NEVER)]
    return times


def _parts(times_ns: np.ndarray, others_ns: np.ndarray) -> Iterator[np.ndarray]:
    for number in range(-(-len(times_ns) // AT_ONCE)):
        yield _part(times_ns, others_ns, number)


def _within(times: np.ndarray, begin: int, end: int) -> np.ndarray:
    if not len(times) or (int(times.min()) >= begin and int(times.max()) < end):
        return times
    return times[(times >= begin) & (times < end)]
