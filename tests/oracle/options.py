"""What can have become of a copy that was promised, was not done, and is in no queue.

The rule: "Evidence first, in this order: the copy's own last record; what overtook it; what faults declare that they may take; what the
broker says of the queue; what the configuration explains. Only then "no cause found"."
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

from harness.effects import Becomes, Cuts, Effects, Takes
from harness.events import Event, FaultHealed, FaultInjected, ProcessExited
from harness.history.records import AckMode
from tests.oracle.fullness import never_full
from tests.oracle.lives import Life, Lives
from tests.oracle.overtaken import NEVER, Overtaken
from tests.oracle.reading import Delivery, Key, Publish, Session
from tests.oracle.topology import QueueSettings, Topology

LAG_NS = 1_000_000_000
"""How long after its end a connection may still have been sent something, and how long before it what was sent may not have arrived."""

BACK_NS = 2 * LAG_NS
"""How long after a node is back a quorum queue may have no leader, and a classic one not be reached from other nodes."""

Deaths = tuple[tuple[str, str], ...]
"""Queue and reason of each death that nobody saw."""


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
    deaths: Deaths = ()
    """The last one ended it."""
    proved: bool = False
    """Whether the copy's own records say it."""


@dataclass(frozen=True)
class Struck:
    """A fault, as far as it matters here."""

    number: int
    effects: Effects
    targets: tuple[str, ...]
    begin_ns: int
    end_ns: int
    healed_ns: int
    """The end of the run for one that was never healed."""

    def cuts(self, actor: str) -> bool:
        """Whether it may end an actor's connection."""
        whose = self.effects.cuts
        return whose is Cuts.EVERYONE or (whose is Cuts.TARGETS and actor in self.targets)

    @property
    def ends_node(self) -> bool:
        return self.effects.node in (Becomes.KILLED, Becomes.STOPPED)


def struck(events: tuple[Event, ...]) -> list[Struck]:
    healed = {event.fault: event.at_ns for event in events if isinstance(event, FaultHealed)}
    last_ns = max([event.at_ns for event in events] or [0])
    return [
        Struck(
            event.fault,
            event.effects,
            event.targets,
            event.at_ns,
            event.struck_at_ns,
            healed.get(event.fault, last_ns),
        )
        for event in events
        if isinstance(event, FaultInjected)
    ]


@dataclass(frozen=True)
class Stay:
    """A copy came into a queue at a time or later, and was not seen there."""

    life: Life
    queue: str
    since_ns: int
    until_ns: int = NEVER
    """When it had gone for certain."""
    deaths: Deaths = ()
    returns: int = 0
    """How often it came back to the queue, as quorum queues count."""
    by_death: bool = False
    confirmed: bool = True
    came_ns: int | None = None
    """When it first came there, where that was before `since_ns`: a requeue leaves its time to live as it was."""
    at_most_once: bool = False
    """Whether it is a dead letter that nobody waited for: neither its arrival nor its writing is promised."""
    under_way_ns: int = 0
    """How long before `since_ns` the broker may have sent what was received then: a fault may have struck between."""

    @property
    def may_be_refused(self) -> bool:
        """Whether a full queue may have refused it without anybody hearing of it."""
        return self.by_death or not self.confirmed

    @property
    def may_be_unwritten(self) -> bool:
        """Whether a node that is killed may not have it on disk."""
        return self.at_most_once or not self.confirmed


