"""Which queues a message comes to: by the bindings of the exchanges, and then by dead-lettering from queue to queue.

A message carries one routing key at a time. A death replaces it where the queue sets `x-dead-letter-routing-key`, and keeps it else; the
next death begins with that one (measured on 3.8.9, 3.10.8, 4.0.5 and 4.3.6). So where a message goes is a matter of the queue it is in
and of its key there: a `Position`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from harness.scenario.queue_policy import EffectivePolicy, effective_policy
from harness.scenario.topology import ALTERNATE_EXCHANGE, ArgumentValue, Binding, Exchange, Queue

if TYPE_CHECKING:
    from harness.scenario.scenario import Scenario
    from harness.scenario.traffic import Publishers, Workers

BUILT_IN_EXCHANGES: Final[Mapping[str, Exchange]] = {
    "amq.direct": Exchange.model_construct(type="direct", arguments={}),
    "amq.fanout": Exchange.model_construct(type="fanout", arguments={}),
    "amq.headers": Exchange.model_construct(type="headers", arguments={}),
    "amq.match": Exchange.model_construct(type="headers", arguments={}),
    "amq.topic": Exchange.model_construct(type="topic", arguments={}),
}
"""The exchanges that every virtual host has beside the default one."""


class Position(NamedTuple):
    """Where a message is, and the routing key with which its next death begins."""

    queue: str
    key: str


@dataclass(frozen=True, slots=True)
class Topology:
    """The queues, exchanges and bindings of a run, and what the broker's policies add to them."""

    queues: Mapping[str, Queue]
    exchanges: Mapping[str, Exchange]
    bindings: Sequence[Binding]
    policies: Mapping[str, Mapping[str, ArgumentValue]] = field(default_factory=dict)
    """By queue, the definition that the broker's policies have for it."""
    alternates: Mapping[str, str] = field(default_factory=dict)
    """By exchange, the alternate exchange that a policy of the broker sets."""
    away: frozenset[str] = frozenset()
    """The queues that are not there: nothing is routed to them."""

    def policy(self, queue: str) -> EffectivePolicy:
        """Return what is in force on a queue."""
        return effective_policy(self.queues[queue], self.policies.get(queue))

    def start(self, route: str) -> tuple[Position, ...]:
        """Return where a route's messages are first put, each with a copy of its own; none if it is unroutable.

        A route is named by its queue (through the default exchange), or `exchange/routing key`.
        """
        exchange, key = self.split(route)
        return tuple(Position(queue, key) for queue in self.through(exchange, key))

    def copies(self, route: str) -> int:
        """Return in how many queues a route's messages are put; a message that reaches no queue is one copy all the same."""
        return max(1, len(self.start(route)))

    def split(self, route: str) -> tuple[str, str]:
        """Return the exchange and the routing key that a route names."""
        known = (name for name in (*self.exchanges, *BUILT_IN_EXCHANGES) if route.startswith(f"{name}/"))
        exchange = max(known, key=len, default="")
        return (exchange, route[len(exchange) + 1 :]) if exchange else ("", route.removeprefix("/"))

    def deaths(self, position: Position) -> tuple[Position, ...]:
        """Return where a message comes to when its queue dead-letters it; none without a target, or with one that leads nowhere."""
        policy = self.policy(position.queue)
        if policy.dead_letter_exchange is None:
            return ()
        key = position.key if policy.dead_letter_routing_key is None else policy.dead_letter_routing_key
        return tuple(Position(queue, key) for queue in self.through(policy.dead_letter_exchange, key))

    def reached(self, start: Iterable[Position]) -> frozenset[Position]:
        """Return some positions and all that a message can come to from them by dead-lettering."""
        found: set[Position] = set()
        waiting = list(start)
        while waiting:
            here = waiting.pop()
            if here not in found:
                found.add(here)
                waiting += self.deaths(here)
        return frozenset(found)

    def chain(self, exchange: str) -> tuple[str, ...]:
        """Return an exchange, its alternate exchange, and so on."""
        found: list[str] = []
        at: object = exchange
        while isinstance(at, str) and at and at not in found:
            found.append(at)
            at = self._alternate(at)
        return tuple(found)

    def _there(self, queue: str) -> bool:
        return queue in self.queues and queue not in self.away

    def _alternate(self, exchange: str) -> object:
        settings = self.exchanges.get(exchange) or BUILT_IN_EXCHANGES.get(exchange)
        own = settings.arguments.get(ALTERNATE_EXCHANGE) if settings is not None else None
        return own if own is not None else self.alternates.get(exchange)

    def through(self, exchange: str, key: str) -> tuple[str, ...]:
        """Route by the bindings of an exchange, and where none fits by its alternate exchange."""
        passed: set[str] = set()
        while exchange not in passed:
            passed.add(exchange)
            if exchange == "":
                return (key,) if self._there(key) else ()
            settings = self.exchanges.get(exchange) or BUILT_IN_EXCHANGES.get(exchange)
            if settings is None:
                return ()
            bound = (each for each in self.bindings if each.exchange == exchange and self._there(each.queue))
            found = tuple(dict.fromkeys(binding.queue for binding in bound if _fits(settings.type, binding, key)))
            alternate = self._alternate(exchange)
            if found or not isinstance(alternate, str):
                return found
            exchange = alternate
        return ()


