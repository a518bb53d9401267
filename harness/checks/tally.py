"""One pass over the records: everything that is known of each message, in arrays indexed by a dense message number.

A message's number is its publisher's offset plus its sequence number. Times are monotonic nanoseconds (int64), 0 for never.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.events import ProcessExited
from harness.history.history import History
from harness.history.read import Log
from harness.history.records import FOREIGN, Flag, Kind

NEVER = np.iinfo(np.int64).max
"""The time of what has not happened."""


@dataclass(frozen=True, slots=True)
class Publishes:
    """Every publish in the order of each log: arrays of one length."""

    message: np.ndarray
    at_ns: np.ndarray
    attempt: np.ndarray
    route: np.ndarray
    """Index into `Tally.routes`."""
    persistent: np.ndarray
    session: np.ndarray
    """Index into `Tally.sessions`: the connection it went out on."""
    confirmable: np.ndarray
    confirmed_ns: np.ndarray
    """When it was confirmed; NEVER if it was not."""
    nacked: np.ndarray
    returned: np.ndarray


@dataclass(frozen=True, slots=True)
class Deliveries:
    """Every delivery of this run's messages; `message` is -1 for those that nobody published."""

    message: np.ndarray
    at_ns: np.ndarray
    session: np.ndarray
    queue: np.ndarray
    """Index into `Tally.queues`."""
    redelivered: np.ndarray
    corrupt: np.ndarray
    completed_ns: np.ndarray
    """When its work was done; NEVER if it was not."""
    acked: np.ndarray
    rejected: np.ndarray
    """0, 1 for a reject without and 2 for one with requeue."""


@dataclass(frozen=True, slots=True)
class Session:
    """One connection of one incarnation."""

    role: str
    actor: str
    incarnation: int
    connection: int
    lost_ns: int
    """When it was lost, or its process died; NEVER if it ended in order."""


@dataclass(slots=True)
class Tally:
    """What the checks go by."""

    publisher_names: dict[int, str]
    offsets: dict[int, int]
    total: int
    routes: tuple[str, ...]
    queues: tuple[str, ...]
    sessions: tuple[Session, ...]
    publishes: Publishes
    deliveries: Deliveries
    found: np.ndarray
    """Per message: index of the queue it was found in after the drain, -1 for none."""
    found_foreign: int
    published: np.ndarray
    """Per message: how often it was published."""
    first_published_ns: np.ndarray
    first_confirmed_ns: np.ndarray
    first_delivered_ns: np.ndarray
    first_completed_ns: np.ndarray
    completions: np.ndarray
    promised: np.ndarray
    refused: np.ndarray
    """Per message: nacked or returned."""
    unconfirmed: np.ndarray
    """Per message: its publisher asked for no confirms."""
    route: np.ndarray
    """Per message: index into `routes`."""
    zero_ns: int = 0

    def name(self, message: int) -> tuple[str, int]:
        """Return (publisher's name, sequence number) of a message."""
        starts = sorted((offset, number) for number, offset in self.offsets.items())
        offset, number = max(pair for pair in starts if pair[0] <= message)
        return self.publisher_names[number], message - offset

    def publisher_of(self) -> np.ndarray:
        """Return every message's publisher number."""
        numbers = np.zeros(self.total, dtype=np.int64)
        for number, offset in self.offsets.items():  # offsets grow, so a later publisher overwrites the rest
            numbers[offset:] = number
        return numbers

    def seconds(self, at_ns: int) -> float:
        """Convert a time to seconds since the publishers were released."""
        return (at_ns - self.zero_ns) / 1e9


def tally(history: History) -> Tally:
    """Read all logs of a history, once."""
    publishers, workers = history.of_role("publisher"), history.of_role("worker")
    names = {log.header.number: log.header.actor for log in publishers}
    sizes: dict[int, int] = dict.fromkeys(sorted(names), 0)
    for log in publishers:
        published = log.records[log.records["kind"] == Kind.PUBLISHED]
        if len(published):
            number = log.header.number
            sizes[number] = max(sizes[number], int(published["seq"].max()) + 1)
    offsets: dict[int, int] = {}
    total = 0
    for number, size in sizes.items():
        offsets[number] = total
        total += size
    sessions: list[Session] = []
    routes = tuple(dict.fromkeys(name for log in publishers for name in log.header.names))
    queues = next((log.header.names for log in (*workers, *history.of_role("collector"))), ())
    deaths = _deaths(history)
    publishes = _publishes(publishers, offsets, routes, sessions, deaths)
    deliveries = _deliveries(workers, offsets, sizes, sessions, deaths)
    published = np.bincount(publishes.message, minlength=total)
    # A sequence number that was never published (a gap) is no message: deliveries of it are phantoms.
    known = deliveries.message >= 0
    ghosts = known.copy()
    ghosts[known] = published[deliveries.message[known]] == 0
    deliveries.message[ghosts] = -1
    found, found_foreign = _found(history.of_role("collector"), offsets, sizes, total)
    promise = (~publishes.confirmable | (publishes.confirmed_ns != NEVER)) & ~publishes.returned
    promised = np.zeros(total, dtype=bool)
    promised[publishes.message[promise]] = True
    refused = np.zeros(total, dtype=bool)
    refused[publishes.message[publishes.returned | publishes.nacked]] = True
    unconfirmed = np.zeros(total, dtype=bool)
    unconfirmed[publishes.message[~publishes.confirmable]] = True
    route = np.zeros(total, dtype=np.int64)
    route[publishes.message] = publishes.route
    real = deliveries.message >= 0
    done = real & (deliveries.completed_ns != NEVER)
    return Tally(
        publisher_names=names,
        offsets=offsets,
        total=total,
        routes=routes,
        queues=tuple(queues),
        sessions=tuple(sessions),
        publishes=publishes,
        deliveries=deliveries,
        found=found,
        found_foreign=found_foreign,
        published=published,
        first_published_ns=_first(total, publishes.message, publishes.at_ns),
        first_confirmed_ns=_first(total, publishes.message, publishes.confirmed_ns),
        first_delivered_ns=_first(total, deliveries.message[real], deliveries.at_ns[real]),
        first_completed_ns=_first(total, deliveries.message[done], deliveries.completed_ns[done]),
        completions=np.bincount(deliveries.message[done], minlength=total),
        promised=promised,
        refused=refused,
        unconfirmed=unconfirmed,
        route=route,
        zero_ns=history.zero_ns,
    )


