"""The event log's writer: an append-only shared mapping that outlives its process. See harness.history.records."""

from __future__ import annotations

import errno
import json
import mmap
import os
from dataclasses import asdict
from pathlib import Path
from time import monotonic_ns

from harness.errors import HistoryError
from harness.history.records import HEADER_BYTES, RECORD, RECORD_BYTES, Kind, LogHeader

BLOCK_BYTES = 4 * 1024 * 1024
"""How much is allocated at a time, and mapped at a time, so that a long log does not fill the process's memory.

A multiple of the page size and of the record size: no record lies across two blocks.
"""

_pack_into = RECORD.pack_into


class EventLog:
    """Appends records. A record is complete once `write` has returned, whatever happens to the process."""

    def __init__(self, path: Path, header: LogHeader) -> None:
        """Create the file, allocate its first block and write the header. Raises HistoryError."""
        encoded = json.dumps(asdict(header)).encode()
        if len(encoded) > HEADER_BYTES:
            raise HistoryError(
                f"the header of the event log {path} has {len(encoded)} bytes, more than {HEADER_BYTES}:"
                " give the queues fewer or shorter names"
            )
        self.path = path
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
            unfinished.rename(path)
        except OSError as error:
            raise HistoryError(f"cannot create the event log {path}: {error.strerror}") from error
        self._offset = HEADER_BYTES
        """Where the next record goes, within the block that is mapped."""

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
    ) -> None:
        """Append one record; `at_ns` is now if not given. Raises HistoryError when the disk is full.

        struct stores the fields in their order, so the kind is written last.
        """
        offset = self._offset
        if offset == BLOCK_BYTES:
            grown = self._allocate(self._block_start + BLOCK_BYTES)
            self._map.close()
            self._map = grown
            self._block_start += BLOCK_BYTES
            offset = 0
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
        os.ftruncate(self._fd, self._block_start + self._offset)
        os.close(self._fd)
