"""Scale a group of workers up or down."""

from __future__ import annotations

from random import Random
from typing import Annotated, Any, ClassVar

from pydantic import Field

from harness.effects import Cuts, Effects
from harness.faults.base import Fault, FaultTargets, Injection
from harness.faults.context import FaultContext


class Scale(Fault):
    """Bring a group of workers to another number; surplus workers stop in order."""

    name: ClassVar[str] = "scale"
    family = "scale"
    colour = "#148f77"

    to: Annotated[int, Field(ge=0, le=1000)]
    """How many workers there shall be."""
    workers: str | None = None
    """The group; the only one if not given."""

    @classmethod
    def draw(cls, targets: FaultTargets, random: Random) -> dict[str, Any] | None:
        """Draw a number between one worker and twice as many as there are, where there is one group to scale."""
        return {"to": random.randint(1, 2 * targets.workers)} if targets.one_group else None

    def actors(self) -> tuple[tuple[str, str], ...]:
        """The group must exist."""
        return (("worker group", self.workers),) if self.workers is not None else ()

    def scales(self) -> tuple[str | None, int]:
        """Say how many workers the group has after it."""
        return self.workers, self.to

    def title(self) -> str:
        """Describe the action as planned."""
        return f"scale {self.workers or 'workers'} to {self.to}"

    def effects(self) -> Effects:
        """Surplus workers disconnect in order."""
        return Effects(cuts=Cuts.TARGETS)

    def noun(self, targets: tuple[str, ...]) -> tuple[str, str]:  # noqa: ARG002 - it has no others
        """Name it."""
        return "scaling", "scalings"

    def inject(self, context: FaultContext) -> Injection:
        """Start or stop workers."""
        names = context.actors.scale(self.workers, self.to, context.fault)
        return Injection(self.title(), names, detail=f"{len(names)} workers changed")
