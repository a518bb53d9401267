"""When the broker can have forgotten a worker's connection, and which acknowledgements sent on it had surely arrived before.

What was delivered on a connection and not settled when the broker forgets it is delivered again. The client learns of that later, and
what it acknowledges meanwhile goes nowhere. So two moments of a connection matter:

- *until when it was surely alive at the broker*: until its end, as the client or the harness saw it, or until the first fault that may
  have cut it off. A fault is out of the question if the connection began after it was over, or had deliveries long after that. What was
  delivered on it had been published before, so that it was alive when the youngest message that it brought was published. A process that
  was killed was alive when it wrote its last record, and when the kill began;
- *which acks had surely arrived*: those sent longer than a lag before that moment, and those that made room: with a prefetch of p, the
  broker sends the n-th delivery only once it has n - p settlements, and these arrive in the order in which they were sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.checks.tally.fault_records import FaultRecord, fault_records
from harness.checks.tally.message_table import MessageTable
from harness.checks.tally.sessions import Session
from harness.checks.tally.times import NEVER
from harness.effects import Becomes
from harness.events import Event, HostGathered, ProcessExited

LAG_NS: Final = 1_000_000_000
"""How long what was sent may be under way: an ack to the broker, a delivery or the end of a connection to the client.

Measured on two processors with a load of 9 to 25: at most 0.41 s with a saturated broker, 0.03 s at 600 messages a second.
"""


@dataclass(frozen=True, slots=True)
class Endings:
    """Arrays by session; of those that were not asked for, and of connections that never ended, all is NEVER, and no fault."""

    gone_ns: NDArray[np.int64]
    """The earliest moment at which the broker can have forgotten it."""
    arrived_ns: NDArray[np.int64]
    """An ack sent before this moment had arrived when it was forgotten."""
    room_ns: NDArray[np.int64]
    """An ack sent until this moment had arrived, for a later delivery had room; -NEVER if nothing shows that."""
    fault: NDArray[np.int64]
    """The step that ended it, or -1."""

    def arrived(self, session: NDArray[np.integer], acked_ns: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which acks (NEVER: none was sent) the broker surely had before it forgot the connection."""
        sure: NDArray[np.bool_] = (acked_ns < self.arrived_ns[session]) | (acked_ns <= self.room_ns[session])
        sure &= acked_ns != NEVER
        return sure


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the deliveries of some sessions tell, as arrays by session; -NEVER for nothing."""

    last_delivered_ns: NDArray[np.int64]
    last_published_ns: NDArray[np.int64]
    """When the youngest message that was delivered had been published, as far as clocks agree."""
    last_record_ns: NDArray[np.int64]
    room_ns: NDArray[np.int64]


def find_endings(wanted: NDArray[np.bool_], tally: MessageTable, events: Sequence[Event]) -> Endings:
    """Find how some sessions of workers (truth by session) ended."""
    seen, struck = _seen(wanted, tally, _clock_error_ns(events)), fault_records(events)
    killed = {
        (event.actor, event.incarnation): event.fault
        for event in events
        if isinstance(event, ProcessExited) and event.fault is not None
    }
    count = len(tally.sessions)
    found = Endings(
        np.full(count, NEVER), np.full(count, NEVER), np.where(wanted, seen.room_ns, -NEVER), np.full(count, -1)
    )
    for number in np.flatnonzero(wanted).tolist():
        session = tally.sessions[number]
        by = killed.get((session.actor, session.incarnation))
        last_ns = int(seen.last_record_ns[number])
        if session.lost_ns != NEVER:
            used = _Used(int(seen.last_delivered_ns[number]), int(seen.last_published_ns[number]), last_ns)
            ending = _lost(session, struck, by, used)
            found.gone_ns[number], found.arrived_ns[number], found.fault[number] = ending
        elif session.over_ns != NEVER:
            found.gone_ns[number] = last_ns  # all that it acknowledged arrived: it closed in order
            found.fault[number] = -1 if by is None else by
    return found


class _Used(NamedTuple):
    """A connection's last signs of life, as in `_Seen`."""

    delivered_ns: int
    published_ns: int
    last_ns: int


