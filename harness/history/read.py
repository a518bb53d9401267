"""Reading the processes' logs: whole ones after the run, growing ones while they are written."""

from __future__ import annotations

import mmap
import os
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import HistoryError
from harness.files import is_text, open_file, parse_json, reason
from harness.history.record_check import KINDS, RecordCheck
from harness.history.records import (
    COLUMNS,
    FOREIGN,
    FORMAT_VERSION,
    HEADER_BYTES,
    LAST_ENTRY,
    LAST_ENTRY_OFFSET,
    RECORD_BYTES,
    Death,
    ForeignMessage,
    Kind,
    LogHeader,
)
from harness.history.texts import NO_TEXTS, LogTexts, read_texts

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

BLOCK_RECORDS = 32768
"""How many records `Log.blocks` yields at a time: 1 MiB, which a processor's cache holds."""
_RELEASED_EVERY = 16
"""How many blocks of a file stay in memory."""


@dataclass(frozen=True, slots=True)
class Log:
    """A process's log: who wrote it, and its records (a structured array of `DTYPE`, in the order of writing)."""

    header: LogHeader
    records: np.ndarray
    mapping: mmap.mmap | None = None
    """The file behind the records, where they are not in memory."""
    texts: LogTexts = NO_TEXTS
    """What was defined in the whole log, also where `records` are some of its records only."""
    check: RecordCheck | None = None
    """What looks at each block of a file as `blocks` yields it for the first time; None for what was not read from one."""

    @property
    def names(self) -> tuple[str, ...]:
        """What the `queue` column of most kinds is an index into: queues, or a publisher's routes."""
        return self.header.names + self.texts.names

    @property
    def deaths(self) -> tuple[Death, ...]:
        """What the `death` column is an index into; the first one is `NEVER_DIED`."""
        return self.texts.deaths

    @property
    def reasons(self) -> tuple[str, ...]:
        """What the `queue` column of CONNECTION_LOST, CHANNEL_CLOSED and CONNECT_FAILED is an index into; the first one is empty."""
        return self.texts.reasons

    @property
    def identities(self) -> tuple[ForeignMessage, ...]:
        """What the `seq` column of a foreign delivery is an index into. A log of version 1 has none."""
        return self.texts.identities

    @property
    def events(self) -> np.ndarray:
        """The records that say what happened: all but the entries of its tables."""
        return self.records[self.records["kind"] < Kind.DEFINED] if self.texts.last else self.records

    def part(self, records: np.ndarray) -> Log:
        """Return a log of some of the records, which are in memory."""
        return Log(self.header, records, texts=self.texts)

    def blocks(self, begin: int = 0, end: int | None = None) -> Iterator[np.ndarray]:
        """Yield the records in their order, all or those from `begin` to `end`, at most `BLOCK_RECORDS` at a time.

        What was read of a file is given back to the system, which keeps it in its cache: a log may be larger than the memory that
        reading it takes. Raises HistoryError where a record is damaged.
        """
        records = self.records[begin:end]
        check = None if self.check is None or self.check.passed or len(records) < len(self.records) else self.check
        for number in range(-(-len(records) // BLOCK_RECORDS)):
            block = records[number * BLOCK_RECORDS : (number + 1) * BLOCK_RECORDS]
            if check is not None:
                check.see(block, number * BLOCK_RECORDS)
            yield block
            if number % _RELEASED_EVERY == _RELEASED_EVERY - 1:
                self.release()
        if check is not None:
            check.passed = True
        self.release()

    def verify(self) -> None:
        """Look at all records, for whoever does not read block by block. Raises HistoryError where one is damaged."""
        if self.check is not None and not self.check.passed:
            for _ in self.blocks():
                pass

    def place(self, at_ns: int) -> int:
        """Return the place of the first record behind a time; the records are in the order of their times."""
        return bisect_right(self.records["at_ns"], at_ns)

    def backwards(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the blocks from the last one to the first, each with the place of its first record."""
        for number in reversed(range(-(-len(self.records) // BLOCK_RECORDS))):
            yield number * BLOCK_RECORDS, self.block(number)
            self.release()

    def block(self, number: int) -> np.ndarray:
        """Return one of the blocks, by its number from 0; whoever reads a few of them releases the log behind it."""
        return self.records[number * BLOCK_RECORDS : (number + 1) * BLOCK_RECORDS]

    def release(self) -> None:
        """Give what was read of the file back to the system."""
        if self.mapping is not None:
            self.mapping.madvise(mmap.MADV_DONTNEED)


def of_kind(block: np.ndarray, kinds: np.ndarray, kind: Kind) -> np.ndarray:
    """Return the records of a kind; `kinds` are those of the block, in an array of their own."""
    rows = np.flatnonzero(kinds == np.uint8(kind))  # as bytes: numpy takes the member of an enum for 64 bits
    return block.take(rows) if len(rows) else EMPTY


def read_log(path: Path) -> Log:
    """Read a log up to its first unwritten record. Raises HistoryError for what is no log of this version.

    Its records are looked at as they are read: see `Log.blocks`.
    """
    try:
        with open_file(path) as file:
            head = file.read(HEADER_BYTES)
            header, last_entry = _header(path, head)
            mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise HistoryError(f"cannot read the event log {path}: {error.strerror}") from error
    # One that is still written to is cut to its length when it is closed.
    size = (len(mapping) - HEADER_BYTES) // RECORD_BYTES
    if size <= 0:
        mapping.close()
        return Log(header, EMPTY)
    records = np.frombuffer(mapping, dtype=DTYPE, offset=HEADER_BYTES, count=size)
    records = _whole(records[: _written(records["kind"])], last_entry)
    try:
        texts = read_texts(lambda place, count: records[place : place + count], last_entry)
    except HistoryError as error:
        raise HistoryError(f"the event log {path} is damaged: {error}") from error
    check = RecordCheck(
        path,
        role=header.role,
        records=len(records),
        names=len(header.names) + len(texts.names),
        deaths=len(texts.deaths),
        reasons=len(texts.reasons),
    )
    return Log(header, records, mapping, texts, check)


def _header(path: Path, head: bytes) -> tuple[LogHeader, int]:
    """Return who wrote a log, and the place of the last entry of its tables, counted from 1."""
    try:
        version, header = _read_header(_header_json(head))
    except ValueError as error:
        raise HistoryError(f"{path} is no event log: its header cannot be read: {reason(error)}") from error
    if version > FORMAT_VERSION:
        raise HistoryError(f"{path} has log format {version}; this harness reads 1 to {FORMAT_VERSION}")
    return header, _last_entry(head) if version > 1 else 0


def _header_json(head: bytes) -> Any:
    """Read the header's object. Of version 1, it may reach to where later ones have the last entry. Raises ValueError."""
    if len(head) < HEADER_BYTES:
        raise ValueError("it is cut")
    try:
        return parse_json(head[:LAST_ENTRY_OFFSET].partition(b"\0")[0].decode("latin-1"))
    except ValueError:
        return parse_json(head.partition(b"\0")[0].decode("latin-1"))


_NUMBERS = 1 << 31
"""Beyond the numbers that count processes."""
_FIELDS = {field.name for field in fields(LogHeader)}


def _read_header(data: Any) -> tuple[int, LogHeader]:
    """Return the version of a log, and its header as far as this harness knows that version. Raises ValueError."""
    if not isinstance(data, dict) or type(data.get("version")) is not int or data["version"] < 1:
        raise ValueError("it has no version")
    version: int = data["version"]
    if version > FORMAT_VERSION:
        return version, LogHeader("", "", 0, 0, 0, (), version)
    if data.keys() != _FIELDS:
        raise ValueError("its fields are not those of a header")
    texts, names = (data["role"], data["actor"]), data["names"]
    numbers = (data["number"], data["incarnation"], data["pid"])
    if not isinstance(names, list) or not all(map(is_text, (*texts, *names))):
        raise ValueError("its names are not texts")
    if any(type(number) is not int or not 0 <= number < _NUMBERS for number in numbers) or data["number"] >= FOREIGN:
        raise ValueError("its numbers are none")
    if data["role"] not in KINDS:
        raise ValueError("its role is none")
    return version, LogHeader(**(data | {"names": tuple(names)}))


def _last_entry(head: bytes) -> int:
    return int(LAST_ENTRY.unpack_from(head, LAST_ENTRY_OFFSET)[0])


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


def _whole(records: np.ndarray, last_entry: int) -> np.ndarray:
    """Leave out an entry that a killed writer had begun: it is behind the last one of the chain, and nothing comes after it."""
    kinds, end = records["kind"], len(records)
    while end and kinds[end - 1] == Kind.TEXT:
        end -= 1
    begun = end > last_entry and kinds[end - 1] == Kind.DEFINED
    return records[: end - 1] if begun else records


class LogTail:
    """Follows a log while its writer lives. Cheap when nothing is new.

    It reads and does not map: the writer cuts the file at its end, and a mapping would fault behind the cut.
    """

    _LOOK_BYTES = 256 * RECORD_BYTES
    _READ_BYTES = 32768 * RECORD_BYTES

    def __init__(self, path: Path) -> None:
        """Follow the log at `path`, which need not exist yet."""
        self._path = path
        self._descriptor: int | None = None
        self._offset = HEADER_BYTES
        self._texts = NO_TEXTS

    def _opened(self) -> int | None:
        """Return the file's descriptor; None while it does not exist."""
        if self._descriptor is None:
            with suppress(FileNotFoundError):
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        return self._descriptor

    @property
    def texts(self) -> LogTexts:
        """What the log has defined so far; its names are those beyond the header."""
        descriptor = self._opened()
        if descriptor is None:
            return NO_TEXTS
        last = _last_entry(os.pread(descriptor, HEADER_BYTES, 0))
        if last != self._texts.last:
            self._texts = read_texts(lambda place, count: _read(descriptor, place, count), last)
        return self._texts

    def advance(self) -> np.ndarray:
        """Return the records written since the last call; none while the file does not exist."""
        descriptor = self._opened()
        if descriptor is None:
            return EMPTY
        parts: list[np.ndarray] = []
        wanted = self._LOOK_BYTES
        while True:
            data = os.pread(descriptor, wanted, self._offset)
            records = np.frombuffer(data, dtype=DTYPE, count=len(data) // RECORD_BYTES)
            records = records[: _written(records["kind"])]
            self._offset += len(records) * RECORD_BYTES
            if len(records):
                parts.append(records)
            if len(records) * RECORD_BYTES < wanted:
                break
            wanted = self._READ_BYTES
        if not parts:
            return EMPTY
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def close(self) -> None:
        """Release the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _read(descriptor: int, place: int, count: int) -> np.ndarray:
    data = os.pread(descriptor, count * RECORD_BYTES, HEADER_BYTES + place * RECORD_BYTES)
    return np.frombuffer(data, dtype=DTYPE, count=len(data) // RECORD_BYTES)
