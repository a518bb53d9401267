"""How a step names what it strikes: a node, or publishers and workers by name, number or what they hold."""

from __future__ import annotations

import time
from random import Random
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from harness.effects import Becomes, Effects, on_node, on_process
from harness.faults.base import Fault, FaultTargets
from harness.faults.context import FaultContext, Holding, NoTargetError

if TYPE_CHECKING:
    from harness.events import Role

ANY: Final = "any"
ALL: Final = "all"
HOLDING: Final = ("holding deliveries", "holding unconfirmed", "holding")
_NOT_OF: Final = {"worker": "holding unconfirmed", "publisher": "holding deliveries"}
"""What the other role holds."""
FIND_TARGET_TIMEOUT_S: Final = 30.0

DRAWN_PAUSES: Final = ("100ms", "300ms", "1s", "2s")
"""How long what was drawn by chance takes to heal: short enough for several in a run, the longest well above a heartbeat's tick."""

WorkerSelector = Annotated[
    int | str,
    Field(
        union_mode="left_to_right",
        description="A name (worker-2), a number, any, all, or `holding deliveries`: one that is seen to hold some when it is frozen.",
    ),
]
PublisherSelector = Annotated[
    int | str,
    Field(
        union_mode="left_to_right",
        description="A name (publisher-2), a number, any, all, or `holding unconfirmed`: one that is seen to wait for confirms when it is frozen.",
    ),
]
NodeSelector = Annotated[
    int | Literal["any", "all"],
    Field(union_mode="left_to_right", description="The node's number from 0, any, or all; a single broker is `any`."),
]