def _lost(session: Session, struck: Sequence[FaultRecord], killed_by: int | None, used: _Used) -> tuple[int, int, int]:
    """Return when a connection that was lost can have been forgotten, until when acks surely arrived, and the fault that ended it."""
    died = session.lost_ns == session.death_ns
    kill = next((each for each in struck if died and each.fault == killed_by), None)
    alive_ns = session.lost_ns
    if died:
        alive_ns = max(used.last_ns, kill.at_ns if kill is not None else used.last_ns)
    cutting = [each for each in struck if each is not kill and _may_have_cut(each, session, used.delivered_ns)]
    cut_ns = [_earliest_ns(each, session, used) for each in cutting]
    sure_ns = min([alive_ns, *cut_ns])
    # The client hears of an end that no fault announces when it is over already; a process that died was alive until then.
    gone_ns = sure_ns if died or sure_ns < alive_ns else max(sure_ns - LAG_NS, used.published_ns)
    by = kill if kill is not None else (cutting[-1] if cutting else None)
    return gone_ns, max(-NEVER, sure_ns - LAG_NS), -1 if by is None else by.fault


def _may_have_cut(fault_record: FaultRecord, session: Session, delivered_ns: int) -> bool:
    """Whether a fault may be what ended a connection: it was there while the fault was in force, and was not used long after that."""
    if not fault_record.cut_off(session):
        return False
    over_ns = fault_record.in_force_until_ns
    return (session.since_ns == NEVER or session.since_ns <= over_ns) and delivered_ns <= over_ns + LAG_NS


def _earliest_ns(fault_record: FaultRecord, session: Session, used: _Used) -> int:
    """Return when a fault can have ended a connection: what was delivered later had been sent before, unless its client stood still."""
    stood_still = fault_record.effects.process is Becomes.FROZEN and session.actor in fault_record.targets
    since_ns = session.since_ns if session.since_ns != NEVER else fault_record.at_ns
    sent_ns = fault_record.at_ns if stood_still else used.delivered_ns - LAG_NS
    return max(fault_record.at_ns, since_ns, sent_ns, used.published_ns)


def _clock_error_ns(events: Sequence[Event]) -> int:
    """Return how much the clocks of two machines of the run may differ, as they were translated."""
    return 2 * max((event.error_ns for event in events if isinstance(event, HostGathered)), default=0)


def _seen(wanted: NDArray[np.bool_], tally: MessageTable, clock_error_ns: int) -> _Seen:
    count = len(wanted)
    last_delivered_ns, last_published_ns, last_record_ns = (np.full(count, -NEVER) for _ in range(3))
    delivered, settled = np.zeros(count, dtype=np.int64), [(np.empty(0, dtype=np.int64),) * 2]
    for table in tally.all_deliveries(wanted):
        mine = np.flatnonzero(wanted[table.session])
        session, at_ns = table.session[mine].astype(np.int64), table.at_ns[mine]
        delivered += np.bincount(session, minlength=count)
        np.maximum.at(last_delivered_ns, session, at_ns)
        known = table.message[mine] >= 0
        published_ns = tally.messages.first_published_ns[table.message[mine[known]]]
        np.maximum.at(last_published_ns, session[known], published_ns - clock_error_ns)
        settled_ns = np.minimum(table.acked_ns[mine], table.rejected_ns[mine])
        for times in (at_ns, table.completed_ns[mine], settled_ns):
            known = times != NEVER
            np.maximum.at(last_record_ns, session[known], times[known])
        settled.append((session[settled_ns != NEVER], settled_ns[settled_ns != NEVER]))
    session, settled_ns = (np.concatenate(parts) for parts in zip(*settled, strict=True))
    room_ns = np.full(count, -NEVER)
    for number in np.flatnonzero(delivered).tolist():
        prefetch = tally.sessions[number].prefetch * max(1, len(tally.sessions[number].queues))
        mine = np.sort(settled_ns[session == number])
        made_room = min(int(delivered[number]) - prefetch, len(mine))
        if prefetch and made_room > 0:
            room_ns[number] = mine[made_room - 1]
    return _Seen(last_delivered_ns, last_published_ns, last_record_ns, room_ns)
