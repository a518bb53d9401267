"""Records come out of a shipment as they went in, and into a log that is read like the one that was written."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import HistoryError
from harness.history.read import DTYPE, EMPTY, read_log
from harness.history.records import COLUMNS, Kind, LogHeader, Table
from harness.history.shipping import Cargo, pack, unpack, write_log
from harness.traffic.log import EventLog

HEADER = LogHeader("worker", "worker-1", 1, 2, 4242, ("tasks", "späte"))


def whole_range(kind: str) -> st.SearchStrategy[int]:
    limits = np.iinfo(np.dtype(kind))
    return st.integers(int(limits.min), int(limits.max))


@given(st.lists(st.tuples(*(whole_range(kind) for _, kind, _ in COLUMNS)), max_size=50))
def test_every_record_arrives_as_it_was(rows: list[tuple[int, ...]]) -> None:
    records = np.zeros(len(rows), dtype=DTYPE)
    for index, row in enumerate(rows):
        for (name, _, _), value in zip(COLUMNS, row, strict=True):
            records[index][name] = value
    assert unpack(pack(records)).tobytes() == records.tobytes()


def test_a_log_that_was_shipped_in_parts_is_the_log_that_was_written(tmp_path: Path) -> None:
    there = tmp_path / "there.log"
    log = EventLog(there, HEADER)
    for seq in range(1000):
        log.write(Kind.DELIVERED, seq=seq, tag=seq + 1, publisher=1, attempt=1, connection=1)
        if seq % 100 == 0:
            log.define(Table.REASONS, f"reason {seq}")
    log.close()
    records = read_log(there).records
    here = tmp_path / "here.log"
    cargo = Cargo(HEADER, len(records), read_log(there).texts.last)
    write_log(here, cargo, (unpack(pack(records[first : first + 300])) for first in range(0, len(records), 300)))
    assert here.read_bytes() == there.read_bytes()
    assert not list(tmp_path.glob("*.new"))


def test_an_ordinary_log_travels_in_a_quarter_of_its_size(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "a.log", HEADER)
    for seq in range(10_000):
        log.write(Kind.DELIVERED, seq=seq, tag=seq + 1, publisher=1, attempt=1, connection=1)
    log.close()
    records = read_log(tmp_path / "a.log").records
    assert len(pack(records)) < records.nbytes / 4


def test_an_empty_log_arrives(tmp_path: Path) -> None:
    write_log(tmp_path / "a.log", Cargo(HEADER, 0, 0), [unpack(pack(EMPTY))])
    found = read_log(tmp_path / "a.log")
    assert (asdict(found.header), len(found.records)) == (asdict(HEADER), 0)


def test_what_is_no_shipment_is_told() -> None:
    with pytest.raises(HistoryError, match="the records that a machine sent cannot be read"):
        unpack(b"nothing of the kind")


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match=r"the event log .*a\.log cannot be written: No such file"):
        write_log(tmp_path / "none" / "a.log", Cargo(HEADER, 0, 0), [])
