"""The event log survives its writer: nothing completed is lost, nothing is torn, and a full disk is told."""

from __future__ import annotations

import errno
import json
import os
import random
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from harness.errors import HistoryError
from harness.history.read import DTYPE, LogTail, read_log
from harness.history.records import (
    FORMAT_VERSION,
    HEADER_BYTES,
    MOST_ENTRIES,
    NEVER_DIED,
    OTHERS,
    RECORD_BYTES,
    Death,
    ForeignMessage,
    Kind,
    LogHeader,
    Table,
)
from harness.traffic.log import BLOCK_BYTES, EventLog
from tests.examples import rounds

HEADER = LogHeader("publisher", "publisher-1", 1, 2, 4242, ("tasks", "späte"))
RECORDS_A_BLOCK = BLOCK_BYTES // RECORD_BYTES

WRITER = """
import os, sys
from pathlib import Path
from harness.history.records import Kind, LogHeader
from harness.traffic.log import EventLog

log = EventLog(Path(sys.argv[1]), LogHeader("publisher", "p", 1, 1, os.getpid(), ("q",)))
for seq in range(100_000_000):
    log.write(Kind.PUBLISHED, at_ns=seq + 1, seq=seq, tag=seq, arg=seq, publisher=seq & 0xFFFF, attempt=1, connection=7)
    if seq % 8 == 0:
        os.write(1, seq.to_bytes(4, "little"))
"""


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "a.log", HEADER)
    log.write(
        Kind.RETURNED,
        at_ns=2**62,
        seq=2**32 - 1,
        tag=2**32 - 2,
        arg=312,
        publisher=65535,
        attempt=65534,
        queue=65533,
        connection=65532,
        flags=255,
        death=65531,
    )
    log.close()
    log.close()
    read = read_log(tmp_path / "a.log")
    assert read.header == HEADER
    assert read.records[["at_ns", "seq", "tag", "arg"]].tolist() == [(2**62, 2**32 - 1, 2**32 - 2, 312)]
    assert read.records[["publisher", "attempt", "queue", "connection"]].tolist() == [(65535, 65534, 65533, 65532)]
    assert read.records[["flags", "death", "kind"]].tolist() == [(255, 65531, Kind.RETURNED)]
    assert (tmp_path / "a.log").stat().st_size == HEADER_BYTES + RECORD_BYTES


def test_a_record_without_a_time_gets_the_present(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "a.log", HEADER)
    for _ in range(100):
        log.write(Kind.CONNECTED)
    times = read_log(tmp_path / "a.log").records["at_ns"]
    assert times[0] > 0
    assert (times[1:] >= times[:-1]).all()


def test_a_log_grows_over_blocks_and_is_cut_to_its_records(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "a.log", HEADER)
    count = 2 * RECORDS_A_BLOCK + 3
    for seq in range(count):
        log.write(Kind.PUBLISHED, at_ns=1, seq=seq)
    assert read_log(tmp_path / "a.log").records["seq"].tolist() == list(range(count))
    log.close()
    assert (tmp_path / "a.log").stat().st_size == HEADER_BYTES + count * RECORD_BYTES
    assert read_log(tmp_path / "a.log").records["seq"].tolist() == list(range(count))


