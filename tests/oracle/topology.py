"""How messages go through the broker, read from the scenario and from what the broker says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.effects import Becomes
from harness.events import BrokerLook, BrokerStarted, FaultInjected
from harness.history.history import History
from harness.scenario.scenario import Scenario

MS = 1_000_000


@dataclass(frozen=True)
class QueueSettings:
    """What is in force on one queue."""

    name: str
    kind: str
    durable: bool
    dead_letters: tuple[str, str | None] | None
    """Exchange and routing key; None without a target."""
    at_least_once: bool
    limit: int | None
    limit_by: str
    """Who set it: `queue` or `policy`; so for the others."""
    overflow: str
    ttl_ns: int | None
    ttl_by: str
    delivery_limit: int | None
    expires_ns: int | None
    single_active: bool


class Topology:
    """Queues with what is in force on them, and where messages go from exchanges and by dying."""

    def __init__(self, scenario: Scenario, history: History) -> None:
        self.scenario = scenario
        self.looks = [event for event in history.events if isinstance(event, BrokerLook)]
        looks = [look for look in self.looks if not look.not_asked]
        self.first = next((look for look in looks if look.moment == "before the traffic"), None)
        self.last = next((look for look in looks if look.moment == "after the drain"), None)
        self.nodes = next((len(event.nodes) for event in history.events if isinstance(event, BrokerStarted)), 1)
        version = next((event.rabbitmq for event in history.events if hasattr(event, "rabbitmq")), "")
        self._ended_ns = [
            event.struck_at_ns
            for event in history.events
            if isinstance(event, FaultInjected) and event.effects.node in (Becomes.KILLED, Becomes.STOPPED)
        ]
        self.body_bytes = int(scenario.publishers[0].body)
        self.queues: dict[str, QueueSettings] = {name: self._settings(name, version) for name in scenario.queues}
        self.consumed = {group.queue or next(iter(scenario.queues)) for group in scenario.workers}

    def gone(self, queue: str) -> bool:
        """Whether a queue was not there any more after the drain."""
        last = [look for look in self.looks if look.moment == "after the drain"]
        return bool(last) and all(facts.name != queue for facts in last[-1].queues)

    def home(self, queue: str) -> str:
        """The node that a queue is on; empty if nobody could say."""
        homes = [facts.node for look in self.looks for facts in look.queues if facts.name == queue]
        return homes[0] if homes else ""

    def passes(self, exchange: str) -> bool:
        """Whether an exchange goes with its broker: it is not durable, and no other node has it."""
        declared = self.scenario.exchanges.get(exchange)
        return self.nodes == 1 and declared is not None and not declared.durable

    def passed(self, exchange: str, at_ns: int) -> bool:
        """Whether it had gone by a moment."""
        return self.passes(exchange) and any(ended_ns < at_ns for ended_ns in self._ended_ns)

    # Queues.

    def _settings(self, name: str, version: str) -> QueueSettings:
        queue = self.scenario.queues[name]
        arguments: dict[str, Any] = dict(queue.arguments)
        policy: Mapping[str, Any] = {}
        for look in (self.first, self.last):
            for facts in look.queues if look is not None else ():
                if facts.name == name:
                    arguments |= facts.arguments
                    policy = facts.policy
        if queue.type == "quorum":
            arguments["x-queue-type"] = "quorum"
        if isinstance(queue.dead_letter, str):
            arguments["x-dead-letter-exchange"], arguments["x-dead-letter-routing-key"] = "", queue.dead_letter
        elif queue.dead_letter is not None:
            arguments["x-dead-letter-exchange"] = queue.dead_letter.exchange
            if queue.dead_letter.routing_key is not None:
                arguments["x-dead-letter-routing-key"] = queue.dead_letter.routing_key
        keys = {
            "x-max-length": queue.max_length,
            "x-overflow": queue.overflow,
            "x-message-ttl": None if queue.message_ttl is None else round(queue.message_ttl * 1000),
            "x-delivery-limit": queue.delivery_limit,
        }
        arguments |= {argument: value for argument, value in keys.items() if value is not None}

        def smaller(what: str) -> tuple[int | None, str]:
            """The smaller of argument and policy is in force."""
            mine, theirs = arguments.get(f"x-{what}"), policy.get(what)
            if mine is None or (theirs is not None and int(theirs) < int(mine)):
                return (None if theirs is None else int(theirs)), "policy"
            return int(mine), "queue"

        def other(what: str) -> Any:
            """Else the argument."""
            return arguments.get(f"x-{what}", policy.get(what))

        kind = str(arguments.get("x-queue-type", "classic"))
        limit, limit_by = smaller("max-length")
        size, size_by = smaller("max-length-bytes")
        if size is not None and (limit is None or size // self.body_bytes < limit):
            limit, limit_by = size // self.body_bytes, size_by
        ttl, ttl_by = smaller("message-ttl")
        delivery_limit, _ = smaller("delivery-limit")
        if kind != "quorum":
            delivery_limit = None
        elif delivery_limit is None and _major(version) >= 4:
            delivery_limit = 20
        expires, _ = smaller("expires")
        exchange = other("dead-letter-exchange")
        return QueueSettings(
            name=name,
            kind=kind,
            durable=queue.durable or kind == "quorum",
            dead_letters=None if exchange is None else (exchange, other("dead-letter-routing-key")),
            at_least_once=kind == "quorum"
            and other("dead-letter-strategy") == "at-least-once"
            and other("overflow") == "reject-publish"
            and exchange is not None,
            limit=limit,
            limit_by=limit_by,
            overflow=str(other("overflow") or "drop-head"),
            ttl_ns=None if ttl is None else ttl * MS,
            ttl_by=ttl_by,
            delivery_limit=delivery_limit,
            expires_ns=None if expires is None else expires * MS,
            single_active=bool(arguments.get("x-single-active-consumer", False)),
        )

    # Routes.

    def by_route(self, route: str) -> tuple[tuple[str, ...], str]:
        """The queues that a publisher's route leads to, and the routing key."""
        for name in sorted(self.scenario.exchanges, key=len, reverse=True):
            if route.startswith(f"{name}/"):
                key = route[len(name) + 1 :]
                return self.reached(name, key), key
        key = route.removeprefix("/")
        return self.reached("", key), key

    def exchanges_of(self, route: str) -> tuple[str, ...]:
        """The exchange that a publisher's route leads to, and those that it may go on to; none for the default one."""
        found = [
            name for name in sorted(self.scenario.exchanges, key=len, reverse=True) if route.startswith(f"{name}/")
        ]
        while found and isinstance(
            instead := self.scenario.exchanges[found[-1]].arguments.get("alternate-exchange"), str
        ):
            if instead in found or instead not in self.scenario.exchanges:
                break
            found.append(instead)
        return tuple(found)

    def reached(self, exchange: str, key: str, passed: tuple[str, ...] = ()) -> tuple[str, ...]:
        """The queues that get a message which is published to an exchange."""
        if exchange == "":
            return (key,) if key in self.queues else ()
        model = self.scenario.exchanges.get(exchange)
        if model is None or exchange in passed:
            return ()
        found: list[str] = []
        for binding in self.scenario.bindings:
            if (
                binding.exchange == exchange
                and binding.queue not in found
                and _binds(model.type, binding.routing_key, key)
            ):
                found.append(binding.queue)
        instead = model.arguments.get("alternate-exchange")
        if not found and isinstance(instead, str):
            return self.reached(instead, key, (*passed, exchange))
        return tuple(found)

    def after_death(self, queue: str, key: str) -> tuple[tuple[str, ...], str]:
        """Where a message goes that dies in a queue, and the routing key that it has then."""
        there = self.queues.get(queue)
        if there is None or there.dead_letters is None:
            return (), key
        exchange, new = there.dead_letters
        key = key if new is None else new
        return self.reached(exchange, key), key

    def leads_to_work(self, queue: str, key: str) -> bool:
        """Whether a worker consumes from it, or what waits in it comes to one by itself."""
        waiting, seen = [(queue, key)], set()
        while waiting:
            here, key = waiting.pop()
            if here in self.consumed:
                return True
            if here in seen or here not in self.queues:
                continue
            seen.add(here)
            if self.queues[here].ttl_ns is not None:
                targets, new = self.after_death(here, key)
                waiting += [(target, new) for target in targets]
        return False

    def role(self, queue: str, key: str) -> str:
        """What a copy is that lies in a queue at the end."""
        if queue in self.consumed:
            return "stranded"
        if self.leads_to_work(queue, key):
            return "in transit"
        return "dead-lettered" if self._gets_the_dead(queue) else "stranded"

    def _gets_the_dead(self, queue: str) -> bool:
        """Whether it is a resting place: something is dead-lettered to it, or the scenario says that it rests."""
        if getattr(self.scenario.queues[queue], "rests", False):
            return True
        keys = {key for name in self.queues for key in (name, *self._keys())}
        return any(queue in self.after_death(other, key)[0] for other in self.queues for key in keys)

    def _keys(self) -> set[str]:
        return {group.routing_key for group in self.scenario.publishers}


def _major(version: str) -> int:
    number = version.partition(".")[0]
    return int(number) if number.isdecimal() else 0


def _binds(kind: str, pattern: str, key: str) -> bool:
    if kind == "fanout":
        return True
    if kind == "topic":
        return _words(pattern.split("."), key.split("."))
    return kind == "direct" and pattern == key


def _words(pattern: list[str], words: list[str]) -> bool:
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(_words(pattern[1:], words[skipped:]) for skipped in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and _words(pattern[1:], words[1:])
