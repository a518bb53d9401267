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
from pathlib import Path

from benchmarks.histories import HELD, make, scenario
from harness.checks.combine import combine
from harness.checks.judge import judge
from harness.history.history import load
from harness.scenario.scenario import GUARANTEE
from harness.verdict.as_json import from_json, to_json

MESSAGES = 1_000_000
MOST_S, MOST_MB, MOST_PAGE_MB = 5.0, 500.0, 2.0


def make_and_judge(folder: Path) -> None:
    """Make the history of a million messages, and its verdict."""
    make(folder, MESSAGES)
    verdict = combine(
        [judge(load(folder), scenario(MESSAGES), name=GUARANTEE)],
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


def main() -> int:
    """Make, measure, print; 1 if the report takes more than it may (time is the processor's: a machine may be busy)."""
    if len(sys.argv) > 2:
        folder = Path(sys.argv[2])
        if sys.argv[1] == "make":
            make_and_judge(folder)
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
