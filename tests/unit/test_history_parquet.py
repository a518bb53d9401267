"""The Parquet file has a row for each message that a record stands for, whatever order the tags come in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from harness.history.history import History
from harness.history.parquet import HISTORY_FILE, to_frame, write
from harness.history.read import DTYPE, Log
from harness.history.records import FOREIGN, Kind, LogHeader

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


def test_numbers_that_grow_are_written_as_differences(tmp_path: Path) -> None:
    write(
        History((publisher(*((Kind.PUBLISHED, 1, tag, tag, 0) for tag in range(1, 500))),), ()), tmp_path / HISTORY_FILE
    )
    columns = pq.ParquetFile(tmp_path / HISTORY_FILE).metadata.row_group(0)
    encodings = {columns.column(at).path_in_schema: columns.column(at).encodings for at in range(columns.num_columns)}
    assert all("DELTA_BINARY_PACKED" in encodings[name] for name in ("at_ns", "tag", "seq"))
    assert "RLE_DICTIONARY" in encodings["event"]
