"""Who answers at an address: a look at it with a socket and one deadline, up to the greeting of a broker (connection.start).

The AMQP client says of most other servers only that they are incompatible, or waits for the rest of a frame that will never come.
Eight bytes tell them apart.
"""

from __future__ import annotations

import errno
import re
import socket
import ssl
import threading
import time
from typing import Final, cast

import pika
from pika import spec

from harness.plain import plain
from harness.traffic import unreachable
from harness.traffic.client_errors import ClientError, client_errors
from harness.traffic.unreachable import Unreachable

_HEADER: Final = b"AMQP\x00\x00\x09\x01"
_FRAME_HEADER: Final = 7
_LONGEST_START: Final = 64 * 1024
"""A connection.start is below a kilobyte; what announces more is no broker."""
_METHOD: Final = b"\x01\x00\x00"
"""What a frame with a method on channel 0 begins with."""
_TLS: Final = re.compile(rb"[\x14-\x17]\x03[\x00-\x04]", re.DOTALL)
"""What a record of TLS begins with."""
_BANNERS: Final = (
    (re.compile(rb"HTTP/"), "HTTP", " (15672 is RabbitMQ's management page)"),
    (re.compile(rb"<"), "HTTP", " (15672 is RabbitMQ's management page)"),
    (re.compile(rb"SSH-"), "SSH", ""),
    (re.compile(rb"\d{3}[ -]"), "SMTP or FTP", ""),
    (re.compile(rb"[-+$*:][\x20-\x7e\r]"), "the protocol of Redis", ""),
)


def greet(host: str, port: int, *, tls: bool = False, within_s: float) -> spec.Connection.Start:
    """Return the greeting of the broker at an address. Raises Unreachable, within `within_s` in all, whatever the other side does.

    Raises OSError where this process may open no more files.
    """
    deadline = time.monotonic() + within_s
    at = unreachable.where(host, port)
    connection = _connect(host, port, at, deadline)
    with connection:
        if tls:
            connection = _secured(connection, host, at, deadline)
        with connection:
            return _greeting(connection, at, deadline)


def _left(deadline: float) -> float:
    """Return how long is left, as a timeout of a socket: never none."""
    return max(0.001, deadline - time.monotonic())


def _connect(host: str, port: int, at: str, deadline: float) -> socket.socket:
    last: OSError | None = None
    for family, kind, protocol, _, address in _resolved(host, port, deadline):
        try:
            connection = socket.socket(family, kind, protocol)
        except OSError as error:  # a machine without IPv6
            if error.errno in (errno.EMFILE, errno.ENFILE):
                raise  # waiting for the broker would open no file
            last = error
            continue
        try:
            connection.settimeout(_left(deadline))
            connection.connect(address)
        except OSError as error:
            connection.close()
            last = error
        else:
            return connection
    match last:
        case ConnectionRefusedError():
            raise unreachable.refused(at) from last
        case ConnectionResetError():
            raise unreachable.closed(at) from last
        case TimeoutError():
            raise unreachable.no_route(at, "no answer in time") from last
    raise unreachable.no_route(at, str(last.strerror or last) if last else "it has no address") from last


def _resolved(host: str, port: int, deadline: float) -> list[tuple[int, int, int, str, tuple[str, int]]]:
    """Look a host up, on a thread: a name service that does not answer holds up who asks it for half a minute."""
    found: list[object] = []

    def look_up() -> None:
        try:
            found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            found.append(error)

    looking = threading.Thread(target=look_up, daemon=True)
    looking.start()
    looking.join(_left(deadline))
    match found:
        case []:
            raise unreachable.not_resolved(host, "no answer in time")
        case [socket.gaierror() as error] if error.errno in (socket.EAI_AGAIN, socket.EAI_SYSTEM):
            raise unreachable.not_resolved(host, str(error.strerror))
        case [OSError() as error]:
            raise unreachable.unknown_host(host, error.strerror or str(error)) from error
        case [UnicodeError() as error]:
            raise unreachable.unknown_host(host, "that is no host name") from error
    return cast("list[tuple[int, int, int, str, tuple[str, int]]]", found)


