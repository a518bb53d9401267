"""After the drain: reads what is left in the queues, so that stranded and dead-lettered messages are known one by one.

A consumer is opened on every queue before any is believed to be empty, and all stay open until each of them is: what is held by a consumer
neither expires nor moves to another queue, so no message is missed between two queues, or found in both. Then all are let go, and the
broker puts the messages back.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker
from pika.spec import Basic, BasicProperties

from harness.errors import BrokerError
from harness.history.records import FOREIGN, Flag, Kind, Table
from harness.traffic import identity
from harness.traffic.deaths import death_of, delivery_count
from harness.traffic.errands import Errands, errands
from harness.traffic.log import EventLog
from harness.traffic.spec import Target
from harness.traffic.topology import NOT_FOUND, RESOURCE_LOCKED

POLL_S = 0.01
"""How long to listen before those queues are asked that were not empty the last time."""
INACTIVITY_S = 1.0
"""How long a queue that says it is empty may stay silent before it is believed, if somebody else consumes from it."""
ACCESS_REFUSED = 403

PREFETCH = 65_535
"""How many messages one consumer takes before another one is added: the most that AMQP can ask for. Without a number, a quorum queue sends
2000 and then waits for acks (rabbit_fifo_client, UNLIMITED_PREFETCH_COUNT)."""


@dataclass(frozen=True, slots=True)
class Left:
    """What is left in a queue."""

    messages: int
    """How many were read; of a queue that could not be read, how many it says are ready."""
    state: Literal["read", "missing", "exclusive", "single active consumer"] = "read"
    """Whether it was read, is not there, or why it was only counted: a consumer that is not the run's has it for itself."""


@dataclass(slots=True)
class _Reading:
    """A queue that is being read."""

    name: str
    index: int
    channel: BlockingChannel
    expected: int
    """How many messages it said were ready before the consumer was opened."""
    consumers: int = 0
    found: int = 0
    heard_at: float = field(default_factory=time.monotonic)


def collect(
    target: Target,
    queues: Sequence[str],
    log: EventLog,
    token: str,
    *,
    single_active: frozenset[str] = frozenset(),
    silence_timeout_s: float = 60.0,
) -> dict[str, Left]:
    """Record every message that is left in each queue as FOUND; returns what is left where.

    Messages are taken without an ack and given back at the end. A queue of `single_active` lets only one consumer have messages. A queue
    that says it holds none, and that nobody else consumes from, is believed. An answer that does not know the consumers of this very
    connection is no answer: a quorum queue whose leader is busy is reported as empty, with no consumers (see topology.QueueCounts). Raises
    BrokerError, also for a queue that says it holds messages and sends none for `silence_timeout_s`.
    """
    with errands(target, "reading what is left in the queues") as opened:
        collector = _Collector(opened, log, token, single_active, silence_timeout_s)
        for queue in queues:
            collector.open(queue)
        collector.read()
        return {queue: collector.left(queue) for queue in queues}


