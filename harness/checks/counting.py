"""Counting and marking messages, given by their numbers in any order."""

from __future__ import annotations

import numpy as np

from harness.history.read import BLOCK_RECORDS

MOST_TIMES = BLOCK_RECORDS - 1
"""Counts end here: what was delivered more often than this is not told apart."""


def consecutive(message: np.ndarray) -> slice | None:
    """Return the place of consecutive messages, None for others."""
    if not len(message) or int(message[-1]) - int(message[0]) != len(message) - 1:
        return None
    if not (message[1:] - message[:-1] == 1).all():
        return None
    return slice(int(message[0]), int(message[-1]) + 1)


def count(times: np.ndarray, message: np.ndarray, place: slice | None = None) -> None:
    """Count messages, at most MOST_TIMES each: no more of them are given at once, so that no count runs over."""
    if place is not None:
        times[place] += 1
    else:
        np.add.at(times, message, times.dtype.type(1))
    counted = times[message if place is None else place]
    if len(counted) and counted.max() > MOST_TIMES:
        times[message if place is None else place] = np.minimum(counted, MOST_TIMES)


def least(times: np.ndarray, message: np.ndarray, at_ns: np.ndarray, place: slice | None = None) -> None:
    """Note a time for each message, if it has no earlier one."""
    if place is not None:
        np.minimum(times[place], at_ns, out=times[place])
    else:
        np.minimum.at(times, message, at_ns)


def mark(there: np.ndarray, message: np.ndarray, chosen: np.ndarray) -> None:
    """Mark the chosen ones of some messages."""
    if chosen.all():
        there[message] = True
    elif chosen.any():
        there[message[chosen]] = True
