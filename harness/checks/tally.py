"""What is known of each message, in arrays indexed by a dense message number; read block by block, so that a history may be long.

A message's number is its publisher's offset plus its sequence number; a sequence number that was never published is a gap, and no
message. Times are monotonic nanoseconds (int64), NEVER for what has not happened.

Most messages have a plain story: published once, promised, delivered once, completed once. Of these only the arrays tell; the tables of
publishes and deliveries hold the stories of all others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from harness.checks.deliveries import KEPT, NO_DELIVERIES, Deliveries, Numbering, WorkerLog
from harness.checks.happenings import happenings, over_ns
from harness.checks.publishes import NO_PUBLISHES, PublisherLog, Publishes, route_numbers
from harness.checks.sessions import Session, has_any, read_sessions
from harness.checks.settlement import NEVER
from harness.checks.verdict import LISTED_MESSAGES
from harness.history.history import History
from harness.history.read import BLOCK_RECORDS, Log
from harness.history.records import Flag, Kind

__all__ = ["NEVER", "Found", "Tally", "tally"]


@dataclass(frozen=True, slots=True)
class Found:
    """What was left in the queues after the drain."""

    message: np.ndarray
    queue: np.ndarray
    """Index into `Tally.queues`."""
    corrupt: np.ndarray
    """Messages whose body does not fit."""
    foreign: int
    """How many were found that nobody published."""


MOST_TIMES = BLOCK_RECORDS - 1
"""Counts end here: what was delivered more often than this is not told apart."""


@dataclass(frozen=True, slots=True)
class Flow:
    """How often things happened on each session, as arrays indexed by session, and what came that nobody had published."""

    delivered: np.ndarray
    completed: np.ndarray
    redelivered: np.ndarray
    acked: np.ndarray
    rejected: np.ndarray
    invented: int
    """Completed deliveries of what nobody published."""
    inventions: tuple[tuple[int, int], ...]
    """Session and time of completion of the first of them, at most LISTED_MESSAGES."""


@dataclass(frozen=True)
class Tally:
    """What the checks go by. Arrays without a remark are indexed by the message's number."""

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
    published: np.ndarray
    """How often it was published; MOST_TIMES stands for all above as well, here and in the next two."""
    delivered: np.ndarray
    completions: np.ndarray
    first_published_ns: np.ndarray
    first_confirmed_ns: np.ndarray
    first_completed_ns: np.ndarray
    completed_in: np.ndarray
    """The session of its first completion, as an index into `sessions`."""
    redelivered: np.ndarray
    """Whether a delivery of it carried the mark."""
    promised: np.ndarray
    nacked: np.ndarray
    returned: np.ndarray
    unconfirmed: np.ndarray
    """Its publisher asked for no confirms."""
    route: np.ndarray
    """Index into `routes`."""
    corrupt: np.ndarray
    """The messages of which a worker saw a body that does not fit its checksum, in their order."""
    served_ns: dict[int, int]
    """By the time at which a fault was over, the next completion; NEVER if none came."""
    zero_ns: int
    publisher_logs: tuple[PublisherLog, ...]
    worker_logs: tuple[WorkerLog, ...]

    @property
    def refused(self) -> np.ndarray:
        """Whether it was nacked or returned."""
        refused: np.ndarray = self.nacked | self.returned
        return refused

    @cached_property
    def told(self) -> np.ndarray:
        """Whether its story is not plain, so that its publishes and deliveries are in the tables."""
        told: np.ndarray = (self.published != 1) | (self.completions != 1) | (self.delivered != 1) | ~self.promised
        told &= self.published > 0
        # Where copies in several queues are possible, it matters which of them was completed.
        branching = np.array(["/" in route for route in self.routes] or [False])
        if branching.any():
            told |= branching[self.route]
        return told

    @cached_property
    def publishes(self) -> Publishes:
        """The publishes of the messages whose stories are not plain."""
        told = self.told
        logs = self.publisher_logs if told.any() else ()
        return NO_PUBLISHES.extended(table for log in logs for table in log.tables(told))

    @cached_property
    def deliveries(self) -> Deliveries:
        """The deliveries of the messages whose stories are not plain."""
        told = self.told
        logs = self.worker_logs if told.any() else ()
        return NO_DELIVERIES.extended(table for log in logs for table in log.tables(told))

    @cached_property
    def first_delivered_ns(self) -> np.ndarray:
        """When each message was first delivered: few checks need it, so the logs are read for it when one asks."""
        first = np.full(self.total, NEVER, dtype=np.int64)
        for table in self.all_deliveries():
            real = table.message >= 0
            np.minimum.at(first, table.message[real], table.at_ns[real])
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

    def publisher_of(self) -> np.ndarray:
        """Return every message's publisher number."""
        numbers = np.zeros(self.total, dtype=np.uint16)
        for number, offset in self.offsets.items():  # offsets grow, so a later publisher overwrites the rest
            numbers[offset:] = number
        return numbers

    def seconds(self, at_ns: int) -> float:
        """Convert a time to seconds since the publishers were released."""
        return (at_ns - self.zero_ns) / 1e9


