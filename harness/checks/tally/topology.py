"""The topology that a run's messages met: what the scenario declares, completed by what the broker said of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from harness.checks.tally.fault_records import BACK_NS, WITHIN_NS, FaultRecord, fault_records, over_ns
from harness.checks.tally.learned import LearnedTargets
from harness.checks.tally.lives import Alternatives, Lives
from harness.checks.tally.sessions import Session
from harness.checks.tally.times import NEVER
from harness.events import BrokerLook, BrokerStarted, Event, Phase, PhaseChanged, QueueFacts
from harness.scenario.queue_policy import EffectivePolicy, effective_policy
from harness.scenario.routing import Position, QueueRoles, Topology, publisher_routes, queue_roles
from harness.scenario.scenario import Scenario
from harness.scenario.topology import Binding, Exchange, Queue

MOST_TOGETHER = 64
"""The largest number of overlaps that are kept for one further time in which queues were away."""


@dataclass(frozen=True, slots=True)
class Diversion:
    """A time in which queues were away."""

    topology: Topology
    """What was left."""
    from_ns: int
    """Since when at the earliest."""
    sure_ns: int
    """Since when surely; NEVER where that is not known."""
    until_ns: int
    """Until when surely, if it was at all; NEVER for the end of the run."""
    latest_ns: int
    """Until when at the latest."""


def _together(earlier: Iterable[Diversion], another: Diversion) -> list[Diversion]:
    """Return another time in which queues were away, and what it has in common with earlier ones: then those of both were."""
    found = [another]
    for each in earlier:
        from_ns, latest_ns = max(each.from_ns, another.from_ns), min(each.latest_ns, another.latest_ns)
        left, right = each.topology, another.topology
        exchanges = left.exchanges if len(left.exchanges) < len(right.exchanges) else right.exchanges
        both = replace(left, exchanges=exchanges, away=left.away | right.away)
        if from_ns <= latest_ns and both.away not in (left.away, right.away) and len(found) < MOST_TOGETHER:
            sure_ns, until_ns = max(each.sure_ns, another.sure_ns), min(each.until_ns, another.until_ns)
            found.append(Diversion(both, from_ns, sure_ns, until_ns, latest_ns))
    return found


def _ways(first: tuple[Position, ...], others: Iterable[tuple[Position, ...]]) -> Alternatives:
    """Return the first way, and those others that lead to a queue that it does not lead to."""
    return tuple(dict.fromkeys((first, *(each for each in others if not set(each) <= set(first)))))


def _body_of_all(scenario: Scenario) -> int | None:
    """Return the size of every message's body; None where they differ, or may."""
    by_hand = any(step.action.publishes()[0] for step in scenario.timeline)
    sizes = {None if group.tasks else group.body for group in scenario.publishers}
    return None if by_hand or len(sizes) != 1 else sizes.pop()


