"""The guarantee and its controls, put together."""

from __future__ import annotations

from collections.abc import Sequence

from harness.checks.words.headline import run_headline
from harness.verdict.data import Outcome, RunVerdict, VariantVerdict, worst


def combine(
    variants: Sequence[VariantVerdict],
    *,
    scenario: str,
    description: str,
    file: str,
    seed: int,
    replay: str,
    started_at: str,
    duration_s: float,
    versions: dict[str, str],
    interrupted: bool = False,
) -> RunVerdict:
    """Put a run's verdict together: as expected only if the guarantee and every control are."""
    outcomes = [variant.outcome for variant in variants]
    if interrupted or not outcomes:
        outcomes.append(Outcome.INTERRUPTED)
    outcome = worst(outcomes)
    return RunVerdict(
        scenario=scenario,
        description=description,
        file=file,
        outcome=outcome,
        headline=run_headline(outcome, variants),
        seed=seed,
        replay=replay,
        started_at=started_at,
        duration_s=duration_s,
        versions=versions,
        variants=tuple(variants),
    )
