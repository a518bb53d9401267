"""A broker of the pool as one variant has it: in a virtual host of its own, and for itself alone until it gives it back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from harness.broker.protocol import (
    CONTROL_TIMEOUT_S,
    Ability,
    Broker,
    BrokerVersions,
    ControlResult,
    Endpoint,
    StopReport,
)
from harness.broker.ready import wait_until_ready
from harness.broker.virtual_host import BrokerState
from harness.errors import BrokerError

READY_TIMEOUT_S: Final = 60.0
"""How long a node that answers may take to let clients into the user's virtual host."""


@dataclass(slots=True, eq=False)
class Pooled:
    """A broker that the pool has made, and what is known of it."""

    broker: Broker
    origin: str
    """Where it came from, for its present user."""
    users: int = 0
    """How many variants have had it, the present one included."""
    booted: BrokerState | None = None
    """How it was when it had booted; None where it could not be asked."""
    virtual_host: str | None = None
    """Of its present user, if it has one of its own."""
    problem: str = ""
    """Why nobody may have it again; empty while somebody may."""
    before: dict[str, int] = field(default_factory=dict)
    """How much of each node's log is of earlier users, in characters."""


class Lender(Protocol):
    """Who gives brokers to one user at a time."""

    def take(self) -> Pooled:
        """Give one, started already or not (`users` is 0). Raises BrokerError."""

    def start(self, pooled: Pooled) -> None:
        """Start one that was given so. Raises BrokerError."""

    def give_back(self, pooled: Pooled) -> None:
        """Take it back. Raises BrokerError where it has to be ended, and cannot be."""


class LentBroker:
    """A `Broker`. Starting it borrows one, destroying it gives it back; what it did is passed on to whoever has it meanwhile."""

    def __init__(self, name: str, abilities: frozenset[Ability], lender: Lender, spoiled: str) -> None:
        """Prepare; nothing is borrowed. `spoiled` says why nobody may have it after this user; empty if somebody may."""
        self.name = name
        self.abilities = abilities
        self._lender = lender
        self._spoiled = spoiled
        self._lent: Pooled | None = None
        self._nodes: tuple[str, ...] = ()
        self._logs: dict[str, str] = {}

    @property
    def origin(self) -> str:
        """Where the broker came from; known once started."""
        return "" if self._lent is None else self._lent.origin

    def borrow(self) -> bool:
        """Borrow a broker, one that is healthy if there is one; returns whether it runs already. Raises BrokerError."""
        lent = self._lent = self._lender.take()
        self.retire(self._spoiled)
        return lent.users > 0

    def start(self) -> None:
        """Have a broker that runs: `borrow` one if that was not done, and boot it if it does not run."""
        if self._lent is None:
            self.borrow()
        lent = self._lent
        assert lent is not None  # noqa: S101 - borrowed
        if not lent.users:
            try:
                self._lender.start(lent)
            except BaseException:
                self.retire("it did not start")
                raise
        self._nodes = lent.broker.nodes

    def retire(self, why: str) -> None:
        """Let nobody have it after this user. The first reason stays; an empty one is none."""
        if self._lent is not None:
            self._lent.problem = self._lent.problem or why

    def destroy(self) -> None:
        """Give it back; nothing happens the second time."""
        lent, self._lent = self._lent, None
        if lent is not None:
            self._lender.give_back(lent)

    @property
    def _broker(self) -> Broker:
        if self._lent is None:
            raise BrokerError("this variant has no broker: it was not started, or was given back")
        return self._lent.broker

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes' names."""
        return self._nodes or (() if self._lent is None else self._lent.broker.nodes)

    def endpoint(self, node: int = 0) -> Endpoint:
        """Where clients connect to, with the virtual host of this user."""
        endpoint = self._broker.endpoint(node)
        own = None if self._lent is None else self._lent.virtual_host
        return endpoint if own is None else replace(endpoint, virtual_host=own)

    def ready(self, node: int = 0, *, timeout_s: float | None = None) -> None:
        """Wait for a login, in the user's own virtual host too."""
        self._broker.ready(node, timeout_s=timeout_s)
        wait_until_ready(self.endpoint(node), READY_TIMEOUT_S if timeout_s is None else timeout_s)

    def stop(self, node: int = 0) -> StopReport:
        """Stop a node in order."""
        self._node_struck()
        return self._broker.stop(node)

    def start_node(self, node: int = 0) -> None:
        """Start a node again with its data."""
        self._broker.start_node(node)
        self.ready(node)

    def kill(self, node: int = 0) -> None:
        """SIGKILL."""
        self._node_struck()
        self._broker.kill(node)

    def pause(self, node: int = 0) -> None:
        """Freeze."""
        self._node_struck()
        self._broker.pause(node)

    def resume(self, node: int = 0) -> None:
        """Thaw."""
        self._broker.resume(node)

    def alive(self, node: int = 0) -> bool:
        """Whether the node's process is there."""
        return self._broker.alive(node)

    def control(self, *arguments: str, node: int = 0, timeout_s: float = CONTROL_TIMEOUT_S) -> ControlResult:
        """Run rabbitmqctl. What it leaves behind nobody knows, but that asking (`eval`) leaves nothing."""
        if arguments[:1] != ("eval",):
            self.retire(f"rabbitmqctl {' '.join(arguments[:1])} was run on it")
        return self._broker.control(*arguments, node=node, timeout_s=timeout_s)

    def versions(self) -> BrokerVersions:
        """What runs."""
        return self._broker.versions()

    def logs(self) -> dict[str, str]:
        """Each node's log since this user has the broker, or from its boot on; what was last read of it once it was given back."""
        if self._lent is not None:
            before = self._lent.before
            self._logs = {node: log[before.get(node, 0) :] for node, log in self._lent.broker.logs().items()}
        return self._logs

    def _node_struck(self) -> None:
        if len(self.nodes) > 1:
            self.retire("a node of the cluster was struck")
