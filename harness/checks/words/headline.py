"""The verdict in one sentence that a tired person understands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from harness.checks.tally.fault_records import FaultRecord
from harness.verdict.data import Counts, ExpectationResult, Fate, LossCause, Outcome, VariantVerdict
from harness.verdict.words import plural, rate_bound


def faults_in_words(struck: Sequence[FaultRecord]) -> str:
    """Sum the faults up: `across 2 broker restarts and 1 worker kill`."""
    names: Counter[tuple[str, str]] = Counter()
    for fault_record in struck:
        names[fault_record.noun] += fault_record.times
    parts = [plural(count, *noun) for noun, count in names.items()]
    if not parts:
        return "without any fault"
    return "across " + (parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}")


def headline(
    outcome: Outcome,
    *,
    counts: Counts,
    promised: int,
    confirms: bool,
    bound: float | None,
    causes: Sequence[LossCause],
    struck: Sequence[FaultRecord],
    expectations: Sequence[ExpectationResult],
    reasons: Sequence[str],
) -> str:
    """Make a variant's sentence."""
    lost = counts.fates.get(Fate.LOST, 0)
    if outcome in (Outcome.INFRASTRUCTURE, Outcome.INCONCLUSIVE, Outcome.INTERRUPTED):
        first = reasons[0] if reasons else "it did not come to an end"
        return f"{outcome.value.capitalize()}: {first}"
    if lost:
        told = " ".join(cause.sentence for cause in causes[:2])
        more = f" And {plural(len(causes) - 2, 'more cause')}." if len(causes) > 2 else ""
        return told + more
    failing = [result for result in expectations if result.holds is False and result.path != "lost"]
    kind = "confirmed" if confirms else "sent"
    base = f"0 of {promised:,} {kind} messages lost {faults_in_words(struck)}"
    if bound is not None:
        base += f" (loss rate {rate_bound(bound)} at 95%)"
    if failing:
        said = "; ".join(f"{result.path} was {result.observed}, expected {result.expected}" for result in failing[:3])
        return f"{base}, but {said}."
    return base + "."


def run_headline(outcome: Outcome, variants: Sequence[VariantVerdict]) -> str:
    """Make the whole run's sentence: the guarantee's, and whether the controls showed what they must."""
    if not variants:
        return "Interrupted before anything was judged." if outcome is Outcome.INTERRUPTED else "Nothing was judged."
    guarantee, controls = variants[0], variants[1:]
    bad = [control for control in controls if control.outcome is not Outcome.AS_EXPECTED]
    if not controls:
        return guarantee.headline
    if not bad:
        names = ", ".join(control.name for control in controls)
        shown = "Its control showed" if len(controls) == 1 else "Its controls showed"
        return (
            f"{guarantee.headline} {shown} what they must ({names})."
            if len(controls) > 1
            else f"{guarantee.headline} {shown} what it must ({names})."
        )
    said = " ".join(f"Control {control.name!r}: {control.headline}" for control in bad)
    return f"{guarantee.headline} {said}"
