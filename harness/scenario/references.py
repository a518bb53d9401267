"""Names in a scenario that must be those of something: queues, exchanges, groups, publishers, workers, actions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from harness.scenario.mistake import Mistake, Path, Pattern, did_you_mean, nearest, shown
from harness.scenario.queue_policy import effective_policy
from harness.scenario.routing import BUILT_IN_EXCHANGES
from harness.scenario.scenario import Scenario
from harness.scenario.topology import ALTERNATE_EXCHANGE, DeadLetter, Queue

_LONGEST_NAME: Final = 255
"""Bytes of an AMQP short string."""
_NAMES: Final[tuple[Pattern, ...]] = tuple(
    (section, "*", key) for section in ("publishers", "workers") for key in ("name", "count")
)
_SELECTORS: Final = ("any", "all", "holding deliveries", "holding unconfirmed")


_WORKERS: Final[tuple[Pattern, ...]] = (
    ("workers",),
    ("workers", "*", "name"),
    ("workers", "*", "count"),
    ("timeline",),
    ("timeline", "*", "scale"),
    ("timeline", "*", "scale", "to"),
)
_NAMED_BY: Final[dict[str, tuple[Pattern, ...]]] = {
    "queue": (("queues",),),
    "exchange": (("exchanges",),),
    "worker": _WORKERS,
    "worker group": _WORKERS,
    "publisher": (("publishers",), ("publishers", "*", "name"), ("publishers", "*", "count")),
    "node": (("broker",), ("broker", "nodes")),
    "task": (
        ("publishers",),
        ("publishers", "*", "tasks"),
        ("publishers", "*", "tasks", "*"),
        ("timeline",),
        ("timeline", "*", "publish"),
        ("timeline", "*", "publish", "text"),
    ),
    "action of the timeline": (("timeline",), ("timeline", "*", "*")),
}
"""By kind, what names things of it: an unknown name may be that of something that is wrong itself."""


def dangling(scenario: Scenario) -> Iterator[Mistake]:
    """Find every name that is none, and every name that is taken twice."""
    yield from _names(scenario)
    yield from _topology(scenario)
    yield from _traffic(scenario)
    yield from _timeline(scenario)
    yield from _expectations(scenario)


def most_workers(scenario: Scenario) -> dict[str, int]:
    """Return how many workers each group has at its greatest, the timeline's scaling included."""
    most: dict[str, int] = {}
    for workers in scenario.workers:
        most[workers.name] = max(workers.count, most.get(workers.name, 0))
    for step in scenario.timeline:
        if (scaling := step.action.scales()) is not None:
            group, to = scaling
            most |= {name: max(number, to) for name, number in most.items() if group in (None, name)}
    return most


def _workers(scenario: Scenario) -> tuple[str, ...]:
    return tuple(f"{name}-{number}" for name, most in most_workers(scenario).items() for number in range(1, most + 1))


def _publishers(scenario: Scenario) -> tuple[str, ...]:
    return tuple(actor for group in scenario.publishers for actor in group.actors)


def _unknown(path: Path, kind: str, word: str, known: Iterable[str]) -> Iterator[Mistake]:
    candidates = tuple(known)
    if word not in candidates:
        message = f"unknown {kind} {shown(word)}{did_you_mean(word, tuple(filter(None, candidates)))}"
        yield Mistake(path, message, rests_on=_NAMED_BY[kind])


def _names(scenario: Scenario) -> Iterator[Mistake]:
    for section, names in (("queues", scenario.queues), ("exchanges", scenario.exchanges)):
        for name in names:
            if not name or len(name.encode()) > _LONGEST_NAME:
                yield Mistake((section, name), f"a name has 1 to {_LONGEST_NAME} bytes", about_key=True)
            elif name.startswith("amq."):
                yield Mistake((section, name), "names that begin with amq. are the broker's own", about_key=True)
    yield from _routing_keys(scenario)
    actors = {*_publishers(scenario), *_workers(scenario)}
    taken: set[str] = set()
    for section, groups in _groups(scenario):
        for index, name in enumerate(groups):
            path = (section, index, "name")
            if name in taken:
                yield Mistake(
                    path, f"another group is called {name} already; give each group its own name", rests_on=_NAMES
                )
            elif name in actors:
                message = f"another group calls one of its own {name}; give the group another name"
                yield Mistake(path, message, rests_on=_NAMES)
            taken.add(name)


