"""How many messages waited in each queue, over time.

Nobody asks the broker for this while the traffic runs: it is worked out from the records and from what is in force on each queue. A queue
gets what publishers are known to have put in it, what workers gave back, and the dead letters of other queues. It loses what is
delivered, then what has outlived its time to live, then what is over its length limit, the oldest first. What was lost before a worker
received it stays: no record says when it went.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from harness.checks.tally.topology import RunTopology
from harness.events import ProcessExited
from harness.history.history import History
from harness.history.read import Log
from harness.history.records import FOREIGN, AckMode, Flag, Kind
from harness.history.series import Grid, Series, sessions
from harness.history.tags import indexed
from harness.scenario.queue_policy import EffectivePolicy


def depths(history: History, topology: RunTopology, data: Series) -> dict[str, NDArray[np.int64]]:
    """Return by queue, in the order of the scenario, how many messages wait in it at the end of each bucket of `data`."""
    grid = data.grid(history.zero_ns)
    names = tuple(topology.topology.queues)
    flows = {name: _Flows(grid.count) for name in names}
    arrived = _Arrived(history)
    for log in history.of_role("publisher"):
        _publish(log, flows, topology, grid, arrived)
    ends = {(each.actor, each.incarnation): each.at_ns for each in history.events if isinstance(each, ProcessExited)}
    for log in history.of_role("worker"):
        _work(log, flows, grid, ends.get((log.header.actor, log.header.incarnation)))
    used = [name for name in names if flows[name].any]
    targets: dict[str, list[str]] = {}
    for name in used:
        targets[name] = [target for target in topology.targets(name) if target in flows]
        used += [target for target in targets[name] if target not in used]
    used = [name for name in names if name in targets]
    waiting = {name: _Waiting(topology.policy(name), grid.width_ns) for name in used}
    found: dict[str, list[int]] = {name: [] for name in used}
    for bucket in range(grid.count):
        for name in used:
            waiting[name].put(bucket, int(flows[name].published[bucket]))
            waiting[name].put_back(bucket, int(flows[name].returned[bucket]))
            for target in targets[name]:
                waiting[target].put(bucket, int(flows[name].rejected[bucket]))
        for name in used:
            gone = waiting[name].take(bucket, int(flows[name].delivered[bucket]))
            for target in targets[name]:
                waiting[target].put(bucket, gone)
        for name in used:
            found[name].append(waiting[name].depth)
    empty = np.zeros(grid.count, dtype=np.int64)
    return {name: np.array(found[name], dtype=np.int64) if name in found else empty for name in names}


class _Flows:
    """What comes to a queue and leaves it in each bucket, as far as records say so."""

    def __init__(self, buckets: int) -> None:
        self.published, self.delivered, self.returned, self.rejected = (np.zeros(buckets) for _ in range(4))

    @property
    def any(self) -> bool:
        return any(flow.any() for flow in (self.published, self.delivered, self.returned, self.rejected))


@dataclass
class _Waiting:
    """The messages that wait in one queue, the oldest first, by the bucket in which they came."""

    policy: EffectivePolicy
    width_ns: int
    depth: int = 0
    _owed: int = 0
    """What was delivered in a bucket before it is known to have come."""
    _parts: deque[tuple[int, int]] = field(default_factory=deque)

    def put(self, bucket: int, count: int) -> None:
        paid = min(count, self._owed)
        self._owed -= paid
        if count > paid:
            self._parts.append((bucket, count - paid))
            self.depth += count - paid

    def put_back(self, bucket: int, count: int) -> None:
        if count:
            self._parts.appendleft((bucket, count))
            self.depth += count

    def take(self, bucket: int, delivered: int) -> int:
        """Take away what left in a bucket; return how many of that expired or were dropped."""
        self._owed += delivered - self._remove(delivered)
        gone = 0
        if self.policy.message_ttl_s is not None:
            oldest = bucket - math.ceil(self.policy.message_ttl_s * 1e9 / self.width_ns)
            while self._parts and self._parts[0][0] <= oldest:
                gone += self._remove(self._parts[0][1])
        if self.policy.max_length is not None and not self.policy.refuses_when_full:
            gone += self._remove(max(0, self.depth - self.policy.max_length))
            self._owed = 0  # which of a bucket's messages were dropped is not known
        return gone

    def _remove(self, count: int) -> int:
        removed = 0
        while self._parts and removed < count:
            bucket, there = self._parts.popleft()
            taken = min(there, count - removed)
            removed += taken
            if taken < there:
                self._parts.appendleft((bucket, there - taken))
        self.depth -= removed
        return removed


class _Arrived:
    """The publishes that are known to have come to a queue although they were not confirmed: they were delivered, or found."""

    def __init__(self, history: History) -> None:
        self._history = history

    def among(self, published: np.ndarray, publisher: int) -> NDArray[np.bool_]:
        """Tell which publishes of a publisher are among them."""
        if not len(published):
            return np.zeros(0, dtype=np.bool_)
        return np.isin(_keys(published), self._by_publisher.get(publisher, np.empty(0, dtype=np.int64)))

    @cached_property
    def _by_publisher(self) -> Mapping[int, NDArray[np.int64]]:
        found: dict[int, list[NDArray[np.int64]]] = {}
        for log in (*self._history.of_role("worker"), *self._history.of_role("collector")):
            records = log.records[np.isin(log.records["kind"], (Kind.DELIVERED, Kind.FOUND))]
            for publisher in np.unique(records["publisher"]).tolist():
                found.setdefault(publisher, []).append(_keys(records[records["publisher"] == publisher]))
        return {publisher: np.unique(np.concatenate(keys)) for publisher, keys in found.items()}


def _keys(records: np.ndarray) -> NDArray[np.int64]:
    keys: NDArray[np.int64] = records["seq"].astype(np.int64) << 16 | records["attempt"]
    return keys


def _publish(
    log: Log,
    flows: Mapping[str, _Flows],
    topology: RunTopology,
    grid: Grid,
    arrived: _Arrived,
) -> None:
    """Count what came to the queues: what was confirmed, what was to have no confirm, and what was seen again."""
    published = log.records[log.records["kind"] == Kind.PUBLISHED]
    there = published["tag"] == 0
    indexed(published).settle(there, log.records[log.records["kind"] == Kind.CONFIRMED])
    doubtful = np.flatnonzero(~there)
    there[doubtful] = arrived.among(published[doubtful], log.header.number)
    for number in np.unique(published["queue"]).tolist():
        left, route = there & (published["queue"] == number), log.names[number]
        for each in topology.diversions if len(topology.ways(route)) > 1 else ():
            away = left & (published["at_ns"] >= each.sure_ns) & (published["at_ns"] <= each.until_ns)
            for position in each.topology.start(route):
                flows[position.queue].published += grid.sums(published, away)
            left &= ~away
        for position in topology.topology.start(route):
            flows[position.queue].published += grid.sums(published, left)


def _work(log: Log, flows: Mapping[str, _Flows], grid: Grid, exited_ns: int | None) -> None:
    """Count what left the queues for a worker, and what came back from it: rejected, or held when its connection was lost."""
    for records in sessions(log.events):
        kind = records["kind"]
        ours = (kind == Kind.DELIVERED) & (records["publisher"] != FOREIGN)
        queues = {log.names[number] for number in np.unique(records["queue"][ours]).tolist()}
        for queue in queues & flows.keys():
            flow = flows[queue]
            mine = ours & (records["queue"] == log.names.index(queue))
            flow.delivered += grid.sums(records, mine)
            requeued = (records["flags"] & Flag.REQUEUE) != 0
            rejected = kind == Kind.REJECTED
            if len(queues) == 1:  # a worker of the harness consumes one queue
                flow.returned += grid.sums(records, rejected & requeued)
                flow.rejected += grid.sums(records, rejected & ~requeued)
                for at_ns, count in _given_back(records, exited_ns):
                    flow.returned[grid.index(np.array([at_ns]))[0]] += count


def _given_back(records: np.ndarray, exited_ns: int | None) -> Iterable[tuple[int, int]]:
    """Yield when and how many messages a session still held at its end, if they go back to their queue."""
    kind = records["kind"]
    over = np.isin(kind, (Kind.CONNECTION_LOST, Kind.CHANNEL_CLOSED, Kind.FINISHED))
    end_ns = int(records["at_ns"][over][0]) if over.any() else exited_ns
    if end_ns is None or _automatic(records):
        return
    earlier = records[records["at_ns"] <= end_ns]
    kinds = earlier["kind"]
    settled = int(earlier["arg"][kinds == Kind.ACKED].sum()) + int(np.count_nonzero(kinds == Kind.REJECTED))
    held = int(np.count_nonzero(kinds == Kind.DELIVERED)) - settled
    if held > 0:
        yield end_ns, held


def _automatic(records: np.ndarray) -> bool:
    """Whether the broker takes all deliveries of a session for acknowledged; logs of version 1 tell it by the missing acks."""
    modes = records["attempt"][records["kind"] == Kind.CONSUMING]
    if len(modes) and modes[0] != AckMode.UNKNOWN:
        return bool(modes[0] == AckMode.AUTOMATIC)
    return not (records["kind"] == Kind.ACKED).any()


def copies_by_route(topology: RunTopology, history: History) -> dict[str, int]:
    """Return by route how many copies a message has."""
    routes: Iterator[str] = (name for log in history.of_role("publisher") for name in log.names)
    return {route: topology.topology.copies(route) for route in set(routes)}
