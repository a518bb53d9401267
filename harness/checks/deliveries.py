"""The deliveries of a run, with what the workers did with each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from harness.checks.settlement import NEVER, Tags
from harness.checks.tables import Table
from harness.history.read import Log
from harness.history.records import FOREIGN, Flag, Kind

KEPT, REJECTED, REQUEUED = 0, 1, 2
"""What `Deliveries.rejected` holds: not rejected, rejected for good, rejected with requeue."""


@dataclass(frozen=True, slots=True)
class Deliveries(Table):
    """Some deliveries, in the order of each log: arrays of one length."""

    message: np.ndarray
    """-1 for what nobody published."""
    attempt: np.ndarray
    at_ns: np.ndarray
    session: np.ndarray
    """Index into `Tally.sessions`."""
    queue: np.ndarray
    """Index into `Tally.queues`."""
    redelivered: np.ndarray
    corrupt: np.ndarray
    completed_ns: np.ndarray
    """When its work was done; NEVER if it was not."""
    acked_ns: np.ndarray
    """When an ack for it was recorded, NEVER if none was: an intent, which may not have left a process that died."""
    rejected: np.ndarray

    @property
    def completed(self) -> np.ndarray:
        """Whether its work was done."""
        done: np.ndarray = self.completed_ns != NEVER
        return done

    @property
    def acked(self) -> np.ndarray:
        """Whether an ack for it was recorded."""
        acked: np.ndarray = self.acked_ns != NEVER
        return acked


NO_DELIVERIES = Deliveries(
    message=np.empty(0, dtype=np.int64),
    attempt=np.empty(0, dtype=np.uint16),
    at_ns=np.empty(0, dtype=np.int64),
    session=np.empty(0, dtype=np.int32),
    queue=np.empty(0, dtype=np.uint16),
    redelivered=np.empty(0, dtype=np.bool_),
    corrupt=np.empty(0, dtype=np.bool_),
    completed_ns=np.empty(0, dtype=np.int64),
    acked_ns=np.empty(0, dtype=np.int64),
    rejected=np.empty(0, dtype=np.int8),
)


class Numbering:
    """Message numbers of identities: a publisher's offset plus the sequence number, where that attempt was published."""

    def __init__(self, offsets: Mapping[int, int], sizes: Mapping[int, int]) -> None:
        """Know the publishers; nothing is published yet."""
        self._offsets = np.full(FOREIGN + 1, -1, dtype=np.int64)
        self._sizes = np.zeros(FOREIGN + 1, dtype=np.int64)
        for number, offset in offsets.items():
            self._offsets[number], self._sizes[number] = offset, sizes[number]
        self._published_once = np.zeros(sum(sizes.values()), dtype=bool)
        self._again = np.empty(0, dtype=np.int64)

    def publish(self, message: np.ndarray, attempt: np.ndarray) -> None:
        """Remember what was published."""
        first = attempt == 1
        if first.all():
            self._published_once[message] = True
            return
        self._published_once[message[first]] = True
        self._again = np.union1d(self._again, _key(message[~first], attempt[~first]))

    def of(self, publisher: np.ndarray, seq: np.ndarray, attempt: np.ndarray) -> np.ndarray:
        """Return message numbers, -1 for an identity that nobody published: another run's, a gap, an attempt never made."""
        offset = self._offsets[publisher]
        message = np.where((offset >= 0) & (seq < self._sizes[publisher]), offset + seq, -1)
        known = np.flatnonzero(message >= 0)
        first = attempt[known] == 1
        sent = np.zeros(len(known), dtype=bool)
        sent[first] = self._published_once[message[known[first]]]
        sent[~first] = np.isin(_key(message[known[~first]], attempt[known[~first]]), self._again)
        message[known[~sent]] = -1
        return message


def _key(message: np.ndarray, attempt: np.ndarray) -> np.ndarray:
    key: np.ndarray = message << 16 | attempt
    return key


@dataclass(frozen=True, slots=True)
class WorkerLog:
    """A worker's log, read as deliveries as often as somebody asks."""

    log: Log
    numbering: Numbering
    sessions: np.ndarray
    """From its connection numbers to the tally's sessions."""

    def tables(self, chosen: np.ndarray | None = None) -> Iterator[Deliveries]:
        """Yield its deliveries, a block of records at a time; only those of chosen messages (truth by message), if given."""
        tags, completed_ns = self._index(chosen)
        acked_ns = np.full(tags.size, NEVER, dtype=np.int64)
        rejected = np.zeros(tags.size, dtype=np.int8)
        for block in self.log.blocks():
            _join(block, tags, completed_ns, acked_ns, rejected)
        begin = 0
        for block in self.log.blocks():
            rows, message = self._rows(block, chosen)
            end = begin + len(rows)
            if len(rows):
                flags = block["flags"][rows]
                yield Deliveries(
                    message=message,
                    attempt=block["attempt"][rows],
                    at_ns=block["at_ns"][rows],
                    session=self.sessions[block["connection"][rows]],
                    queue=block["queue"][rows],
                    redelivered=(flags & Flag.REDELIVERED) != 0,
                    corrupt=(flags & Flag.CORRUPT) != 0,
                    completed_ns=completed_ns[begin:end],
                    acked_ns=acked_ns[begin:end],
                    rejected=rejected[begin:end],
                )
            begin = end

    def _rows(self, block: np.ndarray, chosen: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        rows = np.flatnonzero(block["kind"] == Kind.DELIVERED)
        message = self.numbering.of(block["publisher"][rows], block["seq"][rows], block["attempt"][rows])
        if chosen is not None:
            mine = (message >= 0) & chosen[message]
            rows, message = rows[mine], message[mine]
        return rows, message

    def _index(self, chosen: np.ndarray | None) -> tuple[Tags, np.ndarray]:
        """Index the deliveries by their tags; those without work are completed as they come."""
        connections, tags = [np.empty(0, dtype=np.uint16)], [np.empty(0, dtype=np.uint32)]
        completed = [np.empty(0, dtype=np.int64)]
        for block in self.log.blocks():
            if chosen is None:
                rows = np.flatnonzero(block["kind"] == Kind.DELIVERED)
            else:
                rows, _ = self._rows(block, chosen)
            connections.append(block["connection"][rows])
            tags.append(block["tag"][rows])
            done = (block["flags"][rows] & Flag.DONE) != 0
            completed.append(np.where(done, block["at_ns"][rows], NEVER))
        return Tags.of(np.concatenate(connections), np.concatenate(tags)), np.concatenate(completed)


def _join(block: np.ndarray, tags: Tags, completed_ns: np.ndarray, acked_ns: np.ndarray, rejected: np.ndarray) -> None:
    """Note what a block of records says of deliveries, wherever these are recorded."""
    kinds = np.ascontiguousarray(block["kind"])
    done = np.flatnonzero(kinds == Kind.COMPLETED)
    if len(done):
        place = tags.find(block["connection"][done], block["tag"][done])
        np.minimum.at(completed_ns, place[place >= 0], block["at_ns"][done[place >= 0]])
    refused = np.flatnonzero(kinds == Kind.REJECTED)
    if len(refused):
        place = tags.find(block["connection"][refused], block["tag"][refused])
        requeue = (block["flags"][refused[place >= 0]] & Flag.REQUEUE) != 0
        rejected[place[place >= 0]] = np.where(requeue, REQUEUED, REJECTED)
    tags.settle(acked_ns, block, np.flatnonzero(kinds == Kind.ACKED))
