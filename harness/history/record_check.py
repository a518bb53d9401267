"""What the records of a log must be, so that nobody who reads them goes astray: damage is told where a block is first read.

A column that is an index stays within its table, a time within 62 bits, and a claim of how many (tags of a range, messages of a
publisher) within what the files can hold: it asks for memory. What cannot be told from a record that was written is not looked for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NoReturn

import numpy as np

from harness.errors import HistoryError
from harness.history.records import OF_MESSAGES, RANGES, AckMode, Kind

SLACK: Final = 1 << 20
"""Messages, or tags, beyond what the records speak of: what is kept of each takes some bytes."""
_TIME_BITS: Final = 62
_NO_LIMIT: Final = 1 << 16
_BOTH: Final = (*(kind for kind in Kind if Kind.CONNECTED <= kind <= Kind.FINISHED), Kind.DEFINED, Kind.TEXT)
KINDS: Final = {
    "publisher": (*_BOTH, *(kind for kind in Kind if Kind.PUBLISHED <= kind <= Kind.EXHAUSTED)),
    "worker": (*_BOTH, *(kind for kind in Kind if Kind.CONSUMING <= kind <= Kind.FAILED)),
    "collector": (*_BOTH, Kind.FOUND),
}
"""By role, what its log may hold."""
_NAMED: Final = tuple({*OF_MESSAGES, Kind.CONSUMING, Kind.CANCELLED, Kind.ACKED} - {Kind.RETURNED})
_REASONED: Final = (Kind.CONNECTION_LOST, Kind.CHANNEL_CLOSED, Kind.CONNECT_FAILED)
_IS_RANGE: Final = np.isin(np.arange(256), RANGES)
_MODES: Final = tuple(int(mode) for mode in AckMode)


class RecordCheck:
    """Looks at the records of one log, block by block, once."""

    def __init__(self, path: Path, *, role: str, records: int, names: int, deaths: int, reasons: int) -> None:
        """`records` are how many the log has, the others the sizes of its tables."""
        self.path = path
        self.passed = False
        """Whether all records were looked at."""
        self.most_seq: int | None = records + SLACK if role == "publisher" else None
        """Beyond the greatest sequence number of a publisher; whoever knows its other logs sets it. None for other roles."""
        self._strange = ~np.isin(np.arange(256), KINDS[role])
        self._deaths = deaths
        self._records = records
        self._settled = 0
        self._limit = np.full(256, _NO_LIMIT, dtype=np.uint32)
        self._limit[[*_NAMED]] = names
        self._limit[[*_REASONED]] = reasons
        self._least_limit = int(self._limit.min())

    def see(self, block: np.ndarray, place: int) -> None:
        """Look at the next block, whose first record has a place. Raises HistoryError."""
        kinds = np.ascontiguousarray(block["kind"])
        counted = np.bincount(kinds, minlength=256)
        if counted[self._strange].any():
            self._refuse(self._strange[kinds], place, "its kind is none of a log of this role")
        at_ns = block["at_ns"]
        if int(np.bitwise_or.reduce(at_ns)) >> _TIME_BITS:
            self._refuse((at_ns >> _TIME_BITS) != 0, place, "its time is none")
        if counted[Kind.DEFINED] or counted[Kind.TEXT]:  # what the other columns mean is checked as the texts are read
            places = np.flatnonzero(kinds < np.uint8(Kind.DEFINED))
            if not len(places):
                return
            block, kinds = block.take(places), kinds[places]
        queue = block["queue"]
        if int(queue.max()) >= self._least_limit:
            self._refuse(queue >= self._limit[kinds], place, "its queue or reason is not in the log's table")
        if int(block["death"].max()) >= self._deaths:
            self._refuse(block["death"] >= self._deaths, place, "its death is not in the log's table")
        if self.most_seq is not None and int(block["seq"].max()) >= self.most_seq:
            self._refuse(
                block["seq"] >= self.most_seq, place, "its sequence number is beyond what the publisher's logs can hold"
            )
        if counted[Kind.CONSUMING]:
            wrong = (kinds == np.uint8(Kind.CONSUMING)) & ~np.isin(block["attempt"], _MODES)
            self._refuse(wrong, place, "its way to acknowledge is none")
        if int(block["arg"].max()) > 1:
            self._see_ranges(block["arg"], _IS_RANGE[kinds], place)

    def _see_ranges(self, arg: np.ndarray, is_range: np.ndarray, place: int) -> None:
        most = self._records + SLACK
        self._settled += int(arg[is_range].sum(dtype=np.int64))
        if self._settled > 2 * most:
            self._refuse(is_range, place, "its range, with those before it, settles more than the log can hold")

    def _refuse(self, wrong: np.ndarray, place: int, why: str) -> None:
        """Refuse the first record that is wrong, if one is."""
        rows = np.flatnonzero(wrong)
        if len(rows):
            self._damaged(place + int(rows[0]), why)

    def _damaged(self, place: int, why: str) -> NoReturn:
        raise HistoryError(f"the event log {self.path} is damaged: record {place + 1}: {why}")
