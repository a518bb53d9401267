"""What the run of a drawn timeline proved."""

from __future__ import annotations

from enum import StrEnum

from harness.verdict.data import Fate, Outcome, RunVerdict, VariantVerdict


class TrialOutcome(StrEnum):
    """How a guarantee stands after a run."""

    BROKEN = "broken"
    HELD = "held"
    """Nothing was lost, although a fault struck while messages were in its reach."""
    NOT_TRIED = "not tried"
    """No fault struck while messages were in its reach, or the drain did not end: the run says nothing."""
    FAILED = "failed"
    """The broker or the harness did."""
    INTERRUPTED = "interrupted"


def standing(run: RunVerdict) -> TrialOutcome:
    """Tell what a run of one variant proved.

    Unlike a scenario that somebody wrote, a drawn one may have steps that meet no message: it is enough that one does.
    """
    match run.outcome:
        case Outcome.VIOLATED:
            return TrialOutcome.BROKEN
        case Outcome.INFRASTRUCTURE:
            return TrialOutcome.FAILED
        case Outcome.INTERRUPTED:
            return TrialOutcome.INTERRUPTED
        case Outcome.AS_EXPECTED | Outcome.INCONCLUSIVE:
            return (
                TrialOutcome.HELD if any(_proves(variant) for variant in run.variants[:1]) else TrialOutcome.NOT_TRIED
            )


def _proves(variant: VariantVerdict) -> bool:
    ended = variant.drained and not variant.counts.fates.get(Fate.STRANDED, 0)
    return ended and any(fault.at_risk for fault in variant.faults)
