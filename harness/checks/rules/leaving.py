"""How copies left a queue that they stood in: by its limits, by a purge, or with the queue."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from harness.checks.rules.arrival import sent_at_last
from harness.checks.rules.gone_queues import GoneQueues
from harness.checks.rules.happenings import Happenings
from harness.checks.rules.limits import Limits
from harness.checks.rules.stays import AT_LAST, Arrivals
from harness.checks.rules.taken import Reason, Taken
from harness.checks.rules.weigh import InDoubt
from harness.checks.tally.fault_records import WITHIN_NS
from harness.checks.tally.message_table import MessageTable
from harness.checks.tally.times import NEVER


@dataclass(frozen=True, slots=True)
class Stay:
    """Copies that stand in one queue: arrays of one length."""

    rows: NDArray[np.int64]
    """Places in `Taken`."""
    came_ns: NDArray[np.int64]
    """Since when at the earliest."""
    sure_ns: NDArray[np.int64]
    """By when surely; NEVER where they are not known to have come."""
    until_ns: NDArray[np.int64]
    """By when something else had taken them, or they were overtaken."""
    struck_from_ns: NDArray[np.int64]
    """From when on a fault can have taken them; NEVER for none."""
    purge_ns: NDArray[np.int64]
    """When a purge did; NEVER for none."""
    purge: NDArray[np.int64]
    """Which one; -1 for none."""
    unsafe_ns: NDArray[np.int64]
    """From when on a fault can have taken them as dead letters; NEVER for none."""
    again: bool
    """Whether they were given back to it."""
    died: bool
    """Whether a death brought them."""

    def chosen(self, which: NDArray[np.bool_]) -> Stay:
        """Return some of them."""
        columns = (each.name for each in fields(self) if each.name not in ("again", "died"))
        return replace(self, **{name: getattr(self, name)[which] for name in columns})


@dataclass(frozen=True, slots=True)
class Death:
    """What one limit took of the copies of a stay: arrays as long as it."""

    chosen: NDArray[np.bool_]
    """Which of them."""
    reason: Reason
    at_ns: NDArray[np.int64]
    """When at the earliest."""
    latest_ns: NDArray[np.int64]
    refused: bool
    """Whether the queue never took them: what is refused does not die."""


class Leaving:
    """Asks what took copies from a queue, and notes what is only possible."""

    def __init__(
        self,
        taken: Taken,
        sent: NDArray[np.int64],
        tally: MessageTable,
        happened: Happenings,
        limits: Limits,
        gone: GoneQueues,
        in_doubt: list[InDoubt],
    ) -> None:
        """`sent` is the place of each copy's latest publish in the tally's table.

        To `in_doubt` is added what is to be held against what the queue must have taken.
        """
        self._taken, self._sent, self._tally, self._gone = taken, sent, tally, gone
        self._topology, self._happened, self._limits, self._in_doubt = tally.topology, happened, limits, in_doubt
        self._place = {name: number for number, name in enumerate(tally.queues)}

    def by_limits(self, stay: Stay, queue: str) -> Iterator[Death]:
        """Yield what outgrew the length of its queue, or its time to live."""
        rows, came_ns, sure_ns = stay.rows, stay.came_ns, stay.sure_ns
        policy = self._topology.policy(queue)
        if policy.message_ttl_s is None and not policy.has_length_limit:
            return
        expires_ns = self.expires_ns(queue, came_ns)
        arrivals = self._limits.arrivals(rows, queue, came_ns, sure_ns, died=stay.died)
        # A fault may have struck before it came, or before it died.
        confirmed = self._tally.publishes.confirmed_ns[self._sent[rows]] != NEVER
        struck_ns = np.minimum(self._happened.unwritten_ns(came_ns, confirmed), stay.struck_from_ns)
        struck_ns = np.minimum(np.minimum(struck_ns, self._happened.pushed_ns(queue, came_ns)), stay.unsafe_ns)
        risky_ns = np.minimum(struck_ns, stay.purge_ns)
        outgrown = np.zeros(len(rows), dtype=bool)
        if policy.has_length_limit and not (stay.again and policy.refuses_when_full):
            until = np.minimum(stay.until_ns, expires_ns)
            unseen = (risky_ns != NEVER) | (policy.message_ttl_s is not None)
            outgrown = self._limits.outgrown(
                rows, queue, arrivals, came_ns, until, sure_ns, died=stay.died, unseen=unseen
            )
            until = np.minimum(until, stay.unsafe_ns)
            safely = self._limits.outgrown(
                rows, queue, arrivals, came_ns, until, sure_ns, died=stay.died, unseen=unseen
            )
            self._taken.possible[rows[outgrown & ~safely]] = True
        expired = expires_ns <= np.minimum(stay.until_ns, stay.purge_ns)
        recovered_ns = self._limits.dropped_at_recovery_ns(queue, arrivals, came_ns, stay.until_ns)
        recovered = ~outgrown & ~expired & (recovered_ns != NEVER)
        within_ns = np.where(sure_ns < AT_LAST, sure_ns - came_ns + WITHIN_NS, NEVER - expires_ns)
        for chosen, reason, at_ns, latest_ns in (
            (outgrown, Reason.LENGTH, came_ns, self._outgrown_by_ns(stay, queue, arrivals)),
            (expired & ~outgrown, Reason.TTL, expires_ns, expires_ns + within_ns),
            (recovered, Reason.RECOVERY, recovered_ns, stay.until_ns),
        ):
            if not chosen.any():
                continue
            known = (sure_ns < AT_LAST) & (not policy.refuses_when_full)
            later_ns = np.where(known, sure_ns - came_ns + at_ns, NEVER)
            self._taken.possible[rows[chosen & (risky_ns < later_ns)]] = True
            self._taken.possible[rows[chosen & (sure_ns == NEVER)]] = True
            may_expire = expired & (reason is Reason.LENGTH)
            safe = (struck_ns >= later_ns) & (sure_ns != NEVER)
            if policy.type == "quorum" and not stay.died:
                safe &= ~sent_at_last(self._sent[rows], self._tally)
            may_go = latest_ns > self._gone.since_ns(queue)
            may_miss = self._gone.may_have_come_too_late(rows, queue) if not stay.died else came_ns < 0
            self._in_doubt.append(
                InDoubt(
                    queue,
                    reason,
                    arrivals,
                    rows[chosen],
                    may_expire[chosen],
                    stay.purge[chosen],
                    safe[chosen],
                    may_go[chosen],
                    may_miss[chosen],
                )
            )
            refused = reason is Reason.LENGTH and policy.overflow == "reject-publish"
            yield Death(chosen, reason, at_ns, latest_ns, refused=refused)

    def _outgrown_by_ns(self, stay: Stay, queue: str, arrivals: Arrivals) -> NDArray[np.int64]:
        """Return by when copies that a length limit took had surely died: as many as it allows had come after them, and nothing else left."""
        length = self._topology.most_ready(queue)
        if stay.again or length is None or self._topology.policy(queue).refuses_when_full:
            return stay.until_ns
        full_ns = arrivals.followed_by_ns(stay.sure_ns, length)
        emptied = self._happened.emptied_ns(queue)
        for since_ns, over_ns in emptied:
            full_ns[(stay.sure_ns <= over_ns) & (full_ns >= since_ns)] = NEVER
        by_ns: NDArray[np.int64] = np.minimum(stay.until_ns, np.minimum(full_ns, NEVER - WITHIN_NS) + WITHIN_NS)
        return by_ns

    def removed(
        self,
        rows: NDArray[np.int64],
        stay: Stay,
        queue: str,
        died_in: str,
        *,
        unstruck: NDArray[np.bool_],
    ) -> None:
        """Ask whether a purge, the queue's deletion, or somebody else's consumer took copies out of it.

        `died_in` is the queue where the death was that brought them, if one did.
        """
        purge, sure_ns = stay.purge, stay.sure_ns
        purged = purge >= 0
        self._take(rows[purged], Reason.PURGED, queue)
        self._taken.fault[rows[purged]] = purge[purged]
        self._taken.possible[rows[purged]] |= sure_ns[purged] == NEVER
        left = ~purged
        if left.any() and self._happened.is_gone(queue):
            # It may have been gone already when a fault struck.
            gone = left & (unstruck | (self._topology.policy(queue).expires_s is not None))
            self._take(rows[gone], Reason.QUEUE_GONE, queue)
            unsure = ~unstruck | (sure_ns == NEVER)
            if died_in:
                no_target = gone & ~unsure & self._gone.may_have_died_too_late(died_in, queue, stay.came_ns)
                self._taken.put_instead(rows[no_target], Reason.NO_TARGET, self._place[died_in])
            else:
                unsure |= self._gone.may_have_come_too_late(rows, queue)
            self._taken.possible[rows[gone & unsure]] = True
            left &= ~gone
        if left.any() and self._topology.has_foreign_consumers(queue):
            self._take(rows[left], Reason.TAKEN, queue)

    def expires_ns(self, queue: str, came_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return when the time to live of copies that came to a queue is over; NEVER if it has none."""
        ttl_s = self._topology.policy(queue).message_ttl_s
        return np.full(len(came_ns), NEVER) if ttl_s is None else came_ns + round(ttl_s * 1e9)

    def _take(self, rows: NDArray[np.int64], reason: Reason, queue: str) -> None:
        self._taken.put(rows, reason, self._place[queue])
