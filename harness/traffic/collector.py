"""After the drain: reads what is left in the queues, so that stranded and dead-lettered messages are known one by one."""

from __future__ import annotations

from collections.abc import Sequence

from pika.exceptions import ChannelClosedByBroker

from harness.history.records import FOREIGN, Flag, Kind
from harness.traffic import identity, topology
from harness.traffic.log import EventLog
from harness.traffic.spec import Target

INACTIVITY_S = 1.0
"""How long a queue that says it is empty may stay silent before it is believed."""


def collect(target: Target, queues: Sequence[str], log: EventLog, token: str) -> dict[str, int | None]:
    """Record every message that is left in each queue as FOUND; returns how many, None for a queue that is not there.

    Messages are taken without an ack and given back at the end. Raises BrokerError.
    """
    found: dict[str, int | None] = {}
    for index, queue in enumerate(queues):
        with topology.channel(target, f"reading what is left in queue {queue!r}") as channel:
            try:
                left = channel.queue_declare(queue, passive=True).method.message_count
            except ChannelClosedByBroker as error:
                if error.reply_code != 404:
                    raise
                found[queue] = None
                continue
            count = 0
            for method, properties, body in channel.consume(queue, inactivity_timeout=INACTIVITY_S):
                if method is None or properties is None:
                    if count >= left:
                        break
                    left = count + channel.queue_declare(queue, passive=True).method.message_count
                    continue
                count += 1
                _record(log, token, index, method.redelivered, properties, body or b"")
            channel.cancel()
            found[queue] = count
    return found


def _record(log: EventLog, token: str, queue: int, redelivered: bool, properties: object, body: bytes) -> None:
    who = identity.decode(token, getattr(properties, "message_id", None))
    flags = Flag.REDELIVERED if redelivered else Flag.NONE
    if "x-death" in (getattr(properties, "headers", None) or {}):
        flags |= Flag.DEAD_LETTERED
    if who is not None and not who.intact(body):
        flags |= Flag.CORRUPT
    log.write(
        Kind.FOUND,
        seq=who.seq if who else 0,
        publisher=who.publisher if who else FOREIGN,
        attempt=who.attempt if who else 0,
        queue=queue,
        flags=flags,
    )
