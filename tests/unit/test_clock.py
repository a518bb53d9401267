"""Other machines' clocks are read as well as is said, whatever the way there and back takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.scale.clock import Reading, error_ns, read_clock, to_here

BOOTED_NS = 3_000_000 * 10**9
"""A machine that has run for a month: too many nanoseconds for a float."""


class Machines:
    """Two machines whose clocks part evenly, and a network between them that takes its time."""

    def __init__(self, offset_ns: int, drift_ppm: int, delays_ns: Iterator[int]) -> None:
        self.now_ns = BOOTED_NS
        self._offset_ns, self._drift_ppm, self._delays_ns = offset_ns, drift_ppm, delays_ns

    def here(self) -> int:
        return self.now_ns

    def there(self, at_ns: int | None = None) -> int:
        at_ns = self.now_ns if at_ns is None else at_ns
        return at_ns + self._offset_ns + int(Fraction(self._drift_ppm * (at_ns - BOOTED_NS), 10**6))

    def ask(self) -> int:
        self.now_ns += next(self._delays_ns)
        shown = self.there()
        self.now_ns += next(self._delays_ns)
        return shown


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> Callable[[Machines, int], Reading]:
    def read(machines: Machines, exchanges: int) -> Reading:
        monkeypatch.setattr("harness.scale.clock.time.monotonic_ns", machines.here)
        return read_clock(machines.ask, exchanges)

    return read


def test_the_quickest_answer_tells_most(reading: Callable[[Machines, int], Reading]) -> None:
    machines = Machines(5_000_000_000, 0, iter([900, 100, 30, 10, 400, 400]))
    found = reading(machines, 3)
    assert found.error_ns == 20
    assert abs(found.offset_ns - 5_000_000_000) <= 20


@given(
    offset_ns=st.integers(-(10**15), 10**15),
    drift_ppm=st.integers(-200, 200),
    delays_ns=st.lists(st.integers(0, 50_000_000), min_size=16, max_size=16),
    run_ns=st.integers(0, 10**12),
    share=st.floats(0, 1),
)
def test_a_translated_time_is_wrong_by_no_more_than_is_said(
    offset_ns: int, drift_ppm: int, delays_ns: list[int], run_ns: int, share: float
) -> None:
    machines = Machines(offset_ns, drift_ppm, iter(delays_ns))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.scale.clock.time.monotonic_ns", machines.here)
        first = read_clock(machines.ask, 4)
        began_ns = machines.now_ns
        machines.now_ns += run_ns
        ended_ns = machines.now_ns
        last = read_clock(machines.ask, 4)
    happened_ns = began_ns + int(share * (ended_ns - began_ns))
    readings = (first, last)
    found = int(to_here(np.array([machines.there(happened_ns)], dtype=np.int64), readings)[0])
    # What the clocks part while one exchange lasts is not in the bound: 200 millionths of 100 ms.
    assert abs(found - happened_ns) <= error_ns(readings) + 20_000 + 2


def test_times_before_the_first_reading_and_after_the_last_are_translated_too() -> None:
    readings = (Reading(1000, 100, 5), Reading(2000, 200, 7))
    times = np.array([500, 1000, 1500, 2000, 3000], dtype=np.int64)
    assert to_here(times, readings).tolist() == [400, 900, 1350, 1800, 2800]
    assert error_ns(readings) == 7
