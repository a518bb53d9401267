"""Whether a broker answers: the AMQP handshake, then a login. An open port proves nothing, a proxy may hold it."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import closing

import pika
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from harness.broker.protocol import BrokerVersions, Endpoint
from harness.errors import BrokerError
from harness.traffic.client_errors import CLIENT_ERRORS
from harness.traffic.closing import close
from harness.traffic.connection import HANDSHAKE_TIMEOUT_S, SOCKET_TIMEOUT_S

_PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
_LONGEST_START = 64 * 1024
"""A connection.start is below a kilobyte; what sends more is no broker."""
_POLL_S = 0.05

# Without a handler Python would print pika's own complaints about every refused attempt; the error that is raised says it once.
logging.getLogger("pika").addHandler(logging.NullHandler())


def amqp_answers(host: str, port: int, timeout_s: float = 2.0) -> bool:
    """Whether an AMQP 0-9-1 broker answers the protocol header with connection.start, without TLS."""
    return _start(Endpoint(host, port), timeout_s) is not None


def server_versions(endpoint: Endpoint) -> BrokerVersions:
    """Return the versions that a broker tells when a connection is opened (connection.start); empty if it tells none."""
    start = _start(endpoint, timeout_s=5.0)
    told = (start.server_properties or {}) if start is not None else {}
    return BrokerVersions(
        rabbitmq=str(told.get("version", "")), erlang=str(told.get("platform", "")).removeprefix("Erlang/OTP ")
    )


def _start(endpoint: Endpoint, timeout_s: float) -> pika.spec.Connection.Start | None:
    try:
        connection = socket.create_connection((endpoint.host, endpoint.port), timeout=timeout_s)
        if endpoint.tls:
            connection = ssl.create_default_context().wrap_socket(connection, server_hostname=endpoint.host)
        with closing(connection):
            connection.sendall(_PROTOCOL_HEADER)
            received = b""
            while len(received) < _LONGEST_START and (data := connection.recv(4096)):
                received += data
                _, frame = pika.frame.decode_frame(received)
                if frame is not None:
                    method = getattr(frame, "method", None)
                    return method if isinstance(method, pika.spec.Connection.Start) else None
    except CLIENT_ERRORS:
        return None
    return None


def connection_parameters(endpoint: Endpoint) -> pika.ConnectionParameters:
    """Return how the harness itself connects, bounded in time; traffic has parameters of its own."""
    return pika.ConnectionParameters(
        host=endpoint.host,
        port=endpoint.port,
        virtual_host=endpoint.virtual_host,
        credentials=pika.PlainCredentials(endpoint.username, endpoint.password),
        socket_timeout=SOCKET_TIMEOUT_S,
        stack_timeout=HANDSHAKE_TIMEOUT_S,
        client_properties={"connection_name": "chaos"},
        ssl_options=pika.SSLOptions(ssl.create_default_context(), endpoint.host) if endpoint.tls else None,
    )


def login_error(endpoint: Endpoint) -> str | None:
    """Log in once; returns why it failed, or None."""
    try:
        close(pika.BlockingConnection(connection_parameters(endpoint)))
    except CLIENT_ERRORS as error:
        return f"{type(error).__name__} {error}".strip()
    return None


def wait_until_ready(endpoint: Endpoint, timeout_s: float, *, gone: Callable[[], str | None] = lambda: None) -> None:
    """Wait for the handshake and a login. `gone` tells at once why the broker can never answer. Raises BrokerError."""
    last = "nothing answered"

    @retry(
        stop=stop_after_delay(timeout_s),
        wait=wait_fixed(_POLL_S),
        retry=retry_if_result(lambda ready: not ready),
        retry_error_callback=lambda _state: False,
    )
    def ready() -> bool:
        nonlocal last
        dead = gone()
        if dead is not None:
            raise BrokerError(dead)
        if not endpoint.tls and not amqp_answers(endpoint.host, endpoint.port):
            last = "no answer to the AMQP handshake"
            return False
        last = login_error(endpoint) or ""
        return not last

    if not ready():
        raise BrokerError(f"the broker at {endpoint} was not ready after {timeout_s:g} s: {last}; see its log")
