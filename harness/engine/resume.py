"""Where a process that was killed takes up its work: a publisher as an application with an outbox would, a worker with what it gave back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.history.read import Log, read_log
from harness.history.records import HEADER_BYTES, Flag, Kind
from harness.history.tags import indexed
from harness.traffic.failures import Attempted


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """The first sequence number never published, and what was left unsettled, with the attempt number to use next."""

    start: int
    republish: tuple[tuple[int, int], ...]
    origin_ns: int | None = None
    """When message 0 was first published, by the clock of the machine that has the logs; None if it never was."""


def resume_point(logs: Sequence[Path], *, confirms: bool) -> ResumePoint:
    """Read the logs of a publisher's earlier incarnations, in their order."""
    attempts: dict[int, int] = {}
    unsettled: set[int] = set()
    start, origin_ns = 0, None
    for log in _begun(logs):
        records = log.records
        published = records[records["kind"] == Kind.PUBLISHED]
        if not len(published):
            continue
        start = max(start, int(published["seq"].max()) + 1)
        if origin_ns is None and published["seq"][0] == 0:
            origin_ns = int(published["at_ns"][0])
        if not confirms:
            continue
        settled = np.zeros(len(published), dtype=bool)
        indexed(published).settle(settled, records[records["kind"] == Kind.CONFIRMED])
        # In the order of publishing: a later attempt decides over an earlier one.
        for seq, attempt, done in zip(
            published["seq"].tolist(), published["attempt"].tolist(), settled.tolist(), strict=True
        ):
            attempts[seq] = max(attempts.get(seq, 0), attempt)
            if done:
                unsettled.discard(seq)
            else:
                unsettled.add(seq)
    return ResumePoint(start, tuple((seq, attempts[seq] + 1) for seq in sorted(unsettled)), origin_ns)


def given_back(logs: Sequence[Path]) -> tuple[Attempted, ...]:
    """Count what a worker's earlier incarnations gave back to the queue, by a rejection with requeue or by crashing."""
    counts: Counter[tuple[int, int, str]] = Counter()
    for log in _begun(logs):
        records = log.records
        deliveries = records[records["kind"] == Kind.DELIVERED]
        requeued = (records["kind"] == Kind.REJECTED) & ((records["flags"] & Flag.REQUEUE) != 0)
        back = records[requeued | (records["kind"] == Kind.CRASHING)]
        place = indexed(deliveries).find(back["connection"], back["tag"])
        deaths = deliveries["death"][place[place >= 0]]
        rows = back[place >= 0]
        for publisher, seq, death in zip(
            rows["publisher"].tolist(), rows["seq"].tolist(), deaths.tolist(), strict=True
        ):
            counts[publisher, seq, log.deaths[death].first_queue] += 1
    return tuple(Attempted(*copy, count) for copy, count in sorted(counts.items()))


def _begun(logs: Sequence[Path]) -> Iterator[Log]:
    """Read the logs that were begun."""
    for path in logs:
        if path.exists() and path.stat().st_size >= HEADER_BYTES:
            yield read_log(path)
