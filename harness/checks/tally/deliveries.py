"""The deliveries of a run, with what the workers did with each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from harness.checks.tally.counting import Mark
from harness.checks.tally.outline import Extents, Outline
from harness.checks.tally.publishes import BlockVisitor
from harness.checks.tally.tables import Table
from harness.checks.tally.times import NEVER, Times
from harness.history.read import EMPTY, Log, of_kind
from harness.history.records import FOREIGN, Flag, Kind
from harness.history.tags import Index, Tags

Acks = Times | NDArray[np.bool_]
"""When each delivery was acknowledged, or only whether."""

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
    """Index into `MessageTable.sessions`."""
    queue: np.ndarray
    """Index into `MessageTable.queues`."""
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

    def __init__(
        self, offsets: Mapping[int, int], sizes: Mapping[int, int], first: Mark, again: Sequence[np.ndarray]
    ) -> None:
        """Know what was published: `first` tells of each message whether its first attempt was, `again` are keys of all others."""
        self._offsets = np.full(FOREIGN + 1, -1, dtype=np.int64)
        self._sizes = np.zeros(FOREIGN + 1, dtype=np.int64)
        for number, offset in offsets.items():
            self._offsets[number], self._sizes[number] = offset, sizes[number]
        self._first = first
        self._again = np.unique(np.concatenate([np.empty(0, dtype=np.int64), *again]))

    def of(self, records: np.ndarray) -> np.ndarray:
        """Return message numbers, -1 for an identity that nobody published: another run's, a gap, an attempt never made."""
        message, attempt = self.of_any_attempt(records), records["attempt"]
        first = attempt == 1
        if not first.all():
            known = np.flatnonzero(message >= 0)
            again = known[~first[known]]
            message[again[~np.isin(attempt_key(message[again], attempt[again]), self._again)]] = -1
            first &= message >= 0
        if int(message.max(initial=-1)) >= 0:
            # Of -1, which is none, this looks at the last message, and writes -1 again.
            unknown = first & ~self._first[message]
            if unknown.any():
                message[unknown] = -1
        return message

    def of_any_attempt(self, records: np.ndarray) -> np.ndarray:
        """Return message numbers, -1 for an identity of no publisher, or beyond its last message."""
        publisher, seq = records["publisher"], records["seq"]
        message: np.ndarray = self._offsets[publisher]
        outside = (message < 0) | (seq >= self._sizes[publisher])
        message += seq
        if outside.any():
            message[outside] = -1
        return message


def attempt_key(message: np.ndarray, attempt: np.ndarray) -> np.ndarray:
    """Return one number for each attempt of a message."""
    key: np.ndarray = message << 16 | attempt
    return key


@dataclass(frozen=True, slots=True)
class DeliverySettlements:
    """What a worker did with the deliveries of its log, in their order."""

    completed_ns: Times
    acked: Acks
    """See `settlements`."""
    rejected: np.ndarray
    extents: Extents


def settlements(log: Log, *, acked_ns: bool, visit: BlockVisitor | None = None) -> DeliverySettlements:
    """Read a worker's log once, and let `see` look at each block. Deliveries without work are completed as they come.

    When each was acknowledged is told if wanted, else only whether it was: that takes less memory.
    """
    index, most = Index(), len(log.records)
    completed_ns = Times(most)
    acked: Acks = Times(most) if acked_ns else np.zeros(most, dtype=bool)
    rejects = [EMPTY]
    extents: list[tuple[int, ...]] = []
    for block in log.blocks():
        kinds, at_once = np.ascontiguousarray(block["kind"]), 0
        deliveries = of_kind(block, kinds, Kind.DELIVERED)
        if len(deliveries):
            at_once = _complete_at_once(completed_ns, deliveries, index.size)
            index.add(deliveries["connection"], deliveries["tag"])
        done, acks = of_kind(block, kinds, Kind.COMPLETED), of_kind(block, kinds, Kind.ACKED)
        index.settle(completed_ns, done, ranges=False)
        index.settle(acked, acks)
        rejects.append(of_kind(block, kinds, Kind.REJECTED))
        unusual = len(deliveries) + len(done) + len(acks) < len(block)
        extents.append((*index.extent(), unusual, len(deliveries), len(done) + at_once, int(acks["arg"].sum())))
        if visit is not None:
            visit(block, kinds, deliveries)
    tags = index.finish()
    if tags.repeated:
        completed_ns = Times(tags.size)
        acked = Times(tags.size) if acked_ns else np.zeros(tags.size, dtype=bool)
        _settle_again(log, tags, completed_ns, acked)
    return DeliverySettlements(
        completed_ns,
        acked,
        _rejected(tags, np.concatenate(rejects)),
        Extents.of(extents, ("delivered", "processed", "acked")),
    )


