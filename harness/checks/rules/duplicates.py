"""Copies that were done more than once, and why.

A worker completes a copy again because the broker delivered it again. Every attempt of a publish is a message of its own to the broker. Of
one attempt there is one message in the queue, so that of two deliveries that follow each other the broker must have taken the first one
back before it sent the second. This asks of each such pair whether an honest broker may have done so, and why:

- the worker had rejected it; or
- its connection, or channel, had ended (`endings` says when that can have been), the ack had not surely arrived, and the second one came
  over another connection; or
- a node was struck in a way that costs acks: see `done_twice`.

A message that was published again is there twice, unless the broker had refused one of the attempts.

Clients record deliveries when they read them, so one that stood still records late what it was sent early. So a pair is explained as well
if the second one, of a connection that was lost, may have been taken back before the first one was sent.

A copy that was done twice has the reason of the pair that follows the earlier completion; without one if any pair from there on has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from harness.checks.rules.done_twice import Reason
from harness.checks.rules.endings import LAG_NS, find_endings
from harness.checks.rules.latest import rows_of
from harness.checks.rules.refused import done_though_refused
from harness.checks.rules.written import Written
from harness.checks.tally.deliveries import REJECTED, REQUEUED
from harness.checks.tally.fault_records import BACK_NS, FaultRecord, fault_records, over_ns
from harness.checks.tally.message_table import MessageTable
from harness.checks.tally.times import NEVER
from harness.events import BrokerStarted, Event
from harness.history.records import AckMode

_NOBODY = -1


@dataclass(frozen=True, slots=True)
class Duplicates:
    """The copies that were done more than once: arrays of one length, a place for each."""

    copy: NDArray[np.int64]
    reason: NDArray[np.int8]
    """A `Reason`."""
    session: NDArray[np.int64]
    """The connection that it came back from; -1 for none."""
    fault: NDArray[np.int64]
    """The step that brought that about; -1 for none."""
    times: NDArray[np.int64]
    """How often it was done."""

    @property
    def unexplained(self) -> NDArray[np.int64]:
        """The copies that nothing explains."""
        found: NDArray[np.int64] = self.copy[self.reason == Reason.NOTHING]
        return found


_NONE = np.empty(0, dtype=np.int64)
NO_DUPLICATES = Duplicates(_NONE, np.empty(0, dtype=np.int8), _NONE, _NONE, _NONE)


def find_duplicates(tally: MessageTable, events: Sequence[Event]) -> Duplicates:
    """Find the copies that were done more than once, and why."""
    twice = np.flatnonzero(tally.completions.further)
    return (
        _Pairs(rows_of(twice, tally.deliveries.copy, tally.total), tally, events).judged()
        if len(twice)
        else NO_DUPLICATES
    )


class _Pairs:
    """The deliveries of some copies, each beside the one before it of the same attempt."""

    def __init__(self, rows: NDArray[np.int64], tally: MessageTable, events: Sequence[Event]) -> None:
        """`rows` are places in `MessageTable.deliveries`."""
        deliveries = tally.deliveries
        attempt = deliveries.copy[rows] << 16 | deliveries.attempt[rows]
        order = np.lexsort((deliveries.at_ns[rows], attempt))
        self._tally, self._events, self._struck = tally, events, fault_records(events)
        started = next((event for event in events if isinstance(event, BrokerStarted)), None)
        self._clustered = started is not None and len(started.nodes) > 1
        self._rows, attempt = rows[order], attempt[order]
        self._first = np.r_[True, attempt[1:] != attempt[:-1]]
        self._before = np.r_[self._rows[:1], self._rows[:-1]]
        """Of each delivery the place of the one before it; of the first of an attempt it means nothing."""
        self._endings = find_endings(self._sessions(), tally, events)

    def _sessions(self) -> NDArray[np.bool_]:
        """The connections whose end may explain a pair, as truth by session."""
        wanted = np.zeros(len(self._tally.sessions), dtype=bool)
        wanted[self._tally.deliveries.session[self._rows]] = True
        return wanted

    def judged(self) -> Duplicates:
        """Give each copy its reason."""
        deliveries, rows = self._tally.deliveries, self._rows
        place = np.arange(len(rows))
        done = deliveries.intact[rows]
        attempt = np.cumsum(self._first)
        # The attempt that was first completed is the one that was asked for; its first completion is no duplicate.
        copy = np.cumsum(np.r_[True, np.diff(deliveries.copy[rows]) != 0]) - 1
        by_time = np.lexsort((deliveries.completed_ns[rows], copy))
        asked_for = attempt[by_time[np.r_[True, np.diff(copy[by_time]) != 0]]]
        last_done = np.maximum.accumulate(np.where(done, place, -1))
        earlier = np.r_[-1, last_done[:-1]]
        earlier[(earlier >= 0) & (attempt[earlier] != attempt)] = -1
        reason, session, fault = self._reasons()
        nothing = np.cumsum((reason == Reason.NOTHING) & ~self._first)
        again = np.flatnonzero(done & (earlier >= 0))
        republished = np.flatnonzero(done & (earlier < 0) & (attempt != asked_for[copy]))
        follows = earlier[again] + 1
        found_reason = np.where(nothing[again] > nothing[follows - 1], Reason.NOTHING, reason[follows])
        rows_found = np.concatenate([again, republished])
        refused = done_though_refused(deliveries.copy[rows[republished]], self._tally)
        return _one_each(
            deliveries.copy[rows[rows_found]],
            np.concatenate([found_reason, np.where(refused, Reason.NOTHING, Reason.REPUBLISHED)]),
            np.concatenate([session[follows], np.full(len(republished), _NOBODY)]),
            np.concatenate([fault[follows], np.full(len(republished), -1)]),
        )

    def _reasons(self) -> tuple[NDArray[np.int8], NDArray[np.int64], NDArray[np.int64]]:
        """Return for each delivery why it may follow the one before it, the connection that it came back from, and the step."""
        before, rows = self._before, self._rows
        deliveries, endings = self._tally.deliveries, self._endings
        at_ns, rejected = deliveries.at_ns[rows], deliveries.rejected[before]
        session = deliveries.session[before].astype(np.int64)
        reason = np.full(len(rows), Reason.NOTHING, dtype=np.int8)
        fault = np.full(len(rows), -1, dtype=np.int64)

        def explain(why: Reason, chosen: NDArray[np.bool_], faults: NDArray[np.int64] | int = -1) -> None:
            mine = chosen & (reason == Reason.NOTHING)
            reason[mine] = why
            fault[mine] = np.broadcast_to(faults, len(rows))[mine]

        was_rejected = deliveries.rejected_ns[before] <= at_ns
        explain(Reason.REQUEUED, was_rejected & (rejected == REQUEUED))
        explain(Reason.DIED, was_rejected & (rejected == REJECTED) & deliveries.died[rows])
        elsewhere = deliveries.session[rows] != session
        back = self._taken_back(before, at_ns) & elsewhere
        late = self._taken_back(rows, deliveries.at_ns[before]) & elsewhere & ~back
        from_session = np.where(late, deliveries.session[rows], session)
        closed = np.array([each.channel_closed for each in self._tally.sessions], dtype=bool)[from_session]
        explain(Reason.CHANNEL, (back | late) & closed, endings.fault[from_session])
        explain(Reason.CONNECTION, back | late, endings.fault[from_session])
        explain(Reason.CANCELLED, self._cancelled())
        disk = Written(self._tally, self._events)
        for each in disk.kills:
            lost = disk.missing(each, deliveries.queue[before], self._settled_ns()) & (at_ns >= each.at_ns)
            explain(Reason.UNWRITTEN, lost & (elsewhere | self._clustered), each.fault)
            explain(Reason.DIED_AGAIN, self._died_unwritten(each, disk) & (at_ns >= each.at_ns), each.fault)
        for each in self._struck:
            explain(Reason.CLUSTER, self._taken_for_gone(each), each.fault)
            explain(Reason.AT_LEAST_ONCE, self._sent_again(each), each.fault)
        for each in self._struck:
            between = (each.at_ns <= at_ns) & (each.in_force_until_ns >= deliveries.at_ns[before])
            explain(Reason.UNDECLARED, between & (not each.effects.declared), each.fault)
        by_its_end = (reason == Reason.CHANNEL) | (reason == Reason.CONNECTION)
        return reason, np.where(by_its_end, from_session, session), fault

    @cached_property
    def _automatic(self) -> NDArray[np.bool_]:
        """Of each connection, whether the broker took what it sent for acknowledged."""
        return np.array([session.acks is AckMode.AUTOMATIC for session in self._tally.sessions], dtype=bool)

    def _taken_back(self, rows: NDArray[np.int64], by_ns: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which deliveries the broker may have taken back by some times, for their connections had ended."""
        deliveries, endings = self._tally.deliveries, self._endings
        session = deliveries.session[rows]
        gone = endings.gone_ns[session] <= by_ns
        found: NDArray[np.bool_] = (
            gone & ~self._automatic[session] & ~endings.arrived(session, deliveries.acked_ns[rows])
        )
        return found

    def _settled_ns(self) -> NDArray[np.int64]:
        """Return when the delivery before each one was acknowledged; NEVER if it was not."""
        deliveries, before = self._tally.deliveries, self._before
        automatic = self._automatic[deliveries.session[before]]
        found: NDArray[np.int64] = np.where(automatic, deliveries.at_ns[before], deliveries.acked_ns[before])
        return found

    def _cancelled(self) -> NDArray[np.bool_]:
        """Return what its worker still held, or had just acknowledged, when the broker cancelled the consumer."""
        deliveries = self._tally.deliveries
        session, held_ns = deliveries.session[self._before], deliveries.at_ns[self._before]
        settled_ns, at_ns = self._settled_ns(), deliveries.at_ns[self._rows]
        found = np.zeros(len(self._rows), dtype=bool)
        for number, each in enumerate(self._tally.sessions):
            for cancelled_ns in each.cancelled_ns:
                held = (session == number) & (held_ns <= cancelled_ns + LAG_NS) & (settled_ns >= cancelled_ns - LAG_NS)
                found |= held & (at_ns >= cancelled_ns - LAG_NS)
        return found

    def _taken_for_gone(self, fault_record: FaultRecord) -> NDArray[np.bool_]:
        """Return what a queue of a cluster may have taken back while a node was struck: it was not settled, or only shortly before."""
        deliveries = self._tally.deliveries
        found: NDArray[np.bool_] = (
            (self._clustered and fault_record.effects.strikes_node)
            & (self._settled_ns() >= fault_record.at_ns - LAG_NS)
            & (deliveries.at_ns[self._before] <= _after(fault_record))
            & (fault_record.at_ns <= deliveries.at_ns[self._rows])
        )
        return found

    def _died_unwritten(self, kill: FaultRecord, disk: Written) -> NDArray[np.bool_]:
        """Return what had come as a dead letter that its source need not have written to be gone when a node was killed.

        Or it came twice as one, once the node was back: of what had been in a queue before, it may have forgotten how far it had come.
        """
        deliveries, topology, queues = self._tally.deliveries, self._tally.topology, self._tally.queues
        queue, came_ns = deliveries.queue[self._before], deliveries.at_ns[self._before]
        published_ns = self._tally.first_published_ns[deliveries.copy[self._before]]
        found = (came_ns <= over_ns(kill) + BACK_NS) & (published_ns <= kill.struck_ns)
        found &= kill.at_ns <= came_ns
        found &= deliveries.died[self._rows]
        for place, source in enumerate(queues):
            led_to = np.isin(queue, [queues.index(name) for name in topology.targets(source)])
            found[led_to] |= disk.missing(kill, np.full(int(led_to.sum()), place), came_ns[led_to])
        found &= deliveries.died[self._before]
        return found

    def _sent_again(self, fault_record: FaultRecord) -> NDArray[np.bool_]:
        """Return what came as a dead letter, at least once, and again after a node was struck."""
        deliveries = self._tally.deliveries
        found: NDArray[np.bool_] = (
            fault_record.effects.strikes_node
            & self._fed_at_least_once[deliveries.queue[self._rows]]
            & deliveries.died[self._rows]
            & (deliveries.at_ns[self._before] >= fault_record.at_ns - LAG_NS)
            & (fault_record.at_ns <= deliveries.at_ns[self._rows])
        )
        return found

    @cached_property
    def _fed_at_least_once(self) -> NDArray[np.bool_]:
        """Of each queue, whether one that dead-letters at least once leads to it."""
        topology, queues = self._tally.topology, self._tally.queues
        sources = [name for name in queues if topology.policy(name).dead_letters_at_least_once]
        fed = {target for source in sources for target in topology.targets(source)}
        return np.array([name in fed for name in queues], dtype=bool)


def _after(fault_record: FaultRecord) -> int:
    until_ns = fault_record.in_force_until_ns
    return until_ns if until_ns == NEVER else until_ns + LAG_NS


def _one_each(
    copy: NDArray[np.int64], reason: NDArray[np.int8], session: NDArray[np.int64], fault: NDArray[np.int64]
) -> Duplicates:
    """Keep one reason for each copy: none where one of its completions has none, else that of the first."""
    order = np.lexsort((reason != Reason.NOTHING, copy))
    copies, first, further = np.unique(copy[order], return_index=True, return_counts=True)
    chosen = order[first]
    return Duplicates(copies, reason[chosen].astype(np.int8), session[chosen], fault[chosen], 1 + further)
