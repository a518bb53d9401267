"""The connections of the run's processes: when each began to be over, and whether that was in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from harness.checks.tally.times import NEVER
from harness.events import Event, ProcessExited
from harness.history.read import Log
from harness.history.records import AckMode, Kind
from harness.scenario.routing import workers_of
from harness.scenario.scenario import Scenario


def has_any(table: np.ndarray, chosen: np.ndarray) -> bool:
    """Whether a log, given by its table from connection numbers to sessions, has one of the chosen sessions (truth by session)."""
    return bool(chosen[table[table >= 0]].any())


@dataclass(frozen=True, slots=True)
class Session:
    """One connection of one incarnation."""

    role: str
    actor: str
    incarnation: int
    connection: int
    lost_ns: int
    """When the connection was lost, or its process died; NEVER if it ended in order."""
    death_ns: int
    """When its process died; NEVER if that ended in order, whatever became of the connection."""
    over_ns: int
    """When it was over, lost or in order; NEVER if neither is known."""
    flushed: bool
    """A publisher's: it ended in order, so that the broker had read all that was sent on it."""
    queues: tuple[str, ...] = ()
    """A worker's: the queues that it consumed from."""
    acks: AckMode = AckMode.UNKNOWN
    """A worker's: when its deliveries are acknowledged."""
    prefetch: int = 0
    """A worker's: how many unacknowledged deliveries it may hold; 0 is unlimited."""
    since_ns: int = NEVER
    """When it was open (a publisher's) or consuming (a worker's); NEVER if neither is known."""
    cancelled_ns: tuple[int, ...] = ()
    """A worker's: when the broker cancelled its consumer."""
    channel_closed: bool = False
    """Whether the broker closed its channel, and left the connection."""
    code: int = 0
    """The reply code that the broker ended it with; 0 without one."""
    reason: str = ""
    """What the broker said when it ended it."""


@dataclass(frozen=True, slots=True)
class TrafficError:
    """An AMQP error that a publisher or worker met: the broker closed its channel or connection, or refused one."""

    code: int
    text: str
    actor: str


def deaths(events: Sequence[Event]) -> dict[tuple[str, int], ProcessExited]:
    """Return the incarnations that did not end in order."""
    return {
        (event.actor, event.incarnation): event
        for event in events
        if isinstance(event, ProcessExited) and event.exit_code != 0
    }


class Survey:
    """What a log tells of its connections, gathered block by block."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._present: set[int] = set()
        self.lost: dict[int, int] = {}
        """By number of a connection, when it was first lost."""
        self.ended: dict[int, int] = {}
        """By number of a connection, when it first ended in order."""
        self.codes: dict[int, tuple[int, int]] = {}
        """By number of a connection, the reply code that it was first lost with, and its reason's index."""
        self.cancelled: dict[int, list[int]] = {}
        """By number of a connection, when the broker cancelled a consumer on it."""
        self.errors: list[tuple[int, int]] = []
        """Reply code and reason's index of each end, and each refusal, that the broker gave a code for."""
        self.channels: set[int] = set()
        """The numbers of connections whose channel the broker closed."""
        self.consuming: dict[int, list[tuple[int, int, int, int]]] = {}
        """By number of a connection, the queue's index, ack mode, prefetch and time of each consumer."""

    def see(self, block: np.ndarray, kinds: np.ndarray) -> None:
        """Look at the next block of records; `kinds` are theirs."""
        connection = np.ascontiguousarray(block["connection"])
        # Of a text, the column means nothing.
        named = connection if int(kinds.max()) < Kind.DEFINED else connection[kinds < np.uint8(Kind.DEFINED)]
        if len(named):
            least, most = int(named.min()), int(named.max())
            self._present |= {least, most} if most - least < 2 else set(np.unique(named).tolist())
        for row in np.flatnonzero((kinds - _FIRST <= _LAST - _FIRST) | (kinds == _CANCELLED)):
            number, at_ns = int(connection[row]), int(block["at_ns"][row])
            if kinds[row] in _TELLING and block["arg"][row] not in _NO_ERRORS:
                self.errors.append((int(block["arg"][row]), int(block["queue"][row])))
            if kinds[row] in _LOST:
                self.lost.setdefault(number, at_ns)
                self.codes.setdefault(number, (int(block["arg"][row]), int(block["queue"][row])))
                if kinds[row] == Kind.CHANNEL_CLOSED:
                    self.channels.add(number)
            elif kinds[row] in _ENDED:
                self.ended.setdefault(number, at_ns)
            elif kinds[row] == Kind.CANCELLED:
                self.cancelled.setdefault(number, []).append(at_ns)
            elif kinds[row] == Kind.CONSUMING:
                record = block[row]
                consumer = (int(record["queue"]), int(record["attempt"]), int(record["arg"]), at_ns)
                self.consuming.setdefault(number, []).append(consumer)

    @property
    def connections(self) -> list[int]:
        """The numbers of its connections, sorted."""
        return sorted(self._present)


