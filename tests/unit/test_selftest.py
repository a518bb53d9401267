from __future__ import annotations

from functools import cache
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.checks.judge import judge
from harness.checks.selftest.planted import KINDS
from harness.checks.selftest.recorded import recorded
from harness.checks.selftest.selftest import selftest
from harness.history.narrow import narrowed
from harness.history.trace import life
from harness.verdict.data import Outcome, VariantVerdict
from tests.examples import examples

pytestmark = pytest.mark.seconds


def test_the_recorded_history_is_as_expected() -> None:
    history, scenario = recorded()
    verdict = judge(history, scenario, name="guarantee")
    assert verdict.outcome is Outcome.AS_EXPECTED, verdict.reasons
    assert verdict.counts.published == 2000


@cache
def before() -> VariantVerdict:
    """What is said of the history that nothing was planted in."""
    history, scenario = recorded()
    return judge(history, scenario, name="before")


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=examples(3))
@given(seed=st.integers(0, 10**6))
def test_every_planted_fault_is_found(kind: str, seed: int) -> None:
    history, scenario = recorded()
    planted = KINDS[kind](history, Random(seed))
    assert planted.found(before(), judge(planted.history, scenario, name="after")), planted.what


def test_a_history_without_a_fault_is_not_taken_for_one_with() -> None:
    history, _ = recorded()
    for kind, plant in KINDS.items():
        assert not plant(history, Random(1)).found(before(), before()), kind


def test_the_report_of_the_selftest_counts() -> None:
    history, scenario = recorded()
    result = selftest(history, scenario, seed=1, rounds=1)
    assert (len(result.rows), result.missed) == (len(KINDS), 0)


def test_a_message_has_the_same_life_in_a_narrowed_history() -> None:
    history, _ = recorded()
    chosen = [(1, 7), (2, 140), (1, 160)]
    told = narrowed(history, chosen)
    assert sum(len(log.records) for log in told.logs) < 60
    for number, seq in chosen:
        whole = life(history, f"publisher-{number}", seq)
        assert len(whole) >= 5
        assert life(told, f"publisher-{number}", seq) == whole
