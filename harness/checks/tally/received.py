"""Adding up what became of each copy at the workers, and what happened on each session, one log after the other."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from harness.checks.tally.copies import DeliveredCopies
from harness.checks.tally.counting import Counts, Marks, are_distinct, consecutive, numbers
from harness.checks.tally.deliveries import KEPT, DeliverySettlements, settlements
from harness.checks.tally.idle import IdleTimes, Spans, both, either, nobody_yet
from harness.checks.tally.outline import Outline, groups_of
from harness.checks.tally.sessions import Sessions, Survey
from harness.checks.tally.times import NEVER, Times
from harness.history.read import Log
from harness.history.records import Flag
from harness.verdict.data import LISTED_MESSAGES


class Invention(NamedTuple):
    """A completed delivery of what nobody published."""

    session: int
    completed_ns: int
    publisher: int
    """The number in its identity; FOREIGN where it has none of this run."""
    seq: int


@dataclass(frozen=True, slots=True)
class Flow:
    """How often things happened on each session, as arrays indexed by session, and what came that nobody had published."""

    delivered: np.ndarray
    completed: np.ndarray
    redelivered: np.ndarray
    acked: np.ndarray
    rejected: np.ndarray
    invented: int
    """Completed deliveries of what nobody published."""
    inventions: tuple[Invention, ...]
    """The first of them, at most LISTED_MESSAGES."""


@dataclass(frozen=True, slots=True)
class Misrouted:
    """A delivery from a queue that no life of its message leads to."""

    message: int
    queue: str
    session: int
    at_ns: int


@dataclass(frozen=True, slots=True)
class _Part:
    """The deliveries of a block."""

    here: slice
    """Their places among those of the log."""
    where: slice | np.ndarray
    """Their copies; -1 for what nobody published, -2 for what is misrouted and so completes none."""
    distinct: bool
    """Whether no copy comes several times."""
    connection: np.ndarray | int
    """The number of each one's connection, or the one of all."""
    redelivered: np.ndarray | None
    """None if none is."""
    corrupt: np.ndarray | None
    """Likewise: those of a published message, with another body."""
    identities: np.ndarray | None
    """Publisher and sequence number in each one's identity, where one is of what nobody published."""
    by: dict[int, np.ndarray]
    """By moment that counts for its worker, whether each had come by then; one truth value where it is the same for all."""


_NO_GROUPS = np.empty(0, dtype=np.int64)