def _routing_keys(scenario: Scenario) -> Iterator[Mistake]:
    keys: list[tuple[Path, str | None]] = [
        *((("bindings", index, "routing_key"), each.routing_key) for index, each in enumerate(scenario.bindings)),
        *((("publishers", index, "routing_key"), each.routing_key) for index, each in enumerate(scenario.publishers)),
    ]
    for name, queue in scenario.queues.items():
        if isinstance(queue.dead_letter, DeadLetter):
            keys.append((("queues", name, "dead_letter", "routing_key"), queue.dead_letter.routing_key))
    for path, key in keys:
        if key is not None and len(key.encode()) > _LONGEST_NAME:
            yield Mistake(path, f"a routing key has at most {_LONGEST_NAME} bytes")


def _groups(scenario: Scenario) -> tuple[tuple[str, tuple[str, ...]], ...]:
    publishers = tuple(group.name for group in scenario.publishers)
    workers = tuple(group.name for group in scenario.workers)
    return ("publishers", publishers), ("workers", workers)


def _exchanges(scenario: Scenario) -> tuple[str, ...]:
    return (*scenario.exchanges, "", *BUILT_IN_EXCHANGES)


def _topology(scenario: Scenario) -> Iterator[Mistake]:
    for name, queue in scenario.queues.items():
        yield from _dead_letter_target(name, queue, scenario)
        if queue.rests and effective_policy(queue).has_dead_letter_target:
            yield Mistake(
                ("queues", name, "rests"), "nothing leads out of a queue that rests; take its dead letter target away"
            )
    for name, exchange in scenario.exchanges.items():
        alternate = exchange.arguments.get(ALTERNATE_EXCHANGE)
        if isinstance(alternate, str):
            yield from _unknown(
                ("exchanges", name, "arguments", ALTERNATE_EXCHANGE), "exchange", alternate, _exchanges(scenario)
            )
    dead_letter_exchanges = {effective_policy(queue).dead_letter_exchange for queue in scenario.queues.values()}
    for index, binding in enumerate(scenario.bindings):
        if binding.exchange in dead_letter_exchanges and str(binding.arguments.get("x-match", "")).endswith("-with-x"):
            yield Mistake(
                ("bindings", index, "arguments", "x-match"),
                "asks for the headers that a death adds, by which dead letters are not followed; use an exchange of another type",
            )
        yield from _unknown(("bindings", index, "queue"), "queue", binding.queue, scenario.queues)
        known = tuple(filter(None, _exchanges(scenario)))
        yield from _unknown(("bindings", index, "exchange"), "exchange", binding.exchange, known)


def _dead_letter_target(name: str, queue: Queue, scenario: Scenario) -> Iterator[Mistake]:
    """Find a dead letter target that is none, whether `dead_letter` says it or `arguments`."""
    policy = effective_policy(queue)
    exchange, key = policy.dead_letter_exchange, policy.dead_letter_routing_key
    at_exchange: Path = ("queues", name, "arguments", "x-dead-letter-exchange")
    at_key: Path = ("queues", name, "arguments", "x-dead-letter-routing-key")
    match queue.dead_letter:
        case str():
            at_exchange = at_key = ("queues", name, "dead_letter")
        case DeadLetter(routing_key=stated):
            at_exchange = ("queues", name, "dead_letter", "exchange")
            at_key = at_key if stated is None else ("queues", name, "dead_letter", "routing_key")
    if exchange == "" and key is not None:
        yield from _unknown(at_key, "queue", key, scenario.queues)
    elif exchange == "" and _only_its_own(name, scenario):
        message = "sends dead letters back to their own queue; name a queue, or an exchange"
        path: Path = ("queues", name, "dead_letter") if queue.dead_letter is not None else at_exchange
        routes = tuple((section, ...) for section in ("publishers", "queues", "exchanges", "bindings", "timeline"))
        yield Mistake(path, message, rests_on=routes)
    elif exchange:
        yield from _unknown(at_exchange, "exchange", exchange, _exchanges(scenario))


