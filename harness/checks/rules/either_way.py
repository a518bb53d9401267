"""Expectations that are broken whichever of two fates some copies have.

A copy that is only possibly of a fate has that one or another: it was removed or lost, say. Each of the two figures alone may then be as
expected. Together they need not be: of 300 copies that were removed or lost, not all can be neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import floor

from harness.scenario.quantities import Comparison
from harness.verdict.data import ExpectationResult
from harness.verdict.words import plural


@dataclass(frozen=True, slots=True)
class Bounded:
    """A figure of which only bounds are known."""

    least: int
    most: int
    wanted: Comparison | None
    """What it must be; None for anything."""

    def fulfilling(self) -> tuple[int, int] | None:
        """Return the least and the largest figure between the bounds that is as wanted; None if there is none."""
        if self.wanted is None:
            return self.least, self.most
        near = (floor(bound) + step for _, bound in self.wanted.bounds for step in (-1, 0, 1))
        inside = (value for value in (self.least, self.most, *near) if self.least <= value <= self.most)
        found = [value for value in inside if self.wanted.holds(value)]
        return (min(found), max(found)) if found else None


def broken_either_way(
    results: Iterable[ExpectationResult], figures: Mapping[str, Bounded], total: int
) -> tuple[ExpectationResult, ...]:
    """Call undecided results broken if no division of the copies fulfils all of them.

    `figures` has a value, by the path of its expectation, for each fate that uncertain copies can have, and `total` is how many copies
    have one of these: that is certain.
    """
    fulfilling = [figure.fulfilling() for figure in figures.values()]
    known = [each for each in fulfilling if each is not None]
    divisible = sum(least for least, _ in known) <= total <= sum(most for _, most in known)
    if len(known) < len(fulfilling) or divisible:
        return tuple(results)
    copies = plural(total, "copy is", "copies are")
    why = f"{copies} {' or '.join(figures)}, and no division between these is as expected"
    return tuple(
        replace(each, holds=False, explanation=why) if each.holds is None and each.path in figures else each
        for each in results
    )
