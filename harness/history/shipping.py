"""Logs on their way from the machine where they were written: records as Parquet, small, and back to a log that is read like any other."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import HistoryError
from harness.history.read import DTYPE
from harness.history.records import COLUMNS, LAST_ENTRY, LAST_ENTRY_OFFSET, LogHeader

PART_RECORDS = 1 << 20
"""Records that travel at once: 32 MiB here and there."""
_RISING = ("at_ns", "seq", "tag")
"""Columns that grow from record to record, so that their differences are small."""


def pack(records: np.ndarray) -> bytes:
    """Write records (a structured array of `DTYPE`) as a Parquet file, column by column as they are."""
    table = pa.table({name: np.ascontiguousarray(records[name]) for name, _, _ in COLUMNS})
    sink = BytesIO()
    encodings = {name: "DELTA_BINARY_PACKED" if name in _RISING else "PLAIN" for name, _, _ in COLUMNS}
    pq.write_table(table, sink, compression="zstd", use_dictionary=False, column_encoding=encodings)
    return sink.getvalue()


def unpack(data: bytes) -> np.ndarray:
    """Read what `pack` wrote. Raises HistoryError."""
    try:
        table = pq.read_table(BytesIO(data))
        records = np.zeros(table.num_rows, dtype=DTYPE)
        for name, kind, _ in COLUMNS:
            records[name] = table.column(name).to_numpy().astype(kind, casting="safe")
    except (pa.ArrowException, KeyError, TypeError) as error:
        raise HistoryError(f"the records that a machine sent cannot be read: {error}") from error
    return records


class Cargo(NamedTuple):
    """What is known of a log before its records travel."""

    header: LogHeader
    records: int
    """How many there are."""
    last_entry: int
    """The place of the last entry of its tables: see `harness.history.texts.LogTexts.last`."""


def write_log(path: Path, cargo: Cargo, parts: Iterable[np.ndarray]) -> None:
    """Write a log as its process would have written it. Raises HistoryError."""
    unfinished = path.with_name(f"{path.name}.new")
    try:
        with unfinished.open("wb") as file:
            file.write(json.dumps(asdict(cargo.header)).encode().ljust(LAST_ENTRY_OFFSET, b"\0"))
            file.write(LAST_ENTRY.pack(cargo.last_entry))
            for part in parts:
                file.write(part.tobytes())
        unfinished.rename(path)
    except OSError as error:
        raise HistoryError(f"the event log {path} cannot be written: {error.strerror}") from error
