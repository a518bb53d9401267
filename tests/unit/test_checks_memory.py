"""What judging takes of memory, by message: what is kept of each, and what passes while all are looked at."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from dataclasses import fields, is_dataclass

import numpy as np
import pytest

from benchmarks.histories import make, scenario
from harness.checks.judge import judge
from harness.checks.tally.message_table import tabulate
from harness.history.history import History, load
from harness.history.read import Log

MESSAGES = 300_000
PAGE_BYTES = 4096


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    folder = tmp_path_factory.mktemp("memory") / "history"
    make(folder, MESSAGES)
    return load(folder)


def arrays(thing: object, seen: set[int]) -> Iterator[np.ndarray]:
    """All arrays that hang on a thing; of several views of one, the first. The logs' records stay in their files."""
    if id(thing) in seen or isinstance(thing, Log):
        return
    seen.add(id(thing))
    match thing:
        case np.ndarray():
            yield thing
        case dict():
            yield from (array for part in thing.values() for array in arrays(part, seen))
        case list() | tuple():
            yield from (array for part in thing for array in arrays(part, seen))
        case _ if is_dataclass(thing) and not hasattr(thing, "__dict__"):
            yield from (array for each in fields(thing) for array in arrays(getattr(thing, each.name), seen))
        case _ if hasattr(thing, "__dict__"):
            yield from arrays(vars(thing), seen)


def written(array: np.ndarray) -> int:
    """The bytes of the pages that are not all zeros: the others take no memory."""
    data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    pages = (data[begin : begin + PAGE_BYTES] for begin in range(0, len(data), PAGE_BYTES))
    return sum(len(page) for page in pages if page.any())


def test_what_is_kept_of_a_message_with_a_plain_story_is_little(history: History) -> None:
    """Three times of 4 bytes, a byte of marks, and the session: 14 bytes. Two more are tables by publisher and by block."""
    seen = tabulate(history, scenario(MESSAGES))
    kept = sum(written(array) for array in arrays(seen, set()))
    assert 14 < kept / MESSAGES < 16.5


def test_what_passes_while_all_messages_are_looked_at_is_bounded(history: History) -> None:
    judge(history, scenario(MESSAGES), name="x")  # what is made once is made
    tracemalloc.start()
    try:
        judge(history, scenario(MESSAGES), name="x")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most / MESSAGES < 105
