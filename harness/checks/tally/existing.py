"""Which copies exist: a publish begins some, and so does each death into several queues."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.checks.tally.copies import Copies
from harness.checks.tally.deliveries import REJECTED, WorkerLog
from harness.checks.tally.diverted import Bits, Diverted
from harness.checks.tally.found import Found
from harness.checks.tally.lives import Lives
from harness.checks.tally.messages import Messages
from harness.checks.tally.received import Received
from harness.checks.tally.times import NEVER


def branched(
    copies: Copies,
    logs: Iterable[WorkerLog],
    route: NDArray[np.unsignedinteger],
    queues: tuple[str, ...],
    elsewhere: Mapping[str, Sequence[tuple[int, int]]],
) -> NDArray[np.int64]:
    """Return a copy that began with each death into several queues that a reject brought about: the last that is known of the one before.

    `elsewhere` is between which times deaths in a queue may have led elsewhere, by queue.
    """
    if not any(lives.branchings for lives in copies.lives):
        return np.empty(0, dtype=np.int64)
    columns = [np.empty((3, 0), dtype=np.int64)]
    for table in (table for log in logs for table in log.tables()):
        rejected = table.rejected == REJECTED
        for name, times in elsewhere.items():
            for begin_ns, end_ns in times:
                there = (table.rejected_ns >= begin_ns) & (table.rejected_ns <= end_ns)
                rejected &= ~(there & (table.queue == queues.index(name)))
        queue = np.where(rejected, table.queue.astype(np.int64), -1)
        columns.append(np.stack([table.copy, table.at_ns, queue])[:, table.copy >= 0])
    copy, at_ns, queue = np.concatenate(columns, axis=1)
    rejected = np.unique(copy[queue >= 0])
    mine = np.flatnonzero(np.isin(copy, rejected))
    mine = mine[np.lexsort((at_ns[mine], copy[mine]))]
    last = mine[np.append(np.diff(copy[mine]) != 0, True)] if len(mine) else mine
    last = last[queue[last] >= 0]
    kinds = np.stack([route[copies.messages(copy[last])], copies.slots(copy[last]), queue[last]])
    begun = [np.empty(0, dtype=np.int64)]
    for of_route, slot, place in set(zip(*kinds.tolist(), strict=True)):
        like_it = (kinds == [[of_route], [slot], [place]]).all(axis=0)
        for child in copies.lives[of_route].begun_in(slot, queues[place])[:1]:
            begun.append(copies.siblings(copy[last[like_it]], child))
    return np.concatenate(begun)


def existing(
    messages: Messages,
    copies: Copies,
    received: Received,
    found: Found,
    begun: NDArray[np.int64],
    apart: Diverted,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return by copy whether it exists, and whether a publish began it.

    A publish begins one in each queue that its way leads to. One that died into several queues is over (though it counts where it was
    done before), and those exist: that is known as soon as one of them, or one that it led to, was seen, or is among those that `begun`.
    Where a route has several ways, a message took those on which it was seen, else the most likely one. A copy on a way that only attempts
    without a promise can have taken exists where it was done.
    """
    seen = np.zeros(copies.total, dtype=bool)
    seen[found.copy[found.copy >= 0]] = True
    seen[begun] = True
    exists = np.zeros(copies.total, dtype=bool)
    for here in copies.slices():
        message = copies.messages(here)
        published = np.array([each.published for each in copies.lives] or [1])[messages.route[message]]
        exists[here] = messages.published.some[message] & (copies.slots(here) < published)
        seen[here] |= received.delivered.some[here]
    several = []
    for route, lives in enumerate(copies.lives):
        if lives.branchings or len(lives.ways) > 1:
            parts = [
                span.begin
                + np.flatnonzero(messages.route[span.message : span.message + span.end - span.begin] == route)
                for span in copies.spans
                if span.slot == 0
            ]
            several.append((lives, np.concatenate(parts)))
    for lives, mine in several:
        for parent, children in reversed(lives.branchings):
            places = [copies.siblings(mine, child) for child in children]
            seen[copies.siblings(mine, parent)] |= np.logical_or.reduce([seen[place] for place in places])
        if len(lives.ways) > 1:
            message = copies.messages(mine)
            slots = [copies.siblings(mine, slot) for slot in range(lives.published)]
            likely = _likely(
                lives, [seen[slot] for slot in slots], messages.first_published_ns[message], apart, message
            )
            kept = [received.completions.some[slot] | np.isin(slot, found.copy) for slot in slots]
            evidence = _Evidence([seen[slot] for slot in slots], kept, apart.promised[message], likely)
            for slot, there in zip(slots, evidence.existing(lives.ways), strict=True):
                exists[slot] &= there
    began = exists.copy()
    for lives, mine in several:
        for parent, children in lives.branchings:
            places = [copies.siblings(mine, child) for child in children]
            ended = np.logical_or.reduce([seen[place] for place in places]) & exists[copies.siblings(mine, parent)]
            over = copies.siblings(mine, parent)[ended]
            exists[over] = received.completions.some[over]
            for place in places:
                exists[place[ended]] = True
    return exists, began


def _likely(
    lives: Lives,
    seen: Sequence[NDArray[np.bool_]],
    first_ns: NDArray[np.int64],
    apart: Diverted,
    message: NDArray[np.int64] | slice,
) -> NDArray[np.uint8]:
    """Return the most likely way of some messages: that of an expired queue's exchange from when on something was seen on it."""
    likely, later = apart.way[message].copy(), apart.later[message]
    for number, way in enumerate(lives.ways[1:], start=1):
        on_it = np.logical_or.reduce([first_ns < 0, *(seen[slot] for slot in way if slot not in lives.ways[0])])
        after = (later == number) & (first_ns > first_ns[on_it & (later == number)].min(initial=NEVER))
        likely[after] = number
    return likely


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What tells the ways that some messages of one route took; lists are by slot that a publish begins."""

    seen: list[NDArray[np.bool_]]
    """Whether such a copy, or one that it led to, was delivered or found."""
    kept: list[NDArray[np.bool_]]
    """Whether it was done, or found."""
    promised: Bits
    likely: NDArray[np.uint8]

    def existing(self, ways: Sequence[Sequence[int]]) -> list[NDArray[np.bool_]]:
        """Return by slot which messages have such a copy: one way if that is all, and else those that lead to what was seen."""
        allowed = [(self.promised & np.uint64(1 << number)) != 0 for number in range(len(ways))]
        there = []
        for slot, (seen, kept) in enumerate(zip(self.seen, self.kept, strict=True)):
            of_ways = [may for may, way in zip(allowed, ways, strict=True) if slot in way]
            there.append(seen & (kept | np.logical_or.reduce(of_ways)))
        some = np.logical_or.reduce(there)
        fits = [~np.logical_or.reduce([some & False, *(each for slot, each in enumerate(there) if slot not in way)])
                for way in ways]  # fmt: skip
        left, took = ~(some & False), [some & False for _ in ways]
        for number, fit in enumerate(fits):
            took[number] = left & fit & (self.likely == number)
        left &= ~np.logical_or.reduce(took)
        for number, fit in enumerate(fits):
            chosen = left & fit & some
            took[number] |= chosen
            left &= ~chosen
        for slot, each in enumerate(there):
            first = next(number for number, way in enumerate(ways) if slot in way)
            took[first] |= left & each
        return [
            np.logical_or.reduce(
                [took[number] & (allowed[number] | each) for number, way in enumerate(ways) if slot in way]
            )
            for slot, each in enumerate(there)
        ]
