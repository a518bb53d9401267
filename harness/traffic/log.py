"""The event log's writer: an append-only shared mapping that outlives its process. See harness.history.records."""

from __future__ import annotations

import errno
import json
import mmap
import os
import struct
from bisect import bisect_right
from dataclasses import asdict, replace
from pathlib import Path
from time import monotonic_ns

from harness.errors import HistoryError
from harness.history.records import (
    FIRST_INDEX,
    HEADER_BYTES,
    LAST_ENTRY,
    LAST_ENTRY_OFFSET,
    MOST_ENTRIES,
    OTHERS,
    RECORD,
    RECORD_BYTES,
    TEXT_BYTES,
    Kind,
    LogHeader,
    Table,
)

BLOCK_BYTES = 4 * 1024 * 1024
"""How much is allocated at a time, and mapped at a time, so that a long log does not fill the process's memory.

A multiple of the page size and of the record size: no record lies across two blocks.
"""

_pack_into = RECORD.pack_into
_pack_text = struct.Struct(f"<q{TEXT_BYTES}sB").pack_into


def _encoded(header: LogHeader, names: int) -> bytes:
    return json.dumps(asdict(replace(header, names=header.names[:names]))).encode()


def _names_that_fit(header: LogHeader) -> int:
    """Return how many of the names, the first ones, fit into the header."""
    numbers = range(1, len(header.names) + 1)
    return bisect_right(numbers, LAST_ENTRY_OFFSET, key=lambda number: len(_encoded(header, number)))


class EventLog:
    """Appends records. A record is complete once `write` has returned, whatever happens to the process."""

    def __init__(self, path: Path, header: LogHeader) -> None:
        """Create the file, allocate its first block and write the header. Raises HistoryError."""
        fitting = _names_that_fit(header)
        encoded = _encoded(header, fitting)
        if len(encoded) > LAST_ENTRY_OFFSET:
            raise HistoryError(
                f"the header of the event log {path} has {len(encoded)} bytes, more than {LAST_ENTRY_OFFSET}:"
                f" give {header.role} {header.actor[:24]!r} a shorter name"
            )
        self.path = path
        self._next_index = dict(FIRST_INDEX)
        self._indexes: dict[Table, dict[str, int]] = {table: {} for table in Table}
        self._last_entry = 0
        """The place of the last entry of any table, counted from 1."""
        # A log has its name once it has its header: whoever finds it can read it, however early its writer is killed.
        unfinished = path.with_name(f"{path.name}.new")
        try:
            if path.exists():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
            self._fd = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
            self._closed = False
            self._block_start = 0
            self._map = self._allocate(0)
            self._map[: len(encoded)] = encoded
            self._offset = HEADER_BYTES
            """Where the next record goes, within the block that is mapped."""
            for place, name in enumerate(header.names):
                if place < fitting:
                    self._number(Table.NAMES, name)
                else:
                    self._append(Table.NAMES, name)
            unfinished.rename(path)
        except OSError as error:
            raise HistoryError(f"cannot create the event log {path}: {error.strerror}") from error

    def _allocate(self, start: int) -> mmap.mmap:
        """Allocate and map the block at `start`: a full disk is an error here, not a SIGBUS at the write."""
        try:
            os.posix_fallocate(self._fd, start, BLOCK_BYTES)
        except OSError as error:
            raise HistoryError(
                f"cannot grow the event log {self.path}: {error.strerror}; make room on its disk"
            ) from error
        return mmap.mmap(self._fd, BLOCK_BYTES, offset=start)

    def write(
        self,
        kind: Kind,
        *,
        at_ns: int = 0,
        seq: int = 0,
        tag: int = 0,
        arg: int = 0,
        publisher: int = 0,
        attempt: int = 0,
        queue: int = 0,
        connection: int = 0,
        flags: int = 0,
        death: int = 0,
    ) -> None:
        """Append one record; `at_ns` is now if not given. Raises HistoryError when the disk is full.

        struct stores the fields in their order, so the kind is written last.
        """
        offset = self._offset
        if offset == BLOCK_BYTES:
            offset = self._grow()
        _pack_into(
            self._map,
            offset,
            at_ns or monotonic_ns(),
            seq,
            tag,
            arg,
            publisher,
            attempt,
            queue,
            connection,
            flags,
            death,
            kind,
        )
        self._offset = offset + RECORD_BYTES

    def _grow(self) -> int:
        """Map the next block; returns where its first record goes."""
        grown = self._allocate(self._block_start + BLOCK_BYTES)
        self._map.close()
        self._map = grown
        self._block_start += BLOCK_BYTES
        self._offset = 0
        return 0

    def define(self, table: Table, text: str) -> int:
        """Return the index of a text in a table, making an entry for it if it has none.

        Once the table is full, that is the index of its entry for all others. Raises HistoryError when the disk is full.
        """
        known = self._indexes[table]
        if text not in known and self._next_index[table] - FIRST_INDEX[table] >= MOST_ENTRIES[table] - 1:
            text = OTHERS
        return known[text] if text in known else self._append(table, text)

    def _number(self, table: Table, text: str) -> int:
        """Give the next entry of a table its index. A text that is there twice is found by its first one."""
        index = self._next_index[table]
        self._next_index[table] = index + 1
        self._indexes[table].setdefault(text, index)
        return index

    def _append(self, table: Table, text: str) -> int:
        """Write an entry, and its place into the header once it is whole."""
        index, encoded = self._number(table, text), text.encode()
        at_ns = monotonic_ns()
        place = (self._block_start + self._offset - HEADER_BYTES) // RECORD_BYTES + 1
        self.write(Kind.DEFINED, at_ns=at_ns, queue=table, tag=index, arg=len(encoded), seq=self._last_entry)
        for begin in range(0, len(encoded), TEXT_BYTES):
            offset = self._grow() if self._offset == BLOCK_BYTES else self._offset
            _pack_text(self._map, offset, at_ns, encoded[begin : begin + TEXT_BYTES], Kind.TEXT)
            self._offset = offset + RECORD_BYTES
        os.pwrite(self._fd, LAST_ENTRY.pack(place), LAST_ENTRY_OFFSET)
        self._last_entry = place
        return index

    def close(self) -> None:
        """Cut the file to its records; a log that was never closed only has zeros behind them."""
        if self._closed:
            return
        self._closed = True
        self._map.close()
        os.ftruncate(self._fd, self._block_start + self._offset)
        os.close(self._fd)
