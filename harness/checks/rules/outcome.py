"""From expectations and doubts to the outcome.

A violation outranks an infrastructure error, which outranks inconclusive. Two refinements:

- Where a fault met nothing at risk, or never struck, what only a fault brings about (loss, redeliveries, duplicates, ...) had no fair
  chance. An expectation that fails only because less of it was seen than asked for is then inconclusive, not violated.
- An interrupted run, or one whose infrastructure failed, did not come to its end: there only what is there and must not be (phantoms,
  corruption, unexplained duplicates) is a violation; a message that was not processed may still have been on its way. Where a machine
  was lost with its records, expectations but that on corruption come here undecided: what was published there looks like a phantom.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Final

from harness.checks.rules.machines import what_is_gone
from harness.events import CutOff, Drained, Event, InfrastructureFailed, ProcessExited, TrafficStarted
from harness.scenario.scenario import Scenario
from harness.verdict.data import Counts, ExpectationResult, Fate, FaultOutcome, Outcome
from harness.verdict.words import plural

BROUGHT_BY_FAULTS: Final = frozenset(
    {
        "lost",
        "duplicates",
        "redelivered",
        "dead_lettered",
        "dropped",
        "removed",
        "nacked",
        "never_promised",
        "recovered",
        "resurrected",
    }
)
"""Expectations on what does not happen by itself. `lost_at.` counts like `lost`."""

LEFT_OVER: Final = ("stranded", "in_transit")
"""What makes a run inconclusive, unless the scenario says how many there may be."""

ALWAYS_WRONG: Final = ("phantom", "corrupt", "unexplained_duplicates")
"""What no unfinished run can excuse."""


def decide(
    events: Sequence[Event],
    counts: Counts,
    faults: Sequence[FaultOutcome],
    expectations: Sequence[ExpectationResult],
    too_few: Collection[str],
    *,
    pointless: bool = False,
) -> tuple[Outcome, tuple[str, ...]]:
    """Return the outcome and the reasons for it; none when all is as expected.

    `too_few` are the paths of expectations of which less was seen than asked for; `pointless` says that nothing was promised, and that the
    scenario does not expect that.
    """
    broken = (*_broken(events), *what_is_gone(events))
    drained = next((event for event in events if isinstance(event, Drained)), None)
    failed = [result for result in expectations if result.holds is False]
    if broken or drained is None:
        failed = [result for result in failed if result.path in ALWAYS_WRONG]
        if failed:
            return Outcome.VIOLATED, (*(_failure(result) for result in failed), *broken)
        if broken:
            return Outcome.INFRASTRUCTURE, broken
        return Outcome.INTERRUPTED, ("the run was interrupted before the drain ended",)
    unfair = tuple(_nothing_at_risk(faults))
    doubts = (*_nothing_done(events, counts, pointless=pointless), *unfair, *_not_ended(counts, expectations, drained))
    doubts += tuple(f"{result.path}: {result.observed}" for result in expectations if result.holds is None)
    # Messages that are left over make a run inconclusive, unless the scenario says how many there may be.
    failed = [result for result in failed if result.path not in LEFT_OVER or result.stated]
    if unfair and all(_by_fault(result.path) and result.path in too_few for result in failed):
        failed = []
    if failed:
        return Outcome.VIOLATED, tuple(_failure(result) for result in failed)
    return (Outcome.INCONCLUSIVE, doubts) if doubts else (Outcome.AS_EXPECTED, ())


def is_cut_short(events: Sequence[Event]) -> bool:
    """Whether a run did not come to its end, so that what is missing may still be on its way, or in a queue that nobody looked into."""
    return bool(_broken(events)) or not any(isinstance(event, Drained) for event in events)


def unless_cut_short(result: ExpectationResult) -> ExpectationResult:
    """Leave an expectation on a run that was cut short undecided, unless it is on what must never be."""
    if result.path in ALWAYS_WRONG or (result.holds and not result.stated):
        return result
    most = result.observed.rpartition(" ")[2]  # of `715 to 760` or `up to 2`
    observed = f"up to {most}" if result.path == "lost" and most != "0" else result.observed
    return replace(result, observed=observed, holds=None, explanation="")


def _broken(events: Sequence[Event]) -> tuple[str, ...]:
    said = tuple(event.message for event in events if isinstance(event, InfrastructureFailed))
    return said or tuple(
        f"{event.actor} exited unexpectedly with code {event.exit_code}"
        for event in events
        if isinstance(event, ProcessExited) and event.cause == "unexpected"
    )


def _failure(result: ExpectationResult) -> str:
    return f"{result.path}: expected {result.expected}, observed {result.observed}"


def _by_fault(path: str) -> bool:
    return path in BROUGHT_BY_FAULTS or path.startswith("lost_at.")


def expects_refusals(scenario: Scenario) -> bool:
    """Whether a scenario expects the broker to return or refuse messages."""
    stated = (scenario.expect.returned, scenario.expect.nacked, scenario.expect.never_promised)
    return any(count is not None and not count.holds(0) for count in stated)


def _nothing_done(events: Sequence[Event], counts: Counts, *, pointless: bool) -> Iterator[str]:
    if counts.published == 0:
        yield "nothing was published"
    elif pointless:
        yield "nothing was promised: the broker took no message"
    yield from (event.message for event in events if isinstance(event, CutOff))
    if not any(isinstance(event, TrafficStarted) for event in events):
        yield "the traffic never began"


def _nothing_at_risk(faults: Sequence[FaultOutcome]) -> Iterator[str]:
    for fault in faults:
        if fault.missed:
            yield f"step {fault.fault + 1} ({fault.title}) never struck: {fault.missed}"
        elif fault.at_risk == 0:
            yield f"no message was at risk when step {fault.fault + 1} ({fault.title}) struck, so it proves nothing"


def _not_ended(counts: Counts, expectations: Sequence[ExpectationResult], drained: Drained) -> Iterator[str]:
    stated = {result.path for result in expectations if result.stated}
    left = {"stranded": counts.fates[Fate.STRANDED], "in_transit": counts.fates[Fate.IN_TRANSIT]}
    if left["stranded"] and "stranded" not in stated:
        yield f"{plural(left['stranded'], 'message')} still in a work queue when the drain ended"
    if left["in_transit"] and "in_transit" not in stated:
        yield f"{plural(left['in_transit'], 'message')} still in a delay or retry queue when the drain ended"
    if not drained.complete and not any(left.values()) and not stated & {*LEFT_OVER}:
        yield f"the drain did not finish: {drained.reason}"