class Options:
    """Works them out, copy by copy."""

    def __init__(self, lives: Lives, topology: Topology, events: tuple[Event, ...]) -> None:
        self.lives, self.records, self.topology = lives, lives.records, topology
        self._full: dict[str, bool] = {}
        self._of_message: dict[tuple[Key, str], list[Life]] = defaultdict(list)
        """By message and first queue."""
        for life in lives.of.values():
            self._of_message[life.name.key, life.name.first].append(life)
        self.overtaken = Overtaken(lives, topology)
        self.faults = struck(events)
        self.exits = [event for event in events if isinstance(event, ProcessExited)]

    def of(self, life: Life) -> list[Option]:
        """All ways, the ones with the best evidence first; none if nothing explains it."""
        seen = sorted(life.deliveries, key=lambda each: each.at_ns)
        promised = [each.attempt for each in life.publishes if each.promised]
        found: list[Option] = []
        for attempt in dict.fromkeys([*(each.attempt for each in reversed(seen)), *promised]):
            mine = [each for each in seen if each.attempt == attempt]
            if mine:
                found += self._seen(life, mine)
            else:
                found += self._never_seen(life, next(each for each in life.publishes if each.attempt == attempt))
        return list(dict.fromkeys(found))

    # By the last record.

    def _seen(self, life: Life, deliveries: list[Delivery]) -> list[Option]:
        last = deliveries[-1]
        came_ns = next(each.at_ns for each in life.publishes if each.attempt == last.attempt)
        came_back = Stay(
            life,
            last.queue,
            last.at_ns,
            returns=last.count + 1,
            came_ns=came_ns if last.death is None else None,
            under_way_ns=LAG_NS,
            at_most_once=last.death is not None and self._at_most_once(last.death.path[-1][0]),
        )
        if last.mode in (AckMode.AUTOMATIC, AckMode.EARLY) or last.acked_ns is not None:
            fault = self._fault_of(last.session) if last.failed_ns is None else None
            at_worker = Option("lost", "worker", last.session[0], fault, proved=True)
            unsure = last.mode is not AckMode.AUTOMATIC and self._unsure(last.session, last.acked_ns or last.at_ns)
            return [at_worker, *(self._in_queue(came_back) if unsure else ())]
        if last.rejected_ns is not None and not last.requeued:
            found = self._dead(replace(came_back, since_ns=last.rejected_ns), "rejected", proved=True)
            return found + (self._in_queue(came_back) if self._unsure(last.session, last.rejected_ns) else [])
        return self._in_queue(came_back)

    def _unsure(self, session: Session, at_ns: int) -> bool:
        """Whether what was sent at a moment may not have reached the broker."""
        end = self.records.ends.get(session)
        return end is not None and end.how != "finished" and end.at_ns - at_ns < LAG_NS

    def _fault_of(self, session: Session) -> int | None:
        """Which fault ended a connection, or the process."""
        end = self.records.ends.get(session)
        for event in self.exits:
            mine = (event.actor, event.incarnation) == session[:2]
            if mine and (event.fault is not None or (end is not None and end.how == "died")):
                return event.fault
        before = [each for each in self.faults if end and each.begin_ns <= end.at_ns and each.cuts(session[0])]
        return before[-1].number if before else None

    def _never_seen(self, life: Life, publish: Publish) -> list[Option]:
        if not life.name.first:
            return [Option("lost", "exchange", "", proved=True)]
        found: list[Option]
        if life.name.branches and self._went_round(life):
            return [Option("dropped", "broker", life.from_queue, None, ((life.from_queue, "cycle"),), proved=True)]
        if life.name.branches:
            stay = Stay(life, life.from_queue, publish.at_ns, by_death=True, at_most_once=True)
            found = [*self._in_queue(stay), *self._not_taken(stay)]
            if self._may_be_gone(life.from_queue):
                found.append(Option("dropped", "broker", life.from_queue, None, ((life.from_queue, "gone"),)))
            return found
        confirmed = publish.confirmed_ns is not None
        found = []
        if not confirmed and self._unsure(publish.session, publish.at_ns):
            found.append(Option("lost", "publisher", publish.session[0], self._fault_of(publish.session)))
        until_ns = self.overtaken.at_ns(life)
        if not confirmed and self.topology.queues[life.from_queue].kind == "quorum":
            found += self._before_leader(publish, until_ns)
        found += self._not_routed(life.from_queue, publish)
        return found + self._in_queue(Stay(life, life.from_queue, publish.at_ns, until_ns, confirmed=confirmed))

    def _before_leader(self, publish: Publish, until_ns: int) -> list[Option]:
        """A channel keeps what has no confirm while the leader of its queue is away, and loses its last messages as it closes."""
        away = [
            each.number
            for each in self.faults
            if each.effects.strikes_node
            and each.begin_ns - LAG_NS <= publish.at_ns <= each.healed_ns + BACK_NS
            and each.begin_ns < until_ns
        ]
        found = [Option("lost", "publisher", publish.session[0], fault) for fault in away]
        end = self.records.ends.get(publish.session)
        if end is not None and end.how == "finished" and end.at_ns - publish.at_ns <= LAG_NS:
            found.append(Option("lost", "publisher", publish.session[0]))
        return found

    def _not_routed(self, queue: str, publish: Publish) -> list[Option]:
        """The queue had gone before, with a node that it did not outlast; or its home node was down, elsewhere in a cluster."""
        settled_ns = publish.confirmed_ns or self.records.last_ns
        there = self.topology.queues[queue]
        passes = any(self.topology.passes(exchange) for exchange in self.topology.exchanges_of(publish.route))
        gone = [
            each
            for each in self.faults
            if each.ends_node
            and each.begin_ns <= settled_ns
            and (passes or not there.durable or self._home_down(there, each, publish))
        ]
        return [Option("lost", "exchange", queue, fault.number) for fault in gone]

    def _home_down(self, there: QueueSettings, fault: Struck, publish: Publish) -> bool:
        """Whether a classic queue could not be reached through the other nodes when a message was published."""
        home = self.topology.home(there.name)
        apart = there.kind == "classic" and self.topology.nodes > 1 and home in fault.targets
        return apart and publish.at_ns <= fault.healed_ns + LAG_NS

    # In a queue.

    def _in_queue(self, stay: Stay) -> list[Option]:
        there = self.topology.queues.get(stay.queue)
        if there is None or len(stay.deaths) > 2 * len(self.topology.queues):
            return []
        return [
            *self._by_workers(stay),
            *self._by_faults(there, stay),
            *self._by_the_broker(there, stay),
            *self._by_settings(there, stay),
        ]

    def _by_workers(self, stay: Stay) -> list[Option]:
        """It may have been sent to a worker that needs no acks, and that ended before it read it."""
        found = []
        for each in self.records.consuming:
            end = self.records.ends.get(each.session)
            sent = each.queue == stay.queue and each.mode is AckMode.AUTOMATIC and stay.until_ns == NEVER
            if (
                sent
                and end is not None
                and end.at_ns + LAG_NS >= stay.since_ns
                and not self._left_at_last(each.session)
            ):
                fault = self._fault_of(each.session)
                found.append(Option("lost", "worker", each.session[0], fault, stay.deaths))
        return found

    def _left_at_last(self, session: Session) -> bool:
        """Whether the connection ended in order when nothing came any more."""
        by_faults = any(
            event.fault is not None for event in self.exits if (event.actor, event.incarnation) == session[:2]
        )
        return self.records.ends[session].how == "finished" and not by_faults

    def _by_faults(self, there: QueueSettings, stay: Stay) -> list[Option]:
        found = []
        for fault in self.faults:
            if fault.end_ns < stay.since_ns - stay.under_way_ns or fault.begin_ns > stay.until_ns:
                continue
            takes = fault.effects.takes
            if takes is Takes.WAITING and there.name in fault.targets:
                found.append(Option("removed", "broker", there.name, fault.number, stay.deaths))
            transient = there.kind == "classic" and not all(each.persistent for each in stay.life.publishes)
            unwritten = fault.effects.node is Becomes.KILLED and stay.may_be_unwritten
            gone = takes is Takes.NOT_DURABLE and (transient or not there.durable or unwritten or not stay.confirmed)
            if gone or takes is Takes.ANYTHING:
                found.append(Option("lost", "broker", fault.targets[0], fault.number, stay.deaths))
        return found

    def _by_the_broker(self, there: QueueSettings, stay: Stay) -> list[Option]:
        found = []
        looks = self.topology.looks
        if any(facts.foreign_consumers for look in looks for facts in look.queues if facts.name == there.name):
            found.append(Option("taken", "broker", there.name, None, stay.deaths))
        if self.topology.gone(there.name) and there.expires_ns is not None:
            found.append(Option("removed", "broker", there.name, None, stay.deaths))
        return found

    def _by_settings(self, there: QueueSettings, stay: Stay) -> list[Option]:
        found: list[Option] = []
        came_ns = stay.since_ns if stay.came_ns is None else stay.came_ns
        expires_ns = NEVER if there.ttl_ns is None else max(stay.since_ns, came_ns + there.ttl_ns)
        if expires_ns <= min(stay.until_ns, self.records.last_ns):
            found += self._dead(replace(stay, since_ns=expires_ns), "expired")
        if there.limit is not None and not self._never_full(there.name):
            if there.overflow == "drop-head" or (there.overflow == "reject-publish-dlx" and stay.may_be_refused):
                found += self._dead(stay, "maxlen")
            elif there.kind == "classic" and any(
                each.ends_node and stay.since_ns <= each.end_ns and each.begin_ns <= stay.until_ns
                for each in self.faults
            ):
                found += self._dead(stay, "maxlen")  # a queue that refuses drops its head when it is recovered
            if there.overflow == "reject-publish" and stay.may_be_refused:
                found.append(Option("dropped", "broker", there.name, None, (*stay.deaths, (there.name, "refused"))))
        returns = stay.returns + self._unseen_returns(stay)
        if there.delivery_limit is not None and returns > there.delivery_limit:
            found += self._dead(stay, "delivery_limit")
        return found

    def _never_full(self, queue: str) -> bool:
        if queue not in self._full:
            self._full[queue] = never_full(queue, self.lives, self.topology)
        return self._full[queue]

    def _unseen_returns(self, stay: Stay) -> int:
        """How often it may have been on its way to a worker that never received it, and have come back."""
        ends = {
            each.session: self.records.ends.get(each.session)
            for each in self.records.consuming
            if each.queue == stay.queue
        }
        return sum(end is not None and end.at_ns + LAG_NS >= stay.since_ns for end in ends.values())

    # Deaths that nobody saw.

    def _dead(self, stay: Stay, reason: str, *, proved: bool = False) -> list[Option]:
        """It died in a queue: that was its end, or it went on."""
        deaths = (*stay.deaths, (stay.queue, reason))
        there = self.topology.queues[stay.queue]
        targets, _ = self.topology.after_death(stay.queue, stay.life.key)
        if there.dead_letters is None or not targets:
            fate = "expired" if reason == "expired" and there.dead_letters is None else "dropped"
            return [Option(fate, "broker", stay.queue, None, deaths, proved=proved)]
        if self.topology.passed(there.dead_letters[0], stay.since_ns):
            return [Option("dropped", "broker", stay.queue, None, (*deaths, (stay.queue, "gone")), proved=proved)]
        found: list[Option] = []
        if there.at_least_once and self._held(stay.queue):
            found.append(Option("retained", "broker", stay.queue, None, deaths))
        for target in targets:
            if reason != "rejected" and self._round(stay.life, deaths, target):
                found.append(Option("dropped", "broker", stay.queue, None, (*deaths, (target, "cycle"))))
                continue
            if self._may_be_gone(target, there.dead_letters[0]):
                found.append(Option("dropped", "broker", stay.queue, None, (*deaths, (target, "gone"))))
            at_most_once = self._at_most_once(stay.queue)
            onward = Stay(stay.life, target, stay.since_ns, deaths=deaths, by_death=True, at_most_once=at_most_once)
            found += [*self._in_queue(onward), *self._not_taken(onward)]
        return found

    def _at_most_once(self, queue: str) -> bool:
        """Whether a queue does not wait until its dead letters are taken."""
        return queue not in self.topology.queues or not self.topology.queues[queue].at_least_once

    def _not_taken(self, stay: Stay) -> list[Option]:
        """Its target had no leader, or was not there, or the node went down with it on the way: nobody hears of that."""
        if not stay.at_most_once:
            return []
        return [
            Option("lost", "broker", fault.targets[0], fault.number, stay.deaths)
            for fault in self.faults
            if fault.ends_node and fault.healed_ns + BACK_NS >= stay.since_ns
        ]

    def _went_round(self, life: Life) -> bool:
        """Whether a copy that was to begin in a queue ended as a cycle: a sibling died in that queue before, and was not rejected since."""
        trunk = life.name.branches[:-1]
        for other in self._of_message[life.name.key, life.name.first]:
            if len(other.name.branches) > len(trunk) and other.name.branches[: len(trunk)] == trunk:
                for each in other.seen:
                    path = each.death.path if each.death is not None else ()
                    places = [place for place, (queue, _, _) in enumerate(path) if queue == life.from_queue]
                    if places and all(reason != "rejected" for _, reason, _ in path[places[-1] :]):
                        return True
        return False

    def _may_be_gone(self, queue: str, exchange: str = "") -> bool:
        """Whether a dead letter target led nowhere for a while: the queue or its exchange did not outlast a node, or is not there at the end."""
        passes = not self.topology.queues[queue].durable or self.topology.passes(exchange)
        return self.topology.gone(queue) or (passes and any(fault.ends_node for fault in self.faults))

    def _held(self, queue: str) -> int:
        look = self.topology.last
        return sum(facts.held for facts in look.queues if facts.name == queue) if look is not None else 0

    @staticmethod
    def _round(life: Life, deaths: Deaths, target: str) -> bool:
        """Whether RabbitMQ drops it as a cycle: it died in the target before, and nobody has rejected it since."""
        known = max((each.death.path for each in life.seen if each.death), key=len, default=())
        path = [*((queue, reason) for queue, reason, _ in known), *deaths]
        places = [place for place, (queue, _) in enumerate(path) if queue == target]
        return bool(places) and all(reason != "rejected" for _, reason in path[places[-1] :])
