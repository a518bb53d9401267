"""Declaring, deleting, purging, and asking the broker: short errands, those of one kind over one connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker, NackError, UnroutableError

from harness.errors import BrokerError
from harness.traffic.errands import Errands, channel, connect, errands
from harness.traffic.spec import Target

NOT_FOUND = 404
RESOURCE_LOCKED = 405
READY_TIMEOUT_S = 30.0
"""How long the readiness check may take, on a machine that boots other brokers beside this one."""


@dataclass(frozen=True, slots=True)
class QueueDeclaration:
    """A queue as queue.declare takes it."""

    name: str
    durable: bool = True
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExchangeDeclaration:
    """An exchange as exchange.declare takes it."""

    name: str
    type: str = "direct"
    durable: bool = True
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BindingDeclaration:
    """A binding as queue.bind takes it."""

    exchange: str
    queue: str
    routing_key: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)


def declare(
    target: Target,
    exchanges: Sequence[ExchangeDeclaration],
    queues: Sequence[QueueDeclaration],
    bindings: Sequence[BindingDeclaration],
) -> None:
    """Declare everything, exchanges first. Raises BrokerError, e.g. when a queue exists with other properties (406)."""
    with errands(target, "declaring the topology") as opened:
        for exchange in exchanges:
            with opened.errand(f"declaring exchange {exchange.name!r}") as open_channel:
                open_channel.exchange_declare(
                    exchange.name, exchange.type, durable=exchange.durable, arguments=exchange.arguments
                )
        for queue in queues:
            with opened.errand(f"declaring queue {queue.name!r}") as open_channel:
                open_channel.queue_declare(queue.name, durable=queue.durable, arguments=queue.arguments)
        for binding in bindings:
            with opened.errand(f"binding queue {binding.queue!r} to {binding.exchange!r}") as open_channel:
                open_channel.queue_bind(
                    binding.queue, binding.exchange, routing_key=binding.routing_key, arguments=binding.arguments
                )


def absent_exchanges(target: Target, exchanges: Sequence[str]) -> tuple[str, ...]:
    """Return which of some exchanges are not there (passive declare)."""
    absent: list[str] = []
    with errands(target, "asking for exchanges") as opened:
        for exchange in exchanges:
            with opened.errand(f"asking for exchange {exchange!r}") as open_channel:
                try:
                    open_channel.exchange_declare(exchange, passive=True)
                except ChannelClosedByBroker as error:
                    if error.reply_code != NOT_FOUND:
                        raise
                    absent.append(exchange)
    return tuple(absent)


def delete(target: Target, queues: Sequence[str], exchanges: Sequence[str]) -> None:
    """Delete queues and exchanges, whatever they hold; no error for what is not there."""
    with channel(target, "deleting the scenario's queues") as open_channel:
        for queue in queues:
            open_channel.queue_delete(queue)
        for exchange in exchanges:
            open_channel.exchange_delete(exchange)


def redeclare(target: Target, queue: QueueDeclaration) -> tuple[int, str] | None:
    """Declare a queue that exists; returns the error (code, text) that the broker closed the channel with, or None."""
    with channel(target, f"declaring queue {queue.name!r} again") as open_channel:
        try:
            open_channel.queue_declare(queue.name, durable=queue.durable, arguments=queue.arguments)
        except ChannelClosedByBroker as error:
            return error.reply_code, error.reply_text
    return None


def purge(target: Target, queue: str) -> int:
    """Purge a queue; returns how many ready messages it held."""
    with channel(target, f"purging queue {queue!r}") as open_channel:
        return int(open_channel.queue_purge(queue).method.message_count)


@dataclass(frozen=True, slots=True)
class Counts:
    """What a queue answers to a passive declare."""

    ready: int
    consumers: int


class QueueCounts:
    """Asks queues themselves what they hold, over a connection that is kept, and made anew when it is lost."""

    def __init__(self, target: Target) -> None:
        """Prepare; the first question connects."""
        self._target = target
        self._errands: Errands | None = None

    def ask(self, queues: Sequence[str]) -> Mapping[str, Counts | None]:
        """Ask each queue, one after the other; None for one that is not there. Raises BrokerError.

        A quorum queue whose leader does not answer the broker within 250 ms is reported as empty, with no consumers
        (rabbit_quorum_queue:stat). A queue that is reported so is asked for a message: that answer is the leader's own.
        """
        opened = self._errands = self._errands or connect(self._target, "asking for the depth of queues")
        try:
            return {queue: _ask(opened, queue) for queue in queues}
        except BrokerError:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the connection."""
        opened, self._errands = self._errands, None
        if opened is not None:
            opened.close()


def counts(target: Target, queues: Sequence[str]) -> Mapping[str, Counts | None]:
    """Ask queues what they hold, once; None for one that is not there. Raises BrokerError."""
    asker = QueueCounts(target)
    try:
        return asker.ask(queues)
    finally:
        asker.close()


def ready_messages(target: Target, queues: Sequence[str]) -> Mapping[str, int | None]:
    """Ask queues how many messages are ready; None for one that is not there. Raises BrokerError."""
    return {queue: None if count is None else count.ready for queue, count in counts(target, queues).items()}


def _ask(opened: Errands, queue: str) -> Counts | None:
    with opened.errand(f"asking for the depth of queue {queue!r}") as open_channel:
        try:
            declared = open_channel.queue_declare(queue, passive=True).method
            nothing = not declared.message_count and not declared.consumer_count
            ready = _ready_by_taking(open_channel, queue) if nothing else declared.message_count
            return Counts(ready, declared.consumer_count)
        except ChannelClosedByBroker as error:
            if error.reply_code != NOT_FOUND:
                raise
            return None


def _ready_by_taking(open_channel: BlockingChannel, queue: str) -> int:
    """Return how many messages are ready by taking one, which is given back at once."""
    try:
        method, _, _ = open_channel.basic_get(queue)
    except ChannelClosedByBroker as error:
        # A queue with a single active consumer gives none, and nothing else is known of it.
        if error.reply_code != RESOURCE_LOCKED:
            raise
        return 0
    if method is None:
        return 0
    open_channel.basic_nack(method.delivery_tag, requeue=True)
    return int(method.message_count) + 1


def round_trip(target: Target) -> None:
    """Prove that the broker serves: a confirmed publish and a consume of it, on a queue of this connection only."""
    doing = "the readiness check (a confirmed publish and a consume of it)"
    with channel(target, doing, within_s=READY_TIMEOUT_S) as open_channel:
        queue = open_channel.queue_declare("", exclusive=True).method.queue
        open_channel.confirm_delivery()
        try:
            open_channel.basic_publish("", queue, b"ready?", mandatory=True)
        except (NackError, UnroutableError) as error:
            raise BrokerError(f"the broker did not take a message in the readiness check: {error!r}") from error
        _, _, body = open_channel.basic_get(queue, auto_ack=True)
        if body != b"ready?":
            raise BrokerError("the broker confirmed a message in the readiness check and did not give it back")
