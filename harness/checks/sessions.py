"""The connections of the run's processes: when each began to be over, and whether that was in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.checks.settlement import NEVER
from harness.events import Event, ProcessExited
from harness.history.read import Log
from harness.history.records import Kind


def has_any(table: np.ndarray, chosen: np.ndarray) -> bool:
    """Whether a log, given by its table from connection numbers to sessions, has one of the chosen sessions (truth by session)."""
    return bool(chosen[table[table >= 0]].any())


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


def read_sessions(
    logs: Sequence[Log], events: Sequence[Event]
) -> tuple[tuple[Session, ...], list[np.ndarray], list[int]]:
    """Return all connections of the logs, for each log a table from its connection numbers to their places in the first, and its size.

    The size is the highest sequence number that a log published, plus one; 0 if it published nothing.
    """
    died = {key: event.at_ns for key, event in deaths(events).items()}
    exited = {
        (event.actor, event.incarnation): event.at_ns
        for event in events
        if isinstance(event, ProcessExited) and event.exit_code == 0
    }
    sessions: list[Session] = []
    tables, sizes = [], []
    for log in logs:
        who = (log.header.actor, log.header.incarnation)
        numbers, lost, finished, size = _survey(log)
        table = np.full(numbers[-1] + 1 if numbers else 0, -1, dtype=np.int32)
        for number in numbers:
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
        sizes.append(size)
    return tuple(sessions), tables, sizes


_LOST = (Kind.CONNECTION_LOST, Kind.CHANNEL_CLOSED)
_ENDED = (Kind.FINISHED, Kind.EXHAUSTED)


def _survey(log: Log) -> tuple[list[int], dict[int, int], dict[int, int], int]:
    """Return the numbers of a log's connections, sorted; by number when each was first lost and first ended in order; its sequence numbers."""
    present = np.zeros(1 << 16, dtype=bool)
    lost: dict[int, int] = {}
    finished: dict[int, int] = {}
    size = 0
    for block in log.blocks():
        present[block["connection"]] = True
        kinds = np.ascontiguousarray(block["kind"])
        if log.header.role == "publisher":
            published = block["seq"][kinds == Kind.PUBLISHED]
            size = max(size, int(published.max()) + 1 if len(published) else 0)
        for times, telling in ((lost, _LOST), (finished, _ENDED)):
            for row in block[(kinds == telling[0]) | (kinds == telling[1])]:
                times.setdefault(int(row["connection"]), int(row["at_ns"]))
    return np.flatnonzero(present).tolist(), lost, finished, size
