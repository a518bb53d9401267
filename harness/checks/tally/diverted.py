"""Which messages did not take the usual way of their route, or need not have.

Those that were published while queues were away: an alternate exchange took them elsewhere. And those that came back as unroutable: they
reached no queue.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from harness.checks.tally.copies import AT_ONCE
from harness.checks.tally.lives import NO_QUEUE, Alternatives
from harness.checks.tally.publishes import PublisherLog
from harness.checks.tally.sent import Sent
from harness.checks.tally.sessions import Session
from harness.checks.tally.times import NEVER
from harness.checks.tally.topology import RunTopology

Bits = NDArray[np.uint64]
"""Ways of a route, a bit each."""


@dataclass(frozen=True, slots=True)
class Diverted:
    """Messages that need not have taken the usual way of their route: they get a route number of their own."""

    routes: tuple[str, ...]
    """The routes of which there are some: each has a second number, behind those of all routes."""
    ways: tuple[Alternatives, ...]
    """Beside each of them, the ways that such messages can have taken."""
    route: NDArray[np.unsignedinteger]
    """By message, the number of its route."""
    way: NDArray[np.uint8]
    """By message, which of the ways of its route it took where nothing was seen of it: see `Lives.ways`."""
    later: NDArray[np.uint8]
    """The same, from when on something was seen on that way: its queue can have expired before; 0 for none."""
    promised: Bits
    """By message, the ways that those of its attempts can have taken which were promised; those of all if none was."""


def diverted(sent: Sent, routes: tuple[str, ...], topology: RunTopology, logs: Iterable[PublisherLog]) -> Diverted:
    """Find them by the time of their publishes, and by what came back."""
    found: dict[str, Alternatives] = {}
    came_back = _came_back(sent, logs)
    route, way = sent.route, np.zeros(sent.total, dtype=np.uint8)
    promised = np.zeros(sent.total, dtype=np.uint64)
    for number, name in enumerate(routes):
        ways = topology.ways(name)
        in_several = max(map(len, ways)) > 1
        if len(ways) < 2 and not (in_several and len(came_back)):
            continue
        mine = np.flatnonzero(sent.route[: sent.total] == number)
        mine = mine[sent.published.some[mine]]
        nowhere = came_back[np.isin(came_back, mine)] if in_several else came_back[:0]
        if len(ways) < 2 and not len(nowhere):
            continue
        bits, surely = _ways_at(sent.first_published_ns[mine], name, ways, topology)
        promised[mine], way[mine] = bits, surely
        again = np.zeros(sent.total, dtype=bool)
        again[mine[sent.published[mine] > 1]] = True
        if again.any():
            bits |= _of_further_attempts(again, name, ways, topology, logs, promised, way)[mine]
        if len(nowhere):
            bits[np.isin(mine, nowhere)] = promised[nowhere] = np.uint64(1 << len(ways))
            way[nowhere] = len(ways)
            ways = (*ways, NO_QUEUE)
        chosen = mine[bits > np.uint64(1)]
        if len(chosen):
            route = route.astype(np.min_scalar_type(len(routes) + len(found)))
            route[chosen] = len(routes) + len(found)
            found[name] = ways
    return Diverted(tuple(found), tuple(found.values()), route, way, np.zeros_like(way), promised)


def _came_back(sent: Sent, logs: Iterable[PublisherLog]) -> NDArray[np.int64]:
    """Return the messages of which every attempt came back as unroutable."""
    parts = [np.empty(0, dtype=np.int64)]
    for begin in range(0, sent.total, AT_ONCE):
        parts.append(begin + np.flatnonzero(sent.returned[begin : min(begin + AT_ONCE, sent.total)]))
    found = np.concatenate(parts)
    again = np.zeros(sent.total if len(found) else 0, dtype=bool)
    again[found] = ~sent.published.single(found)
    if again.any():
        kept = np.concatenate([table.message[~table.returned] for log in logs for table in log.tables(again)])
        found = np.setdiff1d(found, kept)
    return found


def after_expiry(
    apart: Diverted, first: int, sent: Sent, topology: RunTopology, sessions: Sequence[Session], zero_ns: int
) -> Diverted:
    """Say which way a message took that was published after a queue can have expired; `first` is the number of the first route."""
    can_ns = {queue: topology.can_expire_ns(queue, sessions, zero_ns) for queue in topology.topology.queues}
    expired = sorted((at_ns, queue) for queue, at_ns in can_ns.items() if at_ns != NEVER)
    later = apart.later.copy()
    for number, (name, ways) in enumerate(zip(apart.routes, apart.ways, strict=True), start=first):
        mine = np.flatnonzero((apart.route[: sent.total] == number) & (apart.way == 0))
        for last, (at_ns, _) in enumerate(expired, start=1):
            left = replace(topology.topology, away=frozenset(queue for _, queue in expired[:last])).start(name)
            if left in ways[1:]:
                later[mine[sent.first_published_ns[mine] > at_ns]] = ways.index(left)
    return replace(apart, later=later)


def _ways_at(
    at_ns: NDArray[np.int64], name: str, ways: Alternatives, topology: RunTopology
) -> tuple[Bits, NDArray[np.uint8]]:
    """Return which ways publishes to a route can have taken at some times, and which one they most likely took."""
    bits, likely = np.ones(len(at_ns), dtype=np.uint64), np.zeros(len(at_ns), dtype=np.uint8)
    for each in topology.diversions:
        start = each.topology.start(name)
        if start not in ways[1:]:
            continue
        bits[(at_ns >= each.from_ns) & (at_ns <= each.latest_ns)] |= np.uint64(1 << ways.index(start))
        surely = (at_ns >= each.sure_ns) & (at_ns <= each.until_ns) & (at_ns != NEVER)
        bits[surely] &= ~np.uint64(1)
        likely[surely] = ways.index(start)
    return bits, likely


def _of_further_attempts(
    again: NDArray[np.bool_],
    name: str,
    ways: Alternatives,
    topology: RunTopology,
    logs: Iterable[PublisherLog],
    promised: Bits,
    way: NDArray[np.uint8],
) -> Bits:
    """Return by message the ways of all attempts of those that were published again; note those of the promised ones."""
    found, seen = np.zeros(len(again), dtype=np.uint64), np.zeros(len(again), dtype=bool)
    for table in (table for log in logs for table in log.tables(again)):
        bits, likely = _ways_at(table.at_ns, name, ways, topology)
        np.bitwise_or.at(found, table.message, bits)
        kept = np.flatnonzero(table.promised)
        first = kept[~seen[table.message[kept]]]
        promised[table.message[first]] = 0
        np.bitwise_or.at(promised, table.message[kept], bits[kept])
        way[table.message[kept]] = likely[kept]
        seen[table.message[kept]] = True
    promised[again & ~seen] = found[again & ~seen]
    return found
