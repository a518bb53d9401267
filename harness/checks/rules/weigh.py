"""Whether what seems to have taken missing copies is shown, or only possible.

What died in a queue is shown where the broker's own counters cover it (`counted.py`), or the order of the queue proves it (`stays.py`).
Copies beyond what was counted did not die like that: a purge took them, or they are lost. A purge took as many as the broker says.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from harness.checks.rules.counted import DELIVERY_LIMIT, EXPIRED, MAXLEN, Counters, Pool, pool_of
from harness.checks.rules.happenings import Happenings
from harness.checks.rules.stays import Arrivals, most_at_consumers
from harness.checks.rules.taken import Reason, Taken
from harness.checks.tally.fault_records import FaultRecord
from harness.checks.tally.message_table import MessageTable
from harness.checks.tally.times import NEVER

COUNTED: Final = {
    Reason.DELIVERY_LIMIT: DELIVERY_LIMIT,
    Reason.LENGTH: MAXLEN,
    Reason.RECOVERY: MAXLEN,
    Reason.TTL: EXPIRED,
}
"""What the broker's counters call it."""


@dataclass(frozen=True, slots=True)
class InDoubt:
    """Copies that one reason took from one queue, as it seems."""

    queue: str
    reason: Reason
    arrivals: Arrivals
    """All that came to the queue."""
    rows: NDArray[np.int64]
    """Places in `Taken`."""
    may_expire: NDArray[np.bool_]
    """Whether each one's time to live was over as well."""
    purge: NDArray[np.int64]
    """The fault that may have purged each one as well; -1 for none."""
    safe: NDArray[np.bool_]
    """Whether nothing else can have taken each one."""
    may_go: NDArray[np.bool_]
    """Whether each one may have been there when its queue went, if that was gone at the end."""
    may_miss: NDArray[np.bool_]
    """Whether each one may have found its queue gone, if it did not die there."""

    def chosen(self, which: NDArray[np.bool_]) -> InDoubt:
        """Return some of them, which expired instead."""
        return replace(
            self,
            reason=Reason.TTL,
            rows=self.rows[which],
            may_expire=np.zeros(which.sum(), dtype=bool),
            purge=self.purge[which],
            safe=self.safe[which],
            may_go=self.may_go[which],
            may_miss=self.may_miss[which],
        )


def weigh(
    taken: Taken,
    groups: Sequence[InDoubt],
    counters: Counters,
    happened: Happenings,
    tally: MessageTable,
    *,
    maybe_gone: NDArray[np.bool_],
) -> None:
    """Decide for what was taken whether it is shown, in `taken` itself.

    `maybe_gone` are copies that are possible only because they may have gone with a queue before it threw them away.
    """
    _Weighing(taken, groups, counters, happened, tally, maybe_gone).all()


