"""Which messages may have been published while queues were away, so that an alternate exchange took them elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.checks.tally.sent import Sent
from harness.checks.tally.times import NEVER
from harness.checks.tally.topology import Diversion, RunTopology


@dataclass(frozen=True, slots=True)
class Diverted:
    """Messages whose route is told apart from that of others which went out the same way."""

    routes: tuple[str, ...]
    """The routes of which there are some: each has a second number, behind those of all routes."""
    route: NDArray[np.unsignedinteger]
    """By message, the number of its route."""
    way: NDArray[np.uint8]
    """By message, which of the ways of its route it took where nothing was seen of it: see `Lives.ways`."""


def diverted(sent: Sent, routes: tuple[str, ...], topology: RunTopology) -> Diverted:
    """Find them by the time of their publishes."""
    found: list[str] = []
    route, way = sent.route, np.zeros(sent.total, dtype=np.uint8)
    for number, name in enumerate(routes):
        ways = topology.ways(name)
        if len(ways) < 2:
            continue
        mine = np.flatnonzero(sent.route[: sent.total] == number)
        mine = mine[sent.published.some[mine]]
        first_ns, again = sent.first_published_ns[mine], sent.published[mine] > 1
        chosen = np.zeros(len(mine), dtype=bool)
        for each in topology.diversions:
            start = each.topology.start(name)
            if start in ways[1:]:
                chosen |= (first_ns <= each.latest_ns) & (again | (first_ns >= each.from_ns))
                way[mine[_surely(each, first_ns, again=again)]] = ways.index(start)
        if chosen.any():
            route = route.astype(np.min_scalar_type(len(routes) + len(found)))
            route[mine[chosen]] = len(routes) + len(found)
            found.append(name)
    return Diverted(tuple(found), route, way)


def _surely(diversion: Diversion, first_ns: NDArray[np.int64], *, again: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which messages were surely published while the queues were away, every time."""
    there = (first_ns >= diversion.sure_ns) & (first_ns <= diversion.until_ns)
    return there & ~again if diversion.until_ns != NEVER else there
