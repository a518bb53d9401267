"""The history as one Parquet file a variant: one row for each message and event, for people who work with pandas.

Columns and their meaning are described in docs/history.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import HistoryError
from harness.history.history import History
from harness.history.read import EMPTY, Log
from harness.history.records import FOREIGN, Flag, Kind, LogHeader

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
    Kind.FOUND,
)
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
    tables = [_table(log, names) for log in history.logs if len(log.records)]
    temporary = path.with_suffix(".tmp")
    try:
        whole = pa.concat_tables(tables) if tables else _empty()
        pq.write_table(whole, temporary, compression="zstd")
        temporary.replace(path)
    except OSError as error:
        raise HistoryError(f"the history {path} cannot be written: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)


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
    kind = records["kind"]
    size = len(records)
    has_message = np.isin(kind, _WITH_MESSAGE) | of_range
    numbers = records["publisher"]
    known = sorted(set(np.unique(numbers).tolist()))
    labels = [names.get(number, "foreign" if number == FOREIGN else "") for number in known]
    index = np.searchsorted(known, numbers)
    queue_named = np.isin(kind, (*_WITH_MESSAGE, Kind.ACKED, Kind.CONSUMING, Kind.CANCELLED)) & (kind != Kind.RETURNED)
    events = [member.name.lower() for member in Kind]
    event_index = np.searchsorted([int(member) for member in Kind], kind)
    columns: dict[str, Any] = {
        "at_ns": pa.array(records["at_ns"]),
        "event": _dictionary(event_index, events),
        "role": _dictionary(np.zeros(size, dtype=np.int32), [log.header.role]),
        "actor": _dictionary(np.zeros(size, dtype=np.int32), [log.header.actor]),
        "incarnation": pa.array(np.full(size, log.header.incarnation, dtype=np.int32)),
        "connection": pa.array(records["connection"].astype(np.int32)),
        "tag": pa.array(records["tag"].astype(np.int64), mask=records["tag"] == 0),
        "publisher": _dictionary(index, labels, ~has_message),
        "seq": pa.array(records["seq"].astype(np.int64), mask=~has_message),
        "attempt": pa.array(records["attempt"].astype(np.int32), mask=~has_message | (records["attempt"] == 0)),
        "queue": _dictionary(records["queue"], list(log.header.names) or [""], ~queue_named),
        "code": pa.array(records["arg"].astype(np.int32), mask=~np.isin(kind, _CODES)),
    }
    for name, flag in _FLAGS:
        columns[name] = pa.array((records["flags"] & flag) != 0)
    return pa.table(columns)


def _dictionary(index: np.ndarray, labels: list[str], mask: np.ndarray | None = None) -> pa.Array:
    codes = pa.array(index.astype(np.int32), mask=mask)
    return pa.DictionaryArray.from_arrays(codes, pa.array(labels, type=pa.string())).cast(
        pa.dictionary(pa.int32(), pa.string())
    )


def _expanded(log: Log) -> tuple[np.ndarray, np.ndarray]:
    """Spread range records to one row for each message; returns the rows, and which of them came from a range."""
    records = log.records
    is_range = np.isin(records["kind"], _RANGES)
    counts = np.where(is_range, np.maximum(records["arg"].astype(np.int64), 1), 1)
    source = np.repeat(np.arange(len(records)), counts)
    rows = records[source].copy()
    ends = np.cumsum(counts)
    offset = np.arange(len(source)) - np.repeat(ends - counts, counts)
    spread = is_range[source]
    rows["tag"][spread] += offset[spread].astype(np.uint32)
    owner = Kind.PUBLISHED if log.header.role == "publisher" else Kind.DELIVERED
    owners = records[records["kind"] == owner]
    matched = np.zeros(len(rows), dtype=bool)
    if len(owners) and spread.any():
        width = np.int64(1) << 33
        keys = owners["connection"].astype(np.int64) * width + owners["tag"]
        order = np.argsort(keys, kind="stable")
        wanted = rows["connection"][spread].astype(np.int64) * width + rows["tag"][spread]
        position = np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)
        hit = keys[order][position] == wanted
        chosen = owners[order[position]]
        places = np.flatnonzero(spread)
        for name in ("seq", "attempt", "publisher", "queue"):
            rows[name][places[hit]] = chosen[name][hit]
        matched[places[hit]] = True
    return rows, matched


def _empty() -> pa.Table:
    return _table(Log(LogHeader("", "", 0, 0, 0, ()), EMPTY), {})
