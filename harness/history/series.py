"""A history over time, aggregated for charts and tables: rates, backlog and deliveries in flight, in equal buckets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from harness.events import Drained, Event, FaultHealed, FaultInjected, ProcessExited
from harness.history.history import History
from harness.history.progress import completed
from harness.history.read import Log
from harness.history.records import FOREIGN, Flag, Kind
from harness.history.tags import indexed

BUCKETS = 160
"""Most points a line: as many as can be told apart, few enough to keep batched confirms from looking like noise."""
WIDTHS_S = (0.02, 0.05, 0.1, 0.2, 0.25, 0.5)
"""Widths of buckets below a second; above, the first of 1, 2, 5, 10, 20, … that fits."""

_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Series:
    """Arrays of one length, a value for each bucket."""

    width_s: float
    begin_s: np.ndarray
    """When each bucket begins, in seconds since the publishers were released."""
    rates: dict[str, np.ndarray]
    """Messages a second: published, confirmed, delivered, completed, acknowledged."""
    backlog: np.ndarray
    """Copies published and not yet completed, at the end of each bucket; lost ones stay in it."""
    in_flight: np.ndarray
    """At the end of each bucket: deliveries on living connections that are not completed, or not acknowledged."""
    depths: dict[str, np.ndarray] = field(default_factory=dict)
    """By queue, the messages that wait in it at the end of each bucket; see `harness.report.depths`."""

    def coarser(self, buckets: int) -> Series:
        """Put buckets together until there are at most `buckets`; as if the history had been aggregated into these."""
        fine = round(self.width_s * 1e9)
        count = len(self.begin_s)
        width = _width_ns(count * fine, buckets, multiple_of=fine)
        number = round(self.begin_s[0] * 1e9 / fine) + np.arange(count)
        group = number // (width // fine)
        starts = np.flatnonzero(np.diff(group, prepend=group[0] - 1))
        ends = np.append(starts[1:], count) - 1
        return Series(
            width_s=width / 1e9,
            begin_s=group[starts] * (width / 1e9),
            rates={name: np.add.reduceat(rate, starts) * (fine / width) for name, rate in self.rates.items()},
            backlog=self.backlog[ends],
            in_flight=self.in_flight[ends],
            depths={queue: depth[ends] for queue, depth in self.depths.items()},
        )

    def grid(self, zero_ns: int) -> Grid:
        """Return the buckets on the clock of the records; `zero_ns` is the release of the publishers on it."""
        return Grid(zero_ns + round(float(self.begin_s[0]) * 1e9), round(self.width_s * 1e9), len(self.begin_s))


def series(history: History, *, buckets: int = BUCKETS, copies: Mapping[str, int] | None = None) -> Series | None:
    """Aggregate a history into at most `buckets` buckets; None if neither publisher nor worker did anything.

    `copies` says by route in how many queues a message is put; one where it says nothing.
    """
    publishers, workers = history.of_role("publisher"), history.of_role("worker")
    spans = [span for log in (*publishers, *workers) if (span := _span(log)) is not None]
    if not spans:
        return None
    zero = history.zero_ns
    begin = min(0, *(first - zero for first, _ in spans))
    end = max(*(last - zero for _, last in spans), _last_event(history.events) - zero, begin + 1)
    width = _width_ns(end - begin, buckets)
    first = begin // width
    count = end // width - first + 1
    grid = Grid(zero + first * width, width, count)
    return Series(
        width_s=width / 1e9,
        begin_s=(first + np.arange(count)) * (width / 1e9),
        rates={
            "published": grid.rate(publishers, Kind.PUBLISHED),
            "confirmed": grid.rate(publishers, Kind.CONFIRMED, ranges=True),
            "delivered": grid.rate(workers, Kind.DELIVERED),
            "completed": grid.rate(workers, None),
            "acknowledged": grid.rate(workers, Kind.ACKED, ranges=True),
        },
        backlog=_backlog(grid, publishers, workers, copies or {}),
        in_flight=_in_flight(grid, workers, history.events),
    )


@dataclass(frozen=True, slots=True)
class Grid:
    """Equal buckets on the clock of the records."""

    begin_ns: int
    width_ns: int
    count: int

    def index(self, at_ns: np.ndarray) -> np.ndarray:
        """Return the bucket of each time; what lies outside goes to the first or last."""
        found: np.ndarray = np.clip((at_ns - self.begin_ns) // self.width_ns, 0, self.count - 1)
        return found

    def sums(
        self, records: np.ndarray, chosen: np.ndarray, *, ranges: bool = False, weights: np.ndarray | None = None
    ) -> np.ndarray:
        """Count the chosen ones of some records in each bucket, by their weights; with `ranges`, the messages that they stand for."""
        weights = records["arg"][chosen].astype(np.float64) if ranges else weights
        counted: np.ndarray = np.bincount(self.index(records["at_ns"][chosen]), weights=weights, minlength=self.count)
        return counted

    def rate(self, logs: Iterable[Log], kind: Kind | None, *, ranges: bool = False) -> np.ndarray:
        """Sum up the records of a kind (None: those that say that work is done), divided by the width: messages a second."""
        total = np.zeros(self.count)
        for log in logs:
            chosen = completed(log.records) if kind is None else log.records["kind"] == kind
            total += self.sums(log.records, chosen, ranges=ranges)
        per_second: np.ndarray = total / (self.width_ns / 1e9)
        return per_second


def _width_ns(span_ns: int, buckets: int, *, multiple_of: int = 1) -> int:
    wanted = span_ns / max(1, buckets - 1)
    return next(width for width in _widths_ns() if width >= wanted and width % multiple_of == 0)


def _widths_ns() -> Iterator[int]:
    """Yield the widths that read well, in ascending order and without an end."""
    yield from (round(width * 1e9) for width in WIDTHS_S)
    second = 1_000_000_000
    while True:
        yield from (second, 2 * second, 5 * second)
        second *= 10


def _last_event(events: Sequence[Event]) -> int:
    """Return when the story ends: with the drain, or the last fault. What is told after that is cleaning up."""
    kinds = (Drained, FaultInjected, FaultHealed)
    return max((event.at_ns for event in events if isinstance(event, kinds)), default=0)


def _span(log: Log) -> tuple[int, int] | None:
    """Return the first and the last time of the records about messages: those about connections come before and after the story as well."""
    kind = log.records["kind"]
    counted = np.isin(kind, (Kind.PUBLISHED, Kind.CONFIRMED, Kind.DELIVERED, Kind.COMPLETED, Kind.ACKED))
    at_ns = log.records["at_ns"][counted]
    return (int(at_ns.min()), int(at_ns.max())) if len(at_ns) else None


def _backlog(grid: Grid, publishers: Sequence[Log], workers: Sequence[Log], copies: Mapping[str, int]) -> np.ndarray:
    sent = np.zeros(grid.count)
    sequences: dict[int, list[np.ndarray]] = {}
    several = any(count > 1 for count in copies.values())
    # Log by log: the records of a million messages, all copied at once, would be most of what a report takes.
    for log in publishers:
        first = (log.records["kind"] == Kind.PUBLISHED) & (log.records["attempt"] == 1)
        times = np.array([copies.get(name, 1) for name in log.names])
        sent += grid.sums(log.records, first, weights=times[log.records["queue"][first]] if several else None)
        sequences.setdefault(log.header.number, []).append(log.records["seq"][first])
    # A message's place is its publisher's offset plus its sequence number.
    offsets, sizes = np.full(FOREIGN + 1, -1, dtype=np.int64), np.zeros(FOREIGN + 1, dtype=np.int64)
    total = 0
    for number, parts in sequences.items():
        offsets[number] = total
        sizes[number] = 1 + max((int(part.max()) for part in parts if len(part)), default=-1)
        total += int(sizes[number])
    known = np.zeros(total, dtype=bool)
    for number, parts in sequences.items():
        for part in parts:
            known[offsets[number] + part] = True
    done_ns: dict[tuple[str, bool] | None, np.ndarray] = {}
    for log in workers:
        done = np.flatnonzero(completed(log.records))
        publisher, seq = log.records["publisher"][done], log.records["seq"][done]
        there = (offsets[publisher] >= 0) & (seq < sizes[publisher])
        place, at_ns = (offsets[publisher] + seq)[there], log.records["at_ns"][done][there]
        for copy, mine in _copies_of(log, done[there]) if several else ((None, slice(None)),):
            first_ns = done_ns.setdefault(copy, np.full(total, _NEVER))
            np.minimum.at(first_ns, place[mine], at_ns[mine])
    finished = np.zeros(grid.count, dtype=np.int64)
    for first_ns in done_ns.values():
        finished += np.bincount(grid.index(first_ns[known & (first_ns != _NEVER)]), minlength=grid.count)
    backlog: np.ndarray = np.maximum(np.cumsum(sent) - np.cumsum(finished), 0).astype(np.int64)
    return backlog


def _copies_of(log: Log, done: np.ndarray) -> Iterator[tuple[tuple[str, bool], np.ndarray]]:
    """Tell copies of a message apart, where it can have several: by the queue they were completed from, and whether they died before.

    `done` are places of records of completions; yields which of them are of one kind of copy.
    """
    delivered = log.records[log.records["kind"] == Kind.DELIVERED]
    rows = log.records[done]
    place = indexed(delivered).find(rows["connection"], rows["tag"])
    died = (place >= 0) & ((delivered["flags"][place] & Flag.DEAD_LETTERED) != 0)
    queue = np.where(place >= 0, delivered["queue"][place], rows["queue"])
    for number, dead in sorted(set(zip(queue.tolist(), died.tolist(), strict=True))):
        yield (log.names[number], dead), np.flatnonzero((queue == number) & (died == dead))


def _in_flight(grid: Grid, workers: Sequence[Log], events: Sequence[Event]) -> np.ndarray:
    ends = {(event.actor, event.incarnation): event.at_ns for event in events if isinstance(event, ProcessExited)}
    settling = {log.header.actor for log in workers if (log.records["kind"] == Kind.ACKED).any()}
    total = np.zeros(grid.count)
    for log in workers:
        exited = ends.get((log.header.actor, log.header.incarnation))
        for records in sessions(log.events):
            held = _held(grid, records, settles=log.header.actor in settling)
            # Work in hand may still be completed after the loss, so its record need not be the session's last.
            over = np.isin(records["kind"], (Kind.CONNECTION_LOST, Kind.CHANNEL_CLOSED, Kind.FINISHED))
            end = int(records["at_ns"][over][0]) if over.any() else exited
            if end is not None:
                held[grid.index(np.array([end]))[0] :] = 0
            total += held
    return total.astype(np.int64)


def sessions(records: np.ndarray) -> list[np.ndarray]:
    """Split a worker's log by its connections; those without a delivery are left out."""
    connection = records["connection"].astype(np.int64)
    if (
        np.diff(connection) < 0
    ).any():  # work that was in hand may be completed when the next connection is there already
        records = records[np.argsort(connection, kind="stable")]
        connection = records["connection"].astype(np.int64)
    changes = np.flatnonzero(np.diff(connection)) + 1
    return [part for part in np.split(records, changes) if (part["kind"] == Kind.DELIVERED).any()]


def _held(grid: Grid, records: np.ndarray, *, settles: bool) -> np.ndarray:
    """Count what one connection holds at the end of each bucket.

    A delivery is off the worker's hands when its work is completed or has failed and, where the worker acknowledges, acknowledged:
    the later of both, for acks may come before the work.
    """
    kind = records["kind"]
    off = np.cumsum(grid.sums(records, completed(records) | (kind == Kind.FAILED)))
    if settles:
        off = np.minimum(off, np.cumsum(grid.sums(records, kind == Kind.ACKED, ranges=True)))
    off = off + np.cumsum(grid.sums(records, kind == Kind.REJECTED))
    held: np.ndarray = np.maximum(np.cumsum(grid.sums(records, kind == Kind.DELIVERED)) - off, 0)
    return held.astype(np.float64)