class Received:
    """What became of each copy at the workers: arrays by copy."""

    def __init__(
        self,
        total: int,
        sessions: Sessions,
        marks: Marks,
        marks_ns: Iterable[int],
        moments_ns: Mapping[str, Collection[int]],
        pauses_ns: Mapping[tuple[str, int], Sequence[tuple[int, int]]],
    ) -> None:
        """Begin with nothing received; `sessions` has those of the publishers, and `marks` room for each copy and two marks more.

        The first completion behind each mark is noted, and by worker what it held at some moments. `pauses_ns` says when workers stood still,
        by actor and incarnation.
        """
        self.delivered = Counts(total, marks.column())
        self.completions = Counts(total, marks.column())
        self.first_completed_ns = Times(total)
        self.completed_in = np.zeros(total, dtype=np.uint8)
        self.redelivered = Marks(total).column()
        self.corrupt: list[int] = []
        """Messages."""
        self.misrouted: list[Misrouted] = []
        self.misroutings = 0
        self.held: dict[int, np.ndarray] = {}
        """By moment an array of 3 by sessions: deliveries that were not rejected and, of those that had come by then, how many were not
        completed, and how many were not completed or never acknowledged; how many of all were acknowledged at some time."""
        self.idle: Spans = nobody_yet()
        """When no worker was at work."""
        self._pauses_ns = pauses_ns
        self._moments_ns = moments_ns
        self._sessions = sessions
        self._sums = np.zeros((5, 0), dtype=np.int64)
        """As in `Flow`."""
        self._invented = 0
        self._inventions: list[Invention] = []
        self._marks_ns = np.unique(np.array([*marks_ns], dtype=np.int64))
        self._served_ns = np.full(len(self._marks_ns) + 1, NEVER, dtype=np.int64)
        """The first completion from each mark to the next; in front of them, the first one before all marks."""

    def read(self, log: Log, finder: DeliveredCopies) -> tuple[np.ndarray, Outline]:
        """Add a log; return the table from its connection numbers to sessions."""
        survey, moments_ns = Survey(), self._moments_ns.get(log.header.actor, ())
        parts: list[_Part] = []
        groups: list[np.ndarray] = []
        # One array for the copies of all parts: many small ones would leave holes in the memory of the process.
        copies = np.empty(len(log.records), dtype=np.min_scalar_type(-len(self.completed_in) - 2))
        astray: list[tuple[int, int, int, int]] = []
        idle = IdleTimes(forgets=self._sessions.forgets_on_loss(log))

        def visit(block: np.ndarray, kinds: np.ndarray, deliveries: np.ndarray) -> None:
            survey.see(block, kinds)
            idle.see(block, kinds)
            if len(deliveries):
                message = finder.messages(deliveries)
                copy = finder.copies(deliveries, message)
                begin = parts[-1].here.stop if parts else 0
                here = slice(begin, begin + len(message))
                if copy is not message:
                    astray.extend(_misrouted(deliveries, message, copy))
                copies[here] = copy
                where = consecutive(copy) or copies[here]
                parts.append(self._deliver(deliveries, message, copy, here, where, moments_ns))
                if int(message.min()) < 0:
                    message = finder.messages_of_any_attempt(deliveries)
                groups.append(groups_of(message))
            else:
                groups.append(_NO_GROUPS)

        settled = settlements(log, acked_ns=False, visit=visit)
        table = self._sessions.add(log, survey)
        paused = self._pauses_ns.get((log.header.actor, log.header.incarnation), ())
        self.idle = both(self.idle, either(idle.finish(self._sessions.death_ns(log)), paused))
        self._make_room(len(self._sessions.all), moments_ns)
        self.misroutings += len(astray)
        for message_number, queue, connection, at_ns in astray[: LISTED_MESSAGES - len(self.misrouted)]:
            self.misrouted.append(Misrouted(message_number, log.names[queue], int(table[connection]), at_ns))
        for part in parts:
            self._settle(part, settled, table)
        return table, Outline(settled.extents, groups)

    def _deliver(
        self,
        deliveries: np.ndarray,
        message: np.ndarray,
        copy: np.ndarray,
        here: slice,
        where: slice | np.ndarray,
        moments_ns: Collection[int],
    ) -> _Part:
        """Count deliveries; `here` are their places among those of the log, and `where` the copies as they are kept."""
        flags, connection = (np.ascontiguousarray(deliveries[name]) for name in ("flags", "connection"))
        real = copy >= 0
        known = where if isinstance(where, slice) else copy if real.all() else copy[real]
        distinct = isinstance(known, slice) or are_distinct(known)
        self.delivered.add(known, distinct=distinct)
        redelivered: np.ndarray | None = None
        changed: np.ndarray | None = None
        if flags.any():
            redelivered = (flags & Flag.REDELIVERED) != 0
            self.redelivered.put_some(copy, redelivered & real)
            corrupt = ((flags & Flag.CORRUPT) != 0) & (message >= 0)
            self.corrupt += np.unique(message[corrupt]).tolist()
            changed = corrupt if corrupt.any() else None
        one = int(connection[0]) if (connection == connection[0]).all() else None
        by = {moment_ns: _come_by(deliveries["at_ns"], moment_ns) for moment_ns in moments_ns}
        identities = None if (message >= 0).all() else deliveries[["publisher", "seq"]]
        return _Part(here, where, distinct, connection if one is None else one, redelivered, changed, identities, by)

    def _make_room(self, sessions: int, moments_ns: Iterable[int]) -> None:
        nothing = np.zeros((3, 0), dtype=np.int64)
        self.held |= {moment_ns: self.held.get(moment_ns, nothing) for moment_ns in moments_ns}
        self.held = {moment_ns: _widened(sums, sessions) for moment_ns, sums in self.held.items()}
        self._sums = _widened(self._sums, sessions)
        kind = np.min_scalar_type(sessions)
        if kind != self.completed_in.dtype:
            self.completed_in = self.completed_in.astype(kind)

    def _settle(self, part: _Part, settled: DeliverySettlements, table: np.ndarray) -> None:
        here, where = part.here, part.where if isinstance(part.where, slice) else numbers(part.where)
        done_ns = settled.completed_ns[here]
        completed = done_ns != NEVER
        session = table[part.connection]
        for number, chosen in enumerate(
            (None, completed, part.redelivered, settled.acked[here], settled.rejected[here] != KEPT)
        ):
            if number and (chosen is None or not chosen.any()):
                continue
            if np.ndim(session):
                self._sums[number] += np.bincount(
                    session if chosen is None else session[chosen], minlength=self._sums.shape[1]
                )
            else:
                self._sums[number, session] += len(done_ns) if chosen is None else np.count_nonzero(chosen)
        self._hold(part, settled, session, done_ns)
        if part.corrupt is not None:  # work on another body completes no copy
            where = np.where(part.corrupt & (numbers(where) >= 0), -2, numbers(where))
        if not completed.all():
            where, done_ns = numbers(where)[completed], done_ns[completed]
            session = session[completed] if np.ndim(session) else session
        identities = None if part.identities is None else part.identities[completed]
        if not len(done_ns):
            return
        if len(self._marks_ns):
            np.minimum.at(self._served_ns, np.searchsorted(self._marks_ns, done_ns, side="right"), done_ns)
        if isinstance(where, np.ndarray) and int(where.min()) < 0:
            real = where >= 0
            invented = where == -1
            if identities is not None:
                self._invent(np.broadcast_to(session, len(where))[invented], done_ns[invented], identities[invented])
            where, done_ns = where[real], done_ns[real]
            session = session[real] if np.ndim(session) else session
        self._complete(where, done_ns, session, distinct=part.distinct)

    def _hold(self, part: _Part, settled: DeliverySettlements, session: np.ndarray, done_ns: np.ndarray) -> None:
        if not part.by:
            return
        kept = (settled.rejected[part.here] == KEPT) & ~settled.failed[part.here]
        acked = kept & settled.acked[part.here]
        session = np.broadcast_to(session, len(kept))
        for moment_ns, by in part.by.items():
            there = kept & by
            undone = there & (done_ns > moment_ns)
            sums = self.held[moment_ns]
            for row, chosen in enumerate((undone, undone | (there & ~acked), acked)):
                if chosen.any():
                    sums[row] += np.bincount(session[chosen], minlength=sums.shape[1])

    def _complete(self, where: slice | np.ndarray, done_ns: np.ndarray, session: np.ndarray, *, distinct: bool) -> None:
        new = self.completions.add(where, distinct=distinct)
        self.first_completed_ns.least(where, done_ns)
        if not new:
            first = self.first_completed_ns[where] == done_ns
            where = numbers(where)[first]
            session = session[first] if np.ndim(session) else session
        self.completed_in[where] = session

    def _invent(self, session: np.ndarray, done_ns: np.ndarray, identities: np.ndarray) -> None:
        self._invented += len(session)
        room = LISTED_MESSAGES - len(self._inventions)
        columns = (session, done_ns, identities["publisher"], identities["seq"])
        self._inventions += (
            Invention(*row) for row in zip(*(column[:room].tolist() for column in columns), strict=True)
        )

    def flow(self) -> Flow:
        """Return what happened on each session."""
        delivered, completed, redelivered, acked, rejected = self._sums
        return Flow(delivered, completed, redelivered, acked, rejected, self._invented, tuple(self._inventions))

    def served_ns(self) -> dict[int, int]:
        """Return by the time at which a fault was over, the next completion; NEVER if none came."""
        later = np.minimum.accumulate(self._served_ns[:0:-1])[::-1]
        return dict(zip(self._marks_ns.tolist(), later.tolist(), strict=True))


def _misrouted(deliveries: np.ndarray, message: np.ndarray, copy: np.ndarray) -> Iterator[tuple[int, int, int, int]]:
    """Mark what is misrouted by -2 in `copy`, and yield message, queue, connection and time of each."""
    rows = np.flatnonzero((copy < 0) & (message >= 0))
    copy[rows] = -2
    for row in rows.tolist():
        record = deliveries[row]
        yield int(message[row]), int(record["queue"]), int(record["connection"]), int(record["at_ns"])


def _widened(sums: np.ndarray, sessions: int) -> np.ndarray:
    """Make room for more sessions, the columns of an array."""
    return np.pad(sums, ((0, 0), (0, sessions - sums.shape[1])))


def _come_by(at_ns: np.ndarray, moment_ns: int) -> np.ndarray:
    by: np.ndarray = at_ns <= moment_ns
    return by[:1].copy() if by.all() or not by.any() else by
