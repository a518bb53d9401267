"""The publishes of a run, with what became of each on its connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from harness.checks.tally.outline import Extents, Outline
from harness.checks.tally.tables import Table
from harness.checks.tally.times import NEVER, Times
from harness.history.read import Log, of_kind
from harness.history.records import Flag, Kind
from harness.history.tags import Index, Tags


@dataclass(frozen=True, slots=True)
class Publishes(Table):
    """Some publishes, in the order of each log, which is the order in which its connection carried them: arrays of one length."""

    message: np.ndarray
    at_ns: np.ndarray
    attempt: np.ndarray
    route: np.ndarray
    """Index into `MessageTable.routes`."""
    persistent: np.ndarray
    mandatory: np.ndarray
    session: np.ndarray
    """Index into `MessageTable.sessions`: the connection it went out on."""
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
    mandatory=np.empty(0, dtype=np.bool_),
    session=np.empty(0, dtype=np.int32),
    position=np.empty(0, dtype=np.int64),
    confirmable=np.empty(0, dtype=np.bool_),
    confirmed_ns=np.empty(0, dtype=np.int64),
    nacked=np.empty(0, dtype=np.bool_),
    returned=np.empty(0, dtype=np.bool_),
)


@dataclass(frozen=True, slots=True)
class PublishSettlements:
    """What became of the publishes of a log, in their order."""

    confirmed_ns: Times
    nacked: np.ndarray
    returns: np.ndarray
    """What came back, sorted: a return names the message and the attempt, not the tag."""
    extents: Extents

    def returned(self, seq: np.ndarray, attempt: np.ndarray) -> np.ndarray:
        """Tell which publishes came back."""
        if not len(self.returns):
            return np.zeros(len(seq), dtype=bool)
        returned: np.ndarray = np.isin(_attempts(seq, attempt), self.returns)
        return returned


BlockVisitor = Callable[[np.ndarray, np.ndarray, np.ndarray], None]
"""Looks at a block of records while a log is read: the block, its kinds, and its publishes (or deliveries)."""


def settlements(log: Log, visit: BlockVisitor | None = None) -> PublishSettlements:
    """Read a publisher's log once, and let `see` look at each block."""
    index = Index()
    confirmed_ns, nacked = Times(len(log.records)), np.zeros(len(log.records), dtype=bool)
    returns = [np.empty(0, dtype=np.int64)]
    extents: list[tuple[int, ...]] = []
    for block in log.blocks():
        kinds = np.ascontiguousarray(block["kind"])
        publishes = of_kind(block, kinds, Kind.PUBLISHED)
        if len(publishes):
            index.add(publishes["connection"], publishes["tag"])
        confirms = of_kind(block, kinds, Kind.CONFIRMED)
        index.settle(confirmed_ns, confirms)
        index.settle(nacked, of_kind(block, kinds, Kind.NACKED))
        returned = of_kind(block, kinds, Kind.RETURNED)
        if len(returned):
            returns.append(_attempts(returned["seq"], returned["attempt"]))
        unusual = len(publishes) + len(confirms) < len(block)
        first = int(np.count_nonzero(np.ascontiguousarray(publishes["attempt"]) == 1))
        extents.append((*index.extent(), unusual, first, int(confirms["arg"].sum())))
        if visit is not None:
            visit(block, kinds, publishes)
    tags = index.finish()
    if tags.repeated:
        confirmed_ns, nacked = _settled_again(log, tags)
    return PublishSettlements(
        confirmed_ns, nacked, np.unique(np.concatenate(returns)), Extents.of(extents, ("published", "confirmed"))
    )


def _settled_again(log: Log, tags: Tags) -> tuple[Times, np.ndarray]:
    confirmed_ns, nacked = Times(tags.size), np.zeros(tags.size, dtype=bool)
    for block in log.blocks():
        kinds = np.ascontiguousarray(block["kind"])
        tags.settle(confirmed_ns, of_kind(block, kinds, Kind.CONFIRMED))
        tags.settle(nacked, of_kind(block, kinds, Kind.NACKED))
    return confirmed_ns, nacked


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
    outline: Outline
    positions: np.ndarray | None = None
    """Where the records of a narrowed log stood in the whole one."""

    def narrowed(self, chosen: np.ndarray) -> PublisherLog:
        """Keep what concerns chosen messages (truth by message)."""
        log, positions = self.outline.narrowed(self.log, chosen, lambda records: self._message(records, len(chosen)))
        return replace(self, log=log, positions=positions)

    def _message(self, records: np.ndarray, total: int) -> np.ndarray:
        message = records["seq"].astype(np.int64) + self.offset
        return np.where(message < total, message, -1)

    def tables(self, chosen: np.ndarray | None = None) -> Iterator[Publishes]:
        """Yield its publishes, a block of records at a time; only those of chosen messages (truth by message), if given."""
        settled = settlements(self.log)
        begin = position = 0
        for block in self.log.blocks():
            rows = np.flatnonzero(block["kind"] == Kind.PUBLISHED)
            places = np.arange(begin, begin + len(rows))
            begin += len(rows)
            message = block["seq"][rows].astype(np.int64) + self.offset
            if chosen is not None:
                mine = np.flatnonzero(chosen[message])
                rows, places, message = rows[mine], places[mine], message[mine]
            if len(rows):
                publishes = block.take(rows)
                flags, attempt = publishes["flags"], publishes["attempt"]
                where = rows + position
                yield Publishes(
                    message=message,
                    at_ns=publishes["at_ns"],
                    attempt=attempt,
                    route=self.routes[publishes["queue"]],
                    persistent=(flags & Flag.PERSISTENT) != 0,
                    mandatory=(flags & Flag.MANDATORY) != 0,
                    session=self.sessions[publishes["connection"]],
                    position=where if self.positions is None else self.positions[where],
                    confirmable=publishes["tag"] != 0,
                    confirmed_ns=settled.confirmed_ns[places],
                    nacked=settled.nacked[places],
                    returned=settled.returned(publishes["seq"], attempt),
                )
            position += len(block)

    def last(self, left_out: np.ndarray, sessions: int) -> np.ndarray:
        """Return for each of so many sessions the position of the last publish, -1 for none; some messages (truth by message) are left out."""
        last = np.full(sessions, -1, dtype=np.int64)
        mine = self.sessions[self.sessions >= 0]
        for begin, block in self.log.backwards():
            rows = np.flatnonzero(block["kind"] == Kind.PUBLISHED)
            rows = rows[~left_out[block["seq"][rows].astype(np.int64) + self.offset]]
            np.maximum.at(last, self.sessions[block["connection"][rows]], rows + begin)
            if (last[mine] >= 0).all():
                break
        return last


def _attempts(seq: np.ndarray, attempt: np.ndarray) -> np.ndarray:
    attempts: np.ndarray = seq.astype(np.int64) << 16 | attempt
    return attempts


def name_numbers(log: Log, names: Sequence[str]) -> NDArray[np.uint16]:
    """Return a table from a log's own numbers of queues (or routes) to places in `names`, which has all of them."""
    places = {name: place for place, name in enumerate(names)}
    return np.array([places[name] for name in log.names] or [0], dtype=np.uint16)
