"""Live counters, read from the processes' own logs while they write them.

The verdict does not use them; it reads the finished logs. Both come from the same records.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from harness.engine.counters import ActorCounters
from harness.history.progress import completed
from harness.history.read import LogTail
from harness.history.records import Kind


class LiveLog:
    """One incarnation's log, followed while it grows."""

    def __init__(self, path: Path, *, settles: bool) -> None:
        """Follow the log at `path`, which need not exist yet. `settles`: acks (or confirms) are in use."""
        self._tail = LogTail(path)
        self._settles = settles
        self.counters = ActorCounters()

    def advance(self) -> ActorCounters:
        """Read what is new, and return the counters."""
        records = self._tail.advance()
        if len(records):
            self._count(records)
        return self.counters

    def close(self) -> ActorCounters:
        """Read the rest and release the file; the counters stay."""
        self.advance()
        self._tail.close()
        return self.counters

    def _count(self, records: np.ndarray) -> None:
        counters = self.counters
        kinds = records["kind"]
        present = np.bincount(kinds, minlength=64)
        if present[Kind.PUBLISHED]:
            published = records[kinds == Kind.PUBLISHED]
            counters.publishes += len(published)
            counters.published += int(np.count_nonzero(published["attempt"] == 1))
        counters.confirmed += _sum_of_ranges(records, kinds, present, Kind.CONFIRMED)
        counters.nacked += _sum_of_ranges(records, kinds, present, Kind.NACKED)
        counters.acked += _sum_of_ranges(records, kinds, present, Kind.ACKED)
        counters.rejected += int(present[Kind.REJECTED])
        counters.delivered += int(present[Kind.DELIVERED])
        number_completed = 0
        if present[Kind.DELIVERED] or present[Kind.COMPLETED]:
            done = np.flatnonzero(completed(records))
            number_completed = len(done)
            if number_completed:
                counters.processed += number_completed
                counters.last_processed_ns = int(records["at_ns"][done[-1]])
        counters.exhausted |= bool(present[Kind.EXHAUSTED])
        for kind in kinds[(kinds >= Kind.CONNECTED) & (kinds <= Kind.CANCELLED)].tolist():
            match kind:
                case Kind.CONNECTED:
                    counters.connected = True
                case Kind.CONNECTION_LOST | Kind.CHANNEL_CLOSED:
                    counters.connected = counters.consuming = False
                case Kind.CONSUMING:
                    counters.consuming = True
                case Kind.CANCELLED:
                    counters.consuming = False
        self._holdings(records, kinds, present, number_completed)

    def _holdings(self, records: np.ndarray, kinds: np.ndarray, present: np.ndarray, number_completed: int) -> None:
        counters = self.counters
        if present[Kind.CONNECTION_LOST] or present[Kind.CHANNEL_CLOSED]:
            lost = (kinds == Kind.CONNECTION_LOST) | (kinds == Kind.CHANNEL_CLOSED)
            records = records[np.flatnonzero(lost)[-1] + 1 :]
            counters.in_flight = counters.unsettled = counters.uncompleted = 0
            if not len(records):
                return
            kinds = records["kind"]
            present = np.bincount(kinds, minlength=64)
            number_completed = int(np.count_nonzero(completed(records)))
        delivered, rejected = int(present[Kind.DELIVERED]), int(present[Kind.REJECTED])
        acked = _sum_of_ranges(records, kinds, present, Kind.ACKED)
        settled = _sum_of_ranges(records, kinds, present, Kind.CONFIRMED)
        settled += _sum_of_ranges(records, kinds, present, Kind.NACKED)
        counters.unsettled = max(0, counters.unsettled + int(present[Kind.PUBLISHED]) - settled)
        over = number_completed + rejected + int(present[Kind.FAILED])
        counters.uncompleted = max(0, counters.uncompleted + delivered - over)
        if self._settles:
            counters.in_flight = max(0, counters.in_flight + delivered - acked - rejected)
        else:
            counters.in_flight = counters.uncompleted


def _sum_of_ranges(records: np.ndarray, kinds: np.ndarray, present: np.ndarray, kind: Kind) -> int:
    return int(records["arg"][kinds == kind].sum()) if present[kind] else 0
