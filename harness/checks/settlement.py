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
    """The publishes or deliveries of one log, to be found by connection and tag."""

    keys: np.ndarray
    """Sorted."""
    order: np.ndarray | None
    """Where each key stands in the log's own order; None if that is sorted already."""

    @classmethod
    def of(cls, connection: np.ndarray, tag: np.ndarray) -> Tags:
        """Index publishes or deliveries, given by two arrays of one length. A tag of 0 is never found."""
        keys = _keys(connection, tag)
        if len(keys) < 2 or bool((keys[1:] > keys[:-1]).all()):
            return cls(keys, None)
        order = np.argsort(keys, kind="stable")
        return cls(keys[order], order)

    def find(self, connection: np.ndarray, tag: np.ndarray) -> np.ndarray:
        """Return for each event the place of the publish or delivery with its tag, -1 for none."""
        wanted = _keys(connection, tag)
        if not len(self.keys):
            return np.full(len(wanted), -1, dtype=np.int64)
        place = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        hit = (self.keys[place] == wanted) & (tag != 0)
        return np.where(hit, place if self.order is None else self.order[place], -1)

    def settled(self, ranges: np.ndarray) -> np.ndarray:
        """Return when each publish or delivery was settled first, NEVER for none.

        `ranges` are records that cover the tags [tag, tag + arg) of their connection; they may come in any order, overlap, and cover
        tags that were never used.
        """
        at_ns = np.full(len(self.keys), NEVER, dtype=np.int64)
        if not len(ranges) or not len(self.keys):
            return at_ns
        first = np.maximum(ranges["tag"].astype(np.int64), 1)  # a tag of 0 stands for `not settled one by one`
        end = np.minimum(ranges["tag"].astype(np.int64) + ranges["arg"], _TAGS)
        base = ranges["connection"].astype(np.int64) * _TAGS
        low = np.searchsorted(self.keys, base + first)
        counts = np.maximum(np.searchsorted(self.keys, base + end) - low, 0)
        ends = np.cumsum(counts)
        flat = np.arange(int(ends[-1])) + np.repeat(low - (ends - counts), counts)
        np.minimum.at(at_ns, flat, np.repeat(ranges["at_ns"], counts))
        if self.order is None:
            return at_ns
        unsorted = np.empty_like(at_ns)
        unsorted[self.order] = at_ns
        return unsorted


def _keys(connection: np.ndarray, tag: np.ndarray) -> np.ndarray:
    keys: np.ndarray = connection.astype(np.int64)
    keys *= _TAGS
    keys += tag
    return keys


def earliest(total: int, message: np.ndarray, at_ns: np.ndarray) -> np.ndarray:
    """Return each message's earliest time, NEVER for those that have none."""
    first = np.full(total, NEVER, dtype=np.int64)
    np.minimum.at(first, message, at_ns)
    return first
