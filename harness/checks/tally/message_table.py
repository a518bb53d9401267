"""What is known of each copy; read block by block, so that a history may be long.

The unit is a copy (`lives.py`); its number is dense (`copies.py`). What is known of a message is shared by its copies, and read by copy
as well. Times are monotonic nanoseconds (int64), NEVER for what has not happened. What is known of a hundred million copies fills
most of a machine's memory: whoever looks at all of them does so slice by slice (`MessageTable.slices`).

Most copies have a plain story: published once, promised, delivered once, completed once. Of these only the arrays know; the tables of
publishes and deliveries hold the stories of all others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from harness.checks.tally.columns import (
    CountColumn,
    CountsByCopy,
    Here,
    MarkByCopy,
    RouteByCopy,
    TimeColumn,
    TimesByCopy,
    TruthColumn,
)
from harness.checks.tally.copies import AT_ONCE, Copies, DeliveredCopies
from harness.checks.tally.counting import Counts, Mark, Marks
from harness.checks.tally.deliveries import NO_DELIVERIES, Deliveries, WorkerLog
from harness.checks.tally.diverted import after_expiry, diverted
from harness.checks.tally.existing import branched, existing
from harness.checks.tally.fault_records import FaultRecord, over_ns
from harness.checks.tally.found import Found, read_found
from harness.checks.tally.idle import Spans, pauses
from harness.checks.tally.learned import learn_targets
from harness.checks.tally.messages import Messages
from harness.checks.tally.numbering import Numbering
from harness.checks.tally.outline import Outline
from harness.checks.tally.publishes import NO_PUBLISHES, PublisherLog, Publishes, name_numbers
from harness.checks.tally.received import Flow, Misrouted, Received
from harness.checks.tally.sent import Sent
from harness.checks.tally.sessions import Session, Sessions, Survey, TrafficError, has_any
from harness.checks.tally.times import NEVER, Times
from harness.checks.tally.topology import RunTopology
from harness.history.history import History
from harness.scenario.scenario import Scenario

__all__ = ["AT_ONCE", "NEVER", "Found", "MessageTable", "tabulate"]


_FEW = 8
"""Stories are few if only one in so many is not plain: their records are kept in memory, rather than looked for again."""


@dataclass(frozen=True)
class MessageTable:
    """What the checks go by. Columns are by copy, read by slice or by some copies at a time; `messages` has those by message."""

    messages: Messages
    copies: Copies
    topology: RunTopology
    exists: NDArray[np.bool_] | None
    """By copy, whether it exists; None if each does whose message was published."""
    began: NDArray[np.bool_] | None
    """By copy, whether a publish put it in its queue; None if each copy exists from its publish on."""
    routes: tuple[str, ...]
    """One that did not lead all of its messages the same way is there twice: see `diverted.py`."""
    queues: tuple[str, ...]
    sessions: tuple[Session, ...]
    errors: tuple[TrafficError, ...]
    """What publishers and workers met, in no order of time."""
    attempts: int
    """Publishes, republishes included."""
    flow: Flow
    found: Found
    delivered: Counts
    completions: Counts
    first_completed_ns: Times
    completed_in: np.ndarray
    """The session of its first completion, as an index into `sessions`."""
    redelivered: Mark
    """Whether a delivery of it carried the mark."""
    corrupt: NDArray[np.int64]
    """The messages of which a worker saw a body that does not fit its checksum, in their order."""
    misrouted: tuple[Misrouted, ...]
    """Deliveries from queues that no life of their message leads to; the first ones."""
    misroutings: int
    """How many there are."""
    served_ns: dict[int, int]
    """By the time at which a fault was over, the next completion; NEVER if none came."""
    held: dict[int, np.ndarray]
    """By moment at which a fault met what workers had in hand: see `Received.held`."""
    idle: Spans
    """When no worker was at work."""
    zero_ns: int
    publisher_logs: tuple[PublisherLog, ...]
    worker_logs: tuple[WorkerLog, ...]

    @property
    def total(self) -> int:
        """How many copy numbers there are."""
        return self.copies.total

    @property
    def unit(self) -> tuple[str, str]:
        """What a copy is called, and several: messages, where each message can have one copy only."""
        one = all(lives.alone and not lives.branchings for lives in self.copies.lives)
        return ("message", "messages") if one else ("copy", "copies")

    def slices(self) -> Iterator[slice]:
        """Yield slices of copy numbers that cover all of them."""
        return self.copies.slices()

    def message(self, copy: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the messages of some copies."""
        found = self.copies.messages(copy)
        assert isinstance(found, np.ndarray)  # noqa: S101 - as the copies are given
        return found

    def name(self, copy: int) -> tuple[str, int]:
        """Return (publisher's name, sequence number) of a copy's message."""
        return self.messages.name(int(self.message(np.array([copy]))[0]))

    def publisher_of(self, here: slice) -> NDArray[np.int64]:
        """Return the publisher's number of each copy of a slice."""
        return self.messages.publisher_of(self.copies.messages(here))

    # What is known of each message, by copy.

    @cached_property
    def published(self) -> CountColumn:
        """How often its message was published; 0 for a copy that does not exist."""
        published = self.messages.published
        if self.exists is None:
            return published
        return CountsByCopy(published, self.copies, self.exists)

    @cached_property
    def promised(self) -> TruthColumn:
        """Whether its message was promised."""
        return self._marked(self.messages.promised)

    @cached_property
    def nacked(self) -> TruthColumn:
        """Whether a publish of its message was nacked."""
        return self._marked(self.messages.nacked)

    @cached_property
    def returned(self) -> TruthColumn:
        """Whether a publish of its message came back."""
        return self._marked(self.messages.returned)

    def refused(self, here: Here) -> NDArray[np.bool_]:
        """Return which of some copies have a message that was nacked or returned."""
        refused: NDArray[np.bool_] = self.nacked[here] | self.returned[here]
        return refused

    @cached_property
    def first_published_ns(self) -> TimeColumn:
        """When its message was first published."""
        return self._timed(self.messages.first_published_ns)

    @cached_property
    def first_confirmed_ns(self) -> TimeColumn:
        """When its message was first confirmed."""
        return self._timed(self.messages.first_confirmed_ns)

    @cached_property
    def route(self) -> RouteByCopy | NDArray[np.unsignedinteger]:
        """The route of its message, as an index into `routes`."""
        return self.messages.route if self.copies.single else RouteByCopy(self.messages.route, self.copies)

    def _marked(self, mark: Mark) -> TruthColumn:
        return mark if self.exists is None else MarkByCopy(mark, self.copies, self.exists)

    def _timed(self, times: Times) -> TimeColumn:
        return times if self.copies.single else TimesByCopy(times, self.copies)

    def first_queue(self, copy: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the queue that each of some copies begins in, as an index into `queues`; -1 for one that reached no queue."""
        queue: NDArray[np.int64] = self.begins_in[self.route[copy], self.copies.slots(copy)]
        return queue

    @cached_property
    def begins_in(self) -> NDArray[np.int64]:
        """By route and slot, the queue that such a copy begins in: see `first_queue`."""
        lives = self.copies.lives
        table = np.full((max(1, len(lives)), max((len(each.slots) for each in lives), default=1)), -1, dtype=np.int64)
        for route, each in enumerate(lives):
            for number, slot in enumerate(each.slots):
                if slot.begins_in in self.queues:
                    table[route, number] = self.queues.index(slot.begins_in)
        return table

    def published_to(self, copy: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the queue that the publish of each of some copies put it in, as an index into `queues`; -1 for none, as a death begins it."""
        lives = self.copies.lives
        by_publish = np.arange(self.begins_in.shape[1]) < np.array([[each.published] for each in lives] or [[1]])
        queue: NDArray[np.int64] = np.where(by_publish, self.begins_in, -1)[self.route[copy], self.copies.slots(copy)]
        return queue

    # The stories that are not plain.

    @cached_property
    def irregular(self) -> NDArray[np.bool_]:
        """By message: whether the story of a copy of it is not plain, so that its publishes and deliveries are in the tables."""
        irregular = np.zeros(self.messages.total, dtype=bool)
        for here in self.slices():
            plain = self.published.single(here) & self.completions.single(here)
            plain &= self.delivered.single(here)
            plain &= self.promised[here]
            if not plain.all():  # pages of zeros that nobody writes to take no memory
                irregular[self.copies.messages(here)] |= ~plain & self.published.some[here]
        irregular[self.found.message] = True
        return irregular

    @cached_property
    def irregular_logs(self) -> tuple[tuple[PublisherLog, ...], tuple[WorkerLog, ...]]:
        """The logs, cut down to the messages whose stories are not plain or that are corrupt; whole where these are many."""
        chosen = np.zeros(self.messages.total, dtype=bool)
        chosen[np.flatnonzero(self.irregular)] = True
        chosen[self.corrupt] = True
        chosen[self.found.message[self.found.corrupt]] = True
        chosen[np.array([each.message for each in self.misrouted], dtype=np.int64)] = True
        if np.count_nonzero(chosen) > self.messages.total // _FEW:
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
        """When each copy was first delivered: few checks need it, so the logs are read for it when one asks."""
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

    def seconds(self, at_ns: int) -> float:
        """Convert a time to seconds since the publishers were released."""
        return (at_ns - self.zero_ns) / 1e9


def tabulate(history: History, scenario: Scenario) -> MessageTable:
    """Read all logs of a history."""
    publishers, workers = history.of_role("publisher"), history.of_role("worker")
    collectors = history.of_role("collector")
    routes = tuple(dict.fromkeys(name for log in publishers for name in log.names))
    queues = tuple(dict.fromkeys([*scenario.queues, *(name for log in (*workers, *collectors) for name in log.names)]))
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
    sessions = Sessions(history.events, scenario)
    publisher_logs = tuple(
        PublisherLog(
            log,
            offsets.get(log.header.number, 0),
            name_numbers(log, routes),
            sessions.add(log, read[place][0]),
            read[place][1],
        )
        for place, log in enumerate(publishers)
    )
    numbering = Numbering(offsets, sizes, sent.first_attempt, sent.again)
    topology, carried = RunTopology(scenario, history.events, routes), sent.carried()
    if topology.policies_unseen:
        learned = learn_targets((*workers, *collectors), numbering, carried)
        topology = RunTopology(scenario, history.events, routes, learned)
    rounds = max(
        (count for log in (*workers, *collectors) for death in log.deaths for _, _, count in death.path), default=1
    )
    apart = diverted(sent, routes, topology, publisher_logs)
    lives = tuple(topology.lives(route, rounds) for route in routes)
    lives += tuple(topology.diverted_lives(ways, rounds) for ways in apart.ways)
    sent.route = apart.route
    routes_of = {
        number: frozenset(
            int(route)
            for log in publisher_logs
            if log.log.header.number == number
            for route in log.routes[: max(1, len(log.log.names))]
        )
        for number in offsets
    }
    for further, name in enumerate(apart.routes, start=len(routes)):
        routes_of = {
            number: which | {further} if routes.index(name) in which else which for number, which in routes_of.items()
        }
    routes += apart.routes
    copies = Copies(offsets, sizes, routes_of, lives)
    struck = topology.faults
    marks = sent.marks if copies.single else Marks(copies.total)
    marks_ns = [over_ns(each) for each in struck]
    received = Received(copies.total, sessions, marks, marks_ns, _moments_ns(struck), pauses(history.events))
    worker_logs = []
    for log in workers:
        finder = DeliveredCopies(log, numbering, copies, sent.route, carried)
        worker_logs.append(WorkerLog(log, finder, name_numbers(log, queues), *received.read(log, finder)))
    found = read_found(collectors, numbering, copies, sent, queues)
    messages = Messages(
        publisher_names={log.header.number: log.header.actor for log in publishers},
        offsets=offsets,
        total=sent.total,
        published=sent.published,
        first_published_ns=sent.first_published_ns,
        first_confirmed_ns=sent.first_confirmed_ns,
        promised=sent.promised,
        nacked=sent.nacked,
        returned=sent.returned,
        unconfirmed=sent.unconfirmed,
        route=sent.route,
    )
    exists = began = None
    if not copies.single:
        apart = after_expiry(apart, len(routes) - len(apart.routes), sent, topology, sessions.all, history.zero_ns)
        begun = branched(copies, worker_logs, sent.route, queues, topology.leads_elsewhere())
        exists, began = existing(messages, copies, received, found, begun, apart)
    return MessageTable(
        messages=messages,
        copies=copies,
        topology=topology,
        exists=exists,
        began=began,
        routes=routes,
        queues=queues,
        sessions=tuple(sessions.all),
        errors=tuple(sessions.errors),
        attempts=sent.attempts,
        flow=received.flow(),
        found=found,
        delivered=received.delivered,
        completions=received.completions,
        first_completed_ns=received.first_completed_ns,
        completed_in=received.completed_in,
        redelivered=received.redelivered,
        corrupt=np.unique(np.array(received.corrupt, dtype=np.int64)),
        misrouted=tuple(received.misrouted),
        misroutings=received.misroutings,
        served_ns=received.served_ns(),
        held=received.held,
        idle=received.idle,
        zero_ns=history.zero_ns,
        publisher_logs=publisher_logs,
        worker_logs=tuple(worker_logs),
    )


def _moments_ns(struck: Iterable[FaultRecord]) -> dict[str, set[int]]:
    """Return by actor the moments at which faults met what it had in hand."""
    moments: dict[str, set[int]] = {}
    for each in struck:
        for actor in each.targets:
            moments.setdefault(actor, set()).update(each.meets_hands_ns)
    return moments
