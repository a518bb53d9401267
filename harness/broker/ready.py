"""Whether a broker answers: the AMQP handshake, then a login. An open port proves nothing, a proxy may hold it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable

import pika
from pika.exceptions import AMQPError
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from harness.broker.protocol import Endpoint
from harness.errors import BrokerError

_PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
_METHOD_FRAME = 1
_POLL_S = 0.05


def amqp_answers(host: str, port: int, timeout_s: float = 2.0) -> bool:
    """Whether an AMQP 0-9-1 broker answers the protocol header with connection.start."""
    try:
        with socket.create_connection((host, port), timeout=timeout_s) as connection:
            connection.settimeout(timeout_s)
            connection.sendall(_PROTOCOL_HEADER)
            return connection.recv(1) == bytes([_METHOD_FRAME])
    except OSError:
        return False


def connection_parameters(endpoint: Endpoint) -> pika.ConnectionParameters:
    """Return how the harness itself connects, bounded in time; traffic has parameters of its own."""
    return pika.ConnectionParameters(
        host=endpoint.host,
        port=endpoint.port,
        virtual_host=endpoint.virtual_host,
        credentials=pika.PlainCredentials(endpoint.username, endpoint.password),
        socket_timeout=5,
        stack_timeout=10,
        ssl_options=pika.SSLOptions(ssl.create_default_context(), endpoint.host) if endpoint.tls else None,
    )


def login_error(endpoint: Endpoint) -> str | None:
    """Log in once; returns why it failed, or None."""
    try:
        pika.BlockingConnection(connection_parameters(endpoint)).close()
    except (AMQPError, OSError) as error:
        return f"{type(error).__name__} {error}".strip()
    return None


def server_version(endpoint: Endpoint) -> str:
    """Return the version that a broker tells when a connection is opened (connection.start); empty if it tells none."""
    try:
        with socket.create_connection((endpoint.host, endpoint.port), timeout=5) as plain:
            connection = (
                ssl.create_default_context().wrap_socket(plain, server_hostname=endpoint.host)
                if endpoint.tls
                else plain
            )
            connection.settimeout(5)
            connection.sendall(_PROTOCOL_HEADER)
            start = _one_frame(connection)
    except OSError:
        return ""
    return str(start.method.server_properties.get("version", "")) if start is not None else ""


def _one_frame(connection: socket.socket) -> pika.frame.Method | None:
    received = b""
    while data := connection.recv(4096):
        received += data
        _, frame = pika.frame.decode_frame(received)
        if frame is not None:
            return frame if isinstance(frame, pika.frame.Method) else None
    return None


def wait_until_ready(endpoint: Endpoint, timeout_s: float, *, gone: Callable[[], str | None] = lambda: None) -> None:
    """Wait for the handshake and a login. `gone` tells at once why the broker can never answer. Raises BrokerError."""
    last = ""

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
        raise BrokerError(f"the broker at {endpoint} was not ready after {timeout_s:g} s: {last}")
