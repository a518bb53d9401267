"""All commands, put together. Each command imports what it needs when it runs, so that `chaos --help` is quick."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from harness import __version__
from harness.cli import byhand, explore, inspect, machine, matrix, nightly, running, selftest, trend
from harness.plain import plain


class Commands(TyperGroup):
    """The commands; what is said of a wrong command line is harmless, whatever stands in it."""

    def invoke(self, ctx: Any) -> Any:
        """Do what a command line asks for."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            # The errors of the command line's parser are those that know how to show themselves.
            if hasattr(error, "show") and isinstance(message := getattr(error, "message", None), str):
                error.message = plain(message)  # type: ignore[attr-defined]
            raise


app = typer.Typer(
    cls=Commands,
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
