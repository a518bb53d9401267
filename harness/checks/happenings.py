"""The run's faults as the checks need them: what struck what, when, and when it was over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.checks.tally import NEVER
from harness.events import Event, FaultHealed, FaultInjected, FaultMissed, ProcessExited


@dataclass(frozen=True, slots=True)
class Happening:
    """One step that struck."""

    fault: int
    action: str
    title: str
    family: str
    colour: str
    targets: tuple[str, ...]
    at_ns: int
    struck_ns: int
    healed_ns: int
    """NEVER if it was not healed."""
    detail: str
    clean: bool | None

    @property
    def destroys_in_broker(self) -> bool:
        """Whether it can take messages that are in a queue."""
        return (self.family == "broker" and self.action in ("kill", "restart", "stop")) or self.action == "purge"

    @property
    def breaks_connections(self) -> bool:
        """Whether it cuts clients off."""
        return self.family == "connection" or (self.family == "broker" and self.action in ("kill", "restart", "stop"))


@dataclass(frozen=True, slots=True)
class Missed:
    """One step that never struck."""

    fault: int
    action: str
    reason: str


def happenings(events: Sequence[Event]) -> tuple[Happening, ...]:
    """Return the steps that struck, in the order of their injection."""
    healed = {event.fault: event.at_ns for event in events if isinstance(event, FaultHealed)}
    found = [
        Happening(
            fault=event.fault,
            action=event.action,
            title=event.title,
            family=event.family,
            colour=event.colour,
            targets=tuple(event.targets),
            at_ns=event.at_ns,
            struck_ns=event.struck_at_ns,
            healed_ns=healed.get(event.fault, NEVER),
            detail=event.detail,
            clean=event.clean,
        )
        for event in events
        if isinstance(event, FaultInjected)
    ]
    return tuple(sorted(found, key=lambda happening: happening.at_ns))


def missed(events: Sequence[Event]) -> tuple[Missed, ...]:
    """Return the steps that never struck."""
    return tuple(Missed(event.fault, event.action, event.reason) for event in events if isinstance(event, FaultMissed))


def deaths(events: Sequence[Event]) -> dict[tuple[str, int], ProcessExited]:
    """Return the incarnations that did not end in order."""
    return {
        (event.actor, event.incarnation): event
        for event in events
        if isinstance(event, ProcessExited) and event.exit_code != 0
    }
