"""What can have become of a copy that was promised, was not done, and is in no queue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from harness.events import Event, FaultInjected, ProcessExited
from harness.history.records import AckMode
from tests.oracle.lives import Life
from tests.oracle.reading import Delivery, Publish, Records, Session
from tests.oracle.topology import QueueSettings, Topology

LAG_NS = 1_000_000_000
"""How long after its end a connection may still have been sent something, or have been obeyed."""


@dataclass(frozen=True)
class Option:
    """One way in which a copy can have gone."""

    fate: str
    """lost, expired, dropped, removed, retained or taken."""
    place: str
    """publisher, exchange, broker, worker or unknown."""
    where: str
    """The queue or the actor."""
    fault: int | None = None
    deaths: tuple[tuple[str, str], ...] = ()
    """Queue and reason of each death that nobody saw, the last one of which ended it."""
    proved: bool = False
    """Whether the copy's own records say it."""


class Struck(NamedTuple):
    """A fault, as far as it matters here."""

    number: int
    action: str
    family: str
    targets: tuple[str, ...]
    begin_ns: int
    end_ns: int


def struck(events: tuple[Event, ...]) -> list[Struck]:
    return [
        Struck(event.fault, event.action, event.family, event.targets, event.at_ns, event.struck_at_ns)
        for event in events
        if isinstance(event, FaultInjected)
    ]


