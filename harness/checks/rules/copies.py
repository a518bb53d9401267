"""The copies of a message: a route that leads to several queues puts one into each."""

from __future__ import annotations

import numpy as np

from harness.checks.tally.message_table import MessageTable
from harness.scenario.routing import downstream, route_queues
from harness.scenario.scenario import Scenario

MOST = np.int64(1) << 12
"""More copies than any message has: a multiplier for keys."""


def copy_in(queue: str, route: str, scenario: Scenario) -> int:
    """Return the number of the copy that a route puts into a queue. With a single copy, wherever it turns up it is number 0."""
    queues = route_queues(route, scenario)
    return queues.index(queue) if len(queues) > 1 and queue in queues else 0


def copy_numbers(rows: np.ndarray, tally: MessageTable, scenario: Scenario) -> np.ndarray:
    """Tell for some deliveries (places in `MessageTable.deliveries`, of known messages) which of its message's copies each is.

    A copy is known by its queue, or one behind it by dead-lettering; of a queue that lies behind several, the last one is taken.
    """
    table = np.zeros((len(tally.routes), max(1, len(tally.queues))), dtype=np.int64)
    for index, route in enumerate(tally.routes):
        queues = route_queues(route, scenario)
        if len(queues) > 1:
            for number, queue in enumerate(queues):
                reached = downstream(queue, route, scenario)
                table[index, [place for place, name in enumerate(tally.queues) if name in reached]] = number
    deliveries = tally.deliveries
    copy: np.ndarray = table[tally.route[deliveries.message[rows]], deliveries.queue[rows]]
    return copy


def last_deliveries(
    messages: np.ndarray, copies: np.ndarray | int, tally: MessageTable, scenario: Scenario
) -> np.ndarray:
    """Return for one copy of each message the place of its latest delivery in `MessageTable.deliveries`, -1 for none."""
    rows = rows_of(messages, tally.deliveries.message, tally.total)
    wanted = np.zeros(tally.total, dtype=np.int64)
    wanted[messages] = copies
    rows = rows[copy_numbers(rows, tally, scenario) == wanted[tally.deliveries.message[rows]]]
    return _last(messages, rows, tally.deliveries.message, tally.deliveries.at_ns, tally.total)


def last_publishes(messages: np.ndarray, tally: MessageTable) -> np.ndarray:
    """Return for each message the place of its latest publish in `MessageTable.publishes`."""
    publishes = tally.publishes
    rows = rows_of(messages, publishes.message, tally.total)
    return _last(messages, rows, publishes.message, publishes.at_ns, tally.total)


def rows_of(messages: np.ndarray, message: np.ndarray, total: int) -> np.ndarray:
    """Return where in a column of message numbers (-1 for none) some messages stand."""
    wanted = np.zeros(total + 1, dtype=bool)  # the last place is for -1
    wanted[messages] = True
    return np.flatnonzero(wanted[message])


def _last(messages: np.ndarray, rows: np.ndarray, message: np.ndarray, at_ns: np.ndarray, total: int) -> np.ndarray:
    rows = rows[np.argsort(at_ns[rows], kind="stable")]
    # Only what is looked at is written: pages that nobody touches take no memory.
    place = np.empty(total, dtype=np.int64)
    place[messages] = -1
    place[message[rows]] = rows  # of several assignments to one place, the last one stays
    found: np.ndarray = place[messages]
    return found
