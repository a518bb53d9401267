"""A run's events come back from their file as they were, whoever wrote it and however that ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import HistoryError
from harness.events import Event, Note, TrafficStarted
from harness.history.events_io import EVENTS_VERSION, FIRST_LINE, EventWriter, read_events, to_line
from tests.unit.report_samples import HOSTILE

EVENTS: list[Event] = [
    TrafficStarted(at_ns=1, variant="guarantee"),
    Note(at_ns=2, variant="guarantee", message=HOSTILE),
]


def test_events_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventWriter(path) as write:
        for event in EVENTS:
            write(event)
    assert list(read_events(path)) == EVENTS


def test_every_line_is_there_before_the_next_event(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventWriter(path) as write:
        for number, event in enumerate(EVENTS, start=1):
            write(event)
            assert len(list(read_events(path))) == number


def test_a_killed_harness_leaves_every_event(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    program = (
        "import sys; from pathlib import Path\n"
        "from harness.events import Note; from harness.history.events_io import EventWriter\n"
        "write = EventWriter(Path(sys.argv[1]))\n"
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


def test_the_first_line_says_what_the_file_is(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventWriter(path):
        pass
    assert json.loads(path.read_text()) == {"format": "chaos events", "version": EVENTS_VERSION}
    assert list(read_events(path)) == []


def test_a_file_without_a_version_is_read_as_version_1(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text("".join(to_line(event) + "\n" for event in EVENTS), encoding="utf-8")
    assert list(read_events(path)) == EVENTS


@pytest.mark.parametrize("content", ["", '{"format": "cha', FIRST_LINE[:-1]])
def test_a_file_whose_writer_was_killed_at_its_beginning_has_no_events(tmp_path: Path, content: str) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(content)
    assert list(read_events(path)) == []


def test_a_torn_line_at_the_end_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    line = to_line(EVENTS[0])
    for size in range(len(line)):
        path.write_text(FIRST_LINE + line + "\n" + line[:size])
        assert list(read_events(path)) == EVENTS[:1]


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (
            ['{"format": "chaos events", "version": 9}', "{}"],
            r"events\.jsonl has events of version 9; this harness reads 1 to 2: read it with the version that wrote it$",
        ),
        (['{"format": "chaos events", "version": "new"}'], r"events\.jsonl:1: it is not a file of a run's events$"),
        (['{"format": "something else", "version": 2}'], r"events\.jsonl:1: it is not a file of a run's events$"),
        (
            [FIRST_LINE.strip(), '{"event": "Eclipse", "at_ns": 1, "variant": "v"}'],
            r"events\.jsonl:2: 'Eclipse' is not an event that this harness knows; a newer version of the harness may",
        ),
        (
            [FIRST_LINE.strip(), '{"event": "TrafficStarted", "at_ns": 1, "variant": "v", "moon": 2}'],
            r"events\.jsonl:2: TrafficStarted has a field that this harness does not know, 'moon'; a newer version",
        ),
        (
            [FIRST_LINE.strip(), '{"event": "TrafficStarted", "at_ns": "now", "variant": "v"}'],
            r"events\.jsonl:2: not an event of version 2: at_ns: Input should be a valid integer",
        ),
        (['{"event": "TrafficStarted", "variant": "v"}'], r"events\.jsonl:1: not an event of version 1: at_ns: "),
        (["[]"], r"events\.jsonl:1: it is not an event$"),
        (["nothing of the kind"], r"events\.jsonl:1: it is not JSON: Expecting value"),
    ],
)
def test_what_cannot_be_read_is_one_clear_sentence(tmp_path: Path, lines: list[str], sentence: str) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines))
    with pytest.raises(HistoryError, match=sentence) as caught:
        list(read_events(path))
    assert "\n" not in str(caught.value)
