"""When the records last speak of a message."""

from __future__ import annotations

import numpy as np

from harness.checks.rules.copies import rows_of
from harness.checks.tally.message_table import MessageTable
from harness.checks.tally.times import NEVER


def last_seen_ns(messages: np.ndarray, tally: MessageTable) -> np.ndarray:
    """Return when each of some messages was last published, confirmed, delivered or acknowledged, whichever was latest."""
    publishes, deliveries = tally.publishes, tally.deliveries
    latest = np.zeros(tally.total, dtype=np.int64)
    for message, times in (
        (publishes.message, (publishes.at_ns, publishes.confirmed_ns)),
        (deliveries.message, (deliveries.at_ns, deliveries.acked_ns)),
    ):
        rows = rows_of(messages, message, tally.total)
        for at_ns in times:
            known = rows[at_ns[rows] != NEVER]
            np.maximum.at(latest, message[known], at_ns[known])
    found: np.ndarray = latest[messages]
    return found
