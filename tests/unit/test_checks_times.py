"""Times of messages take half the room of a plain array, and are exactly those that a plain array holds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.checks.tally.times import NEVER, Times

SIZE = 700
SECOND = 1_000_000_000

spread = st.sampled_from([1_000, SECOND, 3 * SECOND, 9 * SECOND, 10**13, 2**52, 2**61])


@st.composite
def _notes(draw: st.DrawFn) -> list[tuple[list[int], list[int]]]:
    """Messages and times, batch by batch: neighbours or any messages, near each other in time or far apart."""
    batches = []
    for _ in range(draw(st.integers(0, 6))):
        if draw(st.booleans()):
            begin, length = draw(st.integers(0, SIZE - 1)), draw(st.integers(1, SIZE))
            message = list(range(begin, min(begin + length, SIZE)))
        else:
            message = draw(st.lists(st.integers(0, SIZE - 1), max_size=30))
        around, random = draw(spread), np.random.default_rng(draw(st.integers(0, 2**32)))
        times = around + random.integers(0, draw(spread), len(message))
        times[random.random(len(message)) < draw(st.sampled_from([0, 0.3]))] = NEVER
        batches.append((message, times.tolist()))
    return batches


@given(_notes(), st.lists(st.integers(0, SIZE - 1), max_size=20), st.integers(0, SIZE), st.integers(0, SIZE))
def test_times_are_those_of_a_plain_array(
    batches: list[tuple[list[int], list[int]]], some: list[int], begin: int, end: int
) -> None:
    times, plain = Times(SIZE), np.full(SIZE, NEVER, dtype=np.int64)
    for message, at_ns in batches:
        where, at = np.array(message, dtype=np.int64), np.array(at_ns, dtype=np.int64)
        together = len(message) > 0 and message == list(range(message[0], message[-1] + 1))
        times.least(slice(message[0], message[-1] + 1) if together and begin % 2 else where, at)
        np.minimum.at(plain, where, at)
        picked = np.array(some, dtype=np.int64)
        assert times[picked].tolist() == plain[picked].tolist()
        assert times.known(picked).tolist() == (plain[picked] != NEVER).tolist()
        assert times[begin:end].tolist() == plain[begin:end].tolist()
    assert times[:].tolist() == plain.tolist()
    assert times.known(slice(0, SIZE)).tolist() == (plain != NEVER).tolist()
    times.resize(end)
    assert times[:].tolist() == plain[:end].tolist()
    times.resize(SIZE)
    assert times[:].tolist() == [*plain[:end].tolist(), *[NEVER] * (SIZE - end)]


@pytest.mark.parametrize("beyond", [beyond + far * 2**32 for far in range(-2, 3) for beyond in range(-2, 3)])
def test_a_time_whose_32_bits_read_as_never_is_told_apart(beyond: int) -> None:
    """Near the last time that a block can tell, and near those that are whole multiples of 32 bits from it."""
    times = Times(3)
    last = 10 * SECOND - 2**30 + 2**32
    times.least(np.array([0]), np.array([10 * SECOND]))
    times.least(np.array([1]), np.array([last + beyond]))
    assert times[:].tolist() == [10 * SECOND, last + beyond, NEVER]
    assert times.known(slice(0, 3)).tolist() == [True, True, False]


def test_a_time_that_is_near_again_takes_the_place_of_one_that_was_far() -> None:
    times = Times(2)
    times.least(slice(0, 2), np.array([100, 900]) * SECOND)
    times.least(np.array([1, 1]), np.array([101, 800]) * SECOND)
    assert times[:].tolist() == [100 * SECOND, 101 * SECOND]
