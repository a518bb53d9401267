"""Durations, sizes and comparisons."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.scenario.quantities import (
    format_duration,
    parse_count,
    parse_duration,
    parse_ratio,
    parse_share,
    parse_size,
    parse_time,
    write_duration,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2ms", 0.002), ("1.5s", 1.5), (" 2 m ", 120.0), ("1h", 3600.0), ("250us", 0.00025), (3, 3.0), (0.5, 0.5), (0, 0)],
)
def test_durations_are_seconds(text: object, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["2", "ms", "-1s", -1, True, None, "1 parsec", "1e3s", "9" * 400 + "h", 1e300, "nan"])
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="must be a duration such as"):
        parse_duration(text)


@given(seconds=st.floats(0, 10**6))
def test_a_duration_that_was_written_is_read_as_the_same_number(seconds: float) -> None:
    assert parse_duration(write_duration(seconds)) == seconds


def test_durations_are_written_with_a_unit_where_they_can_be() -> None:
    assert [write_duration(each) for each in (0.0, 0.002, 0.25, 1.5, 60.0, 90.0)] == [
        "0s", "2ms", "250ms", "1.5s", "1m", "1.5m",
    ]  # fmt: skip
    assert [format_duration(each) for each in (0.002, 1.5, 300.0)] == ["2 ms", "1.5 s", "5 min"]


def test_sizes_are_bytes() -> None:
    assert [parse_size(each) for each in ("256B", "1KiB", "2 MB", 7)] == [256, 1024, 2_000_000, 7]
    for wrong in ("1.5KB", "KB", -1, True, None, "1 GB", 2.0):
        with pytest.raises(ValueError, match="must be a size such as"):
            parse_size(wrong)


@pytest.mark.parametrize(
    ("text", "holds", "fails"),
    [
        (0, [0], [1]),
        ("= 3", [3], [2, 4]),
        (">= 1", [1, 9], [0]),
        ("<5", [4], [5]),
        ("1..5", [1, 5], [0, 6]),
        ("> 1,000", [1001], [1000]),
        ("<= 5_000", [5000], [5001]),
    ],
)
def test_counts_hold_within_their_bounds(text: object, holds: list[int], fails: list[int]) -> None:
    comparison = parse_count(text)
    assert all(comparison.holds(value) for value in holds)
    assert not any(comparison.holds(value) for value in fails)
    assert str(comparison) == str(text)


def test_each_kind_of_comparison_has_its_unit() -> None:
    assert parse_share(">= 60%").bounds == ((">=", 0.6),)
    assert parse_time("1s..2s").bounds == ((">=", 1.0), ("<=", 2.0))
    assert parse_time("0").bounds == (("==", 0.0),)
    assert parse_ratio("<= 1.5").bounds == (("<=", 1.5),)
    assert [parse_count(text).least for text in ("< 5", ">= 3", "2..4", 7)] == [0, 3, 2, 7]


@pytest.mark.parametrize(
    "text", ["=> 1", "1.5", "", "-1", "1,00", "many", "nan", "inf", "1..", ">= 1 and <= 2", None, True]
)
def test_what_is_no_count_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="must be a count or a comparison"):
        parse_count(text)


def test_an_empty_range_is_refused() -> None:
    with pytest.raises(ValueError, match="empty range"):
        parse_time("2s..1s")
    for wrong in ("0.6", 60, "60 %%"):
        with pytest.raises(ValueError, match="must be a share"):
            parse_share(wrong)
    for wrong in (5, "5", "< 5 parsecs"):
        with pytest.raises(ValueError, match="must be a comparison with a duration"):
            parse_time(wrong)


counts = st.integers(0, 12)
comparisons = st.one_of(
    st.tuples(st.sampled_from(["<", "<=", ">", ">=", "=", ""]), counts).map(lambda both: f"{both[0]}{both[1]}"),
    st.tuples(counts, counts).map(lambda both: f"{min(both)}..{max(both)}"),
)


@given(text=comparisons, ends=st.tuples(counts, counts))
def test_a_comparison_of_an_uncertain_count_looks_at_every_count_that_it_can_be(
    text: str, ends: tuple[int, int]
) -> None:
    comparison, low, high = parse_count(text), min(ends), max(ends)
    held = [comparison.holds(value) for value in range(low, high + 1)]
    assert comparison.holds_for_all(low, high) is all(held)
    assert comparison.holds_for_none(low, high) is (not any(held))


@given(text=comparisons, value=counts)
def test_a_certain_count_holds_for_all_or_for_none(text: str, value: int) -> None:
    comparison = parse_count(text)
    assert comparison.holds_for_all(value, value) is comparison.holds(value)
    assert comparison.holds_for_none(value, value) is (not comparison.holds(value))


def test_an_uncertain_ratio_holds_for_none_of_its_interval_only_where_it_misses_it() -> None:
    between = parse_ratio("1.2..1.4")
    assert not between.holds_for_all(1.0, 1.5)
    assert not between.holds_for_none(1.0, 1.5)
    assert between.holds_for_none(1.5, 9.0)
