"""The connections of the run's processes: when each began to be over, and whether that was in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.checks.settlement import NEVER
from harness.events import Event, ProcessExited
from harness.history.read import Log
from harness.history.records import Kind


@dataclass(frozen=True, slots=True)
class Session:
    """One connection of one incarnation."""

    role: str
    actor: str
    incarnation: int
    connection: int
    lost_ns: int
    """When the connection was lost, or its process died; NEVER if it ended in order."""
    death_ns: int
    """When its process died; NEVER if that ended in order, whatever became of the connection."""
    over_ns: int
    """When it was over, lost or in order; NEVER if neither is known."""
    flushed: bool
    """A publisher's: it ended in order, so that the broker had read all that was sent on it."""


def deaths(events: Sequence[Event]) -> dict[tuple[str, int], ProcessExited]:
    """Return the incarnations that did not end in order."""
    return {
        (event.actor, event.incarnation): event
        for event in events
        if isinstance(event, ProcessExited) and event.exit_code != 0
    }


def read_sessions(logs: Sequence[Log], events: Sequence[Event]) -> tuple[tuple[Session, ...], list[np.ndarray]]:
    """Return all connections of the logs, and for each log a table from its connection numbers to their places in the first."""
    died = {key: event.at_ns for key, event in deaths(events).items()}
    exited = {
        (event.actor, event.incarnation): event.at_ns
        for event in events
        if isinstance(event, ProcessExited) and event.exit_code == 0
    }
    sessions: list[Session] = []
    tables = []
    for log in logs:
        who = (log.header.actor, log.header.incarnation)
        present = np.zeros(1 << 16, dtype=bool)
        present[log.records["connection"]] = True
        numbers = np.flatnonzero(present)
        table = np.zeros(int(numbers[-1]) + 1 if len(numbers) else 1, dtype=np.int32)
        kinds = log.records["kind"]
        lost = _times(log.records, np.isin(kinds, (Kind.CONNECTION_LOST, Kind.CHANNEL_CLOSED)))
        finished = _times(log.records, np.isin(kinds, (Kind.FINISHED, Kind.EXHAUSTED)))
        for number in numbers.tolist():
            table[number] = len(sessions)
            death_ns = died.get(who, NEVER)
            lost_ns = lost.get(number, death_ns)
            orderly_ns = finished.get(number, exited.get(who, NEVER))
            sessions.append(
                Session(
                    role=log.header.role,
                    actor=log.header.actor,
                    incarnation=log.header.incarnation,
                    connection=number,
                    lost_ns=lost_ns,
                    death_ns=death_ns,
                    over_ns=min(lost_ns, orderly_ns),
                    flushed=number in finished and number not in lost,
                )
            )
        tables.append(table)
    return tuple(sessions), tables


def _times(records: np.ndarray, chosen: np.ndarray) -> dict[int, int]:
    """Return the first time of the chosen records on each connection."""
    rows = records[chosen]
    return {int(row["connection"]): int(row["at_ns"]) for row in rows[::-1]}
