"""Short errands to the broker, one after the other over one blocking connection.

Whatever the AMQP client raises becomes a BrokerError that names the errand, and every wait has a bound: the handshake by the client's own
timeout, an answer by a timer in the client's loop, and by heartbeats before that, and the close of the connection by a thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.adapters.select_connection import IOLoop
from pika.exceptions import ConnectionBlockedTimeout

from harness.errors import BrokerError
from harness.traffic.client_errors import ClientError, client_errors
from harness.traffic.closing import close
from harness.traffic.connection import parameters
from harness.traffic.login import log_in
from harness.traffic.spec import Target
from harness.traffic.unreachable import Unreachable

BLOCKED_TIMEOUT_S = 15
"""How long the broker may refuse publishes (connection.blocked) before an errand gives up."""
HEARTBEAT_S = 15
"""A broker that was silent for this long, and 5 s more, does not answer any more."""


ANSWER_TIMEOUT_S = 120.0
"""How long an errand may take: the purge of a long queue has taken a minute. A broker that only sends heartbeats answers no sooner."""


class Errands:
    """An open connection; errands share a channel until the broker closes it."""

    def __init__(self, connection: pika.BlockingConnection, loop: IOLoop) -> None:
        """Take over a connection, and the client's loop that serves it."""
        self._connection = connection
        self._loop = loop
        self._channel: BlockingChannel | None = None

    @contextmanager
    def errand(self, doing: str, *, within_s: float | None = None) -> Iterator[BlockingChannel]:
        """Give an open channel. Raises BrokerError, `doing failed: …`, for whatever the client raises inside, and after `within_s`."""
        with self.bounded(doing, within_s):
            if self._channel is None or not self._channel.is_open:
                self._channel = self._connection.channel()
            yield self._channel

    @contextmanager
    def bounded(self, doing: str, within_s: float | None = None) -> Iterator[None]:
        """Bound what is done with the connection. Raises BrokerError as `errand` does."""
        bound_s = ANSWER_TIMEOUT_S if within_s is None else within_s

        def give_up() -> None:
            # Passed on through the client's loop to whoever waits for an answer in it.
            raise BrokerError(f"{doing} failed: the broker did not answer within {bound_s:g} s; is it frozen or busy?")

        timer = self._loop.call_later(bound_s, give_up)
        try:
            with _named(doing):
                yield
        finally:
            self._loop.remove_timeout(timer)

    def new_channel(self) -> BlockingChannel:
        """Open a channel beside that of the errands, inside one of them."""
        return self._connection.channel()

    def process(self, seconds: float) -> None:
        """Take what arrives, for so many seconds or until something has. Raises BrokerError."""
        with self.bounded("listening to the broker", ANSWER_TIMEOUT_S + seconds):
            self._connection.process_data_events(time_limit=seconds)

    def close(self) -> None:
        """Close the connection. A close that fails changes nothing: its errands have succeeded, or failed with an error of their own."""
        close(self._connection)


def connect(target: Target, doing: str) -> Errands:
    """Connect to the first node that answers. Raises BrokerError, which names the first errand and says what was in the way."""
    loops: list[IOLoop] = []

    def heartbeat(connection: pika.SelectConnection, _proposed: int) -> int:
        """Choose the interval. Whoever does is handed the client's connection, and with it its loop."""
        loops.append(connection.ioloop)
        return HEARTBEAT_S

    choices = [parameters(target, turn) for turn in range(len(target.addresses))]
    for each in choices:
        each.blocked_connection_timeout = BLOCKED_TIMEOUT_S
        each.heartbeat = heartbeat
    try:
        return Errands(log_in(choices), loops[-1])
    except Unreachable as error:
        raise BrokerError(f"{doing} failed: {error}") from error


@contextmanager
def errands(target: Target, doing: str) -> Iterator[Errands]:
    """Connect, and close at the end. Raises BrokerError."""
    opened = connect(target, doing)
    try:
        yield opened
    finally:
        opened.close()


@contextmanager
def channel(target: Target, doing: str, *, within_s: float | None = None) -> Iterator[BlockingChannel]:
    """Open a connection and a channel for one errand. Raises BrokerError."""
    with errands(target, doing) as opened, opened.errand(doing, within_s=within_s) as open_channel:
        yield open_channel


@contextmanager
def _named(doing: str) -> Iterator[None]:
    try:
        with client_errors():
            yield
    except ClientError as error:
        if isinstance(error.reason, ConnectionBlockedTimeout):
            raise BrokerError(
                f"{doing} failed: the broker has taken no publishes for {BLOCKED_TIMEOUT_S} s (connection.blocked), being short of "
                "disk or memory; make room, or see its log"
            ) from error
        raise BrokerError(f"{doing} failed: {error}") from error
