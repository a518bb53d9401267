"""The base of every fault: an action of the scenario language that carries its injection and its healing."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar

from harness.faults.context import FaultContext
from harness.scenario.timeline import Action


@dataclass(frozen=True, slots=True)
class FaultTargets:
    """What a fault that is drawn by chance finds to strike."""

    publishers: int
    """How many there are; so for the others."""
    workers: int
    one_group: bool
    """Whether the workers are one group."""
    nodes: int


@dataclass(frozen=True, slots=True)
class Injection:
    """What an injection did.

    `heal_after_s` tells when the fault heals by itself, in seconds after the strike; None leaves it to the end of the
    run. `healable` is False for what is over at once.
    """

    title: str
    targets: tuple[str, ...]
    detail: str = ""
    clean: bool | None = None
    healable: bool = False
    heal_after_s: float | None = None
    times: int = 1
    """How often it was done, for an action that is done several times."""
    held: dict[str, int] = field(default_factory=dict)
    """How much each struck actor held, where that was looked at."""
    taken: int | None = None
    """How many messages it took, where the broker says so."""


class Fault(Action):
    """An action that can be done. Subclasses add their fields, `effects`, `inject` and `heal`."""

    family: ClassVar[str]
    """Its kind, for readers of reports: broker, process, connection, topology, traffic, scale, or one of its own."""
    colour: ClassVar[str]
    """Of its band in the report, as #rrggbb."""
    asks_broker: ClassVar[bool] = False
    """Whether it is done by asking the broker for something: it waits while a step has the only node down or frozen."""

    @classmethod
    def draw(cls, targets: FaultTargets, random: Random) -> dict[str, Any] | None:  # noqa: ARG003 - for those that draw
        """Draw one by chance for `chaos explore`: one that takes no message that acks and durability keep, and that heals.

        Returns what stands behind its key in a scenario. None, the default, leaves this kind out.
        """
        return None

    def struck_family(self) -> str:
        """Return its kind; for a class whose targets decide."""
        return self.family

    def noun(self, targets: tuple[str, ...]) -> tuple[str, str]:  # noqa: ARG002 - for those whose targets decide
        """Name what it does, once and several times, as in `across 2 broker restarts`."""
        return self.name, f"{self.name}s"

    @abstractmethod
    def inject(self, context: FaultContext) -> Injection:
        """Do it; returns when it has had its effect. Raises NoTargetError, or BrokerError."""

    def heal(self, context: FaultContext, injection: Injection) -> None:
        """Undo it; returns when it is undone."""
