"""Numbers as every report writes them."""

from __future__ import annotations

from harness.scenario.quantities import format_duration
from harness.verdict.data import Counts, Fate, VariantVerdict

NOTHING = "—"
"""Where there is no figure."""


def seconds(value: float | None) -> str:
    """Write a duration as a person would, `2 ms`; a dash where there is none."""
    return NOTHING if value is None else format_duration(value)


def about(value: float) -> str:
    """Write an estimate no finer than it is: `18 s`, `3 min`."""
    return f"{value:.0f} s" if value < 90 else f"{value / 60:.0f} min"


def clock(value: float | None) -> str:
    """Write a moment of the timeline in seconds, `12.35 s`; a dash where there is none."""
    if value is None:
        return NOTHING
    return f"{value:,.2f} s" if abs(value) < 1000 else f"{value:,.0f} s"


def share(part: int, whole: int) -> str:
    """Write a part as a percentage: `12.4%`. What is there is never shown as nothing, nor what is not all as all."""
    if not whole or not part:
        return "0%"
    percent = 100 * part / whole
    if percent < 0.1:
        return "< 0.1%"
    if part < whole and percent > 99.9:
        return "> 99.9%"
    return f"{percent:.1f}%" if percent < 99.95 else "100%"


def processed(counts: Counts) -> int:
    """Return how many messages were processed, however their publishers had heard of them."""
    return sum(counts.fates.get(fate, 0) for fate in (Fate.PROCESSED, Fate.RECOVERED, Fate.RESURRECTED))


def sentences(variant: VariantVerdict) -> tuple[str, ...]:
    """Return what took messages, then what brought some back: each with what would have prevented it."""
    taken, twice = variant.causes, variant.duplicate_causes
    return (*(cause.sentence for cause in taken), *(cause.sentence for cause in twice))
