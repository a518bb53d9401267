"""Joining records by delivery tag: ranges to what they settle, completions and rejects to their deliveries.

The one join of the project: the judge reads a log block by block (`Index`), whoever has a log in memory indexes it at once (`indexed`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray


class Earliest(Protocol):
    """Keeps a time for each publish or delivery, in the order of the log, and only ever makes it earlier."""

    def least(self, where: NDArray[np.int64], at_ns: NDArray[np.int64]) -> None:
        """Note a time for each of some places, if there is no earlier one; a place may come several times."""


Settled = Earliest | NDArray[np.bool_]
"""What became of each publish or delivery, in the order of the log: when it was settled, or only whether it was."""

_NOWHERE: Final = (int(np.iinfo(np.int64).max), 0)
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

    def find(self, connection: np.ndarray, tag: np.ndarray) -> np.ndarray:
        """Return for each event the place of the publish or delivery with its tag, -1 for none; the first one of several."""
        wanted = _keys(connection, tag)
        if not len(self.first):
            return np.full(len(wanted), -1, dtype=np.int64)
        if self.repeated:
            run = np.minimum(np.searchsorted(self.first, wanted), len(self.first) - 1)
        else:
            run = np.maximum(np.searchsorted(self.first, wanted, side="right") - 1, 0)
        offset = wanted - self.first[run]
        hit = (offset >= 0) & (offset < self.length[run]) & (tag != 0)
        place = np.where(hit, self.place[run] + offset, 0)
        return np.where(hit, place if self.order is None else self.order[place], -1)

    def settle(self, settled: Settled, records: np.ndarray) -> None:
        """Note the times of ranges in `settled`: see `Index.settle`. They may cover tags that were never used."""
        if not len(records) or not len(self.first):
            return
        first, end = _ends(records)
        low = self._before(first)
        places, times = _spread(low, np.maximum(self._before(end) - low, 0), records["at_ns"])
        _note(settled, places if self.order is None else self.order[places], times)

    def _before(self, key: np.ndarray) -> np.ndarray:
        """Count the keys that are less than each of some."""
        if self.repeated:
            return np.searchsorted(self.first, key)
        run = np.searchsorted(self.first, key, side="right") - 1
        inside = self.place[run] + np.minimum(key - self.first[run], self.length[run])
        return np.where(run < 0, 0, inside)


class Index:
    """Indexes the publishes or deliveries of a log while it is read, and settles them as their records come.

    What concerns the run of tags that is growing is settled at once; the rest is kept until all are known.
    """

    def __init__(self) -> None:
        """Know nothing yet."""
        self.size = 0
        self._runs = [np.empty((3, 0), dtype=np.int64)]
        """First keys, places and lengths of the runs that are over."""
        self._first = self._end = self._place = 0
        """The run that is growing: its first key, the key behind its last one, and the place of its first one."""
        self._late: list[tuple[Settled, np.ndarray]] = []
        self._least, self._most = _NOWHERE

    def extent(self) -> tuple[int, int]:
        """Return the first key that was indexed or settled since the last call, and the one behind the last."""
        extent = self._least, self._most
        self._least, self._most = _NOWHERE
        return extent

    def _extend(self, first: np.ndarray, end: np.ndarray) -> None:
        if len(first):
            self._least = min(self._least, int(first.min()))
            self._most = max(self._most, int(end.max()))

    def add(self, connection: np.ndarray, tag: np.ndarray) -> None:
        """Index the next publishes or deliveries. A tag of 0 is never found."""
        keys, begin = _keys(connection, tag), self.size
        self.size += len(keys)
        place: np.ndarray | None = None
        if not tag.all():
            place = np.flatnonzero(tag)
            keys = keys[place]
        if not len(keys):
            return
        breaks = keys[1:] - keys[:-1] != 1
        if place is not None:
            breaks |= place[1:] - place[:-1] != 1
        begins = np.append(0, np.flatnonzero(breaks) + 1)
        lengths = np.diff(begins, append=len(keys))
        self._extend(keys, keys + 1)
        firsts, places = keys[begins], begin + (begins if place is None else place[begins])
        if firsts[0] == self._end and places[0] - self._place == self._end - self._first > 0:
            firsts[0], places[0] = self._first, self._place
            lengths[0] += self._end - self._first
        else:
            self._close()
        self._runs.append(np.stack([firsts[:-1], places[:-1], lengths[:-1]]))
        self._first, self._place = int(firsts[-1]), int(places[-1])
        self._end = self._first + int(lengths[-1])

    def _close(self) -> None:
        run = [[self._first], [self._place], [self._end - self._first]]
        if self._end > self._first:
            self._runs.append(np.array(run, dtype=np.int64))

    def settle(self, settled: Settled, records: np.ndarray, *, ranges: bool = True) -> None:
        """Note in `settled` when publishes or deliveries were settled, if that was not earlier.

        The records cover the tags [tag, tag + arg) of their connection, or with `ranges` false
        their own tag; they may come in any order and overlap.
        """
        first, end = _ends(records, ranges=ranges)
        self._extend(first, end)
        near = (first >= self._first) & (end <= self._end)
        if not ranges:
            near &= first < end
        if not near.all():
            late = records.take(np.flatnonzero(~near))
            if not ranges:
                late["arg"] = 1
            self._late.append((settled, late))
            records = records.take(np.flatnonzero(near))
            first, end = first[near], end[near]
        if len(first):
            low = first - (self._first - self._place)
            counts = None if not ranges else np.maximum(end - first, 0)
            _note(settled, *_spread(low, counts, records["at_ns"]))

    def finish(self) -> Tags:
        """Settle the rest. Where a key is repeated, what was settled while reading may be wrong: then it has to be done again."""
        tags = self.tags()
        for settled, records in self._late:
            tags.settle(settled, records)
        return tags

    def tags(self) -> Tags:
        """Return the index of all that was added."""
        self._close()
        first, place, length = np.concatenate(self._runs, axis=1)
        self._runs, self._first = [np.stack([first, place, length])], self._end
        if (first[1:] < first[:-1]).any():
            by_key = np.argsort(first, kind="stable")
            first, place, length = first[by_key], place[by_key], length[by_key]
        begins = np.cumsum(length) - length
        repeated = bool((first[1:] < first[:-1] + length[:-1]).any())
        if not repeated and (place == begins).all():
            return Tags(self.size, first, begins, length, None, repeated)
        order = expanded(place, length)
        if repeated:
            keys = expanded(first, length)
            by_key = np.lexsort((order, keys))
            first, order = keys[by_key], order[by_key]
            begins, length = np.arange(len(keys)), np.ones(len(keys), dtype=np.int64)
        return Tags(self.size, first, begins, length, order, repeated)


def indexed(records: np.ndarray) -> Tags:
    """Index publishes or deliveries that are in memory, in the order of their log."""
    index = Index()
    index.add(records["connection"], records["tag"])
    return index.tags()


def cover_any(records: np.ndarray, keys: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which records, that cover the tags [tag, tag + arg), cover one of some keys, which are sorted."""
    first, end = _ends(records)
    covering: NDArray[np.bool_] = np.searchsorted(keys, first) < np.searchsorted(keys, end)
    return covering


