"""Kill, stop, pause and resume: of publishers, workers and broker nodes alike."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Annotated, Any, ClassVar, Final

from pydantic import Field

from harness.faults.arena import Arena
from harness.faults.base import Stage, Strike
from harness.faults.targets import DRAWN_PAUSES, HOLDING, Targeted, strike_title
from harness.scenario.quantities import Duration

HOLDING_SHARE: Final = 0.5
"""Of the drawn kills of publishers and workers: those that strike one which holds something, and so put a message at risk for certain."""


class Kill(Targeted):
    """SIGKILL. A broker node is started again, by default at once; an actor only if `back_after` says when."""

    name: ClassVar[str] = "kill"
    family = "process"
    colour = "#c0392b"

    back_after: Duration | None = None
    """How long until it is started again."""

    @classmethod
    def draw(cls, stage: Stage, random: Random) -> dict[str, Any]:
        """Draw a target, of actors also one that holds something; everything comes back."""
        target = cls.draw_target(stage, random)
        if "broker" not in target and random.random() < HOLDING_SHARE:
            (kind,) = target
            target[kind] = "holding deliveries" if kind == "worker" else "holding unconfirmed"
        return {**target, "back_after": random.choice(DRAWN_PAUSES)}

    def broker_abilities(self) -> frozenset[str]:
        """A node must be killable."""
        return frozenset({"kill"}) if self.broker is not None else frozenset()

    def inject(self, arena: Arena) -> Strike:
        """Kill; with `holding`, an actor that was seen to hold something when it was frozen."""
        held: dict[str, int] = {}
        if self.broker is None and self.selector in HOLDING:
            actor, amount = self.kill_holding(arena)
            names: tuple[str, ...] = (actor,)
            held[actor] = amount
        else:
            names = _each(self, arena, arena.broker.kill, lambda actor: arena.actors.kill(actor, arena.fault))
        back_after_s = (self.back_after or 0.0) if self.broker is not None else self.back_after
        return Strike(
            strike_title("kill", names),
            names,
            held=held,
            detail="; ".join(f"{actor} held {amount}" for actor, amount in held.items()),
            healable=back_after_s is not None,
            heal_after_s=back_after_s,
        )

    def heal(self, arena: Arena, strike: Strike) -> None:
        """Start again what was killed."""
        _start_again(self, arena, strike)


class Stop(Targeted):
    """Stop in order: a worker settles what it holds, a publisher waits for its confirms, a node shuts down."""

    name: ClassVar[str] = "stop"
    family = "process"
    colour = "#b9770e"

    back_after: Duration | None = None
    """How long until it is started again; a broker node comes back at the end of the traffic otherwise."""

    @classmethod
    def draw(cls, stage: Stage, random: Random) -> dict[str, Any]:
        """Draw a target, which comes back."""
        return {**cls.draw_target(stage, random), "back_after": random.choice(DRAWN_PAUSES)}

    def broker_abilities(self) -> frozenset[str]:
        """A node must be restartable."""
        return frozenset({"restart"}) if self.broker is not None else frozenset()

    def inject(self, arena: Arena) -> Strike:
        """Stop, and say whether it was seen to be clean."""
        if self.broker is not None:
            return _stop_nodes(self, arena, "stop", self.back_after)
        names = self.choose(arena)
        codes = {actor: arena.actors.stop(actor, arena.fault) for actor in names}
        return Strike(
            strike_title("stop", names),
            names,
            clean=all(code == 0 for code in codes.values()),
            detail="; ".join(f"{actor} ended with {code}" for actor, code in codes.items() if code != 0),
            healable=self.back_after is not None,
            heal_after_s=self.back_after,
        )

    def heal(self, arena: Arena, strike: Strike) -> None:
        """Start again what was stopped."""
        _start_again(self, arena, strike)


class Restart(Targeted):
    """Stop in order and start again."""

    name: ClassVar[str] = "restart"
    family = "broker"
    colour = "#2471a3"

    down_for: Duration = 0.0
    """How long it stays down."""

    @classmethod
    def draw(cls, stage: Stage, random: Random) -> dict[str, Any]:
        """Draw a target and how long it stays down."""
        return {**cls.draw_target(stage, random), "down_for": random.choice(DRAWN_PAUSES)}

    def broker_abilities(self) -> frozenset[str]:
        """A node must be restartable."""
        return frozenset({"restart"}) if self.broker is not None else frozenset()

    def inject(self, arena: Arena) -> Strike:
        """Stop; the start is the healing."""
        if self.broker is not None:
            return _stop_nodes(self, arena, "restart", self.down_for)
        names = self.choose(arena)
        codes = [arena.actors.stop(actor, arena.fault) for actor in names]
        return Strike(
            strike_title("restart", names),
            names,
            clean=all(code == 0 for code in codes),
            healable=True,
            heal_after_s=self.down_for,
        )

    def heal(self, arena: Arena, strike: Strike) -> None:
        """Start again."""
        _start_again(self, arena, strike)


class Pause(Targeted):
    """Freeze (SIGSTOP), and thaw after `for`; without it, at the end of the traffic or by `resume`."""

    name: ClassVar[str] = "pause"
    family = "process"
    colour = "#7d3c98"

    duration: Annotated[Duration | None, Field(alias="for")] = None
    """How long."""

    @classmethod
    def draw(cls, stage: Stage, random: Random) -> dict[str, Any]:
        """Draw a target, which is thawed."""
        return {**cls.draw_target(stage, random), "for": random.choice(DRAWN_PAUSES)}

    def broker_abilities(self) -> frozenset[str]:
        """A node must be freezable."""
        return frozenset({"pause"}) if self.broker is not None else frozenset()

    def inject(self, arena: Arena) -> Strike:
        """Freeze."""
        names = _each(self, arena, arena.broker.pause, arena.actors.pause)
        return Strike(strike_title("pause", names), names, healable=True, heal_after_s=self.duration)

    def heal(self, arena: Arena, strike: Strike) -> None:
        """Thaw."""
        for name in strike.targets:
            if self.broker is not None:
                arena.broker.resume(arena.broker.nodes.index(name))
            else:
                arena.actors.resume(name)


class Resume(Targeted):
    """Thaw what an earlier step paused."""

    name: ClassVar[str] = "resume"
    family = "process"
    colour = "#229954"

    def broker_abilities(self) -> frozenset[str]:
        """A node must be freezable."""
        return frozenset({"pause"}) if self.broker is not None else frozenset()

    def inject(self, arena: Arena) -> Strike:
        """Thaw."""
        names = _each(self, arena, arena.broker.resume, arena.actors.resume)
        return Strike(strike_title("resume", names), names)


def _each(
    fault: Targeted, arena: Arena, on_node: Callable[[int], None], on_actor: Callable[[str], None]
) -> tuple[str, ...]:
    """Do something to each chosen node or actor; returns their names."""
    if fault.broker is not None:
        nodes = fault.nodes(arena)
        for node in nodes:
            on_node(node)
        return tuple(arena.broker.nodes[node] for node in nodes)
    names = fault.choose(arena)
    for actor in names:
        on_actor(actor)
    return names


def _stop_nodes(fault: Targeted, arena: Arena, name: str, back_after_s: float | None) -> Strike:
    nodes = fault.nodes(arena)
    reports = [arena.broker.stop(node) for node in nodes]
    names = tuple(arena.broker.nodes[node] for node in nodes)
    details = [
        f"{node} was not seen to stop cleanly (exit code {report.exit_code}) {report.detail}".rstrip()
        for node, report in zip(names, reports, strict=True)
        if not report.clean
    ]
    return Strike(
        strike_title(name, names),
        names,
        clean=all(report.clean for report in reports),
        detail="; ".join(details),
        healable=True,
        heal_after_s=back_after_s,
    )


def _start_again(fault: Targeted, arena: Arena, strike: Strike) -> None:
    for name in strike.targets:
        if fault.broker is not None:
            arena.broker.start_node(arena.broker.nodes.index(name))
        else:
            arena.actors.start(name)
