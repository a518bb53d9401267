"""The machines that a run's traffic was spread over: who ran there, and how well their clocks are known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from harness.events import Event, HostGathered, HostLost, ProcessStarted
from harness.verdict.data import ExpectationResult, Machine


def machines(events: Sequence[Event]) -> tuple[Machine, ...]:
    """List them in the order of their first process; none if all ran on the harness's own machine."""
    actors: dict[str, dict[str, None]] = {}
    for event in events:
        if isinstance(event, ProcessStarted) and event.host:
            actors.setdefault(event.host, {})[event.actor] = None
    gathered = {event.host: event for event in events if isinstance(event, HostGathered)}
    lost = {event.host: event.reason for event in events if isinstance(event, HostLost)}
    return tuple(_machine(name, tuple(there), gathered.get(name), lost.get(name, "")) for name, there in actors.items())


def _machine(name: str, actors: tuple[str, ...], gathered: HostGathered | None, lost: str) -> Machine:
    if gathered is None:
        return Machine(name, actors, None, None, None, lost)
    return Machine(name, actors, gathered.records, gathered.offset_ns / 1e9, gathered.error_ns / 1e9, lost)


def what_is_gone(events: Sequence[Event]) -> Iterator[str]:
    """Say of each machine that was lost what nobody knows any more."""
    for event in events:
        if isinstance(event, HostLost):
            yield f"what {', '.join(event.actors)} did and recorded on {event.host} is gone: nothing can be said of the messages"


def unless_gone(result: ExpectationResult) -> ExpectationResult:
    """Leave an expectation undecided, where records are gone; a body that was seen to be corrupt is."""
    if result.path == "corrupt":
        return result
    return replace(result, observed=f"{result.observed}, without what is gone", holds=None)
