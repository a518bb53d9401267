"""Warnings and notes about a scenario that is right.

A warning is about a fate that the scenario can produce and does not speak of: it counts against a run, so one who forgot it should learn of
it before. Whatever is warned of can be settled by a line in the file. A note is about a figure whose meaning is easily mistaken, or was
another one in earlier versions (see docs/upgrading.md).
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.effects import Cuts
from harness.errors import Severity
from harness.scenario.arguments import unknown_arguments
from harness.scenario.expectations import COPY_COUNTS
from harness.scenario.flow import Flow
from harness.scenario.mistake import Path, Remark, enumerated
from harness.scenario.possible_fates import possible_fates
from harness.scenario.scenario import Scenario


def remarks(scenario: Scenario) -> Iterator[Remark]:
    """Find what there is to say of a scenario, its controls left aside."""
    for fate in possible_fates(scenario):
        if getattr(scenario.expect, fate.expectation) is None:
            yield Remark(fate.path, f"{fate.how}; {_unstated(fate.expectation)}")
    for argument in unknown_arguments(scenario):
        message = "is not understood: the broker gets it, and what it does is not looked at"
        yield Remark(argument.path, message, about_key=True)
    yield from _without_effect(scenario)
    yield from _notes(scenario, ())


def _without_effect(scenario: Scenario) -> Iterator[Remark]:
    """Find what is said and changes nothing."""
    for index, group in enumerate(scenario.workers):
        if group.acks != "manual" and group.ack_every != 1:
            message = f"changes nothing: with {group.acks} acks no worker acknowledges several deliveries at once"
            yield Remark(("workers", index, "ack_every"), message)
    paused = False
    for index, step in enumerate(scenario.timeline):
        paused |= step.action.name == "pause"
        if step.action.name == "resume" and not paused:
            yield Remark(("timeline", index, "resume"), "changes nothing: no step before it pauses anything")


def control_remarks(scenario: Scenario, name: str) -> Iterator[Remark]:
    """Find what there is to say of the expectations of a control; `scenario` is what the control makes."""
    for fate in possible_fates(scenario):
        if getattr(scenario.expect, fate.expectation) is None:
            yield Remark(("controls", name, "expect"), f"{fate.how}; {_unstated(fate.expectation)}", about_key=True)
    yield from _notes(scenario, ("controls", name))


def _unstated(expectation: str) -> str:
    """Say what holds of a count that is not stated, and what to write for either meaning."""
    allow = f'`{expectation}: ">= 0"` allows any number'
    if expectation == "never_promised":
        return f"expect says nothing of never_promised: `never_promised: 0` refuses that, {allow}"
    outcome = (
        "the run is inconclusive with more than 0" if expectation == "in_transit" else "more than 0 is a violation"
    )
    return f"expect says nothing of {expectation}, so {outcome}: {allow}"


def _notes(scenario: Scenario, at: Path) -> Iterator[Remark]:
    expect, flow = scenario.expect, Flow(scenario)
    if any(len(flow.topology.start(source.route)) > 1 for source in flow.sources):
        stated = [name for name in COPY_COUNTS if (count := getattr(expect, name)) is not None and not count.holds(0)]
        if stated:
            names = enumerated(stated, "and")
            message = f"a message that is put in several queues counts once for each of them ({names})"
            yield Remark((*at, "expect", stated[0]), message, severity=Severity.NOTE)
    if expect.outage is not None and expect.outage.workers is not None:
        message = (
            "a time in which a worker is at work is no outage, as long as its task may take; in earlier versions it was"
        )
        yield Remark((*at, "expect", "outage", "workers"), message, severity=Severity.NOTE)
    if isinstance(expect.order, bool) and _redelivers(scenario):
        message = "redelivered messages count: `order: {ignore: redelivered}` leaves them out, as earlier versions did"
        yield Remark((*at, "expect", "order"), message, severity=Severity.NOTE)


def _redelivers(scenario: Scenario) -> bool:
    """Whether deliveries can come back to their queue."""
    cut = any(step.action.effects().cuts is not Cuts.NOBODY for step in scenario.timeline)
    return cut or any(fails.by != "reject" for group in scenario.workers for fails in group.fails)
