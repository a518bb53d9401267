"""Whether a broker went down: a connection that is held over a command is seen to break.

A command such as `kubectl rollout restart` returns before anything happens, so its end proves nothing; and a broker that still
answers a moment later must not be taken for one that is back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pika
from tenacity import retry, retry_if_result, stop_after_delay, wait_none

from harness.broker.protocol import Endpoint
from harness.broker.ready import amqp_answers, connection_parameters
from harness.traffic.client_errors import CLIENT_ERRORS
from harness.traffic.closing import close

_TURN_S = 0.1


class HeldConnection:
    """An open AMQP connection that exists to be broken."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Connect; a broker that cannot be reached counts as down already."""
        self._endpoint = endpoint
        parameters = connection_parameters(endpoint)
        # Nobody reads while the command runs, and a missed heartbeat would look like an outage.
        parameters.heartbeat = 0
        try:
            self._connection: pika.BlockingConnection | None = pika.BlockingConnection(parameters)
        except CLIENT_ERRORS:
            self._connection = None

    def broke(self, timeout_s: float) -> bool:
        """Wait until the connection breaks, or nothing answers any more at its address; False when neither happens in time."""

        @retry(
            stop=stop_after_delay(timeout_s),
            wait=wait_none(),
            retry=retry_if_result(lambda down: not down),
            retry_error_callback=lambda _state: False,
        )
        def down() -> bool:
            return self._gone() or not (self._endpoint.tls or amqp_answers(self._endpoint.host, self._endpoint.port))

        return bool(down())

    def _gone(self) -> bool:
        if self._connection is None:
            return True
        try:
            self._connection.process_data_events(time_limit=_TURN_S)
        except CLIENT_ERRORS:
            return True
        return not self._connection.is_open

    def close(self) -> None:
        """Let go of it."""
        if self._connection is not None and self._connection.is_open:
            close(self._connection)


@contextmanager
def held_connection(endpoint: Endpoint) -> Iterator[HeldConnection]:
    """Hold a connection while the block runs."""
    connection = HeldConnection(endpoint)
    try:
        yield connection
    finally:
        connection.close()
