"""Declaring, purging, publishing by hand, and asking the broker: short errands over one blocking connection each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError, ChannelClosedByBroker, ConnectionBlockedTimeout, NackError, UnroutableError

from harness.errors import BrokerError
from harness.traffic.connection import parameters, reply_code
from harness.traffic.spec import Target

BLOCKED_TIMEOUT_S = 15
"""How long the broker may refuse publishes (connection.blocked) before an errand gives up."""


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


@dataclass(frozen=True, slots=True)
class Counts:
    """What a queue answers to a passive declare."""

    ready: int
    consumers: int


NOT_FOUND = 404
RESOURCE_LOCKED = 405


@contextmanager
def channel(target: Target, doing: str) -> Iterator[BlockingChannel]:
    """Open a connection and a channel for one errand; what goes wrong is a BrokerError that names the errand."""
    choices = [parameters(target, turn) for turn in range(len(target.addresses))]
    for each in choices:
        each.blocked_connection_timeout = BLOCKED_TIMEOUT_S
    try:
        connection = pika.BlockingConnection(choices)
    except (AMQPError, OSError) as error:
        addresses = ", ".join(f"{host}:{port}" for host, port in target.addresses)
        raise BrokerError(f"{doing} failed: no connection to {addresses} ({_describe(error)})") from error
    try:
        yield connection.channel()
    except ConnectionBlockedTimeout as error:
        raise BrokerError(
            f"{doing} failed: the broker has taken no publishes for {BLOCKED_TIMEOUT_S} s (connection.blocked), being short of "
            "disk or memory; make room, or see its log"
        ) from error
    except (AMQPError, OSError) as error:
        raise BrokerError(f"{doing} failed: {_describe(error)}") from error
    finally:
        # The errand has succeeded, or has failed with an error of its own: a close that fails changes neither.
        with suppress(AMQPError, OSError):
            connection.close()


def _describe(error: BaseException) -> str:
    code, text = reply_code(error), getattr(error, "reply_text", "") or str(error) or type(error).__name__
    return f"{code} {text}" if code else text


def declare(
    target: Target,
    exchanges: Sequence[ExchangeDeclaration],
    queues: Sequence[QueueDeclaration],
    bindings: Sequence[BindingDeclaration],
) -> None:
    """Declare everything, exchanges first. Raises BrokerError, e.g. when a queue exists with other properties (406)."""
    for exchange in exchanges:
        with channel(target, f"declaring exchange {exchange.name!r}") as open_channel:
            open_channel.exchange_declare(
                exchange.name, exchange.type, durable=exchange.durable, arguments=exchange.arguments
            )
    for queue in queues:
        with channel(target, f"declaring queue {queue.name!r}") as open_channel:
            open_channel.queue_declare(queue.name, durable=queue.durable, arguments=queue.arguments)
    for binding in bindings:
        with channel(target, f"binding queue {binding.queue!r} to {binding.exchange!r}") as open_channel:
            open_channel.queue_bind(
                binding.queue, binding.exchange, routing_key=binding.routing_key, arguments=binding.arguments
            )


def absent_exchanges(target: Target, exchanges: Sequence[str]) -> tuple[str, ...]:
    """Ask which of some exchanges are not there (passive declare)."""
    absent: list[str] = []
    for exchange in exchanges:
        with channel(target, f"asking for exchange {exchange!r}") as open_channel:
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


def ready_messages(target: Target, queues: Sequence[str]) -> Mapping[str, int | None]:
    """Ask the queues themselves how many messages are ready; None for a queue that is not there. Raises BrokerError."""
    return {queue: None if count is None else count.ready for queue, count in counts(target, queues).items()}


def counts(target: Target, queues: Sequence[str]) -> Mapping[str, Counts | None]:
    """Ask the queues themselves (passive declare); None for a queue that is not there. Raises BrokerError.

    A quorum queue whose leader does not answer the broker within 250 ms is reported as empty, with no consumers (rabbit_quorum_queue:stat).
    A queue that is reported so is asked for a message: that answer is the leader's own.
    """
    found: dict[str, Counts | None] = {}
    for queue in queues:
        with channel(target, f"asking for the depth of queue {queue!r}") as open_channel:
            try:
                told = open_channel.queue_declare(queue, passive=True).method
                nobody = not told.message_count and not told.consumer_count
                ready = _seen(open_channel, queue) if nobody else told.message_count
                found[queue] = Counts(ready, told.consumer_count)
            except ChannelClosedByBroker as error:
                if error.reply_code != NOT_FOUND:
                    raise
                found[queue] = None
    return found


def _seen(open_channel: BlockingChannel, queue: str) -> int:
    """Return how many messages are ready by asking for one, which is given back at once."""
    try:
        method, _, _ = open_channel.basic_get(queue)
    except ChannelClosedByBroker as error:
        if (
            error.reply_code != RESOURCE_LOCKED
        ):  # a queue with a single active consumer gives none, and nothing else is known of it
            raise
        return 0
    if method is None:
        return 0
    open_channel.basic_nack(method.delivery_tag, requeue=True)
    return int(method.message_count) + 1


def round_trip(target: Target) -> None:
    """Prove that the broker serves: a confirmed publish and a consume of it, on a queue of this connection only."""
    with channel(target, "the readiness check (a confirmed publish and a consume of it)") as open_channel:
        queue = open_channel.queue_declare("", exclusive=True).method.queue
        open_channel.confirm_delivery()
        try:
            open_channel.basic_publish("", queue, b"ready?", mandatory=True)
        except (NackError, UnroutableError) as error:
            raise BrokerError(f"the broker did not take a message in the readiness check: {error!r}") from error
        _, _, body = open_channel.basic_get(queue, auto_ack=True)
        if body != b"ready?":
            raise BrokerError("the broker confirmed a message in the readiness check and did not give it back")
