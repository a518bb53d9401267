"""The close of a blocking connection, for whose answer the client would wait without a bound."""

from __future__ import annotations

import threading
from contextlib import suppress

import pika

from harness.traffic.client_errors import ClientError, client_errors

CLOSE_TIMEOUT_S = 10.0
"""How long the broker may take to answer the close of a connection."""


def close(connection: pika.BlockingConnection, *, within_s: float | None = None) -> None:
    """Close a connection; one that fails to close, or does not answer in time, is let go of."""

    def attempt() -> None:
        with suppress(ClientError), client_errors():
            connection.close()

    closing = threading.Thread(target=attempt, daemon=True)
    closing.start()
    closing.join(CLOSE_TIMEOUT_S if within_s is None else within_s)
