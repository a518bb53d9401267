"""One time of each message, in half the room of a plain array, and exact.

Messages that are near each other by number are mostly near each other in time. So each block of them has a time of its own, and each
message only how far before that it was: 32 bits, some four seconds. What does not fit takes up to four bytes more, in an array whose
pages take no memory where nobody writes. Of messages to which nothing happened no page is written at all.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from harness.checks.tally.counting import consecutive, resized, with_room_for

NEVER: Final = np.iinfo(np.int64).max
"""The time of what has not happened."""

_BLOCK_BITS = 8
"""Messages come in blocks of 256: a publisher of a hundred a second fills one within the time that 32 bits can tell."""
_BLOCK = 1 << _BLOCK_BITS
_FAR = np.int64(1) << 32
_EARLIER_NS = np.int64(1) << 30
"""How much earlier than the first time that is noted in a block others may be without taking more room: one second."""


class Times:
    """Times by message, as int64 nanoseconds, NEVER for what has not happened; only ever made earlier.

    `times[here]` reads those of a slice, or of message numbers in any order.
    """

    def __init__(self, size: int) -> None:
        """Know of nothing that happened to so many messages."""
        self._near = np.zeros(size, dtype=np.uint32)
        """How much earlier than its block's last time each was. 0 is NEVER, as long as `_far` says nothing else."""
        self._far: np.ndarray | None = None
        """What is left of that beyond 32 bits; never 0 where `_near` does not suffice. None as long as it does everywhere."""
        blocks = (size >> _BLOCK_BITS) + 1
        self._last_ns = np.zeros(blocks, dtype=np.int64)
        self._begun = np.zeros(blocks, dtype=bool)
        self._is_far = np.zeros(blocks, dtype=bool)

    def __len__(self) -> int:
        """Return the number of messages."""
        return len(self._near)

    @property
    def nbytes(self) -> int:
        """Return how much room it takes at the most."""
        return sum(array.nbytes for array in vars(self).values() if isinstance(array, np.ndarray))

    def __getitem__(self, here: slice | np.ndarray) -> np.ndarray:
        """Return the times of some messages, in an array of their own."""
        near = self._near[here]
        blocks = self._blocks(here)
        times: np.ndarray = self._last_ns_of(here, blocks) - near
        never = None if near.all() else near == 0
        if self._far is not None and self._is_far[blocks].any():
            far = self._far[here]
            rows = np.flatnonzero(far)
            times[rows] -= _joined(far[rows])
            if never is not None:
                never &= far == 0
        if never is not None:
            times[never] = NEVER
        return times

    def known(self, here: slice | np.ndarray) -> np.ndarray:
        """Tell of some messages whether it has happened to them."""
        known: np.ndarray = self._near[here] != 0
        if self._far is not None:
            known |= self._far[here] != 0
        return known

    def least(self, where: slice | np.ndarray, at_ns: np.ndarray) -> None:
        """Note a time (or NEVER) for each of some messages, if it has no earlier one; a message may come several times."""
        if len(at_ns) and int(at_ns.max()) == NEVER:
            happened = np.flatnonzero(at_ns != NEVER)
            where = happened + where.start if isinstance(where, slice) else where[happened]
            at_ns = at_ns[happened]
        if not len(at_ns):
            return
        if isinstance(where, np.ndarray):
            where = consecutive(where) or where
        blocks = self._blocks(where)
        self._begin(where, blocks, at_ns)
        earlier = self._last_ns_of(where, blocks) - at_ns
        far = int(earlier.min()) <= 0 or int(earlier.max()) >= _FAR
        if far or (self._far is not None and self._is_far[blocks].any()):
            self._least_far(where, at_ns)
        elif isinstance(where, slice):
            np.maximum(self._near[where], earlier.astype(np.uint32), out=self._near[where])
        else:
            np.maximum.at(self._near, where, earlier.astype(np.uint32))

    def resize(self, size: int) -> None:
        """Make room for more messages, or give back that of messages that are none."""
        blocks = (size >> _BLOCK_BITS) + 1
        self._near = resized(self._near, size)
        self._far = None if self._far is None else resized(self._far, size)
        self._last_ns = resized(self._last_ns, blocks)
        self._begun = resized(self._begun, blocks)
        self._is_far = resized(self._is_far, blocks)

    def _blocks(self, here: slice | np.ndarray) -> slice | np.ndarray:
        """Return the blocks of a slice, or the block of each of some messages."""
        if isinstance(here, np.ndarray):
            return here >> _BLOCK_BITS
        begin, end, _ = here.indices(len(self._near))
        return slice(begin >> _BLOCK_BITS, -(-max(end, begin) >> _BLOCK_BITS))

    def _last_ns_of(self, here: slice | np.ndarray, blocks: slice | np.ndarray) -> np.ndarray:
        """Return for each of some messages the last time that its block can tell without `_far`, and one more."""
        if isinstance(here, np.ndarray):
            found: np.ndarray = self._last_ns[blocks]
            return found
        begin, end, _ = here.indices(len(self._near))
        offset = begin & (_BLOCK - 1)
        return np.repeat(self._last_ns[blocks], _BLOCK)[offset : offset + max(end - begin, 0)]

    def _begin(self, where: slice | np.ndarray, blocks: slice | np.ndarray, at_ns: np.ndarray) -> None:
        """Choose the times of blocks in which something happens for the first time."""
        begun = self._begun[blocks]
        if begun.all():
            return
        if isinstance(where, slice):
            numbers = np.arange(where.start >> _BLOCK_BITS, -(-where.stop >> _BLOCK_BITS))
            begins = np.maximum(numbers * _BLOCK - where.start, 0)
            numbers, least = numbers[~begun], np.minimum.reduceat(at_ns, begins)[~begun]
        else:
            rows = np.flatnonzero(~begun)
            numbers, place = np.unique(where[rows] >> _BLOCK_BITS, return_inverse=True)
            least = np.full(len(numbers), NEVER)
            np.minimum.at(least, place, at_ns[rows])
        self._last_ns[numbers] = least + (_FAR - _EARLIER_NS)
        self._begun[numbers] = True

    def _least_far(self, where: slice | np.ndarray, at_ns: np.ndarray) -> None:
        message = np.arange(where.start, where.stop) if isinstance(where, slice) else where
        rows = np.flatnonzero(at_ns < self[message])
        message, at_ns = message[rows], at_ns[rows]
        # Of several times of one message, the least.
        order = np.lexsort((at_ns, message))
        message, at_ns = message[order], at_ns[order]
        first = np.flatnonzero(np.diff(message, prepend=-1))
        message, at_ns = message[first], at_ns[first]
        blocks = message >> _BLOCK_BITS
        near, far = _parted(self._last_ns[blocks] - at_ns)
        self._near[message] = near
        if self._far is None:
            self._far = np.zeros(len(self._near), dtype=np.int8)
        self._far = with_room_for(self._far, int(far.min(initial=0)), int(far.max(initial=0)))
        rows = np.flatnonzero((far != 0) | (self._far[message] != 0))
        self._far[message[rows]] = far[rows]
        self._is_far[blocks[rows]] = True


def _parted(earlier: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Part how much earlier something was into 32 bits and what is left; both are never 0, which stands for NEVER."""
    earlier = earlier - (earlier <= 0)
    return (earlier & (_FAR - 1)).astype(np.uint32), earlier >> 32


def _joined(far: np.ndarray) -> np.ndarray:
    """Return what is left beyond 32 bits, as it has to be added."""
    joined: np.ndarray = far.astype(np.int64) << 32
    joined += far < 0
    return joined
