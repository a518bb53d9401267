"""Where a log speaks of what, block by block, so that the records of a few messages are found without reading all others again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.history.progress import COUNTERS
from harness.history.read import BLOCK_RECORDS, EMPTY, Log
from harness.history.records import OF_MESSAGES, RANGES, Kind
from harness.history.tags import cover_any, record_keys

_GROUP_BITS = 10
"""Messages are outlined in groups of 1024."""
_OF_MESSAGES = np.isin(np.arange(256), OF_MESSAGES)
_BY_TAG = np.isin(np.arange(256), (*RANGES, Kind.COMPLETED, Kind.REJECTED, Kind.FAILED))
_RANGES = np.isin(np.arange(256), RANGES)


@dataclass(frozen=True, slots=True)
class Extents:
    """By block of a log: the first key that it speaks of and the one behind the last, and whether it holds more than the usual."""

    first: np.ndarray
    end: np.ndarray
    unusual: np.ndarray
    counted: Mapping[str, np.ndarray]
    """By progress counter that its process drives, how much the block adds to it."""

    @classmethod
    def of(cls, blocks: list[tuple[int, ...]], counters: Sequence[str] = ()) -> Extents:
        """Put together what is known of each block: as above, and what it adds to each of some counters."""
        first, end, unusual, *counted = np.array(blocks, dtype=np.int64).reshape(-1, 3 + len(counters)).T
        return cls(first, end, unusual != 0, dict(zip(counters, counted, strict=True)))


@dataclass(frozen=True, slots=True)
class Outline:
    """The outline of one log."""

    extents: Extents
    groups: list[np.ndarray]
    """By block: the groups of messages that were published or delivered there."""

    def count(self, log: Log, name: str, until_ns: int) -> int:
        """Tell how far a progress counter had come by a time, by what its log tells."""
        end = log.place(until_ns)
        whole = end // BLOCK_RECORDS
        rest = log.records[whole * BLOCK_RECORDS : end]
        return int(self.extents.counted[name][:whole].sum() + COUNTERS[name](rest).sum())

    def narrowed(
        self, log: Log, chosen: np.ndarray, number: Callable[[np.ndarray], np.ndarray]
    ) -> tuple[Log, np.ndarray]:
        """Keep the records that concern chosen messages (truth by message), or no message at all; return their places as well.

        `number` tells the messages of records, -1 for what is none.
        """
        grouped = np.zeros((len(chosen) >> _GROUP_BITS) + 1, dtype=bool)
        grouped[np.flatnonzero(chosen) >> _GROUP_BITS] = True
        there = np.array([grouped[groups].any() for groups in self.groups], dtype=bool)
        keys = np.sort(
            np.concatenate([_NO_KEYS, *(_keys(log.block(b), chosen, number) for b in np.flatnonzero(there).tolist())])
        )
        spoken = np.searchsorted(keys, self.extents.first) < np.searchsorted(keys, self.extents.end)
        kept, places = [EMPTY], [_NO_KEYS]
        for place in np.flatnonzero(there | spoken | self.extents.unusual).tolist():
            block = log.block(place)
            rows = np.flatnonzero(_concerns(block, chosen, number, keys))
            kept.append(block.take(rows))
            places.append(rows + place * BLOCK_RECORDS)
        log.release()
        return log.part(np.concatenate(kept)), np.concatenate(places)


_NO_KEYS = np.empty(0, dtype=np.int64)


def groups_of(message: np.ndarray) -> np.ndarray:
    """Return the groups of some messages; -1 is none."""
    group = message >> _GROUP_BITS
    first = int(group.min(initial=0))
    there = np.zeros(int(group.max(initial=0)) - first + 1, dtype=bool)
    there[group - first] = True
    groups = np.flatnonzero(there) + first
    return groups[groups >= 0]


def _keys(block: np.ndarray, chosen: np.ndarray, number: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    kinds = np.ascontiguousarray(block["kind"])
    records = block.take(np.flatnonzero((kinds == Kind.PUBLISHED) | (kinds == Kind.DELIVERED)))
    message = number(records)
    mine = np.flatnonzero((message >= 0) & chosen[message])
    return record_keys(records.take(mine))


def _concerns(
    block: np.ndarray, chosen: np.ndarray, number: Callable[[np.ndarray], np.ndarray], keys: np.ndarray
) -> np.ndarray:
    kinds = np.ascontiguousarray(block["kind"])
    of_message, by_tag = _OF_MESSAGES[kinds], _BY_TAG[kinds]
    concerns: np.ndarray = ~of_message & ~by_tag
    rows = np.flatnonzero(of_message)
    message = number(block.take(rows))
    concerns[rows] = (message >= 0) & chosen[message]
    rows = np.flatnonzero(by_tag)
    if len(rows) and len(keys):
        records = block.take(rows)
        records["arg"] = np.where(_RANGES[kinds[rows]], records["arg"], 1)
        concerns[rows] |= cover_any(records, keys)
    return concerns
