"""Which queues a route leads to, worked out from the scenario's topology; and who consumes from them how."""

from __future__ import annotations

from harness.scenario.scenario import Scenario
from harness.scenario.topology import Binding, DeadLetter
from harness.scenario.traffic import Publishers, Workers


def route_queues(route: str, scenario: Scenario) -> tuple[str, ...]:
    """Return the queues that a route's messages end up in, each with a copy of its own; none if it is unroutable.

    A route is named by its queue (through the default exchange), or `exchange/routing key`.
    """
    exchange, key = parted(route, scenario)
    return through(exchange, key, scenario)


def parted(route: str, scenario: Scenario) -> tuple[str, str]:
    """Return the exchange and the routing key of a route."""
    exchange = max((name for name in scenario.exchanges if route.startswith(f"{name}/")), key=len, default="")
    return exchange, route[len(exchange) + 1 :] if exchange else route.removeprefix("/")


def through(exchange: str, key: str, scenario: Scenario, passed: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Return the queues that an exchange sends to, by its bindings or, where none fits, by its alternate exchange."""
    if exchange == "":
        return (key,) if key in scenario.queues else ()
    if exchange not in scenario.exchanges or exchange in passed:
        return ()
    settings = scenario.exchanges[exchange]
    bindings = (binding for binding in scenario.bindings if binding.exchange == exchange)
    found = tuple(dict.fromkeys(binding.queue for binding in bindings if _fits(settings.type, binding, key)))
    alternate = settings.arguments.get("alternate-exchange")
    if found or not isinstance(alternate, str):
        return found
    return through(alternate, key, scenario, passed | {exchange})


def _fits(kind: str, binding: Binding, key: str) -> bool:
    match kind:
        case "fanout":
            return True
        case "topic":
            return topic_matches(binding.routing_key, key)
        case "headers":
            # The harness publishes without headers: a binding that asks for one never fits.
            asked = any(not name.startswith("x-") for name in binding.arguments)
            return not asked and binding.arguments.get("x-match", "all") in ("all", "all-with-x")
        case _:
            return binding.routing_key == key


def topic_matches(pattern: str, key: str) -> bool:
    """Whether a topic binding matches: `*` is one word, `#` is any number of words."""

    def match(patterns: list[str], words: list[str]) -> bool:
        if not patterns:
            return not words
        if patterns[0] == "#":
            return any(match(patterns[1:], words[taken:]) for taken in range(len(words) + 1))
        return bool(words) and patterns[0] in ("*", words[0]) and match(patterns[1:], words[1:])

    return match(pattern.split(".") if pattern else [], key.split(".") if key else [])


def dead_letter_queues(queue: str, route: str, scenario: Scenario) -> tuple[str, ...]:
    """Return the queues that get what a queue dead-letters of a route's messages; none if it has no target, or one that leads nowhere."""
    match scenario.queues[queue].dead_letter:
        case str(target):
            return (target,) if target in scenario.queues else ()
        case DeadLetter(exchange=exchange, routing_key=key):
            own = route.partition("/")[2] if "/" in route else route
            return through(exchange, own if key is None else key, scenario)
        case _:
            return ()


def downstream(queue: str, route: str, scenario: Scenario) -> frozenset[str]:
    """Return a queue and all that its messages can come to by dead-lettering."""
    found: set[str] = set()
    waiting = [queue]
    while waiting:
        here = waiting.pop()
        if here not in found:
            found.add(here)
            waiting += dead_letter_queues(here, route, scenario)
    return frozenset(found)


def publishers_of(actor: str, scenario: Scenario) -> Publishers | None:
    """Return the group of a publisher; None for one that is none of the scenario's (by hand)."""
    return next((group for group in scenario.publishers if _belongs(actor, group.name)), None)


def workers_of(actor: str, scenario: Scenario) -> Workers | None:
    """Return the group of a worker."""
    return next((group for group in scenario.workers if _belongs(actor, group.name)), None)


def _belongs(actor: str, group: str) -> bool:
    name, _, number = actor.rpartition("-")
    return name == group and number.isdecimal()
