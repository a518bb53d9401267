"""Times in order, slice by slice, are the times sorted at once; so are the times without service that are found in them."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.checks.rules import in_order as module
from harness.checks.rules import timing
from harness.checks.rules.in_order import in_order
from harness.checks.tally.columns import Here
from harness.checks.tally.times import NEVER, Times
from tests.unit.histories import noted


@st.composite
def _spans(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Begins and ends of many messages, near each other or far apart, some of which never happened."""
    random, most = Random(draw(st.integers(0, 2**32))), draw(st.sampled_from([50, 2_000, 50_000_000_000]))
    count, never = draw(st.integers(0, 300)), draw(st.sampled_from([0, 0.2]))
    times = [NEVER if random.random() < never else random.randint(0, most) for _ in range(2 * count)]
    return list(zip(times[:count], times[count:], strict=True))


SPANS = _spans()


@pytest.fixture(autouse=True, scope="module")
def _small_slices() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "AT_ONCE", 16)
        patch.setattr(module, "_LEAST_SLICE", 8)
        patch.setattr(module, "_SAMPLED", 2)
        patch.setattr(timing, "LISTED_OUTAGES", 3)
        yield


def columns(spans: list[tuple[int, int]]) -> tuple[Times, Times]:
    return noted([begin for begin, _ in spans]), noted([end for _, end in spans])


@given(SPANS)
def test_slices_behind_each_other_are_all_times_sorted(spans: list[tuple[int, int]]) -> None:
    begins, ends = columns(spans)
    found = [time for part in in_order(begins, ends) for time in part.tolist()]
    assert found == sorted(begin for begin, end in spans if NEVER not in (begin, end))


def test_many_times_come_in_several_slices_of_roughly_one_size() -> None:
    times = noted(range(1000))
    sizes = [len(part) for part in in_order(times, times)]
    assert len(sizes) > 10
    assert max(sizes) < 100


@pytest.mark.parametrize("most", [4, 20])
def test_there_are_no_more_slices_than_may_be(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SLICES", most)
    times = noted(range(1000))
    sizes = [len(part) for part in in_order(times, times)]
    assert most - 1 <= len(sizes) <= most
    assert max(sizes) <= 1000 / most + 2


def test_no_slice_is_empty() -> None:
    times = noted([0] * 500 + [10**9] * 500)
    assert [len(part) for part in in_order(times, times)] == [500, 500]
    never = noted([NEVER] * 50)
    assert list(in_order(never, never)) == []


class Watched:
    """Times that know which of them were read."""

    def __init__(self, times: Times) -> None:
        self._times = times
        self.read: list[slice] = []

    def __len__(self) -> int:
        return len(self._times)

    def __getitem__(self, here: Here) -> np.ndarray:
        assert isinstance(here, slice)
        self.read.append(here)
        return self._times[here]

    def known(self, here: Here) -> np.ndarray:
        return self._times.known(here)


def test_times_that_are_in_order_are_read_little_more_than_twice() -> None:
    """Once to see where slices may end, and once for each slice that has some of them."""
    times = noted(range(1000))
    watched = Watched(times)
    slices = len(list(in_order(watched, times)))
    parts = -(-1000 // module.AT_ONCE)
    assert [each.start for each in watched.read[:parts]] == list(range(0, 1000, module.AT_ONCE))
    assert max(each.start for each in watched.read) < 1000
    assert len(watched.read) <= 2 * parts + slices


@given(SPANS)
def test_times_without_service_are_those_of_all_ends_sorted_at_once(spans: list[tuple[int, int]]) -> None:
    begun, done = columns(spans)
    both = [(begin, end) for begin, end in spans if NEVER not in (begin, end)]
    begins, ends = sorted(begin for begin, _ in both), sorted(end for _, end in both)
    gaps = [(max(ends[at - 1], begins[at]), ends[at]) for at in range(1, len(ends))]
    longest = max((end - begin for begin, end in gaps), default=0)
    listed = [(begin, end) for begin, end in gaps if end - begin >= max(1, min(500_000_000, longest))]
    expected = sorted(listed, key=lambda gap: (gap[0] - gap[1], -gap[1]))[:3]
    assert timing._gaps(begun, done) == (expected if both else None)
