"""Where messages can still move when the publishers are done: which queues have to be empty, and in which order they are asked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from harness.events import BrokerLook
from harness.scenario.routing import Topology, queue_roles
from harness.scenario.scenario import Scenario

SOON_S: Final = 2.0
"""A time to live that is waited for even if it leads to no worker, or if messages that were published there only expire."""


@dataclass(frozen=True, slots=True)
class Flow:
    """The queues whose messages move on by themselves."""

    moving: tuple[str, ...]
    """Queues with workers, those whose messages come to one by times to live, or by the hand of a consumer that is not the run's, and those that
    lead elsewhere, or nowhere, so soon that what the run finds would hang on a moment. Those that lead to others come first."""
    sources: tuple[str, ...]
    """Those of them that lead to others of them."""
    returning: frozenset[str]
    """Queues whose dead-lettered messages can come to a worker, at once or by way of others."""


def topology_in_force(scenario: Scenario, look: BrokerLook) -> Topology:
    """Return the scenario's topology with what the broker's policies add to it, as far as the broker was asked."""
    policies = {queue.name: queue.policy for queue in look.queues if queue.policy}
    return replace(scenario.topology, policies=policies, alternates=look.alternate_exchanges)


def flow(scenario: Scenario, look: BrokerLook) -> Flow:
    """Find where messages can still move, given the look before the traffic."""
    topology, consumed = topology_in_force(scenario, look), scenario.consumed_queues
    start = [position for route in scenario.routes for position in topology.start(route)]
    published_to = {position.queue for position in start}
    reached = topology.reached(start)
    leads: dict[str, set[str]] = {name: set() for name in scenario.queues}
    for position in reached:
        if not scenario.queues[position.queue].rests:
            leads[position.queue] |= {target.queue for target in topology.deaths(position)}
    returning = frozenset(name for name in leads if consumed & _beyond(name, leads))
    by_others = {queue.name for queue in look.queues if queue.foreign_consumers and queue.name in returning}
    delaying = queue_roles(topology, scenario.routes, consumed).delaying
    policies = {name: topology.policy(name) for name, queue in scenario.queues.items() if not queue.rests}
    soon = {
        name
        for name, policy in policies.items()
        if (policy.has_dead_letter_target or name in published_to) and (policy.message_ttl_s or math.inf) <= SOON_S
    }
    moving = (consumed | delaying | by_others | soon) & scenario.queues.keys()
    ordered = tuple(name for name in _sources_first(leads) if name in moving)
    sources = tuple(name for name in ordered if moving & _beyond(name, leads) - {name})
    return Flow(ordered, sources, returning)


def _beyond(start: str, leads: Mapping[str, set[str]]) -> set[str]:
    """Return all that a queue leads to, itself only if it leads back to itself."""
    found: set[str] = set()
    waiting = list(leads[start])
    while waiting:
        here = waiting.pop()
        if here not in found:
            found.add(here)
            waiting += leads[here]
    return found


def _sources_first(leads: Mapping[str, set[str]]) -> Iterator[str]:
    """Yield every queue before those that it leads to; in a cycle one of them has to be the first.

    A walk in depth leaves a queue when it has left all that it leads to, so the order of leaving, reversed, is the one.
    """
    left: list[str] = []
    entered: set[str] = set()
    for start in leads:
        walk = [(start, iter(sorted(leads[start])))] if start not in entered else []
        entered.add(start)
        while walk:
            here, targets = walk[-1]
            onward = next((target for target in targets if target not in entered), None)
            if onward is None:
                left.append(here)
                walk.pop()
            else:
                entered.add(onward)
                walk.append((onward, iter(sorted(leads[onward]))))
    yield from reversed(left)
