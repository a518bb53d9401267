"""Whether a broker answers: the AMQP handshake, then a login. An open port proves nothing, a proxy may hold it."""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable

import pika

from harness.broker.protocol import BrokerVersions, Endpoint
from harness.errors import BrokerError
from harness.traffic.closing import close
from harness.traffic.connection import HANDSHAKE_TIMEOUT_S, SOCKET_TIMEOUT_S
from harness.traffic.greeting import greet
from harness.traffic.login import GREETING_S, log_in
from harness.traffic.unreachable import Unreachable

CLIENT_NAME = "chaos"
"""What connections are called that only ask whether a broker answers."""
_POLL_S = 0.05
_WORTH_S = 0.3
"""A look with less time than this is not worth it: it would say of a busy broker that it is silent."""
_LEAST_S = 0.05
"""What the client can be given at least for a handshake."""

# Without a handler Python would print pika's own complaints about every refused attempt; the error that is raised says it once.
logging.getLogger("pika").addHandler(logging.NullHandler())


def amqp_answers(host: str, port: int, timeout_s: float = 2.0, *, tls: bool = False) -> bool:
    """Whether an AMQP 0-9-1 broker answers the protocol header with connection.start, all of it within `timeout_s`."""
    try:
        greet(host, port, tls=tls, within_s=timeout_s)
    except Unreachable:
        return False
    return True


def server_versions(endpoint: Endpoint) -> BrokerVersions:
    """Return the versions that a broker tells when a connection is opened (connection.start); empty if it tells none."""
    try:
        start = greet(endpoint.host, endpoint.port, tls=endpoint.tls, within_s=GREETING_S)
    except Unreachable:
        return BrokerVersions()
    told = start.server_properties or {}
    return BrokerVersions(
        rabbitmq=str(told.get("version", "")), erlang=str(told.get("platform", "")).removeprefix("Erlang/OTP ")
    )


def connection_parameters(endpoint: Endpoint, *, within_s: float | None = None) -> pika.ConnectionParameters:
    """Return how the harness itself connects, bounded in time; traffic has parameters of its own."""
    bound_s = HANDSHAKE_TIMEOUT_S if within_s is None else max(_LEAST_S, min(within_s, HANDSHAKE_TIMEOUT_S))
    return pika.ConnectionParameters(
        host=endpoint.host,
        port=endpoint.port,
        virtual_host=endpoint.virtual_host,
        credentials=pika.PlainCredentials(endpoint.username, endpoint.password),
        socket_timeout=min(SOCKET_TIMEOUT_S, bound_s),
        stack_timeout=bound_s,
        client_properties={"connection_name": CLIENT_NAME},
        ssl_options=pika.SSLOptions(ssl.create_default_context(), endpoint.host) if endpoint.tls else None,
    )


def check_login(endpoint: Endpoint, within_s: float) -> None:
    """Take the greeting, then log in once. Raises Unreachable, within `within_s` in all."""
    deadline = time.monotonic() + within_s
    greet(endpoint.host, endpoint.port, tls=endpoint.tls, within_s=min(GREETING_S, within_s))
    parameters = connection_parameters(endpoint, within_s=deadline - time.monotonic())
    connection = log_in([parameters], greeting_s=max(_LEAST_S, min(GREETING_S, deadline - time.monotonic())))
    close(connection, within_s=max(_LEAST_S, deadline - time.monotonic()))


def wait_until_ready(
    endpoint: Endpoint,
    timeout_s: float,
    *,
    gone: Callable[[], str | None] = lambda: None,
    give_up: bool = False,
    on_wait: Callable[[str], None] = lambda _why: None,
) -> None:
    """Wait for the handshake and a login; one deadline holds for all of it.

    `gone` returns why the broker can never answer, or None. With `give_up`, what waiting does not change ends it at once; a broker that the
    harness boots itself may change anything while it does. `on_wait` is called once, with the reason for waiting. Raises BrokerError.
    """
    deadline = time.monotonic() + timeout_s
    waited = False
    while True:
        dead = gone()
        if dead is not None:
            raise BrokerError(dead)
        try:
            return check_login(endpoint, max(_LEAST_S, deadline - time.monotonic()))
        except Unreachable as error:
            if give_up and error.lasting:
                raise
            if deadline - time.monotonic() < _WORTH_S:
                raise BrokerError(f"the broker at {endpoint} was not ready after {timeout_s:g} s: {error}") from error
            if not waited:
                waited = True
                on_wait(str(error))
        time.sleep(_POLL_S)