def _first(total: int, message: np.ndarray, at_ns: np.ndarray) -> np.ndarray:
    first = np.full(total, NEVER, dtype=np.int64)
    np.minimum.at(first, message, at_ns)
    return first


def _deaths(history: History) -> dict[tuple[str, int], int]:
    """When each incarnation ended that did not end in order."""
    return {
        (event.actor, event.incarnation): event.at_ns
        for event in history.events
        if isinstance(event, ProcessExited) and event.exit_code != 0
    }


def _sessions_of(log: Log, sessions: list[Session], deaths: dict[tuple[str, int], int]) -> dict[int, int]:
    """Add the log's connections to the sessions; returns their indexes by connection number."""
    header, records = log.header, log.records
    ended = (records["kind"] == Kind.CONNECTION_LOST) | (records["kind"] == Kind.CHANNEL_CLOSED)
    lost = {int(row["connection"]): int(row["at_ns"]) for row in records[ended][::-1]}
    indexes: dict[int, int] = {}
    for connection in np.unique(records["connection"]).tolist():
        indexes[connection] = len(sessions)
        died = deaths.get((header.actor, header.incarnation), NEVER)
        sessions.append(Session(header.role, header.actor, header.incarnation, connection, lost.get(connection, died)))
    return indexes


def _mapped(connections: np.ndarray, indexes: dict[int, int]) -> np.ndarray:
    table = np.zeros(max(indexes, default=0) + 1, dtype=np.int64)
    for connection, index in indexes.items():
        table[connection] = index
    mapped: np.ndarray = table[connections]
    return mapped


def _publishes(
    logs: tuple[Log, ...],
    offsets: dict[int, int],
    routes: tuple[str, ...],
    sessions: list[Session],
    deaths: dict[tuple[str, int], int],
) -> Publishes:
    parts: list[Publishes] = []
    for log in logs:
        records = log.records
        published = records[records["kind"] == Kind.PUBLISHED]
        indexes = _sessions_of(log, sessions, deaths)
        route_table = np.array([routes.index(name) for name in log.header.names] or [0], dtype=np.int64)
        confirmed = np.full(len(published), NEVER, dtype=np.int64)
        nacked = np.zeros(len(published), dtype=bool)
        for kind in (Kind.CONFIRMED, Kind.NACKED):
            at_ns = _settlement(records[records["kind"] == kind], published)
            if kind is Kind.CONFIRMED:
                confirmed = at_ns
            else:
                nacked = at_ns != NEVER
        parts.append(
            Publishes(
                message=published["seq"].astype(np.int64) + offsets[log.header.number],
                at_ns=published["at_ns"].copy(),
                attempt=published["attempt"].astype(np.int64),
                route=route_table[published["queue"]],
                persistent=(published["flags"] & Flag.PERSISTENT) != 0,
                session=_mapped(published["connection"], indexes),
                confirmable=published["tag"] != 0,
                confirmed_ns=confirmed,
                nacked=nacked,
                returned=_returned(records[records["kind"] == Kind.RETURNED], published),
            )
        )
    return Publishes(*(_joined(parts, name) for name in Publishes.__slots__))


def _joined(parts: list[Publishes] | list[Deliveries], name: str) -> np.ndarray:
    kinds = {
        "persistent": bool,
        "confirmable": bool,
        "nacked": bool,
        "returned": bool,
        "redelivered": bool,
        "corrupt": bool,
        "acked": bool,
    }
    arrays = [getattr(part, name) for part in parts]
    return np.concatenate(arrays) if arrays else np.empty(0, dtype=kinds.get(name, np.int64))


