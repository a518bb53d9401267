"""Writes what a process records, byte for byte as the harness's processes do, into memory."""

from __future__ import annotations

import numpy as np

from harness.history.read import DTYPE, Log
from harness.history.records import FIRST_INDEX, MOST_DEATHS, RECORD, TEXT_BYTES, Death, Kind, LogHeader, Table
from harness.history.texts import read_texts
from tests.oracle.simulator.world import World


class Recorder:
    """The log of one incarnation of a process."""

    def __init__(
        self, world: World, role: str, actor: str, number: int, incarnation: int, names: tuple[str, ...]
    ) -> None:
        self.header = LogHeader(role, actor, number, incarnation, 1, names)
        self._world = world
        self._rows: list[bytes] = []
        self._entries: dict[tuple[Table, str], int] = {}
        self._next = FIRST_INDEX | {Table.NAMES: len(names)}
        self._last_entry = 0

    def write(
        self,
        kind: Kind,
        *,
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
        """Record something that happens now."""
        self._rows.append(
            RECORD.pack(
                self._world.now, seq, tag, arg, publisher, attempt, queue, connection, int(flags), death, int(kind)
            )
        )

    def name(self, queue: str) -> int:
        """Return a queue's index, defined first where the log does not know it yet."""
        if queue in self.header.names:
            return self.header.names.index(queue)
        return self._entry(Table.NAMES, queue)

    def death(self, death: Death | None) -> int:
        """Return the index of a way of dying; 0 for what never died."""
        return 0 if death is None else self._entry(Table.DEATHS, _capped(death).text)

    def reason(self, text: str) -> int:
        """Return the index of what the broker said when it ended something."""
        return self._entry(Table.REASONS, text)

    def _entry(self, table: Table, text: str) -> int:
        if (table, text) not in self._entries:
            index = self._entries[table, text] = self._next[table]
            self._next[table] += 1
            data = text.encode()
            self.write(Kind.DEFINED, queue=table, tag=index, arg=len(data), seq=self._last_entry)
            self._last_entry = len(self._rows)
            for start in range(0, len(data), TEXT_BYTES):
                part = data[start : start + TEXT_BYTES].ljust(TEXT_BYTES, b"\0")
                self._rows.append(self._world.now.to_bytes(8, "little") + part + bytes([Kind.TEXT]))
        return self._entries[table, text]

    def log(self) -> Log:
        """Return what was recorded so far."""
        records = np.frombuffer(b"".join(self._rows), dtype=DTYPE)
        texts = read_texts(lambda place, count: records[place : place + count], self._last_entry)
        return Log(self.header, records, texts=texts)


def _capped(death: Death) -> Death:
    path = tuple((queue, reason, min(count, MOST_DEATHS)) for queue, reason, count in death.path)
    return Death(death.first_queue, path[-MOST_DEATHS:])
