"""Every damage to a run directory ends a command with exit code 3 and one sentence that names the file; none is waited for."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.cli import answer
from harness.errors import HistoryError
from harness.events import LogsKept
from harness.history.events_io import read_events, to_line
from harness.history.history import load, logs_kept, verify
from harness.history.parquet_file import WRITTEN
from harness.history.read import DTYPE, read_log
from harness.history.record_check import SLACK
from harness.history.records import HEADER_BYTES, LAST_ENTRY, LAST_ENTRY_OFFSET, RECORD_BYTES, Kind

pytestmark = pytest.mark.seconds

DATA = Path(__file__).parents[1] / "data/version-2"
GUARANTEE = Path("variants/guarantee")
PUBLISHER = GUARANTEE / "logs/publisher-1.1.log"
WORKER = GUARANTEE / "logs/worker-2.1.log"
EVENTS = GUARANTEE / "events.jsonl"
HISTORY = GUARANTEE / "history.parquet"
COMMANDS = {
    "report": ["report", "run"],
    "history": ["history", "run"],
    "trace": ["trace", "run", "publisher-1#25"],
    "compare": ["compare", "run", "run"],
    "selftest": ["selftest", "run", "--rounds", "1"],
}


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    shutil.copytree(DATA / "run", tmp_path / "run")
    shutil.copytree(DATA / "trend", tmp_path / "trend")
    return tmp_path


@pytest.fixture
def chaos(reports: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[str], Said]:
    def chaos(command: str) -> Said:
        code = answer([*COMMANDS.get(command, [command]), "--reports", str(reports)])
        out, err = capsys.readouterr()
        return Said(code, out, err)

    return chaos


def replaced(path: Path, kind: str) -> None:
    path.unlink()
    match kind:
        case "missing":
            pass
        case "empty":
            path.touch()
        case "directory":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "loop":
            path.symlink_to(path.name)
        case "noise":
            path.write_bytes(b"\x89\xff\x00[" * 500)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_whole_run_is_read(command: str, chaos: Callable[[str], Said]) -> None:
    assert chaos(command).code == 0


READ_BY = {
    "run.json": ("report",),
    "scenario.yaml": tuple(COMMANDS),
    "verdict.json": ("compare",),
    str(EVENTS): ("report", "trace", "selftest"),
    str(PUBLISHER): ("report", "trace", "selftest"),
    str(HISTORY): ("history",),
}


@pytest.mark.parametrize("kind", ["missing", "empty", "directory", "pipe", "loop", "noise"])
@pytest.mark.parametrize(("file", "commands"), READ_BY.items(), ids=READ_BY)
def test_what_is_no_file_any_more_is_told_by_whoever_reads_it(
    file: str, commands: tuple[str, ...], kind: str, reports: Path, chaos: Callable[[str], Said]
) -> None:
    if file == str(PUBLISHER) and kind in ("missing", "empty"):
        pytest.skip("a process may be killed before it has a log")
    replaced(reports / "run" / file, kind)
    for command in commands:
        said = chaos(command)
        assert (said.code, said.out) == (3, ""), said
        assert Path(file).name in said.err
        assert said.err.count("\n") == 1
        assert "fault of the harness" not in said.err


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_no_run_directory_is_a_mistake_of_use(
    command: str, reports: Path, chaos: Callable[[str], Said]
) -> None:
    shutil.rmtree(reports / "run")
    assert chaos(command) == Said(2, "", f"'run' is not a run directory, neither here nor in {reports}\n")


@pytest.mark.parametrize("name", ["x" * 5000, "run/" * 2000, "", "."])
def test_no_name_of_a_run_goes_astray(name: str, reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["report", name, "--reports", str(reports / "none")]) == 2
    assert "is not a run directory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"seed": None}, "'seed' or 'controls' is of another type"),
        ({"seed": 10**30}, "the number 100000000000000000000000 is too large"),
        ({"seed": float("nan")}, "NaN is not a number"),
        ({"file": 3}, "'file' is not a text"),
        ({"replay": "\ud800"}, "'replay' is not a text"),
        ({"versions": ["a"]}, "'versions' are not texts"),
        ({"started_at": "yesterday"}, "Invalid isoformat string: 'yesterday'"),
        ({"started_at": "2026-01-01T00:00:00"}, "'started_at' has no time zone"),
    ],
    ids=str,
)
def test_what_is_known_of_a_run_is_checked(
    changes: dict[str, Any], why: str, reports: Path, chaos: Callable[[str], Said]
) -> None:
    path = reports / "run/run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    assert chaos("report") == Said(3, "", f"{path} cannot be read: {why}\n")


def records(path: Path) -> np.ndarray:
    """The records of a log, to be changed in the file."""
    return np.memmap(
        path, dtype=DTYPE, mode="r+", offset=HEADER_BYTES, shape=((path.stat().st_size - HEADER_BYTES) // RECORD_BYTES,)
    )


@pytest.mark.parametrize(
    ("file", "kind", "column", "value", "why"),
    [
        (PUBLISHER, Kind.PUBLISHED, "kind", 99, "its kind is none of a log of this role"),
        (PUBLISHER, Kind.PUBLISHED, "kind", Kind.DELIVERED, "its kind is none of a log of this role"),
        (PUBLISHER, Kind.PUBLISHED, "at_ns", -5, "its time is none"),
        (PUBLISHER, Kind.PUBLISHED, "at_ns", 1 << 62, "its time is none"),
        (PUBLISHER, Kind.PUBLISHED, "queue", 7, "its queue or reason is not in the log's table"),
        (PUBLISHER, Kind.PUBLISHED, "death", 7, "its death is not in the log's table"),
        (
            PUBLISHER,
            Kind.PUBLISHED,
            "seq",
            (1 << 32) - 1,
            "its sequence number is beyond what the publisher's logs can hold",
        ),
        (
            PUBLISHER,
            Kind.CONFIRMED,
            "arg",
            (1 << 32) - 1,
            "its range, with those before it, settles more than the log can hold",
        ),
        (
            WORKER,
            Kind.ACKED,
            "arg",
            (1 << 32) - 1,
            "its range, with those before it, settles more than the log can hold",
        ),
        (WORKER, Kind.DELIVERED, "queue", 40_000, "its queue or reason is not in the log's table"),
        (WORKER, Kind.CONSUMING, "attempt", 9, "its way to acknowledge is none"),
    ],
)
@pytest.mark.parametrize("command", ["report", "trace", "selftest"])
def test_a_record_that_would_lead_astray_is_named(
    command: str,
    file: Path,
    kind: Kind,
    column: str,
    value: int,
    why: str,
    reports: Path,
    chaos: Callable[[str], Said],
) -> None:
    path = reports / "run" / file
    rows = records(path)
    place = int(np.flatnonzero(rows["kind"] == kind)[-1])
    rows[column][place] = value
    del rows
    assert chaos(command) == Said(3, "", f"the event log {path} is damaged: record {place + 1}: {why}\n")


def test_gaps_in_the_sequence_numbers_are_no_damage(reports: Path) -> None:
    path = reports / "run" / PUBLISHER
    rows = records(path)
    count = len(rows)
    place = int(np.flatnonzero(rows["kind"] == Kind.PUBLISHED)[-1])
    rows["seq"][place] = count + SLACK - 1
    del rows
    verify(load(reports / "run" / GUARANTEE))
    rows = records(path)
    rows["seq"][place] = count + SLACK
    del rows
    with pytest.raises(HistoryError, match="sequence number"):
        verify(load(reports / "run" / GUARANTEE))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"role": "boss"}, "its role is none"),
        ({"number": 0xFFFF}, "its numbers are none"),
        ({"incarnation": 1 << 31}, "its numbers are none"),
        ({"incarnation": -1}, "its numbers are none"),
        ({"pid": "1"}, "its numbers are none"),
        ({"names": "tasks"}, "its names are not texts"),
        ({"names": ["\ud800"]}, "its names are not texts"),
        ({"version": "2"}, "it has no version"),
        ({"more": 1}, "its fields are not those of a header"),
    ],
    ids=str,
)
def test_the_header_of_a_log_is_checked(
    changes: dict[str, Any], why: str, reports: Path, chaos: Callable[[str], Said]
) -> None:
    path = reports / "run" / PUBLISHER
    octets = path.read_bytes()
    header = json.loads(octets[:LAST_ENTRY_OFFSET].rstrip(b"\0")) | changes
    path.write_bytes(json.dumps(header).encode().ljust(LAST_ENTRY_OFFSET, b"\0") + octets[LAST_ENTRY_OFFSET:])
    assert chaos("trace") == Said(3, "", f"{path} is no event log: its header cannot be read: {why}\n")


def test_a_header_that_is_nested_deeply_overflows_nothing(reports: Path, chaos: Callable[[str], Said]) -> None:
    path = reports / "run" / PUBLISHER
    path.write_bytes(b"[" * HEADER_BYTES + path.read_bytes()[HEADER_BYTES:])
    said = chaos("trace")
    assert said.code == 3
    assert "its header cannot be read" in said.err


def test_a_chain_of_texts_that_leads_nowhere_is_told(reports: Path, chaos: Callable[[str], Said]) -> None:
    path = reports / "run" / WORKER
    octets = path.read_bytes()
    path.write_bytes(octets[:LAST_ENTRY_OFFSET] + LAST_ENTRY.pack(0xFFFFFFFF) + octets[HEADER_BYTES:])
    said = chaos("report")
    assert said.code == 3
    assert said.err.startswith(f"the event log {path} is damaged: the entry at record ")


def test_two_logs_of_one_process_are_told(reports: Path, chaos: Callable[[str], Said]) -> None:
    path = reports / "run" / PUBLISHER
    shutil.copy(path, path.with_name("worker-2.1.log"))
    said = chaos("report")
    assert said.code == 3
    assert "are of the same process: one is a copy, or in a wrong place" in said.err


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("[" * 100_000, "it is not JSON: it is nested too deeply"),
        ("{", "it is not JSON: "),
        (
            '{"event": "Note", "at_ns": NaN, "variant": "guarantee", "message": ""}',
            "it is not JSON: NaN is not a number",
        ),
        ('{"event": "Note", "at_ns": 1e300, "variant": "guarantee", "message": ""}', "is too large"),
        ('{"event": "Note", "at_ns": -1, "variant": "guarantee", "message": ""}', "Note has a time before all times"),
        ('{"event": "Note", "at_ns": [], "variant": "guarantee", "message": ""}', "not an event of version 2: at_ns: "),
        ('{"event": "Event", "at_ns": 1, "variant": "guarantee"}', "'Event' is not an event that this harness knows"),
        ('{"event": {}}', "it is not an event"),
        ('"event"', "it is not an event"),
    ],
    ids=lambda value: value[:40],
)
def test_a_line_of_events_is_told_by_its_number(
    line: str, why: str, reports: Path, chaos: Callable[[str], Said]
) -> None:
    path = reports / "run" / EVENTS
    lines = path.read_text().split("\n")
    path.write_text("\n".join([*lines[:3], line, *lines[3:]]))
    said = chaos("report")
    assert said.code == 3
    assert said.err.startswith(f"{path}:4: ")
    assert why in said.err
    assert said.err.count("\n") == 1


def test_events_in_any_order_are_the_same_history(reports: Path) -> None:
    path = reports / "run" / EVENTS
    before = load(reports / "run" / GUARANTEE)
    first, *lines = path.read_text().splitlines()
    path.write_text("\n".join([first, *reversed(lines), ""]))
    after = load(reports / "run" / GUARANTEE)
    assert sorted(map(repr, before.events)) == sorted(map(repr, after.events))
    assert [event.at_ns for event in after.events] == sorted(event.at_ns for event in before.events)
    assert len(list(read_events(path))) == len(before.events)


def test_events_of_another_variant_are_told(reports: Path, chaos: Callable[[str], Said]) -> None:
    shutil.copy(reports / "run/variants/without-acks/events.jsonl", reports / "run" / EVENTS)
    said = chaos("report")
    assert said.code == 3
    assert "is in a wrong place, or damaged: it has events of the variant 'without acks'" in said.err


def test_a_history_that_claims_more_rows_than_it_can_hold_is_not_read(
    reports: Path, chaos: Callable[[str], Said]
) -> None:
    path = reports / "run" / HISTORY
    pq.write_table(pa.table({"at_ns": pa.repeat(pa.scalar(1), 50_000_000)}), path, compression="zstd")
    said = chaos("history")
    assert said.code == 3
    assert "it claims 50,000,000 rows in " in said.err


def test_a_file_of_another_kind_is_no_history(reports: Path, chaos: Callable[[str], Said]) -> None:
    shutil.copy(next((reports / "trend").glob("*.parquet")), reports / "run" / HISTORY)
    assert "it has no column 'at_ns'" in chaos("history").err


def test_a_message_that_nobody_can_have_published_takes_no_memory(
    reports: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (4_000_000_000, 1 << 64, 10**5000):
        assert (
            answer(
                [
                    "trace",
                    "run",
                    f"publisher-1#{number}" if number < 1 << 70 else f"publisher-1#{'9' * 5000}",
                    "--reports",
                    str(reports),
                ]
            )
            == 2
        )
        assert "was never published" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["empty", "directory", "pipe", "loop", "noise", "cut", "flipped"])
def test_a_damaged_file_of_the_trend_hides_no_other(kind: str, reports: Path, chaos: Callable[[str], Said]) -> None:
    (whole,) = (reports / "trend").glob("*.parquet")
    pq.write_table(pq.read_table(whole), whole, **WRITTEN)
    damaged = whole.with_name("damaged.parquet")
    shutil.copy(whole, damaged)
    octets = whole.read_bytes()
    match kind:
        case "cut":
            damaged.write_bytes(octets[: len(octets) // 2])
        case "flipped":
            damaged.write_bytes(octets[:60] + bytes([octets[60] ^ 1]) + octets[61:])
        case _:
            replaced(damaged, kind)
    said = chaos("trend")
    assert said.code == 0
    assert "this version" in said.out
    assert said.err.startswith(f"{damaged} was left out: ")
    assert said.err.count("\n") == 1
    whole.unlink()
    said = chaos("trend")
    assert said.code == 3
    assert said.err.splitlines()[1] == f"none of the 1 file of {reports / 'trend'} can be read; move them away"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("loss_rate", float("nan")),
        ("throughput", float("inf")),
        ("lost", -1),
        ("published", 1 << 63),
        ("outcome", "fine"),
    ],
)
def test_a_row_of_the_trend_that_nobody_measured_is_left_out(
    column: str, value: Any, reports: Path, chaos: Callable[[str], Said]
) -> None:
    (path,) = (reports / "trend").glob("*.parquet")
    table = pq.read_table(path)
    place = table.schema.get_field_index(column)
    kind = table.schema.field(place)
    changed = pa.array([value] * len(table), type=kind.type if value != 1 << 63 else pa.uint64())
    pq.write_table(table.set_column(place, kind if value != 1 << 63 else column, changed), path)
    said = chaos("trend")
    assert said.code == 3
    assert "was left out: " in said.err


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (PUBLISHER, "the history holds no message that was published, delivered and completed exactly once"),
        (GUARANTEE / "logs/collector.log", "the history holds no log of what was found after the drain"),
    ],
    ids=str,
)
def test_a_history_with_nothing_to_plant_in_is_no_fault_of_the_harness(
    file: Path, why: str, reports: Path, chaos: Callable[[str], Said]
) -> None:
    (reports / "run" / file).unlink()
    assert chaos("selftest") == Said(3, "", f"{why}\n")


@pytest.fixture
def kept(reports: Path) -> Path:
    """A run whose events say which logs it left."""
    run = reports / "run"
    events = list(read_events(run / EVENTS))
    told = LogsKept(at_ns=events[-1].at_ns, variant="guarantee", records=logs_kept(run / GUARANTEE))
    with (run / EVENTS).open("a", encoding="utf-8") as file:
        file.write(f"{to_line(told)}\n")
    return run


@pytest.mark.parametrize("name", ["publisher-1.1.log", "worker-2.1.log", "collector.log"])
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("missing", "missing, or empty"),
        ("zeros", "missing, or empty"),
        ("cut", "is damaged"),
        ("renamed", "was not there"),
    ],
)
def test_a_log_that_was_lost_after_the_run_is_noticed(
    kept: Path, name: str, damage: str, said: str, chaos: Callable[[str], Said]
) -> None:
    path = kept / GUARANTEE / "logs" / name
    records = len(read_log(path).records)
    match damage:
        case "missing":
            path.unlink()
        case "zeros":
            path.write_bytes(bytes(path.stat().st_size))
        case "cut" if records:
            os.truncate(path, HEADER_BYTES + (records - 1) * RECORD_BYTES)
        case "cut":
            pytest.skip("it has no record")
        case _:
            path.rename(path.with_name("another.log"))
    found = chaos("report")
    assert found.code == 3
    assert said in found.err
    assert len(found.err.splitlines()) == 1


def test_a_run_with_all_its_logs_is_reported(kept: Path, chaos: Callable[[str], Said]) -> None:
    assert chaos("report").code == 0, kept
