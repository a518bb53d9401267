"""What publisher and worker share: a connection that comes back, a channel, commands from the engine, a log.

Built on pika's SelectConnection through its public interface. With the client `fast`, a protocol of our own stands
between the transport and pika and takes messages and confirms in bulk (see wire.py). Reconnecting waits exponentially longer, with jitter from
the process's seed, and gives up when nothing was served for as long as the target says.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import socket
import ssl
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable

import pika
from pika.adapters.select_connection import IOLoop
from pika.adapters.utils.nbio_interface import AbstractStreamProtocol
from pika.channel import Channel
from tenacity import RetryCallState, wait_exponential

from harness.errors import ChaosError
from harness.history.records import Kind, Table
from harness.traffic.client_errors import ClientError, client_errors, reply_code
from harness.traffic.client_name import ClientName
from harness.traffic.log import EventLog
from harness.traffic.spec import Target
from harness.traffic.transport import IOServices
from harness.traffic.wire import BulkProtocol

CLOSE_TIMEOUT_S = 10.0
"""How long the broker may take to answer the close of a connection."""

SOCKET_TIMEOUT_S = 5.0
"""How long a TCP connection may take."""
HANDSHAKE_TIMEOUT_S = 10.0
"""How long all of it may take, until AMQP is spoken."""

_BACKOFF = wait_exponential(multiplier=0.05, max=1.0)
_JITTER_S = 0.1


def parameters(target: Target, attempt: int = 0) -> pika.ConnectionParameters:
    """Make pika's parameters for one attempt; attempts take the addresses in turn."""
    host, port = target.addresses[(target.first + attempt) % len(target.addresses)]
    return pika.ConnectionParameters(
        host=host,
        port=port,
        virtual_host=target.virtual_host,
        credentials=pika.PlainCredentials(target.username, target.password),
        heartbeat=target.heartbeat_s,
        connection_attempts=1,
        socket_timeout=SOCKET_TIMEOUT_S,
        stack_timeout=HANDSHAKE_TIMEOUT_S,
        blocked_connection_timeout=None,
        client_properties={"connection_name": target.client_name},
        ssl_options=pika.SSLOptions(ssl.create_default_context(), host) if target.tls else None,
    )


def record_end(log: EventLog, kind: Kind, reason: BaseException, connection: int) -> None:
    """Record the end of a channel or connection, with what the broker said: its reply code and text, 0 and none if the socket broke."""
    text = getattr(reason, "reply_text", "")
    said = log.define(Table.REASONS, text) if isinstance(text, str) and text else 0
    log.write(kind, arg=reply_code(reason), queue=said, connection=connection)


