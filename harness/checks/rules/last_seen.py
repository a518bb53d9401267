"""When the records last speak of a copy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.checks.rules.latest import rows_of
from harness.checks.tally.message_table import MessageTable
from harness.checks.tally.times import NEVER


def last_seen_ns(copies: NDArray[np.int64], tally: MessageTable) -> NDArray[np.int64]:
    """Return when each of some copies was last published, confirmed, delivered or acknowledged, whichever was latest."""
    publishes, deliveries = tally.publishes, tally.deliveries
    messages = tally.message(copies)
    published = _latest(messages, publishes.message, (publishes.at_ns, publishes.confirmed_ns), tally.messages.total)
    delivered = _latest(copies, deliveries.copy, (deliveries.at_ns, deliveries.acked_ns), tally.total)
    return np.maximum(published, delivered)


def _latest(
    wanted: NDArray[np.int64], column: NDArray[np.int64], times: tuple[NDArray[np.int64], ...], total: int
) -> NDArray[np.int64]:
    rows = rows_of(wanted, column, total)
    latest = np.zeros(total, dtype=np.int64)
    for at_ns in times:
        known = rows[at_ns[rows] != NEVER]
        np.maximum.at(latest, column[known], at_ns[known])
    found: NDArray[np.int64] = latest[wanted]
    return found
