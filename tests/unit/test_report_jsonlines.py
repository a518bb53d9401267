from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import HistoryError
from harness.events import Event, Note, TrafficStarted
from harness.history.events_io import read_events
from harness.report.jsonlines import JsonLines
from tests.required import lacking
from tests.unit.report_samples import HOSTILE

EVENTS: list[Event] = [
    TrafficStarted(at_ns=1, variant="guarantee"),
    Note(at_ns=2, variant="guarantee", message=HOSTILE),
]


def test_events_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with JsonLines(path) as write:
        for event in EVENTS:
            write(event)
    assert list(read_events(path)) == EVENTS


def test_a_file_is_continued_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    for event in EVENTS:
        with JsonLines(path) as write:
            write(event)
    assert list(read_events(path)) == EVENTS


def test_every_line_is_there_before_the_next_event(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    write = JsonLines(path)
    for number, event in enumerate(EVENTS, start=1):
        write(event)
        assert len(list(read_events(path))) == number
    write.close()
    write.close()


def test_a_killed_harness_leaves_every_event(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    program = (
        "import sys; from pathlib import Path\n"
        "from harness.events import Note; from harness.report.jsonlines import JsonLines\n"
        "write = JsonLines(Path(sys.argv[1]))\n"
        "for number in range(100): write(Note(at_ns=number, variant='guarantee', message='x' * 100))\n"
        "print('written', flush=True); sys.stdin.read()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "written\n"
        os.kill(child.pid, signal.SIGKILL)
        child.communicate()
    assert [event.at_ns for event in read_events(path)] == list(range(100))


def test_a_folder_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match=r"events\.jsonl: No such file or directory; choose another folder"):
        JsonLines(tmp_path / "missing" / "events.jsonl")


def test_a_full_disk_is_one_clear_error() -> None:
    if not Path("/dev/full").exists():
        lacking("/dev/full, a disk that is always full")
    write = JsonLines(Path("/dev/full"))
    with pytest.raises(HistoryError, match="No space left on device; make room"):
        write(EVENTS[0])
