"""How long whole commands take, in this version and in an earlier one, in turns.

`python -m benchmarks.commands --before 817c0e2` prints a table of medians: seconds, and schedules a minute of an exploration. By the clock: a
run mostly waits, but a busy machine makes all of it longer, so only what was measured in one go is comparable.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parents[1]
EXPLORED_S: Final = 60


@dataclass(frozen=True, slots=True)
class Command:
    """A command to measure."""

    name: str
    """In the table, and on the command line."""
    arguments: tuple[str, ...]
    counts: str = ""
    """Files that the command makes one of for each schedule it tries, if schedules a minute are measured and not seconds."""


MATRIX: Final = ("--over", "queues.tasks.type=classic,quorum", "--over", "workers.prefetch=1,20")
COMMANDS: Final = (
    Command("run worker_kill", ("run", "scenarios/worker_kill.yaml", "-q")),
    Command("run scenarios", ("run", "scenarios", "-q")),
    Command("run scenarios -j 2", ("run", "scenarios", "-q", "-j", "2")),
    Command("matrix of 4 cells", ("matrix", "scenarios/worker_kill.yaml", *MATRIX)),
    Command(
        "explore, schedules a minute",
        ("explore", "scenarios/worker_kill.yaml", "--budget", f"{EXPLORED_S}s"),
        "explore/*/runs/2*/verdict.json",
    ),
    Command(
        "explore -j 2, schedules a minute",
        ("explore", "scenarios/worker_kill.yaml", "--budget", f"{EXPLORED_S}s", "-j", "2"),
        "explore/*/runs/2*/verdict.json",
    ),
)


def measure(command: Command, version: Path, backend: str) -> float:
    """Do a command once with the version that lies in a folder; returns seconds, or schedules a minute. Raises RuntimeError if it fails."""
    with tempfile.TemporaryDirectory() as reports:
        called = [sys.executable, "-m", "harness", *command.arguments, "--broker", backend, "--reports", reports]
        began = time.monotonic()
        done = subprocess.run(called, cwd=version, capture_output=True, text=True, check=False)
        took_s = time.monotonic() - began
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(called)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return len(list(Path(reports).glob(command.counts))) * 60 / took_s if command.counts else took_s


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """Give a folder with an earlier version of this project."""
    with tempfile.TemporaryDirectory() as above:
        folder = Path(above) / "before"
        subprocess.run(
            ["git", "-C", str(HERE), "worktree", "add", "--detach", "--quiet", str(folder), commit], check=True
        )
        try:
            yield folder
        finally:
            subprocess.run(["git", "-C", str(HERE), "worktree", "remove", "--force", str(folder)], check=True)


def table(measured: dict[tuple[str, str], tuple[list[float], list[float]]]) -> str:
    """Write the medians as Markdown, given what each command and backend took before and now."""
    rows = ["| command | backend | before | now | ratio |", "| --- | --- | --- | --- | --- |"]
    for (name, backend), (before, now) in measured.items():
        was, is_now = statistics.median(before), statistics.median(now)
        rows.append(f"| {name} | {backend} | {was:.1f} | {is_now:.1f} | {is_now / was:.2f} |")
    return "\n".join(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table; each measurement as it ends, on standard error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", required=True, help="commit of the earlier version")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--broker", action="append", help="a backend; native and container if not given")
    parser.add_argument("--only", action="append", choices=[command.name for command in COMMANDS])
    asked = parser.parse_args(arguments)
    chosen = [command for command in COMMANDS if asked.only is None or command.name in asked.only]
    measured: dict[tuple[str, str], tuple[list[float], list[float]]] = {}
    with checked_out(asked.before) as before:
        for _ in range(asked.rounds):
            for command in chosen:
                for backend in asked.broker or ("native", "container"):
                    both = measured.setdefault((command.name, backend), ([], []))
                    for version, figures in zip((before, HERE), both, strict=True):
                        figures.append(measure(command, version, backend))
                    sys.stderr.write(f"{command.name}, {backend}: before {both[0][-1]:.1f}, now {both[1][-1]:.1f}\n")
    sys.stdout.write(table(measured) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
