"""Who was alive, reconnecting, paused or down, from when to when, for the timeline's lanes.

The run's events tell of processes and nodes, the processes' own logs of their connections.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.effects import Becomes
from harness.events import (
    BrokerStarted,
    Event,
    FaultHealed,
    FaultInjected,
    ProcessExited,
    ProcessPaused,
    ProcessResumed,
    ProcessStarted,
)
from harness.history.history import History
from harness.history.records import Kind

State = Literal["alive", "reconnecting", "paused", "down"]


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of one state in one lane; seconds since the publishers were released."""

    lane: str
    begin_s: float
    end_s: float
    state: State
    what: str
    """E.g. `incarnation 2`, or what brought a node down."""


def lanes(history: History) -> tuple[Span, ...]:
    """Return the spans of all nodes, publishers and workers, lane by lane in the order of their first start."""
    if not history.events:
        return ()
    lanes = _Lanes(history.zero_ns)
    told: Iterable[Event | _Connection] = heapq.merge(
        history.events, _connections(history), key=lambda each: each.at_ns
    )
    for event in told:
        at_ns = event.at_ns
        match event:
            case _Connection():
                lanes.connect(event)
            case BrokerStarted():
                lanes.nodes |= set(event.nodes)
                lanes.all_enter(event.nodes, at_ns, "alive", "")
            case ProcessStarted():
                lanes.start(event.actor, at_ns, event.incarnation)
            case ProcessPaused():
                lanes.enter(event.actor, at_ns, "paused", f"incarnation {event.incarnation}")
            case ProcessResumed():
                lanes.resume(event.actor, at_ns, event.incarnation)
            case ProcessExited(cause="stop" | "finished"):
                lanes.leave(event.actor, at_ns)
            case ProcessExited():
                lanes.enter(event.actor, at_ns, "down", f"{event.cause}, exit code {event.exit_code}")
            case FaultInjected():
                lanes.strike(event)
            case FaultHealed():
                lanes.heal(event.fault, at_ns)
            case _:
                pass
    return lanes.finish(max(event.at_ns for event in history.events))


@dataclass(frozen=True, slots=True)
class _Connection:
    """A process lost its connection, or has one."""

    at_ns: int
    actor: str
    incarnation: int
    there: bool


def _connections(history: History) -> Iterator[_Connection]:
    found = []
    for log in history.logs:
        kinds = log.records["kind"]
        rows = np.flatnonzero(np.isin(kinds, (Kind.CONNECTED, Kind.CONNECTION_LOST, Kind.CHANNEL_CLOSED)))
        for row in rows.tolist():
            at_ns, there = int(log.records["at_ns"][row]), bool(kinds[row] == Kind.CONNECTED)
            found.append(_Connection(at_ns, log.header.actor, log.header.incarnation, there))
    return iter(sorted(found, key=lambda each: each.at_ns))


class _Lanes:
    def __init__(self, zero_ns: int) -> None:
        self._zero_ns = zero_ns
        self._open: dict[str, tuple[int, State, str]] = {}
        self._spans: dict[str, list[Span]] = {}
        self._unconnected: set[str] = set()
        self.nodes: set[str] = set()
        self._struck: dict[int, tuple[str, ...]] = {}

    def strike(self, event: FaultInjected) -> None:
        """Let the nodes that a fault struck go down; the processes' own events tell of the processes."""
        struck = tuple(name for name in event.targets if name in self.nodes)
        match event.effects.node:
            case Becomes.FROZEN:
                self.all_enter(struck, event.at_ns, "paused", event.title)
            case Becomes.KILLED | Becomes.STOPPED:
                self.all_enter(struck, event.at_ns, "down", event.title)
            case Becomes.THAWED:
                self.all_enter(struck, event.at_ns, "alive", "")
            case Becomes.UNCHANGED | Becomes.ISOLATED:
                return
        self._struck[event.fault] = struck

    def start(self, actor: str, at_ns: int, incarnation: int) -> None:
        """Begin a life; until it first says that it has lost its connection, it counts as alive."""
        self._unconnected.discard(actor)
        self.enter(actor, at_ns, "alive", f"incarnation {incarnation}")

    def resume(self, actor: str, at_ns: int, incarnation: int) -> None:
        """Go on as before the pause: with the broker, or looking for it."""
        state: State = "reconnecting" if actor in self._unconnected else "alive"
        self.enter(actor, at_ns, state, f"incarnation {incarnation}")

    def connect(self, event: _Connection) -> None:
        """Tell a living process that looks for its broker from one that has it."""
        if event.there:
            self._unconnected.discard(event.actor)
        else:
            self._unconnected.add(event.actor)
        if event.actor not in self._open:
            return
        _, state, _ = self._open[event.actor]
        if state == ("reconnecting" if event.there else "alive"):
            after: State = "alive" if event.there else "reconnecting"
            self.enter(event.actor, event.at_ns, after, f"incarnation {event.incarnation}")

    def all_enter(self, names: Iterable[str], at_ns: int, state: State, what: str) -> None:
        for name in names:
            self.enter(name, at_ns, state, what)

    def enter(self, name: str, at_ns: int, state: State, what: str) -> None:
        self.leave(name, at_ns)
        self._open[name] = (at_ns, state, what)
        self._spans.setdefault(name, [])

    def leave(self, name: str, at_ns: int) -> None:
        if name in self._open:
            began_ns, state, what = self._open.pop(name)
            begin_s, end_s = (began_ns - self._zero_ns) / 1e9, (at_ns - self._zero_ns) / 1e9
            self._spans[name].append(Span(name, begin_s, end_s, state, what))

    def heal(self, fault: int, at_ns: int) -> None:
        self.all_enter(self._struck.pop(fault, ()), at_ns, "alive", "")

    def finish(self, at_ns: int) -> tuple[Span, ...]:
        for name in tuple(self._open):
            self.leave(name, at_ns)
        return tuple(span for spans in self._spans.values() for span in spans)
