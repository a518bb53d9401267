"""`make bench-judging`: what it takes to judge a history, to write it as Parquet, and to do all that follows the traffic of a run.

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
from itertools import pairwise
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


def report(folder: Path, messages: int) -> Figures:
    """Do all that follows the traffic, as a run does: judge, every report, Parquet, the trend's rows; seconds of each beside the sum."""
    began, wall = time.process_time(), time.monotonic()
    from harness.checks.combine import combine
    from harness.checks.judge import judge
    from harness.history.history import load
    from harness.history.parquet import write
    from harness.report.write import write_all
    from harness.trend.rows import rows_of
    from harness.trend.store import append

    moments = [began, time.process_time()]
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
    moments.append(time.process_time())
    run = folder / "reports" / "run"
    run.mkdir(parents=True)
    write_all(verdict, run, histories={GUARANTEE: history}, resolved_scenario="", broker_logs={})
    moments.append(time.process_time())
    write(history, run / "history.parquet")
    moments.append(time.process_time())
    append(folder / "reports" / "trend", rows_of(verdict, {GUARANTEE: history}, run_id="1", night="1"))
    moments.append(time.process_time())
    names = ("imports_s", "judge_s", "reports_s", "parquet_s", "trend_s")
    parts = {name: end - begin for name, (begin, end) in zip(names, pairwise(moments), strict=True)}
    return _figures(began, wall) | parts


def _figures(began: float, wall: float) -> Figures:
    return {
        "processor_s": time.process_time() - began,
        "wall_s": time.monotonic() - wall,
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


MEASURES = {each.__name__: each for each in (judging, parquet, report)}


def main() -> int:
    """Make histories, measure, print a table; with `--json`, write the figures to a file as well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("messages", nargs="*", type=int, default=[1_000_000, 10_000_000])
    parser.add_argument(
        "--only", choices=MEASURES, help="measure one thing: a hundred million messages are too many for Parquet"
    )
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
            for what in [asked.only] if asked.only else MEASURES:
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
    return f"{row['messages']:>12,} messages  {row['what']:8}  " + "  ".join(figures)


if __name__ == "__main__":
    sys.exit(main())
