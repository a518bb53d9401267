"""Times without service, recoveries, and the rate of work before and after a step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.checks.happenings import Happening, over_ns
from harness.checks.settlement import NEVER
from harness.checks.tally import Tally
from harness.checks.verdict import Outage

LISTED_OUTAGE_S = 0.5
"""Shorter times without service are not listed one by one; the longest is always known."""
LISTED_OUTAGES = 100
"""Most times without service that are listed, the longest ones."""
FEWEST_FOR_A_RATE = 20
"""Completions on each side of a step that a ratio of rates needs."""

_LEAST_RUN = 1024
_AT_ONCE = 1 << 16
"""Times that are looked at at once: a processor's cache holds what that takes."""


@dataclass(frozen=True, slots=True)
class Outages:
    """The longest time without service of each side, in seconds (None if it never had service), and those worth listing."""

    longest_publishers_s: float | None
    longest_workers_s: float | None
    listed: tuple[Outage, ...]


def outages(tally: Tally) -> Outages:
    """Find the times without service.

    Of publishers: messages were waiting for a confirm, and none came. Of workers: messages were published and not completed, and
    none was completed. Only between the first and the last confirm (or completion): the start and the end of a run are no outage.
    Messages that were never confirmed (or completed) do not count as waiting: they would wait for ever.
    """
    listed: list[Outage] = []
    longest: list[float | None] = []
    for who, done_ns in (("publishers", tally.first_confirmed_ns), ("workers", tally.first_completed_ns)):
        gaps = _gaps(tally.first_published_ns, done_ns)
        longest.append(None if gaps is None else max((end - begin for begin, end in gaps), default=0) / 1e9)
        listed += [
            Outage(who, tally.seconds(begin), tally.seconds(end))
            for begin, end in gaps or ()
            if end - begin >= LISTED_OUTAGE_S * 1e9
        ]
    return Outages(longest[0], longest[1], tuple(sorted(listed, key=lambda outage: (outage.begin_s, outage.who))))


def _gaps(begun_ns: np.ndarray, done_ns: np.ndarray) -> list[tuple[int, int]] | None:
    """Return the spans between two consecutive ends in which something was waiting, the longest ones; None with no end at all."""
    both = (begun_ns != NEVER) & (done_ns != NEVER)
    if not both.any():
        return None
    begins, ends = _sorted(begun_ns, both), _sorted(done_ns, both)
    del both
    # After the i-th end, i + 1 are done: something waits from the (i + 2)-th begin on. In place, for there may be many.
    lengths = np.maximum(ends[:-1], begins[1:], out=begins[1:])
    np.subtract(ends[1:], lengths, out=lengths)
    chosen = _longest(lengths, min(LISTED_OUTAGE_S * 1e9, lengths.max(initial=0)))
    return [
        (int(ends[index + 1] - lengths[index]), int(ends[index + 1])) for index in chosen.tolist() if lengths[index] > 0
    ]


def _longest(lengths: np.ndarray, least: float) -> np.ndarray:
    """Return where lengths of at least so much are, the longest ones first and of equal ones the last."""
    chosen = np.empty(0, dtype=np.int64)
    for begin in range(0, len(lengths), _AT_ONCE):
        long = np.flatnonzero(lengths[begin : begin + _AT_ONCE] >= least)
        if len(long):
            chosen = np.append(chosen, begin + long)
            chosen = chosen[np.sort(np.argsort(lengths[chosen], kind="stable")[-LISTED_OUTAGES:])]
    return chosen[np.argsort(lengths[chosen], kind="stable")[::-1]]


def _sorted(times: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return the chosen ones of some times, sorted."""
    found = times.copy() if chosen.all() else times[chosen]
    # What is made of few sorted runs, as publishers leave it, is merged; there is a faster way for all else.
    runs = np.count_nonzero(found[1:] < found[:-1])
    found.sort(kind="stable" if runs < len(found) // _LEAST_RUN else None)
    return found


def recovery_s(happening: Happening, tally: Tally) -> float | None:
    """Time from a fault's heal (or strike, if it needs none) to the next service: a completion, or a confirm without workers."""
    from_ns = over_ns(happening)
    if tally.completions.any():
        next_ns = tally.served_ns[from_ns]
    else:
        confirmed_ns = tally.first_confirmed_ns
        next_ns = int(confirmed_ns.min(where=confirmed_ns >= from_ns, initial=NEVER))
    return (next_ns - from_ns) / 1e9 if next_ns != NEVER else None


def speed_up(happening: Happening, tally: Tally) -> float | None:
    """Rate of completed work after a step divided by the rate before it, in equal windows; None with too little to go by.

    The window behind begins when the first worker that the step started completes something (at the strike, if it started none).
    In both windows there was always work waiting: a rate that is bounded by the publishers says nothing of the workers.
    """
    both = tally.first_completed_ns != NEVER
    done, published = np.sort(tally.first_completed_ns[both]), np.sort(tally.first_published_ns[both])
    if not len(done):
        return None
    # Nothing waits from an end on to the next begin.
    idle = np.flatnonzero(published[1:] > done[:-1])
    busy_since, idle_since = np.append(done[0], published[idle + 1]), np.append(done[idle], done[-1])
    begin = _first_of_new_workers(happening, tally)
    since, until = busy_since[busy_since <= happening.at_ns], idle_since[idle_since >= begin]
    if not len(since) or not len(until):
        return None
    window = min(happening.at_ns - int(since[-1]), int(until[0]) - begin)
    if window <= 0:
        return None
    before = np.count_nonzero((done >= happening.at_ns - window) & (done < happening.at_ns))
    after = np.count_nonzero((done > begin) & (done <= begin + window))
    if min(before, after) < FEWEST_FOR_A_RATE:
        return None
    return float(after / before)


def _first_of_new_workers(happening: Happening, tally: Tally) -> int:
    """Return when the first worker that a step started completed something; when it had struck, if it started none."""
    started = np.array([session.actor in happening.targets for session in tally.sessions], dtype=bool)
    first = NEVER
    for table in tally.all_deliveries(started):
        theirs = started[table.session] & table.completed & (table.completed_ns > happening.at_ns)
        first = min(first, int(table.completed_ns.min(where=theirs, initial=NEVER)))
    return first if first != NEVER else happening.struck_ns
