"""The trend's store: a folder of small Parquet files, one for each run, written whole or not at all.

Nothing is ever changed in place, so any number of runs may append at once. What cannot be read is left out and told.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import HistoryError
from harness.files import MOST_NUMBER
from harness.history.arrow import flags, numbers, texts
from harness.history.parquet_file import WRITTEN, parquet_file
from harness.plain import plain, shortened
from harness.trend.rows import ADDED_COLUMNS, COLUMNS, READ_VERSIONS, SCHEMA_VERSION, Row
from harness.verdict.data import Outcome

SUFFIX: Final = ".parquet"
SAID_LENGTH: Final = 300
_EARLIEST, _LATEST = 1980, 9000
"""Years: a date is written in the time zone of the reader, and has to be one there as well."""
MOST_FILES: Final = 1000
"""With more files than this, reading begins to take time, and an append puts them together."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_WORD, _COUNT, _FIGURE = (pa.string(), pa.int64(), pa.float64())
SCHEMA: Final = pa.schema(
    [
        pa.field("schema_version", pa.int32(), nullable=False),
        *(pa.field(name, _WORD, nullable=False) for name in ("run_id", "night")),
        pa.field("started_at", pa.timestamp("us", tz="UTC"), nullable=False),
        *(pa.field(name, _WORD, nullable=False) for name in ("scenario", "file", "variant")),
        pa.field("control", pa.bool_(), nullable=False),
        *(pa.field(name, _WORD, nullable=False) for name in ("settings", "outcome")),
        pa.field("seed", _COUNT, nullable=False),
        *(pa.field(name, _WORD, nullable=False) for name in ("backend", "rabbitmq", "harness", "platform")),
        *(
            pa.field(name, _COUNT, nullable=False)
            for name in ("published", "promised", "processed", "lost", "redelivered", "duplicates", "stranded")
        ),
        *(
            pa.field(name, _FIGURE)
            for name in (
                "loss_rate",
                "recovery_s",
                "outage_publishers_s",
                "outage_workers_s",
                "broker_down_s",
                "confirm_p99_s",
                "completion_p99_s",
                "completion_due_p99_s",
                "throughput",
            )
        ),
        pa.field("duration_s", _FIGURE, nullable=False),
    ]
)
_OLDER_SCHEMA: Final = pa.schema([field for field in SCHEMA if field.name not in ADDED_COLUMNS])
"""What files of the versions 1 and 2 have."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a store holds: rows in the order of their runs' starts, and a sentence for each file that was left out."""

    rows: tuple[Row, ...]
    warnings: tuple[str, ...]


def append(folder: Path, rows: Sequence[Row]) -> Path | None:
    """Add a run's rows as a file of their own; None if there are none. Raises HistoryError where it cannot be written."""
    if not rows:
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = _write(folder, rows)
        if len(_files(folder)) > MOST_FILES:
            compact(folder)
    except OSError as error:
        raise HistoryError(f"the trend could not be written to {folder}: {error}") from error
    return path


def read(folder: Path) -> Stored:
    """Read everything that can be read; a folder that is not there holds nothing."""
    found, warnings = _read(folder)
    rows = {(row.run_id, row.variant): row for _, rows in found for row in rows}
    return Stored(tuple(sorted(rows.values(), key=lambda row: (row.started_at, row.run_id))), tuple(warnings))


def compact(folder: Path) -> Path | None:
    """Put all readable files together into one. Raises OSError.

    The new file is whole before the old ones go, and a row that is there twice counts once: runs that append, and another compaction,
    may go on meanwhile, and a crash costs nothing.
    """
    found, _ = _read(folder)
    if len(found) < 2:
        return None
    rows = {(row.run_id, row.variant): row for _, rows in found for row in rows}
    path = _write(folder, tuple(rows.values()))
    for old, _ in found:
        old.unlink(missing_ok=True)
    return path


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob(f"*{SUFFIX}") if not path.name.startswith("."))


