"""Percentiles of groups, found by counting digits, are those that numpy finds in all numbers at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from harness.checks.rules.percentiles import Ranked

GROUPS = 4

numbers = st.one_of(st.integers(0, 30), st.integers(0, 2**26), st.integers(0, 2**40), st.integers(0, 2**62))

wanted = st.lists(st.sampled_from([0, 37.5, 50, 95, 99, 100]), min_size=1, max_size=6)


@given(st.lists(st.tuples(numbers, st.integers(0, GROUPS - 1)), min_size=1, max_size=80), st.integers(1, 20), wanted)
@example([(0, 0)], 1, [50])
@example([(63, 0), (8191, 0)], 2, [0, 100])  # the whole of one number is the first digits of another
@example([(1, 0), (2**53 + 1, 0)], 2, [50])  # so far apart that it matters from which of the two is counted
@example([(1, 0), (2**53, 0)], 2, [37.5])
def test_percentiles_are_numpys(members: list[tuple[int, int]], at_once: int, percents: list[float]) -> None:
    values, group = (np.array(column, dtype=np.int64) for column in zip(*members, strict=True))

    def read() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for begin in range(0, len(values), at_once):
            yield values[begin : begin + at_once], group[begin : begin + at_once]

    sets = [
        chosen
        for chosen in (np.arange(GROUPS), *np.eye(GROUPS, dtype=bool))
        if group[np.isin(group, np.arange(GROUPS)[chosen])].size
    ]
    ranked = Ranked(read, GROUPS, int(values.max()))
    assert ranked.sizes.tolist() == np.bincount(group, minlength=GROUPS).tolist()
    found = ranked.percentiles(sets, percents)
    for chosen, row in zip(sets, found, strict=True):
        mine = values[np.isin(group, np.arange(GROUPS)[chosen])]
        assert row.tolist() == np.percentile(mine, percents).tolist()


class Watched(Ranked):
    """Knows how many places were counted in each reading."""

    def _counted(self, slots: Any) -> np.ndarray:
        self.__dict__.setdefault("places", []).append(len(slots.group))
        return super()._counted(slots)


def test_only_numbers_that_begin_as_a_wanted_one_are_looked_at_further() -> None:
    """Numbers are read in three parts of twelve binary digits; those of the first group are all below those of the second."""
    low = np.array([high << 24 | middle << 12 | last for high in range(3) for middle in range(3) for last in range(3)])
    values, group = np.concatenate([low, low + (1 << 35)]), np.repeat([0, 1], len(low))
    ranked = Watched(lambda: iter([(values, group)]), 2, int(values.max()))
    found = ranked.percentiles([np.array([0, 1])], [0, 100])
    assert found.tolist() == [[values.min(), values.max()]]
    assert ranked.__dict__["places"] == [2, 2, 2]
