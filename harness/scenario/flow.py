"""How many copies of messages can come to each queue, and in what ways they can leave it other than by being done.

A message that an exchange routes to three queues is three copies; so is one that is dead-lettered into three. What is found here is the
most there can be, for checks before a run: what a scenario waits for, and what it should speak of.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from harness.effects import Cuts
from harness.scenario.queue_policy import FIRST_WITH_DELIVERY_LIMIT, EffectivePolicy
from harness.scenario.routing import Position, Topology, publisher_routes, queue_route
from harness.scenario.scenario import Scenario
from harness.scenario.traffic import Fails, Publishers, Workers


class Death(StrEnum):
    """Why a queue gives a copy up: to its dead letter target, or for good where it has none."""

    EXPIRED = "expired"
    LENGTH = "length limit"
    REJECTED = "rejected"
    DELIVERY_LIMIT = "delivery limit"


@dataclass(frozen=True, slots=True)
class Source:
    """Messages of one route."""

    route: str
    messages: int | None
    """None where nothing bounds them."""
    group: Publishers | None
    """None for what a step publishes by hand."""


class Flow:
    """The way of a scenario's messages through its queues."""

    def __init__(self, scenario: Scenario) -> None:
        """Follow a scenario."""
        self._scenario = scenario
        self.topology: Topology = scenario.topology

    @cached_property
    def sources(self) -> tuple[Source, ...]:
        """All that is published."""
        return tuple(self._sources())

    def _sources(self) -> Iterator[Source]:
        for group in self._scenario.publishers:
            routes = publisher_routes(group, self._scenario.first_queue)
            each = _most_each(group)
            for turn, route in enumerate(routes):
                mine = None if each is None else group.count * len(range(turn, each, len(routes)))
                yield Source(route, mine, group)
        for step in self._scenario.timeline:
            if count := step.action.publishes()[0]:
                queue = dict(step.action.actors()).get("queue", self._scenario.first_queue)
                yield Source(queue_route(queue), count, None)

    @cached_property
    def targets(self) -> Mapping[Position, tuple[Position, ...]]:
        """Where messages can come to, and where deaths lead to from there; nowhere if none can happen."""
        found: dict[Position, tuple[Position, ...]] = {}
        waiting = [position for source in self.sources for position in self.topology.start(source.route)]
        while waiting:
            here = waiting.pop()
            if here not in found:
                found[here] = self.topology.deaths(here) if self.deaths(here.queue) else ()
                waiting += found[here]
        return found

    @cached_property
    def queues(self) -> Mapping[str, EffectivePolicy]:
        """The queues that messages can come to, in the order of the scenario, and what is in force on them."""
        reached = {position.queue for position in self.targets}
        return {name: self.topology.policy(name) for name in self._scenario.queues if name in reached}

    def workers(self, queue: str) -> Iterator[tuple[int, Workers]]:
        """Find the groups that consume from a queue, each with its place in the scenario."""
        for index, group in enumerate(self._scenario.workers):
            if (group.queue or self._scenario.first_queue) == queue:
                yield index, group

    def deaths(self, queue: str) -> frozenset[Death]:
        """Return why a queue can give copies up, however many come to it."""
        policy = self.topology.policy(queue)
        groups = [group for _, group in self.workers(queue)]
        failing = [fails for group in groups if group.acks == "manual" for fails in group.fails]
        found = set()
        if policy.message_ttl_s is not None:
            found.add(Death.EXPIRED)
        if policy.has_length_limit and policy.overflow != "reject-publish":
            found.add(Death.LENGTH)
        if any(fails.by == "reject" for fails in failing):
            found.add(Death.REJECTED)
        if policy.type == "quorum" and groups and self._most_returns(failing) > _delivery_limit(policy):
            found.add(Death.DELIVERY_LIMIT)
        return frozenset(found)

    def _most_returns(self, failing: Sequence[Fails]) -> float:
        """Return how often a delivery can come back to its queue."""
        again = [fails for fails in failing if fails.by != "reject"]
        if any(not fails.first_delivery_only and fails.attempts is None for fails in again):
            return math.inf
        steps = (step.action for step in self._scenario.timeline)
        return sum(fails.attempts or 1 for fails in again) + sum(
            step.strikes() for step in steps if step.effects().cuts is not Cuts.NOBODY
        )

    @cached_property
    def most_copies(self) -> int | None:
        """How many copies there can be in all; None where nothing bounds them. One that reaches no queue is a copy, too."""
        return self._total(self.sources, None)

    def most_in(self, queue: str) -> int | None:
        """Return how many copies can be in a queue at once; None where nothing bounds them."""
        return self._total(self.sources, queue)

    def _total(self, sources: Iterable[Source], queue: str | None) -> int | None:
        total = 0
        for source in sources:
            starts = self.topology.start(source.route)
            if not starts and queue is None and source.messages is not None:
                total += source.messages
            for start in starts:
                if queue is not None and queue not in self._leads_to(start):
                    continue
                becomes = self._becomes.get(start)
                if source.messages is None or becomes is None:
                    return None
                total += source.messages * becomes
        return total

    def _leads_to(self, start: Position) -> frozenset[str]:
        """Return the queues that a message can come to from a position, its own included."""
        found: set[Position] = set()
        waiting = [start]
        while waiting:
            here = waiting.pop()
            if here not in found:
                found.add(here)
                waiting += self.targets[here]
        return frozenset(position.queue for position in found)

    @cached_property
    def _becomes(self) -> Mapping[Position, int | None]:
        """By position, how many copies one can become there.

        Positions that nothing leads on from, or nothing but what leads to such ones, are taken away first, those at the end of the way
        before the others: each becomes as many as its targets do together. What remains leads into a cycle. A copy goes round in it as it
        is, unless a death in it leads to several queues: then each round adds some, and nothing bounds them.
        """
        becomes: dict[Position, int | None] = {}
        sources: dict[Position, list[Position]] = {position: [] for position in self.targets}
        for position, targets in self.targets.items():
            for target in targets:
                sources[target].append(position)
        open_targets = {position: len(targets) for position, targets in self.targets.items()}
        waiting = [position for position, number in open_targets.items() if number == 0]
        while waiting:
            here = waiting.pop()
            becomes[here] = max(1, sum(becomes[target] or 0 for target in self.targets[here]))
            for source in sources[here]:
                open_targets[source] -= 1
                if open_targets[source] == 0:
                    waiting.append(source)
        circling = [position for position in self.targets if position not in becomes]
        bounded = all(len(self.targets[position]) == 1 for position in circling)
        return becomes | dict.fromkeys(circling, 1 if bounded else None)


def most_messages(group: Publishers) -> int | None:
    """Return how many messages a group can publish in all; None where nothing bounds them."""
    each = _most_each(group)
    return None if each is None else group.count * each


def _most_each(group: Publishers) -> int | None:
    """Return how many messages one publisher of a group can publish."""
    if group.messages_each is None and isinstance(group.duration, float) and group.rate_per_s is not None:
        return int(group.duration * group.rate_per_s) + 1
    return group.messages_each


def _delivery_limit(policy: EffectivePolicy) -> float:
    """Return how often a quorum queue takes a delivery back, by the versions of RabbitMQ that have a default."""
    limit = policy.most_redeliveries(FIRST_WITH_DELIVERY_LIMIT)
    return math.inf if limit is None else limit
