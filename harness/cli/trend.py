"""trend: what the runs of many nights say, in the terminal and as a page."""

from __future__ import annotations

import webbrowser
from typing import Annotated

import typer

from harness.cli.options import REPORTS, TREND_FOLDER, Reports, echo, result_console, say
from harness.errors import HistoryError, UsageError


def trend(
    reports: Reports = REPORTS,
    nights: Annotated[int, typer.Option(min=2, max=1000, help="How many of the newest nights are shown.")] = 60,
    window: Annotated[
        int, typer.Option(min=3, max=30, help="How many of the newest nights are tested for a change.")
    ] = 7,
    before: Annotated[
        int, typer.Option(min=3, max=365, help="How many nights before them they are tested against, at most.")
    ] = 28,
    level: Annotated[
        float, typer.Option(min=0.0001, max=0.5, help="The chance of a flag where nothing has changed, at most.")
    ] = 0.05,
    open_it: Annotated[bool, typer.Option("--open", help="Open trend.html in a browser.")] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours (NO_COLOR is the same).")] = False,
) -> None:
    """Show verdicts, losses, recoveries, outages and throughput over the nights, and what has changed."""
    from harness.report.trend_page import write_trend
    from harness.report.trend_text import print_trend
    from harness.trend.changes import changes
    from harness.trend.store import read
    from harness.trend.table import table
    from harness.verdict.words import plural

    stored = read(reports / TREND_FOLDER)
    for warning in stored.warnings:
        say(warning)
    if not stored.rows and stored.warnings:
        raise HistoryError(
            f"none of the {plural(len(stored.warnings), 'file')} of {reports / TREND_FOLDER} can be read; move them away"
        )
    if not stored.rows:
        raise UsageError(
            f"{reports / TREND_FOLDER} holds no runs yet; each `chaos run` and `chaos nightly` adds its own"
        )
    found = changes(table(stored.rows, newest=max(nights, window + before)), window=window, before=before, level=level)
    shown = table(stored.rows, newest=nights)
    print_trend(shown, found, result_console(json_output=False, no_color=no_color), left_out=len(stored.warnings))
    try:
        page = write_trend(shown, found, reports, warnings=stored.warnings)
    except OSError as error:
        raise HistoryError(f"the trend's page could not be written to {reports}: {error.strerror}") from error
    if page is None:
        raise UsageError(f"{reports}/trend.html is not ours and was left alone; move it, or name another --reports")
    echo(f"page  {page}")
    if open_it:
        webbrowser.open(page.resolve().as_uri())
