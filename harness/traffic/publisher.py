"""The publisher program.

It keeps a window of outstanding confirms, tracks every delivery tag, and records each publish before the send.
"""

from __future__ import annotations

import os
import random
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pika
from pika.channel import Channel

from harness.frames.bulk import Confirm
from harness.history.records import Flag, Kind, LogHeader
from harness.traffic import identity
from harness.traffic.connection import Client, serve
from harness.traffic.log import EventLog
from harness.traffic.pace import pace
from harness.traffic.spec import PublisherSpec, Route, read_publisher_spec
from harness.traffic.wire import PublishEncoder

BATCH = 100
"""Most publishes in one turn of the loop, so that confirms are read in between."""
UNCONFIRMED_WINDOW = 2000
"""Without confirms: most publishes between two round trips, so that pika's output buffer stays bounded."""
NACK_PAUSE_S = 0.1
"""How long a nacked message rests before it is published again: a queue that is full refuses at once, again and again."""


class Publisher(Client):
    """One incarnation of a publisher."""

    def __init__(self, spec: PublisherSpec, log: EventLog) -> None:
        """Prepare what is left to publish."""
        super().__init__(spec.target, log, f"{spec.seed}/{spec.actor}/{spec.incarnation}", spec.client)
        self._spec = spec
        self._again: deque[tuple[int, int]] = deque(spec.republish)
        self._resting = 0
        """Nacked messages that are not in `_again` yet."""
        self._next_seq = spec.start
        self._end_seq = spec.messages
        """Where the numbers end; None while nothing bounds them."""
        self._outstanding: dict[int, tuple[int, int]] = {}
        """Delivery tag to (seq, attempt): dense and in order, so the oldest tag is the first key."""
        self._next_tag = 1
        self._released = False
        self._turn_pending = False
        self._turn_waits = False
        """Whether the pending turn is for a new message to be due, which what is to be sent again need not wait for."""
        self._turns = 0
        self._sent_since_sync = 0
        self._syncing = False
        self._pace = pace(spec)
        self._body_source = random.Random(f"{spec.seed}/{spec.number}").randbytes(spec.body_bytes + 1024)  # noqa: S311
        self._texts = tuple(text.encode() for text in spec.texts)
        self._flags = int(
            (Flag.PERSISTENT if spec.persistent else Flag.NONE) | (Flag.MANDATORY if spec.mandatory else Flag.NONE)
        )
        self._properties = pika.BasicProperties(
            content_type="text/plain" if spec.texts else "application/octet-stream",
            delivery_mode=2 if spec.persistent else 1,
        )
        self._send: Callable[[Route, str, bytes], None]

    # Connection.

    def on_ready(self, channel: Channel) -> None:
        """Switch confirms and returns on, then publish."""
        self._next_tag = 1
        self._sent_since_sync = 0
        self._syncing = False
        channel.add_on_return_callback(self._on_return)
        self._send = self._sender(channel)
        if self._spec.confirms:
            channel.confirm_delivery(self._on_settled, callback=lambda _frame: self._ready())
        else:
            self._ready()

        if self.bulk is not None:
            self.bulk.watch_confirms(channel, self._on_confirms)

    def _sender(self, channel: Channel) -> Callable[[Route, str, bytes], None]:
        """Return what publishes a body to a route, under a message_id."""
        spec, properties = self._spec, self._properties
        if self.bulk is None:

            def send(route: Route, message_id: str, body: bytes) -> None:
                properties.message_id = message_id
                channel.basic_publish(route.exchange, route.routing_key, body, properties, mandatory=spec.mandatory)

            return send

        write = self.bulk.write
        frame_max = channel.connection.params.frame_max
        encode = PublishEncoder(channel.channel_number, frame_max, properties, mandatory=spec.mandatory).encode

        def send_encoded(route: Route, message_id: str, body: bytes) -> None:
            write(encode(route.exchange, route.routing_key, message_id, body))

        return send_encoded

    def _ready(self) -> None:
        self.connected(self._spec.window if self._spec.confirms else 0)
        self._schedule()

    def on_unblocked(self) -> None:
        """Go on publishing."""
        self._schedule()

    def on_lost(self) -> None:
        """What was outstanding is indeterminate now: republish it or let it go."""
        lost = list(self._outstanding.values())
        self._outstanding.clear()
        if self._spec.republish_unconfirmed:
            self._again.extendleft(reversed([(seq, attempt + 1) for seq, attempt in lost]))
        if self.stopping:
            self._finish_if_done()

    def on_go(self) -> None:
        """Begin publishing."""
        self._released = True
        self._pace.begin(time.monotonic_ns())
        self._schedule()

    def on_enough(self) -> None:
        """Publish nothing new; what was published is settled first, and published again where it must be."""
        self._end_seq = self._next_seq
        self._go_on()

    def on_stop(self) -> None:
        """Send nothing more; wait for what is outstanding, within a bound."""
        self.call_later(self._spec.settle_timeout_s, self.finish)
        self._finish_if_done()

    # Publishing.

    def _schedule(self, delay_s: float = 0.0) -> None:
        if not self._released or self.stopping or self.channel is None:
            return
        if self._turn_pending and not (self._turn_waits and self._again):
            return
        self._turn_pending, self._turn_waits = True, delay_s > 0
        self._turns += 1
        self.call_later(delay_s, partial(self._turn, self._turns))

    def _turn(self, number: int) -> None:
        if number != self._turns:
            return  # an earlier one was put in its place
        self._turn_pending = False
        channel = self.channel
        if channel is None or not channel.is_open or self.blocked or self.stopping:
            return  # whatever ends this state schedules again
        allowed, wait_s = self._allowance()
        for _ in range(allowed):
            item = self._next()
            if item is None:
                break
            self._publish(*item)
        if not self._sendable():
            self._finish_if_done()
        elif self._spec.confirms:
            if len(self._outstanding) < self._spec.window:
                self._schedule(wait_s)
        elif self._sent_since_sync >= UNCONFIRMED_WINDOW:
            self._sync(channel)
        else:
            self._schedule(wait_s)

    def _allowance(self) -> tuple[int, float]:
        """How many may be published now, and how long to wait for the next turn."""
        if self._spec.confirms:
            allowed = min(BATCH, self._spec.window - len(self._outstanding))
        else:
            allowed = min(BATCH, UNCONFIRMED_WINDOW - self._sent_since_sync)
        if allowed <= 0:
            return allowed, 0.0
        return self._pace.allowance(time.monotonic_ns(), allowed, self._next_seq, len(self._again))

    def _sendable(self) -> bool:
        """Whether there is something to publish now."""
        return bool(self._again) or self._end_seq is None or self._next_seq < self._end_seq

    def _next(self) -> tuple[int, int] | None:
        if self._again:
            return self._again.popleft()
        if self._end_seq is not None and self._next_seq >= self._end_seq:
            return None
        seq = self._next_seq
        self._next_seq += 1
        return seq, 1

    def _publish(self, seq: int, attempt: int) -> None:
        spec = self._spec
        body = self._body(seq)
        route_index = seq % len(spec.routes)
        route = spec.routes[route_index]
        tag = 0
        if spec.confirms:
            tag = self._next_tag
            self._next_tag += 1
            self._outstanding[tag] = (seq, attempt)
        self._sent_since_sync += 1
        self.log.write(
            Kind.PUBLISHED,
            seq=seq,
            tag=tag,
            publisher=spec.number,
            attempt=attempt,
            queue=route_index,
            connection=self.connection_number,
            flags=self._flags,
        )
        self._send(route, identity.encode(spec.token, spec.number, seq, attempt, body), body)

    def _body(self, seq: int) -> bytes:
        if self._texts:
            return self._texts[seq % len(self._texts)]
        start = seq % 1024
        return self._body_source[start : start + self._spec.body_bytes]

    def _sync(self, channel: Channel) -> None:
        """Without confirms: one round trip, answered only once the broker has read all that was sent before it."""
        if not self._syncing:
            self._syncing = True
            channel.basic_qos(prefetch_count=0, callback=self._on_synced)

    def _on_synced(self, _frame: Any) -> None:
        self._syncing = False
        self._sent_since_sync = 0
        self.served()
        self._go_on()

    def _go_on(self) -> None:
        if self._sendable() and not self.stopping:
            self._schedule()
        else:
            self._finish_if_done()

    # Settlement.

    def _on_settled(self, frame: Any) -> None:
        method = frame.method
        self._on_confirms([(method.delivery_tag, method.multiple, isinstance(method, pika.spec.Basic.Nack))])

    def _on_confirms(self, confirms: list[Confirm]) -> None:
        self.served()
        for tag, multiple, nack in confirms:
            self._settle(tag, multiple=multiple, kind=Kind.NACKED if nack else Kind.CONFIRMED)
        self._go_on()

    def _settle(self, tag: int, *, multiple: bool, kind: Kind) -> None:
        if multiple:
            first = next(iter(self._outstanding), tag)
            tags = range(first, (tag or self._next_tag - 1) + 1)
        else:
            tags = range(tag, tag + 1)
        # Within a range some tags may have been settled before, out of order: record each run of new ones.
        at_ns = time.monotonic_ns()
        run_start = 0
        run_length = 0
        refused: list[tuple[int, int]] = []
        for each in tags:
            settled = self._outstanding.pop(each, None)
            if settled is None:
                if run_length:
                    self._record_range(kind, at_ns, run_start, run_length)
                    run_length = 0
                continue
            if kind is Kind.NACKED:
                refused.append(settled)
            if not run_length:
                run_start = each
            run_length += 1
        if run_length:
            self._record_range(kind, at_ns, run_start, run_length)
        if refused and self._spec.republish_unconfirmed:
            self._resting += len(refused)
            self.call_later(NACK_PAUSE_S, lambda: self._publish_again(refused))

    def _publish_again(self, refused: list[tuple[int, int]]) -> None:
        self._resting -= len(refused)
        self._again.extend((seq, attempt + 1) for seq, attempt in refused)
        self._schedule()

    def _record_range(self, kind: Kind, at_ns: int, first: int, count: int) -> None:
        self.log.write(
            kind,
            at_ns=at_ns,
            tag=first,
            arg=count,
            publisher=self._spec.number,
            connection=self.connection_number,
        )

    def _on_return(self, _channel: Channel, method: Any, properties: pika.BasicProperties, _body: bytes) -> None:
        found = identity.decode(self._spec.token, properties.message_id)
        if found is not None:
            self.log.write(
                Kind.RETURNED,
                seq=found.seq,
                attempt=found.attempt,
                publisher=found.publisher,
                arg=method.reply_code,
                connection=self.connection_number,
            )

    def _finish_if_done(self) -> None:
        if self.stopping:
            if not self._outstanding:
                self.finish()
            return
        if self._outstanding or self._resting or self._sendable() or not self._released:
            return
        if self._sent_since_sync and not self._spec.confirms:
            if self.channel is not None and self.channel.is_open:
                self._sync(self.channel)  # what is in the buffer leaves before the process does
            return
        self.log.write(Kind.EXHAUSTED, publisher=self._spec.number, connection=self.connection_number)
        self.finish()


def main(spec_path: str) -> int:
    """Run the publisher that a spec file describes; returns the exit code."""
    spec = read_publisher_spec(Path(spec_path))
    header = LogHeader(
        role="publisher",
        actor=spec.actor,
        number=spec.number,
        incarnation=spec.incarnation,
        pid=os.getpid(),
        names=tuple(route.name for route in spec.routes),
    )
    return serve(lambda: Publisher(spec, EventLog(Path(spec.log), header)))
