"""All commands, put together. Each command imports what it needs when it runs, so that `chaos --help` is quick."""

from __future__ import annotations

from typing import Annotated

import typer

from harness import __version__
from harness.cli import byhand, explore, inspect, machine, matrix, nightly, running, selftest, trend

app = typer.Typer(
    name="chaos",
    help="Chaos and reliability test harness for RabbitMQ work queues.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"chaos-harness {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version_wanted: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Exit codes: 0 as expected, 1 violated, 2 usage, 3 infrastructure, 4 inconclusive, 130 interrupted."""


for command in (
    running.run,
    nightly.nightly,
    matrix.matrix,
    explore.explore,
    running.validate,
    running.plan,
    running.init,
    running.list_scenarios,
    running.schema,
    inspect.report,
    inspect.compare,
    inspect.history,
    inspect.trace,
    selftest.selftest,
    trend.trend,
    machine.setup,
    machine.doctor,
    machine.clean,
    byhand.broker,
    byhand.publish,
    byhand.work,
):
    app.command(command.__name__.removesuffix("_scenarios"))(command)
