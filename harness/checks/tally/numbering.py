"""From the identities in records to message numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from harness.checks.tally.counting import Mark
from harness.history.records import FOREIGN


class Numbering:
    """Message numbers of identities: a publisher's offset plus the sequence number, where that attempt was published."""

    def __init__(
        self, offsets: Mapping[int, int], sizes: Mapping[int, int], first: Mark, again: Sequence[np.ndarray]
    ) -> None:
        """Know what was published: `first` tells of each message whether its first attempt was, `again` are keys of all others."""
        self._offsets = np.full(FOREIGN + 1, -1, dtype=np.int64)
        self._sizes = np.zeros(FOREIGN + 1, dtype=np.int64)
        for number, offset in offsets.items():
            self._offsets[number], self._sizes[number] = offset, sizes[number]
        self._first = first
        self._again = np.unique(np.concatenate([np.empty(0, dtype=np.int64), *again]))

    def of(self, records: np.ndarray) -> np.ndarray:
        """Return message numbers, -1 for an identity that nobody published: another run's, a gap, an attempt never made."""
        message, attempt = self.of_any_attempt(records), np.ascontiguousarray(records["attempt"])
        first = attempt == 1
        if not first.all():
            known = np.flatnonzero(message >= 0)
            again = known[~first[known]]
            message[again[~np.isin(attempt_key(message[again], attempt[again]), self._again)]] = -1
            first &= message >= 0
        if int(message.max(initial=-1)) >= 0:
            # Of -1, which is none, this looks at the last message, and writes -1 again.
            unknown = first & ~self._first[message]
            if unknown.any():
                message[unknown] = -1
        return message

    def of_any_attempt(self, records: np.ndarray) -> np.ndarray:
        """Return message numbers, -1 for an identity of no publisher, or beyond its last message."""
        publisher, seq = records["publisher"].astype(np.intp), records["seq"]
        message = self._offsets.take(publisher)
        outside = (message < 0) | (seq >= self._sizes.take(publisher))
        message += seq
        if outside.any():
            message[outside] = -1
        return message


def attempt_key(message: np.ndarray, attempt: np.ndarray) -> np.ndarray:
    """Return one number for each attempt of a message."""
    key: np.ndarray = message << 16 | attempt
    return key
