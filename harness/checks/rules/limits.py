"""What the limits of a queue can have taken from the missing copies that stood in it.

The length limit takes a copy, or refuses it, when more came to its queue than that holds. The delivery limit of a quorum queue takes a copy
that came back too often. What follows from that for a copy is decided in `walk.py`.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from harness.checks.rules.latest import rows_of
from harness.checks.rules.stays import Arrivals, dead_lettered_into, given_back_ns, may_have_died_into, published_into
from harness.checks.tally.fault_records import WITHIN_NS
from harness.checks.tally.message_table import MessageTable
from harness.checks.tally.times import NEVER


class Limits:
    """The limits of a run's queues. `rows` are places among the missing copies, and other arrays have a value for each of the rows."""

    def __init__(
        self,
        missing: NDArray[np.int64],
        sent: NDArray[np.int64],
        last: NDArray[np.int64],
        tally: MessageTable,
        drained_ns: int,
    ) -> None:
        """`sent` and `last` are the places of each copy's latest publish and delivery (-1 for none) in the tally's tables."""
        self._missing, self._sent, self._last = missing, sent, last
        self._tally, self._topology, self._drained_ns = tally, tally.topology, drained_ns
        self._place = {name: number for number, name in enumerate(tally.queues)}
        self._given_back = cache(lambda place: given_back_ns(place, tally))
        self._seen = cache(lambda place: published_into(place, tally).joined(dead_lettered_into(place, tally)))

    def given_up(self, rows: NDArray[np.int64], queue: str) -> NDArray[np.bool_]:
        """Return which copies their queue had to give up on when their last delivery came back."""
        limit = self._topology.policy(queue).most_redeliveries(self._topology.rabbitmq)
        if limit is None:
            return np.zeros(len(rows), dtype=bool)
        deliveries, copies = self._tally.deliveries, self._missing[rows]
        mine = rows_of(copies, deliveries.copy, self._tally.total)
        mine = mine[deliveries.queue[mine] == self._place[queue]]
        attempt = np.zeros(self._tally.total, dtype=np.uint16)
        attempt[copies] = deliveries.attempt[self._last[rows]]  # a message that was published again begins anew
        mine = mine[deliveries.attempt[mine] == attempt[deliveries.copy[mine]]]
        times = np.bincount(deliveries.copy[mine], minlength=self._tally.total)[copies]
        found: NDArray[np.bool_] = np.maximum(times, deliveries.count[self._last[rows]] + 1) > limit
        return found

    def given_up_unseen(self, rows: NDArray[np.int64], queue: str, came_ns: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which copies their queue may have given up on: they can have been on their way to workers that ended, more often than it allows."""
        limit = self._topology.policy(queue).most_redeliveries(self._topology.rabbitmq)
        if limit is None:
            return np.zeros(len(rows), dtype=bool)
        ended_ns = np.sort(
            [
                session.over_ns
                for session in self._tally.sessions
                if session.role == "worker" and queue in session.queues and session.over_ns < self._drained_ns
            ]
        )
        delivered = self._last[rows] >= 0
        counted = np.zeros(len(rows), dtype=np.int64)
        counted[delivered] = self._tally.deliveries.count[self._last[rows[delivered]]] + 1
        unseen = len(ended_ns) - np.searchsorted(ended_ns, came_ns - WITHIN_NS)
        found: NDArray[np.bool_] = (counted + unseen > limit) & (unseen > 0)
        return found

    def arrivals(
        self,
        rows: NDArray[np.int64],
        queue: str,
        came_ns: NDArray[np.int64],
        sure_ns: NDArray[np.int64],
        *,
        died: bool,
    ) -> Arrivals:
        """Return all that came to a queue; `rows` are those that a death brought there, if `died`."""
        place, others = self._place[queue], np.delete(self._missing, rows) if died else self._missing
        found = self._seen(place).joined(may_have_died_into(place, others, self._tally))
        return found.joined(Arrivals.of(came_ns, sure_ns, np.full(len(rows), NEVER))) if died else found

    def outgrown(
        self,
        rows: NDArray[np.int64],
        queue: str,
        arrivals: Arrivals,
        came_ns: NDArray[np.int64],
        until_ns: NDArray[np.int64],
        sure_ns: NDArray[np.int64],
        *,
        died: bool,
        unseen: NDArray[np.bool_],
    ) -> NDArray[np.bool_]:
        """Return which copies a length limit can have taken: as many as it allows came after them while they were there.

        Where the queue refuses instead of dropping, what is lost is what has no confirm: dead letters, and messages sent without confirms.
        It was full of messages that were seen later, or of any where something else can have taken those from it (`unseen`).
        """
        policy = self._topology.policy(queue)
        length = self._topology.most_ready(queue)
        if policy.refuses_when_full:
            unheard = died | ~self._tally.publishes.confirmable[self._sent[rows]]
            latest_ns = np.where(died, sure_ns, came_ns + WITHIN_NS)
            # A dead letter is among its queue's arrivals itself.
            others = self._waiting(queue, arrivals, came_ns, latest_ns, unseen) - died
            if policy.type != "quorum" or length is None:
                return unheard & (others >= (length or 0))
            # It refuses from one message over its limit on, and then until it is down to four fifths of it (measured on 3.10.8, 4.0.5, 4.3.6).
            all_ns = arrivals.came_ns
            waiting = self._waiting(queue, arrivals, all_ns, all_ns + WITHIN_NS, np.zeros(len(all_ns), dtype=bool))
            full_ns = np.min(all_ns[waiting > length + died], initial=NEVER)
            goes_on: NDArray[np.bool_] = (came_ns >= full_ns) & (others >= int(0.8 * length))
            return unheard & (goes_on | (others > length))
        back_ns, _ = self._given_back(self._place[queue])  # what comes back takes room as well
        back = np.searchsorted(back_ns, until_ns, side="right") - np.searchsorted(back_ns, came_ns)
        outgrown: NDArray[np.bool_] = arrivals.after(came_ns, until_ns) + back >= (1 if length is None else length)
        return outgrown

    def dropped_at_recovery_ns(
        self, queue: str, arrivals: Arrivals, came_ns: NDArray[np.int64], until_ns: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Return from when on a full queue that refuses can have dropped copies all the same, as its node came back; NEVER for others.

        A classic queue knows its limit before it knows that it refuses: with what comes back from workers it holds more than that when it is
        recovered, and drops its head (measured on 3.10.8, 4.0.5 and 4.3.6: of 60 and 20 that were held, 20).
        """
        found, policy = np.full(len(came_ns), NEVER), self._topology.policy(queue)
        if policy.type != "classic" or not policy.refuses_when_full or not policy.has_length_limit:
            return found
        length = self._topology.most_ready(queue) or 0
        for fault in self._topology.faults:
            if fault.ends_node and (self._topology.nodes < 2 or self._topology.may_live_on(queue, fault.targets)):
                since_ns, by_ns = np.array([fault.at_ns]), np.array([fault.struck_ns + WITHIN_NS])
                waiting = self._waiting(queue, arrivals, since_ns, by_ns, np.array([True]))
                there = (came_ns <= fault.struck_ns) & (until_ns > fault.struck_ns) & (waiting > length)
                found[there] = np.minimum(found[there], fault.struck_ns)
        return found

    def _waiting(
        self,
        queue: str,
        arrivals: Arrivals,
        since_ns: NDArray[np.int64],
        until_ns: NDArray[np.int64],
        unseen: NDArray[np.bool_],
    ) -> NDArray[np.int64]:
        """Return how many can have waited in a queue at once, some time between two, with those that had come back to it."""
        back_ns, again_ns = self._given_back(self._place[queue])
        back = np.searchsorted(back_ns, until_ns, side="right") - np.searchsorted(again_ns, since_ns, side="right")
        waiting: NDArray[np.int64] = arrivals.waiting(since_ns, until_ns, unseen) + np.maximum(back, 0)
        return waiting