class Options:
    """Works them out, copy by copy."""

    def __init__(self, records: Records, topology: Topology, events: tuple[Event, ...]) -> None:
        self.records, self.topology = records, topology
        self.faults = struck(events)
        self.exits = [event for event in events if isinstance(event, ProcessExited)]

    def of(self, life: Life) -> list[Option]:
        """All ways, the ones with the best evidence first; none if nothing explains it."""
        publishes = [each for each in life.publishes if each.promised] or life.publishes
        found: list[Option] = []
        seen = sorted(life.deliveries, key=lambda each: each.at_ns)
        for attempt in dict.fromkeys(
            [*(each.attempt for each in reversed(seen)), *(each.attempt for each in publishes)]
        ):
            mine = [each for each in seen if each.attempt == attempt]
            if mine:
                found += self._after(life, mine)
            else:
                found += self._never_seen(life, next(each for each in life.publishes if each.attempt == attempt))
        return list(dict.fromkeys(found))

    # By the last record.

    def _after(self, life: Life, deliveries: list[Delivery]) -> list[Option]:
        last = deliveries[-1]
        if last.mode in (AckMode.AUTOMATIC, AckMode.EARLY) or last.acked_ns is not None:
            at_worker = Option("lost", "worker", last.session[0], self._fault_of(last.session), proved=True)
            if last.mode is AckMode.EARLY and self._unsure(last.session, last.acked_ns or last.at_ns):
                return [at_worker, *self._in_queue(last.queue, life, last.at_ns, (), self._returns(deliveries))]
            return [at_worker]
        if last.rejected_ns is not None and not last.requeued:
            found = self._dead(last.queue, "rejected", life, last.rejected_ns, (), proved=True)
            if self._unsure(last.session, last.rejected_ns):
                found += self._in_queue(last.queue, life, last.at_ns, (), self._returns(deliveries))
            return found
        return self._in_queue(last.queue, life, last.at_ns, (), self._returns(deliveries))

    def _unsure(self, session: Session, at_ns: int) -> bool:
        """Whether what was sent at a moment may not have reached the broker."""
        end = self.records.ends.get(session)
        return end is not None and end.how != "finished" and end.at_ns - at_ns < LAG_NS

    @staticmethod
    def _returns(deliveries: list[Delivery]) -> int:
        """How often a quorum queue has counted, if the last delivery came back as well."""
        return deliveries[-1].count + 1

    def _fault_of(self, session: Session) -> int | None:
        """Which fault ended a connection, or the process."""
        for event in self.exits:
            if (event.actor, event.incarnation) == session[:2] and event.fault is not None:
                return event.fault
        end = self.records.ends.get(session)
        if end is None:
            return None
        before = [each for each in self.faults if each.begin_ns <= end.at_ns and self._cuts(each, session[0])]
        return before[-1].number if before else None

    @staticmethod
    def _cuts(fault: Struck, actor: str) -> bool:
        if fault.family == "broker":
            return fault.action in ("kill", "restart", "stop")
        return fault.action in ("close", "kill", "stop", "timeout") and (actor in fault.targets or not fault.targets)

    def _never_seen(self, life: Life, publish: Publish) -> list[Option]:
        if not life.name.first:
            return [Option("lost", "exchange", "", proved=True)]
        if life.name.branches:
            return self._in_queue(life.from_queue, life, publish.at_ns, (), 0, by_death=True)
        found: list[Option] = []
        if publish.confirmed_ns is None:
            end = self.records.ends.get(publish.session)
            if end is not None and end.how != "finished" and end.at_ns - publish.at_ns < LAG_NS:
                found.append(Option("lost", "publisher", publish.session[0], self._fault_of(publish.session)))
        found += self._in_queue(life.from_queue, life, publish.at_ns, (), 0, unconfirmed=publish.confirmed_ns is None)
        return found + self._not_routed(life.from_queue, publish)

    def _not_routed(self, queue: str, publish: Publish) -> list[Option]:
        """The queue had gone before: with a restart that it did not survive, or deleted."""
        found = []
        for fault in self.faults:
            if fault.begin_ns > (publish.confirmed_ns or self.records.last_ns):
                continue
            gone = fault.family == "broker" and not self.topology.queues[queue].durable
            if gone:
                found.append(Option("lost", "exchange", queue, fault.number))
        return found

    # In a queue.

    def _in_queue(
        self,
        queue: str,
        life: Life,
        since_ns: int,
        deaths: tuple[tuple[str, str], ...],
        returns: int,
        *,
        by_death: bool = False,
        unconfirmed: bool = False,
    ) -> list[Option]:
        """It came into a queue at that time or later, and was not seen there."""
        there = self.topology.queues.get(queue)
        if there is None or len(deaths) > 2 * len(self.topology.queues):
            return []
        found: list[Option] = []
        for each in self.records.consuming:
            end = self.records.ends.get(each.session)
            if each.queue == queue and each.mode is AckMode.AUTOMATIC and end is not None and end.at_ns >= since_ns:
                fault = self._fault_of(each.session)
                found.append(Option("lost", "worker", each.session[0], fault, deaths))
        found += self._by_faults(there, life, since_ns, deaths, unconfirmed=unconfirmed)
        found += self._by_the_broker(there, deaths)
        found += self._by_settings(
            there, life, since_ns, deaths, returns, arrives=by_death or bool(deaths) or unconfirmed
        )
        return found

    def _by_faults(
        self, there: QueueSettings, life: Life, since_ns: int, deaths: tuple[tuple[str, str], ...], *, unconfirmed: bool
    ) -> list[Option]:
        found = []
        for fault in self.faults:
            if fault.end_ns < since_ns:
                continue
            if fault.action in ("purge", "delete") and there.name in fault.targets:
                found.append(Option("removed", "broker", there.name, fault.number, deaths))
            if fault.family == "broker" and fault.action in ("kill", "restart", "stop"):
                transient = there.kind == "classic" and not all(each.persistent for each in life.publishes)
                unwritten = fault.action == "kill" and (unconfirmed or bool(deaths) or bool(life.name.branches))
                if transient or not there.durable or unwritten or unconfirmed:
                    found.append(Option("lost", "broker", fault.targets[0], fault.number, deaths))
        return found

    def _by_the_broker(self, there: QueueSettings, deaths: tuple[tuple[str, str], ...]) -> list[Option]:
        found = []
        looks = [look for look in (self.topology.first, self.topology.last) if look is not None]
        if any(facts.foreign_consumers for look in looks for facts in look.queues if facts.name == there.name):
            found.append(Option("taken", "broker", there.name, None, deaths))
        last = self.topology.last
        gone = last is None or all(facts.name != there.name for facts in last.queues)
        if gone and there.expires_ns is not None:
            found.append(Option("removed", "broker", there.name, None, deaths))
        return found

    def _by_settings(
        self,
        there: QueueSettings,
        life: Life,
        since_ns: int,
        deaths: tuple[tuple[str, str], ...],
        returns: int,
        *,
        arrives: bool,
    ) -> list[Option]:
        found: list[Option] = []
        if there.ttl_ns is not None and since_ns + there.ttl_ns <= self.records.last_ns:
            found += self._dead(there.name, "expired", life, since_ns + there.ttl_ns, deaths)
        if there.limit is not None:
            if there.overflow == "drop-head" or (there.overflow == "reject-publish-dlx" and arrives):
                found += self._dead(there.name, "maxlen", life, since_ns, deaths)
            elif arrives:
                found.append(Option("dropped", "broker", there.name, None, (*deaths, (there.name, "refused"))))
        if there.delivery_limit is not None and returns > there.delivery_limit:
            found += self._dead(there.name, "delivery_limit", life, since_ns, deaths)
        return found

    def _dead(
        self,
        queue: str,
        reason: str,
        life: Life,
        since_ns: int,
        deaths: tuple[tuple[str, str], ...],
        *,
        proved: bool = False,
    ) -> list[Option]:
        """It died in a queue: that was its end, or it went on."""
        here = (*deaths, (queue, reason))
        there = self.topology.queues[queue]
        fate = "expired" if reason == "expired" else "dropped"
        targets, _ = self.topology.after_death(queue, life.key)
        if there.dead_letters is None or not targets:
            return [Option(fate, "broker", queue, None, here, proved=proved)]
        found: list[Option] = []
        if there.at_least_once and self._held(queue):
            found.append(Option("retained", "broker", queue, None, here))
        for target in targets:
            if reason != "rejected" and self._round(life, here, target):
                found.append(Option("dropped", "broker", queue, None, (*here, (target, "cycle"))))
            else:
                found += self._in_queue(target, life, since_ns, here, 0, by_death=True)
        return found

    def _held(self, queue: str) -> int:
        look = self.topology.last
        return sum(facts.held for facts in look.queues if facts.name == queue) if look is not None else 0

    @staticmethod
    def _round(life: Life, deaths: tuple[tuple[str, str], ...], target: str) -> bool:
        """Whether RabbitMQ may drop it as a cycle: it died in the target before, and nobody has rejected it since."""
        known = max((each.death.path for each in life.seen if each.death), key=len, default=())
        path = [*((queue, reason) for queue, reason, _ in known), *deaths]
        places = [place for place, (queue, _) in enumerate(path) if queue == target]
        return bool(places) and all(reason != "rejected" for _, reason in path[places[-1] :])
