"""A log as one record for each message and event: ranges are spread, and what a record leaves to its delivery is filled in."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.history.read import Log
from harness.history.records import RANGES, Flag, Kind
from harness.history.tags import expanded, indexed

_RANGES = np.isin(np.arange(256), RANGES)
_OF_DELIVERIES = np.isin(np.arange(256), (Kind.COMPLETED, Kind.REJECTED, Kind.FAILED, Kind.CRASHING))


class Rows(NamedTuple):
    """The rows of a log: arrays of one length."""

    records: np.ndarray
    """Of `DTYPE`, all their own. A range of tags is one row for each; a delivery that was worked off as it came is two, the second one
    of kind COMPLETED."""
    of_range: NDArray[np.bool_]
    """Which come from a range, and belong to a message that was found by its tag."""


def spread(log: Log) -> Rows:
    """Return the rows of a log. What it defines (its texts) is no event, and has none."""
    records = log.events
    kind = np.ascontiguousarray(records["kind"])
    is_range, at_once = _RANGES[kind], (kind == Kind.DELIVERED) & ((records["flags"] & Flag.DONE) != 0)
    counts = np.where(is_range, np.maximum(records["arg"], 1), 1 + at_once)
    if (counts == 1).all():
        rows, of_range = records.copy(), is_range
    else:
        rows, of_range = np.repeat(records, counts), np.repeat(is_range, counts)
        number = expanded(np.zeros(len(counts), dtype=np.int64), counts)
        rows["tag"] += np.where(of_range, number, 0).astype(np.uint32)
        _complete(rows, np.flatnonzero((number == 1) & ~of_range))
    owners = records.take(
        np.flatnonzero(kind == (Kind.PUBLISHED if log.header.role == "publisher" else Kind.DELIVERED))
    )
    return Rows(rows, _filled(rows, of_range, owners))


def _complete(rows: np.ndarray, places: NDArray[np.int64]) -> None:
    """Make completions of some deliveries."""
    rows["kind"][places] = Kind.COMPLETED
    rows["flags"][places] = rows["arg"][places] = 0


def _filled(rows: np.ndarray, of_range: NDArray[np.bool_], owners: np.ndarray) -> NDArray[np.bool_]:
    """Fill in the messages of ranges, and how the message of each record had died; returns which ranges found theirs."""
    found = np.zeros(len(rows), dtype=bool)
    if not len(owners):
        return found
    tags, names = indexed(owners), ["seq", "attempt", "publisher", "queue", "death"]
    died = owners["death"].any()
    for places, filled in (
        (np.flatnonzero(of_range), names),
        (np.flatnonzero(_OF_DELIVERIES[rows["kind"]]) if died else np.empty(0, dtype=np.int64), names[-1:]),
    ):
        position = tags.find(rows["connection"][places], rows["tag"][places])
        hit = np.flatnonzero(position >= 0)
        chosen = owners.take(position[hit])
        for name in filled:
            rows[name][places[hit]] = chosen[name]
        found[places[hit]] = True
    found &= of_range
    return found
