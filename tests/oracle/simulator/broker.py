"""The simulated broker: exchanges, queues, confirms, and what it says of itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

from harness.events import BindingFacts, BrokerLook, QueueFacts
from harness.scenario.scenario import Scenario
from tests.oracle.simulator.queues import WRITTEN_AFTER, Consumer, Receiver, Settings, SimQueue, Value, in_force
from tests.oracle.simulator.truth import Copy, End, Instance, Truth
from tests.oracle.simulator.world import MS, Wire, World

Moment = Literal["before the traffic", "after the drain"]
LED_AFTER = (0, 500 * MS)
"""How long after its node is back a quorum queue has a leader again; a classic queue serves at once."""


@dataclass(frozen=True)
class BrokerPlan:
    """What is different from a fresh broker of the latest version."""

    version: str = "4.0.5"
    policies: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    """By queue."""
    counts: bool = True
    """Whether it counts by reason what it throws away."""
    answers: bool = True
    """Whether it can be asked at all."""


@dataclass(eq=False)
class Link:
    """A client's connection as the broker knows it."""

    name: str
    wire: Wire
    lost: Callable[[], None]
    """Is called at the client when it learns that the connection is gone."""
    node: int = 0
    foreign: bool = False
    consumers: list[tuple[SimQueue, Consumer]] = field(default_factory=list)
    to_confirm: list[int] = field(default_factory=list)
    client_lives: bool = True


