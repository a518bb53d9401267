"""The numbers of copies: dense, so that what is known of each is an array.

Messages are numbered by publisher: its offset plus the sequence number. A publisher whose messages can have K copies each (the most that
one of its routes can have) has K spans of copy numbers, one for each slot, each as long as it has sequence numbers. So the copies of
consecutive messages in one queue are consecutive. Where each message can have one copy only, a copy's number is its message's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.checks.tally.lives import MISROUTED, Lives
from harness.checks.tally.numbering import Numbering
from harness.history.read import Log
from harness.history.records import FOREIGN, Death, Flag

AT_ONCE = 1 << 16
"""Messages or copies that are looked at at once: a processor's cache holds what that takes."""


@dataclass(frozen=True, slots=True)
class Span:
    """The copies of one publisher's messages in one slot: numbers [begin, end)."""

    begin: int
    end: int
    message: int
    """The message of the first one."""
    slot: int


class Copies:
    """The numbering of all copies of a run."""

    def __init__(
        self,
        offsets: Mapping[int, int],
        sizes: Mapping[int, int],
        routes_of: Mapping[int, frozenset[int]],
        lives: Sequence[Lives],
    ) -> None:
        """Number them. By publisher: the offset and number of its messages, and its routes (indexes into `lives`)."""
        self.lives = tuple(lives)
        self._shift = np.zeros((FOREIGN + 1, max((len(each.slots) for each in lives), default=1)), dtype=np.int64)
        spans: list[Span] = []
        self.total = 0
        for number, offset in offsets.items():
            slots = max((len(lives[route].slots) for route in routes_of[number]), default=1)
            for slot in range(slots):
                spans.append(Span(self.total, self.total + sizes[number], offset, slot))
                self._shift[number, slot] = self.total - offset
                self.total += sizes[number]
        self.spans = tuple(spans)
        self._begins = np.array([span.begin for span in spans] or [0], dtype=np.int64)
        self._messages = np.array([span.message for span in spans] or [0], dtype=np.int64)
        self._slots = np.array([span.slot for span in spans] or [0], dtype=np.int64)
        self.single = all(span.slot == 0 and span.begin == span.message for span in spans)
        """Whether no message can have several copies, so that a copy's number is its message's."""

    def slices(self) -> Iterator[slice]:
        """Yield slices that cover all copies, each within one span."""
        for span in self.spans:
            for begin in range(span.begin, span.end, AT_ONCE):
                yield slice(begin, min(begin + AT_ONCE, span.end))

    def messages(self, here: slice | NDArray[np.int64]) -> slice | NDArray[np.int64]:
        """Return the messages of some copies; a slice of a slice within one span."""
        if self.single:
            return here
        if isinstance(here, np.ndarray):
            span = np.searchsorted(self._begins, here, side="right") - 1
            found: NDArray[np.int64] = here - self._begins[span] + self._messages[span]
            return found
        begin, end, _ = here.indices(self.total)
        first = int(np.searchsorted(self._begins, begin, side="right")) - 1
        if end <= self.spans[first].end:
            shift = self.spans[first].message - self.spans[first].begin
            return slice(begin + shift, end + shift)
        return self.messages(np.arange(begin, end))

    def slots(self, here: slice | NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the slots of some copies."""
        if isinstance(here, slice):
            here = np.arange(*here.indices(self.total))
        found: NDArray[np.int64] = self._slots[np.searchsorted(self._begins, here, side="right") - 1]
        return found

    def slot(self, here: slice) -> int:
        """Return the slot of a slice within one span, as `slices` yields them."""
        return int(self._slots[np.searchsorted(self._begins, here.start, side="right") - 1])

    def number(
        self, message: NDArray[np.int64], publisher: NDArray[np.uint16], slot: NDArray[np.int64] | int
    ) -> NDArray[np.int64]:
        """Return the copies of some messages (not -1) in a slot, or in one each."""
        found: NDArray[np.int64] = message + self._shift[publisher, slot]
        return found

    def of(self, message: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return all copies that some messages can have, and beside each the place of its message among those given."""
        if self.single:
            return message, np.arange(len(message))
        copies, places = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
        for span in self.spans:
            offset = message - span.message
            rows = np.flatnonzero((offset >= 0) & (offset < span.end - span.begin))
            copies.append(offset[rows] + span.begin)
            places.append(rows)
        return np.concatenate(copies), np.concatenate(places)

    def siblings(self, copy: NDArray[np.int64], slot: int) -> NDArray[np.int64]:
        """Return for some copies those of the same messages in another slot, which they must have."""
        span = np.searchsorted(self._begins, copy, side="right") - 1
        # The spans of one publisher follow each other.
        found: NDArray[np.int64] = copy - self._begins[span] + self._begins[span + (slot - self._slots[span])]
        return found


class DeliveredCopies:
    """Finds the messages and copies that the deliveries of one log are of, or that the collector found."""

    def __init__(
        self,
        log: Log,
        numbering: Numbering,
        copies: Copies,
        route: NDArray[np.unsignedinteger],
        carried: NDArray[np.uint8] | None = None,
    ) -> None:
        """`route` and `carried` are by message: how many x-death entries its publish had, None if none had any."""
        self._log, self._numbering, self._copies, self._route, self._carried = log, numbering, copies, route, carried
        self._known: dict[int, NDArray[np.int64]] = {}

    def messages(self, records: np.ndarray) -> NDArray[np.int64]:
        """Return message numbers, -1 for what nobody published."""
        return self._numbering.of(records)

    def messages_of_any_attempt(self, records: np.ndarray) -> NDArray[np.int64]:
        """Return message numbers, -1 for an identity of no publisher, or beyond its last message."""
        return self._numbering.of_any_attempt(records)

    def copies(self, records: np.ndarray, message: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return copies; -1 where the message is, and where no life of it leads to the queue that it came from."""
        never_died = self._never_died_in_one_queue(records)
        if never_died is not None and self._copies.single and not self._slots(never_died).any():
            return message
        known = np.flatnonzero(message >= 0)
        if len(known) < len(message) or not len(message):
            copy = np.full(len(message), -1, dtype=np.int64)
            if len(known):
                copy[known] = self.copies(records.take(known), message[known])
            return copy
        route = self._route[message]
        if never_died is not None and self._carried is None and not records["death"].any():
            slot = self._slots(never_died)[route]
        else:
            distinct, place = np.unique(self._keys(records, message), return_inverse=True)
            slot = np.stack([self._slots(key) for key in distinct.tolist()])[place, route]
        found = self._copies.number(message, records["publisher"], slot)
        found[slot == MISROUTED] = -1
        return found

    def _never_died_in_one_queue(self, records: np.ndarray) -> int | None:
        """Return the key (see `_keys`) of records that all come from one queue, and none by a death; None for others."""
        if not len(records) or (records["flags"] & np.uint8(Flag.DEAD_LETTERED)).any():
            return None
        queue = np.ascontiguousarray(records["queue"])
        return int(queue[0]) << 25 if (queue == queue[0]).all() else None

    def _keys(self, records: np.ndarray, message: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return of each record all that tells the slot beside the route, as one number."""
        keys: NDArray[np.int64] = records["queue"].astype(np.int64) << 25 | records["death"].astype(np.int64) << 9
        keys |= (records["flags"] & np.uint8(Flag.DEAD_LETTERED)) != 0
        if self._carried is not None:
            keys |= self._carried[message].astype(np.int64) << 1
        return keys

    def _slots(self, key: int) -> NDArray[np.int64]:
        """Return by route the slot of what came from a queue by a death: see `_keys` for the key."""
        if key not in self._known:
            queue, death, carried, died = self._log.names[key >> 25], key >> 9 & 0xFFFF, key >> 1 & 0xFF, bool(key & 1)
            how = self._log.deaths[death] if death else None
            self._known[key] = np.array(
                [_slot(each, queue, how, carried, died=died) for each in self._copies.lives], dtype=np.int64
            )
        return self._known[key]


def _slot(lives: Lives, queue: str, how: Death | None, carried: int, *, died: bool) -> int:
    if carried and how is not None:
        return lives.slot_of_republished(queue, how.path, carried)
    return lives.slot_of_dead_letter(queue) if died and how is None else lives.slot(queue, how)
