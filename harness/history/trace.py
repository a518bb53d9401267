"""One message's life: everything that the logs tell of it, in the order of time."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from harness.errors import UsageError
from harness.history.history import History
from harness.history.narrow import narrowed
from harness.history.read import Log
from harness.history.record_check import SLACK
from harness.history.records import OF_MESSAGES, RANGES, AckMode, Death, Flag, Kind
from harness.history.tags import indexed

_MESSAGE = re.compile(r"^(.+)#(\d+)$")

_NEVER = np.iinfo(np.int64).max

LifeRow = tuple[int, str, str, str]
"""at_ns, what, actor and incarnation, detail."""


def parse_message(text: str) -> tuple[str, int]:
    """Read `publisher-1#42`. Raises UsageError."""
    match = _MESSAGE.match(text)
    if match is None:
        raise UsageError(
            f"{text!r} names no message; write the publisher's name, #, and the sequence number: publisher-1#42"
        )
    return match[1], int(match[2]) if len(match[2]) <= len(str(_NEVER)) else int(_NEVER)


def life(history: History, publisher: str, seq: int) -> tuple[LifeRow, ...]:
    """Return the life of one message, all its attempts and deliveries. Raises UsageError for a publisher that is none."""
    numbers = _numbers(history)
    if publisher not in numbers:
        known = ", ".join(sorted(numbers)) or "none"
        raise UsageError(f"there is no publisher {publisher!r} in this run (there are: {known})")
    if seq >= SLACK + sum(len(log.records) for log in history.of_role("publisher")):
        return ()  # nobody can have published it, and to look for it takes memory
    return Lives(narrowed(history, [(numbers[publisher], seq)])).of(publisher, seq)


def _numbers(history: History) -> dict[str, int]:
    return {log.header.actor: log.header.number for log in history.of_role("publisher")}


class Lives:
    """The lives of many messages: each log is put in order once, and not gone through for each of them."""

    def __init__(self, history: History) -> None:
        """Put the logs in order; best those of a history that was narrowed to these messages."""
        self._numbers = _numbers(history)
        self._logs = [_Ordered(log) for log in history.logs]

    def of(self, publisher: str, seq: int) -> tuple[LifeRow, ...]:
        """Return the life of a message."""
        rows: list[LifeRow] = []
        for ordered in self._logs:
            header = ordered.header
            who = f"{header.actor}/{header.incarnation}"
            if header.role != "publisher":
                told = _received(ordered, ordered.of(self._numbers[publisher], seq))
            elif header.actor == publisher:
                told = _published(ordered, ordered.of(header.number, seq))
            else:
                continue
            rows += [(at_ns, what, who, detail) for at_ns, what, detail in told]
        return tuple(sorted(rows))


class _Ordered:
    """A log whose records are found by their message, and its publishes or deliveries by the tags that settle them."""

    def __init__(self, log: Log) -> None:
        self.header, self.names, self.deaths, self.reasons = log.header, log.names, log.deaths, log.reasons
        kinds = np.ascontiguousarray(log.records["kind"])
        mine = log.records[np.isin(kinds, OF_MESSAGES)]
        keys = (mine["publisher"].astype(np.int64) << 32) | mine["seq"]
        order = np.argsort(keys, kind="stable")
        self._keys, self._records = keys[order], mine[order]
        settled = log.records[kinds == (Kind.PUBLISHED if log.header.role == "publisher" else Kind.DELIVERED)]
        self._tags = indexed(settled)
        self._settled_ns = {kind: _FirstTimes(len(settled)) for kind in RANGES}
        for kind, times in self._settled_ns.items():
            self._tags.settle(times, log.records[kinds == kind])
        self._ends = log.records[np.isin(kinds, (Kind.CONNECTION_LOST, Kind.CHANNEL_CLOSED))]
        self._modes = {
            (int(row["connection"]), int(row["queue"])): AckMode(int(row["attempt"]))
            for row in log.records[kinds == Kind.CONSUMING]
        }

    def of(self, number: int, seq: int) -> np.ndarray:
        """Return the records of a message, in the order of writing."""
        key = (number << 32) | seq
        begin, end = np.searchsorted(self._keys, [key, key + 1])
        found: np.ndarray = self._records[begin:end]
        return found

    def settled_ns(self, kind: Kind, row: np.void) -> int | None:
        """Return when the tag of a publish or delivery was settled; None if it was not."""
        (place,) = self._tags.find(np.array([row["connection"]]), np.array([row["tag"]]))
        at_ns = int(self._settled_ns[kind].at_ns[place]) if place >= 0 else _NEVER
        return None if at_ns == _NEVER else at_ns

    def lost(self, row: np.void) -> np.void | None:
        """Return the record of the end of a record's connection or channel; None if it was not lost."""
        ends = self._ends[self._ends["connection"] == row["connection"]]
        return ends[0] if len(ends) else None

    def name(self, row: np.void) -> str:
        """Name the queue, or route, of a record."""
        return self.names[row["queue"]] if self.names else ""

    def ack_mode(self, row: np.void) -> AckMode:
        """Return how the worker acknowledged what came from a delivery's queue on its connection."""
        return self._modes.get((int(row["connection"]), int(row["queue"])), AckMode.UNKNOWN)


