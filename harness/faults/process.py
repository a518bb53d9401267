"""Kill, stop, pause and resume: of publishers, workers and broker nodes alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Annotated, Any, ClassVar, Final

from pydantic import Field

from harness.broker.together import together
from harness.effects import Becomes
from harness.faults.base import FaultTargets, Injection
from harness.faults.context import FaultContext
from harness.faults.targets import DRAWN_PAUSES, Targeted, strike_title
from harness.scenario.quantities import Duration, format_duration

HOLDING_SHARE: Final = 0.5
"""Of the drawn kills of publishers and workers: those that strike one which holds something, and so put a message at risk for certain."""


class Kill(Targeted):
    """SIGKILL. A broker node is started again, by default at once; an actor only if `back_after` says when."""

    name: ClassVar[str] = "kill"
    family = "process"
    colour = "#c0392b"
    becomes = Becomes.KILLED

    back_after: Duration | None = None
    """How long until it is started again."""

    @classmethod
    def draw(cls, targets: FaultTargets, random: Random) -> dict[str, Any]:
        """Draw a target, of actors also one that holds something; everything comes back."""
        target = cls.draw_target(targets, random)
        if "broker" not in target and random.random() < HOLDING_SHARE:
            (kind,) = target
            target[kind] = "holding deliveries" if kind == "worker" else "holding unconfirmed"
        return {**target, "back_after": random.choice(DRAWN_PAUSES)}

    def how_long(self) -> str:
        """Say when it is started again, if it is."""
        return _started_again(self.back_after if self.broker is None else self.back_after or 0.0)

    def broker_abilities(self) -> frozenset[str]:
        """A node must be killable."""
        return frozenset({"kill"}) if self.broker is not None else frozenset()

    def inject(self, context: FaultContext) -> Injection:
        """Kill; with `holding`, an actor that was seen to hold something when it was frozen."""
        struck = _strike(self, context, context.broker.kill, lambda actor: context.actors.kill(actor, context.fault))
        back_after_s = (self.back_after or 0.0) if self.broker is not None else self.back_after
        return Injection(
            strike_title("kill", struck.names),
            struck.names,
            held=struck.held,
            detail=struck.detail,
            healable=back_after_s is not None,
            heal_after_s=back_after_s,
        )

    def heal(self, context: FaultContext, injection: Injection) -> None:
        """Start again what was killed."""
        _start_again(self, context, injection)


class Stop(Targeted):
    """Stop in order: a worker settles what it holds, a publisher waits for its confirms, a node shuts down."""

    name: ClassVar[str] = "stop"
    family = "process"
    colour = "#b9770e"
    becomes = Becomes.STOPPED

    back_after: Duration | None = None
    """How long until it is started again; a broker node comes back at the end of the traffic otherwise."""

    @classmethod
    def draw(cls, targets: FaultTargets, random: Random) -> dict[str, Any]:
        """Draw a target, which comes back."""
        return {**cls.draw_target(targets, random), "back_after": random.choice(DRAWN_PAUSES)}

    def how_long(self) -> str:
        """Say when it is started again, if it is."""
        if self.broker is not None and self.back_after is None:
            return "started again at the end of the traffic"
        return _started_again(self.back_after)

    def broker_abilities(self) -> frozenset[str]:
        """A node must be restartable."""
        return frozenset({"restart"}) if self.broker is not None else frozenset()

    def inject(self, context: FaultContext) -> Injection:
        """Stop, and say whether it was seen to be clean."""
        if self.broker is not None:
            return _stop_nodes(self, context, "stop", self.back_after)
        struck = _stop_actors(self, context)
        return Injection(
            strike_title("stop", struck.names),
            struck.names,
            held=struck.held,
            clean=struck.clean,
            detail=struck.detail,
            healable=self.back_after is not None,
            heal_after_s=self.back_after,
        )

    def heal(self, context: FaultContext, injection: Injection) -> None:
        """Start again what was stopped."""
        _start_again(self, context, injection)


class Restart(Targeted):
    """Stop in order and start again."""

    name: ClassVar[str] = "restart"
    family = "broker"
    colour = "#2471a3"
    becomes = Becomes.STOPPED

    down_for: Duration = 0.0
    """How long it stays down."""

    @classmethod
    def draw(cls, targets: FaultTargets, random: Random) -> dict[str, Any]:
        """Draw a target and how long it stays down."""
        return {**cls.draw_target(targets, random), "down_for": random.choice(DRAWN_PAUSES)}

    def how_long(self) -> str:
        """Say how long it stays down, if that is longer than a restart takes."""
        return f"down for {format_duration(self.down_for)}" if self.down_for else ""

    def broker_abilities(self) -> frozenset[str]:
        """A node must be restartable."""
        return frozenset({"restart"}) if self.broker is not None else frozenset()

    def inject(self, context: FaultContext) -> Injection:
        """Stop; the start is the healing."""
        if self.broker is not None:
            return _stop_nodes(self, context, "restart", self.down_for)
        struck = _stop_actors(self, context)
        return Injection(
            strike_title("restart", struck.names),
            struck.names,
            held=struck.held,
            clean=struck.clean,
            detail=struck.detail,
            healable=True,
            heal_after_s=self.down_for,
        )

    def heal(self, context: FaultContext, injection: Injection) -> None:
        """Start again."""
        _start_again(self, context, injection)


class Pause(Targeted):
    """Freeze (SIGSTOP), and thaw after `for`; without it, at the end of the traffic or by `resume`."""

    name: ClassVar[str] = "pause"
    family = "process"
    colour = "#7d3c98"
    becomes = Becomes.FROZEN

    duration: Annotated[Duration | None, Field(alias="for")] = None
    """How long."""

    @classmethod
    def draw(cls, targets: FaultTargets, random: Random) -> dict[str, Any]:
        """Draw a target, which is thawed."""
        return {**cls.draw_target(targets, random), "for": random.choice(DRAWN_PAUSES)}

    def how_long(self) -> str:
        """Say for how long it is frozen."""
        if self.duration is None:
            return "until the end of the traffic or a `resume`"
        return f"for {format_duration(self.duration)}"

    def broker_abilities(self) -> frozenset[str]:
        """A node must be freezable."""
        return frozenset({"pause"}) if self.broker is not None else frozenset()

    def inject(self, context: FaultContext) -> Injection:
        """Freeze."""
        struck = _strike(self, context, context.broker.pause, context.actors.pause)
        return Injection(
            strike_title("pause", struck.names),
            struck.names,
            held=struck.held,
            detail=struck.detail,
            healable=True,
            heal_after_s=self.duration,
        )

    def heal(self, context: FaultContext, injection: Injection) -> None:
        """Thaw."""
        if self.broker is not None:
            together(lambda name: context.broker.resume(context.broker.nodes.index(name)), injection.targets)
        else:
            together(context.actors.resume, injection.targets)


class Resume(Targeted):
    """Thaw what an earlier step paused."""

    name: ClassVar[str] = "resume"
    family = "process"
    colour = "#229954"
    becomes = Becomes.THAWED

    def broker_abilities(self) -> frozenset[str]:
        """A node must be freezable."""
        return frozenset({"pause"}) if self.broker is not None else frozenset()

    def inject(self, context: FaultContext) -> Injection:
        """Thaw."""
        struck = _strike(self, context, context.broker.resume, context.actors.resume)
        return Injection(strike_title("resume", struck.names), struck.names, held=struck.held, detail=struck.detail)


@dataclass(frozen=True, slots=True)
class _Struck:
    """Who was struck, and what was seen of them."""

    names: tuple[str, ...]
    held: dict[str, int] = field(default_factory=dict)
    exit_codes: dict[str, int] = field(default_factory=dict)
    """Of those that were stopped in order."""

    @property
    def clean(self) -> bool:
        return all(code == 0 for code in self.exit_codes.values())

    @property
    def detail(self) -> str:
        said = [f"{actor} held {amount}" for actor, amount in self.held.items()]
        said += [f"{actor} ended with {code}" for actor, code in self.exit_codes.items() if code != 0]
        return "; ".join(said)


def _strike(
    fault: Targeted, context: FaultContext, on_node: Callable[[int], None], on_actor: Callable[[str], None]
) -> _Struck:
    """Do something to each chosen node or actor, to all before any is waited for."""
    if fault.broker is not None:
        nodes = fault.nodes(context)
        together(on_node, nodes)
        return _Struck(tuple(context.broker.nodes[node] for node in nodes))
    if fault.of_holders:
        return _strike_holder(fault, context)
    names = fault.choose(context)
    together(on_actor, names)
    return _Struck(names)


def _stop_actors(fault: Targeted, context: FaultContext) -> _Struck:
    if fault.of_holders:
        return _strike_holder(fault, context)
    names = fault.choose(context)
    codes = together(lambda actor: context.actors.stop(actor, context.fault), names)
    return _Struck(names, exit_codes=dict(zip(names, codes, strict=True)))


def _strike_holder(fault: Targeted, context: FaultContext) -> _Struck:
    actor, holding = fault.strike_holder(context)
    codes = {} if holding.exit_code is None else {actor: holding.exit_code}
    return _Struck((actor,), {actor: holding.amount}, codes)


def _stop_nodes(fault: Targeted, context: FaultContext, name: str, back_after_s: float | None) -> Injection:
    nodes = fault.nodes(context)
    reports = together(context.broker.stop, nodes)
    names = tuple(context.broker.nodes[node] for node in nodes)
    details = [
        f"{node} was not seen to stop cleanly (exit code {report.exit_code}) {report.detail}".rstrip()
        for node, report in zip(names, reports, strict=True)
        if not report.clean
    ]
    return Injection(
        strike_title(name, names),
        names,
        clean=all(report.clean for report in reports),
        detail="; ".join(details),
        healable=True,
        heal_after_s=back_after_s,
    )


def _started_again(after_s: float | None) -> str:
    if after_s is None:
        return "not started again"
    return f"started again {f'after {format_duration(after_s)}' if after_s else 'at once'}"


def _start_again(fault: Targeted, context: FaultContext, injection: Injection) -> None:
    if fault.broker is not None:
        together(lambda name: context.broker.start_node(context.broker.nodes.index(name)), injection.targets)
    else:
        together(context.actors.start, injection.targets)
