"""After the drain: reads what is left in the queues, so that stranded and dead-lettered messages are known one by one."""

from __future__ import annotations

import time
from collections.abc import Sequence

from pika.exceptions import ChannelClosedByBroker
from pika.spec import Basic, BasicProperties

from harness.errors import BrokerError
from harness.history.records import FOREIGN, Flag, Kind, Table
from harness.traffic import identity, topology
from harness.traffic.deaths import death_of, delivery_count
from harness.traffic.log import EventLog
from harness.traffic.spec import Target

ASK_AFTER_S = 0.1
"""How long a queue may stay silent before it is asked what it still holds."""
INACTIVITY_S = 1.0
"""How long a queue that says it is empty may stay silent before it is believed, if somebody else consumes from it."""

PREFETCH = 65_535
"""How many messages one consumer takes before another one is added: the most that AMQP can ask for. Without a number, a quorum queue sends
2000 and then waits for acks (rabbit_fifo_client, UNLIMITED_PREFETCH_COUNT)."""


def collect(
    target: Target, queues: Sequence[str], log: EventLog, token: str, *, silence_timeout_s: float = 60.0
) -> dict[str, int | None]:
    """Record every message that is left in each queue as FOUND; returns how many, None for a queue that is not there.

    Messages are taken without an ack and given back at the end. A queue that says it holds none, and that nobody else consumes from, is
    believed: it gives back what a consumer held in the moment it forgets that consumer. An answer that does not know the consumers of this
    very channel is none: a quorum queue whose leader is busy is told as empty, and without consumers (see topology.ready_messages). Raises
    BrokerError, also for a queue that says it holds messages and sends none for `silence_timeout_s`.
    """
    return {
        queue: _collect(target, queue, log.define(Table.NAMES, queue), log, token, silence_timeout_s)
        for queue in queues
    }


def _collect(target: Target, queue: str, index: int, log: EventLog, token: str, silence_s: float) -> int | None:
    with topology.channel(target, f"reading what is left in queue {queue!r}") as channel:
        try:
            channel.queue_declare(queue, passive=True)
        except ChannelClosedByBroker as error:
            if error.reply_code != topology.NOT_FOUND:
                raise
            return None
        channel.basic_qos(prefetch_count=PREFETCH)
        found, consumers = 0, 0
        heard = time.monotonic()

        def take(_: object, method: Basic.Deliver, properties: BasicProperties, body: bytes) -> None:
            nonlocal found, heard
            found += 1
            heard = time.monotonic()
            _record(log, token, index, method, properties, body)

        while True:
            if found >= consumers * PREFETCH:
                channel.basic_consume(queue, take)
                consumers += 1
            before = found
            channel.connection.process_data_events(time_limit=ASK_AFTER_S)
            if found > before:
                continue
            told = channel.queue_declare(queue, passive=True).method
            channel.connection.process_data_events(time_limit=0)
            if found > before:  # what the queue sent before it answered
                continue
            silent_s = time.monotonic() - heard
            answered = told.consumer_count >= consumers
            if answered and told.message_count == 0 and (told.consumer_count == consumers or silent_s >= INACTIVITY_S):
                return found
            if silent_s > silence_s and (told.message_count or not answered):
                says = f"says that {told.message_count} messages are left" if answered else "does not say what is left"
                raise BrokerError(f"queue {queue!r} {says} and sent none for {silence_s:g} s; see the broker's log")


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
