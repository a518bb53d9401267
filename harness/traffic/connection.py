"""What publisher and worker share: a connection that comes back, a channel, commands from the engine, a log.

Built on pika's SelectConnection through its public interface. Reconnecting waits as tenacity says: exponential with jitter,
without end within the target's bound.
"""

from __future__ import annotations

import os
import random
import signal
import ssl
import sys
import time
from collections.abc import Callable
from typing import Any

import pika
from pika.adapters.select_connection import IOLoop
from pika.channel import Channel
from tenacity import RetryCallState, wait_exponential_jitter

from harness.history.records import Kind
from harness.traffic.log import EventLog
from harness.traffic.spec import Target

_WAIT = wait_exponential_jitter(initial=0.05, max=1.0, jitter=0.1)


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
        socket_timeout=5,
        stack_timeout=10,
        blocked_connection_timeout=None,
        ssl_options=pika.SSLOptions(ssl.create_default_context(), host) if target.tls else None,
    )


def reply_code(reason: BaseException) -> int:
    """Return the AMQP reply code of an error, 0 where there is none (the socket broke)."""
    code = getattr(reason, "reply_code", 0)
    return code if isinstance(code, int) and 0 <= code <= 0xFFFF else 0


class Client:
    """A process's client: subclasses say what to do once the channel is open, and when it is lost."""

    def __init__(self, target: Target, log: EventLog, seed: str) -> None:
        """Prepare; `run` connects."""
        self.target = target
        self.log = log
        self.connection_number = 0
        self.channel: Channel | None = None
        self.exit_code = 0
        self.blocked = False
        self.stopping = False
        self._connection: pika.SelectConnection | None = None
        self._attempt = 0
        self._failing_since: float | None = None
        self._closing = False
        self._failure: str | None = None
        self._input = b""
        self._random = random.Random(seed)  # noqa: S311 - reproducible on purpose
        self.loop = IOLoop()

    # For subclasses.

    def on_ready(self, channel: Channel) -> None:
        """Act on an open channel of a new connection."""
        raise NotImplementedError

    def on_lost(self) -> None:
        """Forget what belonged to the connection that is gone."""
        raise NotImplementedError

    def on_go(self) -> None:
        """Act on the engine's `go`."""

    def on_stop(self) -> None:
        """Act on the engine's `stop`: end in order by calling `finish`."""
        raise NotImplementedError

    def finish(self) -> None:
        """Close in order, record FINISHED and end with 0."""
        if self._closing:
            return
        self._closing = True
        if self._connection is not None and self._connection.is_open:
            self._connection.close()
        else:
            self._end()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Any:
        """Call back from the loop after so many seconds; returns a handle for `cancel`."""
        return self.loop.call_later(seconds, callback)

    def cancel(self, handle: Any) -> None:
        """Cancel a call_later."""
        self.loop.remove_timeout(handle)

    # The life of the process.

    def run(self) -> int:
        """Connect and serve until finished; returns the exit code."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda _signal, _frame: self.loop.add_callback_threadsafe(self._stop))
        os.set_blocking(sys.stdin.fileno(), False)
        self.loop.add_handler(sys.stdin.fileno(), self._on_input, IOLoop.READ)
        self._connect()
        self.loop.start()
        self.log.close()
        if self._failure is not None:
            print(self._failure, file=sys.stderr)  # noqa: T201 - standard error is this process's only voice
            return 1
        return self.exit_code

    def _connect(self) -> None:
        self._attempt += 1
        pika.SelectConnection(
            parameters(self.target, self._attempt - 1),
            on_open_callback=self._on_open,
            on_open_error_callback=self._on_open_error,
            on_close_callback=self._on_closed,
            custom_ioloop=self.loop,
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

    def connected(self) -> None:
        """Record that the connection and its channel are open."""
        self.log.write(Kind.CONNECTED, connection=self.connection_number)

    def served(self) -> None:
        """Count the connection as a success: the bound on reconnecting starts afresh."""
        self._attempt = 0
        self._failing_since = None

    def _on_open_error(self, _connection: pika.SelectConnection, reason: BaseException) -> None:
        self.log.write(Kind.CONNECT_FAILED, arg=reply_code(reason))
        self._retry(reason)

    def _on_closed(self, _connection: pika.SelectConnection, reason: BaseException) -> None:
        self._connection = None
        if self._closing:
            self._end()
            return
        if self.channel is not None:
            self.channel = None
            self.log.write(Kind.CONNECTION_LOST, arg=reply_code(reason), connection=self.connection_number)
            self.on_lost()
        self._retry(reason)

    def _on_channel_closed(self, _channel: Channel, reason: BaseException) -> None:
        if self.channel is None or self._closing or isinstance(reason, pika.exceptions.ConnectionClosed):
            return
        connection = self._connection
        if connection is None or not connection.is_open:
            return  # the connection goes down with it, and says so itself
        self.channel = None
        self.log.write(Kind.CHANNEL_CLOSED, arg=reply_code(reason), connection=self.connection_number)
        self.on_lost()
        self._failing_since = self._failing_since or time.monotonic()
        if not self._closing:
            connection.close(320, "channel closed by the broker, starting afresh")

    def _retry(self, reason: BaseException) -> None:
        now = time.monotonic()
        self._failing_since = self._failing_since or now
        if self._closing:
            self._end()
            return
        if now - self._failing_since > self.target.reconnect_timeout_s:
            host, port = self.target.addresses[self.target.first % len(self.target.addresses)]
            self._fail(
                f"no connection to {host}:{port} for {self.target.reconnect_timeout_s:g} s"
                f" ({type(reason).__name__}: {reason})"
            )
            return
        state = RetryCallState(retry_object=None, fn=None, args=(), kwargs={})  # type: ignore[arg-type]
        state.attempt_number = min(self._attempt, 10)
        self.loop.call_later(_WAIT(state), self._connect)

    def _on_blocked(self, *_: object) -> None:
        self.blocked = True
        self.log.write(Kind.BLOCKED, connection=self.connection_number)

    def _on_unblocked(self, *_: object) -> None:
        self.blocked = False
        self.log.write(Kind.UNBLOCKED, connection=self.connection_number)

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
                case b"stop":
                    self._stop()

    def _stop(self) -> None:
        if not self.stopping:
            self.stopping = True
            self.on_stop()

    def _fail(self, sentence: str) -> None:
        self._failure = sentence
        self.loop.stop()

    def _end(self) -> None:
        self.log.write(Kind.FINISHED, connection=self.connection_number)
        self.loop.stop()
