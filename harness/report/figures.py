"""Numbers as every report writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from harness.scenario.quantities import format_duration
from harness.verdict.data import DONE, Counts, Fate, VariantVerdict

NOTHING = "—"
"""Where there is no figure."""
NOTHING_PUBLISHED = "nothing was published to it; dead letters count in the queue that they were first put in"
"""Of a queue that no message was first put in, such as one for dead letters."""

SHOWN_NAMES: Final = 20
"""How many queues, publishers or workers a table or a chart names; the sums hold them all."""


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


def figure(fate: Fate, counts: Counts) -> str:
    """Write how many copies have a fate: `875`, or what is shown and what is possible, `875 to 877` or `up to 2`."""
    return interval(counts.least(fate), counts.most(fate))


def lost_figure(variant: VariantVerdict) -> str:
    """Write how many copies are lost. A run that was cut short has no causes: there it is a bound, `up to 12`."""
    counts = variant.counts
    if counts.fates.get(Fate.LOST) and not variant.causes:
        return interval(0, counts.most(Fate.LOST))
    return figure(Fate.LOST, counts)


def interval(least: int, most: int) -> str:
    """Write a figure of which only bounds are known: `875 to 877`, `up to 2`; just the figure where they agree."""
    if least == most:
        return f"{most:,}"
    return f"{least:,} to {most:,}" if least > 0 else f"up to {most:,}"


def not_done_otherwise(counts: Counts) -> dict[Fate, str]:
    """Return the fates of what was neither done nor lost, in their order, each with its figure."""
    return {fate: figure(fate, counts) for fate in Fate if counts.fates.get(fate) and fate not in (*DONE, Fate.LOST)}


def several_copies(counts: Counts) -> bool:
    """Whether there are more copies, or less, than messages, so that both have to be said."""
    return counts.copies not in (0, counts.published)


def processed(counts: Counts) -> int:
    """Return how many copies were processed, however their publishers had heard of them."""
    return sum(counts.fates.get(fate, 0) for fate in DONE)


def matter_most(groups: Mapping[str, Mapping[Fate, int]], most: int) -> list[str]:
    """Return the names to show where there are too many: those with the most copies that were not done, then those with the most copies.

    They stay in their order. A name stands for a queue, a publisher or a worker; an empty one for nobody.
    """
    there = [name for name, fates in groups.items() if name or any(fates.values())]

    def weight(name: str) -> tuple[int, int]:
        fates = groups[name]
        return (sum(count for fate, count in fates.items() if fate not in DONE), sum(fates.values()))

    chosen = set(sorted(there, key=weight, reverse=True)[:most])
    return [name for name in there if name in chosen]