def record_keys(records: np.ndarray) -> np.ndarray:
    """Return one number for the connection and tag of each record."""
    return _keys(records["connection"], records["tag"])


def _keys(connection: np.ndarray, tag: np.ndarray) -> np.ndarray:
    keys: np.ndarray = connection.astype(np.int64)
    keys *= _TAGS
    keys += tag
    return keys


def _ends(records: np.ndarray, *, ranges: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Return the first key that each record covers, and the one behind its last. A tag of 0 stands for `not settled one by one`."""
    base = records["connection"].astype(np.int64)
    base *= _TAGS
    tag = records["tag"].astype(np.int64)
    first = base + np.maximum(tag, 1)
    tag += records["arg"] if ranges else 1
    base += np.minimum(tag, _TAGS, out=tag)
    return first, base


def _spread(low: np.ndarray, counts: np.ndarray | None, at_ns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the places [low, low + count) of each of some ranges, one behind the other, and the time of its range for each."""
    if counts is None or (counts == 1).all():
        return low, at_ns
    return expanded(low, counts), np.repeat(at_ns, counts)


def expanded(first: np.ndarray, counts: np.ndarray) -> NDArray[np.int64]:
    """Return the numbers [first, first + count) of each of some runs, one after the other."""
    ends = np.cumsum(counts)
    numbers: NDArray[np.int64] = np.repeat(first - (ends - counts), counts)
    numbers += np.arange(len(numbers))
    return numbers


def _note(settled: Settled, places: np.ndarray, times: np.ndarray) -> None:
    if isinstance(settled, np.ndarray):
        settled[places] = True
    else:
        settled.least(places, times)
