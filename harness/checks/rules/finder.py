"""Why each lost copy was lost: where it was, what took it, and which setting would have kept it.

A copy's own last evidence decides.

- Done, on another body than was published: that is no doing of it.
- No queue is bound to its route, or its queue was gone before it was sent: the exchange dropped it.
- Delivered, and acknowledged (by an automatic or early ack) before it was done: it was at the worker.
- Delivered and not acknowledged: it was back in its queue when the worker was gone.
- Never delivered, and neither confirmed nor followed by one that got through on the same connection: it was still on its way from the
  publisher when the connection was lost; without such a loss, or long after the publish, it had reached its queue.
- Sent without a confirm to a quorum queue, while its leader may have been away, or right before its publisher closed its connection: it was
  still on its way, too.
- In its queue: the first fault that can take it from there. Of a queue with automatic acks, the broker pushes messages to the workers at
  once and takes them for acknowledged: the first end of such a worker takes what was on its way to it, recorded or not.
- A dead letter: what can have taken it, as dead-lettering at most once promises nothing (`dead_lettering.py`).
- A fault that had no right to take it, and nothing else: the broker broke its promise. No fault at all: unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from harness.checks.rules.arrival import NOTICED_AFTER_NS, expired_ns, leader_away
from harness.checks.rules.evidence import Cause, Evidence, accuses
from harness.checks.rules.of_groups import of_groups
from harness.checks.rules.remedies import (
    BROKEN_PROMISE,
    CHANGED_BODY,
    CONFIRMS,
    FAILED_WORK,
    MANDATORY,
    MANUAL_ACKS,
    NO_CAUSE,
    SETTLE,
    UNBOUND,
    UNDECLARED_TAKER,
    Remedy,
    at_least_once,
    durable,
    lasting,
    persistent,
    reachable,
    small_enough,
    together,
    unexpired,
)
from harness.checks.rules.too_large import too_large
from harness.checks.tally.fault_records import BACK_NS, WITHIN_NS, FaultRecord, on_disk_ns, over_ns
from harness.checks.tally.message_table import MessageTable
from harness.checks.tally.sessions import Session
from harness.checks.tally.times import NEVER
from harness.effects import Takes
from harness.events import Drained, Event, ProcessExited
from harness.history.records import AckMode
from harness.verdict.data import Place


class Finder:
    """Decides on evidence."""

    def __init__(self, tally: MessageTable, events: Sequence[Event]) -> None:
        """Collect what can take copies."""
        self._tally, self._topology, self._settings = tally, tally.topology, tally.topology.settings
        self._happenings = tally.topology.faults
        self._on_disk_ns = on_disk_ns(events)
        self._ends = {
            (event.actor, event.incarnation): event.fault for event in events if isinstance(event, ProcessExited)
        }
        drained_ns = min((event.at_ns for event in events if isinstance(event, Drained)), default=NEVER)
        # The workers' end behind the drain takes nothing: the queues were empty.
        self._worker_ends = sorted(
            (session for session in tally.sessions if session.role == "worker" and session.over_ns < drained_ns),
            key=lambda session: session.over_ns,
        )
        times = {each.over_ns for each in self._worker_ends}
        times |= {each.over_ns + NOTICED_AFTER_NS for each in self._worker_ends}
        for each in self._happenings:
            times |= {each.at_ns - WITHIN_NS, each.at_ns - 1, each.at_ns, each.struck_ns}
            times.add(over_ns(each) + BACK_NS)
        self.times = np.array(sorted(times), dtype=np.int64)
        """Messages sent after one of these and by the next have the same cause, other things being equal."""

    def cause(self, evidence: Evidence) -> Cause:
        """Decide, and name the groups that lack what would have kept it."""
        cause = self._decide(evidence)
        worker = cause.actor if cause.place is Place.WORKER else ""
        remedy = of_groups(cause.remedy, self._topology.scenario, publisher=evidence.publisher.actor, worker=worker)
        return replace(cause, remedy=remedy)

    def _decide(self, evidence: Evidence) -> Cause:
        if not evidence.queue:
            remedy = MANDATORY if evidence.alone and not evidence.mandatory else UNBOUND
            return Cause(Place.EXCHANGE, "", None, remedy, evidence.sent_ns)
        if evidence.worker is not None and evidence.changed:
            return Cause(Place.UNKNOWN, evidence.worker.actor, None, CHANGED_BODY)
        if evidence.worker is not None and (evidence.released or evidence.failed):
            return self._at_worker(evidence.worker, failed=evidence.failed)
        published = evidence.worker is None and not evidence.by_death
        if published and evidence.queue == evidence.first_queue:
            return self._before_delivery(evidence)
        cause = self._in_queue(evidence, evidence.since_ns)
        if published and evidence.first_queue and accuses(cause):
            # Nobody saw it move on: what was lost on the way to its first queue, or there, never did.
            earlier = self._before_delivery(replace(evidence, queue=evidence.first_queue))
            cause = cause if cause.place is not Place.UNKNOWN and accuses(earlier) else earlier
        killed_by = self._first(lambda each: each.fault == evidence.exposed_to and each.kills_node)
        if evidence.exposed_to is not None and (accuses(cause) or (killed_by and cause.fault == killed_by.fault)):
            return self._as_dead_letter(evidence, cause)
        return cause

    def _as_dead_letter(self, evidence: Evidence, cause: Cause) -> Cause:
        """It had died, and dead-lettering at most once promises nothing: that alone took it, or something else of the same fault as well."""
        fault = self._first(lambda each: each.fault == evidence.exposed_to)
        assert fault is not None  # noqa: S101 - it is one of those that happened
        node = fault.targets[0] if fault.targets else ""
        remedy = at_least_once(evidence.exposed_by, self._topology)
        if not accuses(cause):
            remedy = replace(together([cause.remedy, remedy]), source=remedy.source)
        return Cause(Place.BROKER, node, fault.fault, remedy, fault.struck_ns)

    def _at_worker(self, session: Session, *, failed: bool) -> Cause:
        """Acknowledged and not done: its work failed, or its process died with it, or its connection was lost."""
        if failed:
            return Cause(Place.WORKER, session.actor, None, FAILED_WORK)
        lost_ns = session.death_ns if session.death_ns != NEVER else session.lost_ns
        if lost_ns == NEVER or session.acks is AckMode.MANUAL:
            return Cause(Place.UNKNOWN, session.actor, None, NO_CAUSE)
        return Cause(Place.WORKER, session.actor, self._fault_behind(session, lost_ns), MANUAL_ACKS, lost_ns)

    def _before_delivery(self, evidence: Evidence) -> Cause:
        not_taken = self._gone_before(evidence) or self._unroutable(evidence) or self._too_large(evidence)
        if not_taken is not None:
            return not_taken
        session = evidence.publisher
        held = None if evidence.confirmed else self._before_leader(evidence)
        if held is not None:
            return held
        if evidence.arrived or session.lost_ns == NEVER:
            return self._in_queue(evidence, evidence.sent_ns)
        fault = self._fault_behind(session, session.lost_ns)
        fault_record = self._first(lambda each: each.fault == fault)
        if fault_record is not None and fault_record.ends_node:
            missing = self._missing(evidence, fault_record)
            if missing and fault_record.at_ns - evidence.sent_ns >= WITHIN_NS:
                return self._in_queue(evidence, evidence.sent_ns)  # long enough ago to have been written to the queue
            remedy = together([CONFIRMS, *missing])
            return Cause(Place.PUBLISHER, session.actor, fault, remedy, fault_record.struck_ns)
        return Cause(Place.PUBLISHER, session.actor, fault, CONFIRMS, session.lost_ns)

    def _in_queue(self, evidence: Evidence, since_ns: int) -> Cause:
        """In its queue from `since_ns` on: the first thing that can take it from there, else the first that must not.

        What began after it had surely left its queue did not take it.
        """
        queue, settings = evidence.queue, self._settings(evidence.queue)
        happenings = [
            each for each in self._happenings if since_ns <= each.struck_ns and each.at_ns < evidence.overtaken_ns
        ]
        # What a purge took is removed: it stands behind no loss.
        takers = (
            each
            for each in happenings
            if each.effects.declared
            and each.effects.takes is not Takes.WAITING
            and each.can_take(queue, settings, persistent=evidence.persistent, on_disk_ns=self._on_disk_ns)
        )
        taker = next(takers, None)
        pushed_to = self._pushed_to(evidence, since_ns, taker)
        if pushed_to is not None:
            return self._on_its_way_to(pushed_to, since_ns)
        undeclared = next((each for each in happenings if not each.effects.declared), None)
        if taker is None and undeclared is not None:
            return Cause(Place.BROKER, queue, undeclared.fault, UNDECLARED_TAKER, undeclared.struck_ns)
        guilty = taker or next((each for each in happenings if each.ends_node), None)
        if guilty is None:
            return Cause(Place.UNKNOWN, "", None, NO_CAUSE)
        missing = self._missing(evidence, guilty)
        if not evidence.confirmed and not missing and not evidence.exposed_by:
            missing = [CONFIRMS]  # of a dead letter they say nothing
        if not missing and guilty.is_early(self._on_disk_ns):
            missing = [SETTLE]
        node = guilty.targets[0] if guilty.targets else ""
        remedy = together(missing) if missing else BROKEN_PROMISE
        return Cause(Place.BROKER, node, guilty.fault, remedy, guilty.struck_ns)

    def _pushed_to(self, evidence: Evidence, since_ns: int, taker: FaultRecord | None) -> Session | None:
        """Find the worker that needs no acks and whose end took what the broker had pushed to it: an end before a fault, or just noticed."""
        if evidence.worker is not None and evidence.queue in evidence.worker.queues:
            return None
        ends = [end for end in self._worker_ends if self._consumes(end, evidence.queue)]
        unnoticed = [
            end for end in ends if 0 < since_ns - end.over_ns <= NOTICED_AFTER_NS and not self._ended_with_its_node(end)
        ]
        if unnoticed and taker is None:
            return unnoticed[-1]
        return next(
            (end for end in ends if end.over_ns >= since_ns and (taker is None or end.over_ns < taker.at_ns)), None
        )

    def _ended_with_its_node(self, session: Session) -> bool:
        """Whether a connection ended because its node did, which then sent nothing more to it."""
        fault = self._fault_behind(session, session.over_ns)
        return self._first(lambda each: each.fault == fault and each.ends_node) is not None

    def _missing(self, evidence: Evidence, fault_record: FaultRecord) -> list[Remedy]:
        """Name the settings without which the end of a node takes a message from its queue."""
        settings = self._settings(evidence.queue)
        missing = []
        if fault_record.ends_node and not settings.durable:
            missing.append(durable(evidence.queue))
        if fault_record.ends_node and not evidence.persistent and settings.type == "classic":
            missing.append(persistent(evidence.queue))
        return missing

    def _on_its_way_to(self, session: Session, since_ns: int) -> Cause:
        """The broker had sent it to a worker that needs no acks, and the worker never read it."""
        others = {end.actor for end in self._worker_ends if end.over_ns >= since_ns} - {session.actor}
        actor = "" if others else session.actor
        return Cause(Place.WORKER, actor, self._fault_behind(session, session.over_ns), MANUAL_ACKS, session.over_ns)

    def _consumes(self, session: Session, queue: str) -> bool:
        return queue in session.queues and session.acks is AckMode.AUTOMATIC

    def _gone_before(self, evidence: Evidence) -> Cause | None:
        """Return what took a non-durable exchange or queue away before a message was sent: nothing declares it again, so it goes nowhere."""
        before = [each for each in self._happenings if each.struck_ns < evidence.sent_ns]
        passing = [lasting(name) for name in self._topology.passing_exchanges(evidence.exchange)]
        if self._topology.exchanges_last_for(evidence.route, evidence.queue):
            passing = []
        by = next((each for each in before if passing and self._topology.ends_broker(each)), None)
        missing = [] if by is None else passing
        if not self._settings(evidence.queue).durable:
            missing = [*missing, durable(evidence.queue)]
            by = by or next((each for each in before if each.ends_node), None)
        return Cause(Place.EXCHANGE, "", by.fault, together(missing), evidence.sent_ns) if by is not None else None

    def _before_leader(self, evidence: Evidence) -> Cause | None:
        """Return what took a message without a confirm between its channel and the leader of its quorum queue.

        That is a fault that ended the leader; or its publisher, which closed its channel right after.
        """
        leader = leader_away(evidence.queue, evidence.sent_ns, self._tally)
        if not evidence.arrived and leader is not None and leader.at_ns < evidence.overtaken_ns:
            return Cause(Place.PUBLISHER, evidence.publisher.actor, leader.fault, CONFIRMS, leader.struck_ns)
        if evidence.at_last and self._topology.policy(evidence.queue).type == "quorum":
            return Cause(Place.PUBLISHER, evidence.publisher.actor, None, CONFIRMS, evidence.publisher.over_ns)
        return None

    def _unroutable(self, evidence: Evidence) -> Cause | None:
        """Return why a message went nowhere: its queue had expired, or its home node was down, when it was sent."""
        if evidence.mandatory and evidence.confirmed and evidence.alone:
            return None  # it would have come back
        if evidence.sent_ns > expired_ns(evidence.queue, self._tally)[0]:
            remedy = unexpired(evidence.queue, mandatory=evidence.alone and not evidence.mandatory)
            return Cause(Place.EXCHANGE, "", None, remedy, evidence.sent_ns)
        away = self._home_away(evidence.queue, evidence.sent_ns)
        if away is None:
            return None
        remedy = reachable(evidence.queue, mandatory=evidence.alone and not evidence.mandatory)
        return Cause(Place.EXCHANGE, "", away.fault, remedy, evidence.sent_ns)

    def _too_large(self, evidence: Evidence) -> Cause | None:
        """Return why the broker closed its channel, if a message was too large."""
        session = evidence.publisher
        refused = None if evidence.arrived else too_large(session)
        if refused is None:
            return None
        return Cause(Place.PUBLISHER, session.actor, None, small_enough(refused), session.lost_ns)

    def _home_away(self, queue: str, at_ns: int) -> FaultRecord | None:
        """Return the fault that had a classic queue's node down at a time: messages to it are unroutable then, on the other nodes."""
        away = self._topology.home_away(queue)
        return next((each for each in away if each.at_ns <= at_ns <= over_ns(each) + BACK_NS), None)

    def _first(self, fits: Callable[[FaultRecord], bool]) -> FaultRecord | None:
        return next((fault_record for fault_record in self._happenings if fits(fault_record)), None)

    def _fault_behind(self, session: Session, over_ns: int) -> int | None:
        """Join the end of a connection to its fault: the one that ended its process, else the latest that may have cut it off."""
        who = (session.actor, session.incarnation)
        if who in self._ends and (session.death_ns == over_ns or session.lost_ns == NEVER):
            return self._ends[who]
        cutting = [each for each in self._happenings if each.at_ns <= over_ns and each.may_cut_off(session.actor)]
        return cutting[-1].fault if cutting else None
