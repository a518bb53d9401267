"""The tutorial by hand: one message published, and a worker in a console."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker, NackError, UnroutableError

from harness.errors import BrokerError
from harness.plain import plain
from harness.traffic import errands
from harness.traffic.spec import Target

ANSWER_TIMEOUT_S = 30.0
"""How long the broker may take, with somebody in front of it."""
FOREVER_S = 1e9
"""A worker waits for messages until it is interrupted, or the broker is gone."""


def publish_text(
    target: Target, text: str, *, queue: str, durable: bool, persistent: bool, quorum: bool = False
) -> None:
    """Declare the queue and publish one confirmed message to it. Raises BrokerError."""
    with errands.channel(target, f"publishing to queue {queue!r}", within_s=ANSWER_TIMEOUT_S) as channel:
        _declare(channel, queue, durable=durable, quorum=quorum)
        channel.confirm_delivery()
        try:
            channel.basic_publish(
                "",
                queue,
                text.encode(),
                pika.BasicProperties(content_type="text/plain", delivery_mode=2 if persistent else 1),
                mandatory=True,
            )
        except (NackError, UnroutableError) as error:
            raise BrokerError(f"the broker did not take the message: {error!r}") from error


def work(
    target: Target,
    *,
    queue: str,
    durable: bool,
    quorum: bool,
    automatic_acks: bool,
    prefetch: int,
    per_dot_s: float,
    say: Callable[[str], None],
) -> None:
    """Consume until interrupted: a message takes so long for each of its dots. Raises BrokerError, KeyboardInterrupt."""
    doing = f"working on queue {queue!r}"
    with errands.errands(target, doing) as opened:
        with opened.errand(doing, within_s=ANSWER_TIMEOUT_S) as channel:
            _declare(channel, queue, durable=durable, quorum=quorum)
            if prefetch:
                channel.basic_qos(prefetch_count=prefetch)

        def on_message(channel: BlockingChannel, method: Any, _properties: object, body: bytes) -> None:
            again = " (redelivered)" if method.redelivered else ""
            say(f" [x] Received {body.decode(errors='replace')}{again}")
            # process_data_events keeps heartbeats flowing, where a sleep would lose the connection.
            end = time.monotonic() + per_dot_s * body.count(b".")
            while (left := end - time.monotonic()) > 0:
                channel.connection.sleep(left)
            if not automatic_acks:
                channel.basic_ack(method.delivery_tag)
            # Said last: whoever reads it and stops the worker has seen the acknowledgement go.
            say(" [x] Done")

        with opened.errand(doing, within_s=ANSWER_TIMEOUT_S) as channel:
            channel.basic_consume(queue, on_message, auto_ack=automatic_acks)
        say(" [*] Waiting for messages. To exit press CTRL+C")
        with opened.errand(doing, within_s=FOREVER_S) as channel:
            channel.start_consuming()


def _declare(channel: BlockingChannel, queue: str, *, durable: bool, quorum: bool) -> None:
    try:
        channel.queue_declare(queue, durable=durable, arguments={"x-queue-type": "quorum"} if quorum else None)
    except ChannelClosedByBroker as error:
        if error.reply_code != 406:
            raise
        raise BrokerError(
            f"queue {queue!r} exists with other properties: 406 {plain(error.reply_text)};"
            " ask for it as it is, take another name, or delete it first"
        ) from error