def _settlement(ranges: np.ndarray, events: np.ndarray) -> np.ndarray:
    """Spread range records over the tags they cover: per row of `events`, the time of its settlement, NEVER for none.

    Tags are dense from 1 on each connection, so a range is a slice of a table.
    """
    at_ns = np.full(len(events), NEVER, dtype=np.int64)
    if not len(ranges):
        return at_ns
    for connection in np.unique(events["connection"]).tolist():
        here = np.flatnonzero((events["connection"] == connection) & (events["tag"] != 0))
        mine = ranges[ranges["connection"] == connection]
        if not len(here) or not len(mine):
            continue
        tags = events["tag"][here].astype(np.int64)
        size = int(tags.max()) + 1
        starts = mine["tag"].astype(np.int64)
        counts = np.minimum(starts + mine["arg"].astype(np.int64), size) - starts
        valid = counts > 0
        starts, counts, times = starts[valid], counts[valid], mine["at_ns"][valid]
        table = np.full(size, NEVER, dtype=np.int64)
        # Expand the ranges into single tags; the earliest settlement of a tag counts.
        ends = np.cumsum(counts)
        flat = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts) + np.repeat(starts, counts)
        np.minimum.at(table, flat, np.repeat(times, counts))
        at_ns[here] = table[tags]
    return at_ns


def _returned(returns: np.ndarray, published: np.ndarray) -> np.ndarray:
    if not len(returns):
        return np.zeros(len(published), dtype=bool)
    width = np.int64(1) << 17
    keys = returns["seq"].astype(np.int64) * width + returns["attempt"]
    returned: np.ndarray = np.isin(published["seq"].astype(np.int64) * width + published["attempt"], keys)
    return returned


def _deliveries(
    logs: tuple[Log, ...],
    offsets: dict[int, int],
    sizes: dict[int, int],
    sessions: list[Session],
    deaths: dict[tuple[str, int], int],
) -> Deliveries:
    parts: list[Deliveries] = []
    for log in logs:
        records = log.records
        delivered = records[records["kind"] == Kind.DELIVERED]
        indexes = _sessions_of(log, sessions, deaths)
        completed = np.where((delivered["flags"] & Flag.DONE) != 0, delivered["at_ns"], NEVER)
        later = _by_tag(records[records["kind"] == Kind.COMPLETED], delivered)
        found = later >= 0
        times = records[records["kind"] == Kind.COMPLETED]["at_ns"]
        completed[found] = times[later[found]]
        rejects = records[records["kind"] == Kind.REJECTED]
        reject = _by_tag(rejects, delivered)
        rejected = np.zeros(len(delivered), dtype=np.int64)
        hit = reject >= 0
        rejected[hit] = np.where((rejects["flags"][reject[hit]] & Flag.REQUEUE) != 0, 2, 1)
        parts.append(
            Deliveries(
                message=_numbers(delivered, offsets, sizes),
                at_ns=delivered["at_ns"].copy(),
                session=_mapped(delivered["connection"], indexes),
                queue=delivered["queue"].astype(np.int64),
                redelivered=(delivered["flags"] & Flag.REDELIVERED) != 0,
                corrupt=(delivered["flags"] & Flag.CORRUPT) != 0,
                completed_ns=completed,
                acked=_settlement(records[records["kind"] == Kind.ACKED], delivered) != NEVER,
                rejected=rejected,
            )
        )
    return Deliveries(*(_joined(parts, name) for name in Deliveries.__slots__))


def _by_tag(events: np.ndarray, delivered: np.ndarray) -> np.ndarray:
    """Per delivery: the index of the event with its connection and tag, -1 for none."""
    result = np.full(len(delivered), -1, dtype=np.int64)
    if not len(events) or not len(delivered):
        return result
    width = np.int64(1) << 33
    keys = events["connection"].astype(np.int64) * width + events["tag"]
    order = np.argsort(keys, kind="stable")
    wanted = delivered["connection"].astype(np.int64) * width + delivered["tag"]
    position = np.searchsorted(keys[order], wanted)
    position[position == len(keys)] = 0
    hit = keys[order][position] == wanted
    result[hit] = order[position[hit]]
    return result


def _numbers(records: np.ndarray, offsets: dict[int, int], sizes: dict[int, int]) -> np.ndarray:
    """Return the message numbers of records, -1 for an identity that nobody published."""
    offset_table = np.full(FOREIGN + 1, -1, dtype=np.int64)
    size_table = np.zeros(FOREIGN + 1, dtype=np.int64)
    for number, offset in offsets.items():
        offset_table[number], size_table[number] = offset, sizes[number]
    publisher = records["publisher"]
    known = (offset_table[publisher] >= 0) & (records["seq"] < size_table[publisher])
    return np.where(known, offset_table[publisher] + records["seq"], -1)


def _found(logs: tuple[Log, ...], offsets: dict[int, int], sizes: dict[int, int], total: int) -> tuple[np.ndarray, int]:
    found = np.full(total, -1, dtype=np.int64)
    foreign = 0
    for log in logs:
        records = log.records[log.records["kind"] == Kind.FOUND]
        numbers = _numbers(records, offsets, sizes)
        known = numbers >= 0
        found[numbers[known]] = records["queue"][known]
        foreign += int(np.count_nonzero(~known))
    return found, foreign
