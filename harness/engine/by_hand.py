"""Messages published by hand from a step: with an identity, a confirm and a log like any publisher's."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pika
from pika.exceptions import NackError

from harness.errors import BrokerError
from harness.history.records import Flag, Kind, LogHeader
from harness.scenario.routing import queue_route
from harness.traffic import identity
from harness.traffic.client_errors import ClientError
from harness.traffic.connection import record_end
from harness.traffic.errands import errands
from harness.traffic.log import EventLog
from harness.traffic.spec import Target

ACTOR = "hand"


class ManualPublisher:
    """A publisher inside the engine, for single messages."""

    def __init__(self, logs: Path, target: Target, *, token: str, number: int, queues: tuple[str, ...]) -> None:
        """Prepare; the log is made at the first publish. `number` is the publisher's in message identities."""
        self._logs = logs
        self._target = target
        self._token = token
        self._number = number
        self._queues = queues
        self._log: EventLog | None = None
        self._seq = 0
        self._connection = 0
        self._lock = threading.Lock()
        self.published = 0
        """Messages sent so far."""
        self.confirmed = 0
        """Messages that the broker has confirmed."""

    def publish(self, queue: str, text: str, count: int) -> None:
        """Publish and wait for each confirm. Raises BrokerError."""
        with self._lock:
            log = self._log = self._log or self._open()
            doing = f"publishing by hand to {queue!r}"
            with errands(self._target, doing) as opened:
                with opened.errand(doing) as channel:
                    channel.confirm_delivery()
                self._connection += 1
                log.write(Kind.CONNECTED, connection=self._connection, arg=1)
                for tag in range(1, count + 1):
                    try:
                        with opened.errand(doing) as channel:
                            self._publish_one(channel, log, queue, text.encode(), tag)
                    except BrokerError as error:
                        cause = error.__cause__
                        reason = cause.reason if isinstance(cause, ClientError) else error
                        record_end(log, Kind.CONNECTION_LOST, reason, self._connection)
                        raise

    def _open(self) -> EventLog:
        header = LogHeader("publisher", ACTOR, self._number, 1, os.getpid(), tuple(map(queue_route, self._queues)))
        return EventLog(self._logs / f"{ACTOR}.1.log", header)

    def _publish_one(
        self,
        channel: pika.adapters.blocking_connection.BlockingChannel,
        log: EventLog,
        queue: str,
        body: bytes,
        tag: int,
    ) -> None:
        seq = self._seq
        self._seq += 1
        log.write(
            Kind.PUBLISHED,
            seq=seq,
            tag=tag,
            publisher=self._number,
            attempt=1,
            queue=self._queues.index(queue),
            connection=self._connection,
            flags=Flag.PERSISTENT,
        )
        self.published += 1
        properties = pika.BasicProperties(
            content_type="text/plain",
            delivery_mode=2,
            message_id=identity.encode(self._token, self._number, seq, 1, body),
        )
        kind = Kind.CONFIRMED
        try:
            channel.basic_publish("", queue, body, properties)
        except NackError:
            kind = Kind.NACKED
        self.confirmed += kind is Kind.CONFIRMED
        log.write(kind, tag=tag, arg=1, publisher=self._number, connection=self._connection)

    def close(self) -> None:
        """Close the log, if there is one."""
        if self._log is not None:
            self._log.close()
