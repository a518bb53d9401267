"""Whether a broker went down: a connection that is held over a command is seen to break.

A command such as `kubectl rollout restart` returns before anything happens, so its end proves nothing; and a broker that still
answers a moment later must not be taken for one that is back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pika
from tenacity import retry, retry_if_result, stop_after_delay, wait_none

from harness.broker.liveness import SILENT_LOOKS
from harness.broker.protocol import Endpoint
from harness.broker.ready import connection_parameters
from harness.traffic.client_errors import ClientError, client_errors
from harness.traffic.closing import close
from harness.traffic.greeting import greet
from harness.traffic.login import log_in
from harness.traffic.unreachable import NOBODY, Unreachable

_TURN_S = 0.1
_LOOK_S = 2.0
"""How long a look may take."""


class HeldConnection:
    """An open AMQP connection that exists to be broken."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Connect; a broker that cannot be reached counts as down already."""
        self._endpoint = endpoint
        parameters = connection_parameters(endpoint)
        # Nobody reads while the command runs, and a missed heartbeat would look like an outage.
        parameters.heartbeat = 0
        self._silent = 0
        """How many looks in a row had no answer."""
        try:
            self._connection: pika.BlockingConnection | None = log_in([parameters])
        except Unreachable:
            self._connection = None

    def broke(self, timeout_s: float) -> bool:
        """Wait until the connection breaks, or no broker is at its address any more; False when neither happens in time.

        A look that is not answered is no proof: the broker may be busy. Several in a row are.
        """

        @retry(
            stop=stop_after_delay(timeout_s),
            wait=wait_none(),
            retry=retry_if_result(lambda down: not down),
            retry_error_callback=lambda _state: False,
        )
        def down() -> bool:
            return self._gone() or self._nobody_there()

        return bool(down())

    def _nobody_there(self) -> bool:
        try:
            greet(self._endpoint.host, self._endpoint.port, tls=self._endpoint.tls, within_s=_LOOK_S)
        except Unreachable as error:
            self._silent += 1
            return error.obstacle in NOBODY or self._silent >= SILENT_LOOKS
        self._silent = 0
        return False

    def _gone(self) -> bool:
        if self._connection is None:
            return True
        try:
            with client_errors():
                self._connection.process_data_events(time_limit=_TURN_S)
        except ClientError:
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
