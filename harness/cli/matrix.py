"""matrix: scenarios with every combination of some settings, side by side."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from harness.cli.options import (
    LARGEST_SEED,
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
from harness.cli.several import Batch, JobsAtOnce, Json, NoColor, conclude, jobs_on_broker, write_made
from harness.errors import Problem, ScenarioError, UsageError
from harness.plain import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.cli.settings import Settings
    from harness.report.suite import Axes
    from harness.scenario.load import Loaded

FOLDER: Final = "matrix"
"""Where the made scenarios and the summary lie, in the folder of the reports."""
TITLE: Final = "matrix"
MOST_CELLS: Final = 1000
OVERRIDES: Final = {"broker.backend": "--broker", "broker.image": "--image", "client": "--client"}
"""Options that would put one value in the place of all of an axis's."""


def matrix(
    scenarios: Scenarios,
    over: Annotated[
        list[str],
        typer.Option(
            "--over",
            metavar="PATH=VALUE,…",
            help="A setting, by its path as in a control's `set`, and its values; given several times, every combination is run. "
            "Example: --over queues.tasks.type=classic,quorum",
            show_default=False,
        ),
    ],
    repeat: Annotated[int, typer.Option(min=1, max=1000, help="Runs of each combination, with fresh seeds.")] = 1,
    broker: BrokerChoice = None,
    image: Image = None,
    client: Client = None,
    scheduler: Scheduler = None,
    fresh: Fresh = False,
    reports: Reports = REPORTS,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0, max=LARGEST_SEED // 2, help="Seed of the first run of each combination; counted up for the others."
        ),
    ] = None,
    jobs: JobsAtOnce = None,
    controls: Annotated[bool, typer.Option(help="Run each scenario's controls beside the guarantee.")] = True,
    json_output: Json = False,
    no_color: NoColor = False,
) -> None:
    """Run scenarios with every combination of some settings: which of them keep the guarantee, and which do not."""
    from harness.cli.running import load
    from harness.cli.settings import Settings

    chosen = {"--broker": broker, "--image": image, "--client": client}
    axes = [parse_axis(text) for text in over]
    _check(axes, {option: value for option, value in chosen.items() if value is not None})
    option = BrokerOption.parse(broker)
    cells = make_cells(load(scenarios, option, client, to_run=True), axes, option, reports / FOLDER, controls=controls)
    settings = Settings(
        option=option,
        broker=broker,
        image=image,
        reports=reports,
        seed=seed,
        controls=controls,
        quiet=True,
        json_output=json_output,
        client=client,
        scheduler=scheduler,
        fresh=fresh,
    )
    jobs = jobs_on_broker([cell.loaded for cell in cells], option, jobs)
    batch = run_matrix(cells, settings, repeat=repeat, jobs=jobs)
    code = conclude(
        batch.runs,
        [cell.loaded for cell in cells],
        ending=batch.ending,
        folder=reports / FOLDER,
        title=TITLE,
        console=result_console(json_output=json_output, no_color=no_color),
        axes=_axes(cells, axes),
    )
    raise typer.Exit(int(code))


@dataclass(frozen=True, slots=True)
class Axis:
    """A setting and the values that it is to have."""

    path: str
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """A scenario with one combination of values."""

    scenario: str
    """The name of the one that it was made of."""
    values: tuple[str, ...]
    """As text, one for each axis."""
    loaded: Loaded


def parse_axis(text: str) -> Axis:
    """Read `PATH=VALUE,VALUE`: values as YAML writes them in a list, so that `[…]` and `{…}` are one each. Raises UsageError."""
    from harness.scenario.document import Document, parse
    from harness.scenario.mistake import Mistake
    from harness.scenario.resolve import setting_text

    path, equals, values = text.partition("=")
    if not (path and equals):
        raise UsageError(
            f"--over {plain(text)}: a setting and its values are wanted, as in queues.tasks.type=classic,quorum"
        )
    document = parse(f"{{values: [{values}\n]}}", "")
    match document:
        case Problem(message=wrong):
            pass
        case Document(mistakes=[(_, Mistake(message=wrong)), *_]):
            pass
        case Document(data={"values": list(found), **others}) if not others:
            wrong = "" if found else "there is none"
        case _:
            wrong = "they are not written as a list in YAML"
    if wrong:
        raise UsageError(f"--over {plain(text)}: the values cannot be read: {wrong}")
    written = [setting_text(value) for value in found]
    if (twice := next((value for value in written if written.count(value) > 1), None)) is not None:
        raise UsageError(f"--over {plain(text)}: {plain(twice)} is given twice")
    return Axis(path, tuple(found))


