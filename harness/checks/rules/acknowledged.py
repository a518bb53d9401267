"""Copies that the broker still had though they were acknowledged.

It is a matter of attempts: each publish of a message is one of its own to the broker. An ack that had not surely arrived when its
connection ended (`endings.py`) may explain it, and so may one that a killed node had not written.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.checks.rules.endings import LAG_NS, find_endings
from harness.checks.tally.fault_records import FaultRecord
from harness.checks.tally.message_table import MessageTable
from harness.checks.tally.times import NEVER
from harness.effects import Becomes
from harness.events import Event


def kept_after_ack(tally: MessageTable, struck: Sequence[FaultRecord], events: Sequence[Event]) -> NDArray[np.int64]:
    """Return the copies of which an attempt was acknowledged and found in a queue at the end."""
    found, deliveries = tally.found, tally.deliveries
    there = found.copy >= 0
    keys = found.copy[there] << 16 | found.attempt[there]
    acked = np.flatnonzero((deliveries.copy >= 0) & deliveries.acked)
    acked = acked[np.isin(deliveries.copy[acked] << 16 | deliveries.attempt[acked], keys)]
    if not len(acked):
        return np.empty(0, dtype=np.int64)
    session, acked_ns = deliveries.session[acked], deliveries.acked_ns[acked]
    wanted = np.zeros(len(tally.sessions), dtype=bool)
    wanted[session] = True
    arrived = find_endings(wanted, tally, events).arrived(session, acked_ns)
    killed_ns = np.array(sorted({each.at_ns for each in struck if each.effects.node is Becomes.KILLED}), dtype=np.int64)
    written = np.append(killed_ns, NEVER)[np.searchsorted(killed_ns, acked_ns)] - acked_ns > LAG_NS
    return np.unique(deliveries.copy[acked[arrived & written]])
