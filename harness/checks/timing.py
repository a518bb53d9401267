"""Latencies, times without service, recoveries, and the rate of work before and after a step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.checks.happenings import Happening
from harness.checks.tally import NEVER, Tally
from harness.checks.verdict import Outage, Percentiles

LISTED_OUTAGE_S = 0.5
"""Shorter times without service are not listed one by one; the longest is always known."""
FEWEST_FOR_A_RATE = 20
"""Completions on each side of a step that a ratio of rates needs."""


def percentiles(begin_ns: np.ndarray, end_ns: np.ndarray) -> Percentiles | None:
    """Summarise the times between two events of each message that had both; None if none had."""
    both = (begin_ns != NEVER) & (end_ns != NEVER)
    if not both.any():
        return None
    seconds = np.maximum(end_ns[both] - begin_ns[both], 0) / 1e9
    p50, p95, p99 = np.percentile(seconds, [50, 95, 99])
    return Percentiles(int(both.sum()), float(p50), float(p95), float(p99), float(seconds.max()))


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
    """
    listed: list[Outage] = []
    longest: list[float | None] = []
    for who, done_ns in (("publishers", tally.first_confirmed_ns), ("workers", tally.first_completed_ns)):
        gaps = _gaps(tally.first_published_ns, done_ns)
        longest.append(max((end - begin for begin, end in gaps), default=None if not gaps else 0) if gaps else None)
        listed += [
            Outage(who, tally.seconds(begin), tally.seconds(end))
            for begin, end in gaps
            if end - begin >= LISTED_OUTAGE_S * 1e9
        ]
    publishers, workers = longest
    return Outages(
        publishers / 1e9 if publishers is not None else None,
        workers / 1e9 if workers is not None else None,
        tuple(sorted(listed, key=lambda outage: outage.begin_s)),
    )


def _gaps(begun_ns: np.ndarray, done_ns: np.ndarray) -> list[tuple[int, int]]:
    """Return the spans between two consecutive ends in which something was waiting, the longest hundred."""
    both = (begun_ns != NEVER) & (done_ns != NEVER)
    ends = np.sort(done_ns[both])
    if len(ends) < 2:
        return []
    begins = np.sort(begun_ns[both])
    # After the i-th end, i + 1 are done: something waits from the (i + 2)-th begin on.
    waiting_since = begins[1 : len(ends)]
    starts = np.maximum(ends[:-1], waiting_since)
    lengths = ends[1:] - starts
    chosen = np.argsort(lengths)[::-1][:100]
    return [(int(starts[index]), int(ends[index + 1])) for index in chosen if lengths[index] > 0]


def recovery_s(happening: Happening, tally: Tally) -> float | None:
    """Time from a fault's heal (or strike, if it needs none) to the next service: a completion, or a confirm without workers."""
    from_ns = happening.healed_ns if happening.healed_ns != NEVER else happening.struck_ns
    done = tally.first_completed_ns if (tally.completions > 0).any() else tally.first_confirmed_ns
    later = done[(done != NEVER) & (done >= from_ns)]
    return float(later.min() - from_ns) / 1e9 if len(later) else None


def speed_up(happening: Happening, tally: Tally) -> float | None:
    """Rate of completed work after a step divided by the rate before it, in equal windows; None with too little to go by.

    The window behind begins when the first worker that the step started completes something (at the strike, if it started none).
    """
    done = np.sort(tally.first_completed_ns[tally.first_completed_ns != NEVER])
    if not len(done):
        return None
    deliveries = tally.deliveries
    started = [index for index, session in enumerate(tally.sessions) if session.actor in happening.targets]
    theirs = np.isin(deliveries.session, started) & (deliveries.completed_ns != NEVER)
    theirs &= deliveries.completed_ns > happening.at_ns
    begin = int(deliveries.completed_ns[theirs].min()) if theirs.any() else happening.struck_ns
    window = min(happening.at_ns - int(done[0]), int(done[-1]) - begin)
    if window <= 0:
        return None
    before = np.count_nonzero((done >= happening.at_ns - window) & (done < happening.at_ns))
    after = np.count_nonzero((done >= begin) & (done <= begin + window))
    if min(before, after) < FEWEST_FOR_A_RATE:
        return None
    return float(after / before)
