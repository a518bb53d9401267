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
from harness.history.parquet_file import WRITTEN, parquet_file
from harness.history.read import EMPTY, Log
from harness.history.records import FOREIGN, OF_MESSAGES, AckMode, Flag, Kind, LogHeader
from harness.history.rows import spread
from harness.plain import plain

if TYPE_CHECKING:
    import pandas as pd

HISTORY_FILE = "history.parquet"
_COPIES = (Kind.DELIVERED, Kind.COMPLETED, Kind.ACKED, Kind.REJECTED, Kind.CRASHING, Kind.FAILED, Kind.FOUND)
"""What speaks of a message in a queue, which may have died before."""
_ENDS = (Kind.CONNECTION_LOST, Kind.CHANNEL_CLOSED, Kind.CONNECT_FAILED)
_CODES = (Kind.RETURNED, *_ENDS)
_WORDS = ("event", "role", "actor", "publisher", "queue", "acks", "reason", "first_death_queue", "death_reason")
"""Columns of few different values: the others grow from row to row, which is smaller to write as differences."""
_ALWAYS = ("at_ns", "event", "role", "actor", "incarnation", "connection")
"""Columns that a history of every version has."""
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
    options = {**WRITTEN, "use_dictionary": list(_WORDS), "column_encoding": dict(_ENCODINGS)}
    try:
        # A file, for Arrow takes no path whose bytes are not UTF-8.
        with temporary.open("wb") as file, pq.ParquetWriter(file, _empty().schema, **options) as writer:
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
        with parquet_file(file) as source:
            frame = _frame(source)
    except HistoryError as error:
        raise HistoryError(
            f"the history {file} cannot be read: {plain(str(error))}; `chaos report` writes it anew"
        ) from error
    return frame


def _frame(source: pq.ParquetFile) -> pd.DataFrame:
    """Read a file. Raises ValueError where it is no history."""
    missing = [name for name in _ALWAYS if name not in source.schema_arrow.names]
    if missing:
        raise ValueError(f"it has no column {missing[0]!r}")
    table = source.read()
    table.validate(full=True)
    kinds = {pa.int64(): "Int64", pa.int32(): "Int32", pa.uint16(): "UInt16"}
    import pandas as pd  # noqa: PLC0415 - only here

    nullable = {kind: pd.api.types.pandas_dtype(name) for kind, name in kinds.items()}
    frame: pd.DataFrame = table.to_pandas(types_mapper=nullable.get, ignore_metadata=True)
    return frame


def _table(log: Log, names: dict[int, str]) -> pa.Table:
    rows, of_range = spread(log)
    kind = np.ascontiguousarray(rows["kind"])
    nothing = np.zeros(len(rows), dtype=np.int32)
    events = [member.name.lower() for member in Kind]
    columns: dict[str, pa.Array] = {
        "at_ns": numbers(rows["at_ns"]),
        "event": _dictionary(_places([int(member) for member in Kind])[kind], events),
        "role": _dictionary(nothing, [log.header.role]),
        "actor": _dictionary(nothing, [log.header.actor]),
        "incarnation": numbers(np.full(len(rows), log.header.incarnation, dtype=np.int32)),
        "connection": numbers(rows["connection"].astype(np.int32)),
        "tag": numbers(rows["tag"].astype(np.int64), rows["tag"] == 0),
    }
    columns |= _of_messages(log, rows, kind, names, of_range)
    columns |= _of_connections(log, rows, kind)
    columns |= _of_copies(log, rows, kind)
    marks = np.ascontiguousarray(rows["flags"])
    for name, flag in _FLAGS:
        columns[name] = flags((marks & flag) != 0)
    return pa.Table.from_arrays(list(columns.values()), names=list(columns))


def _of_messages(
    log: Log, rows: np.ndarray, kind: np.ndarray, names: dict[int, str], of_range: np.ndarray
) -> dict[str, pa.Array]:
    has_message = _among(kind, OF_MESSAGES) | of_range
    owner = np.ascontiguousarray(rows["publisher"])
    known = np.flatnonzero(np.bincount(owner)).tolist()
    labels = [names.get(number, "foreign" if number == FOREIGN else "") for number in known]
    queue_named = _among(kind, (*OF_MESSAGES, Kind.ACKED, Kind.CONSUMING, Kind.CANCELLED)) & (kind != Kind.RETURNED)
    return {
        "publisher": _dictionary(_places(known)[owner], labels, ~has_message),
        "seq": numbers(rows["seq"].astype(np.int64), ~has_message | (owner == FOREIGN)),
        "attempt": numbers(rows["attempt"].astype(np.int32), ~has_message | (rows["attempt"] == 0)),
        "queue": _dictionary(rows["queue"], log.names, ~queue_named),
    }


def _of_connections(log: Log, rows: np.ndarray, kind: np.ndarray) -> dict[str, pa.Array]:
    """Say how each worker consumed, and why connections and channels ended."""
    modes = [mode.name.lower() for mode in AckMode]
    consuming = (kind == Kind.CONSUMING) & (rows["attempt"] != AckMode.UNKNOWN)
    said = _among(kind, _ENDS) & (rows["queue"] != 0)
    return {
        "acks": _dictionary(rows["attempt"], modes, ~consuming),
        "code": numbers(rows["arg"].astype(np.int32), ~_among(kind, _CODES)),
        "reason": _dictionary(rows["queue"], log.reasons, ~said),
    }


def _of_copies(log: Log, rows: np.ndarray, kind: np.ndarray) -> dict[str, pa.Array]:
    """Say how the message had died that a row speaks of, and how often a quorum queue had delivered it."""
    death, speaks = rows["death"], _among(kind, _COPIES)
    died = speaks & (death != 0)
    deaths = np.array([sum(count for _, _, count in each.path) for each in log.deaths], dtype=np.int32)
    last = [each.path[-1][1] if each.path else "" for each in log.deaths]
    delivered = _among(kind, (Kind.DELIVERED, Kind.FOUND))
    return {
        "first_death_queue": _dictionary(death, [each.first_queue for each in log.deaths], ~died),
        "deaths": numbers(deaths[np.where(speaks, death, 0)], ~speaks),
        "death_reason": _dictionary(death, last, ~died),
        "delivery_count": numbers(rows["arg"].astype(np.int64), ~delivered),
    }


def _among(kind: np.ndarray, chosen: Sequence[Kind]) -> np.ndarray:
    """Tell which kinds are among some."""
    among: np.ndarray = np.isin(np.arange(256), chosen)[kind]
    return among


def _places(listed: Sequence[int]) -> np.ndarray:
    """Return a table from some numbers to their places."""
    places = np.zeros(max(listed, default=0) + 1, dtype=np.int32)
    places[listed] = np.arange(len(listed))
    return places


def _dictionary(index: np.ndarray, labels: Sequence[str], missing: np.ndarray | None = None) -> pa.Array:
    """Make an array of words out of their places in a list; the places of what is `missing` mean nothing."""
    words = {label: place for place, label in enumerate(dict.fromkeys(labels))} or {"": 0}
    codes = index.astype(np.int32, copy=missing is not None)
    if missing is not None:
        codes[missing] = 0
    if len(words) < len(labels):
        codes = np.array([words[label] for label in labels], dtype=np.int32)[codes]
    return pa.DictionaryArray.from_arrays(numbers(codes, missing), texts(list(words)))


def _empty() -> pa.Table:
    return _table(Log(LogHeader("", "", 0, 0, 0, ()), EMPTY), {})
