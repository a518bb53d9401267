"""By when a copy that was never delivered had surely left its queue, because what came later was delivered instead.

A queue gives its messages out in their order. So a copy is gone, whatever took it, once each consumer that may have been sent it has
received, on the same connection, something that surely came later. A consumer that ended before that may have been sent the copy, and
nothing is proved; nor for a copy that is not surely in the queue. Of a queue with a single active consumer, the active one alone decides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.checks.tally.message_table import MessageTable
from harness.checks.tally.times import NEVER

Times = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Consumer:
    """What one connection received from the queue, in the order of receipt."""

    since_ns: int
    over_ns: int
    latest_ns: Times
    """The latest time of publish among all received so far."""
    at_ns: Times

    def first_later_ns(self, sure_ns: Times) -> Times:
        """Return when it first received something that was published after some times; NEVER if it did not."""
        return np.append(self.at_ns, NEVER)[np.searchsorted(self.latest_ns, sure_ns, side="right")]


class Overtaken:
    """Knows the consumers of one queue."""

    def __init__(self, queue: str, tally: MessageTable) -> None:
        """Read what its consumers received."""
        self._one_at_a_time = tally.topology.policy(queue).single_active_consumer
        number = tally.queues.index(queue)
        mine = np.array([queue in session.queues and session.role == "worker" for session in tally.sessions] or [False])
        parts: dict[int, list[tuple[Times, Times]]] = {}
        for table in tally.all_deliveries(mine) if mine.any() else ():
            rows = np.flatnonzero(mine[table.session] & (table.queue == number) & (table.copy >= 0) & ~table.died)
            for session in np.unique(table.session[rows]).tolist():
                here = rows[table.session[rows] == session]
                published_ns = tally.first_published_ns[table.copy[here]]
                parts.setdefault(session, []).append((published_ns, table.at_ns[here]))
        none = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))
        self._consumers = []
        for place in np.flatnonzero(mine).tolist():
            session = tally.sessions[place]
            published_ns, at_ns = (np.concatenate(column) for column in zip(none, *parts.get(place, ()), strict=True))
            begun_ns = 0 if session.since_ns == NEVER else session.since_ns
            self._consumers.append(_Consumer(begun_ns, session.over_ns, np.maximum.accumulate(published_ns), at_ns))

    def since_ns(self, sure_ns: Times) -> Times:
        """Return by when copies that surely stood there since some times (NEVER: not surely) had left; NEVER where nothing shows it."""
        first = [consumer.first_later_ns(sure_ns) for consumer in self._consumers]
        if not first:
            return np.full(len(sure_ns), NEVER)
        if self._one_at_a_time:
            found = np.minimum.reduce(first)
        else:
            found = np.zeros(len(sure_ns), dtype=np.int64)
            # Who began to consume before all others had passed it may have been sent it as well.
            for consumer, at_ns in sorted(zip(self._consumers, first, strict=True), key=lambda pair: pair[0].since_ns):
                asked = (consumer.over_ns > sure_ns) & ((found == 0) | (consumer.since_ns < found))
                found[asked] = np.maximum(found, at_ns)[asked]
            found[found == 0] = NEVER
        return np.where(sure_ns == NEVER, NEVER, found)
