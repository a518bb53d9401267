"""What kept the traffic from being faster: the machine, the harness, the broker, or the scenario itself."""

from __future__ import annotations

from collections.abc import Sequence

from harness.events import Event, FaultInjected, LoadMeasured, ProcessStarted
from harness.scenario.scenario import Scenario
from harness.verdict.data import Limit, Load

BUSY = 0.9
"""A processor that is busy for this share of the time has nothing left to give."""


def load(events: Sequence[Event], scenario: Scenario) -> Load | None:
    """Say what was measured while the publishers published; None if nothing was."""
    measured = next((event for event in events if isinstance(event, LoadMeasured)), None)
    if measured is None or measured.span_s <= 0:
        return None
    roles = {event.actor: event.role for event in events if isinstance(event, ProcessStarted)}
    all_s = measured.span_s * measured.processors

    def share(role: str) -> float:
        return sum(taken for actor, taken in measured.actors_s.items() if roles.get(actor) == role) / all_s

    publishers, workers, harness = share("publisher"), share("worker"), measured.harness_s / all_s
    machine = min(1.0, measured.machine_s / all_s)
    busiest_machine = measured.busiest_machine or machine
    busiest = max(measured.actors_s, key=lambda actor: measured.actors_s[actor], default="")
    busiest_share = measured.actors_s.get(busiest, 0.0) / measured.span_s
    others = max(0.0, machine - publishers - workers - harness)
    struck = any(isinstance(event, FaultInjected) and event.at_ns < measured.at_ns for event in events)
    limit = _limit(busiest_machine, busiest_share, paced=struck or _paced(scenario))
    return Load(
        limit=limit,
        sentence=_sentence(limit, busiest_machine, others, busiest, busiest_share),
        span_s=measured.span_s,
        processors=measured.processors,
        machine=machine,
        publishers=publishers,
        workers=workers,
        harness=harness,
        others=others,
        busiest=busiest,
        busiest_share=busiest_share,
    )


def _limit(machine: float, busiest_share: float, *, paced: bool) -> Limit:
    if busiest_share >= BUSY:
        return Limit.HARNESS
    if machine >= BUSY:
        return Limit.MACHINE
    return Limit.SCENARIO if paced else Limit.BROKER


def _paced(scenario: Scenario) -> bool:
    """Whether publishers keep to a rate, or work takes time."""
    return any(group.rate is not None for group in scenario.publishers) or any(
        group.work != 0 for group in scenario.workers
    )


def _sentence(limit: Limit, machine: float, others: float, busiest: str, busiest_share: float) -> str:
    match limit:
        case Limit.HARNESS:
            return f"The harness was the limit: {busiest} kept a processor busy {busiest_share:.0%} of the time."
        case Limit.MACHINE:
            return f"The machine was the limit: its processors were busy {machine:.0%} of the time, {others:.0%} with the broker and all else."
        case Limit.BROKER:
            return (
                f"The broker was the limit, or the wait for its answers: the machine was busy {machine:.0%} of the time, and no publisher or "
                f"worker more than {busiest_share:.0%} of a processor."
            )
        case Limit.SCENARIO:
            return f"The scenario set the pace: the machine was busy {machine:.0%} of the time."
