"""The connections of the run's processes: when each began to be over, and whether that was in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.checks.tally.times import NEVER
from harness.events import Event, ProcessExited
from harness.history.records import Kind, LogHeader


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


class Survey:
    """What a log tells of its connections, gathered block by block."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._present: set[int] = set()
        self.lost: dict[int, int] = {}
        """By number of a connection, when it was first lost."""
        self.ended: dict[int, int] = {}
        """By number of a connection, when it first ended in order."""

    def see(self, block: np.ndarray, kinds: np.ndarray) -> None:
        """Look at the next block of records; `kinds` are theirs."""
        connection = block["connection"]
        # Of a text, the column means nothing.
        named = connection if kinds.max() < Kind.DEFINED else connection[kinds < Kind.DEFINED]
        if len(named):
            least, most = int(named.min()), int(named.max())
            self._present |= {least, most} if most - least < 2 else set(np.unique(named).tolist())
        for row in np.flatnonzero(kinds - _FIRST <= _LAST - _FIRST):
            for times, telling in ((self.lost, _LOST), (self.ended, _ENDED)):
                if kinds[row] in telling:
                    times.setdefault(int(connection[row]), int(block["at_ns"][row]))

    @property
    def connections(self) -> list[int]:
        """The numbers of its connections, sorted."""
        return sorted(self._present)


_LOST = (Kind.CONNECTION_LOST, Kind.CHANNEL_CLOSED)
_ENDED = (Kind.FINISHED, Kind.EXHAUSTED)
_FIRST, _LAST = np.uint8(min(_LOST + _ENDED)), np.uint8(max(_LOST + _ENDED))


class Sessions:
    """All connections of a run, put together log by log."""

    def __init__(self, events: Sequence[Event]) -> None:
        """Know how the processes ended."""
        self._died = {key: event.at_ns for key, event in deaths(events).items()}
        self._exited = {
            (event.actor, event.incarnation): event.at_ns
            for event in events
            if isinstance(event, ProcessExited) and event.exit_code == 0
        }
        self.all: list[Session] = []

    def add(self, header: LogHeader, survey: Survey) -> np.ndarray:
        """Add those of a log; return a table from its connection numbers to their places among all."""
        who, numbers = (header.actor, header.incarnation), survey.connections
        table = np.full(numbers[-1] + 1 if numbers else 0, -1, dtype=np.int32)
        for number in numbers:
            table[number] = len(self.all)
            death_ns = self._died.get(who, NEVER)
            lost_ns = survey.lost.get(number, death_ns)
            orderly_ns = survey.ended.get(number, self._exited.get(who, NEVER))
            self.all.append(
                Session(
                    role=header.role,
                    actor=header.actor,
                    incarnation=header.incarnation,
                    connection=number,
                    lost_ns=lost_ns,
                    death_ns=death_ns,
                    over_ns=min(lost_ns, orderly_ns),
                    flushed=number in survey.ended and number not in survey.lost,
                )
            )
        return table
