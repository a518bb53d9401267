"""The worker program.

Deliveries wait in the client and are worked through one at a time; the work is a timer, so that heartbeats and
further deliveries still flow.
"""

from __future__ import annotations

import os
import random
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pika
from pika.channel import Channel

from harness.frames.bulk import Delivery
from harness.frames.methods import encode_ack
from harness.history.records import FOREIGN, AckMode, Flag, Kind, LogHeader, Table
from harness.traffic import identity
from harness.traffic.connection import Client, serve
from harness.traffic.deaths import death_of, delivery_count
from harness.traffic.failures import Attempted, Failures, Task
from harness.traffic.log import EventLog
from harness.traffic.spec import CRASH_EXIT_CODE, Acks, Failure, WorkerSpec, read_worker_spec
from harness.traffic.wire import destination, exchange_and_key

FLUSH_AFTER_S = 0.05
"""How long a batch of acks may wait for more when there is nothing else to do."""
CONSUME_AGAIN_AFTER_S = 0.2
"""How long after the broker cancelled the consumer to try again; the queue may come back."""

# Plain numbers: combining enum members costs more than the rest of a delivery's record.
_REDELIVERED, _DEAD_LETTERED, _CORRUPT, _DONE = map(
    int, (Flag.REDELIVERED, Flag.DEAD_LETTERED, Flag.CORRUPT, Flag.DONE)
)


_ACK_MODES = {Acks.MANUAL: AckMode.MANUAL, Acks.AUTOMATIC: AckMode.AUTOMATIC, Acks.EARLY: AckMode.EARLY}


