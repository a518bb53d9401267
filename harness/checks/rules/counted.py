"""The broker's own counts of what it threw away, as bounds of how many copies can have gone that way.

RabbitMQ 3.10 and later count, on each node since its start, the messages that died in queues, by queue type, dead letter strategy and
reason (measured to be exact). The difference between two looks bounds from above how many copies died like that: what is missing beyond
it went another way. It bounds from below as well, as far as no message can have died that is not missing: a second instance of one that
was done, one that was never promised, a stranger's.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.checks.rules.endings import find_endings
from harness.checks.rules.refused import refused_publishes
from harness.checks.tally.deliveries import REJECTED, REQUEUED, Deliveries
from harness.checks.tally.message_table import MessageTable
from harness.checks.tally.times import NEVER
from harness.events import BrokerLook, Event, QueueFacts
from harness.history.records import AckMode
from harness.scenario.queue_policy import EffectivePolicy

EXPIRED: Final = "expired"
MAXLEN: Final = "maxlen"
DELIVERY_LIMIT: Final = "delivery_limit"
REJECTS: Final = "rejected"
"""What the broker's counters call the reasons."""
UNKNOWN: Final = NEVER
"""More than can be."""
DISABLED: Final = "disabled"
"""What they call the strategy of queues without a dead letter target: there a death is the end."""


class Pool(NamedTuple):
    """Queues that the broker counts together."""

    type: str
    strategy: str
    """`disabled` without a dead letter target, else at_most_once or at_least_once."""


class Bounds(NamedTuple):
    """How many of the missing copies died for a reason in the queues of a pool."""

    least: int
    most: int


def pool_of(policy: EffectivePolicy) -> Pool:
    """Return the pool that a queue belongs to."""
    if not policy.has_dead_letter_target:
        return Pool(policy.type, DISABLED)
    return Pool(policy.type, "at_least_once" if policy.dead_letters_at_least_once else "at_most_once")


