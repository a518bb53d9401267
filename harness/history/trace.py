"""One message's life: everything that the logs tell of it, in the order of time."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import replace

import numpy as np

from harness.errors import UsageError
from harness.history.history import History
from harness.history.read import EMPTY, Log
from harness.history.records import Flag, Kind

_MESSAGE = re.compile(r"^(.+)#(\d+)$")

_OF_MESSAGES = (Kind.PUBLISHED, Kind.RETURNED, Kind.DELIVERED, Kind.COMPLETED, Kind.REJECTED, Kind.CRASHING, Kind.FOUND)
_RANGES = (Kind.CONFIRMED, Kind.NACKED, Kind.ACKED)

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
    """Return the life of one message, all its attempts and deliveries."""
    numbers = {log.header.actor: log.header.number for log in history.of_role("publisher")}
    if publisher not in numbers:
        known = ", ".join(sorted(numbers)) or "none"
        raise UsageError(f"there is no publisher {publisher!r} in this run (there are: {known})")
    rows: list[LifeRow] = []
    for log in history.logs:
        who = f"{log.header.actor}/{log.header.incarnation}"
        if log.header.role == "publisher":
            if log.header.actor == publisher:
                rows += [(at_ns, what, who, detail) for at_ns, what, detail in _published(log, seq)]
        else:
            rows += [(at_ns, what, who, detail) for at_ns, what, detail in _received(log, numbers[publisher], seq)]
    return tuple(sorted(rows))


def _published(log: Log, seq: int) -> Iterator[tuple[int, str, str]]:
    records = log.records
    for row in records[(records["kind"] == Kind.PUBLISHED) & (records["seq"] == seq)]:
        flags = Flag(int(row["flags"]))
        route = log.header.names[row["queue"]] if log.header.names else ""
        kind = "persistent" if Flag.PERSISTENT in flags else "transient"
        yield int(row["at_ns"]), f"published (attempt {row['attempt']})", f"{kind}, to {route}"
        if row["tag"]:
            yield from _settled(records, row)
    for row in records[(records["kind"] == Kind.RETURNED) & (records["seq"] == seq)]:
        yield int(row["at_ns"]), "returned", f"unroutable ({row['arg']})"


def _settled(records: np.ndarray, row: np.void) -> Iterator[tuple[int, str, str]]:
    tag, connection = int(row["tag"]), row["connection"]
    for kind, word in ((Kind.CONFIRMED, "confirmed"), (Kind.NACKED, "nacked")):
        mine = records[(records["kind"] == kind) & (records["connection"] == connection)]
        covers = (mine["tag"] <= tag) & (mine["tag"].astype(np.int64) + mine["arg"] > tag)
        if covers.any():
            yield int(mine["at_ns"][covers][0]), word, ""
            return
    lost = records[(records["kind"] == Kind.CONNECTION_LOST) & (records["connection"] == connection)]
    if len(lost):
        yield int(lost["at_ns"][0]), "indeterminate", "the connection was lost before the confirm"


def _received(log: Log, number: int, seq: int) -> Iterator[tuple[int, str, str]]:
    records = log.records
    mine = records[(records["publisher"] == number) & (records["seq"] == seq)]
    for row in mine:
        flags = Flag(int(row["flags"]))
        queue = log.header.names[row["queue"]] if log.header.names else ""
        at_ns = int(row["at_ns"])
        match int(row["kind"]):
            case Kind.DELIVERED:
                marks = [name for name, flag in _MARKS if flag in flags]
                yield at_ns, "delivered", ", ".join([f"from {queue}", *marks])
                if Flag.DONE in flags:
                    yield at_ns, "completed", "no work to do"
                yield from _acked(records, row)
            case Kind.COMPLETED:
                yield at_ns, "completed", ""
            case Kind.REJECTED:
                yield at_ns, "rejected", "with requeue" if Flag.REQUEUE in flags else "without requeue"
            case Kind.CRASHING:
                yield at_ns, "crashes the worker", "poison"
            case Kind.FOUND:
                yield at_ns, "found after the drain", f"in {queue}"


_MARKS = (("redelivered", Flag.REDELIVERED), ("corrupt", Flag.CORRUPT), ("dead-lettered", Flag.DEAD_LETTERED))


def _acked(records: np.ndarray, row: np.void) -> Iterator[tuple[int, str, str]]:
    tag = int(row["tag"])
    mine = records[(records["kind"] == Kind.ACKED) & (records["connection"] == row["connection"])]
    covers = (mine["tag"] <= tag) & (mine["tag"].astype(np.int64) + mine["arg"] > tag)
    if covers.any():
        yield int(mine["at_ns"][covers][0]), "acknowledged", "sent; whether the broker had it is not known"


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


def _key(connection: np.ndarray, tag: np.ndarray) -> np.ndarray:
    key: np.ndarray = (connection.astype(np.int64) << 33) | tag.astype(np.int64)
    return key


def _narrowed(log: Log, chosen: _Chosen) -> Log:
    rows = [_rows(block, chosen) for block in log.blocks()]
    tags = np.sort(np.concatenate([_key(block["connection"], block["tag"]) for block in rows] or [_NO_KEYS]))
    kept = [EMPTY, *(block[_concerns(block, chosen, tags)] for block in log.blocks())]
    return Log(log.header, np.concatenate(kept))


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
        first = _key(block["connection"][rows], block["tag"][rows])
        place = np.searchsorted(tags, first)
        covered = place < len(tags)
        covered[covered] = tags[place[covered]] < first[covered] + block["arg"][rows][covered]
        kept[rows] = covered
    return kept
