"""Counts and marks of messages are those of plain arrays, however often something happened."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.checks.tally.counting import Counts, Marks, are_distinct, with_room_for
from harness.checks.tally.message_table import tabulate
from harness.history.history import History
from harness.history.read import DTYPE, Log
from harness.history.records import Kind, LogHeader
from tests.unit.histories import scenario

SIZE = 50

batch = st.one_of(
    st.tuples(st.integers(0, SIZE - 1), st.integers(1, SIZE)).map(lambda at: list(range(at[0], min(sum(at), SIZE)))),
    st.lists(st.integers(0, SIZE - 1), max_size=20),
    st.integers(0, SIZE - 1).map(lambda message: [message] * 300),
)


@given(st.lists(batch, max_size=8), st.integers(0, SIZE), st.integers(0, SIZE))
def test_messages_are_counted_as_often_as_they_come(batches: list[list[int]], begin: int, end: int) -> None:
    marks = Marks(SIZE)
    other, counts = marks.column(), Counts(SIZE, marks.column())
    plain: Counter[int] = Counter()
    for messages in batches:
        consecutive = len(messages) > 0 and messages == list(range(messages[0], messages[-1] + 1))
        where = slice(messages[0], messages[-1] + 1) if consecutive else np.array(messages, dtype=np.int64)
        new = not any(plain[message] for message in messages) and len(set(messages)) == len(messages)
        distinct = consecutive or are_distinct(np.array(messages, dtype=np.int64))
        assert distinct == (len(set(messages)) == len(messages))
        assert counts.add(where, distinct=distinct) == new
        plain.update(messages)
    here = slice(begin, end)
    assert counts[here].tolist() == [plain[message] for message in range(begin, end)]
    assert counts[np.arange(SIZE)].tolist() == [plain[message] for message in range(SIZE)]
    assert counts.some[here].tolist() == [plain[message] > 0 for message in range(begin, end)]
    assert counts.single(here).tolist() == [plain[message] == 1 for message in range(begin, end)]
    assert not other[:].any(), "a mark is a bit of its own"


@pytest.mark.parametrize("times", [255, 256, 257, 65_535, 65_536, 65_537, 70_000])
def test_no_count_runs_over(times: int) -> None:
    """One message is delivered and completed so often, another one once."""
    published, received = np.zeros(2, dtype=DTYPE), np.zeros(2 * times + 1, dtype=DTYPE)
    published["kind"], published["publisher"], published["attempt"] = Kind.PUBLISHED, 1, 1
    published["seq"], published["tag"] = [0, 1], [1, 2]
    received["publisher"] = received["attempt"] = received["connection"] = 1
    received["kind"][::2], received["kind"][1::2] = Kind.DELIVERED, Kind.COMPLETED
    received["tag"] = np.arange(len(received)) // 2 + 1
    received["seq"][-1] = 1
    history = History(
        (
            Log(LogHeader("publisher", "publisher-1", 1, 1, 1, ("tasks",)), published),
            Log(LogHeader("worker", "worker-1", 1, 1, 2, ("tasks",)), received),
        ),
        (),
    )
    seen = tabulate(history, scenario())
    assert seen.delivered[:].tolist() == [times, 1]
    assert seen.completions[:].tolist() == [times, 0]
    assert seen.delivered.single(slice(0, 2)).tolist() == [False, True]


@pytest.mark.parametrize(
    ("kind", "least", "most", "wider"),
    [("u1", 0, 255, "u1"), ("u1", 0, 256, "u2"), ("u1", 0, 65_536, "u4"), ("i1", 0, 127, "i1"), ("i1", -129, 5, "i2")],
)
def test_an_array_is_made_wider_as_a_whole(kind: str, least: int, most: int, wider: str) -> None:
    array = np.array([3, 0, 7], dtype=kind)
    roomy = with_room_for(array, least, most)
    assert (roomy.dtype, roomy.tolist()) == (np.dtype(wider), [3, 0, 7])