class Counters:
    """What died between the look before the traffic and the one after the drain."""

    def __init__(self, missing: NDArray[np.int64], tally: MessageTable, events: Sequence[Event]) -> None:
        looks = [event for event in events if isinstance(event, BrokerLook) and not event.not_asked]
        before = next((look for look in looks if look.moment == "before the traffic"), None)
        after = next((look for look in reversed(looks) if look.moment == "after the drain"), None)
        self._looks = (before, after) if before is not None and after is not None and before.dead_lettered else None
        self._alone = self._looks is not None and not any(look.foreign_connections for look in self._looks)
        self._whole = self._looks is not None and self._looks[0].node_started == self._looks[1].node_started
        """Whether no node has begun to count anew: else what it counts is the least only."""
        self._missing, self._tally, self._events = missing, tally, events

    def bounds(self, pool: Pool, reason: str) -> Bounds | None:
        """Return how many of the missing copies died in a pool's queues for a reason (EXPIRED, MAXLEN, DELIVERY_LIMIT); None if that is not known."""
        if self._looks is None:
            return None
        counted = self._counted(pool, reason)
        queues = [name for name in self._tally.queues if pool_of(self._tally.topology.policy(name)) == pool]
        ends = self._alone and pool.strategy == DISABLED
        least = max(0, counted - self.others(queues)) if ends else 0
        if not self._whole:
            return Bounds(least, UNKNOWN) if least else None
        most = counted + self._afterwards(queues, self._looks[1]) - self._seen(pool, reason)
        return Bounds(max(0, min(least, most)), max(0, most))

    @cached_property
    def all_acks_arrived(self) -> bool:
        """Whether the broker counted as many acknowledgements as the workers sent."""
        if self._looks is None or not self._alone or not self._whole:
            return False
        before, after = self._looks
        counted = sum(after.acknowledged.values()) - sum(before.acknowledged.values())
        return bool(before.acknowledged) and counted == int(self._tally.flow.acked.sum())

    def all_rejects_arrived(self, queue: str) -> bool:
        """Whether the broker counted as many rejects in a queue's pool as its workers sent."""
        if not self._alone or not self._whole:
            return False
        pool, deliveries = pool_of(self._tally.topology.policy(queue)), self._tally.deliveries
        mine = [name for name in self._tally.queues if pool_of(self._tally.topology.policy(name)) == pool]
        places = np.array([self._tally.queues.index(name) for name in mine], dtype=np.int64)
        sent = np.count_nonzero((deliveries.rejected == REJECTED) & np.isin(deliveries.queue, places))
        return self._counted(pool, REJECTS) >= int(sent)

    def _counted(self, pool: Pool, reason: str) -> int:
        assert self._looks is not None  # noqa: S101 - asked before
        before, after = self._looks
        key, counted = f"{pool.type}/{pool.strategy}/{reason}", 0
        for node, counts in after.dead_lettered.items():
            anew = before.node_started.get(node) != after.node_started.get(node)
            counted += counts.get(key, 0) - (0 if anew else before.dead_lettered.get(node, {}).get(key, 0))
        return counted

    def _afterwards(self, queues: Sequence[str], after: BrokerLook) -> int:
        """Return how many can have died in some queues between the last look and the collection.

        They stood there, or in a queue that leads there, and were not found.
        """
        leading = self._leading_to(queues, unseen=True)
        return sum(left_since(facts, self._tally) for facts in after.queues if facts.name in leading)

    def _leading_to(self, queues: Sequence[str], *, unseen: bool) -> set[str]:
        """Return some queues, and all from which deaths lead there; only those that nobody need see, if `unseen`."""
        leading, topology = set(queues), self._tally.topology
        sources = [name for name in self._tally.queues if not unseen or topology.gives_up(name)]
        while True:
            before = {name for name in sources if leading & set(topology.targets(name))}
            if before <= leading:
                return leading
            leading |= before

    def _seen(self, pool: Pool, reason: str) -> int:
        """Return how many copies that are not missing are known to have died in a pool's queues for a reason; at least.

        Only where all that can die and go on dies like that, but for what a worker rejected or a quorum queue counted.
        """
        tally, policies = self._tally, [self._tally.topology.policy(name) for name in self._tally.queues]
        leading = [policy for policy in policies if policy.has_dead_letter_target]
        others = [
            policy.has_length_limit if reason == EXPIRED else policy.message_ttl_s is not None for policy in leading
        ]
        if reason == DELIVERY_LIMIT or any(others) or any(pool_of(policy) != pool for policy in leading):
            return 0
        parts, rejected = [tally.found.copy[tally.found.died]], [np.empty(0, dtype=np.int64)]
        for table in tally.all_deliveries():
            parts.append(table.copy[table.died])
            rejected.append(table.copy[(table.rejected == REJECTED) | (table.count > 0)])
        died, otherwise = np.concatenate(parts), np.concatenate(rejected)
        known = np.setdiff1d(died[died >= 0], np.concatenate([otherwise, self._missing]))
        # One death may have begun several of them: of a message, one death is sure.
        branching = any(lives.branchings for lives in tally.copies.lives)
        return len(np.unique(tally.message(known))) if branching else len(known)

    def others(self, queues: Sequence[str], until_ns: int = NEVER, *, acknowledged: bool = True) -> int:
        """Return how many instances of messages can have gone from some queues, or from what leads there, that are not missing copies, by a time.

        `acknowledged`: those that came back as their acknowledgement was lost count, too.
        """
        tally = self._tally
        places, unseen, leading = (
            np.array([tally.queues.index(name) for name in names], dtype=np.int64)
            for names in (
                queues,
                sorted(self._leading_to(queues, unseen=True)),
                sorted(self._leading_to(queues, unseen=False)),
            )
        )
        published, deliveries = tally.publishes.message[tally.publishes.at_ns <= until_ns], tally.deliveries
        again = len(published) - len(np.unique(published))
        back_again = (deliveries.rejected == REQUEUED) & ~np.isin(deliveries.copy, self._missing)
        requeued = np.count_nonzero(back_again & np.isin(deliveries.queue, places) & self._are_last(deliveries))
        back = self._given_back(unseen, until_ns, acknowledged=acknowledged)
        unpromised = self._unpromised(leading, until_ns)
        return again + int(requeued) + back + unpromised + tally.found.foreign

    def _given_back(self, places: NDArray[np.int64], until_ns: int, *, acknowledged: bool) -> int:
        """Count the deliveries that can have come back with their connection for good: not acknowledged, or so late that the ack was lost."""
        tally, total = self._tally, 0
        ended = np.array(
            [each.over_ns < until_ns and each.acks is not AckMode.AUTOMATIC for each in tally.sessions], dtype=bool
        )
        endings = find_endings(ended, tally, self._events)
        for deliveries in tally.all_deliveries(ended):
            settled_ns = np.minimum(deliveries.acked_ns, deliveries.rejected_ns)
            unsettled = ended[deliveries.session] & ~endings.arrived(deliveries.session, settled_ns)
            unsettled &= ~(deliveries.acked & (self.all_acks_arrived or not acknowledged))
            unsettled &= np.isin(deliveries.queue, places) & ~np.isin(deliveries.copy, self._missing)
            unsettled &= self._are_last(deliveries)
            total += int(np.count_nonzero(unsettled))
        return total

    def _are_last(self, deliveries: Deliveries) -> NDArray[np.bool_]:
        """Return which deliveries no other one of their copy followed: what came back then was not sent again."""
        found: NDArray[np.bool_] = deliveries.at_ns >= self._last_ns[np.maximum(deliveries.copy, 0)]
        return found | (deliveries.copy < 0)

    @cached_property
    def _last_ns(self) -> NDArray[np.int64]:
        """By copy, when it was last delivered; 0 where it was no more than once."""
        deliveries, last_ns = self._tally.deliveries, np.zeros(max(1, self._tally.total), dtype=np.int64)
        known = deliveries.copy >= 0
        np.maximum.at(last_ns, deliveries.copy[known], deliveries.at_ns[known])
        return last_ns

    @cached_property
    def _refused(self) -> NDArray[np.bool_]:
        """By message, whether the broker put no attempt of it in a queue."""
        tally, publishes = self._tally, self._tally.publishes
        rows = np.arange(len(publishes.message))
        refused = refused_publishes(rows, tally)
        found = np.zeros(max(1, tally.messages.total), dtype=bool)
        found[publishes.message[refused]] = True
        found[publishes.message[~refused]] = False
        return found

    def _unpromised(self, places: NDArray[np.int64], until_ns: int) -> int:
        tally, total = self._tally, 0
        for here in tally.slices():
            chosen = tally.published.some[here] & ~tally.promised[here] & ~tally.completions.some[here]
            chosen &= tally.first_published_ns[here] <= until_ns
            copies = here.start + np.flatnonzero(chosen)
            copies = copies[~self._refused[tally.message(copies)]]
            total += int(np.count_nonzero(np.isin(tally.first_queue(copies), places)))
        return total


def left_since(facts: QueueFacts, tally: MessageTable) -> int:
    """Return how many messages have left a queue of the run between a look after the drain and the collection."""
    there = np.count_nonzero(tally.found.queue == tally.queues.index(facts.name))
    return max(0, facts.ready + facts.unacknowledged - int(there))
