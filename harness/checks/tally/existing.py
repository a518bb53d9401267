"""Which copies exist: a publish begins some, and so does each death into several queues."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from harness.checks.tally.copies import Copies
from harness.checks.tally.deliveries import REJECTED, WorkerLog
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
    gone_ns: Mapping[str, int],
) -> NDArray[np.int64]:
    """Return a copy that began with each death into several queues that a reject brought about: the last that is known of the one before.

    `gone_ns` is when deaths in a queue began to lead nowhere, by queue.
    """
    if not any(lives.branchings for lives in copies.lives):
        return np.empty(0, dtype=np.int64)
    columns = [np.empty((3, 0), dtype=np.int64)]
    until_ns = np.array([gone_ns.get(name, NEVER) for name in queues], dtype=np.int64)
    for table in (table for log in logs for table in log.tables()):
        led_until_ns = until_ns[table.queue]
        rejected = (table.rejected == REJECTED) & (table.rejected_ns <= led_until_ns)
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
    way: NDArray[np.uint8],
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return by copy whether it exists, and whether a publish began it.

    A publish begins one in each queue that its way leads to. One that died into several queues is over (though it counts where it was
    done before), and those exist: that is known as soon as one of them, or one that it led to, was seen, or is among those that `begun`.
    Where a route has several ways, a message took those on which it was seen, else the one of `way` (by message).
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
            for slot, taken in _ways_taken(lives, seen, mine, copies, way[message]).items():
                exists[copies.siblings(mine, slot)] &= taken
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


def _ways_taken(
    lives: Lives, seen: NDArray[np.bool_], mine: NDArray[np.int64], copies: Copies, way: NDArray[np.uint8]
) -> dict[int, NDArray[np.bool_]]:
    """Return by slot that a publish begins, which of some messages (by their first copies) had one."""
    alone = [slot for slot in range(lives.published) if sum(slot in each for each in lives.ways) == 1]
    was_seen = [
        np.logical_or.reduce([mine < 0, *(seen[copies.siblings(mine, slot)] for slot in each if slot in alone)])
        for each in lives.ways
    ]
    unseen = ~np.logical_or.reduce(was_seen)
    took = [was | (unseen & (way == number)) for number, was in enumerate(was_seen)]
    return {
        slot: np.logical_or.reduce([took[number] for number, each in enumerate(lives.ways) if slot in each])
        for slot in range(lives.published)
    }
