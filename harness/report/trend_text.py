"""The trend on a terminal: a line for each variant, what has changed, and how that was found out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.table import Table as Grid
from rich.text import Text

from harness.plain import plain
from harness.report.trend_words import as_expected, change, extent, method, newest_figure, place, result, written
from harness.trend.changes import Changes
from harness.trend.table import MEASURES, Line, Measure, Table
from harness.verdict.data import Outcome

if TYPE_CHECKING:
    from rich.console import Console

SHOWN_VERDICTS: Final = 14
ROOM_FOR_VERDICTS: Final = 100
HEADINGS: Final = {"outage_publishers_s": "no confirms", "outage_workers_s": "no work"}
"""Shorter than the measures' own titles."""
LETTERS: Final = {
    Outcome.AS_EXPECTED: ("·", "green"),
    Outcome.VIOLATED: ("V", "bold red"),
    Outcome.INFRASTRUCTURE: ("F", "bold magenta"),
    Outcome.INCONCLUSIVE: ("?", "bold yellow"),
    Outcome.INTERRUPTED: ("-", "dim"),
    None: (" ", ""),
}
"""A night's verdict in the row of verdicts."""


def print_trend(found: Table, changes: Changes, console: Console, *, left_out: int) -> None:
    """Print the trend. `left_out` is how many files of the store could not be read."""
    wide = console.width >= ROOM_FOR_VERDICTS
    grid = Grid(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    grid.add_column("variant", overflow="fold")
    grid.add_column("as expected", no_wrap=True)
    if wide:
        grid.add_column("newest", no_wrap=True)
    for measure in MEASURES:
        grid.add_column(HEADINGS.get(measure.column, measure.title), justify="right")
    last = ""
    for line in found.lines:
        name = f"{line.scenario} ({line.backend or 'no broker'})"
        if name != last:
            grid.add_row(Text(plain(name), style="bold"))
        verdicts = Text.assemble(*(LETTERS[outcome] for outcome in line.outcomes[-SHOWN_VERDICTS:]))
        grid.add_row(
            Text(f"  {plain(line.variant)}"),
            Text(as_expected(line), style="bold yellow" if line.flaky else ""),
            *((verdicts,) if wide else ()),
            *(_cell(line, measure, changes) for measure in MEASURES),
        )
        last = name
    console.print(Text(extent(found, left_out), style="bold"))
    console.print()
    console.print(grid)
    console.print()
    if wide:
        console.print(Text("newest: · as expected, V violated, F infrastructure, ? inconclusive", style="dim"))
        console.print()
    console.print(Text(result(changes), style="bold yellow" if changes.changed else "bold"))
    for each in changes.changed:
        console.print(Text(f"  {plain(place(each.line))}: {change(each)}", style="yellow"))
    console.print(Text(method(changes), style="dim"))


def _cell(line: Line, measure: Measure, changes: Changes) -> Text:
    value = newest_figure(line, measure, changes.window)
    if value is None:
        return Text()
    compared = changes.of(line, measure)
    if compared is None or not compared.changed:
        return Text(written(value, measure))
    return Text(f"{written(value, measure)}, was {written(compared.before, measure)}", style="bold yellow")
