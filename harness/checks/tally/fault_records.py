"""The run's faults as the checks need them: what struck what, when, when it was over, and what it can take."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.checks.tally.sessions import Session
from harness.checks.tally.times import NEVER
from harness.effects import AtRisk, Becomes, Cuts, Effects, Takes
from harness.events import Event, FaultHealed, FaultInjected, FaultMissed, MetadataFlushed, Phase, PhaseChanged
from harness.scenario.scenario import QUORUM_SETTLE_S
from harness.scenario.topology import Queue

NOTICED_WITHIN_NS = 120_000_000_000
"""A client learns of a lost connection so long after the broker at the most: two heartbeats, and the time to notice."""

WITHIN_NS = 1_000_000_000
"""A message without a confirm is taken to be in its queue so long after its publish."""
BACK_NS = 2_000_000_000
"""So long after a node is back, a classic queue that it is the home of may still be unreachable from the others."""


@dataclass(frozen=True, slots=True)
class FaultRecord:
    """One step that struck."""

    fault: int
    action: str
    title: str
    family: str
    noun: tuple[str, str]
    """What it was, once and several times."""
    colour: str
    targets: tuple[str, ...]
    at_ns: int
    struck_ns: int
    healable: bool
    """Whether it lasts; what is over at once has its healing right after it."""
    healed_ns: int
    """NEVER if it was not healed."""
    detail: str
    clean: bool | None
    times: int
    effects: Effects
    taken: int | None
    """How many messages it took, where the broker says so."""

    @property
    def meets_broker(self) -> bool:
        """Whether it puts at risk what the broker has."""
        return self.effects.at_risk in (AtRisk.UNDONE, AtRisk.WAITING)

    @property
    def meets_hands_ns(self) -> frozenset[int]:
        """The moments at which it puts at risk what its targets have in hand; none if it does not."""
        if self.effects.at_risk is not AtRisk.HELD:
            return frozenset()
        match self.effects.process:
            case Becomes.KILLED:
                return frozenset({self.struck_ns})
            case Becomes.STOPPED | Becomes.FROZEN:
                return frozenset({self.at_ns})
            case _:
                return frozenset({self.at_ns, self.struck_ns})

    @property
    def ends_node(self) -> bool:
        """Whether it takes a node of the broker down."""
        return self.effects.ends_node

    @property
    def kills_node(self) -> bool:
        """Whether it ends a node that then writes nothing more; one that stops in order writes all."""
        return self.effects.node is Becomes.KILLED or (self.ends_node and self.clean is False)

    def may_cut_off(self, actor: str) -> bool:
        """Whether it can cost an actor its connection."""
        match self.effects.cuts:
            case Cuts.EVERYONE:
                return True
            case Cuts.TARGETS:
                return actor in self.targets
            case Cuts.NOBODY:
                return False

    def cut_off(self, session: Session) -> bool:
        """Whether it may be what ended a connection: it may cut its actor off, and the loss falls into the time of its effect."""
        return self.at_ns <= session.lost_ns <= self._last_effect_ns and self.may_cut_off(session.actor)

    @property
    def in_force_until_ns(self) -> int:
        """When it could no longer end a connection."""
        if self.healed_ns != NEVER:
            return max(self.healed_ns, self.struck_ns)
        return NEVER if self.effects.cuts_until_healed else self.struck_ns

    @property
    def _last_effect_ns(self) -> int:
        until_ns = self.in_force_until_ns
        return until_ns if until_ns == NEVER else until_ns + NOTICED_WITHIN_NS

    def can_take(self, name: str, queue: Queue, *, persistent: bool, on_disk_ns: int) -> bool:
        """Whether a message that is in a queue may be gone after it, by what RabbitMQ promises and what was measured.

        A purge takes all that waits; the end of a node takes queues that are not durable, and transient messages of classic queues (quorum queues keep
        them). A node that is killed before `on_disk_ns` may have forgotten even a durable queue: measured on 4.0.5 for quorum queues within
        tens of milliseconds of their declaration, on 3.10.8 for classic ones within 2.2 s.
        """
        match self.effects.takes:
            case Takes.NOTHING:
                return False
            case Takes.WAITING:
                return name in self.targets
            case Takes.ANYTHING:
                return True
        return not queue.durable or (queue.type == "classic" and not persistent) or self.is_early(on_disk_ns)

    def is_early(self, on_disk_ns: int) -> bool:
        """Whether it is a kill so soon after the declaration that the queue itself may not be on disk."""
        return self.effects.node is Becomes.KILLED and self.at_ns < on_disk_ns


@dataclass(frozen=True, slots=True)
class Missed:
    """One step that never struck."""

    fault: int
    action: str
    reason: str


def fault_records(events: Sequence[Event]) -> tuple[FaultRecord, ...]:
    """Return the steps that struck, in the order of their injection."""
    healed = {event.fault: event.at_ns for event in events if isinstance(event, FaultHealed)}
    found = [
        FaultRecord(
            fault=event.fault,
            action=event.action,
            title=event.title,
            family=event.family,
            noun=event.noun,
            colour=event.colour,
            targets=tuple(event.targets),
            at_ns=event.at_ns,
            struck_ns=event.struck_at_ns,
            healable=event.healable,
            healed_ns=healed.get(event.fault, NEVER),
            detail=event.detail,
            clean=event.clean,
            times=event.times,
            effects=event.effects,
            taken=event.taken,
        )
        for event in events
        if isinstance(event, FaultInjected)
    ]
    return tuple(sorted(found, key=lambda fault_record: fault_record.at_ns))


def over_ns(fault_record: FaultRecord) -> int:
    """Return when a step was over: when it was healed, or had struck if it needs no healing."""
    return fault_record.healed_ns if fault_record.healed_ns != NEVER else fault_record.struck_ns


def seen_striking_ns(fault_record: FaultRecord, sessions: Iterable[Session]) -> int:
    """Return when a step was seen to strike: as the first connection that it may have cut off ended, or as it returned from its injection.

    What ended with its process was not cut off, if the process is no target.
    """
    cut = filter(fault_record.cut_off, sessions)
    ends = (each.lost_ns for each in cut if each.lost_ns != each.death_ns or each.actor in fault_record.targets)
    return min(fault_record.struck_ns, *ends, NEVER)


def missed(events: Sequence[Event]) -> tuple[Missed, ...]:
    """Return the steps that never struck."""
    return tuple(Missed(event.fault, event.action, event.reason) for event in events if isinstance(event, FaultMissed))


def on_disk_ns(events: Sequence[Event]) -> int:
    """Return from when on the queues are known to be on disk: when the broker had written them, else some seconds after the declaration.

    0 if the events do not tell: then no kill counts as early.
    """
    told = [event.at_ns for event in events if isinstance(event, MetadataFlushed)]
    told += [
        event.at_ns + int(QUORUM_SETTLE_S * 1e9)
        for event in events
        if isinstance(event, PhaseChanged) and event.phase is Phase.DECLARE
    ]
    return min(told, default=0)
