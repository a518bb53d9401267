"""The deliveries of a run, with what the workers did with each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from harness.checks.tally.copies import DeliveredCopies
from harness.checks.tally.outline import Extents, Outline
from harness.checks.tally.publishes import BlockVisitor
from harness.checks.tally.tables import Table
from harness.checks.tally.times import NEVER, Times
from harness.history.read import EMPTY, Log, of_kind
from harness.history.records import Flag, Kind
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
    copy: np.ndarray
    """-1 for what nobody published, and where no life of the message leads to the queue."""
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
    rejected_ns: np.ndarray
    """When the reject was recorded, NEVER if none was."""
    failed: np.ndarray
    """Whether its work failed where nobody could tell the broker."""
    count: np.ndarray
    """x-delivery-count."""
    died: np.ndarray
    """Whether it came as a dead letter."""

    @property
    def completed(self) -> np.ndarray:
        """Whether its work was done."""
        done: np.ndarray = self.completed_ns != NEVER
        return done

    @property
    def intact(self) -> np.ndarray:
        """Whether its work was done on the body that was published."""
        intact: np.ndarray = self.completed & ~self.corrupt
        return intact

    @property
    def acked(self) -> np.ndarray:
        """Whether an ack for it was recorded."""
        acked: np.ndarray = self.acked_ns != NEVER
        return acked


NO_DELIVERIES = Deliveries(
    message=np.empty(0, dtype=np.int64),
    copy=np.empty(0, dtype=np.int64),
    attempt=np.empty(0, dtype=np.uint16),
    at_ns=np.empty(0, dtype=np.int64),
    session=np.empty(0, dtype=np.int32),
    queue=np.empty(0, dtype=np.int64),
    redelivered=np.empty(0, dtype=np.bool_),
    corrupt=np.empty(0, dtype=np.bool_),
    completed_ns=np.empty(0, dtype=np.int64),
    acked_ns=np.empty(0, dtype=np.int64),
    rejected=np.empty(0, dtype=np.int8),
    rejected_ns=np.empty(0, dtype=np.int64),
    failed=np.empty(0, dtype=np.bool_),
    count=np.empty(0, dtype=np.uint32),
    died=np.empty(0, dtype=np.bool_),
)


@dataclass(frozen=True, slots=True)
class DeliverySettlements:
    """What a worker did with the deliveries of its log, in their order."""

    completed_ns: Times
    acked: Acks
    """See `settlements`."""
    rejected: np.ndarray
    rejected_ns: np.ndarray
    failed: np.ndarray
    extents: Extents


def settlements(log: Log, *, acked_ns: bool, visit: BlockVisitor | None = None) -> DeliverySettlements:
    """Read a worker's log once, and let `see` look at each block. Deliveries without work are completed as they come.

    When each was acknowledged is told if wanted, else only whether it was: that takes less memory.
    """
    index, most = Index(), len(log.records)
    completed_ns = Times(most)
    acked: Acks = Times(most) if acked_ns else np.zeros(most, dtype=bool)
    rejects, failures = [EMPTY], [EMPTY]
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
        failures.append(of_kind(block, kinds, Kind.FAILED))
        unusual = len(deliveries) + len(done) + len(acks) < len(block)
        extents.append((*index.extent(), unusual, len(deliveries), len(done) + at_once, int(acks["arg"].sum())))
        if visit is not None:
            visit(block, kinds, deliveries)
    tags = index.finish()
    if tags.repeated:
        completed_ns = Times(tags.size)
        acked = Times(tags.size) if acked_ns else np.zeros(tags.size, dtype=bool)
        _settle_again(log, tags, completed_ns, acked)
    rejected, rejected_ns = _rejected(tags, np.concatenate(rejects))
    return DeliverySettlements(
        completed_ns,
        acked,
        rejected,
        rejected_ns,
        _failed(tags, np.concatenate(failures)),
        Extents.of(extents, ("delivered", "processed", "acked")),
    )


def _complete_at_once(completed_ns: Times, deliveries: np.ndarray, begin: int) -> int:
    """Note which deliveries, whose places begin at `begin`, were worked off as they came; returns how many."""
    done = np.flatnonzero(deliveries["flags"] & np.uint8(Flag.DONE))
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


def _rejected(tags: Tags, rejects: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rejected, rejected_ns = np.zeros(tags.size, dtype=np.int8), np.broadcast_to(NEVER, tags.size)
    place = tags.find(rejects["connection"], rejects["tag"])
    there = np.flatnonzero(place >= 0)
    if len(there):
        requeue = (rejects["flags"] & Flag.REQUEUE) != 0
        rejected[place[there]] = np.where(requeue, REQUEUED, REJECTED)[there]
        rejected_ns = rejected_ns.copy()
        rejected_ns[place[there]] = rejects["at_ns"][there]
    return rejected, rejected_ns


def _failed(tags: Tags, failures: np.ndarray) -> np.ndarray:
    failed = np.zeros(tags.size, dtype=bool)
    place = tags.find(failures["connection"], failures["tag"])
    failed[place[place >= 0]] = True
    return failed


@dataclass(frozen=True, slots=True)
class WorkerLog:
    """A worker's log, read as deliveries as often as somebody asks."""

    log: Log
    finder: DeliveredCopies
    queues: np.ndarray
    """From its own queue numbers to those of the tally."""
    sessions: np.ndarray
    """From its connection numbers to the tally's sessions."""
    outline: Outline

    def narrowed(self, chosen: np.ndarray) -> WorkerLog:
        """Keep what concerns chosen messages (truth by message)."""
        log, _ = self.outline.narrowed(self.log, chosen, self.finder.messages_of_any_attempt)
        return replace(self, log=log)

    def tables(self, chosen: np.ndarray | None = None) -> Iterator[Deliveries]:
        """Yield its deliveries, a block of records at a time; only those of chosen messages (truth by message), if given."""
        settled = settlements(self.log, acked_ns=True)
        begin = 0
        for block in self.log.blocks():
            deliveries = of_kind(block, np.ascontiguousarray(block["kind"]), Kind.DELIVERED)
            here = np.arange(begin, begin + len(deliveries))
            begin += len(deliveries)
            message = self.finder.messages(deliveries)
            if chosen is not None:
                mine = np.flatnonzero((message >= 0) & chosen[message])
                deliveries, message, here = deliveries.take(mine), message[mine], here[mine]
            if len(deliveries):
                flags = deliveries["flags"]
                yield Deliveries(
                    message=message,
                    copy=self.finder.copies(deliveries, message),
                    attempt=deliveries["attempt"],
                    at_ns=deliveries["at_ns"],
                    session=self.sessions[deliveries["connection"]],
                    queue=self.queues[deliveries["queue"]],
                    redelivered=(flags & Flag.REDELIVERED) != 0,
                    corrupt=(flags & Flag.CORRUPT) != 0,
                    completed_ns=settled.completed_ns[here],
                    acked_ns=settled.acked[here],
                    rejected=settled.rejected[here],
                    rejected_ns=settled.rejected_ns[here],
                    failed=settled.failed[here],
                    count=deliveries["arg"],
                    died=((flags & Flag.DEAD_LETTERED) != 0) | (deliveries["death"] != 0),
                )

    def first_ns(self, first: Times) -> None:
        """Note in `first` (by copy) when each copy was first delivered, if that was not earlier."""
        for block in self.log.blocks():
            deliveries = of_kind(block, np.ascontiguousarray(block["kind"]), Kind.DELIVERED)
            copy = self.finder.copies(deliveries, self.finder.messages(deliveries))
            real = copy >= 0
            first.least(copy[real], deliveries["at_ns"][real])
