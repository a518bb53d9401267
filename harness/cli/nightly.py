"""nightly: all scenarios with fresh seeds for a time budget, several at once, one summary, one exit code."""

from __future__ import annotations

import math
import os
import time
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import (
    REPORTS,
    BrokerChoice,
    BrokerOption,
    Client,
    Image,
    Reports,
    Scenarios,
    Scheduler,
    error_console,
    say,
)
from harness.errors import ChaosError, ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.checks.verdict import Outcome, RunVerdict
    from harness.cli.settings import Settings
    from harness.scenario.load import Loaded

FOLDER = "nightly"
"""Where the night's summary lies, in the folder of the reports."""
MEMORY_EACH_BYTES = 1 << 30
CPUS_EACH = 2
"""What one run keeps busy: a broker, and its publishers and workers."""


def nightly(
    scenarios: Scenarios,
    budget: Annotated[
        str, typer.Option(help="Time to fill with runs, e.g. 30m or 2h. Every scenario runs at least once.")
    ] = "1h",
    broker: BrokerChoice = None,
    image: Image = None,
    client: Client = None,
    reports: Reports = REPORTS,
    scheduler: Scheduler = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            "-j",
            min=1,
            max=64,
            help="Runs at once. If not given: one for every two processors and every GiB of free memory, or for every Dask worker.",
            show_default=False,
        ),
    ] = None,
    json_output: Annotated[
        bool, typer.Option("--json", help="Print the verdicts as JSON on standard output, one run a line.")
    ] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours (NO_COLOR is the same).")] = False,
) -> None:
    """Run all scenarios with fresh seeds, again and again for a time budget. Verdicts that differ are named as flaky."""
    from harness.cli.running import load
    from harness.cli.settings import Settings
    from harness.scenario.quantities import parse_duration

    try:
        budget_s = parse_duration(budget)
    except ValueError as error:
        raise UsageError(f"--budget {error}") from error
    option = BrokerOption.parse(broker)
    loaded = load(scenarios, option, client)
    settings = Settings(
        option=option,
        broker=broker,
        image=image,
        reports=reports,
        seed=None,
        controls=True,
        quiet=True,
        json_output=json_output,
        client=client,
        night=datetime.now().astimezone().isoformat(timespec="seconds"),
        scheduler=scheduler,
    )
    runs, ending = run_night(loaded, settings, budget_s=budget_s, jobs=jobs)
    raise typer.Exit(int(conclude(runs, loaded, settings, ending=ending, no_color=no_color)))


def jobs_for_this_machine() -> int:
    """Return how many runs this machine bears at once: at least one."""
    import psutil

    cpus = len(os.sched_getaffinity(0)) // CPUS_EACH
    return max(1, min(cpus, int(psutil.virtual_memory().available) // MEMORY_EACH_BYTES))


def run_night(
    loaded: Sequence[Loaded], settings: Settings, *, budget_s: float, jobs: int | None
) -> tuple[list[RunVerdict], list[Outcome]]:
    """Run a night; returns the verdicts in the order of their ends, and what else the exit code must know of."""
    from harness.checks.verdict import Outcome
    from harness.checks.words import plural
    from harness.cli.crew import crew_for
    from harness.cli.processes import Ended, Job, run_jobs
    from harness.cli.schedule import Schedule
    from harness.cli.settings import draw_seed
    from harness.cli.suite import say_swept, show_ended, sweep_everything
    from harness.scenario.quantities import format_duration

    say_swept(sweep_everything())
    number_of = {one.path: number for number, one in enumerate(loaded)}
    runs: list[RunVerdict] = []
    ending: list[Outcome] = []
    with crew_for(settings, loaded) as crew:
        room = crew.room
        at_once = jobs or jobs_for_this_machine() if room is None else min(jobs or room, room)
        say(f"{plural(len(loaded), 'scenario')}, {at_once} at once, for {format_duration(budget_s)}")
        schedule = Schedule(len(loaded), budget_s)
        began = time.monotonic()

        def next_job() -> Job | None:
            # With nobody left to do a run, each scenario is told of once, and none is tried again.
            number = schedule.next(math.inf if crew.room == 0 else time.monotonic() - began)
            return Job(loaded[number], draw_seed()) if number is not None else None

        def on_end(ended: Ended) -> None:
            verdict = ended.verdict
            runs.append(verdict)
            ending.extend([Outcome.INFRASTRUCTURE] * ended.failed)
            schedule.ended(number_of[ended.job.loaded.path], verdict.duration_s)
            show_ended(ended, settings)
            at = format_duration(time.monotonic() - began)
            say(
                f"after {at}: {verdict.scenario}, seed {verdict.seed}: {verdict.outcome.value}, took {verdict.duration_s:.1f} s"
            )

        if not run_jobs(next_job, on_end, crew, jobs=at_once):
            ending.append(Outcome.INTERRUPTED)
    return runs, ending


def conclude(
    runs: list[RunVerdict], loaded: Sequence[Loaded], settings: Settings, *, ending: Sequence[Outcome], no_color: bool
) -> ExitCode:
    """Print the night's table, write its summary, and return the exit code."""
    from harness.checks.repetitions import by_scenario
    from harness.checks.verdict import Outcome, worst
    from harness.cli.suite import line_of
    from harness.report.night import write_night
    from harness.report.suite import print_suite

    if runs:
        scenarios = by_scenario(runs)
        lines = {str(one.path): line_of(one) for one in loaded}
        print_suite(scenarios, error_console(no_color=no_color))
        try:
            written = write_night(
                scenarios,
                settings.reports / FOLDER,
                os.environ,
                line_of=lambda run, variant, path: lines[run.file](variant, path),
            )
        except ChaosError as error:
            say(str(error))
            ending = [*ending, Outcome.INFRASTRUCTURE]
        else:
            say(f"summary  {written[0]}")
    return worst([*(run.outcome for run in runs), *ending]).exit_code
