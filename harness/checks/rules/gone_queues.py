"""Which copies were in a queue when it went: it expired, or somebody deleted it.

A queue that was gone at the end went at some moment, and what is known of that moment decides. Before the earliest one its own limits took
what was in it. After it, a copy that is missing either went with the queue or found none: at the exchange, or as a dead letter.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.checks.rules.arrival import expired_ns
from harness.checks.rules.happenings import Happenings
from harness.checks.tally.fault_records import WITHIN_NS
from harness.checks.tally.message_table import MessageTable
from harness.checks.tally.times import NEVER


class GoneQueues:
    """The queues of a run that were gone at the end. `rows` are places among the missing copies."""

    def __init__(
        self,
        missing: NDArray[np.int64],
        sent: NDArray[np.int64],
        last: NDArray[np.int64],
        tally: MessageTable,
        happened: Happenings,
    ) -> None:
        """`sent` and `last` are the places of each copy's latest publish and delivery (-1 for none) in the tally's tables."""
        self._sent, self._last, self._tally, self._happened = sent, last, tally, happened
        alone = np.array([lives.alone for lives in tally.copies.lives], dtype=bool)
        publishes = tally.publishes
        # What no queue takes comes back before it is confirmed.
        self._taken_in = publishes.mandatory[sent] & (publishes.confirmed_ns[sent] != NEVER)
        self._taken_in &= ~publishes.returned[sent]
        if len(missing):
            self._taken_in &= alone[tally.route[missing]]

    def since_ns(self, queue: str) -> int:
        """Return the earliest time at which a queue can have gone; NEVER for one that was there at the end, or went with a node."""
        if not self._happened.is_gone(queue):
            return NEVER
        can_ns = self._tally.topology.can_expire_ns(queue, self._tally.sessions, self._tally.zero_ns)
        return 0 if can_ns == NEVER else can_ns

    def came_too_late(self, rows: NDArray[np.int64], queue: str) -> NDArray[np.bool_]:
        """Return which copies were surely published when their queue had expired: no exchange had a queue for them."""
        _, by_ns = expired_ns(queue, self._tally)
        return self._published_after(rows, by_ns)

    def may_have_come_too_late(self, rows: NDArray[np.int64], queue: str) -> NDArray[np.bool_]:
        """Return which copies may have been published when their queue had expired."""
        can_ns, _ = expired_ns(queue, self._tally)
        return self._published_after(rows, can_ns)

    def may_have_died_too_late(self, source: str, queue: str, came_ns: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which dead letters of a source may have found their target gone.

        One that is kept until it is taken cannot, nor one that an alternate exchange leads elsewhere then.
        """
        topology = self._tally.topology
        policy, expires = topology.policy(source), topology.policy(queue).expires_s is not None
        if policy.dead_letters_at_least_once or len(topology.topology.chain(policy.dead_letter_exchange or "")) > 1:
            return np.zeros(len(came_ns), dtype=bool)
        late: NDArray[np.bool_] = came_ns + WITHIN_NS > (self.since_ns(queue) if expires else NEVER)
        return late

    def _published_after(self, rows: NDArray[np.int64], at_ns: int) -> NDArray[np.bool_]:
        sent_ns = self._tally.publishes.at_ns[self._sent[rows]]
        late: NDArray[np.bool_] = (self._last[rows] < 0) & (sent_ns > at_ns) & ~self._taken_in[rows]
        return late
