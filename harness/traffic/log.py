"""The event log's writer: an append-only shared mapping that outlives its process. See harness.history.records."""

from __future__ import annotations

import json
import mmap
import os
import time
from dataclasses import asdict
from pathlib import Path

from harness.errors import HistoryError
from harness.history.records import HEADER_BYTES, RECORD, RECORD_BYTES, Kind, LogHeader

BLOCK_BYTES = 4 * 1024 * 1024
"""How much is allocated at a time; a multiple of the record and page sizes."""


class EventLog:
    """Appends records. A record is complete once `write` has returned, whatever happens to the process."""

    def __init__(self, path: Path, header: LogHeader) -> None:
        """Create the file, allocate its first block and write the header. Raises HistoryError."""
        self.path = path
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        except OSError as error:
            raise HistoryError(f"cannot create the event log {path}: {error.strerror}") from error
        encoded = json.dumps(asdict(header)).encode()
        if len(encoded) > HEADER_BYTES:
            raise HistoryError(
                f"the header of {path} has {len(encoded)} bytes, more than {HEADER_BYTES}: too many queues"
            )
        self._closed = False
        self._offset = HEADER_BYTES
        self._capacity = 0
        self._map = self._next_block()
        self._map[: len(encoded)] = encoded

    def _next_block(self) -> mmap.mmap:
        """Allocate one block more for real: a full disk is an error here, not a SIGBUS at the write."""
        try:
            os.posix_fallocate(self._fd, self._capacity, BLOCK_BYTES)
        except OSError as error:
            raise HistoryError(f"cannot grow the event log {self.path}: {error.strerror}") from error
        self._capacity += BLOCK_BYTES
        return mmap.mmap(self._fd, self._capacity)

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
    ) -> None:
        """Append one record; `at_ns` is now if not given. struct packs in order, so the kind is stored last."""
        offset = self._offset
        if offset + RECORD_BYTES > self._capacity:
            grown = self._next_block()
            self._map.close()
            self._map = grown
        RECORD.pack_into(
            self._map,
            offset,
            at_ns or time.monotonic_ns(),
            seq,
            tag,
            arg,
            publisher,
            attempt,
            queue,
            connection,
            flags,
            0,
            kind,
        )
        self._offset = offset + RECORD_BYTES

    def close(self) -> None:
        """Cut the file to its records; a log that was never closed only has zeros behind them."""
        if self._closed:
            return
        self._closed = True
        self._map.close()
        os.ftruncate(self._fd, self._offset)
        os.close(self._fd)