class Worker(Client):
    """One incarnation of a worker."""

    def __init__(self, spec: WorkerSpec, log: EventLog) -> None:
        """Prepare."""
        super().__init__(spec.target, log, f"{spec.seed}/{spec.actor}/{spec.incarnation}", spec.client)
        self._spec = spec
        self._queue_index = log.define(Table.NAMES, spec.queue)
        self._waiting: deque[Task] = deque()
        self._failures = Failures(spec, (Attempted(*each) for each in spec.attempted))
        self._busy = False
        self._unacked_first = 0
        self._unacked_count = 0
        """Completed deliveries whose ack is still to be sent: a run of dense tags."""
        self._consumers = 0
        self._work_random = random.Random(f"{spec.seed}/{spec.actor}/{spec.incarnation}/work")  # noqa: S311
        self._at_once = spec.work.kind == "fixed" and spec.work.fixed_s == 0 and not spec.failures
        """Whether a delivery is worked off in the instant it arrives."""
        # The broker sends no more than the prefetch before an ack: a larger batch would never fill.
        self._ack_every = min(spec.ack_every, spec.prefetch or spec.ack_every)

    # Connection.

    def on_ready(self, channel: Channel) -> None:
        """Set the prefetch and consume."""
        channel.add_on_cancel_callback(self._on_cancelled)
        if self._spec.prefetch and self._spec.acks is not Acks.AUTOMATIC:
            channel.basic_qos(prefetch_count=self._spec.prefetch, callback=lambda _frame: self._begin(channel))
        else:
            self._begin(channel)

    def _begin(self, channel: Channel) -> None:
        self.connected()
        if self.stopping:
            self.finish()
        else:
            self._consume(channel)

    def _consume(self, channel: Channel) -> None:
        self._consumers += 1  # the broker takes no tag of a consumer that it cancelled while deliveries were held
        tag = channel.basic_consume(
            self._spec.queue,
            self._on_delivery,
            auto_ack=self._spec.acks is Acks.AUTOMATIC,
            consumer_tag=f"{self._spec.actor}.{self._spec.incarnation}.{self.connection_number}.{self._consumers}",
            callback=self._on_consuming,
        )
        if self.bulk is not None:
            self.bulk.watch_deliveries(channel, tag, self._on_deliveries)

    def _on_consuming(self, _frame: Any) -> None:
        self.served()
        automatic = self._spec.acks is Acks.AUTOMATIC
        self.log.write(
            Kind.CONSUMING,
            queue=self._queue_index,
            connection=self.connection_number,
            attempt=_ACK_MODES[self._spec.acks],
            arg=0 if automatic else self._spec.prefetch,
        )
        if self.stopping:  # asked to stop while the answer was under way
            self.on_stop()

    def _on_cancelled(self, _frame: Any) -> None:
        self.log.write(Kind.CANCELLED, queue=self._queue_index, connection=self.connection_number)
        channel = self.channel
        if channel is not None:
            self.call_later(CONSUME_AGAIN_AFTER_S, lambda: self._consume_again(channel))

    def _consume_again(self, channel: Channel) -> None:
        """Consume on the same channel, once what is held is settled: a queue that is not there closes the channel."""
        if self.stopping or not channel.is_open or channel.consumer_tags:
            return  # the broker may cancel a consumer twice, as 4.3 does when its timeout is over
        if self._busy or self._waiting:
            self.call_later(CONSUME_AGAIN_AFTER_S, lambda: self._consume_again(channel))
            return
        self._flush()
        self._consume(channel)

    def on_lost(self) -> None:
        """Deliveries of the lost connection come back by themselves, unless the broker took them as acknowledged."""
        self._unacked_count = 0
        if self._spec.acks is Acks.MANUAL:
            self._waiting.clear()
        if self.stopping:
            self._finish_if_done()

    def on_stop(self) -> None:
        """Take nothing more, finish what is held, settle it, close.

        What the broker sends between the cancel and its answer, pika gives back by a reject; for automatic acks it
        drops it, and the broker has it as acknowledged: such a worker cannot be stopped without a loss.
        """
        channel = self.channel
        if channel is None or not channel.is_open:
            self._finish_if_done()
            return
        if not channel.consumer_tags:
            self._finish_if_done()
            return
        if self.bulk is not None:
            self.bulk.watch_nothing()
        for tag in channel.consumer_tags:
            channel.basic_cancel(tag, callback=lambda _frame: self._finish_if_done())

    # Deliveries.

    def _on_delivery(self, _channel: Channel, method: Any, properties: pika.BasicProperties, body: bytes) -> None:
        sent_to = destination(method.exchange, method.routing_key)
        tag, who = method.delivery_tag, properties.message_id
        self._on_deliveries([(tag, method.redelivered, who, properties.headers, body, sent_to)])

    def _on_deliveries(self, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            self._take(*delivery)
        if self._at_once and self._spec.acks is Acks.MANUAL:
            self._settle(deliveries[0][0], len(deliveries))
        elif not self._at_once:
            self._next()

    def _take(
        self,
        tag: int,
        redelivered: bool,
        message_id: str | bytes | None,
        headers: Mapping[str, Any] | None,
        body: bytes,
        sent_to: bytes,
    ) -> None:
        flags = _REDELIVERED if redelivered else 0
        death = count = 0
        died = None
        if headers:
            count = delivery_count(headers)
            died = death_of(headers)
            if died is not None:
                flags |= _DEAD_LETTERED
                death = self.log.define(Table.DEATHS, died.text)
        found = identity.decode(self._spec.token, message_id)
        if found is not None:
            publisher, seq, attempt = found.publisher, found.seq, found.attempt
            if not found.intact(body):
                flags |= _CORRUPT
        else:
            stranger = identity.foreign(message_id, *exchange_and_key(sent_to), body)
            publisher, seq, attempt = FOREIGN, self.log.define(Table.IDENTITIES, stranger.text), 0
        if self._at_once:
            flags |= _DONE
        self.log.write(
            Kind.DELIVERED,
            seq=seq,
            tag=tag,
            arg=count,
            publisher=publisher,
            attempt=attempt,
            queue=self._queue_index,
            connection=self.connection_number,
            flags=flags,
            death=death,
        )
        if self._spec.acks is Acks.EARLY:
            self._ack(tag, 1)
        if not self._at_once:
            number = self.connection_number
            self._waiting.append(Task(publisher, seq, attempt, tag, number, body, redelivered, died, count))

    def _next(self) -> None:
        if self._busy:
            return
        if not self._waiting:
            self._flush()
            if self.stopping:
                self._finish_if_done()
            return
        delivery = self._waiting.popleft()
        self._busy = True
        self.call_later(self._work_s(delivery), lambda: self._work_done(delivery))

    def _work_s(self, delivery: Task) -> float:
        work = self._spec.work
        match work.kind:
            case "dots":
                return work.per_dot_s * delivery.body.count(b".")
            case "random":
                return self._work_random.uniform(work.low_s, work.high_s)
            case _:
                return work.fixed_s

    def _work_done(self, delivery: Task) -> None:
        self._busy = False
        failure = self._failures.of(delivery)
        if failure is not None:
            self._fail_delivery(delivery, failure)
        else:
            self.log.write(
                Kind.COMPLETED,
                seq=delivery.seq,
                tag=delivery.tag,
                publisher=delivery.publisher,
                attempt=delivery.attempt,
                queue=self._queue_index,
                connection=delivery.connection,
            )
            if self._settles(delivery):
                self._settle(delivery.tag, 1)
        self._next()

    def _fail_delivery(self, delivery: Task, failure: Failure) -> None:
        def record(kind: Kind, flags: Flag = Flag.NONE) -> None:
            self.log.write(
                kind,
                seq=delivery.seq,
                tag=delivery.tag,
                publisher=delivery.publisher,
                attempt=delivery.attempt,
                queue=self._queue_index,
                connection=delivery.connection,
                flags=flags,
            )

        if failure.how != "reject":
            self._failures.give_back(delivery)
        if failure.how == "crash":
            record(Kind.CRASHING)
            os._exit(CRASH_EXIT_CODE)
        if self._spec.acks is not Acks.MANUAL:
            record(Kind.FAILED)
            return
        if not self._settles(delivery):
            return
        self._flush()
        requeue = failure.how == "requeue"
        record(Kind.REJECTED, Flag.REQUEUE if requeue else Flag.NONE)
        assert self.channel is not None  # noqa: S101 - _settles has looked
        self.channel.basic_reject(delivery.tag, requeue=requeue)

    # Acknowledgements.

    def _settles(self, delivery: Task) -> bool:
        """Whether the delivery can still be settled: manual acks, and the channel it came on is open."""
        return (
            self._spec.acks is Acks.MANUAL
            and delivery.connection == self.connection_number
            and self.channel is not None
            and self.channel.is_open
        )

    def _settle(self, first: int, count: int) -> None:
        """Acknowledge, or add to the batch: deliveries are settled in the order of their tags."""
        waited = self._unacked_count > 0
        if not waited:
            self._unacked_first = first
        self._unacked_count = first + count - self._unacked_first
        full = self._unacked_count - self._unacked_count % self._ack_every
        if full and self.channel is not None and self.channel.is_open:
            self._ack(self._unacked_first, full)
        self._unacked_first += full
        self._unacked_count -= full
        if self._unacked_count and (full or not waited):
            connection = self.connection_number
            self.call_later(FLUSH_AFTER_S, lambda: self._flush_if_idle(connection))

    def _flush_if_idle(self, connection: int) -> None:
        if connection == self.connection_number and not self._busy and not self._waiting:
            self._flush()

    def _flush(self) -> None:
        if self._unacked_count:
            first, count = self._unacked_first, self._unacked_count
            self._unacked_count = 0
            if self.channel is not None and self.channel.is_open:
                self._ack(first, count)

    def _ack(self, first: int, count: int) -> None:
        """Acknowledge deliveries, each by itself or in batches as the scenario says; one record holds them all."""
        assert self.channel is not None  # noqa: S101 - callers have looked
        self.log.write(Kind.ACKED, tag=first, arg=count, queue=self._queue_index, connection=self.connection_number)
        end, each = first + count, self._ack_every
        for start in range(first, end, each):
            last = min(start + each, end) - 1
            if self.bulk is None:
                self.channel.basic_ack(last, multiple=last > start)
            else:
                self.bulk.write(encode_ack(self.channel.channel_number, last, multiple=last > start))

    def _finish_if_done(self) -> None:
        if self.stopping and not self._busy and not self._waiting:
            self._flush()
            self.finish()


def main(spec_path: str) -> int:
    """Run the worker that a spec file describes; returns the exit code."""
    spec = read_worker_spec(Path(spec_path))
    header = LogHeader(
        role="worker",
        actor=spec.actor,
        number=spec.number,
        incarnation=spec.incarnation,
        pid=os.getpid(),
        names=spec.queue_names,
    )
    return serve(lambda: Worker(spec, EventLog(Path(spec.log), header)))
