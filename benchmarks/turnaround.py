"""`make bench-turnaround`: where the time of a whole `chaos run` goes, from the start of the command to its end.

Runs a scenario with its controls on each backend, in turn, and prints a table of medians: what the broker takes, what the scenario
says, what waiting for the queues takes, and the harness's own share. Wall times: a run mostly waits, but a busy machine makes all of it longer.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.events import (
    Drained,
    Event,
    Phase,
    PhaseChanged,
    ProcessExited,
    TrafficStarted,
    VariantFinished,
    VariantStarted,
)
from harness.history.events_io import EVENTS_FILE, read_events

Seconds = dict[str, float]

COMMAND, REPORTS = "start of the command", "reports, Parquet, trend, end of the command"
NOT_OURS = ("broker's boot", "settle", "the scenario's own time", "drain", "collecting what is left")
"""What the broker takes, what the scenario says, and the waits that make a verdict safe: an empty queue is believed after a silence."""
PARTS = (
    COMMAND,
    "broker's boot",
    "declare",
    "settle",
    "processes' start",
    "the scenario's own time",
    "heal, last confirms",
    "drain",
    "processes' end",
    "collecting what is left",
    "broker's end",
    "judging",
    REPORTS,
)
OWN, WHOLE = "harness's own share", "whole"


def parts(variants: Sequence[Sequence[Event]], *, began_ns: int, ended_ns: int) -> Seconds:
    """Divide a run's time, given the events of its variants and when its command began and ended, into `PARTS`: seconds of each."""
    spent = dict.fromkeys(PARTS, 0)
    since_ns, part = began_ns, COMMAND
    for at_ns, next_part in (turn for events in variants for turn in _turns(events)):
        spent[part] += at_ns - since_ns
        since_ns, part = at_ns, next_part
    spent[part] += ended_ns - since_ns
    return {name: value / 1e9 for name, value in spent.items()}


def _turns(events: Sequence[Event]) -> Iterator[tuple[int, str]]:
    """Yield when each part of a variant's time began."""
    for event in events:
        match event:
            case VariantStarted():
                yield event.at_ns, COMMAND
            case PhaseChanged() if event.phase in _BEGINS:
                yield event.at_ns, _BEGINS[event.phase]
            case TrafficStarted():
                yield event.at_ns, "the scenario's own time"
            case Drained():
                yield event.at_ns, "processes' end"
                yield _last_exit_ns(events, event.at_ns), "collecting what is left"
            case VariantFinished():
                yield event.at_ns, REPORTS
            case _:
                pass


def _last_exit_ns(events: Sequence[Event], from_ns: int) -> int:
    """Return when the last process ended, after which what is left in the queues is collected."""
    return max([from_ns, *(event.at_ns for event in events if isinstance(event, ProcessExited))])


_BEGINS = {
    Phase.PROVISION: "broker's boot",
    Phase.DECLARE: "declare",
    Phase.SETTLE: "settle",
    Phase.TRAFFIC: "processes' start",
    Phase.HEAL: "heal, last confirms",
    Phase.DRAIN: "drain",
    Phase.CLEAN_UP: "broker's end",
    Phase.CHECK: "judging",
}


def with_sums(spent: Seconds) -> Seconds:
    """Add the harness's own share, which is all but `NOT_OURS`, and the whole."""
    whole = sum(spent.values())
    return spent | {OWN: whole - sum(spent[name] for name in NOT_OURS), WHOLE: whole}


def table(measured: dict[str, list[Seconds]]) -> str:
    """Write the medians of the rounds of each backend as Markdown."""
    rows = [f"| seconds | {' | '.join(measured)} |", f"| --- | {' | '.join('---' for _ in measured)} |"]
    for name in (*PARTS, OWN, WHOLE):
        medians = (statistics.median(each[name] for each in rounds) for rounds in measured.values())
        rows.append(f"| {name} | {' | '.join(f'{median:.2f}' for median in medians)} |")
    return "\n".join(rows)


def measure(scenario: Path, backend: str) -> Seconds:
    """Run a scenario once, and tell where the time went."""
    with tempfile.TemporaryDirectory() as reports:
        command = [
            sys.executable,
            "-m",
            "harness",
            "run",
            str(scenario),
            "--broker",
            backend,
            "--reports",
            reports,
            "-q",
        ]
        began_ns = time.monotonic_ns()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        ended_ns = time.monotonic_ns()
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
        logs = [list(read_events(path)) for path in Path(reports).glob(f"2*/variants/*/{EVENTS_FILE}")]
    return with_sums(parts(sorted(logs, key=lambda events: events[0].at_ns), began_ns=began_ns, ended_ns=ended_ns))


def main() -> int:
    """Measure, print the table; each round as it ends, on standard error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", type=Path, default=Path("scenarios/worker_kill.yaml"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--broker", action="append", help="a backend; native and container if not given")
    asked = parser.parse_args()
    measured: dict[str, list[Seconds]] = {backend: [] for backend in asked.broker or ("native", "container")}
    for _ in range(asked.rounds):
        for backend, rounds in measured.items():
            rounds.append(measure(asked.scenario, backend))
            sys.stderr.write(
                f"{backend}: whole {rounds[-1][WHOLE]:.2f} s, harness's own share {rounds[-1][OWN]:.2f} s\n"
            )
    sys.stdout.write(table(measured) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
