"""Marking and counting messages, given by their numbers in any order: what is usual takes little memory."""

from __future__ import annotations

import numpy as np


class Marks:
    """Up to eight truth values of each message, in one byte."""

    def __init__(self, size: int) -> None:
        """Mark none of so many messages."""
        self.bits = np.zeros(size, dtype=np.uint8)
        self._used = 0

    def column(self) -> Mark:
        """Return the next of the truth values."""
        self._used += 1
        return Mark(self, self._used - 1)

    def resize(self, size: int) -> None:
        """Make room for more messages, or give back that of messages that are none."""
        self.bits = resized(self.bits, size)


class Mark:
    """One truth value of each message. `mark[here]` reads those of a slice, or of message numbers in any order."""

    def __init__(self, marks: Marks, number: int) -> None:
        """Use one of the bits."""
        self._marks = marks
        self._bit = np.uint8(1 << number)

    def __getitem__(self, here: slice | np.ndarray) -> np.ndarray:
        """Tell which of some messages are marked."""
        there: np.ndarray = (self._marks.bits[here] & self._bit) != 0
        return there

    def put(self, where: slice | np.ndarray) -> None:
        """Mark some messages."""
        self._marks.bits[where] |= self._bit

    def put_some(self, where: slice | np.ndarray, chosen: np.ndarray) -> None:
        """Mark the chosen ones (truth values) of some messages."""
        if chosen.all():
            self.put(where)
        elif chosen.any():
            rows = np.flatnonzero(chosen)
            self.put(rows + where.start if isinstance(where, slice) else where[rows])


class Counts:
    """How often something happened to each message. `counts[here]` reads those of a slice, or of message numbers in any order.

    The first time is a mark. Further times are rare, and pages of zeros that nobody writes to take no memory.
    """

    def __init__(self, size: int, once: Mark) -> None:
        """Count nothing yet for so many messages; `once` is a mark of its own."""
        self.some = once
        """Whether it happened at all."""
        self.further = np.zeros(size, dtype=np.uint8)
        """How often it happened after the first time."""

    def __getitem__(self, here: slice | np.ndarray) -> np.ndarray:
        """Return how often it happened to some messages."""
        counts: np.ndarray = np.add(self.further[here], self.some[here], dtype=np.uint32)
        return counts

    def single(self, here: slice | np.ndarray) -> np.ndarray:
        """Tell to which of some messages it happened exactly once."""
        further = self.further[here]
        single = self.some[here]
        if further.any():
            single &= further == 0
        return single

    def add(self, where: slice | np.ndarray, *, distinct: bool) -> bool:
        """Count some messages; `distinct` says that none of them comes several times. Returns whether all were the first time."""
        times: np.ndarray | int = 1
        if not distinct:
            where, times = np.unique(numbers(where), return_counts=True)
        again = self.some[where]
        self.some.put(where)
        if distinct and not again.any():
            return True
        further = again + (times - 1)
        rows = np.flatnonzero(further)
        message = numbers(where)[rows]
        counted = self.further[message] + further[rows]
        self.further = with_room_for(self.further, 0, int(counted.max(initial=0)))
        self.further[message] = counted
        return not len(rows)

    def resize(self, size: int) -> None:
        """Make room for more messages, or give back that of messages that are none; the marks are resized by themselves."""
        self.further = resized(self.further, size)


def with_room_for(array: np.ndarray, least: int, most: int) -> np.ndarray:
    """Return an array of integers that can hold two values: the same one, or a wider one whose pages of zeros are not written."""
    kind = array.dtype
    while not np.iinfo(kind).min <= least <= most <= np.iinfo(kind).max:
        kind = np.dtype(f"{kind.kind}{kind.itemsize * 2}")
    if kind == array.dtype:
        return array
    wider = np.zeros(len(array), dtype=kind)
    rows = np.flatnonzero(array)
    wider[rows] = array[rows]
    return wider


def resized(array: np.ndarray, size: int) -> np.ndarray:
    """Return an array that is cut, or made longer with zeros."""
    if size <= len(array):
        return array[:size]
    longer = np.zeros(size, dtype=array.dtype)
    longer[: len(array)] = array
    return longer


def are_distinct(message: np.ndarray) -> bool:
    """Whether no message comes several times."""
    if (message[1:] > message[:-1]).all():
        return True
    ordered = np.sort(message)
    return bool((ordered[1:] > ordered[:-1]).all())


def consecutive(message: np.ndarray) -> slice | None:
    """Return the place of consecutive messages, None for others."""
    if not len(message) or int(message[-1]) - int(message[0]) != len(message) - 1 or int(message[0]) < 0:
        return None
    if not (message[1:] - message[:-1] == 1).all():
        return None
    return slice(int(message[0]), int(message[-1]) + 1)


def numbers(where: slice | np.ndarray) -> np.ndarray:
    """Return the numbers of messages that may be given as a slice."""
    return np.arange(where.start, where.stop) if isinstance(where, slice) else where.astype(np.int64, copy=False)