class _Weighing:
    """Holds what seems to have died against what can have."""

    def __init__(
        self,
        taken: Taken,
        groups: Sequence[InDoubt],
        counters: Counters,
        happened: Happenings,
        tally: MessageTable,
        maybe_gone: NDArray[np.bool_],
    ) -> None:
        self.taken, self._groups, self._tally, self._topology = taken, groups, tally, tally.topology
        self._counters, self._happened = counters, happened
        self._places = {name: number for number, name in enumerate(tally.queues)}
        self._at_risk = (taken.possible & ~maybe_gone) | np.isin(
            np.arange(len(taken.copy)), _rows(each.rows[~each.safe] for each in groups)
        )
        """Which copies something beside their queue can have taken, by what the walk knows of each alone."""

    def all(self) -> None:
        """Decide for what was taken whether it is shown: by the broker's own counters, else by the order of its queue.

        Those that outgrew a length are held against the counters first: one of them beyond the count can have expired instead.
        """
        taken = self.taken
        by_limit, by_length, at_recovery, by_ttl = (
            [each for each in self._groups if each.reason is reason] for reason in COUNTED
        )
        for of_queue in _by_queue(by_length):
            rows = np.concatenate([each.rows for each in of_queue])
            taken.possible[rows] |= np.arange(len(rows)) >= max(map(self._must_have_dropped, of_queue))
        taken.possible[_rows(each.rows for each in at_recovery)] = True
        for group in self._held_against([*by_length, *at_recovery]):
            ended_there = np.isin(
                taken.reason[group.rows], [Reason.LENGTH, Reason.RECOVERY]
            )  # others went on from there
            taken.reason[group.rows[ended_there]] = Reason.TTL
            by_ttl.append(group)
        self._held_against(by_ttl)
        self._held_against(by_limit)
        self._expired_further(by_length, by_ttl)
        for group in self._groups:
            self._otherwise(group, (taken.reason[group.rows] == Reason.NONE) & (group.purge >= 0))
        self._purged()
        held = np.flatnonzero((taken.reason == Reason.HELD) | (taken.reason == Reason.UNCONFIRMED))
        for place in np.unique(taken.queue[held]).tolist():
            mine, queue = held[taken.queue[held] == place], self._tally.queues[place]
            mine = mine[np.argsort(taken.possible[mine], kind="stable")]
            count = self._topology.held(queue)
            # It holds messages: several copies of one, if that leads to several queues.
            _, first, message = np.unique(self._tally.message(taken.copy[mine]), return_index=True, return_inverse=True)
            rank = np.argsort(np.argsort(first))[message.reshape(-1)]
            taken.possible[mine[rank < count - self._counters.others([queue])]] = False
            taken.possible[mine[rank >= count]] = True
        taken.possible[taken.reason == Reason.NONE] = False

    def _held_against(self, groups: Sequence[InDoubt]) -> list[InDoubt]:
        """Bound how many copies died for a reason by what the broker counted; return those beyond it that can have expired instead."""
        taken, expired = self.taken, []
        pools: dict[Pool, list[InDoubt]] = {}
        for group in groups:
            policy = self._topology.policy(group.queue)
            # Refused ones are not counted.
            if group.reason is not Reason.LENGTH or not policy.refuses_when_full:
                pools.setdefault(pool_of(policy), []).append(group)
        for pool, mine in pools.items():
            bounds = self._counters.bounds(pool, COUNTED[mine[0].reason])
            if bounds is None:
                self._taken_by_others(mine)
                continue
            rows = np.concatenate([each.rows for each in mine])
            rows = rows[np.argsort(taken.possible[rows], kind="stable")]
            before = sum(map(self._lost_before, mine))
            surely, maybe = self._beyond(rows, bounds.most, self._elsewhere(mine), before)
            least = bounds.least + self._dropped_before_counting(mine)
            taken.possible[rows[~np.isin(rows, surely)][:least]] = False
            taken.possible[maybe] = True
            for group in mine:
                beyond = np.isin(group.rows, surely)
                surely = np.setdiff1d(surely, group.rows)  # at its first death in the pool
                expired.append(group.chosen(beyond & group.may_expire))
                self._otherwise(group, beyond & ~group.may_expire)
        return expired

    def _elsewhere(self, groups: Sequence[InDoubt]) -> NDArray[np.int8]:
        """Return how well each missing copy can have gone another way than by what these groups say.

        3: a purge can have taken it (no more than the purge took have a 3), or it went with its queue; 2: it can have expired; 1: it need not have come to its queue,
        or a fault can have taken it there; 0: if not by these, it was lost for no reason that is known.
        """
        taken, found = self.taken, self._at_risk.astype(np.int8)
        for group in groups:
            found[group.rows[group.may_expire]] = 2
            if self._happened.is_gone(group.queue):
                found[group.rows[group.may_go]] = 3
        rows = np.concatenate([group.rows for group in groups])
        purge = np.concatenate([group.purge for group in groups])
        for fault in self._happened.faults:
            there = np.unique(rows[purge == fault.fault])
            there = there[np.argsort(taken.since_ns[there], kind="stable")]
            known = np.count_nonzero((taken.reason == Reason.PURGED) & (taken.fault == fault.fault))
            room = len(there) if fault.taken is None else max(0, fault.taken - int(known))
            # It takes what stands there: the youngest that came before it.
            found[there[max(0, len(there) - room) :]] = 3
        return found

    def _lost_before(self, group: InDoubt) -> int:
        """Count the copies of a group that are known to be lost, in its queue or before they came to it."""
        behind = [self._places[name] for name in self._topology.behind(group.queue) if name in self._places]
        lost = self.taken.reason[group.rows] == Reason.NONE
        return int(np.count_nonzero(lost & ~np.isin(self.taken.queue[group.rows], behind)))

    def _beyond(
        self, deaths: NDArray[np.int64], most: int, elsewhere: NDArray[np.int8], before: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return which copies did not die as it seems, surely and maybe: together they seem to have died more often than was counted.

        `deaths` holds each copy as often as it seems to have died. One that was lost somewhere on its way has died at most as often as
        that: fewest are lost if each was lost before its first death, most if each was lost before its last. What is known to be lost
        comes first, then what can have gone another way (`elsewhere`, see there): nobody is to be accused of it. `before` of these deaths
        are known not to have been: what seems to have died so was lost before that.
        """
        excess = len(deaths) - most
        rows, place, times = np.unique(deaths, return_index=True, return_counts=True)
        lost = np.isin(self.taken.reason[rows], [Reason.NONE, Reason.QUEUE_GONE])
        order = np.lexsort((place, times, elsewhere[rows], lost))[::-1]
        rows, times, lost = rows[order], times[order], lost[order]
        surely = np.cumsum(times) - times < excess
        maybe = ~surely & ~lost
        maybe &= np.cumsum(maybe) <= excess - before - np.count_nonzero(surely & ~lost)
        return rows[surely], rows[maybe]

    def _taken_by_others(self, groups: Sequence[InDoubt]) -> None:
        """Where somebody else consumes, and no counter says what died, anything that may have died may as well have been taken."""
        for group in groups:
            if self._topology.has_foreign_consumers(group.queue):
                self.taken.put(group.rows, Reason.TAKEN, self._places[group.queue])
                self.taken.possible[group.rows] = True

    def _otherwise(self, group: InDoubt, which: NDArray[np.bool_]) -> None:
        """Say of copies that did not die in a queue as it seemed that a purge took them, or somebody else's consumer; else they are lost there."""
        rows, purge, place = group.rows[which], group.purge[which], self._places[group.queue]
        purged = purge >= 0
        self.taken.put(rows[purged], Reason.PURGED, place)
        self.taken.fault[rows[purged]] = purge[purged]
        self.taken.possible[rows[purged]] = True
        may_go, rows = (group.may_go & self._happened.is_gone(group.queue))[which][~purged], rows[~purged]
        self._gone_otherwise(rows[~may_go], place, with_queue=False)
        self._gone_otherwise(rows[may_go], place)
        if may_go.any():
            may_miss = group.may_miss[which][~purged][may_go]
            self.taken.possible[rows[may_go]] = self._at_risk[rows[may_go]] | may_miss

    def _purged(self) -> None:
        """Hold what purges took against what the broker says that they took.

        Of more copies than that the youngest went another way: the next purge of their queue took them, or that of another queue which they
        passed, or they are lost. The number that the purge took is shown to be removed, less whatever else it can have taken.
        """
        taken = self.taken
        purges = [fault for fault in self._happened.faults if fault.taken is not None]
        for number, fault in enumerate(purges):
            mine = np.flatnonzero((taken.reason == Reason.PURGED) & (taken.fault == fault.fault))
            beyond = mine[np.lexsort((taken.since_ns[mine], taken.possible[mine]))][fault.taken :]
            later = next((each for each in purges[number + 1 :] if set(each.targets) & set(fault.targets)), None)
            if later is not None:
                still_there = taken.overtaken_ns[beyond] >= later.at_ns
                taken.fault[beyond[still_there]] = later.fault
                beyond = beyond[~still_there]
            for other in purges:
                beyond = self._purged_on_the_way(beyond, other) if other is not fault else beyond
            for place in np.unique(taken.queue[beyond]).tolist():
                here = beyond[taken.queue[beyond] == place]
                self._gone_otherwise(here[self._expired_instead(here, place) :], place)
        exact = []
        for fault in purges:
            queues = [name for name in fault.targets if name in self._places]
            least = max(0, (fault.taken or 0) - self._counters.others(queues, fault.struck_ns))
            self._purged_instead(fault, least)
            mine = np.flatnonzero((taken.reason == Reason.PURGED) & (taken.fault == fault.fault))
            taken.possible[mine[np.argsort(taken.possible[mine], kind="stable")][:least]] = False
            exact += [fault.fault] if least == fault.taken else []
        for group in self._groups:
            policy = self._topology.policy(group.queue)
            counted = self._topology.most_ready(group.queue) is not None and policy.message_ttl_s is None
            if group.reason is Reason.LENGTH and policy.refuses_when_full and counted:
                # All that the purges took is known: nothing else than its queue can have taken this.
                refused = (taken.reason[group.rows] == Reason.LENGTH) & group.safe & np.isin(group.purge, [-1, *exact])
                taken.possible[group.rows[refused]] = False

    def _purged_instead(self, fault: FaultRecord, least: int) -> None:
        """Say of what seems to have died in a queue that a purge took it, as far as the purge took more than is known of: the youngest."""
        taken = self.taken
        for group in self._groups:
            short = least - np.count_nonzero((taken.reason == Reason.PURGED) & (taken.fault == fault.fault))
            died = np.isin(taken.reason[group.rows], [*COUNTED]) & (group.purge == fault.fault)
            rows = group.rows[died]
            rows = rows[np.lexsort((taken.since_ns[rows], taken.possible[rows]))][::-1][: max(0, short)]
            taken.put(rows, Reason.PURGED, self._places[group.queue])
            taken.fault[rows] = fault.fault

    def _expired_further(self, by_length: Sequence[InDoubt], by_ttl: Sequence[InDoubt]) -> None:
        """Say of copies whose time was over that they expired, as far as more were counted than seem to have: of those that seem to be lost too."""
        taken = self.taken
        for pool in dict.fromkeys(pool_of(self._topology.policy(name)) for name in self._tally.queues):
            bounds = self._counters.bounds(pool, EXPIRED)
            queues = {name for name in self._tally.queues if pool_of(self._topology.policy(name)) == pool}
            died = _rows(each.rows for each in by_ttl if each.queue in queues)
            short = 0 if bounds is None else bounds.least - np.count_nonzero(taken.reason[died] == Reason.TTL)
            if short <= 0:
                continue
            dropped = _rows(each.rows[each.may_expire] for each in by_length if each.queue in queues)
            dropped = dropped[taken.reason[dropped] == Reason.LENGTH]
            dropped = dropped[np.argsort(~taken.possible[dropped], kind="stable")]
            doubtful = np.count_nonzero(taken.possible[dropped])
            lost = _rows(map(self._lost_when_over, queues))
            rows = np.concatenate([dropped[:doubtful], lost, dropped[doubtful:]])[:short]
            taken.reason[rows], taken.possible[rows] = Reason.TTL, False

    def _lost_when_over(self, queue: str) -> NDArray[np.int64]:
        """Return the copies that seem to be lost in a queue and whose time to live was over before the drain was."""
        ttl_s = self._topology.policy(queue).message_ttl_s
        if ttl_s is None:
            return np.empty(0, dtype=np.int64)
        lost = (self.taken.reason == Reason.NONE) & (self.taken.queue == self._places[queue])
        lost &= self.taken.since_ns <= self._happened.drained_ns - round(ttl_s * 1e9)
        return np.flatnonzero(lost)

    def _expired_instead(self, rows: NDArray[np.int64], place: int) -> int:
        """Say of the first of some copies that they outlived a queue which throws those away, as far as was counted; returns of how many."""
        policy = self._topology.policy(self._tally.queues[place])
        if policy.message_ttl_s is None or policy.has_dead_letter_target:
            return 0
        bounds = self._counters.bounds(pool_of(policy), EXPIRED)
        known = int(np.count_nonzero(self.taken.reason == Reason.TTL))
        count = len(rows) if bounds is None else max(0, min(len(rows), bounds.most - known))
        self.taken.put(rows[:count], Reason.TTL, place)
        self.taken.fault[rows[:count]] = -1
        self.taken.possible[rows[:count]] = True
        return count

    def _purged_on_the_way(self, rows: NDArray[np.int64], fault: FaultRecord) -> NDArray[np.int64]:
        """Say of copies that a purge of a queue which they passed took them, as far as it took more than is known of; return the others."""
        taken = self.taken
        for group in self._groups:
            known = int(np.count_nonzero((taken.reason == Reason.PURGED) & (taken.fault == fault.fault)))
            passed = np.flatnonzero(np.isin(rows, group.rows[group.purge == fault.fault]))
            chosen = passed[: max(0, (fault.taken or 0) - known)]
            taken.put(rows[chosen], Reason.PURGED, self._places[group.queue])
            taken.fault[rows[chosen]] = fault.fault
            rows = np.delete(rows, chosen)
        return rows

    def _gone_otherwise(self, rows: NDArray[np.int64], place: int, *, with_queue: bool = True) -> None:
        """Say of copies that they went with their queue, if they can have, or that somebody else's consumer took them; else they are lost there."""
        queue = self._tally.queues[place]
        reason = Reason.TAKEN if self._topology.has_foreign_consumers(queue) else Reason.NONE
        self.taken.put(rows, Reason.QUEUE_GONE if with_queue and self._happened.is_gone(queue) else reason, place)
        self.taken.fault[rows] = -1

    def _dropped_before_counting(self, groups: Sequence[InDoubt]) -> int:
        """Return how many a length limit must have taken before the broker's only node ended for the last time, and began to count anew."""
        ended_ns = [fault.at_ns for fault in self._happened.faults if fault.ends_node]
        if self._topology.nodes > 1 or not ended_ns:
            return 0
        by_length = _by_queue([each for each in groups if each.reason is Reason.LENGTH])
        return sum(max(self._must_have_dropped(each, max(ended_ns)) for each in of_queue) for of_queue in by_length)

    def _must_have_dropped(self, group: InDoubt, until_ns: int = NEVER) -> int:
        """Return how many of a group a length limit must have taken by some time: more came than left again and fit in.

        Each time between two moments at which something else emptied the queue is looked at by itself.
        """
        policy, length = self._topology.policy(group.queue), self._topology.most_ready(group.queue)
        if policy.refuses_when_full and length is None:
            return 0  # how full it was is not known
        if policy.refuses_when_full:
            if policy.message_ttl_s is None:
                return len(group.rows)
            expired = self._counters.bounds(pool_of(policy), EXPIRED)
            return 0 if expired is None else max(0, len(group.rows) - expired.most)
        if length is None or policy.message_ttl_s is not None:
            return 0
        most = most_at_consumers(group.queue, self._tally.sessions)
        found, begin_ns = 0, -1
        for at_ns, struck_ns in [*self._happened.emptied_ns(group.queue), (NEVER, NEVER)]:
            found += group.arrivals.between(begin_ns, min(at_ns, until_ns)).overflow(length, most)
            begin_ns = max(begin_ns, struck_ns)
        return found


def _by_queue(groups: Sequence[InDoubt]) -> list[list[InDoubt]]:
    """Put groups of one queue together: what stood there with and without having been delivered before."""
    queues = dict.fromkeys(each.queue for each in groups)
    return [[each for each in groups if each.queue == queue] for queue in queues]


def _rows(parts: Iterable[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Put places in `Taken` together."""
    return np.unique(np.concatenate([np.empty(0, dtype=np.int64), *parts]))
