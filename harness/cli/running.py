"""run, validate, plan, init, list, schema: everything that begins with a scenario file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
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
    Seed,
    echo,
    say,
)
from harness.errors import ExitCode, UsageError
from harness.plain import plain

if TYPE_CHECKING:
    from harness.scenario.load import Loaded
    from harness.traffic.client_name import ClientName


def run(
    scenarios: Scenarios,
    broker: BrokerChoice = None,
    image: Image = None,
    client: Client = None,
    scheduler: Scheduler = None,
    fresh: Fresh = False,
    reports: Reports = REPORTS,
    seed: Seed = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, max=64, help="Runs at once.")] = 1,
    controls: Annotated[bool, typer.Option(help="Run the scenario's controls beside the guarantee.")] = True,
    json_output: Annotated[
        bool, typer.Option("--json", help="Print the verdicts as JSON on standard output, one run a line.")
    ] = False,
    night: Annotated[
        str | None,
        typer.Option(
            help="What the run counts for in the trend: runs with the same word are repetitions of one night. "
            "If not given, each run counts for itself.",
            show_default=False,
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No live progress.")] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours (NO_COLOR is the same).")] = False,
    called: Annotated[
        Path | None, typer.Option(hidden=True, help="What reports call the scenario's file, where it is a copy.")
    ] = None,
) -> None:
    """Run scenarios on a real broker, their controls beside them, and give a verdict."""
    option = BrokerOption.parse(broker)
    loaded = load(scenarios, option, client, to_run=True)
    if called is not None:
        loaded = tuple(replace(one, path=called) for one in loaded)
    if not (quiet or json_output):
        for warning in (warning for one in loaded for warning in one.warnings):
            say(str(warning))
    from harness.cli.settings import Settings
    from harness.cli.several import jobs_on_broker
    from harness.cli.suite import run_all

    settings = Settings(
        option=option,
        broker=broker,
        image=image,
        reports=reports,
        seed=seed,
        controls=controls,
        quiet=quiet,
        json_output=json_output,
        client=client,
        scheduler=scheduler,
        fresh=fresh,
        night=night,
    )
    if len(loaded) > 1:
        jobs_on_broker(loaded, option, jobs)
    code = run_all(loaded, settings, jobs=jobs, no_color=no_color)
    raise typer.Exit(int(code))


def validate(
    scenarios: Scenarios,
    broker: BrokerChoice = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 2 if there is a warning.")] = False,
) -> None:
    """Check scenario files; every mistake and warning with its place, nothing is started."""
    from harness.verdict.words import plural

    warned = 0
    for one in load(scenarios, BrokerOption.parse(broker)):
        for remark in one.remarks:
            say(str(remark))
        warned += len(one.warnings)
        warnings = f", {plural(len(one.warnings), 'warning')}" if one.warnings else ""
        say(plain(f"{one.path}: {one.scenario.name}: valid, {plural(len(one.variants()) - 1, 'control')}{warnings}"))
    if strict and warned:
        raise typer.Exit(int(ExitCode.USAGE))


def plan(
    scenarios: Scenarios,
    broker: BrokerChoice = None,
    fresh: Fresh = False,
    seed: Seed = None,
) -> None:
    """Say what would happen, without doing it."""
    from harness.broker.sharing import Foreseen
    from harness.cli.plan_text import plan_text

    option, foreseen = BrokerOption.parse(broker), Foreseen(fresh=fresh)
    for one in load(scenarios, option):
        echo(plan_text(one, backend=option.backend or one.scenario.broker.backend, seed=seed, foreseen=foreseen))


def init(
    path: Annotated[Path, typer.Argument(help="The file to write.")] = Path("scenario.yaml"),
) -> None:
    """Write a scenario to start from, with comments."""
    from harness.scenario.template import TEMPLATE

    named = plain(str(path))
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(TEMPLATE)
    except FileExistsError:
        raise UsageError(f"{named} exists already; name another file") from None
    except OSError as error:
        raise UsageError(f"{named} cannot be written: {error.strerror}") from error
    say(f"wrote {named}; try: chaos validate {named}, then chaos run {named}")


def list_scenarios(
    scenarios: Annotated[list[Path] | None, typer.Argument(help="Scenario files, or folders of them.")] = None,
) -> None:
    """List scenarios: name, controls, and the first sentence of the description."""
    for one in load(scenarios or [Path("scenarios")], BrokerOption()):
        names = ", ".join(one.scenario.controls) or "no controls"
        sentence = one.scenario.description.strip().split(". ")[0].rstrip(".")
        echo(plain(f"{one.path}: {one.scenario.name} ({names})") + f"\n    {plain(sentence)}.")


def schema(
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the reference of the language as a Markdown page instead.")
    ] = False,
) -> None:
    """Print the JSON Schema of scenario files, for editors; faults of installed packages are in it."""
    from harness.faults.registry import actions
    from harness.scenario.reference import reference
    from harness.scenario.schema import as_text
    from harness.scenario.schema import schema as make

    made = make(actions())
    echo(reference(made) if markdown else as_text(made), nl=False)


def load(
    paths: list[Path], option: BrokerOption, client: ClientName | None = None, *, to_run: bool = False
) -> tuple[Loaded, ...]:
    """Load scenarios, for the broker and the client that the command line asks for.

    Raises ScenarioError with every mistake, UsageError for a broker that the command line or a scenario cannot mean.
    """
    from harness.faults.registry import actions
    from harness.scenario.load import load_all

    loaded = load_all(paths, actions(), option.abilities, option.missing)
    for one in loaded:
        option.check(one.scenario.broker, one.path, to_run=to_run)
    return loaded if client is None else tuple(one.with_client(client) for one in loaded)
