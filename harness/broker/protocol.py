"""What the engine asks of a broker: one small protocol, and optional abilities beside it.

A backend (native, container, compose, external) implements `Broker`. What only some backends can do is an
`Ability`; a fault names the abilities it needs, so that asking for the impossible is a scenario error before
anything is started, never a surprise in the run.

Every method blocks until it is done, is bounded in time, and raises `harness.errors.BrokerError` with one
clear sentence when it cannot be done. A node is addressed by its index, 0 for a single broker.
Methods may be called from several threads, though never two at once for the same node.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol, runtime_checkable
from urllib.parse import quote

from harness.masking import MASK
from harness.traffic.unreachable import where


class Ability(StrEnum):
    """What a backend may or may not be able to do to a node."""

    RESTART = "restart"
    """Stop a node cleanly and start it again."""
    KILL = "kill"
    """End a node with SIGKILL and start it again."""
    PAUSE = "pause"
    """Freeze a node (SIGSTOP or the cgroup freezer) and thaw it."""
    CONTROL = "control"
    """Run rabbitmqctl on a node."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where AMQP clients connect to one node."""

    host: str
    port: int
    username: str = "guest"
    password: str = field(default="guest", repr=False)
    virtual_host: str = "/"
    tls: bool = False

    @property
    def _where(self) -> str:
        return where(self.host, self.port)

    @property
    def url(self) -> str:
        """The AMQP URL with its password: for clients only, never for output."""
        scheme = "amqps" if self.tls else "amqp"
        user, password = quote(self.username, safe=""), quote(self.password, safe="")
        return f"{scheme}://{user}:{password}@{self._where}/{quote(self.virtual_host, safe='')}"

    def __str__(self) -> str:
        """The AMQP URL with the password masked."""
        scheme = "amqps" if self.tls else "amqp"
        return f"{scheme}://{self.username}:{MASK}@{self._where}/{quote(self.virtual_host, safe='')}"


@dataclass(frozen=True, slots=True)
class StopReport:
    """How a node ended. `clean` is False when a stop had to end in SIGKILL; `exit_code` is None if unknown."""

    clean: bool
    exit_code: int | None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class BrokerVersions:
    """What runs. Empty strings where a backend cannot tell (an external broker tells what its handshake says)."""

    rabbitmq: str = ""
    erlang: str = ""
    image: str = ""
    image_digest: str = ""


@dataclass(frozen=True, slots=True)
class ControlResult:
    """What a rabbitmqctl call answered."""

    exit_code: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """What a scenario or the command line asks of a broker, resolved.

    `config` holds rabbitmq.conf keys and values. `image` is empty for the default. `run_id` labels everything
    that is started. `directory` is the run's own directory for data and logs of the native backend
    and for logs of all.
    """

    run_id: str
    directory: Path
    image: str = ""
    config: dict[str, str] = field(default_factory=dict)
    plugins: tuple[str, ...] = ()
    permit: tuple[str, ...] = ()
    """Deprecated features to permit, e.g. `transient_nonexcl_queues` on 4.3. Set where the broker's version knows them and
    harmless where it does not (advanced.config, whose unknown keys every version ignores)."""
    nodes: int = 1
    """How many nodes form the cluster."""
    start_timeout_s: float = 60.0
    stop_timeout_s: float = 30.0
    fresh: bool = False
    """Whether the broker must be the run's alone."""
    virtual_host: str = "/"
    """What the run's virtual host is called on a broker that other runs use before and after it."""
    spoiled_by: str = ""
    """Why no other run may use the broker after this one; empty if one may."""


CONTROL_TIMEOUT_S = 60.0
"""How long rabbitmqctl may take: it starts a virtual machine of its own, on a machine that may be at its limit."""


@runtime_checkable
class Broker(Protocol):
    """A broker of one or more nodes, as the engine sees it."""

    name: str
    """The backend's name as in the scenario file: native, container, compose or external."""

    abilities: frozenset[Ability]

    def start(self) -> None:
        """Provision and start every node; returns when each answers the AMQP handshake."""

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes' names, for lanes and messages; known once started."""

    def endpoint(self, node: int = 0) -> Endpoint:
        """Where clients connect to; the same before and after a restart."""

    def ready(self, node: int = 0, *, timeout_s: float | None = None) -> None:
        """Wait until a node answers the AMQP handshake and accepts a login (default: the start timeout)."""

    def stop(self, node: int = 0) -> StopReport:
        """Stop a node cleanly, keeping its data; says whether it was seen to be clean."""

    def start_node(self, node: int = 0) -> None:
        """Start a stopped or killed node again with its data; returns when it is ready."""

    def kill(self, node: int = 0) -> None:
        """End a node with SIGKILL, keeping its data; returns when it is seen to be dead."""

    def pause(self, node: int = 0) -> None:
        """Freeze a node."""

    def resume(self, node: int = 0) -> None:
        """Thaw a frozen node; no error when it is not frozen."""

    def alive(self, node: int = 0) -> bool:
        """Whether the node's process is there (frozen counts as alive).

        False only where it is seen to be gone. Raises BrokerError where nothing answers, which may be a busy node.
        """

    def control(self, *arguments: str, node: int = 0, timeout_s: float = CONTROL_TIMEOUT_S) -> ControlResult:
        """Run rabbitmqctl with `arguments` on a node."""

    def versions(self) -> BrokerVersions:
        """What runs; asked once after the start."""

    def logs(self) -> dict[str, str]:
        """Each node's own log so far, by node name."""

    def destroy(self) -> None:
        """End every node and remove everything `start` made; safe to call at any time, any number of times."""
