"""Arrays made from memory are what pyarrow itself makes of the same values."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.history.arrow import flags, numbers, texts


@given(rows=st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.booleans()), max_size=40))
def test_numbers_are_there_unless_missing(rows: list[tuple[int, bool]]) -> None:
    values, missing = np.array([value for value, _ in rows], dtype=np.int64), np.array([gone for _, gone in rows], bool)
    made = numbers(values, missing)
    made.validate(full=True)
    assert made.equals(pa.array(values, mask=missing))
    assert numbers(values).equals(pa.array(values))


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float64])
def test_numbers_keep_their_type_and_may_lie_apart(kind: type[np.generic]) -> None:
    records = np.zeros(11, dtype=[("a", kind), ("b", np.uint8)])
    records["a"] = np.arange(11)
    assert numbers(records["a"]).equals(pa.array(records["a"]))


def test_whole_numbers_may_be_times() -> None:
    kind = pa.timestamp("us", tz="UTC")
    assert numbers(np.array([1, 2]), kind=kind).equals(pa.array([1, 2], type=kind))


@given(values=st.lists(st.booleans(), max_size=40))
def test_flags_are_flags(values: list[bool]) -> None:
    made = flags(np.array(values, dtype=bool))
    made.validate(full=True)
    assert made.equals(pa.array(values, type=pa.bool_()))


@given(values=st.lists(st.text(), max_size=10))
def test_texts_are_texts_in_any_script(values: list[str]) -> None:
    made = texts(values)
    made.validate(full=True)
    assert made.equals(pa.array(values, type=pa.string()))
