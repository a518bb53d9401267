"""When no worker was at work, as all workers' logs say: a worker is at work from a delivery until nothing of what it holds is left to be done."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from harness.checks.tally.times import NEVER
from harness.events import Event, ProcessExited, ProcessPaused, ProcessResumed
from harness.history.records import Flag, Kind

Spans = NDArray[np.int64]
"""Stretches of time, in order and apart from each other: an array of rows [begin, end), in monotonic nanoseconds."""

SHORTEST_NS: Final = 1_000_000
"""Shorter times in which no worker was at work are not looked at."""
MOST_SPANS: Final = 1 << 16
"""Where there are more, the shortest are forgotten."""
_ALWAYS: Final = np.array([[-NEVER, NEVER]], dtype=np.int64)

_CHANGE = np.zeros(256, dtype=np.int64)
_CHANGE[Kind.DELIVERED] = 1
_CHANGE[[Kind.COMPLETED, Kind.REJECTED, Kind.FAILED, Kind.CRASHING]] = -1
"""By kind, how a record changes the number of deliveries that are left to be done."""
_IS_LOSS = np.zeros(256, dtype=bool)
_IS_LOSS[[Kind.CONNECTION_LOST, Kind.CHANNEL_CLOSED]] = True


class IdleTimes:
    """When the worker of one log was not at work, found block by block."""

    def __init__(self, *, forgets: bool) -> None:
        """`forgets` says that it drops what it holds and has not begun when its connection is lost, as one that acknowledges its work does."""
        self._forgets = forgets
        self._left = 0
        self._since_ns: int = -NEVER
        """Since when it is idle, while nothing is left to be done."""
        self._last_ns: int = -NEVER
        self._lost_ns: dict[int, int] = {}
        """When each connection was lost, by its number."""
        self._last_lost = -1
        self._unfinished_ns: int = NEVER
        """When the connection was lost of what it may still be doing; NEVER if that is nothing."""
        self._found: list[Spans] = []
        self._late: list[tuple[int, int]] = []
        """When it finished what it had begun on a connection that was then lost."""

    def see(self, block: np.ndarray, kinds: np.ndarray) -> None:
        """Look at the next block of records; `kinds` are theirs."""
        change = _CHANGE[kinds]
        begin = 0
        if self._forgets:
            for loss in np.flatnonzero(_IS_LOSS[kinds]).tolist():
                self._take(block[begin:loss], change[begin:loss])
                self._lose(int(block["connection"][loss]), int(block["at_ns"][loss]))
                begin = loss + 1
        self._take(block[begin:], change[begin:])
        if len(block):
            self._last_ns = int(block["at_ns"][-1])

    def _take(self, block: np.ndarray, change: NDArray[np.int64]) -> None:
        rows = np.flatnonzero(change)
        if not len(rows):
            return
        change, at_ns = change[rows], np.ascontiguousarray(block["at_ns"][rows])
        change[(block["flags"][rows] & np.uint8(Flag.DONE) != 0) & (change > 0)] = 0
        if self._last_lost >= 0:
            connection = block["connection"][rows]
            old = connection <= self._last_lost
            if old.any():
                ended = zip(connection[old].tolist(), at_ns[old].tolist(), strict=True)
                self._late += [(self._lost_ns[number], end) for number, end in ended if number in self._lost_ns]
                self._unfinished_ns = NEVER
                change, at_ns = change[~old], at_ns[~old]
                if not len(at_ns):
                    return
            if (change < 0).any():
                self._unfinished_ns = NEVER  # one task at a time
        left = np.cumsum(change) + self._left
        idle = np.flatnonzero(left[:-1] <= 0)
        if self._left <= 0:
            self._keep(np.array([[self._since_ns, at_ns[0]]], dtype=np.int64))
        self._keep(np.stack([at_ns[idle], at_ns[idle + 1]], axis=1))
        self._left, self._since_ns = max(0, int(left[-1])), int(at_ns[-1])

    def _lose(self, connection: int, at_ns: int) -> None:
        if self._left > 0:
            self._left, self._since_ns = 0, at_ns
            self._unfinished_ns = min(self._unfinished_ns, at_ns)
        self._lost_ns[connection] = at_ns
        self._last_lost = connection

    def _keep(self, spans: Spans) -> None:
        long = spans[spans[:, 1] - SHORTEST_NS >= spans[:, 0]]
        if len(long):
            self._found.append(long)
            if len(self._found) > 64:
                self._found = [longest(np.concatenate(self._found))]

    def finish(self, death_ns: int) -> Spans:
        """Return the spans; `death_ns` is when its process was killed, NEVER if it ended in order."""
        if self._left > 0:
            self._since_ns = death_ns if death_ns != NEVER else self._last_ns
        if NEVER not in (self._unfinished_ns, death_ns):
            self._late.append((self._unfinished_ns, death_ns))
        found = [*self._found, np.array([[self._since_ns, NEVER]], dtype=np.int64)]
        return without(longest(np.concatenate(found)), self._late)


def pauses(events: Iterable[Event]) -> dict[tuple[str, int], list[tuple[int, int]]]:
    """Return when processes stood still, by actor and incarnation."""
    begun: dict[tuple[str, int], int] = {}
    found: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for event in events:
        match event:
            case ProcessPaused():
                begun.setdefault((event.actor, event.incarnation), event.at_ns)
            case ProcessResumed() | ProcessExited():
                who = (event.actor, event.incarnation)
                if who in begun:
                    found.setdefault(who, []).append((begun.pop(who), event.at_ns))
    for who, begin in begun.items():
        found.setdefault(who, []).append((begin, NEVER))
    return found


def nobody_yet() -> Spans:
    """Return the times in which none of no workers is at work: always."""
    return _ALWAYS.copy()


def both(spans: Spans, others: Spans) -> Spans:
    """Return the times that are in both, without short ones."""
    begin, end = others[:, 0], others[:, 1]
    first = np.searchsorted(end, spans[:, 0], side="right")
    last = np.searchsorted(begin, spans[:, 1], side="left")
    counts = np.maximum(last - first, 0)
    mine = np.repeat(np.arange(len(spans)), counts)
    theirs = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + first[mine]
    found = np.stack([np.maximum(spans[mine, 0], begin[theirs]), np.minimum(spans[mine, 1], end[theirs])], axis=1)
    return longest(found[found[:, 1] - SHORTEST_NS >= found[:, 0]])


def either(spans: Spans, others: Sequence[tuple[int, int]]) -> Spans:
    """Return the times that are in one or the other, or in both. Two that only meet stay apart: what is done as it comes takes no time."""
    if not others:
        return spans
    found = np.concatenate([spans, np.array(others, dtype=np.int64)])
    found = found[np.argsort(found[:, 0], kind="stable")]
    end = np.maximum.accumulate(found[:, 1])
    first = np.flatnonzero(np.append(True, found[1:, 0] >= end[:-1]))
    return np.stack([found[first, 0], end[np.append(first[1:] - 1, len(end) - 1)]], axis=1)


def without(spans: Spans, others: Sequence[tuple[int, int]]) -> Spans:
    """Return the times that are in the spans and not in the others."""
    if not others:
        return spans
    taken = either(np.empty((0, 2), dtype=np.int64), others)
    return both(spans, np.stack([np.append(-NEVER, taken[:, 1]), np.append(taken[:, 0], NEVER)], axis=1))


def longest(spans: Spans) -> Spans:
    """Keep the longest ones, in their order, where there are too many."""
    if len(spans) <= MOST_SPANS:
        return spans
    # Half of them, so that it is not done again for each one that comes. A span from or to the end of time is the longest.
    lengths = np.minimum(spans[:, 1], NEVER // 2) - np.maximum(spans[:, 0], -NEVER // 2)
    return spans[np.sort(np.argsort(lengths, kind="stable")[-(MOST_SPANS // 2) :])]
