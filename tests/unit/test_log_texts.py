"""What a log defines between its records changes nothing of what the records say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pandas.testing import assert_frame_equal

from harness.checks.judge import judge
from harness.errors import HistoryError
from harness.history.history import History
from harness.history.narrow import narrowed
from harness.history.parquet import to_frame, write
from harness.history.read import Log, read_log
from harness.history.records import HEADER_BYTES, RECORD_BYTES, Kind, LogHeader, Table
from harness.history.series import series
from harness.history.trace import life
from harness.traffic.log import EventLog
from tests.unit.histories import MS, Story, scenario


def busy_run() -> Story:
    """Two workers; one loses its connection with a message in hand, the other dies with one."""
    story = Story()
    story.connect("publisher")
    for seq in range(12):
        story.sent(seq)
    for number in (1, 2):
        story.connect("worker", number)
    for seq in range(4):
        story.process(seq)
    tag = story.deliver(4)
    story.lose_connection("worker")
    story.connect("worker", connection=2)
    story.complete(4, tag)
    tag = story.deliver(4, redelivered=True, connection=2)
    story.ack(tag, connection=2)
    for seq in range(5, 11):
        story.process(seq, to=2)
    story.deliver(11, to=2)
    story.kill_worker(2)
    story.finish("worker", connection=2)
    return story


def interspersed(log: Log, folder: Path) -> Log:
    """Write a log anew, with an entry before each record, whose text sets every bit that it can."""
    path = folder / f"{log.header.actor}.log"
    writer = EventLog(path, log.header)
    for place, row in enumerate(log.records):
        writer.define(Table.REASONS, "\U0010ffff" * (1 + place % 20) + str(place))
        values: dict[str, Any] = {name: int(row[name]) for name in row.dtype.names if name != "kind"}
        writer.write(Kind(int(row["kind"])), **values)
    writer.close()
    read = read_log(path)
    records = read.records.copy()
    entries = records["kind"] >= Kind.DEFINED
    records["at_ns"][entries] = 0  # the time of this test, which is not that of the story
    records["at_ns"] = np.maximum.accumulate(records["at_ns"])
    assert np.count_nonzero(entries) > len(log.records)
    assert (records[~entries] == log.records).all()
    return read.part(records)


@pytest.fixture
def plain() -> History:
    return busy_run().history()


@pytest.fixture
def mixed(plain: History, tmp_path: Path) -> History:
    return History(tuple(interspersed(log, tmp_path) for log in plain.logs), plain.events)


def test_the_verdict_is_that_of_the_records_alone(plain: History, mixed: History) -> None:
    verdict = judge(mixed, scenario(), name="guarantee")
    assert verdict == judge(plain, scenario(), name="guarantee")
    assert verdict.counts.published == 12


def test_the_charts_are_those_of_the_records_alone(plain: History, mixed: History) -> None:
    expected, found = series(plain), series(mixed)
    assert expected is not None
    assert found is not None
    assert found.in_flight.tolist() == expected.in_flight.tolist()
    assert found.backlog.tolist() == expected.backlog.tolist()
    assert {name: rate.tolist() for name, rate in found.rates.items()} == {
        name: rate.tolist() for name, rate in expected.rates.items()
    }


def test_the_parquet_file_has_no_row_for_an_entry(plain: History, mixed: History, tmp_path: Path) -> None:
    for history, name in ((plain, "plain"), (mixed, "mixed")):
        write(history, tmp_path / f"{name}.parquet")
    mixed_frame, plain_frame = (to_frame(tmp_path / f"{name}.parquet") for name in ("mixed", "plain"))
    assert_frame_equal(mixed_frame, plain_frame, check_categorical=False)


def test_the_life_of_a_message_is_that_of_the_records_alone(plain: History, mixed: History) -> None:
    assert life(mixed, "publisher-1", 4) == life(plain, "publisher-1", 4)
    assert len(life(plain, "publisher-1", 4)) > 3


def test_a_part_of_a_log_keeps_all_that_was_defined(mixed: History) -> None:
    for log, part in zip(mixed.logs, narrowed(mixed, [(1, 3)]).logs, strict=True):
        assert part.reasons == log.reasons
        assert len(part.reasons) > 1


def test_a_chain_that_is_broken_is_a_damaged_log(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    log = EventLog(path, LogHeader("worker", "w", 1, 1, 1, ("q",)))
    log.define(Table.REASONS, "first")
    log.write(Kind.DELIVERED, at_ns=MS)
    log.define(Table.REASONS, "second")
    log.close()
    content = bytearray(path.read_bytes())
    content[HEADER_BYTES + RECORD_BYTES - 1] = Kind.DELIVERED
    path.write_bytes(content)
    with pytest.raises(HistoryError, match=r"the event log .*a\.log is damaged: the entry at record 1 cannot be read"):
        read_log(path)
