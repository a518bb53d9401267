"""`make bench-report`: how long report.html of a million messages takes, in what memory, and how large it is.

A history of that size is made and judged in another process, so that only the report is measured.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from harness.checks.combine import combine
from harness.checks.judge import judge
from harness.checks.verdict_json import from_json, to_json
from harness.events import (
    BrokerStarted,
    Drained,
    Event,
    FaultHealed,
    FaultInjected,
    ProcessExited,
    ProcessStarted,
    TrafficStarted,
)
from harness.history.events_io import to_line
from harness.history.history import EVENTS_FILE, LOGS_FOLDER, load
from harness.history.read import DTYPE
from harness.history.records import HEADER_BYTES, Kind, LogHeader
from harness.scenario.scenario import GUARANTEE, Scenario

MESSAGES, PUBLISHERS, WORKERS = 1_000_000, 2, 4
STEP_NS = 200_000
"""Between two publishes of one publisher."""
KILLED_SEQ = 200_000
HELD = 5000
MOST_S, MOST_MB, MOST_PAGE_MB = 5.0, 500.0, 2.0


def make(folder: Path) -> None:
    """Publish a million messages to workers with automatic acks, one of which is killed with HELD undone; judge it."""
    (folder / LOGS_FOLDER).mkdir(parents=True)
    seq = np.arange(MESSAGES // PUBLISHERS)
    for number in range(1, PUBLISHERS + 1):
        rows = _rows(seq, number)
        published, confirmed = _at(rows, Kind.PUBLISHED, 0, seq), _at(rows, Kind.CONFIRMED, 90_000, seq)
        confirmed["arg"] = 1
        _write(folder, "publisher", number, np.stack([published, confirmed], axis=1).reshape(-1))
    message = np.arange(MESSAGES)
    worker = message % WORKERS
    dead = (worker == 0) & (message // PUBLISHERS >= KILLED_SEQ)
    worker[dead] = 1 + message[dead] // WORKERS % (WORKERS - 1)
    for number in range(WORKERS):
        mine = message[worker == number]
        rows = _rows(mine // PUBLISHERS, mine % PUBLISHERS + 1)
        tags = np.arange(len(mine))
        delivered, done = _at(rows, Kind.DELIVERED, 300_000, tags), _at(rows, Kind.COMPLETED, 900_000, tags)
        if number == 0:
            done["kind"][-HELD:] = Kind.NONE
        records = np.stack([delivered, done], axis=1).reshape(-1)
        _write(folder, "worker", number + 1, records[records["kind"] != Kind.NONE])
    events = folder / EVENTS_FILE
    events.write_text("".join(to_line(event) + "\n" for event in _events()), encoding="utf-8")
    scenario = Scenario.model_validate(
        {
            "name": "a million",
            "publishers": {"count": PUBLISHERS, "messages": MESSAGES // PUBLISHERS},
            "workers": {"count": WORKERS, "acks": "automatic"},
        }
    )
    verdict = combine(
        [judge(load(folder), scenario, name=GUARANTEE)],
        scenario="a million",
        description="",
        file="million.yaml",
        seed=1,
        replay="chaos run million.yaml --seed 1",
        started_at="2026-01-01T00:00:00+00:00",
        duration_s=100.0,
        versions={},
    )
    (folder / "verdict.json").write_text(to_json(verdict), encoding="utf-8")


def measure(folder: Path) -> dict[str, float]:
    """Render the page; seconds from the start of the import, and megabytes."""
    began = time.monotonic()
    processor = time.process_time()
    from harness.report.html import html  # noqa: PLC0415 - the import is part of what a reader waits for

    run = from_json((folder / "verdict.json").read_text(encoding="utf-8"))
    page = html(run, histories={GUARANTEE: load(folder)}, resolved_scenario="", broker_logs={})
    return {
        "published": float(run.variants[0].counts.published),
        "lost": float(sum(cause.count for cause in run.variants[0].causes)),
        "seconds": time.monotonic() - began,
        "processor_seconds": time.process_time() - processor,
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "page_mb": len(page.encode()) / 1e6,
    }


def _rows(seq: np.ndarray, publisher: np.ndarray | int) -> np.ndarray:
    rows = np.zeros(len(seq), dtype=DTYPE)
    rows["seq"], rows["publisher"], rows["attempt"], rows["connection"] = seq, publisher, 1, 1
    rows["at_ns"] = seq * STEP_NS
    return rows


def _at(rows: np.ndarray, kind: Kind, later_ns: int, tags: np.ndarray) -> np.ndarray:
    found = rows.copy()
    found["at_ns"] += later_ns
    found["kind"], found["tag"] = kind, tags + 1
    return found


def _write(folder: Path, role: str, number: int, records: np.ndarray) -> None:
    header = LogHeader(role, f"{role}-{number}", number, 1, number, ("tasks",))
    head = json.dumps(asdict(header)).encode().ljust(HEADER_BYTES, b"\0")
    (folder / LOGS_FOLDER / f"{role}-{number}.1.log").write_bytes(head + records.astype(DTYPE).tobytes())


def _events() -> list[Event]:
    killed_ns, end_ns = KILLED_SEQ * STEP_NS, MESSAGES // PUBLISHERS * STEP_NS + 1_000_000_000
    workers = [
        ProcessStarted(at_ns=0, role="worker", actor=f"worker-{number}", incarnation=1, pid=number, variant=GUARANTEE)
        for number in range(1, WORKERS + 1)
    ]
    return [
        BrokerStarted(
            at_ns=0, backend="made", reason="", endpoint="", nodes=("n1",), rabbitmq="", erlang="", variant=GUARANTEE
        ),
        TrafficStarted(at_ns=0, variant=GUARANTEE),
        *workers,
        FaultInjected(
            at_ns=killed_ns,
            fault=0,
            action="kill",
            title="kill worker-1",
            family="process",
            colour="#c0392b",
            targets=("worker-1",),
            struck_at_ns=killed_ns,
            healable=False,
            variant=GUARANTEE,
        ),
        ProcessExited(
            at_ns=killed_ns,
            role="worker",
            actor="worker-1",
            incarnation=1,
            exit_code=-9,
            cause="fault",
            fault=0,
            variant=GUARANTEE,
        ),
        FaultHealed(at_ns=killed_ns, fault=0, action="kill", variant=GUARANTEE),
        Drained(at_ns=end_ns, complete=True, reason="", variant=GUARANTEE),
    ]


def main() -> int:
    """Make, measure, print; 1 if the report takes more than it may (time is the processor's: a machine may be busy)."""
    if len(sys.argv) > 2:
        folder = Path(sys.argv[2])
        if sys.argv[1] == "make":
            make(folder)
        else:
            sys.stdout.write(json.dumps(measure(folder)))
        return 0
    with tempfile.TemporaryDirectory() as made:
        here = [sys.executable, "-m", "tests.bench_report"]
        subprocess.run([*here, "make", made], check=True)
        done = subprocess.run([*here, "measure", made], check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    for name, value in found.items():
        sys.stdout.write(f"{name:18} {value:,.2f}\n")
    too_much = found["processor_seconds"] > MOST_S or found["memory_mb"] > MOST_MB or found["page_mb"] > MOST_PAGE_MB
    return int(too_much or found["published"] != MESSAGES or found["lost"] != HELD)


if __name__ == "__main__":
    sys.exit(main())
