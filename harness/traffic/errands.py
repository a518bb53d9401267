"""Short errands to the broker, one after the other over one blocking connection.

Whatever the AMQP client raises becomes a BrokerError that names the errand, and every wait has a bound: the handshake by the client's own
timeout, an answer by heartbeats, and the close of the connection by a thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ConnectionBlockedTimeout

from harness.errors import BrokerError
from harness.traffic.client_errors import CLIENT_ERRORS, reply_text
from harness.traffic.closing import close
from harness.traffic.connection import parameters
from harness.traffic.spec import Target

BLOCKED_TIMEOUT_S = 15
"""How long the broker may refuse publishes (connection.blocked) before an errand gives up."""
HEARTBEAT_S = 15
"""A broker that was silent for this long, and 5 s more, does not answer any more."""


class Errands:
    """An open connection; errands share a channel until the broker closes it."""

    def __init__(self, connection: pika.BlockingConnection) -> None:
        """Take over a connection."""
        self._connection = connection
        self._channel: BlockingChannel | None = None

    @contextmanager
    def errand(self, doing: str) -> Iterator[BlockingChannel]:
        """Give an open channel. Raises BrokerError, `doing failed: …`, for whatever the client raises inside."""
        with _named(doing):
            if self._channel is None or not self._channel.is_open:
                self._channel = self._connection.channel()
            yield self._channel

    def new_channel(self) -> BlockingChannel:
        """Open a channel beside that of the errands, inside one of them."""
        return self._connection.channel()

    def process(self, seconds: float) -> None:
        """Take what arrives, for so many seconds or until something has. Raises BrokerError."""
        with _named("listening to the broker"):
            self._connection.process_data_events(time_limit=seconds)

    def close(self) -> None:
        """Close the connection. A close that fails changes nothing: its errands have succeeded, or failed with an error of their own."""
        close(self._connection)


def connect(target: Target, doing: str) -> Errands:
    """Connect to the first node that answers. Raises BrokerError, which names the first errand."""
    choices = [parameters(target, turn) for turn in range(len(target.addresses))]
    for each in choices:
        each.blocked_connection_timeout = BLOCKED_TIMEOUT_S
        each.heartbeat = HEARTBEAT_S
    try:
        return Errands(pika.BlockingConnection(choices))
    except CLIENT_ERRORS as error:
        addresses = ", ".join(f"{host}:{port}" for host, port in target.addresses)
        raise BrokerError(f"{doing} failed: no connection to {addresses} ({reply_text(error)})") from error


@contextmanager
def errands(target: Target, doing: str) -> Iterator[Errands]:
    """Connect, and close at the end. Raises BrokerError."""
    opened = connect(target, doing)
    try:
        yield opened
    finally:
        opened.close()


@contextmanager
def channel(target: Target, doing: str) -> Iterator[BlockingChannel]:
    """Open a connection and a channel for one errand. Raises BrokerError."""
    with errands(target, doing) as opened, opened.errand(doing) as open_channel:
        yield open_channel


@contextmanager
def _named(doing: str) -> Iterator[None]:
    try:
        yield
    except ConnectionBlockedTimeout as error:
        raise BrokerError(
            f"{doing} failed: the broker has taken no publishes for {BLOCKED_TIMEOUT_S} s (connection.blocked), being short of "
            "disk or memory; make room, or see its log"
        ) from error
    except CLIENT_ERRORS as error:
        raise BrokerError(f"{doing} failed: {reply_text(error)}") from error
