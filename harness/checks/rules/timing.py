"""Times without service, recoveries, and the rate of work before and after a step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.checks.rules.in_order import in_order
from harness.checks.rules.waiting import unattended
from harness.checks.tally.columns import TimeColumn
from harness.checks.tally.fault_records import FaultRecord, over_ns
from harness.checks.tally.message_table import MessageTable
from harness.checks.tally.times import NEVER
from harness.verdict.times import Outage

LISTED_OUTAGE_S = 0.5
"""Shorter times without service are not listed one by one; the longest is always known."""
LISTED_OUTAGES = 100
"""Most times without service that are listed, the longest ones."""
FEWEST_FOR_A_RATE = 20
"""Completions on each side of a step that a ratio of rates needs."""


@dataclass(frozen=True, slots=True)
class Outages:
    """The longest time without service of each side, in seconds (None if it never had service), and those worth listing."""

    longest_publishers_s: float | None
    longest_workers_s: float | None
    listed: tuple[Outage, ...]


def outages(tally: MessageTable) -> Outages:
    """Find the times without service.

    Of publishers: messages were waiting for a confirm, and none came. Of workers: work was waiting, and no worker was at work. Only between the
    first and the last confirm (for workers, the first delivery and the last completion): the start and the end of a run are no outage.
    Messages that were never confirmed (or completed) do not count as waiting, because their wait has no end.
    """
    gaps = {
        "publishers": _gaps(tally.messages.first_published_ns, tally.messages.first_confirmed_ns),
        "workers": _unattended(tally),
    }
    listed = [
        Outage(who, tally.seconds(begin), tally.seconds(end))
        for who, found in gaps.items()
        for begin, end in found or ()
        if end - begin >= LISTED_OUTAGE_S * 1e9
    ]
    longest_publishers_s, longest_workers_s = (
        None if found is None else max((end - begin for begin, end in found), default=0) / 1e9
        for found in gaps.values()
    )
    in_time = sorted(listed, key=lambda outage: (outage.begin_s, outage.who))
    return Outages(longest_publishers_s, longest_workers_s, tuple(in_time))


def _unattended(tally: MessageTable) -> list[tuple[int, int]] | None:
    """Return the spans in which work waited and no worker was at work, the longest ones; None if nothing was ever completed."""
    if tally.flow.completed.sum() <= tally.flow.invented:
        return None
    spans = unattended(tally)
    kept = spans[np.argsort(spans[:, 1] - spans[:, 0], kind="stable")[-LISTED_OUTAGES:]]
    return [(begin, end) for begin, end in kept.tolist()]


def _gaps(begun_ns: TimeColumn, done_ns: TimeColumn) -> list[tuple[int, int]] | None:
    """Return the spans between two consecutive ends in which something was waiting, the longest ones; None with no end at all."""
    gaps, longest = np.empty((2, 0), dtype=np.int64), 1
    last: int | None = None
    begins, waiting = in_order(begun_ns, done_ns), np.empty(0, dtype=np.int64)
    for ends in in_order(done_ns, begun_ns):
        while len(waiting) < len(ends):
            waiting = np.append(waiting, next(begins))
        # After the i-th end, i are done: something waits from the (i + 1)-th begin on.
        since, waiting = waiting[: len(ends)].copy(), waiting[len(ends) :]
        np.maximum(since[1:], ends[:-1], out=since[1:])
        since[0] = ends[0] if last is None else max(last, int(since[0]))
        last = int(ends[-1])
        lengths = ends - since
        longest = max(longest, int(lengths.max()))
        long = np.flatnonzero(lengths >= min(LISTED_OUTAGE_S * 1e9, longest))
        # All of them, appended, would take more memory than anything else here.
        if len(long) > LISTED_OUTAGES:
            long = long[np.argsort(lengths[long], kind="stable")[-LISTED_OUTAGES:]]
        gaps = _longest(np.append(gaps, [since[long], ends[long]], axis=1))
    if last is None:
        return None
    least = min(LISTED_OUTAGE_S * 1e9, longest)
    return [(begin, end) for begin, end in gaps.T[::-1].tolist() if end - begin >= least]


def _longest(gaps: np.ndarray) -> np.ndarray:
    """Keep the longest ones of some spans that follow each other, the longest one last; of equal ones the last."""
    return gaps[:, np.argsort(gaps[1] - gaps[0], kind="stable")[-LISTED_OUTAGES:]]


def recovery_s(fault_record: FaultRecord, tally: MessageTable) -> float | None:
    """Time from a fault's heal (or strike, if it needs none) to the next service: a completion, or a confirm without workers."""
    from_ns = over_ns(fault_record)
    if tally.flow.completed.sum() > tally.flow.invented:
        next_ns = tally.served_ns[from_ns]
    else:
        next_ns = NEVER
        for here in tally.messages.slices():
            confirmed_ns = tally.messages.first_confirmed_ns[here]
            next_ns = min(next_ns, int(confirmed_ns.min(where=confirmed_ns >= from_ns, initial=NEVER)))
    return (next_ns - from_ns) / 1e9 if next_ns != NEVER else None


def speed_up(fault_record: FaultRecord, tally: MessageTable) -> float | None:
    """Rate of completed work after a step divided by the rate before it, in equal windows; None with too little to go by.

    The window behind begins when the first worker that the step started completes something (at the strike, if it started none).
    In both windows there was always work waiting: a rate that is bounded by the publishers says nothing of the workers.
    """
    done, published = (
        np.concatenate([np.empty(0, dtype=np.int64), *in_order(times, tally.first_completed_ns)])
        for times in (tally.first_completed_ns, tally.first_published_ns)
    )
    if not len(done):
        return None
    # Nothing waits from an end on to the next begin.
    idle = np.flatnonzero(published[1:] > done[:-1])
    busy_since, idle_since = np.append(done[0], published[idle + 1]), np.append(done[idle], done[-1])
    begin = _first_of_new_workers(fault_record, tally)
    since, until = busy_since[busy_since <= fault_record.at_ns], idle_since[idle_since >= begin]
    if not len(since) or not len(until):
        return None
    window = min(fault_record.at_ns - int(since[-1]), int(until[0]) - begin)
    before = np.count_nonzero((done >= fault_record.at_ns - window) & (done < fault_record.at_ns))
    after = np.count_nonzero((done > begin) & (done <= begin + window))
    if min(before, after) < FEWEST_FOR_A_RATE:
        return None
    return float(after / before)


def _first_of_new_workers(fault_record: FaultRecord, tally: MessageTable) -> int:
    """Return when the first worker that a step started completed something; when it had struck, if it started none."""
    started = np.array([session.actor in fault_record.targets for session in tally.sessions], dtype=bool)
    first = NEVER
    for table in tally.all_deliveries(started):
        theirs = started[table.session] & table.completed & (table.completed_ns > fault_record.at_ns)
        first = min(first, int(table.completed_ns.min(where=theirs, initial=NEVER)))
    return first if first != NEVER else fault_record.struck_ns
