"""The latest publish and the latest delivery of some copies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.checks.tally.message_table import MessageTable


def last_deliveries(copies: NDArray[np.int64], tally: MessageTable) -> NDArray[np.int64]:
    """Return for each of some copies the place of its latest delivery in `MessageTable.deliveries`, -1 for none.

    Each attempt of a publish is a message of its own to the broker: what became of an earlier one does not count.
    """
    if not len(copies):
        return np.empty(0, dtype=np.int64)
    deliveries = tally.deliveries
    attempt = np.zeros(tally.total, dtype=np.uint16)
    attempt[copies] = tally.publishes.attempt[last_publishes(copies, tally)]
    of_last = deliveries.attempt == attempt[deliveries.copy]
    return _last(copies, np.where(of_last, deliveries.copy, -1), deliveries.at_ns, tally.total)


def last_publishes(copies: NDArray[np.int64], tally: MessageTable) -> NDArray[np.int64]:
    """Return for each of some copies the place of its message's latest publish in `MessageTable.publishes`."""
    publishes, messages = tally.publishes, tally.message(copies)
    return _last(messages, publishes.message, publishes.at_ns, tally.messages.total)


def rows_of(wanted: NDArray[np.int64], column: NDArray[np.int64], total: int) -> NDArray[np.int64]:
    """Return where in a column of copies or messages (below 0 for none; `total` in all) some of them stand."""
    chosen = np.zeros(total + 2, dtype=bool)  # the last places are for -1 and -2
    chosen[wanted] = True
    return np.flatnonzero(chosen[column])


def _last(
    wanted: NDArray[np.int64], column: NDArray[np.int64], at_ns: NDArray[np.int64], total: int
) -> NDArray[np.int64]:
    rows = rows_of(wanted, column, total)
    rows = rows[np.argsort(at_ns[rows], kind="stable")]
    # Only what is looked at is written: pages that nobody touches take no memory.
    place = np.empty(total, dtype=np.int64)
    place[wanted] = -1
    place[column[rows]] = rows  # of several assignments to one place, the last one stays
    found: NDArray[np.int64] = place[wanted]
    return found
