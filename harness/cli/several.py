"""What commands of many runs share: how many go on at once, doing them, and the summary of all."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from harness.cli.options import say
from harness.errors import ChaosError, ExitCode, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from harness.cli.options import BrokerOption
    from harness.cli.processes import Ended, Executor, Job
    from harness.report.suite import Axes
    from harness.scenario.load import Loaded
    from harness.verdict.data import Outcome, RunVerdict

MEMORY_EACH_BYTES = 1 << 30
CPUS_EACH = 2
"""What one run keeps busy: a broker, and its publishers and workers."""

JobsAtOnce = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        "-j",
        min=1,
        max=64,
        help="Runs at once. If not given: one for every two processors and every GiB of free memory, or for every Dask worker.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the verdicts as JSON on standard output, one run a line.")]
NoColor = Annotated[bool, typer.Option("--no-color", help="No colours (NO_COLOR is the same).")]


def jobs_for_this_machine() -> int:
    """Return how many runs this machine bears at once: at least one."""
    import psutil

    cpus = len(os.sched_getaffinity(0)) // CPUS_EACH
    return max(1, min(cpus, int(psutil.virtual_memory().available) // MEMORY_EACH_BYTES))


SHARED: Final = ("external", "compose")
"""Backends whose broker all runs of a command would share: its queues have the scenarios' names, and a fault strikes all that are there."""


def jobs_on_broker(loaded: Sequence[Loaded], option: BrokerOption, jobs: int | None) -> int | None:
    """Return how many runs may go on at once: on a broker that they would share only one. Raises UsageError if more are asked for."""
    backend = next((used for one in loaded if (used := option.backend or one.scenario.broker.backend) in SHARED), None)
    if backend is None:
        return jobs
    if jobs is not None and jobs > 1:
        raise UsageError(
            f"-j {jobs}: runs at once would share one {backend} broker, and take each other's messages; leave -j out, or give each run a "
            "broker of its own (--broker native or container)"
        )
    return 1


class Batch:
    """Runs of one command, several at once, and the verdicts that they came to, in the order of their ends."""

    def __init__(self, executor: Executor, jobs: int | None) -> None:
        """Take a crew, and how many runs the command line asks for at once."""
        room = executor.room
        self.at_once = jobs or jobs_for_this_machine() if room is None else max(1, min(jobs or room, room))
        self.runs: list[RunVerdict] = []
        self.ending: list[Outcome] = []
        """What else the exit code must know of."""
        self._crew = executor
        self._began = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """How long it has been going on; for ever, when there is nobody left to do a run."""
        return math.inf if self._crew.room == 0 else time.monotonic() - self._began

    def run(self, next_job: Callable[[], Job | None], on_end: Callable[[Ended], None]) -> bool:
        """Run what `next_job` hands out until it hands out None, and tell of each end; returns False if that was interrupted."""
        from harness.cli.processes import run_jobs
        from harness.scenario.quantities import format_duration
        from harness.verdict.data import Outcome

        def ended(one: Ended) -> None:
            verdict = one.verdict
            self.runs.append(verdict)
            self.ending.extend([Outcome.INFRASTRUCTURE] * one.failed)
            on_end(one)
            at = format_duration(time.monotonic() - self._began)
            say(
                f"after {at}: {verdict.scenario}, seed {verdict.seed}: {verdict.outcome.value}, took {verdict.duration_s:.1f} s"
            )

        whole = run_jobs(next_job, ended, self._crew, jobs=self.at_once)
        if not whole:
            self.ending.append(Outcome.INTERRUPTED)
        return whole


def write_made(made: Loaded) -> None:
    """Write a made scenario to its file, for the processes that run it. Raises UsageError."""
    try:
        made.path.parent.mkdir(parents=True, exist_ok=True)
        made.path.write_text(made.text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{made.path} cannot be written: {error.strerror}; choose another folder with --reports"
        ) from error


def conclude(
    runs: Sequence[RunVerdict],
    loaded: Sequence[Loaded],
    *,
    ending: Sequence[Outcome],
    folder: Path,
    title: str,
    console: Console,
    axes: Axes | None = None,
) -> ExitCode:
    """Print the table of all runs, write their summary to a folder, and return the exit code."""
    from rich.text import Text

    from harness.cli.suite import line_of
    from harness.plain import plain
    from harness.report.batch import write_batch
    from harness.report.suite import print_suite
    from harness.verdict.data import Outcome, worst
    from harness.verdict.repetitions import by_scenario

    if runs:
        scenarios = by_scenario(runs)
        lines = {str(one.path): line_of(one) for one in loaded}
        print_suite(scenarios, console, axes)
        try:
            written = write_batch(
                scenarios,
                folder,
                os.environ,
                title=title,
                axes=axes,
                line_of=lambda run, variant, path: lines[run.file](variant, path),
            )
        except ChaosError as error:
            say(str(error))
            ending = [*ending, Outcome.INFRASTRUCTURE]
        else:
            console.print(Text(f"summary  {plain(str(written[0]))}"), soft_wrap=True)
    return worst([*(run.outcome for run in runs), *ending]).exit_code
