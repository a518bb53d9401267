"""The runs in which lies are told: queues of every kind side by side, and a fault beside.

Every publisher sends at the same rate, so that a sequence number is a moment. The fault strikes in the middle. Lies are told well before it, longer than what was sent
may be under way; while it strikes; and well after it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

RATE: Final = 60
"""Messages a second, each publisher."""
MESSAGES: Final = 400
"""Of each publisher."""
STRIKE_S: Final = 4.0
REJECTED_EVERY: Final = 50
"""Every so many messages of the queue with a dead letter target are rejected by their worker; no lies are told of them."""


class Window(StrEnum):
    """When a lie is told."""

    BEFORE = "before"
    MEANWHILE = "meanwhile"
    """While the fault strikes."""
    AFTER = "after"


WINDOWS: Final = {Window.BEFORE: (10, 84), Window.MEANWHILE: (222, 246), Window.AFTER: (300, 384)}
"""Sequence numbers of the messages that lies are told of."""


class Beside(StrEnum):
    """What strikes in the middle of a run of lies."""

    NOTHING = "alone"
    WORKER_KILL = "worker kill"
    CUT = "cut of all connections"
    RESTART = "broker restart"
    PURGE = "purge"

    @property
    def step(self) -> str:
        """The fault as a step has it; empty for none."""
        return {
            Beside.NOTHING: "",
            Beside.WORKER_KILL: "kill: {worker: holding deliveries, back_after: 100ms}",
            Beside.CUT: "close: connections",
            Beside.RESTART: "restart: {broker: any}",
            Beside.PURGE: f"purge: {self.purges}",
        }[self]

    @property
    def purges(self) -> str:
        """The queue that it purges; empty for none."""
        return "plain" if self is Beside.PURGE else ""


class Traffic(StrEnum):
    """What a publisher's messages meet."""

    WORK = "work"
    """Queues with workers."""
    IN_ORDER = "in order"
    """The same with one worker on each queue, and the order matters."""
    REFUSED = "refused"
    """A queue that is full now and then, and refuses them."""
    GIVEN_UP = "given up"
    """A queue with a worker; what was not confirmed is not published again."""
    UNROUTABLE = "unroutable"
    """No queue: they are returned."""


@dataclass(frozen=True, slots=True)
class Place:
    """A publisher, and the queues that its messages go to: all of them."""

    name: str
    """The publisher's group; also that of its queue, where there is one."""
    traffic: Traffic
    queues: dict[str, str]
    """What each is, as a scenario has it."""
    workers: int = 1
    """On each of the queues."""

    @property
    def publisher(self) -> str:
        """The publisher's name."""
        return f"{self.name}-1"


@dataclass(frozen=True, slots=True)
class Scene:
    """A run's publishers, queues and workers."""

    name: str
    places: tuple[Place, ...]


_WORK: Final = (
    Place("plain", Traffic.WORK, {"plain": "{}"}, workers=2),
    Place("ttl", Traffic.WORK, {"ttl": "{message_ttl: 10m}"}, workers=2),
    Place("limit", Traffic.WORK, {"limit": "{max_length: 100000}"}, workers=2),
    Place("dead", Traffic.WORK, {"dead": "{dead_letter: rest}"}, workers=2),
    Place("fanout", Traffic.WORK, {"copy-a": "{}", "copy-b": "{}"}),
)
SCENES: Final = (
    Scene(
        "lies",
        (
            *_WORK,
            Place("full", Traffic.REFUSED, {"full": "{max_length: 4, overflow: reject-publish}"}),
            Place("once", Traffic.GIVEN_UP, {"once": "{}"}),
            Place("nowhere", Traffic.UNROUTABLE, {}),
        ),
    ),
    Scene("lies about order", tuple(replace(place, traffic=Traffic.IN_ORDER, workers=1) for place in _WORK)),
)


def scenario(scene: Scene, beside: Beside) -> str:
    """Write the scenario of a run."""
    places = scene.places
    exchanges = [place.name for place in places if len(place.queues) != 1]
    lines = [
        f"name: {scene.name}, {beside}",
        "queues:",
        *(f"  {queue}: {settings}" for place in places for queue, settings in place.queues.items()),
        "  rest: {}",
        "exchanges:",
        *(f"  {name}: {{type: fanout}}" for name in exchanges),
        "bindings:",
        *(
            f"  - {{exchange: {place.name}, queue: {queue}}}"
            for place in places
            if place.name in exchanges
            for queue in place.queues
        ),
        "publishers:",
        *(_publisher(place) for place in places),
        "workers:",
        *(_workers(place, queue, beside) for place in places for queue in place.queues),
        *(["timeline:", f"  - at: {STRIKE_S:g}s", f"    {beside.step}"] if beside.step else []),
        "drain: {timeout: 4s}",  # an ack that is swallowed leaves a message unacknowledged to the end
        *_expectations(places, beside),
    ]
    return "\n".join(lines) + "\n"


def _messages(place: Place) -> int:
    """Return how many messages go to a place. Nothing there keeps some for later where the order matters: a cut that takes its time must meet some."""
    return 2 * MESSAGES if place.traffic is Traffic.IN_ORDER else MESSAGES


def _publisher(place: Place) -> str:
    settings = {"name": place.name, "messages": str(_messages(place)), "rate": str(RATE)}
    if len(place.queues) == 1:
        settings["to"] = next(iter(place.queues))
    else:
        settings["exchange"] = place.name
    if place.traffic in (Traffic.GIVEN_UP, Traffic.UNROUTABLE):
        settings |= {"unconfirmed": "drop", "mandatory": "true"}
    return _line(settings)


def _workers(place: Place, queue: str, beside: Beside) -> str:
    # Some work, so that a worker that is killed holds something.
    settings = {"name": f"{queue}-worker", "count": str(place.workers), "queue": queue, "work": "4ms"}
    if place.name == "dead":
        settings["fails"] = f"{{every: {REJECTED_EVERY}, by: reject}}"
    if queue == beside.purges:
        # Slower than their publisher, so that there is something to purge; an ack that is swallowed stops none of them.
        settings |= {"work": f"{18 * place.workers}ms", "prefetch": "3"}
    if place.traffic is Traffic.REFUSED:
        settings |= {"work": "20ms", "prefetch": "1"}  # slower than its publisher
    return _line(settings)


def _line(settings: dict[str, str]) -> str:
    return "  - {" + ", ".join(f"{key}: {value}" for key, value in settings.items()) + "}"


def _expectations(places: tuple[Place, ...], beside: Beside) -> list[str]:
    """What an honest broker leaves."""
    rejected = sum(_messages(place) // REJECTED_EVERY for place in places if place.name == "dead")
    lines = ["expect:", f"  dead_lettered: {rejected}"]
    if beside is Beside.PURGE:
        lines.append('  removed: ">= 0"')
    if any(place.traffic is Traffic.IN_ORDER for place in places):
        lines.append("  order: true")
    return lines
