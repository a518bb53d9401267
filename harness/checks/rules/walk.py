"""What the configuration of its queues took from copies that are missing: a time to live, a limit, a reject, a purge, a deletion.

Each missing copy is followed from where it was last known to be: the queue that it was published into, or the one of its last delivery.
There it stands from some time on, until the first of these took it: a fault, a purge, its time to live, the length limit, the delivery
limit. A death leads to the next queue, where the same is asked, or nowhere: then the copy expired or was dropped. What nothing took
stands in its last queue, and is lost there (`finder.py` says to what). The walk ends: a copy that comes round to a queue without a reject
is dropped by the broker as a cycle.

Evidence decides between *shown* and *possible*. Shown is what a reject, a delivery count, the order of the queue or the broker's own
counters leave no other way to explain; a copy that may as well have been lost is possible only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from harness.checks.rules.arrival import arrived
from harness.checks.rules.counted import Counters
from harness.checks.rules.dead_lettering import DeadLettering
from harness.checks.rules.gone_queues import GoneQueues
from harness.checks.rules.happenings import Happenings
from harness.checks.rules.held import Held
from harness.checks.rules.latest import last_deliveries, last_publishes
from harness.checks.rules.leaving import Leaving, Stay
from harness.checks.rules.limits import Limits
from harness.checks.rules.overtaken import Overtaken
from harness.checks.rules.policies_unseen import perhaps_taken_by_policies
from harness.checks.rules.stays import AT_LAST, NO_ARRIVALS
from harness.checks.rules.taken import Reason, Taken
from harness.checks.rules.taken_by_others import taken_by_others
from harness.checks.rules.unrouted import found_their_queue_gone
from harness.checks.rules.weigh import InDoubt, weigh
from harness.checks.tally.deliveries import REJECTED
from harness.checks.tally.fault_records import WITHIN_NS
from harness.checks.tally.message_table import MessageTable
from harness.checks.tally.times import NEVER
from harness.events import Event
from harness.history.records import AckMode
from harness.scenario.routing import Position


def what_took(missing: NDArray[np.int64], tally: MessageTable, events: Sequence[Event]) -> Taken:
    """Follow missing copies to what took them."""
    walk = _Walk(missing, tally, events)
    walk.begin()
    weigh(walk.taken, walk.in_doubt, walk.counters, walk.happened, tally, maybe_gone=walk.maybe_gone)
    found_their_queue_gone(walk.taken, walk.happened, tally, events)
    taken_by_others(walk.taken, walk.counters, tally, events)
    perhaps_taken_by_policies(walk.taken, tally, events)
    return walk.taken


class _Walk:
    """Follows the missing copies, by groups that stand in the same queue."""

    def __init__(self, missing: NDArray[np.int64], tally: MessageTable, events: Sequence[Event]) -> None:
        size = len(missing)
        self.taken = Taken.nothing(missing)
        self._tally, self._events, self._topology = tally, events, tally.topology
        self._place = {name: number for number, name in enumerate(tally.queues)}
        self.happened = Happenings(tally, events)
        self._dead_lettering = DeadLettering(tally.topology, events)
        self._end_ns = max((event.at_ns for event in events), default=0)
        self._sent = last_publishes(missing, tally)
        self._last = last_deliveries(missing, tally)
        self._persistent = tally.publishes.persistent[self._sent]
        self._limits = Limits(missing, self._sent, self._last, tally, self.happened.drained_ns)
        self._overtaken = cache(lambda queue: Overtaken(queue, tally))
        self.counters = Counters(missing, tally, events)
        self._held = Held(tally)
        self._maybe_unrouted = np.zeros(size, dtype=bool)
        self.in_doubt: list[InDoubt] = []
        """Groups whose number is to be held against what the queue must have taken."""
        self._gone = GoneQueues(missing, self._sent, self._last, tally, self.happened)
        self.maybe_gone = np.zeros(size, dtype=bool)
        """Copies that are possible only because they may have gone with a queue before it threw them away."""
        self._leaving = Leaving(self.taken, self._sent, tally, self.happened, self._limits, self._gone, self.in_doubt)

    def begin(self) -> None:
        """Put each copy where it was last known to be, and follow it from there."""
        tally, last = self._tally, self._last
        slots, routes = tally.copies.slots(self.taken.copy), tally.route[self.taken.copy]
        queue = tally.first_queue(self.taken.copy)
        delivered = np.flatnonzero(last >= 0)
        queue[delivered] = tally.deliveries.queue[last[delivered]]
        groups, of = np.unique(np.stack([routes, slots, queue], axis=1), axis=0, return_inverse=True)
        for number, (route, slot, place) in enumerate(groups.tolist()):
            rows = np.flatnonzero(of.reshape(-1) == number)
            sent_ns = tally.publishes.at_ns[self._sent[rows]]
            if place < 0:
                self.taken.since_ns[rows] = sent_ns
                continue
            name = tally.queues[place]
            lives = tally.copies.lives[route]
            if not tally.topology.lasts_for(tally.routes[route], lives.slots[slot].first_queue):
                nowhere = (last[rows] < 0) & (sent_ns > self.happened.ended_ns)
                self._stand(rows[nowhere], name, sent_ns[nowhere])
                rows = rows[~nowhere]
            position = next(each for each in lives.places(slot) if each.queue == name)
            begun_by, source, deaths = lives.begun_by(slot), lives.source(slot, name), lives.deaths_before(slot)
            rejects = self._last_rejects(rows, deaths)
            for last_reject in np.unique(rejects).tolist():
                before = frozenset(queue for _, queue in deaths[last_reject + 1 :])
                self._from(rows[rejects == last_reject], position, begun_by, source, before)
        self.taken.possible[self._maybe_unrouted] = True

    def _last_rejects(self, rows: NDArray[np.int64], deaths: Sequence[tuple[int, str]]) -> NDArray[np.int64]:
        """Return which of the deaths that led to some copies (slots, and queues) was the last by a reject; -1 where none was."""
        deliveries, copies = self._tally.deliveries, self.taken.copy[rows]
        found = np.full(len(rows), -1, dtype=np.int64)
        for number, (slot, queue) in enumerate(deaths):
            there = (deliveries.rejected == REJECTED) & (deliveries.queue == self._place[queue])
            found[np.isin(self._tally.copies.siblings(copies, slot), deliveries.copy[there])] = number
        return found

    def _begun_by_reject_ns(self, rows: NDArray[np.int64], queue: str) -> NDArray[np.int64]:
        """Return when copies of one slot began, for the one before was rejected in a queue; NEVER where nobody saw that death."""
        tally, copies = self._tally, self.taken.copy[rows]
        deliveries, found = tally.deliveries, np.full(tally.total, NEVER)
        there = (deliveries.rejected == REJECTED) & (deliveries.queue == self._place[queue]) & (deliveries.copy >= 0)
        found[deliveries.copy[there]] = deliveries.rejected_ns[there]
        parent = (
            tally.copies.lives[int(tally.route[copies[:1]][0])].slots[int(tally.copies.slots(copies[:1])[0])].parent
        )
        assert parent is not None  # noqa: S101 - a death began them
        begun_ns: NDArray[np.int64] = found[tally.copies.siblings(copies, parent)]
        return begun_ns

    def _from(
        self, rows: NDArray[np.int64], position: Position, begun_by: str, source: str, before: frozenset[str]
    ) -> None:
        """Follow copies whose last known place is the same.

        `begun_by` is the queue where the death was that begins them, if any, and `source` the one where the death was that leads there;
        `before` are the queues that the copies which ended as these began had died in since they were last rejected.
        """
        tally, last = self._tally, self._last[rows]
        deliveries = tally.deliveries
        published_ns = tally.publishes.at_ns[self._sent[rows]]
        fresh = rows[last < 0]
        if len(fresh):
            sure = np.where(
                arrived(self._sent[fresh], tally),
                np.where(
                    tally.publishes.confirmed_ns[self._sent[fresh]] != NEVER,
                    tally.publishes.confirmed_ns[self._sent[fresh]],
                    published_ns[last < 0] + WITHIN_NS,
                ),
                NEVER,
            )
            came_ns = published_ns[last < 0]
            if begun_by:
                rejected_ns = self._begun_by_reject_ns(fresh, begun_by)
                came_ns = np.where(rejected_ns != NEVER, rejected_ns, came_ns)
                sure = np.where(rejected_ns != NEVER, np.minimum(rejected_ns, NEVER - WITHIN_NS) + WITHIN_NS, AT_LAST)
            left = ~self._take_held(fresh, begun_by, came_ns) if begun_by else fresh >= 0
            fresh, came_ns, sure = fresh[left], came_ns[left], sure[left]
            if position.queue in before:
                self._take(fresh, Reason.CYCLE, begun_by)
            else:
                self._in_queue(fresh, position, came_ns, sure, before, died_in=begun_by, latest_ns=sure)
        known = rows[last >= 0]
        if not len(known):
            return
        last = self._last[known]
        self._stand(known, position.queue, deliveries.at_ns[last])
        rejected = deliveries.rejected[last] == REJECTED
        gone = deliveries.acked[last] | deliveries.failed[last] | _automatic(tally)[deliveries.session[last]]
        died = known[rejected]
        if len(died):
            at_ns = deliveries.rejected_ns[self._last[died]]
            self.taken.possible[died] = self._may_have_come_back(died, position.queue)
            self._died(died, position, Reason.REJECTED, at_ns, at_ns + WITHIN_NS, frozenset())
        self._came_back(known[~rejected & ~gone], position, source)
        unsure = known[(rejected | gone) & self._may_have_come_back(known, position.queue)]
        self._or_else(unsure, lambda lost: self._came_back(lost, position, source, unsure=True))

    def _came_back(self, rows: NDArray[np.int64], position: Position, source: str, *, unsure: bool = False) -> None:
        """Follow copies that came back to the queue of their last delivery, or may have, if `unsure`.

        `source` is the queue where the death was that leads there.
        """
        tally, deliveries = self._tally, self._tally.deliveries
        limited = self._limits.given_up(rows, position.queue)
        if limited.any():
            here = rows[limited]
            at_ns, back_ns = deliveries.at_ns[self._last[here]], self._given_back_ns(here)
            if unsure:
                self._doubt_limit(here, position.queue)
            self._died(here, position, Reason.DELIVERY_LIMIT, at_ns, back_ns, frozenset({position.queue}))
        back = rows[~limited]
        dead = deliveries.died[self._last[back]] if len(back) else np.zeros(0, dtype=bool)
        for mine, came_from in ((back[~dead], ""), (back[dead], source)):
            if len(mine):
                at_ns = deliveries.at_ns[self._last[mine]]
                came_ns = at_ns if came_from else tally.publishes.at_ns[self._sent[mine]]
                self._in_queue(mine, position, came_ns, at_ns, frozenset(), again=True, came_from=came_from)

    def _may_have_come_back(self, rows: NDArray[np.int64], queue: str) -> NDArray[np.bool_]:
        """Return of which copies the last ack or reject need not have arrived, as their connection was lost right after."""
        deliveries, last = self._tally.deliveries, self._last[rows]
        lost_ns = np.array([session.lost_ns for session in self._tally.sessions], dtype=np.int64)
        lost_ns = lost_ns[deliveries.session[last]]
        rejects, acks = self.counters.all_rejects_arrived(queue), self.counters.all_acks_arrived
        found: NDArray[np.bool_] = (lost_ns - deliveries.rejected_ns[last] < WITHIN_NS) & (not rejects)
        found &= deliveries.rejected[last] == REJECTED
        found |= deliveries.acked[last] & (lost_ns - deliveries.acked_ns[last] < WITHIN_NS) & (not acks)
        return found

    def _or_else(self, rows: NDArray[np.int64], follow: Callable[[NDArray[np.int64]], None]) -> None:
        """Follow those of some copies that seem to be lost on another way that they may have gone: what took them there is only possible."""
        taken = self.taken
        lost = rows[taken.reason[rows] == Reason.NONE]
        if not len(lost):
            return
        stood = (taken.queue[lost], taken.since_ns[lost], taken.overtaken_ns[lost])
        follow(lost)
        still = taken.reason[lost] == Reason.NONE
        for column, before in zip((taken.queue, taken.since_ns, taken.overtaken_ns), stood, strict=True):
            column[lost[still]] = before[still]
        taken.possible[lost[~still]] = True

    def _in_queue(
        self,
        rows: NDArray[np.int64],
        position: Position,
        came_ns: NDArray[np.int64],
        sure_ns: NDArray[np.int64],
        deaths: frozenset[str],
        *,
        again: bool = False,
        died_in: str = "",
        latest_ns: NDArray[np.int64] | None = None,
        came_from: str = "",
    ) -> None:
        """Ask what took copies that stand in a queue: since `came_ns` at the earliest, surely by `sure_ns` (NEVER: it is not known to be there).

        `deaths` are the queues that they died in since their last reject; `again` says that they were given back to it, and `came_from` is
        the queue that had dead-lettered them then; `died_in` is the queue where the death was that brought them, if one did, and they died
        there by `latest_ns`.
        """
        queue, died = position.queue, bool(died_in)
        # What was given back had outlasted all that came before the broker sent it.
        since_ns = np.maximum(came_ns, sure_ns - WITHIN_NS) if again else came_ns
        self._stand(rows, queue, since_ns)
        there = ~self.happened.gone_before(queue, came_ns)
        if died:
            self.taken.overtaken_ns[rows] = NEVER  # that was in the queue before
            self._take(rows[~there], Reason.NO_TARGET, died_in)
        elif not again:
            routable, maybe_not = self.happened.routable(queue, came_ns)
            self._maybe_unrouted[rows[maybe_not]] = True
            there &= routable & ~self._gone.came_too_late(rows, queue)
        rows, came_ns, sure_ns, since_ns = rows[there], came_ns[there], sure_ns[there], since_ns[there]
        back_ns = np.where(again, self._given_back_ns(rows), came_ns)
        until_ns = np.full(len(rows), self._end_ns, dtype=np.int64)
        if not again and not died:
            # One that was given back came to its place again when others had passed it.
            self.taken.overtaken_ns[rows] = self._overtaken(queue).since_ns(sure_ns)
            until_ns = np.minimum(until_ns, self.taken.overtaken_ns[rows])
        struck_from_ns, struck_ns = self.happened.struck_ns(queue, since_ns, self._persistent[rows])
        until_ns = np.minimum(until_ns, struck_ns)
        purge_ns, purge = self.happened.purged_ns(queue, back_ns, until_ns)
        left_ns = np.minimum(np.minimum(until_ns, purge_ns), self._leaving.expires_ns(queue, came_ns))
        latest_ns = came_ns - 1 if latest_ns is None else latest_ns[there]  # what is known to have come, did
        unsafe_ns = self._unsafe_ns(rows, died_in or came_from, queue, came_ns, latest_ns, left_ns)
        stay = Stay(
            rows, came_ns, sure_ns, until_ns, struck_from_ns, purge_ns, purge, unsafe_ns, again=again, died=died
        )
        left, may_go = np.ones(len(rows), dtype=bool), np.zeros(len(rows), dtype=bool)
        for death in self._leaving.by_limits(stay, queue):
            left &= ~death.chosen
            if death.refused:
                self._take(rows[death.chosen], death.reason, queue)
            else:
                dead, at_ns = rows[death.chosen], death.at_ns[death.chosen]
                self._died(dead, position, death.reason, at_ns, death.latest_ns[death.chosen], deaths | {queue})
                may_go |= death.chosen & (death.latest_ns > self._gone.since_ns(queue))
        unstruck = until_ns == self._end_ns
        self._leaving.removed(rows[left], stay.chosen(left), queue, died_in, unstruck=unstruck[left])
        self._or_gone(rows, stay, may_go, queue, died_in)
        self.taken.possible[rows[left]] |= (self.taken.reason[rows[left]] != Reason.NONE) & (unsafe_ns[left] != NEVER)
        left[left] = self.taken.reason[rows[left]] == Reason.NONE
        if left.any():
            self._given_up_unseen(rows[left], position, came_ns[left], deaths)

    def _or_gone(self, rows: NDArray[np.int64], stay: Stay, which: NDArray[np.bool_], queue: str, died_in: str) -> None:
        """Say of some copies that their queue threw away, as it seems, that it may have been gone before: they went with it."""
        taken, sure = self.taken, rows[which & ~self.taken.possible[rows]]
        untaken = which & (taken.reason[rows] == Reason.NONE)
        unstruck = stay.until_ns[untaken] == self._end_ns
        self._or_else(
            rows[untaken],
            lambda lost: self._leaving.removed(lost, stay.chosen(untaken), queue, died_in, unstruck=unstruck),
        )
        ended_here = rows[which & ~untaken & ~taken.possible[rows]]
        taken.put_instead(ended_here, Reason.QUEUE_GONE, self._place[queue])
        self.maybe_gone[sure[taken.possible[sure]]] = True

    def _given_up_unseen(
        self, rows: NDArray[np.int64], position: Position, came_ns: NDArray[np.int64], deaths: frozenset[str]
    ) -> None:
        """Say of copies that their queue may have given up on them after deliveries that nobody saw."""
        over = self._limits.given_up_unseen(rows, position.queue, came_ns)
        if not over.any():
            return
        here = rows[over]
        self.taken.possible[here] = True
        self._doubt_limit(here, position.queue)
        at_ns, latest_ns = came_ns[over], np.full(len(here), NEVER)
        self._died(here, position, Reason.DELIVERY_LIMIT, at_ns, latest_ns, deaths | {position.queue})

    def _doubt_limit(self, rows: NDArray[np.int64], queue: str) -> None:
        """Have copies held against what the broker counted of those that a queue gave up on."""
        none, no = np.zeros(len(rows), dtype=np.int64), np.zeros(len(rows), dtype=bool)
        group = InDoubt(queue, Reason.DELIVERY_LIMIT, NO_ARRIVALS, rows, no, none - 1, no, ~no, no)
        self.in_doubt.append(group)

    def _died(
        self,
        rows: NDArray[np.int64],
        position: Position,
        reason: Reason,
        at_ns: NDArray[np.int64],
        latest_ns: NDArray[np.int64],
        deaths: frozenset[str],
    ) -> None:
        """Follow copies that died in a queue, between two times, to where that leads."""
        queue, topology = position.queue, self._topology
        policy = topology.policy(queue)
        if not policy.has_dead_letter_target:
            self._take(rows, reason, queue)
            return
        there = topology.lasting if self.happened.ended_ns != NEVER else topology.topology
        left = ~self._take_held(rows, queue, at_ns, goes=bool(there.deaths(position)))
        rows, at_ns, latest_ns = rows[left], at_ns[left], latest_ns[left]
        late = at_ns > self.happened.ended_ns
        at_first, at_last = topology.topology.deaths(position), topology.lasting.deaths(position)
        self._lead(rows[~late], queue, at_first, at_ns[~late], latest_ns[~late], deaths)
        self._lead(rows[late], queue, at_last, at_ns[late], latest_ns[late], deaths)
        if reason is Reason.REJECTED:  # no reject arrives after a node has ended
            return
        ended_ns = self.happened.ended_ns if at_last != at_first else NEVER
        gone_ns = self.happened.gone_ns(at_first[0].queue) if at_first else NEVER
        from_ns, targets = min((ended_ns, at_last), (gone_ns, at_first), key=itemgetter(0))
        self._or_else(
            rows[~late & (latest_ns > from_ns)],
            lambda lost: self._lead(
                lost, queue, targets, np.full(len(lost), from_ns + 1), np.full(len(lost), NEVER), deaths
            ),
        )

    def _lead(
        self,
        rows: NDArray[np.int64],
        queue: str,
        targets: Sequence[Position],
        at_ns: NDArray[np.int64],
        latest_ns: NDArray[np.int64],
        deaths: frozenset[str],
    ) -> None:
        """Follow copies that died in a queue to its targets."""
        if not targets:
            self._take(rows, Reason.NO_TARGET, queue)
        # Into several: what is missing of all of them is one copy that nobody saw divided; the first one speaks for it.
        elif targets[0].queue in deaths:
            self._take(rows, Reason.CYCLE, queue)
        elif len(rows):
            sure_ns = at_ns + WITHIN_NS
            self._in_queue(rows, targets[0], at_ns, sure_ns, deaths, died_in=queue, latest_ns=latest_ns)

    def _unsafe_ns(
        self,
        rows: NDArray[np.int64],
        source: str,
        queue: str,
        died_ns: NDArray[np.int64],
        latest_ns: NDArray[np.int64],
        left_ns: NDArray[np.int64],
    ) -> NDArray[np.int64]:
        """Return from when on a fault can have taken dead letters of a source (empty: they are none), and note the first one that can."""
        if not source:
            return np.full(len(rows), NEVER)
        unsafe_ns, fault = self._dead_lettering.taken(source, queue, died_ns, latest_ns, left_ns)
        exposed = (fault >= 0) & (self.taken.exposed_to[rows] < 0)
        self.taken.exposed_to[rows[exposed]] = fault[exposed]
        self.taken.exposed_by[rows[exposed]] = self._place[source]
        return unsafe_ns

    def _take_held(
        self, rows: NDArray[np.int64], queue: str, at_ns: NDArray[np.int64], *, goes: bool = True
    ) -> NDArray[np.bool_]:
        """Say of dead letters that their queue holds them, as far as it does; returns which. `goes`: the target is there."""
        held = self._held.among(self.taken.copy[rows], queue, at_ns)
        self._take(rows[held], self._held.reason(queue, goes=goes), queue)
        return held

    def _take(self, rows: NDArray[np.int64], reason: Reason, queue: str) -> None:
        self.taken.put(rows, reason, self._place[queue])

    def _stand(self, rows: NDArray[np.int64], queue: str, since_ns: NDArray[np.int64]) -> None:
        self.taken.queue[rows] = self._place[queue]
        self.taken.since_ns[rows] = since_ns

    def _given_back_ns(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return when the last deliveries came back to their queue, at the earliest."""
        over_ns = np.array([session.over_ns for session in self._tally.sessions] or [NEVER], dtype=np.int64)
        deliveries, last = self._tally.deliveries, np.maximum(self._last[rows], 0)
        if not len(deliveries.session):
            return np.full(len(rows), NEVER)
        back_ns: NDArray[np.int64] = np.minimum(over_ns[deliveries.session[last]], deliveries.rejected_ns[last])
        return back_ns


def _automatic(tally: MessageTable) -> NDArray[np.bool_]:
    """Return by session whether the broker takes its deliveries for acknowledged as it sends them."""
    return np.array([session.acks is AckMode.AUTOMATIC for session in tally.sessions], dtype=bool)