def _complete_at_once(completed_ns: Times, deliveries: np.ndarray, begin: int) -> int:
    """Note which deliveries, whose places begin at `begin`, were worked off as they came; returns how many."""
    done = np.flatnonzero(deliveries["flags"] & Flag.DONE)
    completed_ns.least(done + begin, deliveries["at_ns"][done])
    return len(done)


def _settle_again(log: Log, tags: Tags, completed_ns: Times, acked: Acks) -> None:
    begin = 0
    for block in log.blocks():
        kinds = np.ascontiguousarray(block["kind"])
        deliveries = of_kind(block, kinds, Kind.DELIVERED)
        _complete_at_once(completed_ns, deliveries, begin)
        begin += len(deliveries)
        done = of_kind(block, kinds, Kind.COMPLETED)
        place = tags.find(done["connection"], done["tag"])
        completed_ns.least(place[place >= 0], done["at_ns"][place >= 0])
        tags.settle(acked, of_kind(block, kinds, Kind.ACKED))


def _rejected(tags: Tags, rejects: np.ndarray) -> np.ndarray:
    rejected = np.zeros(tags.size, dtype=np.int8)
    place = tags.find(rejects["connection"], rejects["tag"])
    requeue = (rejects["flags"] & Flag.REQUEUE) != 0
    rejected[place[place >= 0]] = np.where(requeue, REQUEUED, REJECTED)[place >= 0]
    return rejected


@dataclass(frozen=True, slots=True)
class WorkerLog:
    """A worker's log, read as deliveries as often as somebody asks."""

    log: Log
    numbering: Numbering
    queues: NDArray[np.uint16]
    """From its own queue numbers to those of the tally."""
    sessions: np.ndarray
    """From its connection numbers to the tally's sessions."""
    outline: Outline

    def narrowed(self, chosen: np.ndarray) -> WorkerLog:
        """Keep what concerns chosen messages (truth by message)."""
        log, _ = self.outline.narrowed(self.log, chosen, self.numbering.of_any_attempt)
        return replace(self, log=log)

    def tables(self, chosen: np.ndarray | None = None) -> Iterator[Deliveries]:
        """Yield its deliveries, a block of records at a time; only those of chosen messages (truth by message), if given."""
        settled = settlements(self.log, acked_ns=True)
        begin = 0
        for block in self.log.blocks():
            deliveries = of_kind(block, np.ascontiguousarray(block["kind"]), Kind.DELIVERED)
            here = np.arange(begin, begin + len(deliveries))
            begin += len(deliveries)
            message = self.numbering.of(deliveries)
            if chosen is not None:
                mine = np.flatnonzero((message >= 0) & chosen[message])
                deliveries, message, here = deliveries.take(mine), message[mine], here[mine]
            if len(deliveries):
                flags = deliveries["flags"]
                yield Deliveries(
                    message=message,
                    attempt=deliveries["attempt"],
                    at_ns=deliveries["at_ns"],
                    session=self.sessions[deliveries["connection"]],
                    queue=self.queues[deliveries["queue"]],
                    redelivered=(flags & Flag.REDELIVERED) != 0,
                    corrupt=(flags & Flag.CORRUPT) != 0,
                    completed_ns=settled.completed_ns[here],
                    acked_ns=settled.acked[here],
                    rejected=settled.rejected[here],
                )

    def first_ns(self, first: Times) -> None:
        """Note in `first` (by message) when each message was first delivered, if that was not earlier."""
        for block in self.log.blocks():
            deliveries = of_kind(block, np.ascontiguousarray(block["kind"]), Kind.DELIVERED)
            message = self.numbering.of(deliveries)
            real = message >= 0
            first.least(message[real], deliveries["at_ns"][real])
