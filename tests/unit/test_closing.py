"""A connection that does not close is let go of, and nobody hears of it."""

from __future__ import annotations

import threading
from typing import Any, cast

import pika
import pytest
from pika.exceptions import ConnectionClosed

from harness.errors import UsageError
from harness.traffic.client_errors import ClientError, client_errors
from harness.traffic.closing import close

_CLIENT: dict[str, Any] = {"__name__": "pika.adapters.made_up"}
exec("def fail(error): raise error", _CLIENT)  # noqa: S102 - what the client's own code raises is told by where it was raised


class _Closing:
    def __init__(self, error: BaseException) -> None:
        self.error, self.asked = error, threading.Event()

    def close(self) -> None:
        self.asked.set()
        _CLIENT["fail"](self.error)


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


def test_what_the_client_raises_is_told_from_what_our_code_raises_in_a_callback_of_it() -> None:
    with pytest.raises(ClientError, match="KeyError"), client_errors():
        _CLIENT["fail"](KeyError(7))
    with pytest.raises(UsageError), client_errors():
        raise UsageError("no error of the client")
    ours: dict[str, Any] = {"__name__": "harness.made_up"}
    exec("def fail(error): raise error", ours)  # noqa: S102 - as above
    through: dict[str, Any] = {"__name__": "pika.made_up", "callback": ours["fail"]}
    exec("def call(error): callback(error)", through)  # noqa: S102 - as above
    with pytest.raises(KeyError), client_errors():
        through["call"](KeyError(7))
