from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from harness.trend.changes import changes, fisher_p, holm, rank_sum_p
from harness.trend.rows import Row
from harness.trend.table import MEASURES, table
from harness.verdict.data import Outcome
from tests.unit.trend_samples import drawn_table, nights, noise, shifted

pytestmark = pytest.mark.seconds

NULL_STORES = 400
POWER_STORES = 100


def by_counting(before: list[float], newest: list[float]) -> float:
    """Go through every choice; ranks as sorting by hand would give them."""
    values = [*before, *newest]
    ranks = [
        sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2 for value in values
    ]
    expected = len(newest) * (len(values) + 1) / 2
    seen = abs(sum(ranks[len(before) :]) - expected)
    choices = [abs(sum(choice) - expected) >= seen - 1e-9 for choice in combinations(ranks, len(newest))]
    return sum(choices) / len(choices)


@pytest.mark.parametrize("seed", range(30))
def test_the_rank_sum_test_is_exact_with_and_without_ties(seed: int) -> None:
    generator = np.random.default_rng(seed)
    size, chosen = int(generator.integers(4, 11)), int(generator.integers(1, 4))
    values = generator.integers(0, 5 if seed % 2 else 1000, size + chosen).astype(float).tolist()
    before, newest = values[:size], values[size:]
    assert rank_sum_p(before, newest) == pytest.approx(by_counting(before, newest), rel=1e-9)


def test_values_that_lie_apart_have_the_least_p() -> None:
    assert rank_sum_p([1, 2, 3, 4, 5, 6, 7], [8, 9, 10]) == pytest.approx(2 / math.comb(10, 3))
    assert rank_sum_p([1.0] * 5, [1.0] * 5) == 1
    assert rank_sum_p(list(range(28)), list(range(100, 107))) == pytest.approx(2 / math.comb(35, 7))


def test_fishers_test_gives_the_known_values() -> None:
    # The lady who tasted tea: 3 of 4 cups right, and 4 of 4.
    assert fisher_p(1, 4, 3, 4) == pytest.approx(34 / 70)
    assert fisher_p(0, 4, 4, 4) == pytest.approx(2 / 70)
    assert fisher_p(28, 28, 7, 7) == 1
    assert fisher_p(28, 28, 0, 7) == pytest.approx(1 / math.comb(35, 7))


def test_holms_correction_gives_the_known_values() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([0.5, 0.9]) == pytest.approx((1.0, 1.0))
    assert holm([]) == ()


def test_where_nothing_changes_hardly_anything_is_flagged() -> None:
    alarms = sum(bool(changes(drawn_table(seed)).changed) for seed in range(NULL_STORES))
    tested = changes(drawn_table(0)).tested
    assert tested >= 60, "the correction is over many figures"
    # The level is 5%. A test with exactly that error stays below this bound in 999 of 1000 cases.
    deviation = math.sqrt(0.05 * 0.95 / NULL_STORES)
    assert alarms / NULL_STORES <= 0.05 + 3.1 * deviation
    assert alarms, "a test that never flags anything would pass as well"


def test_without_the_correction_nearly_every_store_would_be_flagged() -> None:
    found = [changes(drawn_table(seed)) for seed in range(40)]
    assert sum(any((each.p or 1) <= 0.05 for each in one.comparisons) for one in found) > 30


def test_a_recovery_that_takes_three_times_as_long_is_found_and_nothing_else() -> None:
    found = wrong = 0
    for seed in range(POWER_STORES):
        slower = drawn_table(seed, draw=shifted(3.0, since=28), changing=1)
        flagged = changes(slower).changed
        mine = [each for each in flagged if each.line is slower.lines[0] and each.measure == MEASURES[1]]
        found += len(mine)
        wrong += len(flagged) > len(mine)
    assert found >= 0.8 * POWER_STORES
    assert wrong <= 0.05 * POWER_STORES + 3.1 * math.sqrt(0.05 * 0.95 * POWER_STORES)


def test_a_change_is_told_with_its_figures() -> None:
    result = changes(table(nights(35, seed=1, scenarios=1, draw=shifted(3.0, since=28, column="throughput"))))
    first = result.changed[0]
    assert first.measure is not None
    assert (first.measure.column, first.nights_before, first.nights_newest) == ("throughput", 28, 7)
    assert 2 < first.newest / first.before < 4.5
    assert first.adjusted_p is not None
    assert first.p is not None
    assert first.p < first.adjusted_p <= 0.05
    assert result.of(first.line, first.measure) is first