class Broker:
    """A node, or a cluster of some: each classic queue has its home on one of them, quorum queues are on all."""

    def __init__(self, world: World, scenario: Scenario, plan: BrokerPlan, truth: Truth) -> None:
        self.world, self.scenario, self.plan, self.truth = world, scenario, plan, truth
        self.nodes = tuple(f"n{number}" for number in range(1, scenario.broker.nodes + 1))
        self.down: set[int] = set()
        self.last_fault: int | None = None
        self.links: list[Link] = []
        self.queues: dict[str, SimQueue] = {}
        self.counters: dict[int, dict[str, int]] = {node: defaultdict(int) for node in range(len(self.nodes))}
        self.starts = [1] * len(self.nodes)
        self.exchanges = set(scenario.exchanges)
        """Those that are there."""
        self.under_way = 0
        """How many dead letters are on their way to their targets."""
        limit = 20 if plan.version.startswith("4") else None
        for name, queue in scenario.queues.items():
            settings = in_force(
                queue.declaration_arguments(), plan.policies.get(name, {}), durable=queue.durable, limit=limit
            )
            self.queues[name] = self.make_queue(name, settings)
            self.queues[name].home = world.random.randrange(len(self.nodes))

    def make_queue(self, name: str, settings: Settings) -> SimQueue:
        return SimQueue(self.world, self, name, settings)

    def count(self, queue: SimQueue, what: str) -> None:
        self.counters[queue.home][what] += 1

    def reachable(self, queue: SimQueue) -> bool:
        """Whether a queue can be reached: its home, or more than half of the nodes for a quorum queue."""
        if not queue.exists:
            return False
        if queue.settings.type == "quorum":
            return 2 * len(self.down) < len(self.nodes)
        return queue.home not in self.down

    def serves(self, queue: SimQueue) -> bool:
        """Whether a queue does anything: one that can be reached, and has a leader."""
        return self.reachable(queue) and self.world.now >= queue.led_ns

    @property
    def led_ns(self) -> int:
        """From when on all queues have leaders."""
        return max(queue.led_ns for queue in self.queues.values())

    # Routing.

    def route(self, exchange: str, key: str) -> tuple[str, ...]:
        """Names of the queues that a message to an exchange reaches."""
        return tuple(name for name in self.bound(exchange, key, ()) if self.reachable(self.queues[name]))

    def bound(self, exchange: str, key: str, passed: tuple[str, ...], *, declared: bool = False) -> tuple[str, ...]:
        """Names of the queues that it would reach, if all were there; with `declared` all exchanges are there as well."""
        if exchange == "":
            return (key,) if key in self.queues else ()
        if exchange in passed or exchange not in (self.scenario.exchanges if declared else self.exchanges):
            return ()
        model = self.scenario.exchanges[exchange]
        reached: list[str] = []
        for binding in self.scenario.bindings:
            if binding.exchange != exchange or binding.queue in reached:
                continue
            if (
                model.type == "fanout"
                or binding.routing_key == key
                or (model.type == "topic" and _topic(binding.routing_key, key))
            ):
                reached.append(binding.queue)
        alternate = model.arguments.get("alternate-exchange")
        if not reached and isinstance(alternate, str):
            return self.bound(alternate, key, (*passed, exchange), declared=declared)
        return tuple(reached)

    # Publishing.

    def publish(
        self,
        message: Instance,
        exchange: str,
        *,
        mandatory: bool,
        returned: Callable[[], None],
        settle: Callable[[bool], None],
    ) -> None:
        """Take a publish: `message` is a pattern for the copies; `settle` is called with True once it is refused, False once taken.

        A quorum queue without a leader takes it when it has one.
        """
        queues = self.route(exchange, message.route_key)
        bound = self.bound(exchange, message.route_key, (), declared=True)
        for name in set(bound) - set(queues):
            copy_truth = self.truth.of(Copy(*message.key, name))
            copy_truth.not_routed.append(message.attempt)
            copy_truth.queue_removed |= self.queues[name].removed
        if not queues:
            if not bound:
                self.truth.of(Copy(*message.key, ""))
            if mandatory:
                returned()
            settle(False)
            return
        led_ns = max(self.queues[name].led_ns for name in queues)
        if led_ns > self.world.now:
            self.world.at(led_ns, lambda: self._put(message, queues, settle))
        else:
            self._put(message, queues, settle)

    def _put(self, message: Instance, queues: tuple[str, ...], settle: Callable[[bool], None]) -> None:
        refused, written = False, []
        for name in queues:
            copy = Copy(*message.key, name)
            instance = Instance(copy, message.attempt, message.route_key, message.persistent, list(message.deaths))
            instance.first_death, instance.carried = message.first_death, message.carried
            self.truth.add(instance)
            if self.queues[name].put(instance):
                written.append(instance)
            else:
                refused = True
                if self.queues[name].settings.overflow != "reject-publish-dlx":
                    self.queues[name].finish(instance, End.REFUSED)
        wait = 0 if all(each.written for each in written) else self.world.between(*WRITTEN_AFTER)
        places = [each.place for each in written]

        def done() -> None:
            for instance, place in zip(written, places, strict=True):
                instance.write(place)
            settle(refused)

        self.world.after(wait, done)

    # Connections.

    def connect(self, name: str, node: int, lost: Callable[[], None], *, foreign: bool = False) -> Link | None:
        """Accept a client on a node, counted from 0 and over again; None while it is down."""
        node %= len(self.nodes)
        if node in self.down:
            return None
        link = Link(name, Wire(self.world), lost, node, foreign)
        self.links.append(link)
        return link

    def consume(self, link: Link, queue: str, receiver: Receiver, *, prefetch: int, automatic: bool) -> Consumer | None:
        """Begin to deliver; None if the queue is not there."""
        there = self.queues[queue]
        if not self.serves(there):
            return None
        consumer = Consumer(receiver, prefetch, automatic, link.foreign, link.node)
        consumer.tags = max((before.tags for _, before in link.consumers), default=0)  # they count on, by channel
        link.consumers.append((there, consumer))
        there.consume(consumer)
        return consumer

    def drop(self, link: Link, *, client_lives: bool) -> None:
        """The connection is cut, by the client's death or by what is between; the broker notices after a while."""
        if link not in self.links:
            return
        link.client_lives = client_lives
        broker_ns, client_ns = link.wire.cut(client_lives=client_lives, broker_lives=True)
        self.world.at(broker_ns, lambda: self._forget(link))
        if client_lives:
            self.world.at(client_ns, link.lost)

    def leave(self, link: Link) -> None:
        """The client closes in order."""
        self._forget(link)

    def _forget(self, link: Link) -> None:
        if link in self.links:
            self.links.remove(link)
            for queue, consumer in link.consumers:
                if queue.exists:
                    queue.forget(consumer)

    # The node.

    def go_down(self, node: int, fault: int, *, kill: bool) -> None:
        """A node is gone, with all that it does not have on disk, and with the last one what was only declared."""
        self.down.add(node)
        if len(self.down) == len(self.nodes):
            self.exchanges -= {name for name, each in self.scenario.exchanges.items() if not each.durable}
        self.last_fault = fault
        for link in [each for each in self.links if each.node == node]:
            _, client_ns = link.wire.cut(client_lives=link.client_lives, broker_lives=False)
            if link.client_lives:
                self.world.at(client_ns, link.lost)
            self.links.remove(link)
        for queue in self.queues.values():
            if len(self.nodes) == 1 or (queue.settings.type == "classic" and queue.home == node):
                for consumer in queue.consumers:
                    consumer.receiver.cancelled(queue.name)
                self._survive(queue, fault, kill=kill)
            elif queue.settings.type == "quorum" or queue.home != node:
                for consumer in [each for each in queue.holders if each.node == node]:
                    queue.forget(consumer)

    def _survive(self, queue: SimQueue, fault: int, *, kill: bool) -> None:
        back = [instance for consumer in queue.holders for instance in consumer.unsettled.values()]
        queue.consumers.clear()
        queue.holders.clear()
        kept: list[Instance] = []
        for instance in [each for _, _, each in queue.ready] + back:
            durable = queue.settings.type == "quorum" or (queue.settings.durable and instance.persistent)
            if durable and (instance.written or not kill or self.world.random.random() < 0.5):
                kept.append(instance)
            else:
                queue.finish(instance, End.BROKER, fault)
        queue.ready.clear()
        for at_ns, instance in queue.acked:
            unwritten = kill and instance.persistent and queue.settings.durable
            if unwritten and self.world.now - at_ns < WRITTEN_AFTER[1] and self.world.random.random() < 0.3:
                instance.end = None
                kept.append(instance)
        queue.acked.clear()
        for instance in kept:
            instance.redelivered = instance.redelivered or instance in back or kill
            queue.ready.append((instance.position, id(instance), instance))
            if queue.settings.type == "quorum" and instance in back:
                instance.delivery_count += 1
        queue.ready.sort()
        if not queue.settings.durable:
            queue.exists = False

    def come_back(self, node: int) -> None:
        self.down.discard(node)
        self.starts[node] += 1
        self.counters[node].clear()
        for queue in self.queues.values():
            if queue.settings.type == "quorum" and len(self.nodes) == 1:
                queue.led_ns = self.world.now + self.world.between(*LED_AFTER)
        for queue in self.queues.values():
            self.world.at(queue.led_ns, partial(self._serve_again, queue))

    @staticmethod
    def _serve_again(queue: SimQueue) -> None:
        queue.touch()
        queue.pump()
        for _, _, instance in queue.ready:
            if instance.expires_ns is not None:
                queue.world.at(instance.expires_ns, queue.pump)

    def declare(self, name: str) -> None:
        """Declare a queue again that is not there any more."""
        before = self.queues[name]
        self.queues[name] = self.make_queue(name, before.settings)
        self.queues[name].home = before.home

    # What it says of itself.

    def look(self, moment: Moment, variant: str) -> BrokerLook:
        if not self.plan.answers:
            return BrokerLook(
                at_ns=self.world.now,
                variant=variant,
                moment=moment,
                not_asked="rabbitmqctl cannot be run",
                queues=tuple(self._passively(queue) for queue in self.queues.values() if queue.exists),
            )
        foreign = tuple(link.name for link in self.links if link.foreign)
        exchanges = {name: each for name, each in self.scenario.exchanges.items() if name in self.exchanges}
        return BrokerLook(
            at_ns=self.world.now,
            variant=variant,
            moment=moment,
            own_virtual_host=not foreign,
            queues=tuple(self._facts(queue) for queue in self.queues.values() if queue.exists),
            exchanges={name: exchange.type for name, exchange in exchanges.items()},
            alternate_exchanges={
                name: str(exchange.arguments["alternate-exchange"])
                for name, exchange in exchanges.items()
                if "alternate-exchange" in exchange.arguments
            },
            bindings=tuple(
                BindingFacts(
                    exchange=binding.exchange,
                    destination=binding.queue,
                    to_exchange=False,
                    routing_key=binding.routing_key,
                    arguments={},
                )
                for binding in self.scenario.bindings
                if self.queues[binding.queue].exists and binding.exchange in exchanges
            ),
            foreign_connections=foreign,
            dead_lettered={self.nodes[node]: dict(counts) for node, counts in self.counters.items()}
            if self.plan.counts
            else {},
            node_started={node: str(starts) for node, starts in zip(self.nodes, self.starts, strict=True)},
        )

    def _passively(self, queue: SimQueue) -> QueueFacts:
        """What a passive declare says."""
        facts = self._facts(queue)
        return replace(facts, arguments={}, policy={}, policy_name="", unacknowledged=0, held=0, node="", state="")

    def _facts(self, queue: SimQueue) -> QueueFacts:
        policy = dict(self.plan.policies.get(queue.name, {}))
        unsettled = sum(len(consumer.unsettled) for consumer in queue.holders)
        return QueueFacts(
            name=queue.name,
            type=queue.settings.type,
            durable=queue.settings.durable,
            arguments={**self.scenario.queues[queue.name].declaration_arguments()},
            policy=policy,
            policy_name=f"policy of {queue.name}" if policy else "",
            operator_policy_name="",
            consumers=len(queue.consumers),
            foreign_consumers=sum(consumer.foreign for consumer in queue.consumers),
            ready=len(queue.ready),
            unacknowledged=unsettled,
            held=len(queue.held),
            node=self.nodes[queue.home],
            state="running",
        )


def _topic(pattern: str, key: str) -> bool:
    def fits(patterns: list[str], words: list[str]) -> bool:
        if not patterns:
            return not words
        if patterns[0] == "#":
            return fits(patterns[1:], words) or (bool(words) and fits(patterns, words[1:]))
        return bool(words) and patterns[0] in ("*", words[0]) and fits(patterns[1:], words[1:])

    return fits(pattern.split("."), key.split("."))
