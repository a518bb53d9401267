"""Why a broker cannot be reached: each reason with its own sentence, which says what was seen, where, and what to do next."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from harness.errors import BrokerError
from harness.plain import plain


class Obstacle(StrEnum):
    """What was in the way."""

    UNKNOWN_HOST = "unknown host"
    NOT_RESOLVED = "not resolved"
    REFUSED = "refused"
    NO_ROUTE = "no route"
    CLOSED = "closed"
    SILENT = "silent"
    UNFINISHED = "unfinished"
    OTHER_PROTOCOL = "other protocol"
    OTHER_VERSION = "other version"
    UNREADABLE = "unreadable"
    TLS_THERE = "TLS there"
    NO_TLS = "no TLS"
    CERTIFICATE = "certificate"
    NO_PASSWORD_LOGIN = "no login by password"  # noqa: S105 - no secret
    LOGIN_REFUSED = "login refused"
    VIRTUAL_HOST = "virtual host"
    LOGIN_CLOSED = "login closed"
    STALLED = "stalled"


LASTING: Final = frozenset(
    {
        Obstacle.UNKNOWN_HOST,
        Obstacle.OTHER_PROTOCOL,
        Obstacle.OTHER_VERSION,
        Obstacle.UNREADABLE,
        Obstacle.TLS_THERE,
        Obstacle.NO_TLS,
        Obstacle.CERTIFICATE,
        Obstacle.NO_PASSWORD_LOGIN,
        Obstacle.LOGIN_REFUSED,
        Obstacle.VIRTUAL_HOST,
    }
)
"""What waiting does not change at an address that somebody else runs. All others may be a broker that boots, or is busy."""
NOBODY: Final = frozenset(
    {
        Obstacle.UNKNOWN_HOST,
        Obstacle.REFUSED,
        Obstacle.NO_ROUTE,
        Obstacle.CLOSED,
        Obstacle.OTHER_PROTOCOL,
        Obstacle.OTHER_VERSION,
        Obstacle.UNREADABLE,
        Obstacle.TLS_THERE,
        Obstacle.NO_TLS,
    }
)
"""What shows that no broker serves there. One that is silent may be busy."""


class Unreachable(BrokerError):  # noqa: N818 - it reads as what it says
    """A broker was not reached, or did not let us in."""

    def __init__(self, obstacle: Obstacle, sentence: str) -> None:
        """Say what was in the way."""
        self.obstacle = obstacle
        super().__init__(plain(sentence))

    @property
    def lasting(self) -> bool:
        """Whether waiting does not help."""
        return self.obstacle in LASTING


def where(host: str, port: int) -> str:
    """Write an address as people do, an IPv6 one in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def unknown_host(host: str, said: str) -> Unreachable:
    """No name service knows the host."""
    return Unreachable(Obstacle.UNKNOWN_HOST, f"the host {host!r} is unknown ({said}); correct the broker's address")


def not_resolved(host: str, said: str) -> Unreachable:
    """No name service answered."""
    sentence = f"the host {host!r} could not be looked up ({said}); is this machine's name service reachable?"
    return Unreachable(Obstacle.NOT_RESOLVED, sentence)


def refused(at: str) -> Unreachable:
    """No process listens."""
    sentence = f"{at} refuses connections: nothing listens there; start the broker, or correct its address"
    return Unreachable(Obstacle.REFUSED, sentence)


def no_route(at: str, said: str) -> Unreachable:
    """No connection, for another reason."""
    sentence = f"{at} cannot be connected to ({said}); correct the broker's address, or see to the network between"
    return Unreachable(Obstacle.NO_ROUTE, sentence)


def closed(at: str) -> Unreachable:
    """The connection ended before a byte came."""
    sentence = (
        f"{at} closed the connection without a word; is that a proxy whose broker is down, or a TLS port (amqps://)?"
    )
    return Unreachable(Obstacle.CLOSED, sentence)


