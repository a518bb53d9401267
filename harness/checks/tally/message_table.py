"""What is known of each message, by a dense message number; read block by block, so that a history may be long.

A message's number is its publisher's offset plus its sequence number; a sequence number that was never published is a gap, and no
message. Times are monotonic nanoseconds (int64), NEVER for what has not happened. What is known of a hundred million messages fills
most of a machine's memory: whoever looks at all of them does so slice by slice (`MessageTable.slices`).

Most messages have a plain story: published once, promised, delivered once, completed once. Of these only the arrays tell; the tables of
publishes and deliveries hold the stories of all others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from harness.checks.tally.counting import Counts, Mark
from harness.checks.tally.deliveries import NO_DELIVERIES, Deliveries, Numbering, WorkerLog
from harness.checks.tally.fault_records import FaultRecord, fault_records, over_ns
from harness.checks.tally.outline import Outline
from harness.checks.tally.publishes import NO_PUBLISHES, PublisherLog, Publishes, name_numbers
from harness.checks.tally.received import Flow, Received
from harness.checks.tally.sent import Sent
from harness.checks.tally.sessions import Session, Sessions, Survey, has_any
from harness.checks.tally.times import NEVER, Times
from harness.history.history import History
from harness.history.read import Log
from harness.history.records import Flag, Kind

__all__ = ["NEVER", "Found", "MessageTable", "tabulate"]


@dataclass(frozen=True, slots=True)
class Found:
    """What was left in the queues after the drain."""

    message: np.ndarray
    queue: np.ndarray
    """Index into `MessageTable.queues`."""
    corrupt: np.ndarray
    """Messages whose body does not fit."""
    foreign: int
    """How many were found that nobody published."""


AT_ONCE = 1 << 16
"""Messages that are looked at at once: a processor's cache holds what that takes."""
_FEW = 8
"""Stories are few if only one in so many is not plain: their records are kept in memory, rather than looked for again."""


@dataclass(frozen=True)
class MessageTable:
    """What the checks go by. What has no remark is read by message, a slice or some message numbers at a time."""

    publisher_names: dict[int, str]
    offsets: dict[int, int]
    """By publisher's number, growing with it."""
    total: int
    routes: tuple[str, ...]
    queues: tuple[str, ...]
    sessions: tuple[Session, ...]
    attempts: int
    """Publishes, republishes included."""
    flow: Flow
    found: Found
    published: Counts
    """How often it was published."""
    delivered: Counts
    completions: Counts
    first_published_ns: Times
    first_confirmed_ns: Times
    first_completed_ns: Times
    completed_in: np.ndarray
    """The session of its first completion, as an index into `sessions`."""
    redelivered: Mark
    """Whether a delivery of it carried the mark."""
    promised: Mark
    nacked: Mark
    returned: Mark
    unconfirmed: Mark
    """Its publisher asked for no confirms."""
    route: np.ndarray
    """Index into `routes`."""
    corrupt: np.ndarray
    """The messages of which a worker saw a body that does not fit its checksum, in their order."""
    served_ns: dict[int, int]
    """By the time at which a fault was over, the next completion; NEVER if none came."""
    held: dict[int, np.ndarray]
    """By moment at which a fault met what workers had in hand: see `Received.held`."""
    zero_ns: int
    publisher_logs: tuple[PublisherLog, ...]
    worker_logs: tuple[WorkerLog, ...]

    def slices(self) -> Iterator[slice]:
        """Yield slices of message numbers that cover all of them."""
        for begin in range(0, self.total, AT_ONCE):
            yield slice(begin, min(begin + AT_ONCE, self.total))

    def refused(self, here: slice | np.ndarray) -> np.ndarray:
        """Tell which of some messages were nacked or returned."""
        refused: np.ndarray = self.nacked[here] | self.returned[here]
        return refused

    @cached_property
    def irregular(self) -> np.ndarray:
        """By message: whether its story is not plain, so that its publishes and deliveries are in the tables."""
        # Where copies in several queues are possible, it matters which of them was completed.
        branching = np.array(["/" in route for route in self.routes] or [False])
        irregular = np.zeros(self.total, dtype=bool)
        for here in self.slices():
            plain = self.published.single(here) & self.completions.single(here)
            plain &= self.delivered.single(here)
            plain &= self.promised[here]
            if branching.any():
                plain &= ~branching[self.route[here]]
            if not plain.all():  # pages of zeros that nobody writes to take no memory
                irregular[here] = ~plain & self.published.some[here]
        return irregular

    @cached_property
    def irregular_logs(self) -> tuple[tuple[PublisherLog, ...], tuple[WorkerLog, ...]]:
        """The logs, cut down to the messages whose stories are not plain or that are corrupt; whole where these are many."""
        chosen = np.zeros(self.total, dtype=bool)
        chosen[np.flatnonzero(self.irregular)] = True
        chosen[self.corrupt] = True
        chosen[self.found.corrupt] = True
        if np.count_nonzero(chosen) > self.total // _FEW:
            return self.publisher_logs, self.worker_logs
        return (
            tuple(log.narrowed(chosen) for log in self.publisher_logs),
            tuple(log.narrowed(chosen) for log in self.worker_logs),
        )

    @cached_property
    def publishes(self) -> Publishes:
        """The publishes of the messages whose stories are not plain."""
        irregular = self.irregular
        logs = self.irregular_logs[0] if irregular.any() else ()
        return NO_PUBLISHES.extended(table for log in logs for table in log.tables(irregular))

    @cached_property
    def deliveries(self) -> Deliveries:
        """The deliveries of the messages whose stories are not plain."""
        irregular = self.irregular
        logs = self.irregular_logs[1] if irregular.any() else ()
        return NO_DELIVERIES.extended(table for log in logs for table in log.tables(irregular))

    @cached_property
    def first_delivered_ns(self) -> Times:
        """When each message was first delivered: few checks need it, so the logs are read for it when one asks."""
        first = Times(self.total)
        for log in self.worker_logs:
            log.first_ns(first)
        return first

    def all_publishes(self, sessions: np.ndarray | None = None) -> Iterator[Publishes]:
        """Read the logs that have some sessions (truth by session; all if not given), and yield all their publishes, table by table."""
        for log in self.publisher_logs:
            if sessions is None or has_any(log.sessions, sessions):
                yield from log.tables()

    def all_deliveries(self, sessions: np.ndarray | None = None) -> Iterator[Deliveries]:
        """Read the logs that have some sessions (truth by session; all if not given), and yield all their deliveries, table by table."""
        for log in self.worker_logs:
            if sessions is None or has_any(log.sessions, sessions):
                yield from log.tables()

    def name(self, message: int) -> tuple[str, int]:
        """Return (publisher's name, sequence number) of a message."""
        number, offset = max(
            ((number, offset) for number, offset in self.offsets.items() if offset <= message), key=lambda pair: pair[1]
        )
        return self.publisher_names[number], message - offset

    def publisher_of(self, here: slice) -> np.ndarray:
        """Return the publisher's number of each message of a slice."""
        numbers, offsets = np.array([*self.offsets]), np.array([*self.offsets.values()])
        found: np.ndarray = numbers[np.searchsorted(offsets, np.arange(here.start, here.stop), side="right") - 1]
        return found

    def seconds(self, at_ns: int) -> float:
        """Convert a time to seconds since the publishers were released."""
        return (at_ns - self.zero_ns) / 1e9


