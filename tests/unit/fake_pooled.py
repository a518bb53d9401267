"""A broker that runs nothing, for tests of the pool.

It remembers every call, and answers like a healthy node unless a test tells it otherwise.
"""

from __future__ import annotations

import base64
import struct
from dataclasses import dataclass, field

from harness.broker.protocol import (
    Ability,
    BrokerSettings,
    BrokerVersions,
    ControlResult,
    Endpoint,
    StopReport,
)
from harness.errors import BrokerError
from harness.ledger import Ledger

HASHED = ("virtual hosts", "users", "settings")


def printed(term: object) -> str:
    """Write a term as `rabbitmqctl eval` prints what `harness.broker.erlang.evaluate` asks for."""
    return f'["{base64.b64encode(bytes([131]) + _encoded(term)).decode()}"]'


def _encoded(term: object) -> bytes:
    match term:
        case bool():
            return _encoded(str(term).lower().encode())
        case int():
            return struct.pack(">Bi", 98, term)
        case bytes():  # an atom
            return struct.pack(">BB", 119, len(term)) + term
        case str():  # a list of small numbers
            return struct.pack(">BH", 107, len(term)) + term.encode()
        case tuple():
            return struct.pack(">BB", 104, len(term)) + b"".join(map(_encoded, term))
        case list():
            return struct.pack(">BI", 108, len(term)) + b"".join(map(_encoded, term)) + bytes([106])
    raise AssertionError(term)


@dataclass(eq=False)
class FakeBroker:
    """One broker that the pool made."""

    settings: BrokerSettings
    ledger: Ledger
    name: str = "native"
    abilities: frozenset[Ability] = frozenset(Ability)
    calls: list[str] = field(default_factory=list)
    nodes: tuple[str, ...] = ()
    log: str = ""
    fails_to_start: bool = False
    fails_to_end: bool = False
    cannot_be_asked: bool = False
    hosts: list[str] = field(default_factory=list)
    """Virtual hosts, beside `/`."""
    left: int = 0
    """What somebody left behind: anything but 0 is not as after the boot."""
    alarms: int = 0
    running: int = 0
    clients: int = 0
    dead: bool = False
    ended: bool = False

    def start(self) -> None:
        self.calls.append("start")
        self.nodes = tuple(f"n{number}" for number in range(1, self.settings.nodes + 1))
        self.running = self.settings.nodes
        self.log = "boot\n"
        if self.fails_to_start:
            raise BrokerError("it does not boot")

    def control(self, *arguments: str, node: int = 0, timeout_s: float = 0.0) -> ControlResult:  # noqa: ARG002
        what, expression = arguments[0], arguments[-1]
        if what != "eval":
            self.calls.append(what)
            return ControlResult(0, "", "")
        if self.cannot_be_asked:
            return ControlResult(70, "", "no answer")
        if "rabbit_vhost:" not in expression:
            return ControlResult(0, printed(b"ok"), "")
        written = expression.partition("V = <<")[2].partition(">>")[0]
        host = bytes(int(number) for number in written.split(",")).decode()
        if "rabbit_vhost:delete" in expression:
            self.calls.append(f"delete {host}")
            self.hosts.remove(host)
            return ControlResult(0, printed(b"true"), "")
        self.calls.append(f"make {host}")
        state = [(name, len(self.hosts) + self.left) for name in HASHED]
        self.hosts.append(host)
        return ControlResult(0, printed((self.running, self.alarms, self.clients, state)), "")

    def endpoint(self, node: int = 0) -> Endpoint:
        return Endpoint("127.0.0.1", 20000 + node)

    def alive(self, node: int = 0) -> bool:  # noqa: ARG002
        return not self.dead

    def logs(self) -> dict[str, str]:
        return dict.fromkeys(self.nodes, self.log)

    def destroy(self) -> None:
        self.calls.append("destroy")
        if self.fails_to_end:
            raise BrokerError("it cannot be removed")
        self.ended = True

    def kill(self, node: int = 0) -> None:
        self.calls.append(f"kill {node}")

    def stop(self, node: int = 0) -> StopReport:
        self.calls.append(f"stop {node}")
        return StopReport(True, 0)

    def start_node(self, node: int = 0) -> None:
        self.calls.append(f"start node {node}")

    def ready(self, node: int = 0, *, timeout_s: float | None = None) -> None:
        """It is."""

    def pause(self, node: int = 0) -> None:
        self.calls.append(f"pause {node}")

    def resume(self, node: int = 0) -> None:
        self.calls.append(f"resume {node}")

    def versions(self) -> BrokerVersions:
        return BrokerVersions("4.3.6")