def _write(folder: Path, rows: Sequence[Row]) -> Path:
    table = pa.Table.from_arrays(
        [_column(field, [getattr(row, field.name) for row in rows]) for field in SCHEMA], schema=SCHEMA
    )
    name = f"{min(row.started_at for row in rows):%Y%m%d-%H%M%S}-{uuid.uuid4().hex}"
    temporary = folder / f".{name}"
    try:
        # A file, for Arrow takes no path whose bytes are not UTF-8.
        with temporary.open("wb") as file:
            pq.write_table(table, file, **WRITTEN)
            file.flush()
            os.fsync(file.fileno())
        return temporary.rename(folder / f"{name}{SUFFIX}")
    finally:
        temporary.unlink(missing_ok=True)


def _column(field: pa.Field, values: Sequence[Any]) -> pa.Array:
    if pa.types.is_string(field.type):
        # Bytes of a file name that are no text are shown as escapes.
        return texts([value.encode(errors="backslashreplace").decode() for value in values])
    if pa.types.is_boolean(field.type):
        return flags(np.array(values))
    if pa.types.is_timestamp(field.type):
        values = [(value - _EPOCH) // timedelta(microseconds=1) for value in values]
        return numbers(np.array(values, dtype=np.int64), kind=field.type)
    missing = np.array([value is None for value in values])
    known = [0 if value is None else value for value in values]
    return numbers(np.array(known, dtype=field.type.to_pandas_dtype()), missing)


def _read(folder: Path) -> tuple[list[tuple[Path, tuple[Row, ...]]], list[str]]:
    found: dict[Path, tuple[Row, ...]] = {}
    warnings: dict[Path, str] = {}
    # A file that went while it was to be read was put together with others into a new one: look again.
    for _ in range(5):
        gone = False
        for path in _files(folder):
            if path in found or path in warnings:
                continue
            try:
                found[path] = _rows(path)
            except HistoryError as error:
                if isinstance(error.__cause__, FileNotFoundError):
                    gone = True
                else:
                    warnings[path] = f"{plain(str(path))} was left out: {shortened(plain(str(error)), SAID_LENGTH)}"
        if not gone:
            break
    return list(found.items()), list(warnings.values())


def _rows(path: Path) -> tuple[Row, ...]:
    """Read a file. Raises HistoryError."""
    with parquet_file(path) as file:
        schema = file.schema_arrow
        if "schema_version" not in schema.names:
            raise ValueError("it is no file of the trend")
        versions = set(file.read(columns=["schema_version"]).column(0).to_pylist())
        if versions - READ_VERSIONS:
            others = ", ".join(sorted(str(version) for version in versions - READ_VERSIONS))
            raise ValueError(f"its rows have schema version {others}; this harness reads 1 to {SCHEMA_VERSION}")
        older = max(versions, default=SCHEMA_VERSION) < SCHEMA_VERSION and schema.equals(_OLDER_SCHEMA)
        if not schema.equals(SCHEMA) and not older:
            raise ValueError(f"its columns are not those of schema version {SCHEMA_VERSION}")
        table = file.read()
        table.validate(full=True)
        rows = tuple(Row(**{name: values.get(name) for name in COLUMNS}) for values in table.to_pylist())
        for row in rows:
            _check(row)
    return rows


def _check(row: Row) -> None:
    """Look at what the types of the columns leave open. Raises ValueError."""
    Outcome(row.outcome)
    for field in SCHEMA:
        value = getattr(row, field.name)
        if value is None and not field.nullable:
            raise ValueError(f"a row has no {field.name}")
        if (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and field.name != "seed"
            and not 0 <= value <= MOST_NUMBER
        ):
            raise ValueError(f"a row has the {field.name} {value}")
    if not _EARLIEST <= row.started_at.year <= _LATEST:
        raise ValueError(f"a row was begun in the year {row.started_at.year}")
