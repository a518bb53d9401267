"""A history cut down to what concerns some messages."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from harness.history.history import History
from harness.history.read import EMPTY, Log
from harness.history.records import OF_MESSAGES, RANGES
from harness.history.tags import cover_any, record_keys


def narrowed(history: History, messages: Collection[tuple[int, int]]) -> History:
    """Keep only the records that concern some messages, given as (publisher's number, seq): their lives stay the same.

    For many lives out of a long history: each log is gone through once, not once for each life.
    """
    chosen = _Chosen(messages)
    return replace(history, logs=tuple(_narrowed(log, chosen) for log in history.logs))


class _Chosen:
    """Some messages, to be found among many: a truth value for each sequence number, publisher after publisher."""

    def __init__(self, messages: Collection[tuple[int, int]]) -> None:
        most: dict[int, int] = {}
        for number, seq in messages:
            most[number] = max(seq, most.get(number, 0))
        self._begin = np.zeros(1 << 16, dtype=np.int64)
        self._most = np.full(1 << 16, -1, dtype=np.int64)
        place = 0
        for number, seq in most.items():
            self._begin[number], self._most[number] = place, seq
            place += seq + 1
        self._there = np.zeros(max(1, place), dtype=bool)
        for number, seq in messages:
            self._there[self._begin[number] + seq] = True

    def among(self, publisher: np.ndarray, seq: np.ndarray) -> np.ndarray:
        """Tell which of some messages are chosen."""
        known = seq <= self._most[publisher]
        found: np.ndarray = known & self._there[np.where(known, self._begin[publisher] + seq, 0)]
        return found


def _narrowed(log: Log, chosen: _Chosen) -> Log:
    rows = [_rows(block, chosen) for block in log.blocks()]
    tags = np.sort(np.concatenate([_NO_KEYS, *map(record_keys, rows)]))
    kept = [EMPTY, *(block[_concerns(block, chosen, tags)] for block in log.blocks())]
    return log.part(np.concatenate(kept))


_NO_KEYS = np.empty(0, dtype=np.int64)
_IS_OF_MESSAGE = np.isin(np.arange(256), OF_MESSAGES)
_IS_RANGE = np.isin(np.arange(256), RANGES)


def _rows(block: np.ndarray, chosen: _Chosen) -> np.ndarray:
    """Return the records of chosen messages. A return names its publisher like every other record of a message."""
    rows = np.flatnonzero(_IS_OF_MESSAGE[block["kind"]])
    found: np.ndarray = block[rows[chosen.among(block["publisher"][rows], block["seq"][rows])]]
    return found


def _concerns(block: np.ndarray, chosen: _Chosen, tags: np.ndarray) -> np.ndarray:
    """Tell which records are about chosen messages, settle one of their tags, or are about no message at all."""
    kinds = np.ascontiguousarray(block["kind"])
    of_message, of_range = _IS_OF_MESSAGE[kinds], _IS_RANGE[kinds]
    kept: np.ndarray = ~of_message & ~of_range
    rows = np.flatnonzero(of_message)
    kept[rows] = chosen.among(block["publisher"][rows], block["seq"][rows])
    rows = np.flatnonzero(of_range)
    if len(rows) and len(tags):
        kept[rows] = cover_any(block.take(rows), tags)
    return kept
