"""One pass over the records: everything that is known of each message, in arrays indexed by a dense message number.

A message's number is its publisher's offset plus its sequence number; a sequence number that was never published is a gap, and no
message. Times are monotonic nanoseconds (int64), NEVER for what has not happened.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.checks.deliveries import Deliveries, Numbering, read_deliveries
from harness.checks.publishes import Publishes, read_publishes
from harness.checks.sessions import Session, read_sessions
from harness.checks.settlement import NEVER, earliest
from harness.history.history import History
from harness.history.read import Log
from harness.history.records import Flag, Kind

__all__ = ["NEVER", "Found", "Tally", "tally"]


@dataclass(frozen=True, slots=True)
class Found:
    """What was left in the queues after the drain."""

    message: np.ndarray
    queue: np.ndarray
    """Index into `Tally.queues`."""
    corrupt: np.ndarray
    """Messages whose body does not fit."""
    foreign: int
    """How many were found that nobody published."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What the checks go by. Arrays without a remark are indexed by the message's number."""

    publisher_names: dict[int, str]
    offsets: dict[int, int]
    """By publisher's number, growing with it."""
    total: int
    routes: tuple[str, ...]
    queues: tuple[str, ...]
    sessions: tuple[Session, ...]
    publishes: Publishes
    deliveries: Deliveries
    found: Found
    published: np.ndarray
    """How often it was published."""
    first_published_ns: np.ndarray
    first_confirmed_ns: np.ndarray
    first_delivered_ns: np.ndarray
    first_completed_ns: np.ndarray
    completions: np.ndarray
    promised: np.ndarray
    refused: np.ndarray
    """Nacked or returned."""
    unconfirmed: np.ndarray
    """Its publisher asked for no confirms."""
    route: np.ndarray
    """Index into `routes`."""
    zero_ns: int = 0

    def name(self, message: int) -> tuple[str, int]:
        """Return (publisher's name, sequence number) of a message."""
        number, offset = max(
            ((number, offset) for number, offset in self.offsets.items() if offset <= message), key=lambda pair: pair[1]
        )
        return self.publisher_names[number], message - offset

    def publisher_of(self) -> np.ndarray:
        """Return every message's publisher number."""
        numbers = np.zeros(self.total, dtype=np.uint16)
        for number, offset in self.offsets.items():  # offsets grow, so a later publisher overwrites the rest
            numbers[offset:] = number
        return numbers

    def seconds(self, at_ns: int) -> float:
        """Convert a time to seconds since the publishers were released."""
        return (at_ns - self.zero_ns) / 1e9


def tally(history: History) -> Tally:
    """Read all logs of a history, once."""
    publishers, workers = history.of_role("publisher"), history.of_role("worker")
    sizes = _sizes(publishers)
    offsets: dict[int, int] = {}
    total = 0
    for number, size in sizes.items():
        if size:
            offsets[number] = total
            total += size
    sessions, tables = read_sessions((*publishers, *workers), history.events)
    routes = tuple(dict.fromkeys(name for log in publishers for name in log.header.names))
    collectors = history.of_role("collector")
    publishes = read_publishes(publishers, dict.fromkeys(sizes, 0) | offsets, routes, tables[: len(publishers)])
    numbering = Numbering(offsets, sizes, publishes)
    deliveries = read_deliveries(workers, numbering, tables[len(publishers) :])
    real = deliveries.message >= 0
    done = real & deliveries.completed
    route = np.zeros(total, dtype=np.uint16)
    route[publishes.message] = publishes.route
    return Tally(
        publisher_names={log.header.number: log.header.actor for log in publishers},
        offsets=offsets,
        total=total,
        routes=routes,
        queues=next((log.header.names for log in (*workers, *collectors)), ()),
        sessions=sessions,
        publishes=publishes,
        deliveries=deliveries,
        found=_found(collectors, numbering),
        published=np.bincount(publishes.message, minlength=total).astype(np.uint32),
        first_published_ns=earliest(total, publishes.message, publishes.at_ns),
        first_confirmed_ns=earliest(total, publishes.message, publishes.confirmed_ns),
        first_delivered_ns=earliest(total, deliveries.message[real], deliveries.at_ns[real]),
        first_completed_ns=earliest(total, deliveries.message[done], deliveries.completed_ns[done]),
        completions=np.bincount(deliveries.message[done], minlength=total).astype(np.uint32),
        promised=_any(total, publishes.message[publishes.promised]),
        refused=_any(total, publishes.message[publishes.nacked | publishes.returned]),
        unconfirmed=_any(total, publishes.message[~publishes.confirmable]),
        route=route,
        zero_ns=history.zero_ns,
    )


def _sizes(publishers: tuple[Log, ...]) -> dict[int, int]:
    """Return for each publisher's number the highest sequence number that it published, plus one."""
    sizes = dict.fromkeys(sorted(log.header.number for log in publishers), 0)
    for log in publishers:
        seq = log.records["seq"][log.records["kind"] == Kind.PUBLISHED]
        sizes[log.header.number] = max(sizes[log.header.number], int(seq.max()) + 1 if len(seq) else 0)
    return sizes


def _any(total: int, message: np.ndarray) -> np.ndarray:
    there = np.zeros(total, dtype=bool)
    there[message] = True
    return there


def _found(logs: tuple[Log, ...], numbering: Numbering) -> Found:
    parts = [log.records[log.records["kind"] == Kind.FOUND] for log in logs]
    rows = np.concatenate(parts) if parts else None
    if rows is None:
        nothing = np.empty(0, dtype=np.int64)
        return Found(nothing, nothing, nothing, 0)
    message = numbering.of(rows["publisher"], rows["seq"], rows["attempt"])
    known = message >= 0
    corrupt = known & ((rows["flags"] & Flag.CORRUPT) != 0)
    return Found(
        message=message[known],
        queue=rows["queue"][known].astype(np.int64),
        corrupt=np.unique(message[corrupt]),
        foreign=int(np.count_nonzero(~known)),
    )
