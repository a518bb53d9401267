"""The history as one Parquet file a variant: one row for each message and event, for people who work with pandas.

Columns and their meaning are described in docs/history.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import HistoryError
from harness.history.arrow import flags, numbers, texts
from harness.history.history import History
from harness.history.read import EMPTY, Log
from harness.history.records import FOREIGN, Flag, Kind, LogHeader
from harness.history.tags import expanded, indexed

if TYPE_CHECKING:
    import pandas as pd

HISTORY_FILE = "history.parquet"
_RANGES = (Kind.CONFIRMED, Kind.NACKED, Kind.ACKED)
_CODES = (Kind.RETURNED, Kind.CONNECTION_LOST, Kind.CHANNEL_CLOSED, Kind.CONNECT_FAILED)
_WITH_MESSAGE = (
    Kind.PUBLISHED,
    Kind.RETURNED,
    Kind.DELIVERED,
    Kind.COMPLETED,
    Kind.REJECTED,
    Kind.CRASHING,
    Kind.FAILED,
    Kind.FOUND,
)
_WORDS = ("event", "role", "actor", "publisher", "queue")
"""Columns of few different values: the others grow from row to row, which is smaller to write as differences."""
_ENCODINGS = dict.fromkeys(("at_ns", "tag", "seq"), "DELTA_BINARY_PACKED")
_PART_ROWS = 1 << 20
_FLAGS = (
    ("redelivered", Flag.REDELIVERED),
    ("corrupt", Flag.CORRUPT),
    ("persistent", Flag.PERSISTENT),
    ("mandatory", Flag.MANDATORY),
    ("requeue", Flag.REQUEUE),
    ("dead_lettered", Flag.DEAD_LETTERED),
)


def write(history: History, path: Path) -> None:
    """Write a history, sorted by time within each process's log. Raises HistoryError."""
    names = {log.header.number: log.header.actor for log in history.of_role("publisher")}
    tables = (_table(log, names) for log in history.logs if len(log.records))
    temporary = path.with_suffix(".tmp")
    options = {"compression": "zstd", "use_dictionary": list(_WORDS), "column_encoding": dict(_ENCODINGS)}
    try:
        with pq.ParquetWriter(temporary, _empty().schema, **options) as writer:
            for part in _parts(tables):
                writer.write_table(part)
        temporary.replace(path)
    except OSError as error:
        raise HistoryError(f"the history {path} cannot be written: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _parts(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Join tables to parts of at least so many rows, that not all of a long history is in memory at once."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(len(each) for each in waiting) >= _PART_ROWS:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def to_frame(path: Path) -> pd.DataFrame:
    """Read a history (the file, or the variant's folder) as a DataFrame; whole numbers stay whole. Raises HistoryError."""
    file = path / HISTORY_FILE if path.is_dir() else path
    try:
        table = pq.read_table(file)
    except (OSError, pa.ArrowInvalid) as error:
        raise HistoryError(f"the history {file} cannot be read: {error}; `chaos report` writes it anew") from error
    kinds = {pa.int64(): "Int64", pa.int32(): "Int32", pa.uint16(): "UInt16"}
    import pandas as pd  # noqa: PLC0415 - only here

    nullable = {kind: pd.api.types.pandas_dtype(name) for kind, name in kinds.items()}
    frame: pd.DataFrame = table.to_pandas(types_mapper=nullable.get)
    return frame


def _table(log: Log, names: dict[int, str]) -> pa.Table:
    records, of_range = _expanded(log)
    kind = np.ascontiguousarray(records["kind"])
    size = len(records)
    has_message = _among(kind, _WITH_MESSAGE) | of_range
    owner = np.ascontiguousarray(records["publisher"])
    known = np.flatnonzero(np.bincount(owner)).tolist()
    labels = [names.get(number, "foreign" if number == FOREIGN else "") for number in known]
    queue_named = _among(kind, (*_WITH_MESSAGE, Kind.ACKED, Kind.CONSUMING, Kind.CANCELLED)) & (kind != Kind.RETURNED)
    events = [member.name.lower() for member in Kind]
    columns: dict[str, pa.Array] = {
        "at_ns": numbers(records["at_ns"]),
        "event": _dictionary(_places([int(member) for member in Kind])[kind], events),
        "role": _dictionary(np.zeros(size, dtype=np.int32), [log.header.role]),
        "actor": _dictionary(np.zeros(size, dtype=np.int32), [log.header.actor]),
        "incarnation": numbers(np.full(size, log.header.incarnation, dtype=np.int32)),
        "connection": numbers(records["connection"].astype(np.int32)),
        "tag": numbers(records["tag"].astype(np.int64), records["tag"] == 0),
        "publisher": _dictionary(_places(known)[owner], labels, ~has_message),
        "seq": numbers(records["seq"].astype(np.int64), ~has_message),
        "attempt": numbers(records["attempt"].astype(np.int32), ~has_message | (records["attempt"] == 0)),
        "queue": _dictionary(records["queue"], list(log.names) or [""], ~queue_named),
        "code": numbers(records["arg"].astype(np.int32), ~_among(kind, _CODES)),
    }
    marks = np.ascontiguousarray(records["flags"])
    for name, flag in _FLAGS:
        columns[name] = flags((marks & flag) != 0)
    return pa.Table.from_arrays(list(columns.values()), names=list(columns))


def _among(kind: np.ndarray, chosen: Sequence[Kind]) -> np.ndarray:
    """Tell which kinds are among some."""
    among: np.ndarray = np.isin(np.arange(256), chosen)[kind]
    return among


def _places(listed: Sequence[int]) -> np.ndarray:
    """Return a table from some numbers to their places."""
    places = np.zeros(max(listed, default=0) + 1, dtype=np.int32)
    places[listed] = np.arange(len(listed))
    return places


def _dictionary(index: np.ndarray, labels: list[str], mask: np.ndarray | None = None) -> pa.Array:
    codes = numbers(index.astype(np.int32, copy=False), mask)
    return pa.DictionaryArray.from_arrays(codes, texts(labels))


def _expanded(log: Log) -> tuple[np.ndarray, np.ndarray]:
    """Spread range records to one row for each message; returns the rows, and which of them came from a range.

    What the log defines (its texts) is no event, and has no row.
    """
    records = log.events
    kind = np.ascontiguousarray(records["kind"])
    is_range = _among(kind, _RANGES)
    counts = np.where(is_range, np.maximum(records["arg"], 1), 1)
    if (counts == 1).all():
        rows, spread = records.copy(), is_range
    else:
        rows, spread = np.repeat(records, counts), np.repeat(is_range, counts)
        rows["tag"] = expanded(records["tag"].astype(np.int64), counts)
    owners = records.take(
        np.flatnonzero(kind == (Kind.PUBLISHED if log.header.role == "publisher" else Kind.DELIVERED))
    )
    matched = np.zeros(len(rows), dtype=bool)
    places = np.flatnonzero(spread)
    if len(owners) and len(places):
        position = indexed(owners).find(rows["connection"][places], rows["tag"][places])
        hit = np.flatnonzero(position >= 0)
        chosen = owners.take(position[hit])
        for name in ("seq", "attempt", "publisher", "queue"):
            rows[name][places[hit]] = chosen[name]
        matched[places[hit]] = True
    return rows, matched


def _empty() -> pa.Table:
    return _table(Log(LogHeader("", "", 0, 0, 0, ()), EMPTY), {})
