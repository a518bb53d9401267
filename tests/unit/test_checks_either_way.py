"""Expectations of which none need be broken alone, and which cannot all hold."""

from __future__ import annotations

import pytest

from harness.checks.rules.either_way import Bounded, broken_either_way
from harness.scenario.quantities import Comparison
from harness.verdict.data import ExpectationResult

NOTHING = Comparison("0", (("==", 0.0),))
SOME = Comparison(">= 1", ((">=", 1.0),))
FEW = Comparison("0..100", ((">=", 0.0), ("<=", 100.0)))
HALF = Comparison("< 150.5", (("<", 150.5),))
UNDER_HALF = Comparison("< 150", (("<", 150.0),))
HALF_AND_ONE = Comparison("<= 151", (("<=", 151.0),))
NO_LESS_THAN_HALF = Comparison("> 149.5", ((">", 149.5),))
HALF_AND_MORE = Comparison("> 150.5", ((">", 150.5),))


def judged(lost: Comparison | None, removed: Comparison | None, *, shown: int = 0) -> list[bool | None]:
    """What is said of two figures: 300 copies were lost or removed, and of those `shown` were removed for sure."""
    results = [
        ExpectationResult(path, str(wanted), "0 to 300", None, stated=True)
        for path, wanted in (("lost", lost), ("removed", removed))
        if wanted is not None
    ]
    figures = {"lost": Bounded(0, 300 - shown, lost), "removed": Bounded(shown, 300, removed)}
    return [each.holds for each in broken_either_way(results, figures, 300)]


@pytest.mark.parametrize(
    ("lost", "removed", "holds"),
    [
        (NOTHING, NOTHING, False),
        (FEW, FEW, False),
        (HALF, HALF, None),
        (FEW, HALF, False),
        (NOTHING, SOME, None),
        (SOME, SOME, None),
        (HALF_AND_MORE, HALF, None),
        (HALF_AND_MORE, HALF_AND_MORE, False),
        (NO_LESS_THAN_HALF, NO_LESS_THAN_HALF, None),
        (UNDER_HALF, HALF_AND_ONE, None),
        (UNDER_HALF, HALF, False),
        (NOTHING, None, None),
    ],
)
def test_copies_that_are_one_thing_or_another_break_two_expectations_that_have_room_for_neither(
    lost: Comparison, removed: Comparison | None, holds: bool | None
) -> None:
    assert set(judged(lost, removed)) == {holds}


def test_too_many_copies_for_a_lower_bound_of_both_break_them() -> None:
    most = Comparison(">= 200", ((">=", 200.0),))
    assert judged(most, most) == [False, False]


def test_what_breaks_alone_says_nothing_of_the_other() -> None:
    assert judged(SOME, NOTHING, shown=10) == [None, None]


def test_the_reason_names_both() -> None:
    results = [ExpectationResult("lost", "0", "0 to 3", None, stated=False)]
    figures = {"lost": Bounded(0, 3, NOTHING), "removed": Bounded(0, 3, NOTHING)}
    (found,) = broken_either_way(results, figures, 3)
    assert found.explanation == "3 copies are lost or removed, and no division between these is as expected"