class RunTopology:
    """Where routes and deaths lead to, and what was in force on each queue."""

    def __init__(
        self,
        scenario: Scenario,
        events: Sequence[Event],
        routes: Iterable[str] = (),
        learned: Mapping[str, LearnedTargets] | None = None,
    ) -> None:
        """Know the scenario, the looks at the broker among the events, and further routes that messages took.

        `learned` says by queue where deaths led, as the messages tell it: that counts where the scenario sets no target.
        """
        self.scenario = scenario
        looks = [event for event in events if isinstance(event, BrokerLook)]
        self.looks = tuple(look for look in looks if not look.not_asked)
        """All that the broker says of itself."""
        self.policies_unseen = next((look.not_asked for look in looks), "") if not self.looks else ""
        """Why nobody knows which policies the broker has; empty where it was asked, or the run is not known to have looked at it."""
        self.glimpses = tuple(look for look in looks if look.queues or not look.not_asked)
        """Which queues there were, with how many messages and consumers: passive declares show as much."""
        self.rabbitmq = next((event.rabbitmq for event in events if isinstance(event, BrokerStarted)), "")
        self.nodes = max((len(event.nodes) for event in events if isinstance(event, BrokerStarted)), default=1)
        self.faults = fault_records(events)
        """The steps that struck, in their order."""
        declared = (event for event in events if isinstance(event, PhaseChanged) and event.phase is Phase.DECLARE)
        self.declared_ns = next((event.at_ns for event in declared), 0)
        """When the run began to declare its queues; 0 if the events do not tell."""
        self.consumed = scenario.consumed_queues
        self._declared = scenario.topology
        self._body = _body_of_all(scenario)
        self._learned = dict(self._not_declared(learned or {}))
        self._routes = tuple(dict.fromkeys((*scenario.routes, *routes)))

    @cached_property
    def facts(self) -> dict[str, QueueFacts]:
        """What the broker last said of each queue that it knew."""
        return {queue.name: queue for look in self.looks for queue in look.queues}

    @cached_property
    def topology(self) -> Topology:
        """The declared topology with what the broker's policies add."""
        alternates: dict[str, str] = {}
        for look in self.looks:
            alternates |= look.alternate_exchanges
        policies = {name: queue.policy for name, queue in self.facts.items() if queue.policy}
        exchanges, bindings = dict(self._declared.exchanges), [*self._declared.bindings]
        for source, targets in self._learned.items():
            exchange, key = "", targets.queues[0]
            if len(targets.queues) > 1:
                exchange = f"\0{source}"  # no exchange of a broker is called that
                exchanges[exchange] = Exchange(type="fanout")
                bindings += (Binding(exchange=exchange, queue=queue) for queue in targets.queues)
            policies[source] = {"dead-letter-exchange": exchange, "dead-letter-routing-key": key}
        return replace(self._declared, exchanges=exchanges, bindings=bindings, policies=policies, alternates=alternates)

    def _not_declared(self, learned: Mapping[str, LearnedTargets]) -> Iterator[tuple[str, LearnedTargets]]:
        """Choose from what was learned that of which the scenario says nothing else, between its own queues."""
        for source, targets in learned.items():
            known = tuple(queue for queue in targets.queues if queue in self._declared.queues)
            if known and source in self._declared.queues and not self.declared(source).has_dead_letter_target:
                yield source, replace(targets, queues=known)

    def settings(self, queue: str) -> Queue:
        """Return a queue as the scenario declares it; one that it does not know is taken for a durable classic one."""
        return self._declared.queues.get(queue) or Queue()

    def policy(self, queue: str) -> EffectivePolicy:
        """Return what was in force on a queue."""
        if queue in self._declared.queues:
            return self.topology.policy(queue)
        return effective_policy(Queue(), self.topology.policies.get(queue))

    def declared(self, queue: str) -> EffectivePolicy:
        """Return what the scenario alone sets on a queue."""
        return effective_policy(self.settings(queue))

    def most_ready(self, queue: str) -> int | None:
        """Return how many ready messages a queue holds at the most; None without a limit, or where their number does not follow from bytes.

        A classic queue counts the bytes of bodies, and holds as many as fit in (measured on 3.10.8: 19 of 256 bytes in 5,000).
        """
        policy = self.policy(queue)
        if policy.max_length_bytes is None:
            return policy.max_length
        if policy.type != "classic" or not self._body:
            return None
        fit = policy.max_length_bytes // self._body
        return fit if policy.max_length is None else min(fit, policy.max_length)

    def policy_behind(self, queue: str, field: str) -> str:
        """Name the broker's policy that set something in force on a queue; empty if the scenario did."""
        facts = self.facts.get(queue)
        if facts is None or getattr(self.policy(queue), field) == getattr(self.declared(queue), field):
            return ""
        return facts.policy_name or facts.operator_policy_name

    def may_live_on(self, queue: str, nodes: Sequence[str]) -> bool:
        """Whether a classic queue of a cluster may have its home on one of some nodes: without it, messages to the queue are unroutable."""
        facts = self.facts.get(queue)
        if self.nodes < 2 or self.policy(queue).type != "classic":
            return False
        return facts is None or facts.node in nodes

    def can_expire_ns(self, queue: str, sessions: Iterable[Session], zero_ns: int) -> int:
        """Return since when a queue that was gone at the end can have expired; NEVER for one that cannot.

        It is unused since its last consumer went, or since it was declared (`zero_ns` if the events do not tell when).
        """
        expires_s = self.policy(queue).expires_s
        if expires_s is None or not self.is_missing(queue):
            return NEVER
        ends = (each.over_ns for each in sessions if each.role == "worker" and queue in each.queues)
        since_ns = max(ends, default=self.declared_ns or zero_ns)
        return NEVER if since_ns == NEVER else since_ns + round(expires_s * 1e9)

    def home_away(self, queue: str) -> tuple[FaultRecord, ...]:
        """Return the faults that took away the node where a classic queue of a cluster lives: what is published to it goes nowhere till it is back."""
        return tuple(each for each in self.faults if each.ends_node and self.may_live_on(queue, each.targets))

    @cached_property
    def lasting(self) -> Topology:
        """What is left of the topology once its broker has ended: without the exchanges and queues that are not durable."""
        left = {name: exchange for name, exchange in self.topology.exchanges.items() if exchange.durable}
        gone = {name for name, queue in self.topology.queues.items() if not queue.durable}
        return replace(self.topology, exchanges=left, away=frozenset(gone))

    def passing_exchanges(self, exchange: str) -> tuple[str, ...]:
        """Return those of an exchange, its alternate exchange, and so on, that do not outlast the end of their broker."""
        return tuple(
            name
            for name in self.topology.chain(exchange)
            if name in self.topology.exchanges and name not in self.lasting.exchanges
        )

    def lasts_for(self, route: str, queue: str) -> bool:
        """Whether a route leads to one of its queues still once the broker has ended."""
        return queue in self.lasting.through(*self.topology.split(route))

    def exchanges_last_for(self, route: str, queue: str) -> bool:
        """Whether the exchanges of a route lead to one of its queues still once the broker has ended, if the queue is there."""
        return queue in replace(self.lasting, away=frozenset()).through(*self.topology.split(route))

    def leads_elsewhere(self) -> dict[str, list[tuple[int, int]]]:
        """Return by queue between which times its deaths may lead elsewhere, or nowhere as what led on has ended with the broker."""
        start = [position for route in self._routes for position in self.topology.start(route)]
        found: dict[str, list[tuple[int, int]]] = {}
        for each in self.diversions:
            for position in self.topology.reached(start):
                left, targets = each.topology.deaths(position), self.topology.deaths(position)
                if not set(left) <= set(targets) or (targets and not left and each.latest_ns == NEVER):
                    found.setdefault(position.queue, []).append((each.from_ns, each.latest_ns))
        return found

    @cached_property
    def diversions(self) -> tuple[Diversion, ...]:
        """When queues were away, each alone and together, so that messages to them may have gone to where an alternate exchange leads."""
        found: list[Diversion] = []
        for fault in self.faults:
            if self.ends_broker(fault):
                found += _together(found, Diversion(self.lasting, fault.at_ns, fault.struck_ns, NEVER, NEVER))
            elif fault.ends_node:
                for queues, back_ns in self._at_home(fault):
                    left = replace(self.topology, away=queues)
                    sure_ns = fault.struck_ns if queues <= self.facts.keys() else NEVER
                    latest_ns = back_ns if back_ns == NEVER else back_ns + BACK_NS
                    each = Diversion(left, fault.at_ns - WITHIN_NS, sure_ns, back_ns, latest_ns)
                    found += _together(found, each)
        for queue in filter(self.is_missing, self._declared.queues):
            left = replace(self.topology, away=frozenset({queue}))
            found += _together(found, Diversion(left, 0, NEVER, NEVER, NEVER))
        return tuple(found)

    def _at_home(self, fault: FaultRecord) -> Iterator[tuple[frozenset[str], int]]:
        """Yield which queues of a cluster were away together while a node was down, and until when: those that are not durable stay away.

        Of a queue whose home is not known it is not known either: with the others, alone, or not at all.
        """
        queues = frozenset(queue for queue in self._declared.queues if self.may_live_on(queue, fault.targets))
        known = frozenset(queues & self.facts.keys())
        for away in dict.fromkeys((queues, known, *(known | {queue} for queue in queues - known))):
            for_good = frozenset(queue for queue in away if not self.settings(queue).durable)
            for each, back_ns in ((away, over_ns(fault)), (for_good, NEVER)):
                if each:
                    yield each, back_ns

    def ways(self, route: str) -> Alternatives:
        """Return where a route leads to, and where else while queues are away and an alternate exchange takes over."""
        return _ways(self.topology.start(route), (each.topology.start(route) for each in self.diversions))

    def death_ways(self, position: Position) -> Alternatives:
        """Return where a death leads to, and where else while queues are away and an alternate exchange takes over."""
        ways = [self.topology.deaths(position), *(each.topology.deaths(position) for each in self.diversions)]
        learned = self._learned.get(position.queue)
        if learned is not None and not learned.together:
            ways = [*((target,) for way in ways for target in way), ()]
        return _ways(ways[0], ways[1:])

    def ends_broker(self, fault: FaultRecord) -> bool:
        """Whether a fault ends all nodes at once."""
        return fault.ends_node and len(fault.targets) >= self.nodes

    def has_foreign_consumers(self, queue: str) -> bool:
        """Whether the broker knew consumers of a queue that are not the run's."""
        return queue in self._of_others

    @cached_property
    def _of_others(self) -> frozenset[str]:
        return frozenset(each.name for look in self.glimpses for each in look.queues if each.foreign_consumers)

    def is_missing(self, queue: str) -> bool:
        """Whether the broker did not know a queue any more after the drain."""
        return self._left is not None and queue not in self._left

    @cached_property
    def _left(self) -> frozenset[str] | None:
        """Which queues the broker knew after the drain; None if it was not asked."""
        after = [look for look in self.glimpses if look.moment == "after the drain"]
        return frozenset(each.name for each in after[-1].queues) if after else None

    def held(self, queue: str) -> int:
        """Return how many messages a queue held after the drain for a target that refuses them."""
        return self._held.get(queue, 0)

    @cached_property
    def _held(self) -> Mapping[str, int]:
        after = [look for look in self.looks if look.moment == "after the drain"]
        return {each.name: each.held for look in reversed(after) for each in look.queues}

    def refuses_dead_letters_of(self, queue: str) -> bool:
        """Whether a dead letter target of a queue may refuse what comes: it has a limit, or is not there."""
        targets = self.targets(queue)
        policies = [self.policy(target) for target in targets]
        refuses = any(each.has_length_limit and each.refuses_when_full for each in policies)
        return not targets or refuses or any(map(self.is_missing, targets))

    def lives(self, route: str, rounds: int = 1) -> Lives:
        """Return the lives that a route's messages can have, of so many rounds."""
        return Lives((self.topology.start(route),), self.death_ways, rounds)

    def diverted_lives(self, ways: Alternatives, rounds: int = 1) -> Lives:
        """Return the lives of messages that may have taken one of several ways."""
        return Lives(ways, self.death_ways, rounds)

    @cached_property
    def roles(self) -> QueueRoles:
        """What the queues without workers are for."""
        return queue_roles(self.topology, self._routes, self.consumed)

    def gives_up(self, queue: str) -> bool:
        """Whether a queue gives messages up by itself: by a time to live, a length limit, or a delivery limit."""
        policy = self.policy(queue)
        limited = policy.has_length_limit or policy.most_redeliveries(self.rabbitmq) is not None
        return policy.message_ttl_s is not None or limited

    def takes_dead_letters(self, queue: str) -> bool:
        """Whether deaths in some queue lead to this one."""
        return any(queue in self.targets(source) for source in self._declared.queues)

    def unconfirmed_into(self, queue: str) -> tuple[str, ...]:
        """Return the groups of publishers that send to a queue without confirms; none if all groups do."""
        found = []
        for group in self.scenario.publishers:
            routes = publisher_routes(group, self.scenario.first_queue)
            starts = [position.queue for route in routes for position in self.topology.start(route)]
            if not group.confirms and queue in starts:
                found.append(group.name)
        return tuple(found) if len(found) < len(self.scenario.publishers) else ()

    def behind(self, queue: str) -> frozenset[str]:
        """Return the queues that messages can come to from a queue by deaths; itself only where a cycle leads back to it."""
        found: set[str] = set()
        waiting = [queue]
        while waiting:
            further = set(self.targets(waiting.pop())) - found
            found |= further
            waiting += further
        return frozenset(found)

    def targets(self, queue: str) -> tuple[str, ...]:
        """Return the queues that deaths in a queue lead to, for any message that can come there."""
        start = [position for route in self._routes for position in self.topology.start(route)]
        there = [position for position in self.topology.reached(start) if position.queue == queue]
        return tuple(dict.fromkeys(target.queue for position in there for target in self.topology.deaths(position)))