def tally(history: History) -> Tally:
    """Read all logs of a history."""
    publishers, workers = history.of_role("publisher"), history.of_role("worker")
    sessions, tables, needed = read_sessions((*publishers, *workers), history.events)
    sizes = dict.fromkeys(sorted(log.header.number for log in publishers), 0)
    for log, size in zip(publishers, needed, strict=False):
        sizes[log.header.number] = max(sizes[log.header.number], size)
    offsets: dict[int, int] = {}
    total = 0
    for number, size in sizes.items():
        if size:
            offsets[number] = total
            total += size
    routes = tuple(dict.fromkeys(name for log in publishers for name in log.header.names))
    collectors = history.of_role("collector")
    numbering = Numbering(offsets, sizes)
    publisher_logs = tuple(
        PublisherLog(log, offsets.get(log.header.number, 0), route_numbers(log, routes), table)
        for log, table in zip(publishers, tables[: len(publishers)], strict=True)
    )
    worker_logs = tuple(
        WorkerLog(log, numbering, table) for log, table in zip(workers, tables[len(publishers) :], strict=True)
    )
    sent = _Sent(total, several_routes=len(routes) > 1)
    for publisher_log in publisher_logs:
        for publishes in publisher_log.tables():
            numbering.publish(publishes.message, publishes.attempt)
            sent.add(publishes)
    received = _Received(total, len(sessions), (over_ns(each) for each in happenings(history.events)))
    for worker_log in worker_logs:
        for deliveries in worker_log.tables():
            received.add(deliveries)
    return Tally(
        publisher_names={log.header.number: log.header.actor for log in publishers},
        offsets=offsets,
        total=total,
        routes=routes,
        queues=next((log.header.names for log in (*workers, *collectors)), ()),
        sessions=sessions,
        attempts=sent.attempts,
        flow=received.flow(),
        found=_found(collectors, numbering),
        published=sent.times,
        delivered=received.times,
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
        zero_ns=history.zero_ns,
        publisher_logs=publisher_logs,
        worker_logs=worker_logs,
    )


class _Sent:
    """Adds up what became of each message at its publisher."""

    def __init__(self, total: int, *, several_routes: bool) -> None:
        self.attempts = 0
        self.times = np.zeros(total, dtype=np.uint16)
        self.first_published_ns = np.full(total, NEVER, dtype=np.int64)
        self.first_confirmed_ns = np.full(total, NEVER, dtype=np.int64)
        self.promised = np.zeros(total, dtype=bool)
        self.nacked = np.zeros(total, dtype=bool)
        self.returned = np.zeros(total, dtype=bool)
        self.unconfirmed = np.zeros(total, dtype=bool)
        self.route = np.zeros(total, dtype=np.uint16)
        self._several_routes = several_routes

    def add(self, publishes: Publishes) -> None:
        message = publishes.message
        self.attempts += len(message)
        _count(self.times, message)
        np.minimum.at(self.first_published_ns, message, publishes.at_ns)
        np.minimum.at(self.first_confirmed_ns, message, publishes.confirmed_ns)
        for there, chosen in (
            (self.promised, publishes.promised),
            (self.nacked, publishes.nacked),
            (self.returned, publishes.returned),
            (self.unconfirmed, ~publishes.confirmable),
        ):
            _mark(there, message, chosen)
        if self._several_routes:
            self.route[message] = publishes.route