_LOST = (Kind.CONNECTION_LOST, Kind.CHANNEL_CLOSED)
_TELLING = (*_LOST, Kind.CONNECT_FAILED)
_NO_ERRORS = (0, 200)
"""Reply codes of what is no error: a socket that broke, and an end in order (reply-success)."""
_ENDED = (Kind.FINISHED, Kind.EXHAUSTED)
_FIRST, _LAST = np.uint8(Kind.EXHAUSTED), np.uint8(Kind.CONSUMING)
"""The least and the greatest of these kinds, and of CONSUMING; those of messages and of their settlements are not between them."""
_CANCELLED = np.uint8(Kind.CANCELLED)


NOT_CONNECTED: Final = 0
"""The number of what was recorded on no connection, as of an attempt to connect that failed: nothing was sent to it."""


class Sessions:
    """All connections of a run, put together log by log."""

    def __init__(self, events: Sequence[Event], scenario: Scenario) -> None:
        """Know how the processes ended; `scenario` tells how a worker was to consume that was gone before it did."""
        self._scenario = scenario
        self._died = {key: event.at_ns for key, event in deaths(events).items()}
        self._exited = {
            (event.actor, event.incarnation): event.at_ns
            for event in events
            if isinstance(event, ProcessExited) and event.exit_code == 0
        }
        self.all: list[Session] = []
        self.errors: list[TrafficError] = []

    def add(self, log: Log, survey: Survey) -> np.ndarray:
        """Add those of a log; return a table from its connection numbers to their places among all."""
        header = log.header
        self.errors += [TrafficError(code, log.reasons[reason], header.actor) for code, reason in survey.errors]
        who, numbers = (header.actor, header.incarnation), survey.connections
        table = np.full(numbers[-1] + 1 if numbers else 0, -1, dtype=np.int32)
        for number in numbers:
            table[number] = len(self.all)
            death_ns = self._died.get(who, NEVER)
            lost_ns = survey.lost.get(number, death_ns)
            orderly_ns = survey.ended.get(number, self._exited.get(who, NEVER))
            queues, acks, prefetch, since_ns = (
                self._consumed(log, survey.consuming.get(number, []))
                if number != NOT_CONNECTED
                else ((), AckMode.UNKNOWN, 0, NEVER)
            )
            code, reason = survey.codes.get(number, (0, 0))
            self.all.append(
                Session(
                    role=header.role,
                    actor=header.actor,
                    incarnation=header.incarnation,
                    connection=number,
                    lost_ns=lost_ns,
                    death_ns=death_ns,
                    over_ns=min(lost_ns, orderly_ns),
                    flushed=number in survey.ended and number not in survey.lost,
                    queues=queues,
                    acks=acks,
                    prefetch=prefetch,
                    since_ns=since_ns,
                    cancelled_ns=tuple(survey.cancelled.get(number, ())),
                    channel_closed=number in survey.channels,
                    code=code,
                    reason=log.reasons[reason],
                )
            )
        return table

    def death_ns(self, log: Log) -> int:
        """Return when the process of a log died; NEVER if it ended in order."""
        return self._died.get((log.header.actor, log.header.incarnation), NEVER)

    def forgets_on_loss(self, log: Log) -> bool:
        """Whether a worker drops what it holds when its connection is lost, as the broker will send it again; not with automatic or early acks."""
        group = workers_of(log.header.actor, self._scenario)
        return group is None or group.acks == "manual"

    def _consumed(
        self, log: Log, consumers: Sequence[tuple[int, int, int, int]]
    ) -> tuple[tuple[str, ...], AckMode, int, int]:
        """Return queues, ack mode, prefetch and begin of a connection's consumers.

        The log says so, from version 2 on, once the broker has answered; before that the broker may already send.
        """
        since_ns = min((at_ns for _, _, _, at_ns in consumers), default=NEVER)
        if consumers and consumers[0][1] != AckMode.UNKNOWN:
            queues = tuple(dict.fromkeys(log.names[queue] for queue, _, _, _ in consumers))
            return queues, AckMode(consumers[0][1]), consumers[0][2], since_ns
        group = workers_of(log.header.actor, self._scenario)
        if group is None:
            return (), AckMode.UNKNOWN, 0, since_ns
        return (group.queue or self._scenario.first_queue,), AckMode[group.acks.upper()], group.prefetch, since_ns
