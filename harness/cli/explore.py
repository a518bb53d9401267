"""explore: a scenario's traffic under timelines drawn by chance, until one of them breaks the guarantee; that one is then shrunk."""

from __future__ import annotations

import os
import shlex
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from harness.cli.nightly import budget_of
from harness.cli.options import (
    LARGEST_SEED,
    REPORTS,
    BrokerChoice,
    BrokerOption,
    Client,
    Fresh,
    Image,
    Reports,
    Scheduler,
    result_console,
    say,
)
from harness.cli.several import Batch, JobsAtOnce, Json, NoColor, jobs_on_broker
from harness.errors import ChaosError, ExitCode, UsageError

if TYPE_CHECKING:
    from harness.cli.settings import Settings
    from harness.search.exploration import Exploration

FOLDER: Final = "explore"
"""Where explorations lie, each in a folder of its own, in the folder of the reports."""


def explore(
    scenario: Annotated[Path, typer.Argument(help="The scenario file.", show_default=False)],
    budget: Annotated[
        str,
        typer.Option(
            help="Time to fill with schedules, e.g. 10m or 2h; the controls and the shrinking count. At least one is run of each."
        ),
    ] = "10m",
    steps: Annotated[int, typer.Option(min=1, max=20, help="Most steps of a schedule.")] = 4,
    broker: BrokerChoice = None,
    image: Image = None,
    client: Client = None,
    scheduler: Scheduler = None,
    fresh: Fresh = False,
    reports: Reports = REPORTS,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=LARGEST_SEED // 2, help="Seed that the schedules are drawn with; drawn if not given."),
    ] = None,
    jobs: JobsAtOnce = None,
    controls: Annotated[
        bool, typer.Option(help="First see the search catch the losses of the scenario's controls.")
    ] = True,
    json_output: Json = False,
    no_color: NoColor = False,
) -> None:
    """Look for a schedule of faults that breaks a scenario's guarantee: draw them by chance, and shrink the one that does."""
    from harness.cli.executor import executor_for
    from harness.cli.running import load
    from harness.cli.searching import Search
    from harness.cli.settings import Settings, draw_seed
    from harness.cli.suite import say_swept, sweep_everything
    from harness.engine.rundir import slug
    from harness.verdict.words import plural

    budget_s = budget_of(budget)
    option = BrokerOption.parse(broker)
    found = load([scenario], option, client, to_run=True)
    if len(found) > 1:
        raise UsageError(f"{scenario} holds {len(found)} scenarios; name the one to explore")
    loaded = found[0]
    seed = draw_seed() if seed is None else seed
    folder = reports / FOLDER / f"{datetime.now():%Y%m%d-%H%M%S}-{slug(loaded.scenario.name)}-{seed}"
    settings = Settings(
        option=option,
        broker=broker,
        image=image,
        reports=folder / "runs",
        seed=None,
        controls=True,
        quiet=True,
        json_output=json_output,
        client=client,
        scheduler=scheduler,
        fresh=fresh,
    )
    jobs = jobs_on_broker([loaded], option, jobs)
    say_swept(sweep_everything())
    with executor_for(settings, [loaded]) as executor:
        batch = Batch(executor, jobs)
        say(
            f"{loaded.scenario.name}: schedules of up to {plural(steps, 'step')}, seed {seed}, {batch.at_once} at once, for {budget} with the controls and the shrinking"
        )
        search = Search(loaded, settings, batch, folder, seed=seed, most_steps=steps)
        exploration = search.run(budget_s, controls=controls)
    raise typer.Exit(int(conclude(exploration, folder, settings, no_color=no_color)))


def conclude(exploration: Exploration, folder: Path, settings: Settings, *, no_color: bool) -> ExitCode:
    """Print what came of it, write the summary, and return the exit code."""
    from rich.text import Text

    from harness.cli.searching import FOUND
    from harness.plain import plain
    from harness.report.explored import write_exploration
    from harness.report.summary import STYLES
    from harness.search.exploration import steps_in_words
    from harness.verdict.data import Outcome, worst

    outcome = exploration.outcome
    console = result_console(json_output=settings.json_output, no_color=no_color)
    console.print()
    console.print(Text.assemble((outcome.value.upper(), STYLES[outcome]), "  ", plain(exploration.headline)))

    def tell(line: str) -> None:
        console.print(Text(plain(line)), soft_wrap=True)

    if exploration.shrunk is not None:
        tell(f"schedule {steps_in_words(exploration.shrunk)}")
    if (folder / FOUND).exists():
        tell(f"replay   {shlex.join(['chaos', 'run', str(folder / FOUND), *settings.replay_options()])}")
    try:
        tell(f"summary  {write_exploration(exploration, folder, os.environ)}")
    except ChaosError as error:
        say(str(error))
        outcome = worst([outcome, Outcome.INFRASTRUCTURE])
    return outcome.exit_code
