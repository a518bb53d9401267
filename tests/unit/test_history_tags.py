"""Joining by tag while a log is read, against one that looks at every pair."""

from __future__ import annotations

import numpy as np
import pytest

from harness.checks.tally.outline import Extents, Outline, groups_of
from harness.checks.tally.times import NEVER, Times
from harness.history.read import BLOCK_RECORDS, DTYPE, Log
from harness.history.records import Kind, LogHeader
from harness.history.tags import Index

BLOCKS = 6


@pytest.mark.parametrize("seed", range(30))
def test_what_a_record_covers_is_settled_wherever_it_stands(seed: int) -> None:
    random = np.random.default_rng(seed)
    tags = [(connection, tag) for connection in (1, 2) for tag in range(1, 30) if random.random() < 0.9]
    tags += [(2, 0)] * (seed % 3)
    if seed % 2:
        random.shuffle(tags)
    ranges = np.zeros(25, dtype=DTYPE)
    ranges["connection"], ranges["at_ns"] = random.integers(1, 3, 25), random.integers(0, 100, 25)
    ranges["tag"], ranges["arg"] = random.integers(0, 32, 25), random.integers(0, 6, 25)

    index, covered, own = Index(), Times(len(tags)), np.zeros(len(tags), dtype=bool)
    for part, records in zip(np.array_split(np.array(tags), BLOCKS), np.array_split(ranges, BLOCKS), strict=True):
        index.add(part[:, 0], part[:, 1])
        index.settle(covered, records)
        index.settle(own, records, ranges=False)
    index.finish()
    covered_ns = covered[:]

    for place, (connection, tag) in enumerate(tags):
        of_it = [row for row in ranges if row["connection"] == connection and tag > 0]
        times = [row["at_ns"] for row in of_it if row["tag"] <= tag < int(row["tag"]) + int(row["arg"])]
        assert covered_ns[place] == min(times, default=NEVER)
        assert own[place] == any(row["tag"] == tag for row in of_it)


def test_a_key_that_is_there_twice_is_told() -> None:
    index = Index()
    index.add(np.array([1, 1, 1]), np.array([1, 2, 1]))
    assert index.finish().repeated


@pytest.mark.parametrize(("first", "unusual", "looked_at"), [(5, False, True), (8, True, True), (8, False, False)])
def test_an_outline_finds_the_records_of_a_message_and_leaves_out_other_blocks(
    first: int, unusual: bool, looked_at: bool
) -> None:
    size = 2 * BLOCK_RECORDS
    records = np.zeros(size, dtype=DTYPE)
    records["kind"], records["connection"] = Kind.PUBLISHED, 1
    records["seq"], records["tag"] = np.arange(size), np.arange(size) + 1
    # The last one confirms a message of the first block, and the one before it loses the connection.
    records["kind"][-2:], records["tag"][-2:], records["arg"][-1] = (Kind.CONNECTION_LOST, Kind.CONFIRMED), (0, 5), 3
    log = Log(LogHeader("publisher", "publisher-1", 1, 1, 1, ("tasks",)), records)
    published = [np.arange(BLOCK_RECORDS), np.arange(BLOCK_RECORDS, size - 2)]
    extents = Extents.of([(_key(1), _key(BLOCK_RECORDS), False), (_key(first), _key(size), unusual)])
    outline = Outline(extents, [groups_of(message) for message in published])
    chosen = np.zeros(size, dtype=bool)
    chosen[6] = True  # its tag is 7

    narrowed, places = outline.narrowed(log, chosen, lambda some: some["seq"].astype(np.int64))

    assert places.tolist() == ([6, size - 2, size - 1] if looked_at else [6])
    assert narrowed.records["kind"][0] == Kind.PUBLISHED


def test_messages_are_outlined_in_groups_and_what_is_none_has_no_group() -> None:
    assert groups_of(np.array([1_000_000, 5000, 5001])).tolist() == [4, 976]
    assert groups_of(np.array([-1, 5000, -1])).tolist() == [4]
    assert groups_of(np.array([], dtype=np.int64)).tolist() == [0] * 0


def _key(tag: int) -> int:
    return (1 << 32) + tag
