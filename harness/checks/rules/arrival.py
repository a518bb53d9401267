"""Which publishes are known to have reached the broker."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from harness.checks.tally.fault_records import BACK_NS, WITHIN_NS, FaultRecord, over_ns
from harness.checks.tally.message_table import MessageTable
from harness.checks.tally.sessions import has_any
from harness.checks.tally.times import NEVER

NOTICED_AFTER_NS = 2_000_000_000
"""The broker goes on pushing to a worker that has ended until it notices; measured: 43 ms on a machine under load."""


def arrived(publishes: NDArray[np.int64], tally: MessageTable) -> NDArray[np.bool_]:
    """Return which of some publishes (places in `MessageTable.publishes`) are known to have reached the broker, and their queues.

    Messages of a connection reach the broker in their order, so all before one that is known to have reached it have done so as well. But
    where the leader of a quorum queue has gone, the channel keeps what has no confirm for it, and it is lost with the channel (measured on
    3.10.8: all that three publishers sent until they closed, 0.9 s after there was a new leader).
    """
    table = tally.publishes
    confirmed: NDArray[np.bool_] = table.confirmed_ns[publishes] != NEVER
    if confirmed.all():
        return confirmed
    session = table.session[publishes]
    reached = table.position[publishes] <= _last_arrived(tally, session, flushed=True)[session]
    found: NDArray[np.bool_] = confirmed | (reached & ~_kept_for_leader(publishes, tally))
    return found


def sent_at_last(publishes: NDArray[np.int64], tally: MessageTable) -> NDArray[np.bool_]:
    """Return which of some publishes have no confirm and were sent right before their connection was closed in order, as its last ones.

    Such can be lost on their way from the channel to the leader of a quorum queue: measured once on 3.10.8, the last 15 of 900.
    """
    table, session = tally.publishes, tally.publishes.session[publishes]
    flushed = np.array([each.flushed for each in tally.sessions], dtype=bool)[session]
    over_ns = np.array([each.over_ns for each in tally.sessions], dtype=np.int64)[session]
    found: NDArray[np.bool_] = (
        flushed & (over_ns - table.at_ns[publishes] <= WITHIN_NS) & (table.confirmed_ns[publishes] == NEVER)
    )
    if found.any():  # of none after it was anything seen
        found &= table.position[publishes] > _last_arrived(tally, session, flushed=False)[session]
    return found


def leader_away(queue: str, sent_ns: int, tally: MessageTable) -> FaultRecord | None:
    """Return the fault that may have ended or frozen the leader of a quorum queue before what was sent to it came there: the latest one."""
    if tally.topology.policy(queue).type != "quorum":
        return None
    near = (each for each in tally.topology.faults if _may_meet(each, np.array(sent_ns)))
    return max(near, key=lambda each: each.at_ns, default=None)


def expired_ns(queue: str, tally: MessageTable) -> tuple[int, int]:
    """Return the earliest time at which a queue can have expired, and a time by which it surely had; NEVER for what is not known.

    The first message that was returned as unroutable shows that the queue was gone. Behind an exchange with an alternate exchange nothing is
    returned, and both are NEVER.
    """
    can_ns = tally.topology.can_expire_ns(queue, tally.sessions, tally.zero_ns)
    routes = zip(_queues(tally), tally.copies.lives, strict=True)
    if can_ns == NEVER or any(lives.leads_elsewhere for names, lives in routes if queue in names):
        return NEVER, NEVER
    publishes = tally.publishes
    alone = np.array([names == {queue} for names in _queues(tally)])[tally.messages.route[publishes.message]]
    back = publishes.at_ns[publishes.returned & alone & (publishes.at_ns >= can_ns)]
    return can_ns, int(back.min(initial=NEVER))


def _may_meet(fault: FaultRecord, sent_ns: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which messages were sent while a fault may have kept a leader away."""
    found: NDArray[np.bool_] = (sent_ns >= fault.at_ns - WITHIN_NS) & (sent_ns <= over_ns(fault) + BACK_NS)
    return found & fault.effects.strikes_node


def _kept_for_leader(publishes: NDArray[np.int64], tally: MessageTable) -> NDArray[np.bool_]:
    """Return which publishes went to a quorum queue whose leader may have been away."""
    quorum = np.array(
        [any(tally.topology.policy(name).type == "quorum" for name in queues) for queues in _queues(tally)]
    )
    sent_ns, away = tally.publishes.at_ns[publishes], np.zeros(len(publishes), dtype=bool)
    for each in tally.topology.faults:
        away |= _may_meet(each, sent_ns)
    found: NDArray[np.bool_] = away & quorum[tally.messages.route[tally.publishes.message[publishes]]]
    return found


def _queues(tally: MessageTable) -> Iterator[set[str]]:
    """Yield for each route the queues that it leads to."""
    for lives in tally.copies.lives:
        yield {slot.begins_in for slot in lives.slots[: lives.published] if slot.begins_in}


def _last_arrived(tally: MessageTable, sessions: NDArray[np.integer], *, flushed: bool) -> NDArray[np.int64]:
    """Return for each session the position of the last publish known to have reached the broker, -1 for none; only for the sessions given.

    Where its publisher closed it in order that is the last one of all, if `flushed`.
    """
    publishes, deliveries = tally.publishes, tally.deliveries
    wanted = np.zeros(len(tally.sessions), dtype=bool)
    wanted[sessions] = True
    rows = np.flatnonzero(wanted[publishes.session])
    message = publishes.message[rows]
    got_through = (publishes.confirmed_ns[rows] != NEVER) | publishes.nacked[rows] | publishes.returned[rows]
    # Of one published several times it matters which attempt was delivered or found.
    seen = deliveries.message >= 0
    keys = np.concatenate(
        [
            deliveries.message[seen] << 16 | deliveries.attempt[seen],
            tally.found.message << 16 | tally.found.attempt,
        ]
    )
    got_through |= np.isin(message << 16 | publishes.attempt[rows], keys)
    if flushed:
        got_through |= np.array([session.flushed for session in tally.sessions], dtype=bool)[publishes.session[rows]]
    last = np.full(len(tally.sessions), -1, dtype=np.int64)
    for log in tally.publisher_logs:
        if has_any(log.sessions, wanted):  # what has a plain story has reached it
            last = np.maximum(last, log.last(tally.irregular, len(last)))
    np.maximum.at(last, publishes.session[rows[got_through]], publishes.position[rows[got_through]])
    return last
