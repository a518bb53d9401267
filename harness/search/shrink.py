"""Shrink a timeline that breaks a guarantee to one of which no step can be left out.

What a run comes to depends on chance, so each shorter timeline is tried several times: one that broke the guarantee once is taken
as the next to shrink, one that never did counts as harmless.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from harness.search.draw import Step

TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Try:
    """A run of a shorter timeline."""

    steps: tuple[Step, ...]
    number: int
    """Which try of it, from 0."""


def shorter(steps: Sequence[Step]) -> Iterator[Try]:
    """Give what to try in turn: nothing at all first, for a loss that needs no fault; then each timeline with one step left out.

    All are tried once before any is tried again.
    """
    lengths = [()] if len(steps) == 1 else [(), *(tuple(_without(steps, index)) for index in range(len(steps)))]
    for number in range(TRIES):
        for candidate in lengths:
            yield Try(candidate, number)


def _without(steps: Sequence[Step], index: int) -> Iterator[Step]:
    yield from steps[:index]
    yield from steps[index + 1 :]
