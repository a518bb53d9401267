"""Messages processed more than once, and whether anything explains it.

Every attempt of a publish is a message of its own to the broker, and so is every copy in another queue: the first completion of each is
the one that was asked for. Each further completion needs an explanation:

- its delivery carries the redelivered mark; or
- an earlier delivery of the same attempt was rejected; or
- an earlier delivery of the same attempt was on a connection that was lost, or was with its worker when a node of the broker was struck:
  the acknowledgement may never have reached the broker, unless it was sent long before (the redelivered mark is only a hint, and missing
  after some crashes).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.checks.rules.latest import rows_of
from harness.checks.tally.fault_records import FaultRecord, fault_records
from harness.checks.tally.message_table import MessageTable
from harness.checks.tally.sessions import Session
from harness.checks.tally.times import NEVER
from harness.effects import AtRisk
from harness.events import Event

LAG_NS = 30_000_000_000
"""Where no fault is behind a lost connection: an acknowledgement sent so long before is taken to have reached the broker; much more than any healthy run needs."""


def duplicates(tally: MessageTable) -> np.ndarray:
    """Return the copies that were completed more than once."""
    return np.flatnonzero(tally.completions.further)


def unexplained_duplicates(tally: MessageTable, events: Sequence[Event]) -> np.ndarray:
    """Return those of the duplicates that nothing explains."""
    twice = duplicates(tally)
    if not len(twice):
        return twice
    deliveries = tally.deliveries
    rows = rows_of(twice, deliveries.copy, tally.total)
    group = deliveries.copy[rows] << 16 | deliveries.attempt[rows]
    order = np.lexsort((deliveries.completed_ns[rows], deliveries.at_ns[rows], group))
    rows, group = rows[order], group[order]
    opened = _opened_ns(rows, tally, events)
    begins = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
    number = np.cumsum(np.r_[True, group[1:] != group[:-1]]) - 1
    excused = deliveries.redelivered[rows] | (_least_before(opened, begins, number) <= deliveries.at_ns[rows])
    done = deliveries.completed[rows]
    before = np.cumsum(done) - done
    first = done & (before == before[begins][number])
    return np.unique(deliveries.copy[rows[done & ~first & ~excused]])


def _opened_ns(rows: np.ndarray, tally: MessageTable, events: Sequence[Event]) -> np.ndarray:
    """Return from when on each delivery explains another one of its message; NEVER if it does not."""
    deliveries, struck = tally.deliveries, fault_records(events)
    at_ns, completed_ns = deliveries.at_ns[rows], deliveries.completed_ns[rows]
    by_session = np.array([doubted_ns(session, struck) for session in tally.sessions], dtype=np.int64)
    doubt_ns = by_session[deliveries.session[rows]]
    opened = np.where(completed_ns >= doubt_ns - LAG_NS, doubt_ns, NEVER)
    for each in struck:
        if each.effects.at_risk is AtRisk.UNDONE:
            held = (at_ns <= each.struck_ns) & (completed_ns >= each.at_ns - LAG_NS)
            opened[held] = np.minimum(opened[held], each.at_ns)
    return np.where(deliveries.rejected[rows] > 0, at_ns, opened)


def _least_before(values: np.ndarray, begins: np.ndarray, number: np.ndarray) -> np.ndarray:
    """Return for each row the least of the values before it in its group; NEVER for the first. Groups are numbered runs of rows."""
    # Ranks instead of times, and a floor that falls from group to group, make one running minimum start anew in each.
    distinct, rank = np.unique(values, return_inverse=True)
    floor = -number * (len(distinct) + 1)
    running = np.minimum.accumulate(rank + floor)
    least = np.full(len(values), NEVER, dtype=np.int64)
    least[1:] = distinct[np.clip(running[:-1] - floor[:-1], 0, len(distinct) - 1)]
    least[begins] = NEVER
    return least


def doubted_ns(session: Session, struck: Sequence[FaultRecord]) -> int:
    """Return from when on the broker may have taken a connection for lost; NEVER if it was never lost.

    That is before the client knows it: from the beginning of the fault behind it, where there is one.
    """
    if session.lost_ns == NEVER:
        return NEVER
    begun = [each.at_ns for each in struck if each.cut_off(session)]
    return min([session.lost_ns - LAG_NS, *begun])
