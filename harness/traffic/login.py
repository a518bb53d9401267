"""Opening a blocking connection, and why it was not opened."""

from __future__ import annotations

import builtins
import re
import socket
from collections.abc import Sequence
from typing import Final

import pika
from pika.adapters.utils.connection_workflow import AMQPConnectorStackTimeout
from pika.exceptions import AuthenticationError, ProbableAccessDeniedError, ProbableAuthenticationError

from harness.traffic import unreachable
from harness.traffic.client_errors import ClientError, client_errors
from harness.traffic.greeting import greet
from harness.traffic.unreachable import Unreachable, where

GREETING_S = 5.0
"""How long a broker may take to greet."""
_REPLY: Final = re.compile(r"ConnectionClosedByBroker: \((\d+)\) [\"'](.*?)[\"']\"?,?\)*$", re.DOTALL)
_BROKEN: Final = re.compile(r"Stream connection lost: (\w+)")


def log_in(choices: Sequence[pika.ConnectionParameters], *, greeting_s: float | None = None) -> pika.BlockingConnection:
    """Connect to the first address that answers, each bounded by its own timeouts. Raises Unreachable, of the last one.

    The client's error does not say who answered instead of a broker: that takes a look of its own, of at most `greeting_s`.
    """
    try:
        with client_errors():
            return pika.BlockingConnection(list(choices))
    except ClientError as error:
        raise _why(error.reason, choices[-1], GREETING_S if greeting_s is None else greeting_s) from error


def _why(reason: Exception, tried: pika.ConnectionParameters, greeting_s: float) -> Unreachable:
    at, user = where(tried.host, tried.port), tried.credentials.username
    if isinstance(reason, ProbableAuthenticationError | ProbableAccessDeniedError):
        return _refusal(reason, at, user, tried.virtual_host)
    try:
        start = greet(tried.host, tried.port, tls=tried.ssl_options is not None, within_s=greeting_s)
    except Unreachable as found:
        return found
    match reason:
        case AuthenticationError():
            offered = (
                start.mechanisms.decode(errors="replace") if isinstance(start.mechanisms, bytes) else start.mechanisms
            )
            return unreachable.no_password_login(at, str(offered))
        case AMQPConnectorStackTimeout() | TimeoutError():
            return unreachable.stalled(at)
        case socket.gaierror():
            return unreachable.not_resolved(tried.host, str(reason.strerror))
    return unreachable.login_closed(at, str(ClientError(reason)))


def _refusal(reason: Exception, at: str, user: str, virtual_host: str) -> Unreachable:
    """Tell what the broker said as it ended the login. The client keeps that as a text."""
    text = str(reason)
    said = _REPLY.search(text)
    if said is None:
        broken = _BROKEN.search(text)
        kind = getattr(builtins, broken[1], None) if broken is not None else OSError
        if isinstance(kind, type) and issubclass(kind, OSError):
            return unreachable.login_closed(at)
        return unreachable.unreadable(at, f"{broken[1] if broken else 'an error'} in the handshake")
    code, words = int(said[1]), said[2]
    match code:
        case 403 if isinstance(reason, ProbableAuthenticationError):
            return unreachable.login_refused(at, user, f"{code} {words}")
        case 402 | 403 | 404 | 530:
            return unreachable.virtual_host_refused(at, user, virtual_host, f"{code} {words}")
    return unreachable.login_closed(at, f"{code} {words}")
