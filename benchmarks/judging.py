"""`make bench-judging`: what it takes to judge a history, to write it as Parquet, and to write the report of a million messages.

Each figure comes from a process of its own, so that none has the memory of another. Times are the processor's: a machine may be busy.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.histories import HELD, make, scenario
from harness.scenario.scenario import GUARANTEE

Figures = dict[str, float]


def judging(folder: Path, messages: int) -> Figures:
    """Judge a history, from its files to the verdict: seconds, and megabytes at the most."""
    from harness.checks.judge import judge
    from harness.history.history import load

    began, wall = time.process_time(), time.monotonic()
    verdict = judge(load(folder), scenario(messages), name=GUARANTEE)
    figures = _figures(began, wall)
    assert verdict.counts.published == messages
    assert sum(cause.count for cause in verdict.causes) == HELD
    assert all(fault.late_s is not None for fault in verdict.faults), "each step went by progress"
    return figures | {"events_per_s": 4 * messages / figures["processor_s"]}


def parquet(folder: Path, messages: int) -> Figures:
    """Write the history as Parquet; the file's bytes a message as well."""
    from harness.history.history import load
    from harness.history.parquet import write

    path = folder / "history.parquet"
    began, wall = time.process_time(), time.monotonic()
    write(load(folder), path)
    return _figures(began, wall) | {"bytes_per_message": path.stat().st_size / messages}


def turnaround(folder: Path, messages: int) -> Figures:
    """Do what follows the traffic: read, judge, write every report; the Parquet file is written after that."""
    began, wall = time.process_time(), time.monotonic()
    from harness.checks.combine import combine
    from harness.checks.judge import judge
    from harness.history.history import load
    from harness.report.write import write_all

    history = load(folder)
    verdict = combine(
        [judge(history, scenario(messages), name=GUARANTEE)],
        scenario=f"{messages:,} messages",
        description="",
        file="made.yaml",
        seed=1,
        replay="chaos run made.yaml --seed 1",
        started_at="2026-01-01T00:00:00+00:00",
        duration_s=100.0,
        versions={},
    )
    run = folder / "run"
    run.mkdir()
    write_all(verdict, run, histories={GUARANTEE: history}, resolved_scenario="", broker_logs={})
    return _figures(began, wall)


def _figures(began: float, wall: float) -> Figures:
    return {
        "processor_s": time.process_time() - began,
        "wall_s": time.monotonic() - wall,
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


MEASURES = {each.__name__: each for each in (judging, parquet, turnaround)}


def main() -> int:
    """Make histories, measure, print a table; with `--json`, write the figures to a file as well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("messages", nargs="*", type=int, default=[1_000_000, 10_000_000])
    parser.add_argument("--json", type=Path, help="a file for the figures")
    parser.add_argument("--measure", nargs=2, metavar=("WHAT", "FOLDER"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        what, folder = asked.measure
        sys.stdout.write(json.dumps(MEASURES[what](Path(folder), asked.messages[0])))
        return 0
    rows = []
    for messages in asked.messages:
        with tempfile.TemporaryDirectory() as folder:
            made = f"{folder}/history"
            make(Path(made), messages)
            for what in MEASURES:
                command = [sys.executable, "-m", "benchmarks.judging", str(messages), "--measure", what, made]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                rows.append({"what": what, "messages": messages, **json.loads(done.stdout)})
                sys.stdout.write(_line(rows[-1]) + "\n")
                sys.stdout.flush()
    if asked.json is not None:
        asked.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    return 0


def _line(row: dict[str, float | str]) -> str:
    figures = (f"{name} {value:,.2f}" for name, value in row.items() if isinstance(value, float))
    return f"{row['messages']:>12,} messages  {row['what']:10}  " + "  ".join(figures)


if __name__ == "__main__":
    sys.exit(main())
