"""Joining records by delivery tag: ranges to what they settle, completions and rejects to their deliveries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

NEVER: Final = np.iinfo(np.int64).max
"""The time of what has not happened."""

_TAGS: Final = np.int64(1) << 32
"""A tag has 32 bits; the connection stands above it in a key."""


@dataclass(frozen=True, slots=True)
class Tags:
    """The publishes or deliveries of one log, to be found by connection and tag.

    A process uses the tags of a connection one after the other, so their keys are few runs of consecutive numbers.
    """

    size: int
    """How many publishes or deliveries there are."""
    first: np.ndarray
    """The first key of each run, sorted."""
    place: np.ndarray
    """Where each run begins among the sorted keys."""
    length: np.ndarray
    order: np.ndarray | None
    """Where each key stands in the log's own order; None if that is sorted already."""
    repeated: bool
    """Whether a key is there more than once. Then each run is one key long."""

    @classmethod
    def of(cls, connection: np.ndarray, tag: np.ndarray) -> Tags:
        """Index publishes or deliveries, given by two arrays of one length. A tag of 0 is never found."""
        keys = _keys(connection, tag)
        order = None
        step = np.diff(keys)
        if (step < 0).any():
            order = np.argsort(keys, kind="stable")
            keys = keys[order]
            step = np.diff(keys)
        repeated = bool((step == 0).any())
        begins = np.arange(len(keys)) if repeated else np.flatnonzero(np.append(True, step != 1)[: len(keys)])
        return cls(len(keys), keys[begins], begins, np.diff(begins, append=len(keys)), order, repeated)

    def find(self, connection: np.ndarray, tag: np.ndarray) -> np.ndarray:
        """Return for each event the place of the publish or delivery with its tag, -1 for none; the first one of several."""
        wanted = _keys(connection, tag)
        if not self.size:
            return np.full(len(wanted), -1, dtype=np.int64)
        if self.repeated:
            run = np.minimum(np.searchsorted(self.first, wanted), len(self.first) - 1)
        else:
            run = np.maximum(np.searchsorted(self.first, wanted, side="right") - 1, 0)
        offset = wanted - self.first[run]
        hit = (offset >= 0) & (offset < self.length[run]) & (tag != 0)
        place = np.where(hit, self.place[run] + offset, 0)
        return np.where(hit, place if self.order is None else self.order[place], -1)

    def settle(self, at_ns: np.ndarray, block: np.ndarray, ranges: np.ndarray) -> None:
        """Note in `at_ns` (one time for each publish or delivery, in the order of the log) when it was settled, if that was not earlier.

        `ranges` are places in a block of records that cover the tags [tag, tag + arg) of their connection; they may come in any order,
        overlap, and cover tags that were never used.
        """
        if not len(ranges) or not self.size:
            return
        base = block["connection"][ranges].astype(np.int64) * _TAGS
        tag = block["tag"][ranges].astype(np.int64)
        low = self._before(base + np.maximum(tag, 1))  # a tag of 0 stands for `not settled one by one`
        counts = np.maximum(self._before(base + np.minimum(tag + block["arg"][ranges], _TAGS)) - low, 0)
        times = block["at_ns"][ranges]
        if (counts == 1).all():
            places = low
        else:
            ends = np.cumsum(counts)
            places = np.arange(int(ends[-1])) + np.repeat(low - (ends - counts), counts)
            times = np.repeat(times, counts)
        np.minimum.at(at_ns, places if self.order is None else self.order[places], times)

    def _before(self, key: np.ndarray) -> np.ndarray:
        """Count the keys that are less than each of some."""
        if self.repeated:
            return np.searchsorted(self.first, key)
        run = np.searchsorted(self.first, key, side="right") - 1
        inside = self.place[run] + np.minimum(key - self.first[run], self.length[run])
        return np.where(run < 0, 0, inside)


def _keys(connection: np.ndarray, tag: np.ndarray) -> np.ndarray:
    keys: np.ndarray = connection.astype(np.int64)
    keys *= _TAGS
    keys += tag
    return keys
