"""One message's life: everything that the logs tell of it, in the order of time."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from harness.errors import UsageError
from harness.history.history import History
from harness.history.read import EMPTY, Log
from harness.history.records import Flag, Kind
from harness.history.tags import cover_any, indexed, record_keys

_MESSAGE = re.compile(r"^(.+)#(\d+)$")

_OF_MESSAGES = (
    Kind.PUBLISHED,
    Kind.RETURNED,
    Kind.DELIVERED,
    Kind.COMPLETED,
    Kind.REJECTED,
    Kind.CRASHING,
    Kind.FAILED,
    Kind.FOUND,
)
_RANGES = (Kind.CONFIRMED, Kind.NACKED, Kind.ACKED)
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
    return match[1], int(match[2])


def life(history: History, publisher: str, seq: int) -> tuple[LifeRow, ...]:
    """Return the life of one message, all its attempts and deliveries. Raises UsageError for a publisher that is none."""
    numbers = _numbers(history)
    if publisher not in numbers:
        known = ", ".join(sorted(numbers)) or "none"
        raise UsageError(f"there is no publisher {publisher!r} in this run (there are: {known})")
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
        self.header, self.names = log.header, log.names
        kinds = np.ascontiguousarray(log.records["kind"])
        mine = log.records[_IS_OF_MESSAGE[kinds]]
        keys = (mine["publisher"].astype(np.int64) << 32) | mine["seq"]
        order = np.argsort(keys, kind="stable")
        self._keys, self._records = keys[order], mine[order]
        settled = log.records[kinds == (Kind.PUBLISHED if log.header.role == "publisher" else Kind.DELIVERED)]
        self._tags = indexed(settled)
        self._settled_ns = {kind: _FirstTimes(len(settled)) for kind in _RANGES}
        for kind, times in self._settled_ns.items():
            self._tags.settle(times, log.records[kinds == kind])
        self._lost = log.records[kinds == Kind.CONNECTION_LOST]

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

    def lost_ns(self, row: np.void) -> int | None:
        """Return when a record's connection was lost; None if it was not."""
        lost = self._lost["at_ns"][self._lost["connection"] == row["connection"]]
        return int(lost[0]) if len(lost) else None


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
            yield at_ns, f"published (attempt {row['attempt']})", f"{kind}, to {_name(log, row)}"
            if row["tag"]:
                yield from _settled(log, row)


def _settled(log: _Ordered, row: np.void) -> Iterator[tuple[int, str, str]]:
    for kind, word in ((Kind.CONFIRMED, "confirmed"), (Kind.NACKED, "nacked")):
        settled_ns = log.settled_ns(kind, row)
        if settled_ns is not None:
            yield settled_ns, word, ""
            return
    lost_ns = log.lost_ns(row)
    if lost_ns is not None:
        yield lost_ns, "indeterminate", "the connection was lost before the confirm"


def _received(log: _Ordered, rows: np.ndarray) -> Iterator[tuple[int, str, str]]:
    for row in rows:
        flags = Flag(int(row["flags"]))
        at_ns = int(row["at_ns"])
        match int(row["kind"]):
            case Kind.DELIVERED:
                marks = [name for name, flag in _MARKS if flag in flags]
                yield at_ns, "delivered", ", ".join([f"from {_name(log, row)}", *marks])
                if Flag.DONE in flags:
                    yield at_ns, "completed", "no work to do"
                acked_ns = log.settled_ns(Kind.ACKED, row)
                if acked_ns is not None:
                    yield acked_ns, "acknowledged", "sent; whether the broker had it is not known"
            case Kind.COMPLETED:
                yield at_ns, "completed", ""
            case Kind.REJECTED:
                yield at_ns, "rejected", "with requeue" if Flag.REQUEUE in flags else "without requeue"
            case Kind.CRASHING:
                yield at_ns, "crashes the worker", "poison"
            case Kind.FOUND:
                yield at_ns, "found after the drain", f"in {_name(log, row)}"


def _name(log: _Ordered, row: np.void) -> str:
    """Name the queue, or route, of a record."""
    return log.names[row["queue"]] if log.names else ""


_MARKS = (("redelivered", Flag.REDELIVERED), ("corrupt", Flag.CORRUPT), ("dead-lettered", Flag.DEAD_LETTERED))


def narrowed(history: History, messages: Collection[tuple[int, int]]) -> History:
    """Keep only the records that concern some messages, given as (publisher's number, seq): their lives stay the same.

    For many lives out of a long history: each log is gone through once, not once for each life.
    """
    chosen = _Chosen(messages)
    return replace(history, logs=tuple(_narrowed(log, chosen) for log in history.logs))


class _Chosen:
    """Some messages, to be found among many: a truth value for each sequence number, publisher after publisher."""

    def __init__(self, messages: Collection[tuple[int, int]]) -> None:
        most: dict[int, int] = {}
        for number, seq in messages:
            most[number] = max(seq, most.get(number, 0))
        self._begin = np.zeros(1 << 16, dtype=np.int64)
        self._most = np.full(1 << 16, -1, dtype=np.int64)
        place = 0
        for number, seq in most.items():
            self._begin[number], self._most[number] = place, seq
            place += seq + 1
        self._there = np.zeros(max(1, place), dtype=bool)
        for number, seq in messages:
            self._there[self._begin[number] + seq] = True

    def among(self, publisher: np.ndarray, seq: np.ndarray) -> np.ndarray:
        """Tell which of some messages are chosen."""
        known = seq <= self._most[publisher]
        found: np.ndarray = known & self._there[np.where(known, self._begin[publisher] + seq, 0)]
        return found


def _narrowed(log: Log, chosen: _Chosen) -> Log:
    rows = [_rows(block, chosen) for block in log.blocks()]
    tags = np.sort(np.concatenate([_NO_KEYS, *map(record_keys, rows)]))
    kept = [EMPTY, *(block[_concerns(block, chosen, tags)] for block in log.blocks())]
    return log.part(np.concatenate(kept))


_NO_KEYS = np.empty(0, dtype=np.int64)
_IS_OF_MESSAGE = np.isin(np.arange(256), _OF_MESSAGES)
_IS_RANGE = np.isin(np.arange(256), _RANGES)


def _rows(block: np.ndarray, chosen: _Chosen) -> np.ndarray:
    """Return the records of chosen messages. A return names its publisher like every other record of a message."""
    rows = np.flatnonzero(_IS_OF_MESSAGE[block["kind"]])
    found: np.ndarray = block[rows[chosen.among(block["publisher"][rows], block["seq"][rows])]]
    return found


def _concerns(block: np.ndarray, chosen: _Chosen, tags: np.ndarray) -> np.ndarray:
    """Tell which records are about chosen messages, settle one of their tags, or are about no message at all."""
    kinds = np.ascontiguousarray(block["kind"])
    of_message, of_range = _IS_OF_MESSAGE[kinds], _IS_RANGE[kinds]
    kept: np.ndarray = ~of_message & ~of_range
    rows = np.flatnonzero(of_message)
    kept[rows] = chosen.among(block["publisher"][rows], block["seq"][rows])
    rows = np.flatnonzero(of_range)
    if len(rows) and len(tags):
        kept[rows] = cover_any(block.take(rows), tags)
    return kept
