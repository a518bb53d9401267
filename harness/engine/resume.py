"""Where a publisher that was killed takes up its work: as an application with an outbox would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.history.read import read_log
from harness.history.records import HEADER_BYTES, Kind
from harness.history.tags import indexed


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """The first sequence number never published, and what was left unsettled, with the attempt number to use next."""

    start: int
    republish: tuple[tuple[int, int], ...]


def resume_point(logs: Sequence[Path], *, confirms: bool) -> ResumePoint:
    """Read the logs of a publisher's earlier incarnations, in their order."""
    attempts: dict[int, int] = {}
    unsettled: set[int] = set()
    start = 0
    for path in logs:
        if not path.exists() or path.stat().st_size < HEADER_BYTES:
            continue
        records = read_log(path).records
        published = records[records["kind"] == Kind.PUBLISHED]
        if not len(published):
            continue
        start = max(start, int(published["seq"].max()) + 1)
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
    return ResumePoint(start, tuple((seq, attempts[seq] + 1) for seq in sorted(unsettled)))