def _only_its_own(queue: str, scenario: Scenario) -> bool:
    """Whether nothing that comes to a queue has another routing key than the queue's name."""
    topology = scenario.topology
    start = [position for route in scenario.routes for position in topology.start(route)]
    return {position.key for position in topology.reached(start) if position.queue == queue} <= {queue}


def _traffic(scenario: Scenario) -> Iterator[Mistake]:
    for index, group in enumerate(scenario.publishers):
        match group.to:
            case str(queue):
                yield from _unknown(("publishers", index, "to"), "queue", queue, scenario.queues)
            case tuple(queues):
                for number, queue in enumerate(queues):
                    yield from _unknown(("publishers", index, "to", number), "queue", queue, scenario.queues)
        if group.exchange is not None:
            path = ("publishers", index, "exchange")
            yield from _unknown(path, "exchange", group.exchange, _exchanges(scenario))
    for index, workers in enumerate(scenario.workers):
        if workers.queue is not None:
            yield from _unknown(("workers", index, "queue"), "queue", workers.queue, scenario.queues)
        source = scenario.queues.get(workers.queue or scenario.first_queue)
        if source is not None and source.rests:
            message = "this queue rests: no worker consumes from it"
            yield Mistake(("workers", index, "queue"), message, rests_on=(("queues",),))


def _timeline(scenario: Scenario) -> Iterator[Mistake]:
    known = {
        "worker": _workers(scenario),
        "publisher": _publishers(scenario),
        "worker group": tuple(most_workers(scenario)),
        "queue": tuple(scenario.queues),
        "exchange": tuple(scenario.exchanges),
        "node": tuple(str(number) for number in range(scenario.broker.nodes)),
    }
    for index, step in enumerate(scenario.timeline):
        action = step.action
        for role, name in action.actors():
            key = {"worker group": "workers", "node": "broker"}.get(role, role)
            path = ("timeline", index, action.name, key)
            names = known.get(role, ())
            if role in ("worker", "publisher") and name.isdecimal():
                if not any(actor.endswith(f"-{name}") for actor in names):
                    yield Mistake(path, f"unknown {role} {name}{did_you_mean('', names)}", rests_on=_NAMED_BY[role])
            else:
                if role in ("worker", "publisher") and nearest(name, _SELECTORS) is not None:
                    names = (*names, *_SELECTORS)
                yield from _unknown(path, role, name, names)
        scaling = action.scales()
        if scaling is not None and scaling[0] is None and len(scenario.workers) != 1:
            groups = tuple(group.name for group in scenario.workers)
            hint = f"which of the groups ({', '.join(groups)})" if groups else "there are no workers"
            message = f"say what is scaled: {hint}"
            yield Mistake(("timeline", index, action.name), message, rests_on=(("workers", ...),))


def _expectations(scenario: Scenario) -> Iterator[Mistake]:
    expect = scenario.expect
    workers = (*most_workers(scenario), *_workers(scenario))
    for section, names in (("processed_by", expect.processed_by), ("shares", expect.shares)):
        for name in names:
            for mistake in _unknown(("expect", section, name), "worker", name, workers):
                yield replace(mistake, about_key=True)
    texts = {text for group in scenario.publishers for text in group.tasks}
    texts |= {step.action.publishes()[1] for step in scenario.timeline}
    for name, expected in expect.processed_by.items():
        if isinstance(expected, tuple):
            for index, text in enumerate(expected):
                yield from _unknown(("expect", "processed_by", name, index), "task", text, sorted(texts))
    for hand, dealt in enumerate(expect.dealt):
        for index, text in enumerate(dealt):
            yield from _unknown(("expect", "dealt", hand, index), "task", text, sorted(texts))
    actions = tuple(dict.fromkeys(step.action.name for step in scenario.timeline))
    for name in expect.faster_after:
        for mistake in _unknown(("expect", "faster_after", name), "action of the timeline", name, actions):
            yield replace(mistake, about_key=True)
