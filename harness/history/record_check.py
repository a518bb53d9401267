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
        self._kinds = bytes(KINDS[role])
        self._deaths = deaths
        self._records = records
        self._settled = 0
        self._limit = np.full(256, _NO_LIMIT, dtype=np.uint32)
        self._limit[[*_NAMED]] = names
        self._limit[[*_REASONED]] = reasons
        self._least_limit = int(self._limit.min())

    def see(self, block: np.ndarray, place: int) -> None:
        """Look at the next block, whose first record has a place. Raises HistoryError."""
        if not len(block):
            return
        kinds = np.ascontiguousarray(block["kind"])
        if kinds.tobytes().translate(None, self._kinds):
            self._refuse(~np.isin(kinds, [*self._kinds]), place, "its kind is none of a log of this role")
        bits = _bits(block)
        if int(bits["at_ns"]) >> _TIME_BITS:
            self._refuse((block["at_ns"] >> _TIME_BITS) != 0, place, "its time is none")
        if bits["kind"] & Kind.DEFINED:  # what the other columns of an entry mean is checked as the texts are read
            places = np.flatnonzero(kinds < np.uint8(Kind.DEFINED))
            block, kinds = block.take(places), kinds[places]
        self._see_columns(block, kinds, bits, place)

    def _see_columns(self, block: np.ndarray, kinds: np.ndarray, bits: np.void, place: int) -> None:
        """Look at what is an index, or a claim; a column whose bits together are less than its limit has no value beyond it."""
        if bits["queue"] >= self._least_limit:
            self._refuse(block["queue"] >= self._limit[kinds], place, "its queue or reason is not in the log's table")
        if bits["death"] >= self._deaths:
            self._refuse(block["death"] >= self._deaths, place, "its death is not in the log's table")
        if self.most_seq is not None and bits["seq"] >= self.most_seq:
            why = "its sequence number is beyond what the publisher's logs can hold"
            self._refuse(block["seq"] >= self.most_seq, place, why)
        if bits["attempt"] > AckMode.EARLY:
            wrong = (kinds == np.uint8(Kind.CONSUMING)) & ~np.isin(block["attempt"], _MODES)
            self._refuse(wrong, place, "its way to acknowledge is none")
        if bits["arg"] > 1:
            self._see_ranges(np.ascontiguousarray(block["arg"]), _IS_RANGE[kinds], place)

    def _see_ranges(self, arg: np.ndarray, is_range: np.ndarray, place: int) -> None:
        most = self._records + SLACK
        self._settled += int(arg[is_range].sum(dtype=np.int64))
        if self._settled > 2 * most:
            widest = is_range & (arg == arg[is_range].max(initial=0))
            self._refuse(widest, place, "its range, with those before it, settles more than the log can hold")

    def _refuse(self, wrong: np.ndarray, place: int, why: str) -> None:
        """Refuse the first record that is wrong, if one is."""
        rows = np.flatnonzero(wrong)
        if len(rows):
            self._damaged(place + int(rows[0]), why)

    def _damaged(self, place: int, why: str) -> NoReturn:
        raise HistoryError(f"the event log {self.path} is damaged: record {place + 1}: {why}")


def _bits(block: np.ndarray) -> np.void:
    """Return a record whose columns have each bit that a record of the block has there: quicker than the maximum of each column."""
    words = np.ascontiguousarray(block).view(np.uint64).reshape(len(block), -1)
    found: np.void = np.array([np.bitwise_or.reduce(column) for column in words.T]).view(block.dtype)[0]
    return found
