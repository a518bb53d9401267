"""Faults planted in a recorded history: what a checker that sleeps would miss.

Each kind changes the records as a broken broker would have made them, and says what the judge must then find.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

import numpy as np

from harness.errors import HistoryError
from harness.history.history import History
from harness.history.read import Log
from harness.history.records import FOREIGN, Flag, Kind
from harness.verdict.data import Fate, VariantVerdict

MOST_TAG = (1 << 32) - 1
Finder = Callable[[VariantVerdict, VariantVerdict], bool]
"""Whether the verdict on the planted history (second) shows it, against the one before (first)."""


@dataclass(frozen=True, slots=True)
class Planted:
    """A history with a fault in it, what it is, and how to tell that it was found."""

    history: History
    what: str
    found: Finder


@dataclass(frozen=True, slots=True)
class _Pick:
    """One delivery that was completed: its log, the rows of the delivery and of its completion."""

    log: int
    delivery: int
    completion: int
    publisher: int
    seq: int


def drop(history: History, random: Random) -> Planted:
    """A promised message that no worker ever got."""
    pick = _pick(history, random)
    logs = tuple(
        _without(log, pick.publisher, pick.seq) if log.header.role == "worker" else log for log in history.logs
    )
    return Planted(
        replace(history, logs=logs),
        f"message {pick.seq} of publisher {pick.publisher} never delivered",
        lambda before, after: _fate(after, Fate.LOST) == _fate(before, Fate.LOST) + 1,
    )


def duplicate(history: History, random: Random) -> Planted:
    """A message processed twice by the same worker over an intact connection, without a redelivered mark."""
    pick = _pick(history, random)
    log = history.logs[pick.log]
    extra = log.records[[pick.delivery, pick.completion]].copy()
    extra["tag"] = min(int(log.records["tag"].max()) + 1, MOST_TAG)
    extra["flags"] &= ~np.uint8(Flag.REDELIVERED)
    extra["at_ns"] = log.records["at_ns"][pick.completion] + np.array([1000, 2000])
    return Planted(
        _with_log(history, pick.log, _inserted(log, extra)),
        f"message {pick.seq} of publisher {pick.publisher} processed twice",
        lambda before, after: after.counts.unexplained_duplicates == before.counts.unexplained_duplicates + 1,
    )


def reorder(history: History, random: Random) -> Planted:
    """A message that was completed after all that came behind it."""
    pick = _pick(history, random, early=True)
    log = history.logs[pick.log]
    records = log.records.copy()
    end = max(int(each.records["at_ns"].max()) for each in history.logs if len(each.records))
    for row in {pick.delivery, pick.completion}:
        records["at_ns"][row] = end + 1000 + row
    return Planted(
        _with_log(history, pick.log, replace(log, records=records)),
        f"message {pick.seq} of publisher {pick.publisher} completed last",
        lambda before, after: after.counts.out_of_order > before.counts.out_of_order,
    )


def corrupt(history: History, random: Random) -> Planted:
    """A body that does not fit its checksum."""
    pick = _pick(history, random)
    log = history.logs[pick.log]
    records = log.records.copy()
    records["flags"][pick.delivery] |= Flag.CORRUPT
    return Planted(
        _with_log(history, pick.log, replace(log, records=records)),
        f"message {pick.seq} of publisher {pick.publisher} corrupted",
        lambda before, after: after.counts.corrupt == before.counts.corrupt + 1,
    )


def phantom(history: History, random: Random) -> Planted:
    """A message that was processed and that nobody published."""
    pick = _pick(history, random)
    log = history.logs[pick.log]
    extra = log.records[[pick.delivery, pick.completion]].copy()
    extra["tag"] = min(int(log.records["tag"].max()) + 1, MOST_TAG)
    extra["publisher"], extra["seq"] = FOREIGN, random.randrange(1000)
    return Planted(
        _with_log(history, pick.log, _inserted(log, extra)),
        "a message from nowhere",
        lambda before, after: after.counts.phantom == before.counts.phantom + 1,
    )


def misroute(history: History, random: Random) -> Planted:
    """A message that was delivered from a queue that it was never put in."""
    pick = _pick(history, random)
    log = history.logs[pick.log]
    records = log.records.copy()
    records["queue"][[pick.delivery, pick.completion]] = len(log.names)
    texts = replace(log.texts, names=(*log.texts.names, "a queue of somebody else"))
    return Planted(
        _with_log(history, pick.log, replace(log, records=records, texts=texts)),
        f"message {pick.seq} of publisher {pick.publisher} delivered from another queue",
        lambda before, after: after.counts.misrouted == before.counts.misrouted + 1,
    )


def resurrect(history: History, random: Random) -> Planted:
    """A message that the broker refused (nacked), and that was processed all the same, late."""
    pick = _pick(history, random)
    logs = tuple(
        _refused(log, pick.seq) if log.header.role == "publisher" and log.header.number == pick.publisher else log
        for log in history.logs
    )
    return Planted(
        replace(history, logs=logs),
        f"message {pick.seq} of publisher {pick.publisher} nacked, and processed",
        lambda before, after: _fate(after, Fate.RESURRECTED) == _fate(before, Fate.RESURRECTED) + 1,
    )


def kept(history: History, random: Random) -> Planted:
    """A message that was done and acknowledged, and is in its queue at the end all the same."""
    pick = _pick(history, random)
    worker = history.logs[pick.log]
    index = next((index for index, log in enumerate(history.logs) if log.header.role == "collector"), None)
    if index is None:
        raise HistoryError("the history holds no log of what was found after the drain")
    collector = history.logs[index]
    end_ns = max(int(log.records["at_ns"].max()) for log in history.logs if len(log.records))
    found = worker.records[[pick.delivery]].copy()
    found["kind"], found["at_ns"], found["tag"], found["flags"] = Kind.FOUND, end_ns + 1000, 0, 0
    found["queue"] = collector.names.index(worker.names[int(found["queue"][0])])
    return Planted(
        _with_log(history, index, _inserted(collector, found)),
        f"message {pick.seq} of publisher {pick.publisher} acknowledged, and in its queue at the end",
        lambda before, after: after.counts.kept_after_ack == before.counts.kept_after_ack + 1,
    )


def unfinished(history: History, random: Random) -> Planted:
    """A message acknowledged, whose work was never done: counting at receipt or at the ack would hide it."""
    pick = _pick(history, random)
    log = history.logs[pick.log]
    records = log.records.copy()
    records["flags"][pick.delivery] &= ~np.uint8(Flag.DONE)
    if pick.completion != pick.delivery:
        records = np.delete(records, pick.completion)
    return Planted(
        _with_log(history, pick.log, replace(log, records=records)),
        f"message {pick.seq} of publisher {pick.publisher} acknowledged and never completed",
        lambda before, after: _fate(after, Fate.LOST) == _fate(before, Fate.LOST) + 1,
    )


KINDS: dict[str, Callable[[History, Random], Planted]] = {
    "drop": drop,
    "duplicate": duplicate,
    "reorder": reorder,
    "corrupt": corrupt,
    "phantom": phantom,
    "misrouted": misroute,
    "resurrection": resurrect,
    "acknowledged, not done": unfinished,
    "acknowledged and still there": kept,
}


def _fate(verdict: VariantVerdict, fate: Fate) -> int:
    return verdict.counts.fates.get(fate, 0)


def _pick(history: History, random: Random, *, early: bool = False) -> _Pick:
    """Pick a message that was published, confirmed if asked, delivered and completed exactly once. Raises ValueError if none was."""
    seen: dict[tuple[int, int], list[_Pick]] = {}
    delivered: dict[tuple[int, int], int] = {}
    # Only a worker that ended in order: a lost connection would excuse what is planted.
    orderly = {
        index
        for index, log in enumerate(history.logs)
        if (log.records["kind"] == Kind.FINISHED).any()
        and not np.isin(log.records["kind"], (Kind.CONNECTION_LOST, Kind.CHANNEL_CLOSED)).any()
    }
    for index, log in enumerate(history.logs):
        if log.header.role != "worker":
            continue
        for row in log.records[log.records["kind"] == Kind.DELIVERED]:
            key = (int(row["publisher"]), int(row["seq"]))
            delivered[key] = delivered.get(key, 0) + 1
        for pick in _completed_in(index, log):
            seen.setdefault((pick.publisher, pick.seq), []).append(pick)
    published: dict[tuple[int, int], int] = {}
    for log in history.of_role("publisher"):
        for row in log.records[log.records["kind"] == Kind.PUBLISHED]:
            key = (log.header.number, int(row["seq"]))
            published[key] = published.get(key, 0) + 1
    once = sorted(
        (key, picks[0])
        for key, picks in seen.items()
        if len(picks) == delivered[key] == published.get(key) == 1 and picks[0].log in orderly
    )
    if not once:
        raise HistoryError("the history holds no message that was published, delivered and completed exactly once")
    if early:
        once = _before_the_latest(once, seen, history)
        once = once[: max(1, len(once) // 2)]
    return random.choice(once)[1]


def _before_the_latest(
    picks: list[tuple[tuple[int, int], _Pick]], seen: dict[tuple[int, int], list[_Pick]], history: History
) -> list[tuple[tuple[int, int], _Pick]]:
    """Return those that some later message of their publisher follows in order, by sequence number: what comes late already moves nothing."""
    latest: dict[int, tuple[int, int]] = {}
    for (publisher, seq), completions in seen.items():
        at_ns = min(int(history.logs[each.log].records["at_ns"][each.completion]) for each in completions)
        latest[publisher] = max(latest.get(publisher, (0, 0)), (at_ns, seq))
    found = sorted((pick for pick in picks if pick[1].seq < latest[pick[1].publisher][1]), key=lambda pick: pick[1].seq)
    if not found:
        raise HistoryError("the history holds no message that another one of its publisher follows in order")
    return found


def _completed_in(index: int, log: Log) -> list[_Pick]:
    records = log.records
    open_: dict[tuple[int, int], int] = {}
    picks = []
    for row in range(len(records)):
        kind = int(records["kind"][row])
        if kind not in (Kind.DELIVERED, Kind.COMPLETED):
            continue
        publisher, seq = int(records["publisher"][row]), int(records["seq"][row])
        key = (int(records["connection"][row]), int(records["tag"][row]))
        if kind == Kind.DELIVERED:
            open_[key] = row
            if int(records["flags"][row]) & Flag.DONE:
                picks.append(_Pick(index, row, row, publisher, seq))
        elif key in open_:
            picks.append(_Pick(index, open_[key], row, publisher, seq))
    return picks


def _with_log(history: History, index: int, log: Log) -> History:
    return replace(history, logs=(*history.logs[:index], log, *history.logs[index + 1 :]))


def _inserted(log: Log, extra: np.ndarray) -> Log:
    return replace(log, records=np.concatenate([log.records, extra]))


def _without(log: Log, publisher: int, seq: int) -> Log:
    records = log.records
    mine = (records["publisher"] == publisher) & (records["seq"] == seq)
    mine &= np.isin(records["kind"], (Kind.DELIVERED, Kind.COMPLETED, Kind.REJECTED))
    return replace(log, records=records[~mine])


def _refused(log: Log, seq: int) -> Log:
    """Turn the confirm of one message into a nack: its range is split around it."""
    records = log.records
    publish = records[(records["kind"] == Kind.PUBLISHED) & (records["seq"] == seq)][0]
    rows = []
    for row in records:
        first, count = int(row["tag"]), int(row["arg"])
        tag = int(publish["tag"])
        covers = (
            row["kind"] == Kind.CONFIRMED
            and row["connection"] == publish["connection"]
            and first <= tag < first + count
        )
        if not covers:
            rows.append(row.copy())
            continue
        for kind, begin, length in (
            (Kind.CONFIRMED, first, tag - first),
            (Kind.NACKED, tag, 1),
            (Kind.CONFIRMED, tag + 1, first + count - tag - 1),
        ):
            if length:
                part = row.copy()
                part["kind"], part["tag"], part["arg"] = kind, begin, length
                rows.append(part)
    return replace(log, records=np.array(rows, dtype=records.dtype))
