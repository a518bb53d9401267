"""A disk that is full: the events of a run, and the room that is kept for its reports."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from harness.engine.disk_reserve import ROOM_BYTES, DiskReserve
from harness.errors import HistoryError, InfrastructureError
from harness.events import Note
from harness.history.events_io import EventWriter, read_events

FULL = Path("/dev/full")


def note(number: int) -> Note:
    return Note(at_ns=number, variant="guarantee", message=f"number {number}")


def test_events_that_found_no_room_follow_once_there_is_some(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventWriter(path) as write:
        write(note(1))
        file, write._file = write._file, FULL.open("wb", buffering=0)
        with pytest.raises(HistoryError, match="No space left"):
            write(note(2))
        write(note(3))
        write._file.close()
        write._file = file
        write(note(4))
    assert list(read_events(path)) == [note(1), note(2), note(3), note(4)]


def test_events_that_never_find_room_are_told_of_at_the_end() -> None:
    write = EventWriter(FULL)
    with pytest.raises(HistoryError, match="No space left"):
        write(note(1))
    write(note(2))
    with pytest.raises(HistoryError, match="No space left"):
        write.flush()


def test_room_is_allocated_and_leaves_no_file(tmp_path: Path) -> None:
    room = DiskReserve()
    room.take(tmp_path)
    assert room._file is not None
    assert os.fstat(room._file.fileno()).st_size == ROOM_BYTES
    assert list(tmp_path.iterdir()) == []
    room.give_up()
    room.give_up()


def test_where_there_is_no_room_nothing_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_fd: int, _start: int, _size: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(InfrastructureError, match="No space left on device; make room") as caught:
        DiskReserve().take(tmp_path)
    assert "--reports" in str(caught.value)
