"""The event log survives its writer: nothing completed is lost, nothing is torn, and a full disk is told."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import HistoryError
from harness.history.read import LogTail, read_log
from harness.history.records import HEADER_BYTES, RECORD_BYTES, Kind, LogHeader
from harness.traffic.log import BLOCK_BYTES, EventLog

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
    )
    log.close()
    log.close()
    read = read_log(tmp_path / "a.log")
    assert read.header == HEADER
    assert read.records[["at_ns", "seq", "tag", "arg"]].tolist() == [(2**62, 2**32 - 1, 2**32 - 2, 312)]
    assert read.records[["publisher", "attempt", "queue", "connection"]].tolist() == [(65535, 65534, 65533, 65532)]
    assert read.records[["flags", "kind"]].tolist() == [(255, Kind.RETURNED)]
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


@pytest.mark.parametrize("round_", range(20))
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


def test_a_header_that_does_not_fit_is_refused_before_a_file_is_made(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="fewer or shorter names"):
        EventLog(tmp_path / "a.log", LogHeader("worker", "w", 1, 1, 1, tuple("q" * 200 for _ in range(30))))
    assert not (tmp_path / "a.log").exists()


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
