"""Which publishes are known to have reached the broker."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.checks.tally.message_table import MessageTable
from harness.checks.tally.sessions import has_any
from harness.checks.tally.times import NEVER

NOTICED_AFTER_NS = 2_000_000_000
"""The broker goes on pushing to a worker that has ended until it notices; measured: 43 ms on a machine under load."""


def arrived(publishes: NDArray[np.int64], tally: MessageTable) -> NDArray[np.bool_]:
    """Return which of some publishes (places in `MessageTable.publishes`) are known to have reached the broker.

    Messages of a connection reach the broker in their order, so all before one that is known to have reached it have done so as well.
    """
    table = tally.publishes
    confirmed: NDArray[np.bool_] = table.confirmed_ns[publishes] != NEVER
    if confirmed.all():
        return confirmed
    session = table.session[publishes]
    found: NDArray[np.bool_] = confirmed | (table.position[publishes] <= _last_arrived(tally, session)[session])
    return found


def _last_arrived(tally: MessageTable, sessions: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return for each session the position of the last publish known to have reached the broker, -1 for none; only for the sessions given."""
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
    got_through |= np.array([session.flushed for session in tally.sessions], dtype=bool)[publishes.session[rows]]
    last = np.full(len(tally.sessions), -1, dtype=np.int64)
    for log in tally.publisher_logs:
        if has_any(log.sessions, wanted):  # what has a plain story has reached it
            last = np.maximum(last, log.last(tally.irregular, len(last)))
    np.maximum.at(last, publishes.session[rows[got_through]], publishes.position[rows[got_through]])
    return last