def tabulate(history: History) -> MessageTable:
    """Read all logs of a history."""
    publishers, workers = history.of_role("publisher"), history.of_role("worker")
    collectors = history.of_role("collector")
    routes = tuple(dict.fromkeys(name for log in publishers for name in log.names))
    queues = tuple(dict.fromkeys(name for log in (*workers, *collectors) for name in log.names))
    sent = Sent(sum(len(log.records) for log in publishers), routes)
    offsets: dict[int, int] = {}
    sizes: dict[int, int] = {}
    read: dict[int, tuple[Survey, Outline]] = {}
    for number in sorted({log.header.number for log in publishers}):
        offset = sent.total
        for place, log in enumerate(publishers):
            if log.header.number == number:
                read[place] = sent.read(log, offset)
        if sent.total > offset:
            offsets[number], sizes[number] = offset, sent.total - offset
    sent.close()
    sessions = Sessions(history.events)
    publisher_logs = tuple(
        PublisherLog(
            log,
            offsets.get(log.header.number, 0),
            name_numbers(log, routes),
            sessions.add(log.header, read[place][0]),
            read[place][1],
        )
        for place, log in enumerate(publishers)
    )
    numbering = Numbering(offsets, sizes, sent.first_attempt, sent.again)
    struck = fault_records(history.events)
    received = Received(numbering, sessions, sent.marks, [over_ns(each) for each in struck], _moments_ns(struck))
    worker_logs = tuple(WorkerLog(log, numbering, name_numbers(log, queues), *received.read(log)) for log in workers)
    return MessageTable(
        publisher_names={log.header.number: log.header.actor for log in publishers},
        offsets=offsets,
        total=sent.total,
        routes=routes,
        queues=queues,
        sessions=tuple(sessions.all),
        attempts=sent.attempts,
        flow=received.flow(),
        found=_found(collectors, numbering, queues),
        published=sent.published,
        delivered=received.delivered,
        completions=received.completions,
        first_published_ns=sent.first_published_ns,
        first_confirmed_ns=sent.first_confirmed_ns,
        first_completed_ns=received.first_completed_ns,
        completed_in=received.completed_in,
        redelivered=received.redelivered,
        promised=sent.promised,
        nacked=sent.nacked,
        returned=sent.returned,
        unconfirmed=sent.unconfirmed,
        route=sent.route,
        corrupt=np.unique(np.array(received.corrupt, dtype=np.int64)),
        served_ns=received.served_ns(),
        held=received.held,
        zero_ns=history.zero_ns,
        publisher_logs=publisher_logs,
        worker_logs=worker_logs,
    )


def _moments_ns(struck: Iterable[FaultRecord]) -> dict[str, set[int]]:
    """Return by actor the moments at which faults met what it had in hand."""
    moments: dict[str, set[int]] = {}
    for each in struck:
        for actor in each.targets:
            moments.setdefault(actor, set()).update(each.meets_hands_ns)
    return moments


def _found(logs: tuple[Log, ...], numbering: Numbering, queues: tuple[str, ...]) -> Found:
    parts = [log.records[log.records["kind"] == Kind.FOUND] for log in logs]
    rows = np.concatenate(parts) if parts else None
    queue = [name_numbers(log, queues)[part["queue"]] for log, part in zip(logs, parts, strict=True)]
    if rows is None:
        nothing = np.empty(0, dtype=np.int64)
        return Found(nothing, nothing, nothing, 0)
    message = numbering.of(rows)
    known = message >= 0
    corrupt = known & ((rows["flags"] & Flag.CORRUPT) != 0)
    return Found(
        message=message[known],
        queue=np.concatenate(queue)[known].astype(np.int64),
        corrupt=np.unique(message[corrupt]),
        foreign=int(np.count_nonzero(~known)),
    )
