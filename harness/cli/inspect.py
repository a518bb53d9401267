"""report, compare, history, trace: everything that begins with a run directory."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import REPORTS, Reports, echo, result_console, say
from harness.errors import ExitCode, HistoryError, ScenarioError, UsageError
from harness.plain import plain

if TYPE_CHECKING:
    from harness.engine.rundir import RunDirectory
    from harness.report.compare import Side
    from harness.scenario.load import Loaded

Run = Annotated[str, typer.Argument(help="A run directory, its name in the reports folder, or `latest`.")]
VariantName = Annotated[
    str | None, typer.Option("--variant", help="A control's name; the guarantee if not given.", show_default=False)
]


def report(
    run: Run = "latest",
    reports: Reports = REPORTS,
    open_it: Annotated[bool, typer.Option("--open", help="Open report.html in a browser.")] = False,
) -> None:
    """Judge a run's history again and write its reports anew."""
    from harness.cli.suite import broker_logs, write_reports
    from harness.engine.judging import judge_again

    directory, loaded = open_run(run, reports)
    result = judge_again(directory, loaded)
    problems = write_reports(result, loaded, broker_logs(result))
    for problem in problems:
        say(f"a report could not be written: {problem}")
    say(result.verdict.headline)
    page = directory.path / "report.html"
    echo(plain(str(page)))
    if open_it:
        webbrowser.open(page.resolve().as_uri())
    raise typer.Exit(int(ExitCode.INFRASTRUCTURE) if problems else 0)


def compare(
    one: Annotated[str, typer.Argument(metavar="RUN", help="A run directory, or its name in the reports folder.")],
    other: Annotated[str, typer.Argument(metavar="RUN", help="The run to lay beside it.")],
    reports: Reports = REPORTS,
    page: Annotated[Path | None, typer.Option("--html", help="Write the comparison to this page as well.")] = None,
    open_it: Annotated[
        bool, typer.Option("--open", help="Open the page in a browser; it is compare.html in the reports folder.")
    ] = False,
) -> None:
    """Show two runs side by side: settings that differ, fates, latency, outages."""
    from harness.report.compare import comparison_page, print_comparison
    from harness.report.files import replace

    left, right = _side(one, reports), _side(other, reports)
    print_comparison(left, right, result_console(json_output=False))
    if page is None and open_it:
        page = reports / "compare.html"
    if page is not None:
        try:
            replace(page, comparison_page(left, right))
        except OSError as error:
            raise UsageError(f"{page} cannot be written: {error.strerror}; choose another with --html") from error
        say(f"wrote {page}")
    if page is not None and open_it:
        webbrowser.open(page.resolve().as_uri())


def history(
    run: Run = "latest",
    variant: VariantName = None,
    reports: Reports = REPORTS,
    csv: Annotated[bool, typer.Option("--csv", help="Print every row as CSV on standard output.")] = False,
    interactive: Annotated[
        bool, typer.Option("--interactive", "-i", help="Open a Python prompt with the history as `df`.")
    ] = False,
) -> None:
    """Open a run's history as a pandas DataFrame: a summary, CSV, or a prompt."""
    from harness.history.parquet import to_frame

    directory, _ = open_run(run, reports)
    frame = to_frame(variant_folder(directory, variant))
    if csv:
        echo(frame.to_csv(index=False), nl=False)
        return
    if interactive:
        import code

        code.interact(banner=f"{len(frame):,} events in `df` (pandas DataFrame)", local={"df": frame})
        return
    echo(f"{len(frame):,} events; columns: {', '.join(frame.columns)}")
    echo(frame.groupby(["role", "actor", "event"], observed=True).size().to_string())


def trace(
    run: Run,
    message: Annotated[str, typer.Argument(help="The message, e.g. publisher-1#42.")],
    variant: VariantName = None,
    reports: Reports = REPORTS,
) -> None:
    """Print one message's life, event by event."""
    from harness.history.history import load, verify
    from harness.history.trace import life, parse_message

    directory, loaded = open_run(run, reports)
    found = load(variant_folder(directory, variant), _name_of(loaded, variant))
    verify(found)
    rows = life(found, *parse_message(message))
    if not rows:
        raise UsageError(f"{message} was never published and never delivered in this run")
    for at_ns, what, actor, detail in rows:
        said = f"{actor:16} {what}" + (f" ({detail})" if detail else "")
        echo(f"{(at_ns - found.zero_ns) / 1e9:10.6f} s  {plain(said)}")


def _side(run: str, reports: Path) -> Side:
    """Read what a comparison needs of a run. Raises UsageError, and HistoryError for a verdict that cannot be read."""
    from harness.engine.rundir import VERDICT_FILE
    from harness.files import read_text, reason
    from harness.report.compare import Side
    from harness.scenario.resolve import flat, resolve
    from harness.verdict.as_json import from_json

    directory, loaded = open_run(run, reports)
    try:
        verdict = from_json(read_text(directory.path / VERDICT_FILE))
    except (OSError, ValueError, HistoryError) as error:
        why = str(error) if isinstance(error, HistoryError) else reason(error)
        raise HistoryError(f"{directory.path / VERDICT_FILE}: {why}; `chaos report {run}` writes it anew") from error
    return Side(directory.path.name, verdict, flat(resolve(loaded.scenario, seed=verdict.seed)))


def open_run(run: str, reports: Path) -> tuple[RunDirectory, Loaded]:
    """Find a run and load the scenario that it holds. Raises UsageError where there is none, and HistoryError where it is damaged."""
    from harness.engine.rundir import SCENARIO_FILE, RunDirectory
    from harness.faults.registry import actions
    from harness.files import open_file, reason
    from harness.scenario.load import load

    directory = RunDirectory.find(run, reports)
    path = directory.path / SCENARIO_FILE
    try:
        with open_file(path):
            pass
        return directory, load(path, actions(), lambda _model: frozenset(_every_ability()))
    except OSError as error:
        raise HistoryError(f"the run's scenario {path} cannot be read: {reason(error)}") from error
    except ScenarioError as error:
        first, *others = error.problems
        more = f" (and {len(others)} more)" if others else ""
        raise HistoryError(f"the run's scenario cannot be read: {first}{more}") from error


def _name_of(loaded: Loaded, variant: str | None) -> str:
    """Return the name of a variant that may be called by its folder."""
    from harness.engine.rundir import slug
    from harness.scenario.scenario import GUARANTEE

    names = {slug(each.name): each.name for each in loaded.variants()}
    return names.get(slug(variant or GUARANTEE), variant or GUARANTEE)


def _every_ability() -> tuple[str, ...]:
    from harness.broker.protocol import Ability

    return tuple(str(ability) for ability in Ability)


def variant_folder(directory: RunDirectory, variant: str | None) -> Path:
    """Return the folder of a variant, the guarantee's without a name. Raises UsageError, and HistoryError where a run has not even that."""
    from harness.scenario.scenario import GUARANTEE

    folder = directory.variant(variant or GUARANTEE)
    if variant is None and not folder.is_dir():
        raise HistoryError(f"{folder} is missing: the run is damaged, or was ended before it began")
    if not folder.is_dir():
        present = sorted(path.name for path in (directory.path / "variants").glob("*"))
        raise UsageError(f"the run has no variant {variant!r}; it has {', '.join(present) or 'none'}")
    return folder