def test_a_scenario_that_begins_to_fail_is_found() -> None:
    rows = nights(35, seed=2, green=1.0)
    failing = [
        replace(row, outcome=Outcome.VIOLATED.value)
        if row.scenario == "scenario 1" and row.variant == "guarantee" and row.night >= "night 030"
        else row
        for row in rows
    ]
    (found,) = [each for each in changes(table(failing)).changed if each.measure is None]
    assert (found.line.scenario, found.line.variant) == ("scenario 1", "guarantee")
    assert found.before == 1
    assert found.newest == pytest.approx(2 / 7)


def test_figures_that_never_change_are_not_tested() -> None:
    rows = nights(35, seed=3, green=1.0, draw=lambda *_: 1.0)
    result = changes(table(rows))
    assert result.tested == 0
    assert len(result.comparisons) == 12 * (1 + len(MEASURES))
    assert result.changed == ()


def test_too_few_nights_are_said_not_guessed() -> None:
    result = changes(table(nights(13, seed=4, draw=shifted(50.0, since=6))))
    assert result.comparisons == ()
    assert result.too_few == 12 * (1 + len(MEASURES))


def test_what_does_not_run_any_more_is_not_compared() -> None:
    rows = [row for row in nights(35, seed=5) if row.scenario != "scenario 2" or row.night < "night 028"]
    compared = {each.line.scenario for each in changes(table(rows)).comparisons}
    assert compared == {"scenario 0", "scenario 1", "scenario 3"}


def test_only_the_nights_just_before_are_compared_with() -> None:
    long_ago = nights(70, seed=6, scenarios=1, draw=shifted(4.0, since=30))
    assert changes(table(long_ago)).changed == ()
    assert all(each.nights_before == 28 for each in changes(table(long_ago)).comparisons)


def test_a_night_counts_once_however_often_it_ran() -> None:
    rows = nights(20, seed=7, scenarios=1, repetitions=3)
    found = table(rows)
    assert len(found.nights) == 20
    assert found.runs == 60
    line = found.lines[0]
    assert line.runs == (3,) * 20
    of_night = [row.throughput for row in rows if row.night == "night 004" and row.variant == "guarantee"]
    assert line.figures["throughput"][4] == sorted(value for value in of_night if value is not None)[1]


def test_a_nights_verdict_is_its_worst() -> None:
    rows = nights(2, seed=8, scenarios=1, repetitions=3, green=1.0)
    rows[0] = replace(rows[0], outcome=Outcome.INCONCLUSIVE.value)
    rows[3] = replace(rows[3], outcome=Outcome.VIOLATED.value)
    (guarantee,) = [line for line in table(rows).lines if line.variant == "guarantee"]
    assert guarantee.outcomes == (Outcome.VIOLATED, Outcome.AS_EXPECTED)
    assert guarantee.flaky


def test_lines_begin_with_the_guarantee_and_know_where_they_did_not_run() -> None:
    rows = [
        row
        for row in nights(3, seed=9, scenarios=2, draw=noise)
        if (row.scenario, row.night[-1]) != ("scenario 1", "1")
    ]
    found = table(rows)
    assert [(line.scenario, line.variant) for line in found.lines][:2] == [
        ("scenario 0", "guarantee"),
        ("scenario 0", "non-durable queue"),
    ]
    assert found.lines[3].outcomes[1] is None
    assert found.lines[3].figures["throughput"][1] is None


def mixed(before: float, after: float, *, older: int) -> list[Row]:
    """Make 35 nights whose loss rate changes in the newest seven, as the version of the rows may."""

    def draw(generator: np.random.Generator, night: int, column: str) -> float:
        if column == "loss_rate":
            return (before if night < 28 else after) + float(generator.uniform(0, 0.01))
        return noise(generator, night, column)

    return [
        replace(row, schema_version=older if row.night < "night 028" else 2)
        for row in nights(35, seed=1, scenarios=1, draw=draw)
    ]


def test_a_loss_rate_that_counts_messages_is_not_compared_with_one_that_counts_copies() -> None:
    def changed(older: int) -> set[str]:
        found = changes(table(mixed(0.3, 0.1, older=older)))
        return {each.measure.column for each in found.changed if each.measure is not None}

    assert changed(2) == {"loss_rate"}, "among rows of one version the change is found"
    assert changed(1) == set()


def test_nights_of_an_older_version_keep_their_other_figures() -> None:
    line = table(mixed(0.3, 0.1, older=1)).lines[0]
    assert line.figures["loss_rate"][:28] == (None,) * 28
    assert None not in line.figures["loss_rate"][28:]
    assert None not in line.figures["recovery_s"]