def silent(at: str, what: str = "AMQP") -> Unreachable:
    """A connection, and not a byte."""
    remedy = "or does it speak TLS (amqps://)" if what == "AMQP" else "or is that no TLS port"
    sentence = (
        f"{at} takes connections and does not answer the {what} handshake; is the broker frozen or busy, {remedy}?"
    )
    return Unreachable(Obstacle.SILENT, sentence)


def unfinished(at: str) -> Unreachable:
    """Some bytes of a greeting, and no end of it."""
    sentence = f"{at} began to answer the AMQP handshake and did not finish its greeting in time; is the broker, or the network, overloaded?"
    return Unreachable(Obstacle.UNFINISHED, sentence)


def other_protocol(at: str, protocol: str, hint: str = "") -> Unreachable:
    """A server of something else."""
    sentence = f"{at} speaks {protocol}, not AMQP; correct the port: brokers listen on 5672, with TLS on 5671{hint}"
    return Unreachable(Obstacle.OTHER_PROTOCOL, sentence)


def other_version(at: str, version: str) -> Unreachable:
    """A server of AMQP, in a version that is not spoken here."""
    sentence = f"{at} answers with AMQP {version}, and AMQP 0-9-1 is needed; enable it there, or name a RabbitMQ broker"
    return Unreachable(Obstacle.OTHER_VERSION, sentence)


def unreadable(at: str, what: str) -> Unreachable:
    """Bytes that are no AMQP."""
    sentence = f"{at} sends what is no AMQP 0-9-1 ({what}); correct the broker's address, or see what listens there"
    return Unreachable(Obstacle.UNREADABLE, sentence)


def tls_there(at: str) -> Unreachable:
    """A TLS server, asked without TLS."""
    sentence = f"{at} speaks TLS, and the address says amqp://; write amqps:// if that is the broker's TLS port"
    return Unreachable(Obstacle.TLS_THERE, sentence)


def no_tls(at: str) -> Unreachable:
    """A server without TLS, asked with TLS."""
    sentence = f"{at} does not speak TLS, and the address says amqps://; write amqp://, or the broker's TLS port (5671)"
    return Unreachable(Obstacle.NO_TLS, sentence)


def certificate(at: str, said: str) -> Unreachable:
    """A TLS server that is not trusted."""
    sentence = f"the TLS certificate of {at} is not trusted ({said}); SSL_CERT_FILE names the authorities to trust"
    return Unreachable(Obstacle.CERTIFICATE, sentence)


def no_password_login(at: str, offered: str) -> Unreachable:
    """Logins of other kinds only."""
    sentence = f"the broker at {at} offers no login by password (PLAIN), but {offered or 'none'}; enable PLAIN there"
    return Unreachable(Obstacle.NO_PASSWORD_LOGIN, sentence)


def login_refused(at: str, user: str, said: str) -> Unreachable:
    """A wrong user or password."""
    sentence = (
        f"the broker at {at} refuses the login of user {user!r} ({said}); correct the user and password in its address "
        "(it lets guest in from its own machine only)"
    )
    return Unreachable(Obstacle.LOGIN_REFUSED, sentence)


def virtual_host_refused(at: str, user: str, virtual_host: str, said: str) -> Unreachable:
    """A virtual host that is missing or closed to the user."""
    sentence = (
        f"the broker at {at} does not let user {user!r} into the virtual host {virtual_host!r} ({said}); "
        "add it there (rabbitmqctl add_vhost, set_permissions), or correct the address"
    )
    return Unreachable(Obstacle.VIRTUAL_HOST, sentence)


def login_closed(at: str, said: str = "") -> Unreachable:
    """The connection ended between greeting and open."""
    sentence = f"the broker at {at} closed the connection during the login{f': {said}' if said else ''}; see its log"
    return Unreachable(Obstacle.LOGIN_CLOSED, sentence)


def stalled(at: str) -> Unreachable:
    """A greeting, and no login."""
    sentence = f"the broker at {at} did not finish the handshake in time; is the broker frozen or busy?"
    return Unreachable(Obstacle.STALLED, sentence)
