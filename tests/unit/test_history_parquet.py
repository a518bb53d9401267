"""The Parquet file has a row for each message that a record stands for, whatever order the tags come in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from harness.history.history import History
from harness.history.parquet import HISTORY_FILE, to_frame, write
from harness.history.read import DTYPE, Log
from harness.history.records import FOREIGN, NEVER_DIED, AckMode, Death, Flag, Kind, LogHeader
from harness.history.texts import NO_TEXTS, LogTexts

Row = tuple[Kind, int, int, int, int]
"""Kind, connection, tag, sequence number, messages that it stands for."""


def publisher(*rows: Row) -> Log:
    records = np.zeros(len(rows), dtype=DTYPE)
    for index, (kind, connection, tag, seq, count) in enumerate(rows):
        records[index]["at_ns"] = index
        records[index]["kind"], records[index]["connection"], records[index]["tag"] = kind, connection, tag
        records[index]["seq"], records[index]["arg"], records[index]["attempt"] = seq, count, 1
        records[index]["publisher"] = 1
    return Log(LogHeader("publisher", "publisher-1", 1, 1, 1, ("tasks",)), records)


def rows_of(log: Log, folder: Path, event: str) -> list[tuple[int, int, int]]:
    """Connection, tag and sequence number of each row; -1 for a message that is not known."""
    write(History((log,), ()), folder / HISTORY_FILE)
    frame = to_frame(folder)
    chosen = frame[frame["event"] == event]
    return list(zip(chosen["connection"], chosen["tag"], chosen["seq"].fillna(-1), strict=True))


def test_a_confirm_of_several_messages_has_a_row_for_each(tmp_path: Path) -> None:
    log = publisher(*((Kind.PUBLISHED, 1, tag, tag + 40, 0) for tag in (1, 2, 3)), (Kind.CONFIRMED, 1, 1, 0, 3))
    assert rows_of(log, tmp_path, "confirmed") == [(1, 1, 41), (1, 2, 42), (1, 3, 43)]
    assert rows_of(log, tmp_path, "published") == [(1, 1, 41), (1, 2, 42), (1, 3, 43)]


@pytest.mark.parametrize("count", [1, 2])
def test_a_confirm_finds_its_publish_whichever_connection_came_first(tmp_path: Path, count: int) -> None:
    log = publisher(
        *((Kind.PUBLISHED, connection, tag, 10 * connection + tag, 0) for connection in (2, 1) for tag in (1, 2)),
        (Kind.CONFIRMED, 1, 1, 0, count),
        (Kind.CONFIRMED, 2, 3 - count, 0, count),
    )
    expected = {1: [(1, 1, 11), (2, 2, 22)], 2: [(1, 1, 11), (1, 2, 12), (2, 1, 21), (2, 2, 22)]}
    assert rows_of(log, tmp_path, "confirmed") == expected[count]


def test_a_confirm_of_what_was_never_published_has_no_message(tmp_path: Path) -> None:
    log = publisher((Kind.PUBLISHED, 1, 1, 7, 0), (Kind.CONFIRMED, 1, 9, 0, 1))
    assert rows_of(log, tmp_path, "confirmed") == [(1, 9, -1)]


def test_messages_of_another_run_are_foreign(tmp_path: Path) -> None:
    log = publisher((Kind.PUBLISHED, 1, 1, 7, 0), (Kind.PUBLISHED, 1, 2, 8, 0))
    log.records["publisher"][1] = FOREIGN
    write(History((log,), ()), tmp_path / HISTORY_FILE)
    assert to_frame(tmp_path)["publisher"].tolist() == ["publisher-1", "foreign"]


def worker_log(*rows: dict[str, int], texts: LogTexts = NO_TEXTS) -> Log:
    records = np.zeros(len(rows), dtype=DTYPE)
    for index, row in enumerate(rows):
        records[index]["at_ns"], records[index]["connection"], records[index]["attempt"] = 1000 + index, 1, 1
        for name, value in row.items():
            records[index][name] = value
    return Log(LogHeader("worker", "worker-1", 1, 1, 1, ("tasks", "delay")), records, texts=texts)


def table_of(log: Log, folder: Path, *columns: str) -> list[tuple[object, ...]]:
    """Some columns of all rows; None for what is missing."""
    write(History((log,), ()), folder / HISTORY_FILE)
    frame = to_frame(folder)[list(columns)].astype(object)
    return [tuple(row) for row in frame.where(frame.notna(), None).itertuples(index=False)]


def test_a_delivery_that_is_worked_off_as_it_comes_has_a_row_for_its_completion(tmp_path: Path) -> None:
    log = worker_log(
        {"kind": Kind.DELIVERED, "tag": 1, "seq": 7, "publisher": 1, "flags": Flag.DONE | Flag.REDELIVERED},
        {"kind": Kind.DELIVERED, "tag": 2, "seq": 8, "publisher": 1, "flags": Flag.DONE},
        {"kind": Kind.ACKED, "tag": 1, "arg": 2},
        {"kind": Kind.DELIVERED, "tag": 3, "seq": 9, "publisher": 1},
        {"kind": Kind.COMPLETED, "tag": 3, "seq": 9, "publisher": 1},
    )
    assert table_of(log, tmp_path, "at_ns", "event", "tag", "seq", "queue", "redelivered") == [
        (1000, "delivered", 1, 7, "tasks", True),
        (1000, "completed", 1, 7, "tasks", False),
        (1001, "delivered", 2, 8, "tasks", False),
        (1001, "completed", 2, 8, "tasks", False),
        (1002, "acked", 1, 7, "tasks", False),
        (1002, "acked", 2, 8, "tasks", False),
        (1003, "delivered", 3, 9, "tasks", False),
        (1004, "completed", 3, 9, "tasks", False),
    ]


def test_every_row_of_a_copy_says_how_it_had_died(tmp_path: Path) -> None:
    retried = Death("tasks", (("tasks", "rejected", 3), ("delay", "expired", 2)))
    dropped = Death("tasks", (("tasks", "maxlen", 1),))
    log = worker_log(
        {"kind": Kind.DELIVERED, "tag": 1, "publisher": 1, "death": 1, "arg": 3},
        {"kind": Kind.DELIVERED, "tag": 2, "publisher": 1, "death": 2, "flags": Flag.DONE},
        {"kind": Kind.DELIVERED, "tag": 3, "publisher": 1},
        {"kind": Kind.COMPLETED, "tag": 1, "publisher": 1},
        {"kind": Kind.ACKED, "tag": 1, "arg": 2},
        {"kind": Kind.REJECTED, "tag": 3, "publisher": 1},
        {"kind": Kind.FINISHED},
        texts=LogTexts(deaths=(NEVER_DIED, retried, dropped)),
    )
    columns = ("event", "first_death_queue", "deaths", "death_reason", "delivery_count")
    assert table_of(log, tmp_path, *columns) == [
        ("delivered", "tasks", 5, "expired", 3),
        ("delivered", "tasks", 1, "maxlen", 0),
        ("completed", "tasks", 1, "maxlen", None),
        ("delivered", None, 0, None, 0),
        ("completed", "tasks", 5, "expired", None),
        ("acked", "tasks", 5, "expired", None),
        ("acked", "tasks", 1, "maxlen", None),
        ("rejected", None, 0, None, None),
        ("finished", None, None, None, None),
    ]


def test_the_way_a_worker_consumed_and_what_the_broker_said_have_columns(tmp_path: Path) -> None:
    log = worker_log(
        {"kind": Kind.CONNECTED},
        {"kind": Kind.CONSUMING, "attempt": AckMode.EARLY, "arg": 20, "queue": 1},
        {"kind": Kind.CHANNEL_CLOSED, "arg": 406, "queue": 1},
        {"kind": Kind.CONSUMING, "attempt": AckMode.UNKNOWN},
        {"kind": Kind.CONNECTION_LOST},
        texts=LogTexts(reasons=("", "PRECONDITION_FAILED - timed out")),
    )
    assert table_of(log, tmp_path, "event", "queue", "acks", "code", "reason") == [
        ("connected", None, None, None, None),
        ("consuming", "delay", "early", None, None),
        ("channel_closed", None, None, 406, "PRECONDITION_FAILED - timed out"),
        ("consuming", "tasks", None, None, None),
        ("connection_lost", None, None, 0, None),
    ]


def test_a_foreign_delivery_has_no_number(tmp_path: Path) -> None:
    log = worker_log(
        {"kind": Kind.DELIVERED, "tag": 1, "publisher": FOREIGN, "seq": 5, "attempt": 0, "flags": Flag.DONE}
    )
    assert table_of(log, tmp_path, "event", "publisher", "seq", "attempt") == [
        ("delivered", "foreign", None, None),
        ("completed", "foreign", None, None),
    ]


def test_numbers_that_grow_are_written_as_differences(tmp_path: Path) -> None:
    write(
        History((publisher(*((Kind.PUBLISHED, 1, tag, tag, 0) for tag in range(1, 500))),), ()), tmp_path / HISTORY_FILE
    )
    columns = pq.ParquetFile(tmp_path / HISTORY_FILE).metadata.row_group(0)
    encodings = {columns.column(at).path_in_schema: columns.column(at).encodings for at in range(columns.num_columns)}
    assert all("DELTA_BINARY_PACKED" in encodings[name] for name in ("at_ns", "tag", "seq"))
    assert "RLE_DICTIONARY" in encodings["event"]
