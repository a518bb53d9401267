"""Percentiles of many groups of whole numbers, exact, without holding the numbers.

The numbers are read several times. Each time they are counted by their next binary digits, from the highest on, and only those are looked
at further that begin as a wanted one does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

_DIGIT_BITS = 12
"""How many binary digits are told apart in one reading, at the most: what is counted then fits into a processor's cache."""

Read = Callable[[], Iterator[tuple[np.ndarray, np.ndarray]]]
"""Yields numbers (int64, from 0 on) and the group of each, some after the other; whenever it is asked, the same."""


@dataclass(frozen=True, slots=True)
class _Slots:
    """What is counted in one reading: each slot has the numbers of one group whose first digits are the same."""

    group: np.ndarray
    begun: np.ndarray
    """These digits, as one number."""
    tables: tuple[np.ndarray, ...] = ()
    """By digit that is known: from slot and digit to the next slot, -1 for none."""


class Ranked:
    """Numbers in groups, to be asked for percentiles of sets of groups. Groups are numbered from 0; no number is above `most`."""

    def __init__(self, read: Read, groups: int, most: int) -> None:
        """Read the numbers for the first time."""
        bits = max(1, int(most).bit_length())
        self._digits = -(-bits // _DIGIT_BITS)
        self._width = -(-bits // self._digits)
        self._read = read
        self._all = _Slots(np.arange(groups), np.zeros(groups, dtype=np.int64))
        self._counts = self._counted(self._all)
        self.sizes: np.ndarray = self._counts.sum(axis=1)
        """How many numbers each group has."""

    def percentiles(self, sets: Sequence[np.ndarray], wanted: Sequence[float]) -> np.ndarray:
        """Return the wanted percentiles of the numbers of each set of groups, which has some: an array of sets by percentiles.

        Between two numbers a percentile is interpolated, as numpy does it.
        """
        # As numpy counts places: from 0, and parts of them.
        most = np.array([self.sizes[groups].sum() - 1 for groups in sets])[:, None]
        places = most * np.true_divide(wanted, 100)
        below = np.floor(places).astype(np.int64)
        found = self._found(sets, np.concatenate([below, np.minimum(below + 1, most)], axis=1))
        low, high = found[:, : len(wanted)], found[:, len(wanted) :]
        part, span = places - below, high - low
        # Two ways to say the same, of which numpy takes the one that is exact at its end.
        interpolated: np.ndarray = np.where(part < 0.5, low + span * part, high - span * (1 - part))
        return interpolated

    def _found(self, sets: Sequence[np.ndarray], places: np.ndarray) -> np.ndarray:
        """Return the numbers at some places of each set: an array of sets by places, as is given."""
        members = np.zeros((len(sets), len(self.sizes)), dtype=bool)
        for number, groups in enumerate(sets):
            members[number, groups] = True
        slots, counts = self._all, self._counts
        begun, left = np.zeros_like(places), places.copy()
        while True:
            for mine, begins, rest in zip(members[:, slots.group], begun, left, strict=True):
                self._add_digit(slots.begun, counts, mine, begins, rest)
            if len(slots.tables) + 1 == self._digits:
                return begun
            slots = self._next(slots, counts, members, begun)
            counts = self._counted(slots)

    def _counted(self, slots: _Slots) -> np.ndarray:
        """Read the numbers, and count by slot and next digit."""
        size = 1 << self._width
        counts = np.zeros(len(slots.group) * size, dtype=np.int64)
        for values, group in self._read():
            slot, mine = group, values
            for known, table in enumerate(slots.tables):
                slot = table[slot * size + self._digit(mine, known)]
                wanted = np.flatnonzero(slot >= 0)
                if len(wanted) < len(slot):
                    slot, mine = slot[wanted], mine[wanted]
            np.add.at(counts, slot * size + self._digit(mine, len(slots.tables)), 1)
        return counts.reshape(-1, size)

    def _digit(self, values: np.ndarray, number: int) -> np.ndarray:
        digit: np.ndarray = values >> ((self._digits - 1 - number) * self._width)
        if number:
            digit &= (1 << self._width) - 1
        return digit

    def _add_digit(
        self, slots: np.ndarray, counts: np.ndarray, mine: np.ndarray, begun: np.ndarray, left: np.ndarray
    ) -> None:
        """Find the next digit of one set's wanted numbers, whose slots (by their first digits) are `mine`.

        `begun` are the numbers' first digits, and `left` their places among all that begin so; both are kept up.
        """
        longer = np.zeros_like(begun)
        for begin in np.unique(begun):
            ends = np.cumsum(counts[mine & (slots == begin)].sum(axis=0))
            same = np.flatnonzero(begun == begin)
            digit = np.searchsorted(ends, left[same], side="right")
            left[same] -= np.append(0, ends)[digit]
            longer[same] = begin << self._width | digit
        begun[:] = longer

    def _next(self, slots: _Slots, counts: np.ndarray, members: np.ndarray, begun: np.ndarray) -> _Slots:
        """Make slots for the numbers that begin as some wanted ones of a set do."""
        wanted = np.zeros(counts.shape, dtype=bool)
        for mine, begins in zip(members[:, slots.group], begun, strict=True):
            for begin in np.unique(begins).tolist():
                wanted[mine & (slots.begun == begin >> self._width), begin & ((1 << self._width) - 1)] = True
        slot, digit = np.nonzero(wanted & (counts > 0))
        table = np.full(counts.shape, -1, dtype=np.int64)
        table[slot, digit] = np.arange(len(slot))
        return _Slots(slots.group[slot], slots.begun[slot] << self._width | digit, (*slots.tables, table.reshape(-1)))