def _secured(connection: socket.socket, host: str, at: str, deadline: float) -> ssl.SSLSocket:
    connection.settimeout(_left(deadline))
    try:
        return ssl.create_default_context().wrap_socket(connection, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        raise unreachable.certificate(at, error.verify_message) from error
    except TimeoutError as error:
        raise unreachable.silent(at, "TLS") from error
    except (ssl.SSLEOFError, ConnectionError) as error:
        raise unreachable.closed(at) from error
    except OSError as error:  # of which ssl.SSLError is one
        raise unreachable.no_tls(at) from error


def _greeting(connection: socket.socket, at: str, deadline: float) -> spec.Connection.Start:
    received, ended = b"", False
    size = _FRAME_HEADER + 1
    try:
        connection.settimeout(_left(deadline))
        connection.sendall(_HEADER)
        while len(received) < size and not ended:
            data = _next(connection, deadline)
            received, ended = received + data, not data
            if len(received) >= _FRAME_HEADER and _is_beginning(received):
                size = _FRAME_HEADER + int.from_bytes(received[3:_FRAME_HEADER], "big") + 1
    except TimeoutError as error:
        if not received:
            raise unreachable.silent(at) from error
    except OSError as error:  # what came before the end says more than how it ended
        if not received:
            raise unreachable.closed(at) from error
    if not received:
        raise unreachable.closed(at)
    if not _is_beginning(received):
        raise _stranger(received, at)
    if len(received) < size:
        raise unreachable.unfinished(at)
    return _start(received[:size], at)


def _next(connection: socket.socket, deadline: float) -> bytes:
    """Take what comes; none is the end. Raises TimeoutError at the deadline, also where something always comes."""
    if time.monotonic() >= deadline:
        raise TimeoutError
    connection.settimeout(_left(deadline))
    return connection.recv(4096)


def _is_beginning(received: bytes) -> bool:
    """Whether bytes may be the beginning of a greeting."""
    size = int.from_bytes(received[3:_FRAME_HEADER], "big") if len(received) >= _FRAME_HEADER else 0
    return received[:3] == _METHOD[: len(received)] and size <= _LONGEST_START


def _stranger(received: bytes, at: str) -> Unreachable:
    """Tell what it is that sent something else."""
    if _TLS.match(received):
        return unreachable.tls_there(at)
    if received.startswith(b"AMQP") and len(received) >= len(_HEADER):
        return unreachable.other_version(at, _version(received[4:8]))
    for banner, protocol, hint in _BANNERS:
        if banner.match(received):
            return unreachable.other_protocol(at, protocol, hint)
    return unreachable.unreadable(at, f"its answer begins with {_shown(received)}")


def _version(header: bytes) -> str:
    """Return the version that a protocol header asks for, as people say it."""
    match tuple(header):
        case ((0 | 2 | 3), 1, 0, 0):
            return "1.0"
        case 1, 1, 8, 0:
            return "0-8"
        case 1, 1, 0, minor:
            return f"0-{minor}"
    return ".".join(map(str, header))


def _shown(received: bytes) -> str:
    return plain(repr(received[:16]).removeprefix("b"))


def _start(frame: bytes, at: str) -> spec.Connection.Start:
    try:
        with client_errors():
            _, decoded = pika.frame.decode_frame(frame)
    except ClientError as error:
        raise unreachable.unreadable(at, "its greeting cannot be decoded") from error
    method = getattr(decoded, "method", None)
    if not isinstance(method, spec.Connection.Start):
        what = getattr(method, "NAME", None) or "no method"
        raise unreachable.unreadable(at, f"its greeting is {what}, where Connection.Start is due")
    return method
