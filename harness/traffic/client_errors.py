"""What the AMQP client raises: more than its exception hierarchy says. Here, and nowhere else, it becomes an error of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from pika.adapters.utils.connection_workflow import AMQPConnectorException, AMQPConnectorStackTimeout
from pika.exceptions import AMQPError, AMQPHeartbeatTimeout, ChannelError

from harness.errors import BrokerError, ChaosError
from harness.plain import plain

_NAMED = (AMQPError, ChannelError, AMQPConnectorException)
"""The client's own exceptions. A handshake that stalls ends in an AMQPConnectorStackTimeout, which is no AMQPError."""


class ClientError(BrokerError):
    """What the client raised, in a line."""

    def __init__(self, reason: Exception) -> None:
        """Take what the client raised."""
        self.reason = reason
        super().__init__(plain(reply_text(reason)))


@contextmanager
def client_errors() -> Iterator[None]:
    """Turn what the client raises inside into a ClientError, and nothing else.

    Where the other side is gone, silent or talks nonsense, the client raises whatever its code runs into: a KeyError for an unknown
    method, a struct.error for a torn one, a ZeroDivisionError for frames without room, an AssertionError. So an exception is the
    client's if its name is, or if the client's code raised it; one that code of ours raised in a callback is a mistake of ours.
    """
    try:
        yield
    except ChaosError:
        raise
    except _NAMED as error:
        raise ClientError(error) from error
    except Exception as error:
        if not _raised_by_client(error.__traceback__):
            raise
        raise ClientError(error) from error


def _raised_by_client(trace: TracebackType | None) -> bool:
    """Whether the innermost code, of the client's and ours, was the client's."""
    package = ""
    while trace is not None:
        name = str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
        package = name if name in ("pika", "harness") else package
        trace = trace.tb_next
    return package == "pika"


def reply_code(reason: BaseException) -> int:
    """Return the AMQP reply code of an error, 0 where there is none (the socket broke)."""
    code = getattr(reason, "reply_code", 0)
    return code if isinstance(code, int) and 0 <= code <= 0xFFFF else 0


def reply_text(reason: BaseException) -> str:
    """Return what an error says in a line: its reply code and text, else its words, else its kind."""
    match reason:
        case AMQPConnectorStackTimeout():
            return "the handshake was not answered in time; is the broker frozen or busy?"
        case AMQPHeartbeatTimeout():
            return "the broker sent nothing for longer than the heartbeats allow; is it frozen?"
    code, words = reply_code(reason), getattr(reason, "reply_text", "") or str(reason)
    if code:
        return f"{code} {words}"
    named = isinstance(reason, (*_NAMED, OSError)) and words
    return str(words) if named else f"the AMQP client could not read what the broker sent ({reason!r})"