class _Received:
    """Adds up what became of each message at the workers, and what happened on each session."""

    def __init__(self, total: int, sessions: int, marks_ns: Iterable[int]) -> None:
        self.times = np.zeros(total, dtype=np.uint16)
        self.completions = np.zeros(total, dtype=np.uint16)
        self.first_completed_ns = np.full(total, NEVER, dtype=np.int64)
        self.completed_in = np.zeros(total, dtype=np.min_scalar_type(sessions))
        self.redelivered = np.zeros(total, dtype=bool)
        self.corrupt: list[int] = []
        self._sums = np.zeros((5, sessions), dtype=np.int64)
        self._invented = 0
        self._inventions: list[tuple[int, int]] = []
        self._marks_ns = np.unique(np.array([*marks_ns], dtype=np.int64))
        self._served_ns = np.full(len(self._marks_ns) + 1, NEVER, dtype=np.int64)
        """The first completion from each mark to the next; in front of them, the first one before all marks."""

    def add(self, deliveries: Deliveries) -> None:
        completed = deliveries.completed
        sizes = self._sums.shape[1]
        for number, chosen in enumerate(
            (slice(None), completed, deliveries.redelivered, deliveries.acked, deliveries.rejected != KEPT)
        ):
            self._sums[number] += np.bincount(deliveries.session[chosen], minlength=sizes)
        real = deliveries.message >= 0
        if not real.all():
            self._invent(deliveries, completed & ~real)
        message = deliveries.message[real]
        _count(self.times, message)
        _mark(self.redelivered, message, deliveries.redelivered[real])
        if deliveries.corrupt.any():
            self.corrupt += np.unique(deliveries.message[deliveries.corrupt & real]).tolist()
        self._complete(deliveries, completed & real)
        if len(self._marks_ns):
            done_ns = deliveries.completed_ns[completed]
            np.minimum.at(self._served_ns, np.searchsorted(self._marks_ns, done_ns, side="right"), done_ns)

    def _complete(self, deliveries: Deliveries, done: np.ndarray) -> None:
        message, at_ns = deliveries.message[done], deliveries.completed_ns[done]
        _count(self.completions, message)
        np.minimum.at(self.first_completed_ns, message, at_ns)
        first = self.first_completed_ns[message] == at_ns
        self.completed_in[message[first]] = deliveries.session[done][first]

    def _invent(self, deliveries: Deliveries, invented: np.ndarray) -> None:
        rows = np.flatnonzero(invented)
        self._invented += len(rows)
        listed = rows[: LISTED_MESSAGES - len(self._inventions)]
        columns = deliveries.session[listed].tolist(), deliveries.completed_ns[listed].tolist()
        self._inventions += zip(*columns, strict=True)

    def flow(self) -> Flow:
        delivered, completed, redelivered, acked, rejected = self._sums
        return Flow(delivered, completed, redelivered, acked, rejected, self._invented, tuple(self._inventions))

    def served_ns(self) -> dict[int, int]:
        later = np.minimum.accumulate(self._served_ns[:0:-1])[::-1]
        return dict(zip(self._marks_ns.tolist(), later.tolist(), strict=True))


def _count(times: np.ndarray, message: np.ndarray) -> None:
    """Count messages, at most MOST_TIMES each: there are fewer in one table, so that no count runs over."""
    np.add.at(times, message, np.uint16(1))
    counted = times[message]
    if len(counted) and counted.max() > MOST_TIMES:
        times[message] = np.minimum(counted, MOST_TIMES)


def _mark(there: np.ndarray, message: np.ndarray, chosen: np.ndarray) -> None:
    if chosen.any():
        there[message[chosen]] = True


def _found(logs: tuple[Log, ...], numbering: Numbering) -> Found:
    parts = [log.records[log.records["kind"] == Kind.FOUND] for log in logs]
    rows = np.concatenate(parts) if parts else None
    if rows is None:
        nothing = np.empty(0, dtype=np.int64)
        return Found(nothing, nothing, nothing, 0)
    message = numbering.of(rows["publisher"], rows["seq"], rows["attempt"])
    known = message >= 0
    corrupt = known & ((rows["flags"] & Flag.CORRUPT) != 0)
    return Found(
        message=message[known],
        queue=rows["queue"][known].astype(np.int64),
        corrupt=np.unique(message[corrupt]),
        foreign=int(np.count_nonzero(~known)),
    )
