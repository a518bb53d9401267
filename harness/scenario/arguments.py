"""The `arguments` of declarations: which are understood, which change nothing here, and what the broker would refuse.

What is refused was measured on RabbitMQ 3.8.9, 3.10.8, 4.0.5 and 4.3.6; what only some of them refuse is left to the broker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from harness.scenario.mistake import Mistake, Path, enumerated, resting_on, shown
from harness.scenario.queue_policy import LARGEST_INTEGER, OVERFLOWS, STRATEGIES
from harness.scenario.scenario import Scenario
from harness.scenario.topology import ALTERNATE_EXCHANGE, QUEUE_TYPE, DeclaredValue, Queue, key_of_argument

HARMLESS: Final = frozenset(
    {
        "x-max-in-memory-bytes",
        "x-max-in-memory-length",
        "x-queue-leader-locator",
        "x-queue-master-locator",
        "x-queue-mode",
        "x-queue-version",
        "x-quorum-initial-group-size",
        "x-quorum-target-group-size",
    }
)
"""Arguments of queues that say where and how messages are kept, and change nothing of what becomes of them."""

_QUORUM_ONLY: Final = ("x-delivery-limit", "x-dead-letter-strategy")
_CLASSIC_ONLY: Final = ("x-max-priority", "x-queue-mode")
_LARGEST_PRIORITY: Final = 255


@dataclass(frozen=True, slots=True)
class _Form:
    """What the value of an argument must be."""

    text: str
    fits: Callable[[DeclaredValue], bool]


def _whole(least: int, most: int = LARGEST_INTEGER - 1) -> _Form:
    text = f"a whole number from {least}" + (f" to {most}" if most < LARGEST_INTEGER - 1 else "")
    return _Form(text, lambda value: isinstance(value, int) and not isinstance(value, bool) and least <= value <= most)


def _word(*words: str) -> _Form:
    return _Form(enumerated(words), lambda value: value in words)


_TEXT: Final = _Form("a text", lambda value: isinstance(value, str))
_MILLISECONDS: Final = _whole(0)

_UNDERSTOOD: Final[Mapping[str, _Form]] = {
    QUEUE_TYPE: _word("classic", "quorum"),
    "x-max-length": _whole(0),
    "x-max-length-bytes": _whole(0),
    "x-overflow": _word(*OVERFLOWS),
    "x-expires": _whole(1),
    "x-message-ttl": _MILLISECONDS,
    "x-dead-letter-exchange": _TEXT,
    "x-dead-letter-routing-key": _TEXT,
    "x-dead-letter-strategy": _word(*STRATEGIES),
    "x-delivery-limit": _whole(-1),
    "x-single-active-consumer": _Form("true or false", lambda value: isinstance(value, bool)),
    "x-max-priority": _whole(0, _LARGEST_PRIORITY),
    "x-consumer-timeout": _MILLISECONDS,
}


@dataclass(frozen=True, slots=True)
class UnknownArgument:
    """An argument of which the harness does not know whether it changes what becomes of messages."""

    path: Path
    """Where it stands: `("queues", "tasks", "arguments", "x-delay")`."""

    def __str__(self) -> str:
        """Name it as a part of a sentence: `argument x-delay of queue tasks`."""
        section, name, _, argument = self.path
        return f"argument {argument} of {str(section).removesuffix('s')} {name}"


def unknown_arguments(scenario: Scenario) -> tuple[UnknownArgument, ...]:
    """Find the arguments that are sent to the broker and not understood here, in the order of the scenario."""
    found: list[Path] = []
    for name, queue in scenario.queues.items():
        strange = [key for key in queue.arguments if key not in _UNDERSTOOD and key not in HARMLESS]
        found += [("queues", name, "arguments", key) for key in strange]
    for name, exchange in scenario.exchanges.items():
        found += [("exchanges", name, "arguments", key) for key in exchange.arguments if key != ALTERNATE_EXCHANGE]
    return tuple(map(UnknownArgument, found))


def argument_mistakes(scenario: Scenario) -> Iterator[Mistake]:
    """Find arguments that contradict a key, that the broker refuses, or that are too large to be sent."""
    for name, queue in scenario.queues.items():
        yield from resting_on(_of_queue(("queues", name, "arguments"), queue), ("queues", name, ...))
    for name, exchange in scenario.exchanges.items():
        yield from _too_large(("exchanges", name, "arguments"), exchange.arguments)
        alternate = exchange.arguments.get(ALTERNATE_EXCHANGE, "")
        if not isinstance(alternate, str):
            path = ("exchanges", name, "arguments", ALTERNATE_EXCHANGE)
            yield Mistake(path, f"must be a text, not {shown(alternate)}")
    for index, binding in enumerate(scenario.bindings):
        yield from _too_large(("bindings", index, "arguments"), binding.arguments)


def _of_queue(path: Path, queue: Queue) -> Iterator[Mistake]:
    said = queue.arguments_of_keys()
    if queue.stated_type is not None:
        said[QUEUE_TYPE] = queue.stated_type
    for key, value in queue.arguments.items():
        form = _UNDERSTOOD.get(key)
        if key == QUEUE_TYPE and value == "stream":
            yield Mistake((*path, key), _STREAM)
        elif form is not None and not form.fits(value):
            yield Mistake((*path, key), f"must be {form.text}, not {shown(value)}")
        elif said.get(key, value) != value:
            yield Mistake((*path, key), f"differs from {key_of_argument(key)}; give one of them")
        elif key in (_QUORUM_ONLY if queue.type == "classic" else _CLASSIC_ONLY):
            other = "quorum" if queue.type == "classic" else "classic"
            yield Mistake((*path, key), f"works on {other} queues only")
    yield from _too_large(path, {key: value for key, value in queue.arguments.items() if key not in _UNDERSTOOD})
    declared = queue.declaration_arguments()
    if "x-dead-letter-routing-key" in declared and "x-dead-letter-exchange" not in declared:
        yield Mistake((*path, "x-dead-letter-routing-key"), "goes with x-dead-letter-exchange, which is not given")


_STREAM: Final = (
    "a stream keeps its messages when they are acknowledged, so nothing of what is counted here holds for it; "
    "use classic or quorum"
)


def _too_large(path: Path, arguments: Mapping[str, DeclaredValue]) -> Iterator[Mistake]:
    for key, value in arguments.items():
        if isinstance(value, int) and not -LARGEST_INTEGER <= value < LARGEST_INTEGER:
            yield Mistake((*path, key), "does not fit into the 64 bits of an AMQP integer")
