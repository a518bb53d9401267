"""Close client connections from the broker's side."""

from __future__ import annotations

from random import Random
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from harness.broker.connections import close_connections
from harness.effects import AtRisk, Cuts, Effects
from harness.faults.base import Fault, FaultTargets, Injection
from harness.faults.context import FaultContext
from harness.scenario.quantities import Duration, format_duration


class CloseConnections(Fault):
    """Close every client connection, once or several times. Source: rabbitmqctl close_all_connections."""

    name: ClassVar[str] = "close"
    family = "connection"
    colour = "#d35400"

    connections: Literal["all"] = "all"
    times: Annotated[int, Field(ge=1, le=100)] = 1
    """How often."""
    every: Duration = 0.5
    """Time between two closings."""

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        """`close: connections` stands for all of them, once."""
        return {} if value == "connections" else value

    @classmethod
    def draw(cls, targets: FaultTargets, random: Random) -> dict[str, Any]:  # noqa: ARG003 - it strikes all that there is
        """Draw how often."""
        return {"connections": "all", "times": random.randint(1, 3), "every": "500ms"}

    def broker_abilities(self) -> frozenset[str]:
        """It takes rabbitmqctl."""
        return frozenset({"control"})

    def leaves_behind(self) -> str:
        """It leaves nothing: connections are its own variant's."""
        return ""

    def title(self) -> str:
        """Describe the action as planned."""
        return _title(self.times)

    def how_long(self) -> str:
        """Say what lies between two closings."""
        return f"every {format_duration(self.every)}" if self.times > 1 else ""

    def strikes(self) -> int:
        """Each closing is a strike."""
        return self.times

    def effects(self) -> Effects:
        """It cuts everyone off, once or several times; clients may connect again at once."""
        return Effects(cuts=Cuts.EVERYONE, at_risk=AtRisk.ON_CUT_CONNECTIONS, claims_broker=True)

    def noun(self, targets: tuple[str, ...]) -> tuple[str, str]:  # noqa: ARG002 - it has no others
        """Name each closing."""
        return "closing of all connections", "closings of all connections"

    def inject(self, context: FaultContext) -> Injection:
        """Close, `times` times, or until the run ends."""
        done = 0
        while done < self.times:
            if done:
                context.wait(self.every)
                if context.over():
                    break
            close_connections(context.broker, context.target.virtual_host, "closed by the scenario")
            done += 1
        return Injection(_title(done), context.broker.nodes, times=done)


def _title(times: int) -> str:
    return "close all connections" if times == 1 else f"close all connections {times} times"