@pytest.mark.parametrize("round_", rounds(5, of=20))
def test_a_sigkill_loses_and_tears_nothing(tmp_path: Path, round_: int) -> None:
    path = tmp_path / "killed.log"
    child = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    chance = random.Random(round_)
    # Kill at a random place: early ones within the first block, late ones around the growth of a block.
    wanted = chance.choice(
        [chance.randrange(1, 2000), chance.randrange(RECORDS_A_BLOCK - 3000, RECORDS_A_BLOCK + 3000)]
    )
    completed = -1
    while completed < wanted:
        completed = int.from_bytes(child.stdout.read(4), "little")
    child.kill()
    child.wait()
    rest = child.stdout.read()
    child.stdout.close()
    if len(rest) >= 4:
        completed = int.from_bytes(rest[len(rest) // 4 * 4 - 4 : len(rest) // 4 * 4], "little")

    records = read_log(path).records
    assert len(records) > completed, "a completed record is lost"
    expected = list(range(len(records)))
    for name in ("seq", "tag", "arg"):
        assert records[name].tolist() == expected, f"a record is torn in {name}"
    assert records["at_ns"].tolist() == [seq + 1 for seq in expected]
    assert records["publisher"].tolist() == [seq & 0xFFFF for seq in expected]
    assert set(records["connection"].tolist()) == {7}
    assert set(records["kind"].tolist()) == {Kind.PUBLISHED}


def test_a_tail_follows_a_log_from_before_its_start_to_after_its_end(tmp_path: Path) -> None:
    tail = LogTail(tmp_path / "a.log")
    assert len(tail.advance()) == 0
    log = EventLog(tmp_path / "a.log", HEADER)
    assert len(tail.advance()) == 0
    seen: list[int] = []
    written = 0
    for burst in (1, 255, 256, 257, RECORDS_A_BLOCK, 5):
        for _ in range(burst):
            log.write(Kind.DELIVERED, seq=written)
            written += 1
        seen += tail.advance()["seq"].tolist()
        assert seen == list(range(written))
    log.write(Kind.FINISHED, seq=written)
    log.close()
    assert tail.advance()["kind"].tolist() == [Kind.FINISHED]
    assert len(tail.advance()) == 0
    tail.close()


def test_a_full_disk_is_told_when_the_log_is_created(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fill_the_disk(monkeypatch, after_blocks=0)
    with pytest.raises(HistoryError, match=r"cannot grow the event log .*a\.log: No space left on device; make room"):
        EventLog(tmp_path / "a.log", HEADER)


def test_a_full_disk_is_told_when_the_log_grows_and_what_was_written_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill_the_disk(monkeypatch, after_blocks=1)
    log = EventLog(tmp_path / "a.log", HEADER)
    fits = RECORDS_A_BLOCK - HEADER_BYTES // RECORD_BYTES
    for seq in range(fits):
        log.write(Kind.PUBLISHED, seq=seq)
    with pytest.raises(HistoryError, match="No space left on device"):
        log.write(Kind.PUBLISHED, seq=fits)
    assert len(read_log(tmp_path / "a.log").records) == fits
    log.close()
    assert len(read_log(tmp_path / "a.log").records) == fits


def test_a_log_is_never_written_over(tmp_path: Path) -> None:
    EventLog(tmp_path / "a.log", HEADER).close()
    with pytest.raises(HistoryError, match=r"cannot create the event log .*a\.log: File exists"):
        EventLog(tmp_path / "a.log", HEADER)


def test_names_beyond_the_header_are_read_back_in_their_order(tmp_path: Path) -> None:
    names = tuple(f"{'ä' * 100}-{number}" for number in range(300))
    EventLog(tmp_path / "a.log", LogHeader("worker", "w", 1, 1, 1, names)).close()
    read = read_log(tmp_path / "a.log")
    assert read.names == names
    assert 0 < len(read.header.names) < 300
    tail = LogTail(tmp_path / "a.log")
    assert tail.texts.names == names[len(read.header.names) :]
    tail.close()


def test_a_name_that_stands_in_a_long_list_twice_keeps_the_places_of_all(tmp_path: Path) -> None:
    names = (*(f"{'q' * 200}-{number}" for number in range(30)), "twice", "twice", "last")
    log = EventLog(tmp_path / "a.log", LogHeader("publisher", "p", 1, 1, 1, names))
    assert [log.define(Table.NAMES, name) for name in ("twice", "last", "new", names[0])] == [30, 32, 33, 0]
    assert read_log(tmp_path / "a.log").names == (*names, "new")


def test_an_actor_whose_name_fills_the_header_is_refused_before_a_file_is_made(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="shorter name"):
        EventLog(tmp_path / "a.log", LogHeader("worker", "w" * HEADER_BYTES, 1, 1, 1, ("q",)))
    assert not (tmp_path / "a.log").exists()


def test_what_is_defined_while_a_log_is_written_is_read_back_once(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "a.log", HEADER)
    death = Death("tasks", (("tasks", "rejected", 1), ("späte", "expired", 2)))
    foreign = ForeignMessage("id", "", "tasks", 3, "abc")
    for _ in range(2):
        log.write(Kind.DELIVERED, death=log.define(Table.DEATHS, death.text))
        log.write(Kind.CHANNEL_CLOSED, queue=log.define(Table.REASONS, "PRECONDITION_FAILED - " + "x" * 200))
        log.write(Kind.DELIVERED, seq=log.define(Table.IDENTITIES, foreign.text))
        log.write(Kind.DELIVERED, queue=log.define(Table.NAMES, "elsewhere"))
        log.write(Kind.DELIVERED, queue=log.define(Table.NAMES, "tasks"))
    log.close()
    read = read_log(tmp_path / "a.log")
    rows = read.records[(read.records["kind"] == Kind.DELIVERED) | (read.records["kind"] == Kind.CHANNEL_CLOSED)]
    assert read.deaths == (NEVER_DIED, death)
    assert [read.deaths[row] for row in rows["death"].tolist()] == [death, *[NEVER_DIED] * 4] * 2
    assert read.reasons == ("", "PRECONDITION_FAILED - " + "x" * 200)
    assert rows["queue"].tolist() == [0, 1, 0, 2, 0] * 2
    assert read.identities == (foreign,)
    assert read.names == (*HEADER.names, "elsewhere")
    assert np.count_nonzero(read.records["kind"] == Kind.DEFINED) == 4


def test_a_table_that_is_full_answers_with_its_entry_for_all_others(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "a.log", HEADER)
    most = MOST_ENTRIES[Table.REASONS]
    indexes = [log.define(Table.REASONS, f"reason {number}") for number in range(most + 5)]
    assert indexes == [*range(1, most), *[most] * 6]
    assert log.define(Table.REASONS, "reason 3") == 4
    log.close()
    reasons = read_log(tmp_path / "a.log").reasons
    assert len(reasons) == most + 1
    assert (reasons[most - 1], reasons[most]) == (f"reason {most - 2}", OTHERS)


@pytest.mark.parametrize("table", Table)
def test_the_entry_for_all_others_is_read_like_any_entry_of_its_table(tmp_path: Path, table: Table) -> None:
    log = EventLog(tmp_path / "a.log", HEADER)
    last = [log.define(table, entry_text(table, number)) for number in range(MOST_ENTRIES[table] + 2)][-1]
    read = read_log(tmp_path / "a.log")
    match table:
        case Table.NAMES:
            assert read.names[last:] == (OTHERS,)
        case Table.DEATHS:
            assert read.deaths[last:] == (Death(OTHERS, ()),)
        case Table.REASONS:
            assert read.reasons[last:] == (OTHERS,)
        case Table.IDENTITIES:
            assert read.identities[last:] == (ForeignMessage(OTHERS, "", "", 0, ""),)


def entry_text(table: Table, number: int) -> str:
    match table:
        case Table.DEATHS:
            return Death(f"q{number}", ()).text
        case Table.IDENTITIES:
            return ForeignMessage(f"m{number}", "", "", 0, "").text
        case _:
            return f"text {number}"


def test_an_entry_that_its_writer_did_not_finish_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    log = EventLog(path, HEADER)
    log.define(Table.REASONS, "first")
    log.close()
    whole = path.read_bytes()
    log = EventLog(tmp_path / "b.log", HEADER)
    log.define(Table.REASONS, "first")
    log.define(Table.REASONS, "x" * 100)
    log.close()
    for records in range(1, 6):
        # A writer that is killed in the middle of an entry has not announced it.
        torn = whole + (tmp_path / "b.log").read_bytes()[len(whole) : len(whole) + records * RECORD_BYTES]
        path.write_bytes(torn)
        read = read_log(path)
        assert read.reasons == ("", "first")
        assert read.records["kind"].tolist() == [Kind.DEFINED, Kind.TEXT]


DEFINER = """
import os, sys
from pathlib import Path
from harness.history.records import Kind, LogHeader, Table
from harness.traffic.log import EventLog

log = EventLog(Path(sys.argv[1]), LogHeader("worker", "w", 1, 1, os.getpid(), ("q",)))
for number in range(30_000):
    log.write(Kind.DELIVERED, seq=number, queue=log.define(Table.NAMES, f"{number}-" + "x" * (number % 60)))
    if number % 8 == 0:
        os.write(1, number.to_bytes(4, "little"))
"""


@pytest.mark.parametrize("round_", rounds(3, of=10))
def test_a_sigkill_loses_no_entry_that_a_record_names(tmp_path: Path, round_: int) -> None:
    path = tmp_path / "killed.log"
    child = subprocess.Popen([sys.executable, "-c", DEFINER, str(path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    wanted, completed = random.Random(round_).randrange(1, 4000), -1
    while completed < wanted:
        completed = int.from_bytes(child.stdout.read(4), "little")
    child.kill()
    child.wait()
    child.stdout.close()
    read = read_log(path)
    named = read.records[read.records["kind"] == Kind.DELIVERED]
    assert len(named) > wanted
    assert [read.names[queue] for queue in named["queue"].tolist()] == [
        f"{number}-" + "x" * (number % 60) for number in range(len(named))
    ]


def test_a_tail_reads_what_was_defined_since_it_was_asked_last(tmp_path: Path) -> None:
    tail = LogTail(tmp_path / "a.log")
    seen = [tail.texts.reasons]
    log = EventLog(tmp_path / "a.log", HEADER)
    seen.append(tail.texts.reasons)
    for reason in ("one", "two"):
        log.define(Table.REASONS, reason)
        seen.append(tail.texts.reasons)
    log.close()
    tail.close()
    assert seen == [("",), ("",), ("", "one"), ("", "one", "two")]


def test_records_around_an_entry_are_in_the_order_of_their_times(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "a.log", HEADER)
    for number in range(50):
        log.write(Kind.DELIVERED, seq=number)
        log.define(Table.REASONS, "reason" * number)
    read = read_log(tmp_path / "a.log")
    times = read.records["at_ns"]
    assert (times[1:] >= times[:-1]).all()
    assert read.place(int(times[-1])) == len(times)


def test_a_log_of_the_first_version_is_read_to_the_end_of_its_header(tmp_path: Path) -> None:
    names: list[str] = []
    while len(_header(1, [*names, "q" * 50])) <= HEADER_BYTES:
        names.append("q" * 50)
    names[-1] += "q" * (HEADER_BYTES - len(_header(1, names)))
    head = _header(1, names)
    assert len(head) == HEADER_BYTES
    record = np.zeros(1, dtype=DTYPE)
    record["kind"], record["seq"] = Kind.DELIVERED, 7
    (tmp_path / "a.log").write_bytes(head + record.tobytes())
    read = read_log(tmp_path / "a.log")
    assert read.header.version == 1
    assert read.names == tuple(names)
    assert (read.deaths, read.reasons, read.identities) == ((NEVER_DIED,), ("",), ())
    assert read.records["seq"].tolist() == [7]


def _header(version: int, names: list[str]) -> bytes:
    return json.dumps(asdict(LogHeader("worker", "w", 1, 1, 1, tuple(names), version))).encode()


def test_a_log_of_a_later_version_is_refused(tmp_path: Path) -> None:
    head = _header(FORMAT_VERSION + 1, ["q"])
    (tmp_path / "a.log").write_bytes(head.ljust(HEADER_BYTES, b"\0"))
    with pytest.raises(HistoryError, match=rf"log format {FORMAT_VERSION + 1}; this harness reads 1 to"):
        read_log(tmp_path / "a.log")


def test_a_file_that_is_no_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(b"hello" * 2000)
    with pytest.raises(HistoryError, match="is no event log"):
        read_log(tmp_path / "a.log")


def _fill_the_disk(monkeypatch: pytest.MonkeyPatch, *, after_blocks: int) -> None:
    """Let the allocation of a block fail as the kernel's does."""
    real = os.posix_fallocate
    left = after_blocks

    def allocate(descriptor: int, offset: int, length: int) -> None:
        nonlocal left
        if not left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left -= 1
        real(descriptor, offset, length)

    monkeypatch.setattr(os, "posix_fallocate", allocate)
