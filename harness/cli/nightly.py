"""nightly: all scenarios with fresh seeds for a time budget, several at once, one summary, one exit code."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import (
    REPORTS,
    BrokerChoice,
    BrokerOption,
    Client,
    Fresh,
    Image,
    Reports,
    Scenarios,
    Scheduler,
    result_console,
    say,
)
from harness.cli.several import Batch, JobsAtOnce, Json, NoColor, conclude, jobs_on_broker
from harness.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.cli.settings import Settings
    from harness.scenario.load import Loaded

FOLDER = "nightly"
"""Where the night's summary lies, in the folder of the reports."""
TITLE = "nightly reliability"


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
    fresh: Fresh = False,
    jobs: JobsAtOnce = None,
    json_output: Json = False,
    no_color: NoColor = False,
) -> None:
    """Run all scenarios with fresh seeds, again and again for a time budget. Verdicts that differ are named as flaky."""
    from harness.cli.running import load
    from harness.cli.settings import Settings

    budget_s = budget_of(budget)
    option = BrokerOption.parse(broker)
    loaded = load(scenarios, option, client, to_run=True)
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
        fresh=fresh,
    )
    batch = run_night(loaded, settings, budget_s=budget_s, jobs=jobs_on_broker(loaded, option, jobs))
    code = conclude(
        batch.runs,
        loaded,
        ending=batch.ending,
        folder=reports / FOLDER,
        title=TITLE,
        console=result_console(json_output=json_output, no_color=no_color),
    )
    raise typer.Exit(int(code))


def budget_of(text: str) -> float:
    """Read --budget; seconds, more than 0. Raises UsageError."""
    from harness.scenario.quantities import parse_duration

    try:
        budget_s = parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--budget {error}") from error
    if not budget_s:
        raise UsageError("--budget must be more than 0 s")
    return budget_s


def run_night(loaded: Sequence[Loaded], settings: Settings, *, budget_s: float, jobs: int | None) -> Batch:
    """Run a night."""
    from harness.cli.executor import executor_for
    from harness.cli.processes import Ended, Job
    from harness.cli.schedule import Schedule
    from harness.cli.settings import draw_seed
    from harness.cli.suite import say_swept, show_ended, sweep_everything
    from harness.scenario.quantities import format_duration
    from harness.verdict.words import plural

    say_swept(sweep_everything())
    number_of = {one.path: number for number, one in enumerate(loaded)}
    schedule = Schedule(len(loaded), budget_s)
    with executor_for(settings, loaded) as executor:
        batch = Batch(executor, jobs)
        say(f"{plural(len(loaded), 'scenario')}, {batch.at_once} at once, for {format_duration(budget_s)}")

        def next_job() -> Job | None:
            # With nobody left to do a run, each scenario is told of once, and none is tried again.
            number = schedule.next(batch.elapsed_s)
            return Job(loaded[number], draw_seed()) if number is not None else None

        def on_end(ended: Ended) -> None:
            schedule.ended(number_of[ended.job.loaded.path], ended.verdict.duration_s)
            show_ended(ended, settings)

        batch.run(next_job, on_end)
    return batch
