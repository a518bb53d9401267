"""The topology that a run's messages met: its queues as they were in force, and where routes and deaths lead to."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from harness.checks.tally.lives import Lives, Standing
from harness.events import BrokerLook, Event, QueueFacts
from harness.scenario.routing import parted, through
from harness.scenario.scenario import Scenario

_SMALLER = frozenset({"x-message-ttl", "x-max-length", "x-max-length-bytes", "x-expires", "x-delivery-limit"})
"""Of argument and policy, the smaller one is in force. Measured for x-max-length on 3.8.9 to 4.3.6; RabbitMQ's guide to policies."""


class Topology:
    """What the scenario declares, completed by what the broker said of it."""

    def __init__(self, scenario: Scenario, events: Sequence[Event]) -> None:
        """Know the scenario, and the looks at the broker among the events."""
        self.scenario = scenario
        self.looks = tuple(event for event in events if isinstance(event, BrokerLook) and not event.not_asked)
        self._targets: dict[Standing, tuple[Standing, ...]] = {}

    @cached_property
    def facts(self) -> dict[str, QueueFacts]:
        """What the broker last said of each queue that it knew."""
        return {queue.name: queue for look in self.looks for queue in look.queues}

    @cached_property
    def consumed(self) -> frozenset[str]:
        """The queues that the scenario's workers consume from."""
        return frozenset(group.queue or self.scenario.first_queue for group in self.scenario.workers)

    def arguments(self, queue: str) -> dict[str, Any]:
        """Return the arguments in force of a queue, as RabbitMQ names them, its policies included."""
        settings, facts = self.scenario.queues.get(queue), self.facts.get(queue)
        arguments: dict[str, Any] = {} if settings is None else settings.declaration_arguments()
        if facts is not None:
            arguments = dict(facts.arguments) | arguments
            for key, value in facts.policy.items():
                name = f"x-{key}"
                if name in _SMALLER and name in arguments:
                    arguments[name] = min(arguments[name], value)
                else:
                    arguments.setdefault(name, value)
        return arguments

    def is_quorum(self, queue: str) -> bool:
        """Whether a queue is a quorum queue."""
        return bool(self.arguments(queue).get("x-queue-type") == "quorum")

    def is_durable(self, queue: str) -> bool:
        """Whether a queue survives a restart of its node."""
        settings = self.scenario.queues.get(queue)
        if settings is not None:
            return settings.durable
        return queue not in self.facts or self.facts[queue].durable

    def set_by_policy(self, queue: str, argument: str) -> str:
        """Name the policy that set an argument in force; empty if the declaration did."""
        facts, settings = self.facts.get(queue), self.scenario.queues.get(queue)
        key = argument.removeprefix("x-")
        if facts is None or key not in facts.policy:
            return ""
        declared = {} if settings is None else settings.declaration_arguments()
        if argument in declared and declared[argument] == self.arguments(queue)[argument]:
            return ""
        return facts.policy_name or facts.operator_policy_name

    def first(self, route: str) -> tuple[Standing, ...]:
        """Return where a route's messages are first put; nothing if it leads to no queue."""
        exchange, key = parted(route, self.scenario)
        return tuple(Standing(queue, key) for queue in through(exchange, key, self.scenario))

    def dead_letters(self, queue: str) -> bool:
        """Whether a queue has a dead letter exchange, wherever that leads to."""
        return "x-dead-letter-exchange" in self.arguments(queue)

    def targets(self, standing: Standing) -> tuple[Standing, ...]:
        """Return where a death in a queue leads to. Without a dead letter routing key the message keeps the one that it has."""
        if standing not in self._targets:
            arguments = self.arguments(standing.queue)
            exchange = arguments.get("x-dead-letter-exchange")
            key = arguments.get("x-dead-letter-routing-key", standing.key)
            queues = () if exchange is None else through(str(exchange), str(key), self.scenario)
            self._targets[standing] = tuple(Standing(queue, str(key)) for queue in queues)
        return self._targets[standing]

    def lives(self, route: str, rounds: int = 1) -> Lives:
        """Return the lives that a route's messages can have, of so many rounds."""
        return Lives(self.first(route), self.targets, rounds)

    @cached_property
    def leading(self) -> frozenset[str]:
        """The queues that workers consume from, and those whose messages come to one of them by themselves."""
        found = set(self.consumed)
        while True:
            more = {name for name in self._names - found if found & {each.queue for each in self._moves_on_to(name)}}
            if not more:
                return frozenset(found)
            found |= more

    def is_work(self, queue: str) -> bool:
        """Whether workers are to empty a queue; where the scenario has none, every queue is."""
        return queue in self.consumed or not self.consumed

    def _moves_on_to(self, queue: str) -> tuple[Standing, ...]:
        """Return where messages go that nobody consumes from a queue; only a time to live moves them on."""
        settings = self.scenario.queues.get(queue)
        if "x-message-ttl" not in self.arguments(queue) or (settings is not None and settings.rests):
            return ()
        return self.all_targets(queue)

    def all_targets(self, queue: str) -> tuple[Standing, ...]:
        """Return where deaths in a queue lead to, whatever the routing key."""
        arguments = self.arguments(queue)
        if "x-dead-letter-exchange" not in arguments:
            return ()
        keys = {queue} if "x-dead-letter-routing-key" in arguments else self._keys
        return tuple(each for key in keys for each in self.targets(Standing(queue, key)))

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset({*self.scenario.queues, *self.facts})

    @cached_property
    def _keys(self) -> frozenset[str]:
        """The routing keys that messages can have."""
        keys = {group.routing_key for group in self.scenario.publishers if group.exchange is not None}
        keys |= self._names
        arguments = (self.arguments(name).get("x-dead-letter-routing-key") for name in self._names)
        return frozenset(keys | {str(key) for key in arguments if key is not None})
