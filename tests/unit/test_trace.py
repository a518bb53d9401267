"""A message's life, against a reading of the logs record by record."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.history.history import History
from harness.history.narrow import narrowed
from harness.history.read import DTYPE, Log
from harness.history.records import NEVER_DIED, AckMode, Death, Flag, Kind, LogHeader
from harness.history.texts import NO_TEXTS, LogTexts
from harness.history.trace import LifeRow, Lives, life

SEQS = 4
PUBLISHER_KINDS = (Kind.CONNECTED, Kind.PUBLISHED, Kind.CONFIRMED, Kind.NACKED, Kind.RETURNED, Kind.CONNECTION_LOST)
WORKER_KINDS = (Kind.CONSUMING, Kind.DELIVERED, Kind.COMPLETED, Kind.ACKED, Kind.REJECTED, Kind.FAILED, Kind.CRASHING)
FLAGS = (Flag.NONE, Flag.PERSISTENT, Flag.REDELIVERED | Flag.DONE, Flag.CORRUPT, Flag.REQUEUE)


@st.composite
def logs(draw: st.DrawFn, role: str, number: int) -> Log:
    """Any records at all, in the order of their times; tags and ranges meet and overlap as they like."""
    kinds = PUBLISHER_KINDS if role == "publisher" else WORKER_KINDS
    rows = draw(
        st.lists(
            st.tuples(
                st.sampled_from(kinds),
                st.integers(0, SEQS - 1),
                st.integers(0, 5),
                st.integers(1, 3),
                st.integers(1, 2),
                st.integers(1, 2),
                st.sampled_from(FLAGS),
            ),
            max_size=15,
        )
    )
    records = np.zeros(len(rows), dtype=DTYPE)
    for index, (kind, seq, tag, arg, publisher, connection, flags) in enumerate(rows):
        named = number if role == "publisher" else publisher if kind != Kind.ACKED else 0
        records[index] = (1000 + index, seq, tag, arg, named, 1, 0, connection, flags, 0, kind)
    return Log(LogHeader(role, f"{role}-{number}", number, 1, 1, ("tasks",)), records)


def read_one_by_one(history: History, number: int, seq: int) -> tuple[LifeRow, ...]:
    """The same, record by record."""
    rows: list[LifeRow] = []
    for log in history.logs:
        who = f"{log.header.actor}/1"
        records = [{name: int(record[name]) for name in DTYPE.names or ()} for record in log.records]
        publishes = log.header.role == "publisher"
        for record in records:
            mine = log.header.number == number if publishes else record["publisher"] == number
            if not mine or record["seq"] != seq:
                continue
            rows += [
                (at_ns, what, who, detail)
                for at_ns, what, detail in (of_publisher(records, record) if publishes else of_worker(records, record))
            ]
    return tuple(sorted(rows))


def first(records: list[dict[str, int]], kind: Kind, record: dict[str, int]) -> int | None:
    for each in records:
        same = each["kind"] == kind and each["connection"] == record["connection"]
        if same and record["tag"] and each["tag"] <= record["tag"] < each["tag"] + each["arg"]:
            return each["at_ns"]
    return None


def of_publisher(records: list[dict[str, int]], record: dict[str, int]) -> list[tuple[int, str, str]]:
    at_ns = record["at_ns"]
    if record["kind"] == Kind.RETURNED:
        return [(at_ns, "returned", f"unroutable ({record['arg']})")]
    if record["kind"] != Kind.PUBLISHED:
        return []
    how = "persistent" if record["flags"] & Flag.PERSISTENT else "transient"
    told = [(at_ns, "published (attempt 1)", f"{how}, to tasks")]
    if not record["tag"]:
        return told
    for kind, word in ((Kind.CONFIRMED, "confirmed"), (Kind.NACKED, "nacked")):
        settled_ns = first(records, kind, record)
        if settled_ns is not None:
            return [*told, (settled_ns, word, "")]
    for each in records:
        if each["kind"] == Kind.CONNECTION_LOST and each["connection"] == record["connection"]:
            return [*told, (each["at_ns"], "indeterminate", "the connection was lost before the confirm")]
    return told


def of_worker(records: list[dict[str, int]], record: dict[str, int]) -> list[tuple[int, str, str]]:
    at_ns, flags = record["at_ns"], record["flags"]
    plain = {
        Kind.COMPLETED: ("completed", ""),
        Kind.CRASHING: ("crashes the worker", "poison"),
        Kind.FAILED: ("failed", "acknowledged before, so the broker does not deliver it again"),
        Kind.REJECTED: ("rejected", "with requeue" if flags & Flag.REQUEUE else "without requeue"),
    }
    kind = Kind(record["kind"])
    if kind in plain:
        return [(at_ns, *plain[kind])]
    if kind != Kind.DELIVERED:
        return []
    marks = [name for name, flag in (("redelivered", Flag.REDELIVERED), ("corrupt", Flag.CORRUPT)) if flags & flag]
    told = [(at_ns, "delivered", ", ".join(["from tasks", *marks]))]
    told += [(at_ns, "completed", "no work to do")] if flags & Flag.DONE else []
    acked_ns = first(records, Kind.ACKED, record)
    if acked_ns is not None:
        told.append((acked_ns, "acknowledged", "the worker sent it; the broker may not have received it"))
    return told


@given(logs("publisher", 1), logs("publisher", 2), logs("worker", 1))
def test_lives_are_what_the_logs_tell(one: Log, two: Log, worker: Log) -> None:
    history = History((one, two, worker), ())
    lives = Lives(history)
    for number in (1, 2):
        for seq in range(SEQS):
            expected = read_one_by_one(history, number, seq)
            assert lives.of(f"publisher-{number}", seq) == expected
            assert life(history, f"publisher-{number}", seq) == expected
            assert Lives(narrowed(history, [(number, seq)])).of(f"publisher-{number}", seq) == expected


def test_a_publisher_that_is_none_is_told_with_those_there_are() -> None:
    log = Log(LogHeader("publisher", "publisher-1", 1, 1, 1, ("tasks",)), np.zeros(0, dtype=DTYPE))
    with pytest.raises(UsageError, match=r"there is no publisher 'publisher-7' in this run \(there are: publisher-1\)"):
        life(History((log,), ()), "publisher-7", 0)


def story(role: str, *rows: dict[str, int], texts: LogTexts = NO_TEXTS) -> Log:
    """A log whose records are a nanosecond apart, all of message 0 of publisher 1 on one connection."""
    records = np.zeros(len(rows), dtype=DTYPE)
    records["connection"], records["publisher"] = 1, 1
    records["at_ns"] = np.arange(len(rows))
    for index, row in enumerate(rows):
        for name, value in row.items():
            records[index][name] = value
    return Log(LogHeader(role, f"{role}-1", 1, 1, 1, ("tasks", "dead")), records, texts=texts)


def told(log: Log) -> list[tuple[str, str]]:
    publisher = story("publisher")
    history = History((log,) if log.header.role == "publisher" else (publisher, log), ())
    return [(what, detail) for _, what, _, detail in life(history, "publisher-1", 0)]


def test_a_life_says_how_the_message_had_died_and_where() -> None:
    deaths = (
        NEVER_DIED,
        Death("tasks", (("tasks", "rejected", 3), ("delay", "expired", 2))),
        Death("tasks", (("tasks", "maxlen", 1), ("dead", "delivery_limit", 1), ("x", "of something new", 2))),
    )
    log = story(
        "worker",
        {"kind": Kind.DELIVERED, "tag": 1},
        {"kind": Kind.DELIVERED, "tag": 2, "death": 1, "flags": Flag.DEAD_LETTERED | Flag.REDELIVERED},
        {"kind": Kind.FOUND, "queue": 1, "death": 2, "flags": Flag.DEAD_LETTERED},
        texts=LogTexts(deaths=deaths),
    )
    assert told(log) == [
        ("delivered", "from tasks"),
        (
            "delivered",
            "from tasks, redelivered, dead-lettered: rejected in tasks (3 times), expired in delay (2 times)",
        ),
        (
            "found after the drain",
            "in dead, dead-lettered: beyond the length limit of tasks, beyond the delivery limit of dead,"
            " of something new in x (2 times)",
        ),
    ]


def test_a_log_of_the_first_version_says_only_that_it_had_died() -> None:
    log = story("worker", {"kind": Kind.CONSUMING}, {"kind": Kind.DELIVERED, "tag": 1, "flags": Flag.DEAD_LETTERED})
    assert told(log) == [("delivered", "from tasks, dead-lettered")]


@pytest.mark.parametrize(
    ("mode", "detail"),
    [
        (AckMode.MANUAL, "from tasks"),
        (AckMode.AUTOMATIC, "from tasks, automatic acks"),
        (AckMode.EARLY, "from tasks, early acks"),
    ],
)
def test_a_life_says_where_acks_do_not_wait_for_the_work(mode: AckMode, detail: str) -> None:
    log = story(
        "worker",
        {"kind": Kind.CONSUMING, "attempt": mode},
        {"kind": Kind.CONSUMING, "attempt": AckMode.MANUAL, "queue": 1},
        {"kind": Kind.DELIVERED, "tag": 1},
        {"kind": Kind.DELIVERED, "tag": 2, "queue": 1},
        {"kind": Kind.FAILED, "tag": 1},
    )
    assert told(log) == [
        ("delivered", detail),
        ("delivered", "from dead"),
        ("failed", "acknowledged before, so the broker does not deliver it again"),
    ]


@pytest.mark.parametrize(
    ("kind", "said", "detail"),
    [
        (Kind.CONNECTION_LOST, 0, "the connection was lost before the confirm"),
        (Kind.CONNECTION_LOST, 1, "the connection was lost before the confirm: CONNECTION_FORCED"),
        (Kind.CHANNEL_CLOSED, 1, "the channel was closed before the confirm: CONNECTION_FORCED"),
    ],
)
def test_a_life_says_why_a_publish_is_indeterminate(kind: Kind, said: int, detail: str) -> None:
    log = story(
        "publisher",
        {"kind": Kind.PUBLISHED, "tag": 1, "attempt": 1},
        {"kind": kind, "queue": said},
        texts=LogTexts(reasons=("", "CONNECTION_FORCED")),
    )
    assert told(log) == [("published (attempt 1)", "transient, to tasks"), ("indeterminate", detail)]