class _FirstTimes:
    """When each publish or delivery of a log was first settled."""

    def __init__(self, size: int) -> None:
        self.at_ns: NDArray[np.int64] = np.full(size, _NEVER, dtype=np.int64)

    def least(self, where: NDArray[np.int64], at_ns: NDArray[np.int64]) -> None:
        """Note a time for each of some places, if there is no earlier one."""
        np.minimum.at(self.at_ns, where, at_ns)


def _published(log: _Ordered, rows: np.ndarray) -> Iterator[tuple[int, str, str]]:
    for row in rows:
        at_ns = int(row["at_ns"])
        if row["kind"] == Kind.RETURNED:
            yield at_ns, "returned", f"unroutable ({row['arg']})"
        elif row["kind"] == Kind.PUBLISHED:
            kind = "persistent" if Flag.PERSISTENT in Flag(int(row["flags"])) else "transient"
            yield at_ns, f"published (attempt {row['attempt']})", f"{kind}, to {log.name(row)}"
            if row["tag"]:
                yield from _settled(log, row)


def _settled(log: _Ordered, row: np.void) -> Iterator[tuple[int, str, str]]:
    for kind, word in ((Kind.CONFIRMED, "confirmed"), (Kind.NACKED, "nacked")):
        settled_ns = log.settled_ns(kind, row)
        if settled_ns is not None:
            yield settled_ns, word, ""
            return
    lost = log.lost(row)
    if lost is not None:
        what = "the channel was closed" if lost["kind"] == Kind.CHANNEL_CLOSED else "the connection was lost"
        said = log.reasons[lost["queue"]]
        yield int(lost["at_ns"]), "indeterminate", f"{what} before the confirm" + (f": {said}" if said else "")


def _received(log: _Ordered, rows: np.ndarray) -> Iterator[tuple[int, str, str]]:
    for row in rows:
        flags = Flag(int(row["flags"]))
        at_ns = int(row["at_ns"])
        match int(row["kind"]):
            case Kind.DELIVERED:
                yield at_ns, "delivered", ", ".join([f"from {log.name(row)}", *_marks(log, row)])
                if Flag.DONE in flags:
                    yield at_ns, "completed", "no work to do"
                acked_ns = log.settled_ns(Kind.ACKED, row)
                if acked_ns is not None:
                    yield acked_ns, "acknowledged", "the worker sent it; the broker may not have received it"
            case Kind.COMPLETED:
                yield at_ns, "completed", ""
            case Kind.REJECTED:
                yield at_ns, "rejected", "with requeue" if Flag.REQUEUE in flags else "without requeue"
            case Kind.CRASHING:
                yield at_ns, "crashes the worker", "poison"
            case Kind.FAILED:
                yield at_ns, "failed", "acknowledged before, so the broker does not deliver it again"
            case Kind.FOUND:
                yield at_ns, "found after the drain", ", ".join([f"in {log.name(row)}", *_died(log, row)])


def _marks(log: _Ordered, row: np.void) -> Iterator[str]:
    """Say what is special about a delivery."""
    flags, mode = Flag(int(row["flags"])), log.ack_mode(row)
    yield from (name for name, flag in (("redelivered", Flag.REDELIVERED), ("corrupt", Flag.CORRUPT)) if flag in flags)
    yield from _died(log, row)
    if mode in (AckMode.AUTOMATIC, AckMode.EARLY):
        yield f"{mode.name.lower()} acks"


def _died(log: _Ordered, row: np.void) -> Iterator[str]:
    """Say how a message had died before it came to the queue of a delivery."""
    if row["death"]:
        yield f"dead-lettered: {describe(log.deaths[row['death']])}"
    elif Flag.DEAD_LETTERED in Flag(int(row["flags"])):  # a log of version 1
        yield "dead-lettered"


_DEATHS = {
    "rejected": "rejected in",
    "expired": "expired in",
    "maxlen": "beyond the length limit of",
    "delivery_limit": "beyond the delivery limit of",
}


def describe(death: Death) -> str:
    """Say where a message died, and why: `rejected in tasks (3 times), expired in delay (3 times)`."""
    steps = (
        f"{_DEATHS.get(reason, f'{reason} in')} {queue}" + (f" ({count} times)" if count > 1 else "")
        for queue, reason, count in death.path
    )
    return ", ".join(steps) or death.first_queue
