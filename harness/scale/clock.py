"""Two machines' clocks: how far apart they are, and how well that is known."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

EXCHANGES = 30


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at another machine's clock."""

    at_ns: int
    """When, by the other machine's clock."""
    offset_ns: int
    """What the other clock shows more than this one."""
    error_ns: int
    """By how much the offset may be wrong at most: half the time that the answer took."""


def read_clock(there: Callable[[], int], exchanges: int = EXCHANGES) -> Reading:
    """Ask for the other machine's time.monotonic_ns() several times; the quickest answer tells most.

    The other clock was read at some moment between question and answer, so the middle of the two is wrong by half of the time
    between them at most, whatever the way there and back take.
    """
    best: Reading | None = None
    for _ in range(exchanges):
        asked = time.monotonic_ns()
        shown = there()
        took = time.monotonic_ns() - asked
        if best is None or took < 2 * best.error_ns:
            best = Reading(shown, shown - (asked + took // 2), (took + 1) // 2)
    assert best is not None  # noqa: S101 - there is at least one exchange
    return best


def to_here(at_ns: np.ndarray, readings: tuple[Reading, ...]) -> np.ndarray:
    """Translate times of the other machine to this one's; between two readings the clocks are taken to part evenly."""
    assert all(earlier.at_ns <= later.at_ns for earlier, later in pairwise(readings))  # noqa: S101
    times = np.array([reading.at_ns for reading in readings], dtype=np.int64)
    offsets = np.array([reading.offset_ns for reading in readings], dtype=np.int64)
    # Relative to the first reading: nanoseconds since a machine's start are more than a float holds.
    drift = np.interp(at_ns - times[0], times - times[0], offsets - offsets[0])
    here: np.ndarray = at_ns - offsets[0] - np.rint(drift).astype(np.int64)
    return here


def error_ns(readings: tuple[Reading, ...]) -> int:
    """By how much a translated time may be wrong at most."""
    return max(reading.error_ns for reading in readings)
