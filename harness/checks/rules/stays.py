"""How long copies can have stood in a queue, and how many must have been taken from it because it was full.

Everything rests on the order of a queue: what came later is delivered later. A queue's *arrivals* are the copies that came to it, with the
earliest time at which each can have come, the time by which it surely had, and when it was first delivered. Copies that were dead-lettered
into the queue are known by where they were seen, there or further on; those that a publish put there by their numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from harness.checks.tally.deliveries import REJECTED
from harness.checks.tally.message_table import MessageTable
from harness.checks.tally.sessions import Session
from harness.checks.tally.times import NEVER
from harness.history.records import AckMode

Times = NDArray[np.int64]

AT_LAST: Final = NEVER - 1
"""By when something came that is only known to have come."""


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What came to a queue: arrays of one length, in the order of `came_ns`."""

    came_ns: Times
    """The earliest time at which each can have come."""
    sure_ns: Times
    """By when each surely had come; NEVER where that is not known."""
    left_ns: Times
    """When each was first delivered; NEVER if it was not."""

    @classmethod
    def of(cls, came_ns: Times, sure_ns: Times, left_ns: Times) -> Arrivals:
        """Put them in order."""
        order = np.argsort(came_ns, kind="stable")
        return cls(came_ns[order], sure_ns[order], left_ns[order])

    def joined(self, other: Arrivals) -> Arrivals:
        """Return both together."""
        return Arrivals.of(
            np.concatenate([self.came_ns, other.came_ns]),
            np.concatenate([self.sure_ns, other.sure_ns]),
            np.concatenate([self.left_ns, other.left_ns]),
        )

    def after(self, came_ns: Times, until_ns: Times) -> NDArray[np.int64]:
        """Count for each of some copies among them how many others can have come after it, until some time.

        Connections do not wait for each other: what was sent before it and has no confirm may have come after it, until it was delivered.
        """
        ahead = np.searchsorted(np.sort(np.minimum(self.sure_ns, self.left_ns)), came_ns, side="left")
        return np.searchsorted(self.came_ns, until_ns, side="right") - ahead - 1  # itself does not come after itself

    def followed_by_ns(self, sure_ns: Times, count: int) -> Times:
        """Return when `count` later copies had certainly arrived after each copy, which itself had by `sure_ns`; NEVER if unknown."""
        known = self.sure_ns < AT_LAST
        last_ns = np.append(np.maximum.accumulate(self.sure_ns[known]), NEVER)
        place = np.searchsorted(self.came_ns[known], sure_ns, side="right") + max(count, 1) - 1
        return np.where(sure_ns < AT_LAST, last_ns[np.minimum(place, len(last_ns) - 1)], NEVER)

    def waiting(self, since_ns: Times, until_ns: Times, unseen: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return how many can have waited at once, some time between two: of those that are known to have come, or of all where `unseen`."""
        known = (self.sure_ns != NEVER) | (self.left_ns != NEVER)
        came = np.where(
            unseen,
            np.searchsorted(self.came_ns, until_ns, side="right"),
            np.searchsorted(self.came_ns[known], until_ns, side="right"),
        )
        return came - np.searchsorted(np.sort(self.left_ns), since_ns, side="right")

    def between(self, begin_ns: int, end_ns: int) -> Arrivals:
        """Return those that cannot have come before a time, and surely had by another."""
        chosen = (self.came_ns > begin_ns) & (self.sure_ns < end_ns)
        return Arrivals(self.came_ns[chosen], self.sure_ns[chosen], self.left_ns[chosen])

    def overflow(self, length: int, at_consumers: int | None) -> int:
        """Return how many a length limit must have taken: at some time more had surely come than had left and fit in.

        `at_consumers` is how many the broker may have sent that were not yet recorded as delivered; None for any number.
        """
        sure_ns = np.sort(self.sure_ns[self.sure_ns != NEVER])
        if not len(sure_ns):
            return 0
        left_ns = np.sort(self.left_ns[self.left_ns != NEVER])
        gone = np.full(len(sure_ns), len(left_ns))
        if at_consumers is not None:
            gone = np.minimum(np.searchsorted(left_ns, sure_ns, side="right") + at_consumers, len(left_ns))
        return max(0, int((np.arange(1, len(sure_ns) + 1) - gone).max()) - length)


NO_ARRIVALS: Final = Arrivals(*(np.empty(0, dtype=np.int64) for _ in range(3)))


def published_into(queue: int, tally: MessageTable) -> Arrivals:
    """Return what publishes put into a queue (an index into `MessageTable.queues`), whether or not it died into several others there."""
    parts = []
    for here in tally.slices():
        copies = np.arange(here.start, here.stop)
        sent = tally.messages.published.some[tally.copies.messages(here)]
        began = sent if tally.began is None else tally.began[here]
        parts.append(copies[(tally.published_to(copies) == queue) & began])
    copies = np.concatenate([np.empty(0, dtype=np.int64), *parts])
    came_ns, sure_ns = tally.first_published_ns[copies], tally.first_confirmed_ns[copies]
    at_rest = np.isin(copies, tally.found.copy[tally.found.queue == queue])
    sure_ns[at_rest] = np.minimum(sure_ns[at_rest], AT_LAST)
    return Arrivals.of(came_ns, sure_ns, tally.first_delivered_ns[copies])


def dead_lettered_into(queue: int, tally: MessageTable) -> Arrivals:
    """Return what deaths put into a queue, of all that was seen as a dead letter: there, or where the queue's own deaths lead to.

    It came when it was rejected; if it never was, after its publish and before it was seen. What was seen behind the queue had left it as well.
    """
    copies, at_ns, seen_in = _seen_as_dead_letters(tally)
    stood_in = _through(queue, tally)[tally.route[copies], tally.copies.slots(copies), seen_in]
    copies, at_ns, seen_in, stood_in = (each[stood_in >= 0] for each in (copies, at_ns, seen_in, stood_in))
    for slot in np.unique(stood_in).tolist():
        copies[stood_in == slot] = tally.copies.siblings(copies[stood_in == slot], slot)
    behind = np.flatnonzero((seen_in != queue) & ~np.isin(copies, copies[seen_in == queue]))
    behind = behind[np.lexsort((at_ns[behind], copies[behind]))]
    behind = behind[np.unique(copies[behind], return_index=True)[1]]
    rows = np.concatenate([np.flatnonzero(seen_in == queue), behind])
    copies, at_ns, here = copies[rows], at_ns[rows], seen_in[rows] == queue
    rejected_ns = _rejected_elsewhere_ns(queue, tally)[copies]
    came_ns = np.where(rejected_ns < at_ns, rejected_ns, tally.first_published_ns[copies])
    seen_ns = np.minimum(at_ns, AT_LAST)
    return Arrivals.of(
        came_ns, np.where(here & (rejected_ns < at_ns), came_ns, seen_ns), np.where(here, at_ns, seen_ns)
    )


def may_have_died_into(queue: int, missing: NDArray[np.int64], tally: MessageTable) -> Arrivals:
    """Return those of some copies that nobody saw at last and that a death may have put into a queue: at any time, if at all."""
    place = np.full(len(missing), queue)
    may = _through(queue, tally)[tally.route[missing], tally.copies.slots(missing), place] == tally.copies.slots(
        missing
    )
    copies = missing[may]
    came_ns = _rejected_elsewhere_ns(queue, tally)[copies]
    leads_there = (name for name in tally.queues if tally.queues[queue] in tally.topology.targets(name))
    if any(map(tally.topology.gives_up, leads_there)):
        came_ns = np.where(came_ns == NEVER, tally.first_published_ns[copies], came_ns)
    came_ns = came_ns[came_ns != NEVER]
    return Arrivals.of(came_ns, np.full(len(came_ns), AT_LAST), np.full(len(came_ns), AT_LAST))


def _rejected_elsewhere_ns(queue: int, tally: MessageTable) -> Times:
    """Return by copy when it was last rejected in another queue than one; NEVER if it was not."""
    deliveries = tally.deliveries
    rejects = np.flatnonzero((deliveries.rejected == REJECTED) & (deliveries.copy >= 0) & (deliveries.queue != queue))
    rejects = rejects[np.argsort(deliveries.rejected_ns[rejects], kind="stable")]
    rejected_ns = np.full(tally.total, NEVER)
    rejected_ns[deliveries.copy[rejects]] = deliveries.rejected_ns[rejects]
    return rejected_ns


def _seen_as_dead_letters(tally: MessageTable) -> tuple[NDArray[np.int64], Times, NDArray[np.int64]]:
    """Return the copies that were delivered as dead letters, when, and from which queue; and those that were found, NEVER, and where."""
    parts = []
    for table in tally.all_deliveries():
        mine = np.flatnonzero(table.died & (table.copy >= 0))
        parts.append(np.stack([table.copy[mine], table.at_ns[mine], table.queue[mine]]).astype(np.int64))
    found = tally.found
    rested = np.flatnonzero(found.died & (found.copy >= 0))
    parts.append(np.stack([found.copy[rested], np.full(len(rested), NEVER), found.queue[rested]]))
    copies, at_ns, queue = np.concatenate(parts, axis=1)
    return copies, at_ns, queue


def _through(queue: int, tally: MessageTable) -> NDArray[np.int64]:
    """Return by route, slot, and queue where a dead letter is, the slot in which it came to a queue by a death; -1 if it did not."""
    lives = tally.copies.lives
    most = max((len(each.slots) for each in lives), default=1)
    table = np.full((max(1, len(lives)), most, len(tally.queues)), -1, dtype=np.int64)
    for route, each in enumerate(lives):
        for (slot, seen_in), stood_in in each.through(tally.queues[queue]).items():
            if seen_in in tally.queues:
                table[route, slot, tally.queues.index(seen_in)] = stood_in
    return table


def given_back_ns(queue: int, tally: MessageTable) -> tuple[Times, Times]:
    """Return when deliveries came back to a queue (an index into `MessageTable.queues`), and when they were delivered again, each sorted.

    They come back by a requeue, or with their connection; NEVER stands for what was not delivered again.
    """
    deliveries = tally.deliveries
    mine = np.flatnonzero((deliveries.queue == queue) & (deliveries.copy >= 0))
    mine = mine[np.lexsort((deliveries.at_ns[mine], deliveries.copy[mine]))]
    follows = np.append(np.diff(deliveries.copy[mine]) == 0, False)[: len(mine)]
    again_ns = np.where(follows, np.append(deliveries.at_ns[mine][1:], NEVER)[: len(mine)], NEVER)
    over_ns = np.array([session.over_ns for session in tally.sessions] or [NEVER], dtype=np.int64)
    back_ns = np.minimum(over_ns[deliveries.session[mine]], deliveries.rejected_ns[mine])
    back = ~deliveries.acked[mine] & (deliveries.rejected[mine] != REJECTED) & (back_ns != NEVER)
    return np.sort(back_ns[back]), np.sort(again_ns[back])


def most_at_consumers(queue: str, sessions: Iterable[Session]) -> int | None:
    """Return how many deliveries the broker may have sent to a queue's consumers that none of them recorded; None for any number."""
    most = 0
    for session in sessions:
        if session.role != "worker" or queue not in session.queues:
            continue
        if not session.prefetch or session.acks is AckMode.AUTOMATIC:
            return None
        most += session.prefetch
    return most