class Targeted(Fault):
    """A fault that strikes a broker node, workers or publishers: exactly one of the three is given."""

    becomes: ClassVar[Becomes]
    """What becomes of whom it strikes."""

    broker: NodeSelector | None = None
    worker: WorkerSelector | None = None
    publisher: PublisherSelector | None = None

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        """`kill: broker`, `kill: worker-2`, `kill: publisher` stand for their long forms."""
        if not isinstance(value, str):
            return value
        if value in ("broker", "worker", "publisher"):
            return {value: ANY}
        return {"publisher" if value.startswith("publisher") else "worker": value}

    @field_validator("worker", "publisher")
    @classmethod
    def _holds_its_own(cls, value: int | str | None, field: ValidationInfo) -> int | str | None:
        """A worker holds deliveries, a publisher what is unconfirmed."""
        role = str(field.field_name)
        if value == _NOT_OF[role]:
            other = next(each for each in _NOT_OF if each != role)
            raise ValueError(f"a {role} is never {value}; say {role}: {_NOT_OF[other]}, or {other}: {value}")
        return value

    @model_validator(mode="after")
    def _one_target(self) -> Targeted:
        given = [kind for kind in ("broker", "worker", "publisher") if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"{self.name} strikes exactly one of broker, worker or publisher")
        return self

    @property
    def role(self) -> Role | None:
        """The role of the actors it strikes; None for the broker."""
        if self.worker is not None:
            return "worker"
        return "publisher" if self.publisher is not None else None

    @property
    def selector(self) -> int | str:
        """What selects the actor or node."""
        for value in (self.broker, self.worker, self.publisher):
            if value is not None:
                return value
        raise AssertionError("validated: a target is given")

    def effects(self) -> Effects:
        """It does to a node, or to a process, what it does."""
        return on_process(self.becomes) if self.broker is None else on_node(self.becomes)

    def struck_family(self) -> str:
        """The family of whom it strikes."""
        return "process" if self.broker is None else "broker"

    def noun(self, targets: tuple[str, ...]) -> tuple[str, str]:
        """Name it after whom it struck: `broker restart`, `worker kill`."""
        kind = "broker" if self.broker is not None else (targets or ("",))[-1].rpartition("-")[0] or "process"
        return f"{kind} {self.name}", f"{kind} {self.name}s"

    @classmethod
    def draw_target(cls, targets: FaultTargets, random: Random) -> dict[str, int | str]:
        """Draw whom to strike: a node, a worker or a publisher, each kind as often, any of them or one by its number."""
        counts = {"broker": targets.nodes, "worker": targets.workers, "publisher": targets.publishers}
        kind, count = random.choice([each for each in counts.items() if each[1]])
        first = 0 if kind == "broker" else 1  # as people count them: nodes from 0
        return {kind: random.choice((ANY, random.randrange(first, first + count)))}

    def actors(self) -> tuple[tuple[str, str], ...]:
        """Name the actor or node that must exist, where one is named."""
        if self.selector in (ANY, ALL, *HOLDING):
            return ()
        return ((self.role or "node", str(self.selector)),)

    def title(self) -> str:
        """Describe the action as planned."""
        kind = "broker" if self.role is None else self.role
        return f"{self.name} {kind}" if self.selector == ANY else f"{self.name} {kind} {self.selector}"

    def nodes(self, context: FaultContext) -> tuple[int, ...]:
        """Choose the nodes to strike: of any or all, those that are not yet what they would become."""
        names = context.broker.nodes
        match self.broker:
            case int(number):
                if number >= len(names):
                    raise NoTargetError(f"there is no node {number}: the broker has {len(names)}")
                return (number,)
            case selector:
                struck = context.nodes_struck()
                fit = tuple(number for number, name in enumerate(names) if self._changes(struck.get(name)))
                if not fit and self.becomes is Becomes.THAWED:
                    fit = tuple(range(len(names)))
                if not fit:
                    raise NoTargetError(
                        f"there is no node to {self.name}: earlier steps have all of them down or frozen"
                    )
                return fit if selector == ALL else (context.random.choice(fit),)

    def _changes(self, state: Becomes | None) -> bool:
        """Whether it makes something else of a node in a state (None: it runs)."""
        match self.becomes:
            case Becomes.THAWED:
                return state is Becomes.FROZEN
            case Becomes.FROZEN:
                return state is None
            case _:
                return state in (None, Becomes.FROZEN)

    def choose(self, context: FaultContext) -> tuple[str, ...]:
        """Choose the actors to strike among the living; every selector but `holding`."""
        role, selector = self.role, self.selector
        assert role is not None  # noqa: S101 - callers strike the broker by `nodes`
        living = context.actors.living(role)
        if selector in (ANY, ALL):
            fit = self._fit(context, role)
            chosen = fit if selector == ALL or not fit else (context.random.choice(fit),)
        elif isinstance(selector, int):
            chosen = tuple(name for name in living if name.rsplit("-", 1)[-1] == str(selector))[:1]
        else:
            chosen = tuple(name for name in living if name == selector)
        if not chosen:
            raise NoTargetError(f"no living {role} matches {selector!r} (living: {', '.join(living) or 'none'})")
        return chosen

    def _fit(self, context: FaultContext, role: Role) -> tuple[str, ...]:
        """Name the living ones that are not yet what they would become; all of them to resume, if none is paused."""
        living = context.actors.living(role)
        if self.becomes not in (Becomes.FROZEN, Becomes.THAWED):
            return living
        paused = context.actors.paused(role)
        if self.becomes is Becomes.FROZEN:
            return tuple(name for name in living if name not in paused)
        return paused or living

    @property
    def of_holders(self) -> bool:
        """Whether it strikes an actor that holds something, whoever that is."""
        return self.broker is None and self.selector in HOLDING

    def strike_holder(self, context: FaultContext) -> tuple[str, Holding]:
        """Strike one actor that holds something when it is frozen; waits for one, within a bound."""
        role = self.role
        assert role is not None  # noqa: S101 - `holding` is a selector of actors
        deadline = time.monotonic() + FIND_TARGET_TIMEOUT_S
        while time.monotonic() < deadline and not context.over():
            living = list(context.actors.living(role))
            context.random.shuffle(living)
            for actor in living:
                holding = context.actors.strike_if_holding(actor, context.fault, self.becomes)
                if holding is not None:
                    return actor, holding
            context.wait(0.005)
        until = "before the traffic ended" if context.over() else f"within {FIND_TARGET_TIMEOUT_S:g} s"
        raise NoTargetError(f"no {role} held anything unsettled {until}")


def strike_title(name: str, targets: tuple[str, ...]) -> str:
    """Describe what was struck: `kill worker-2`."""
    return f"{name} {', '.join(targets)}"


__all__ = ["ALL", "ANY", "HOLDING", "NodeSelector", "PublisherSelector", "Targeted", "WorkerSelector", "strike_title"]
