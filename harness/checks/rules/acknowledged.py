"""Copies that the broker still had though they were acknowledged.

It is a matter of attempts: each publish of a message is one of its own to the broker. An ack that was sent shortly before its connection
was lost, or before a node was ended, may never have been written; one on a connection that went on, or ended in order, was.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.checks.tally.fault_records import FaultRecord
from harness.checks.tally.message_table import MessageTable
from harness.checks.tally.times import NEVER

LAG_NS = 2_000_000_000
"""An ack that was sent so long before the end of its connection, or of a node, is taken to have been written."""


def kept_after_ack(tally: MessageTable, struck: Sequence[FaultRecord]) -> NDArray[np.int64]:
    """Return the copies of which an attempt was acknowledged and found in a queue at the end."""
    found, deliveries = tally.found, tally.deliveries
    there = found.copy >= 0
    keys = found.copy[there] << 16 | found.attempt[there]
    acked = np.flatnonzero((deliveries.copy >= 0) & deliveries.acked)
    acked = acked[np.isin(deliveries.copy[acked] << 16 | deliveries.attempt[acked], keys)]
    if not len(acked):
        return np.empty(0, dtype=np.int64)
    lost_ns = np.array([session.lost_ns for session in tally.sessions], dtype=np.int64)[deliveries.session[acked]]
    acked_ns = deliveries.acked_ns[acked]
    ended_ns = np.array(sorted({each.at_ns for each in struck if each.ends_node}), dtype=np.int64)
    next_end_ns = np.append(ended_ns, NEVER)[np.searchsorted(ended_ns, acked_ns)]
    written = np.minimum(lost_ns, next_end_ns) - acked_ns > LAG_NS
    return np.unique(deliveries.copy[acked[written]])
