"""A connection that does not close is let go of, and nobody hears of it."""

from __future__ import annotations

import threading
from typing import cast

import pika
import pytest
from pika.exceptions import ConnectionClosed

from harness.traffic.closing import close


class _Closing:
    def __init__(self, error: BaseException) -> None:
        self.error, self.asked = error, threading.Event()

    def close(self) -> None:
        self.asked.set()
        raise self.error


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(
    "error",
    [ConnectionClosed(320, "gone"), OSError("broken pipe"), AssertionError("a consumer that was refused")],
    ids=["closed", "broken", "a consumer was refused while it was asked for"],
)
def test_a_connection_that_fails_to_close_is_let_go_of(error: BaseException) -> None:
    connection = _Closing(error)
    close(cast(pika.BlockingConnection, connection))
    assert connection.asked.is_set()