class Client(ABC):
    """A process's client: subclasses say what to do once the channel is open, and when it is lost."""

    def __init__(self, target: Target, log: EventLog, seed: str, client: ClientName) -> None:
        """Prepare; `run` connects."""
        self.target = target
        self.bulk: BulkProtocol | None = None
        """Takes messages and confirms in bulk, and sends encoded frames; None with the client `pika`."""
        self._client = client
        self.log = log
        self.connection_number = 0
        self.channel: Channel | None = None
        self.blocked = False
        self.stopping = False
        self._connection: pika.SelectConnection | None = None
        self._attempt = 0
        self._failing_since: float | None = None
        self._refusal: BaseException | None = None
        """Why the broker closed the last channel: then an open connection alone is no success."""
        self._closing = False
        self._ended = False
        self._failure: str | None = None
        self._input = b""
        self._random = random.Random(seed)  # noqa: S311 - reproducible on purpose
        self.loop = IOLoop()

    # For subclasses.

    @abstractmethod
    def on_ready(self, channel: Channel) -> None:
        """Act on an open channel of a new connection."""

    @abstractmethod
    def on_lost(self) -> None:
        """Forget what belonged to the connection that is gone."""

    def on_go(self) -> None:  # noqa: B027 - a worker has no use for it
        """Act on the engine's `go`."""

    def on_enough(self) -> None:  # noqa: B027 - a worker has no use for it
        """Act on the engine's `enough`."""

    def on_unblocked(self) -> None:  # noqa: B027 - a worker has no use for it
        """Act on the end of `connection.blocked`."""

    @abstractmethod
    def on_stop(self) -> None:
        """Act on the engine's `stop`: end in order by calling `finish`."""

    def finish(self) -> None:
        """Close in order, record FINISHED and end with 0."""
        if self._closing:
            return
        self._closing = True
        if self._connection is not None and self._connection.is_open:
            self._connection.close()
            self.call_later(CLOSE_TIMEOUT_S, self._close_unanswered)
        else:
            self._end()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call back from the loop after a number of seconds."""
        self.loop.call_later(seconds, callback)

    # The life of the process.

    def run(self) -> int:
        """Connect and serve until finished; returns the exit code."""
        self._listen_to_sigterm()
        os.set_blocking(sys.stdin.fileno(), False)
        self.loop.add_handler(sys.stdin.fileno(), self._on_input, IOLoop.READ)
        try:
            with client_errors():
                self._connect()
                self.loop.start()
        except ClientError as error:
            addresses = ", ".join(f"{host}:{port}" for host, port in self.target.addresses)
            self._failure = (
                f"the broker at {addresses} sent what the AMQP client cannot take: {error}; see the broker's log"
            )
        self.log.close()
        if self._failure is not None:
            print(self._failure, file=sys.stderr)  # noqa: T201 - standard error is this process's only voice
            return 1
        return 0

    def _listen_to_sigterm(self) -> None:
        """Let SIGTERM wake the loop through a socket: a handler runs in the middle of anything, a lock held included."""
        reader, writer = socket.socketpair()
        for end in (reader, writer):
            end.setblocking(False)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, lambda _signal, _frame: None)
        self._wakeup = reader, writer

        def on_signal(_descriptor: int, _events: int) -> None:
            reader.recv(64)
            self._stop()

        self.loop.add_handler(reader.fileno(), on_signal, IOLoop.READ)

    def _connect(self) -> None:
        self._attempt += 1

        def interpose(protocol: AbstractStreamProtocol) -> BulkProtocol:
            self.bulk = BulkProtocol(protocol, connection)
            return self.bulk

        connection = pika.SelectConnection(
            parameters(self.target, self._attempt - 1),
            on_open_callback=self._on_open,
            on_open_error_callback=self._on_open_error,
            on_close_callback=self._on_closed,
            custom_ioloop=IOServices(self.loop, interpose if self._client == "fast" else None),
        )

    def _on_open(self, connection: pika.SelectConnection) -> None:
        if self._closing:
            connection.close()
            return
        self._connection = connection
        self.blocked = False
        self.connection_number += 1
        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.add_on_connection_unblocked_callback(self._on_unblocked)
        connection.channel(on_open_callback=self._on_channel)

    def _on_channel(self, channel: Channel) -> None:
        self.channel = channel
        channel.add_on_close_callback(self._on_channel_closed)
        self.on_ready(channel)

    def connected(self, window: int = 0) -> None:
        """Record that the connection and its channel are open; `window` is a publisher's, 0 without confirms."""
        self.log.write(Kind.CONNECTED, connection=self.connection_number, arg=window)
        if self._refusal is None:
            self.served()

    def served(self) -> None:
        """Count as a success: the broker has done what it was asked to, the bound on reconnecting starts afresh."""
        self._attempt = 0
        self._failing_since = None
        self._refusal = None

    def _on_open_error(self, _connection: pika.SelectConnection, reason: BaseException) -> None:
        self._record_end(Kind.CONNECT_FAILED, reason)
        self._retry(reason)

    def _on_closed(self, _connection: pika.SelectConnection, reason: BaseException) -> None:
        self._connection = None
        by_us = isinstance(reason, pika.exceptions.ConnectionClosedByClient)
        if self.channel is not None and not (self._closing and by_us):
            self.channel = None
            self._record_end(Kind.CONNECTION_LOST, reason)
            if not self._closing:
                self.on_lost()
        self._retry(reason)

    def _on_channel_closed(self, _channel: Channel, reason: BaseException) -> None:
        if self.channel is None or self._closing or isinstance(reason, pika.exceptions.ConnectionClosed):
            return
        connection = self._connection
        if connection is None or not connection.is_open:
            return  # the connection goes down with it, and says so itself
        self.channel = None
        self._record_end(Kind.CHANNEL_CLOSED, reason)
        self._refusal = reason
        self._failing_since = self._failing_since or time.monotonic()
        self.on_lost()
        if not self._closing:
            connection.close(320, "channel closed, starting afresh")

    def _record_end(self, kind: Kind, reason: BaseException) -> None:
        """Record the end of the channel, the connection, or an attempt to connect, with what the broker said."""
        connection = 0 if kind is Kind.CONNECT_FAILED else self.connection_number
        record_end(self.log, kind, reason, connection)

    def _retry(self, reason: BaseException) -> None:
        if self._closing:
            self._end()
            return
        reason = self._refusal or reason
        now = time.monotonic()
        self._failing_since = self._failing_since or now
        if now - self._failing_since > self.target.reconnect_timeout_s:
            addresses = ", ".join(f"{host}:{port}" for host, port in self.target.addresses)
            self._fail(
                f"no service from {addresses} for {self.target.reconnect_timeout_s:g} s"
                f" ({type(reason).__name__}: {reason}); see the broker's log"
            )
            return
        state = RetryCallState(retry_object=None, fn=None, args=(), kwargs={})  # type: ignore[arg-type]
        state.attempt_number = min(max(self._attempt, 1), 10)
        self.call_later(_BACKOFF(state) + self._random.uniform(0, _JITTER_S), self._connect)

    def _on_blocked(self, *_: object) -> None:
        self.blocked = True
        self.log.write(Kind.BLOCKED, connection=self.connection_number)

    def _on_unblocked(self, *_: object) -> None:
        self.blocked = False
        self.log.write(Kind.UNBLOCKED, connection=self.connection_number)
        self.on_unblocked()

    def _on_input(self, descriptor: int, _events: int) -> None:
        try:
            data = os.read(descriptor, 4096)
        except BlockingIOError:
            return
        if not data:
            os._exit(1)  # the engine is dead: nobody is left to work for
        self._input += data
        *lines, self._input = self._input.split(b"\n")
        for line in lines:
            match line:
                case b"go":
                    self.on_go()
                case b"enough":
                    self.on_enough()
                case b"stop":
                    self._stop()

    def _stop(self) -> None:
        if not self.stopping:
            self.stopping = True
            self.on_stop()

    def _close_unanswered(self) -> None:
        if not self._ended:
            self._fail(f"the broker did not answer the close of the connection within {CLOSE_TIMEOUT_S:g} s")

    def _fail(self, sentence: str) -> None:
        self._failure = sentence
        self._ended = True
        self.loop.stop()

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        self.log.write(Kind.FINISHED, connection=self.connection_number)
        self.loop.stop()


def serve(make: Callable[[], Client]) -> int:
    """Make a client and run it as this process; returns the exit code, 1 after one sentence on standard error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # pika reports every lost connection on standard error, which is kept for the one sentence.
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    try:
        return make().run()
    except ChaosError as error:
        print(error, file=sys.stderr)  # noqa: T201 - standard error is this process's only voice
        return 1
