"""Copies that the broker still had though they were acknowledged.

It is a matter of attempts: each publish of a message is one of its own to the broker. An ack that had not surely arrived before its connection
was lost (see `endings`), or that a node which was killed had not surely written (see `written`), may be gone; any other one is not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.checks.rules.endings import find_endings
from harness.checks.rules.written import Written
from harness.checks.tally.message_table import MessageTable
from harness.events import Event


def kept_after_ack(tally: MessageTable, events: Sequence[Event]) -> NDArray[np.int64]:
    """Return the copies of which an attempt was acknowledged and found in a queue at the end."""
    found, deliveries = tally.found, tally.deliveries
    there = found.copy >= 0
    keys = found.copy[there] << 16 | found.attempt[there]
    acked = np.flatnonzero(deliveries.acked)
    acked = acked[np.isin(deliveries.copy[acked] << 16 | deliveries.attempt[acked], keys)]
    if not len(acked):
        return np.empty(0, dtype=np.int64)
    session, acked_ns = deliveries.session[acked], deliveries.acked_ns[acked]
    wanted = np.zeros(len(tally.sessions), dtype=bool)
    wanted[session] = True
    written = find_endings(wanted, tally, events).arrived(session, acked_ns)
    disk = Written(tally, events)
    for each in disk.kills:
        written &= ~disk.missing(each, deliveries.queue[acked], acked_ns)
    return np.unique(deliveries.copy[acked[written]])
