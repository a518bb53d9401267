"""Reading the processes' logs: whole ones after the run, growing ones while they are written."""

from __future__ import annotations

import json
import mmap
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.errors import HistoryError
from harness.history.records import COLUMNS, FORMAT_VERSION, HEADER_BYTES, RECORD_BYTES, LogHeader

DTYPE = np.dtype(
    {
        "names": [name for name, _, _ in COLUMNS],
        "formats": [kind for _, kind, _ in COLUMNS],
        "offsets": [offset for _, _, offset in COLUMNS],
        "itemsize": RECORD_BYTES,
    }
)
"""One record as numpy sees it."""

EMPTY = np.empty(0, dtype=DTYPE)


@dataclass(frozen=True, slots=True)
class Log:
    """A process's log: who wrote it, and its records (a structured array of `DTYPE`, in the order of writing)."""

    header: LogHeader
    records: np.ndarray


def read_log(path: Path) -> Log:
    """Read a log up to its first unwritten record. Raises HistoryError for what is no log of this version."""
    try:
        with path.open("rb") as file:
            head = file.read(HEADER_BYTES)
    except OSError as error:
        raise HistoryError(f"cannot read the event log {path}: {error.strerror}") from error
    header = _header(path, head)
    size = (path.stat().st_size - HEADER_BYTES) // RECORD_BYTES
    if size <= 0:
        return Log(header, EMPTY)
    records = np.memmap(path, dtype=DTYPE, mode="r", offset=HEADER_BYTES, shape=(size,))
    return Log(header, records[: _written(records["kind"])])


def _header(path: Path, head: bytes) -> LogHeader:
    try:
        data = json.loads(head.rstrip(b"\0"))
        header = LogHeader(**(data | {"names": tuple(data["names"])}))
    except (ValueError, TypeError, KeyError) as error:
        raise HistoryError(f"{path} is no event log: its header cannot be read") from error
    if header.version != FORMAT_VERSION:
        raise HistoryError(f"{path} has log format {header.version}; this harness reads {FORMAT_VERSION}")
    return header


def _written(kinds: np.ndarray) -> int:
    """Find how many records are written: kinds are not 0 up to there, and 0 behind."""
    low, high = 0, len(kinds)
    while low < high:
        middle = (low + high) // 2
        if kinds[middle]:
            low = middle + 1
        else:
            high = middle
    return low


class LogTail:
    """Follows a log while its writer lives. Cheap when nothing is new."""

    def __init__(self, path: Path) -> None:
        """Follow the log at `path`, which need not exist yet."""
        self._path = path
        self._map: mmap.mmap | None = None
        self._records = EMPTY
        self._next = 0

    def advance(self) -> np.ndarray:
        """Return a copy of the records written since the last call; none while the file does not exist."""
        if self._next >= len(self._records) and not self._remap():
            return EMPTY
        kinds = self._records["kind"][self._next :]
        if not kinds[0]:
            return EMPTY
        new = self._records[self._next : self._next + _written(kinds)].copy()
        self._next += len(new)
        if self._next >= len(self._records):
            rest = self.advance()
            if len(rest):
                return np.concatenate([new, rest])
        return new

    def _remap(self) -> bool:
        try:
            descriptor = os.open(self._path, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            size = (os.fstat(descriptor).st_size - HEADER_BYTES) // RECORD_BYTES
            if size <= len(self._records):
                return False
            self._map = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
        finally:
            os.close(descriptor)
        self._records = np.frombuffer(self._map, dtype=DTYPE, count=size, offset=HEADER_BYTES)
        return True
