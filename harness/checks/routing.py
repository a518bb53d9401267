"""Which queues a route leads to, worked out from the scenario's topology; and who consumes from them how."""

from __future__ import annotations

from fnmatch import fnmatchcase

from harness.scenario.scenario import Scenario
from harness.scenario.topology import Queue
from harness.scenario.traffic import Publishers, Workers


def route_queues(route: str, scenario: Scenario) -> tuple[str, ...]:
    """Return the queues that a route's messages end up in; none if it is unroutable.

    A route is named by its queue (through the default exchange), or `exchange/routing key`.
    """
    if "/" not in route:
        return (route,) if route in scenario.queues else ()
    exchange, _, key = route.partition("/")
    if exchange == "":
        return (key,) if key in scenario.queues else ()
    kind = scenario.exchanges[exchange].type if exchange in scenario.exchanges else "direct"
    found = []
    for binding in scenario.bindings:
        matches = {
            "fanout": True,
            "headers": True,
            "direct": binding.routing_key == key,
            "topic": topic_matches(binding.routing_key, key),
        }[kind]
        if binding.exchange == exchange and matches:
            found.append(binding.queue)
    return tuple(found)


def topic_matches(pattern: str, key: str) -> bool:
    """Whether a topic binding matches: `*` is one word, `#` is any number of words."""

    def match(patterns: list[str], words: list[str]) -> bool:
        if not patterns:
            return not words
        if patterns[0] == "#":
            return any(match(patterns[1:], words[taken:]) for taken in range(len(words) + 1))
        return bool(words) and patterns[0] in ("*", words[0]) and match(patterns[1:], words[1:])

    return match(pattern.split("."), key.split(".") if key else [""])


def publishers_of(actor: str, scenario: Scenario) -> Publishers | None:
    """Return the group of a publisher; None for one that is none of the scenario's (by hand)."""
    return next((group for group in scenario.publishers if _belongs(actor, group.name)), None)


def workers_of(actor: str, scenario: Scenario) -> Workers | None:
    """Return the group of a worker."""
    return next((group for group in scenario.workers if _belongs(actor, group.name)), None)


def _belongs(actor: str, group: str) -> bool:
    return fnmatchcase(actor, f"{group}-[0-9]*") and actor.rpartition("-")[0] == group


def acks_of(queue: str, scenario: Scenario) -> frozenset[str]:
    """Return how the workers of a queue acknowledge."""
    return frozenset(group.acks for group in scenario.workers if (group.queue or scenario.first_queue) == queue)


def settings_of(queue: str, scenario: Scenario) -> Queue | None:
    """Return a queue's settings; None if the scenario has no such queue."""
    return scenario.queues.get(queue)