def _check(axes: Sequence[Axis], options: Mapping[str, str]) -> None:
    """Refuse what cannot be combined. Raises UsageError."""
    from harness.scenario.settings import NOT_SETTABLE

    paths = [axis.path for axis in axes]
    for path in paths:
        if paths.count(path) > 1:
            raise UsageError(f"--over {plain(path)} is given twice; give all its values at once, with commas between")
        if path.split(".")[0] in NOT_SETTABLE:
            hint = "; --repeat runs each combination with fresh seeds" if path == "seed" else ""
            raise UsageError(
                f"--over {plain(path)}: only settings of the queues, the traffic, the broker and the timeline can vary{hint}"
            )
        if (option := OVERRIDES.get(path)) is not None and option in options:
            raise UsageError(
                f"--over {plain(path)} and {option} {options[option]} contradict each other; leave one of them away"
            )
    if (count := math.prod(len(axis.values) for axis in axes)) > MOST_CELLS:
        raise UsageError(f"the axes have {count:,} combinations; at most {MOST_CELLS:,} are run at once")


def make_cells(
    loaded: Sequence[Loaded], axes: Sequence[Axis], option: BrokerOption, folder: Path, *, controls: bool
) -> tuple[Cell, ...]:
    """Make a scenario of each combination, and write them to a folder once all are right. Raises ScenarioError and UsageError."""
    from harness.faults.registry import actions
    from harness.scenario.derive import derive, file_name, named, short, with_settings
    from harness.scenario.resolve import masked_setting

    cells: list[Cell] = []
    problems: list[Problem] = []
    for one in loaded:
        for values in itertools.product(*(axis.values for axis in axes)):
            settings = {axis.path: value for axis, value in zip(axes, values, strict=True)}
            texts = {path: masked_setting(path, value) for path, value in settings.items()}
            origin = " ".join((str(one.path), *(f"--over {path}={text}" for path, text in texts.items())))
            try:
                data = with_settings(one.scenario, settings, origin=origin, actions=actions())
                data |= {"name": named(one.scenario.name, short(texts))} | ({} if controls else {"controls": {}})
                path = folder / file_name(one.path, len(cells) + 1, short(texts))
                made = derive(data, path, source=one.path, origin=origin, actions=actions(), abilities=option.abilities)
            except ScenarioError as error:
                problems += (_with_hint(each) for each in error.problems)
            else:
                cells.append(Cell(one.scenario.name, tuple(texts.values()), made))
    if problems:
        raise ScenarioError(problems)
    for cell in cells:
        write_made(cell.loaded)
    return tuple(cells)


def _with_hint(problem: Problem) -> Problem:
    if not problem.path.startswith("controls."):
        return problem
    return replace(problem, message=f"{problem.message}; --no-controls runs the guarantee alone")


def run_matrix(cells: Sequence[Cell], settings: Settings, *, repeat: int, jobs: int | None) -> Batch:
    """Run every cell, `repeat` times: each once, then each again."""
    from harness.cli.executor import executor_for
    from harness.cli.processes import Ended, Job
    from harness.cli.settings import draw_seed
    from harness.cli.suite import say_swept, show_ended, sweep_everything
    from harness.verdict.words import plural

    say_swept(sweep_everything())
    rounds = itertools.product(range(repeat), cells)

    def next_job() -> Job | None:
        count, cell = next(rounds, (0, None))
        if cell is None:
            return None
        return Job(cell.loaded, settings.seed + count if settings.seed is not None else draw_seed())

    def on_end(ended: Ended) -> None:
        show_ended(ended, settings)

    with executor_for(settings, [cell.loaded for cell in cells]) as executor:
        batch = Batch(executor, jobs)
        say(f"{plural(len(cells), 'combination')}, {plural(repeat, 'run')} of each, {batch.at_once} at once")
        batch.run(next_job, on_end)
    return batch


def _axes(cells: Sequence[Cell], axes: Sequence[Axis]) -> Axes:
    from harness.report.suite import Axes

    several = len({cell.scenario for cell in cells}) > 1
    return Axes(
        (*(("scenario",) if several else ()), *(axis.path for axis in axes)),
        {str(cell.loaded.path): (*((cell.scenario,) if several else ()), *cell.values) for cell in cells},
    )