class _Collector:
    def __init__(
        self, opened: Errands, log: EventLog, token: str, single_active: frozenset[str], silence_s: float
    ) -> None:
        self._opened = opened
        self._log = log
        self._token = token
        self._single_active = single_active
        self._silence_s = silence_s
        self._readings: dict[str, _Reading] = {}
        self._others: dict[str, Left] = {}
        """Queues that are not read."""
        self._shared: BlockingChannel | None = None

    def left(self, queue: str) -> Left:
        """Return what is left in a queue, for when all was read."""
        return self._others[queue] if queue in self._others else Left(self._readings[queue].found)

    def open(self, queue: str) -> None:
        """Open a consumer on a queue, unless it is not there or somebody else has it for itself."""
        with self._opened.errand(f"asking for queue {queue!r}") as asking:
            try:
                declared = asking.queue_declare(queue, passive=True).method
            except ChannelClosedByBroker as error:
                match error.reply_code:
                    case code if code == NOT_FOUND:
                        self._others[queue] = Left(0, "missing")
                    case code if code == RESOURCE_LOCKED:
                        self._others[queue] = Left(0, "exclusive")
                    case _:
                        raise
                return
        taken = declared.consumer_count > 0
        if taken and queue in self._single_active:
            self._others[queue] = Left(declared.message_count, "single active consumer")
            return
        with self._opened.errand(f"reading what is left in queue {queue!r}"):
            # The broker closes the channel of a consumer that it refuses, and with it all others on the channel.
            channel = self._own_channel() if taken else self._shared_channel()
            index = self._log.define(Table.NAMES, queue)
            reading = _Reading(queue, index, channel, declared.message_count)
            try:
                self._consume(reading)
            except ChannelClosedByBroker as error:
                if error.reply_code != ACCESS_REFUSED:
                    raise
                self._others[queue] = Left(declared.message_count, "exclusive")
            else:
                self._readings[queue] = reading

    def _own_channel(self) -> BlockingChannel:
        channel = self._opened.new_channel()
        channel.basic_qos(prefetch_count=PREFETCH)
        return channel

    def _shared_channel(self) -> BlockingChannel:
        self._shared = self._shared or self._own_channel()
        return self._shared

    def _consume(self, reading: _Reading) -> None:
        """Add a consumer: the broker sends it so many messages as the prefetch says, and then waits for acks."""

        def take(_: object, method: Basic.Deliver, properties: BasicProperties, body: bytes) -> None:
            reading.found += 1
            reading.heard_at = time.monotonic()
            _record(self._log, self._token, reading.index, method, properties, body)

        reading.channel.basic_consume(reading.name, take)
        reading.consumers += 1

    def read(self) -> None:
        """Read until every queue was asked, and said that nothing is left.

        A channel of the broker answers such a question before it passes on what a queue has sent it meanwhile, but passes that on before it
        answers the next one: so each channel is asked once more at the end.
        """
        waiting = list(self._readings.values())
        while waiting := [reading for reading in waiting if not self._empty(reading)]:
            self._opened.process(POLL_S)
        channels = {reading.channel.channel_number: reading.channel for reading in self._readings.values()}
        with self._opened.errand("reading what is left in the queues"):
            for channel in channels.values():
                channel.basic_qos(prefetch_count=PREFETCH)
        self._opened.process(0)

    def _empty(self, reading: _Reading) -> bool:
        """Whether a queue says that it has nothing, and it has sent what it had."""
        with self._opened.errand(f"reading what is left in queue {reading.name!r}"):
            if reading.found >= reading.consumers * PREFETCH:
                self._consume(reading)
            declared = reading.channel.queue_declare(reading.name, passive=True).method
        silent_s = time.monotonic() - reading.heard_at
        answered = declared.consumer_count >= reading.consumers
        if answered and not declared.message_count:
            alone = declared.consumer_count == reading.consumers and reading.found >= reading.expected
            return alone or silent_s >= INACTIVITY_S
        if silent_s > self._silence_s:
            says = f"says that {declared.message_count} messages are left" if answered else "does not say what is left"
            raise BrokerError(
                f"queue {reading.name!r} {says} and sent none for {self._silence_s:g} s; see the broker's log"
            )
        return False


def _record(
    log: EventLog, token: str, queue: int, method: Basic.Deliver, properties: BasicProperties, body: bytes
) -> None:
    who = identity.decode(token, properties.message_id)
    flags = Flag.REDELIVERED if method.redelivered else Flag.NONE
    died = death_of(properties.headers)
    if died is not None:
        flags |= Flag.DEAD_LETTERED
    if who is not None and not who.intact(body):
        flags |= Flag.CORRUPT
    if who is not None:
        publisher, seq, attempt = who.publisher, who.seq, who.attempt
    else:
        stranger = identity.foreign(properties.message_id, method.exchange, method.routing_key, body)
        publisher, seq, attempt = FOREIGN, log.define(Table.IDENTITIES, stranger.text), 0
    log.write(
        Kind.FOUND,
        seq=seq,
        arg=delivery_count(properties.headers),
        publisher=publisher,
        attempt=attempt,
        queue=queue,
        flags=flags,
        death=log.define(Table.DEATHS, died.text) if died is not None else 0,
    )
