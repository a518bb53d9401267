"""Percentiles of many groups of whole numbers, exact, without holding the numbers.

The numbers are read several times. Each time they are counted by their next binary digits, from the highest on, and only those are looked
at further that begin as a wanted one does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

_DIGIT_BITS = 12
"""How many binary digits are told apart in one reading, at the most: what is counted then fits into a processor's cache."""

Read = Callable[[], Iterator[tuple[np.ndarray, np.ndarray]]]
"""Yields numbers (int64, from 0 on) and the group of each, some after the other; whenever it is asked, the same."""


def percentiles(read: Read, groups: int, most: int, of: Sequence[np.ndarray], wanted: Sequence[float]) -> np.ndarray:
    """Return for each set of groups (`of`) the wanted percentiles of all its numbers: an array of sets by percentiles.

    The groups are numbered from 0; no number is above `most`. Each set holds at least one number. Between two numbers a percentile is
    interpolated, as numpy does it.
    """
    search = _Search(groups, most, of)
    search.count(read)
    # As numpy counts places: from 0, and parts of them.
    places = (search.sizes()[:, None] - 1) * np.true_divide(wanted, 100)
    below = np.floor(places).astype(np.int64)
    above = np.minimum(below + 1, search.sizes()[:, None] - 1)
    found = search.find(read, np.concatenate([below, above], axis=1))
    low, high = found[:, : len(wanted)], found[:, len(wanted) :]
    part, span = places - below, high - low
    # Two ways to say the same, of which numpy takes the one that is exact at its end.
    interpolated: np.ndarray = np.where(part < 0.5, low + span * part, high - span * (1 - part))
    return interpolated


class _Search:
    """Looks for the numbers that stand at some places of sets of groups."""

    def __init__(self, groups: int, most: int, of: Sequence[np.ndarray]) -> None:
        """Begin with the highest digits."""
        bits = max(1, int(most).bit_length())
        self._digits = -(-bits // _DIGIT_BITS)
        self._width = -(-bits // self._digits)
        self._of = np.zeros((len(of), groups), dtype=bool)
        for number, members in enumerate(of):
            self._of[number, members] = True
        self._group = np.arange(groups)
        """By slot, in which numbers of one group with the same digits so far are counted: their group, and these digits."""
        self._begun = np.zeros(groups, dtype=np.int64)
        self._tables: list[np.ndarray] = []
        """By digit that is known: from a slot and the digit to the next slot, -1 for none."""
        self._counts = np.zeros((0, 0), dtype=np.int64)

    def count(self, read: Read) -> None:
        """Read the numbers, and count by the next digit those whose digits so far are wanted."""
        size = 1 << self._width
        counts = np.zeros(len(self._group) * size, dtype=np.int64)
        for values, group in read():
            slot, mine = group, values
            for known, table in enumerate(self._tables):
                slot = table[slot * size + self._digit(mine, known)]
                wanted = np.flatnonzero(slot >= 0)
                if len(wanted) < len(slot):
                    slot, mine = slot[wanted], mine[wanted]
            np.add.at(counts, slot * size + self._digit(mine, len(self._tables)), 1)
        self._counts = counts.reshape(-1, size)

    def _digit(self, values: np.ndarray, number: int) -> np.ndarray:
        digit: np.ndarray = values >> ((self._digits - 1 - number) * self._width)
        if number:
            digit &= (1 << self._width) - 1
        return digit

    def sizes(self) -> np.ndarray:
        """Return how many numbers each set has; nothing but the first digits may have been counted."""
        sizes: np.ndarray = self._of @ self._counts.sum(axis=1)
        return sizes

    def find(self, read: Read, places: np.ndarray) -> np.ndarray:
        """Return the numbers at some places of each set: an array of sets by places, as is given."""
        begun, left = np.zeros_like(places), places.copy()
        while True:
            begun = np.stack(
                [
                    self._with_next_digit(members, mine, rest)
                    for members, mine, rest in zip(self._of, begun, left, strict=True)
                ]
            )
            if len(self._tables) + 1 == self._digits:
                return begun
            self._look_at(begun)
            self.count(read)

    def _with_next_digit(self, members: np.ndarray, begun: np.ndarray, left: np.ndarray) -> np.ndarray:
        """Return the digits of a set's wanted numbers and one more; `left`, their places among those that begin so, is kept up."""
        longer = np.zeros_like(begun)
        for begin in np.unique(begun):
            slots = np.flatnonzero(members[self._group] & (self._begun == begin))
            ends = np.cumsum(self._counts[slots].sum(axis=0))
            same = np.flatnonzero(begun == begin)
            digit = np.searchsorted(ends, left[same], side="right")
            left[same] -= np.append(0, ends)[digit]
            longer[same] = begin << self._width | digit
        return longer

    def _look_at(self, begun: np.ndarray) -> None:
        """Make slots for the numbers that begin as some of each set do."""
        wanted = np.zeros(self._counts.shape, dtype=bool)
        for members, mine in zip(self._of, begun, strict=True):
            for begin in np.unique(mine).tolist():
                slots = members[self._group] & (self._begun == begin >> self._width)
                wanted[slots, begin & ((1 << self._width) - 1)] = True
        slot, digit = np.nonzero(wanted & (self._counts > 0))
        table = np.full(self._counts.shape, -1, dtype=np.int64)
        table[slot, digit] = np.arange(len(slot))
        self._tables.append(table.reshape(-1))
        self._group, self._begun = self._group[slot], self._begun[slot] << self._width | digit