def _fits(kind: str, binding: Binding, key: str) -> bool:
    match kind:
        case "fanout":
            return True
        case "topic":
            return topic_matches(binding.routing_key, key)
        case "headers":
            # The harness publishes without headers: a binding that asks for one never fits.
            how = str(binding.arguments.get("x-match", "all"))
            names = [name for name in binding.arguments if name != "x-match"]
            asked = names if how.endswith("-with-x") else [name for name in names if not name.startswith("x-")]
            return not asked and how.startswith("all")
        case _:
            return binding.routing_key == key


def topic_matches(pattern: str, key: str) -> bool:
    """Whether a topic binding matches: `*` is one word, `#` is any number of words.

    It goes through the pattern once, with all numbers of words that what came before may have taken: no pattern takes long.
    """
    words = key.split(".") if key else []
    taken = {0}
    for part in pattern.split(".") if pattern else []:
        if part == "#":
            taken = set(range(min(taken, default=len(words) + 1), len(words) + 1))
        else:
            taken = {end + 1 for end in taken if end < len(words) and part in ("*", words[end])}
    return len(words) in taken


def queue_route(queue: str) -> str:
    """Name the route to a queue through the default exchange, so that no exchange is read out of the queue's name."""
    return f"/{queue}" if "/" in queue else queue


def publisher_routes(group: Publishers, first_queue: str) -> tuple[str, ...]:
    """Name the routes that a group's messages take, in turn."""
    if group.exchange is not None:
        return (f"{group.exchange}/{group.routing_key}",)
    return tuple(map(queue_route, (group.to,) if isinstance(group.to, str) else group.to or (first_queue,)))


def route_queues(route: str, scenario: Scenario) -> tuple[str, ...]:
    """Return the queues that a route's messages end up in, each with a copy of its own; none if it is unroutable."""
    return tuple(position.queue for position in scenario.topology.start(route))


def dead_letter_queues(queue: str, route: str, scenario: Scenario, *, died_in: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the queues that get what a queue dead-letters of a route's messages; none if it has no target, or one that leads nowhere.

    `died_in` names the queues in which a message died before it came to this one, from the first on: each may have set its key anew.
    """
    topology = scenario.topology
    key = topology.split(route)[1]
    for passed in died_in:
        own = topology.policy(passed).dead_letter_routing_key
        key = key if own is None else own
    return tuple(position.queue for position in topology.deaths(Position(queue, key)))


def downstream(queue: str, route: str, scenario: Scenario) -> frozenset[str]:
    """Return a queue and all that a route's messages can come to from it by dead-lettering."""
    topology = scenario.topology
    return frozenset(position.queue for position in topology.reached([Position(queue, topology.split(route)[1])]))


@dataclass(frozen=True, slots=True)
class QueueRoles:
    """What queues without workers are for."""

    resting: frozenset[str]
    """Where messages come to rest: they are dead-lettered there, or the queue `rests`; nothing leads out of it to a worker."""
    delaying: frozenset[str]
    """Delay and retry queues: messages move on from there when their time to live is over, at last to a queue with workers."""


def queue_roles(topology: Topology, routes: Iterable[str], consumed: frozenset[str]) -> QueueRoles:
    """Find the roles of the queues, given the routes of all messages and the queues that workers consume from."""
    start = [position for route in routes for position in topology.start(route)]
    reached = topology.reached(start)
    parked = {name for name, queue in topology.queues.items() if queue.rests}
    delaying = {each.queue for each in reached if _moves_on_to(each, topology, consumed, parked)}
    died = {target.queue for position in reached for target in topology.deaths(position)}
    return QueueRoles(frozenset((died | parked) - consumed - delaying), frozenset(delaying))


def _moves_on_to(start: Position, topology: Topology, consumed: frozenset[str], parked: set[str]) -> bool:
    """Whether messages of a position in a queue without workers come to one with workers by nothing but times to live."""
    if start.queue in consumed:
        return False
    passed: set[Position] = set()
    waiting = [start]
    while waiting:
        here = waiting.pop()
        if here.queue in consumed:
            return True
        if here not in passed and here.queue not in parked and topology.policy(here.queue).message_ttl_s is not None:
            waiting += topology.deaths(here)
        passed.add(here)
    return False


def publishers_of(actor: str, scenario: Scenario) -> Publishers | None:
    """Return the group of a publisher; None for one that is none of the scenario's (by hand)."""
    return next((group for group in scenario.publishers if _belongs(actor, group.name)), None)


def workers_of(actor: str, scenario: Scenario) -> Workers | None:
    """Return the group of a worker."""
    return next((group for group in scenario.workers if _belongs(actor, group.name)), None)


def _belongs(actor: str, group: str) -> bool:
    name, _, number = actor.rpartition("-")
    return name == group and number.isdecimal()
