"""The publishes of a run, with what became of each on its connection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from harness.checks.settlement import NEVER, Tags
from harness.checks.tables import Table
from harness.history.read import Log
from harness.history.records import Flag, Kind


@dataclass(frozen=True, slots=True)
class Publishes(Table):
    """Some publishes, in the order of each log, which is the order in which its connection carried them: arrays of one length."""

    message: np.ndarray
    at_ns: np.ndarray
    attempt: np.ndarray
    route: np.ndarray
    """Index into `Tally.routes`."""
    persistent: np.ndarray
    session: np.ndarray
    """Index into `Tally.sessions`: the connection it went out on."""
    position: np.ndarray
    """The place of its record in its log."""
    confirmable: np.ndarray
    """Whether its publisher asked for confirms."""
    confirmed_ns: np.ndarray
    """When it was confirmed; NEVER if it was not."""
    nacked: np.ndarray
    returned: np.ndarray

    @property
    def promised(self) -> np.ndarray:
        """Whether it had to arrive: confirmed, or sent with no confirms asked for; and not returned."""
        promised: np.ndarray = (~self.confirmable | (self.confirmed_ns != NEVER)) & ~self.returned
        return promised


NO_PUBLISHES = Publishes(
    message=np.empty(0, dtype=np.int64),
    at_ns=np.empty(0, dtype=np.int64),
    attempt=np.empty(0, dtype=np.uint16),
    route=np.empty(0, dtype=np.uint16),
    persistent=np.empty(0, dtype=np.bool_),
    session=np.empty(0, dtype=np.int32),
    position=np.empty(0, dtype=np.int64),
    confirmable=np.empty(0, dtype=np.bool_),
    confirmed_ns=np.empty(0, dtype=np.int64),
    nacked=np.empty(0, dtype=np.bool_),
    returned=np.empty(0, dtype=np.bool_),
)


@dataclass(frozen=True, slots=True)
class PublisherLog:
    """A publisher's log, read as publishes as often as somebody asks."""

    log: Log
    offset: int
    """The number of its publisher's first message."""
    routes: np.ndarray
    """From its own route numbers to those of the tally."""
    sessions: np.ndarray
    """From its connection numbers to the tally's sessions."""

    def tables(self, chosen: np.ndarray | None = None) -> Iterator[Publishes]:
        """Yield its publishes, a block of records at a time; only those of chosen messages (truth by message), if given."""
        tags, returns = self._index(chosen)
        confirmed_ns, nacked_ns = self._settled(tags)
        came_back = np.unique(np.concatenate(returns)) if returns else None
        begin = position = 0
        for block in self.log.blocks():
            rows, message = self._rows(block, chosen)
            end = begin + len(rows)
            if len(rows):
                connection, flags = block["connection"][rows], block["flags"][rows]
                yield Publishes(
                    message=message,
                    at_ns=block["at_ns"][rows],
                    attempt=block["attempt"][rows],
                    route=self.routes[block["queue"][rows]],
                    persistent=(flags & Flag.PERSISTENT) != 0,
                    session=self.sessions[connection],
                    position=rows + position,
                    confirmable=block["tag"][rows] != 0,
                    confirmed_ns=confirmed_ns[begin:end],
                    nacked=nacked_ns[begin:end] != NEVER,
                    returned=np.zeros(len(rows), dtype=bool)
                    if came_back is None
                    else np.isin(_attempts(block[rows]), came_back),
                )
            begin = end
            position += len(block)

    def last(self, chosen: np.ndarray, sessions: int) -> np.ndarray:
        """Return for each of so many sessions the position of the last publish of chosen messages (truth by message), -1 for none."""
        last = np.full(sessions, -1, dtype=np.int64)
        position = 0
        for block in self.log.blocks():
            rows, _ = self._rows(block, chosen)
            np.maximum.at(last, self.sessions[block["connection"][rows]], rows + position)
            position += len(block)
        return last

    def _rows(self, block: np.ndarray, chosen: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        rows = np.flatnonzero(block["kind"] == Kind.PUBLISHED)
        message = block["seq"][rows].astype(np.int64) + self.offset
        if chosen is not None:
            mine = chosen[message]
            rows, message = rows[mine], message[mine]
        return rows, message

    def _index(self, chosen: np.ndarray | None) -> tuple[Tags, list[np.ndarray]]:
        """Index the publishes by their tags, and collect what came back: a return names the message and the attempt, not the tag."""
        connections, tags = [np.empty(0, dtype=np.uint16)], [np.empty(0, dtype=np.uint32)]
        returns: list[np.ndarray] = []
        for block in self.log.blocks():
            rows, _ = self._rows(block, chosen)
            connections.append(block["connection"][rows])
            tags.append(block["tag"][rows])
            returned = block[block["kind"] == Kind.RETURNED]
            if len(returned):
                returns.append(_attempts(returned))
        return Tags.of(np.concatenate(connections), np.concatenate(tags)), returns

    def _settled(self, tags: Tags) -> tuple[np.ndarray, np.ndarray]:
        confirmed_ns, nacked_ns = np.full((2, tags.size), NEVER, dtype=np.int64)
        for block in self.log.blocks():
            kinds = np.ascontiguousarray(block["kind"])
            tags.settle(confirmed_ns, block, np.flatnonzero(kinds == Kind.CONFIRMED))
            tags.settle(nacked_ns, block, np.flatnonzero(kinds == Kind.NACKED))
        return confirmed_ns, nacked_ns


def _attempts(records: np.ndarray) -> np.ndarray:
    attempts: np.ndarray = records["seq"].astype(np.int64) << 16 | records["attempt"]
    return attempts


def route_numbers(log: Log, routes: Sequence[str]) -> np.ndarray:
    """Return a table from a log's own route numbers to places in `routes`."""
    return np.array([routes.index(name) for name in log.header.names] or [0], dtype=np.uint16)
