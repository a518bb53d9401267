"""The trend in words, for the terminal and the page: figures, what has changed, and how that was found out."""

from __future__ import annotations

from statistics import median

from harness.report.figures import seconds
from harness.trend.changes import Changes, Comparison
from harness.trend.table import Line, Measure, Table
from harness.verdict.words import plural


def written(value: float, measure: Measure | None) -> str:
    """Write a figure: `12.5%`, `1.20 s`, `3,400/s`; None is a verdict's share of nights."""
    match measure.unit if measure is not None else "share":
        case "share":
            return f"{100 * value:.3g}%"
        case "seconds":
            return seconds(value)
        case _:
            return f"{value:,.0f}/s"


def newest_figure(line: Line, measure: Measure, window: int) -> float | None:
    """Return the median of a line's newest nights that have the figure; None if there are none."""
    values = [value for value in line.figures[measure.column] if value is not None]
    return median(values[-window:]) if values else None


def as_expected(line: Line) -> str:
    """Say in how many nights a line was as expected: `34 of 35`."""
    known = [outcome for outcome in line.outcomes if outcome is not None]
    return f"{sum(outcome.exit_code == 0 for outcome in known)} of {len(known)}"


def place(line: Line) -> str:
    """Name a line: `worker kill, automatic acks (container)`."""
    return f"{line.scenario}, {line.variant} ({line.backend or 'no broker'})"


def change(found: Comparison) -> str:
    """Say what has changed, without the place: `recovery is higher: 2.4 s in the newest 7 nights, 1.2 s in the 28 before`."""
    direction = "higher" if found.newest > found.before else "lower" if found.newest < found.before else "spread anew"
    title = found.measure.title if found.measure is not None else "share of nights as expected"
    newest, before = written(found.newest, found.measure), written(found.before, found.measure)
    said = f"{title} is {direction}: {newest} in the newest {found.nights_newest} nights, {before} in the {found.nights_before} before"
    versions = _versions(found)
    return f"{said} (p = {found.adjusted_p or 0:.2g}, corrected){versions}"


def extent(found: Table, left_out: int) -> str:
    """Say how much there is, and how it stands: `35 nights, 420 runs, the newest night as expected`."""
    missing = f"; {plural(left_out, 'file')} could not be read" if left_out else ""
    return f"{plural(len(found.nights), 'night')}, {plural(found.runs, 'run')}, the newest night {found.newest_outcome.value}{missing}"


def result(found: Changes) -> str:
    """Say in a sentence whether anything has changed."""
    count = len(found.changed)
    if count:
        return f"{plural(count, 'change')} in the newest {found.window} nights"
    if not found.comparisons:
        return f"Too few nights to tell a change: {2 * found.window} are needed"
    return f"No change in the newest {found.window} nights"


def method(found: Changes) -> str:
    """Say how changes are found."""
    few = f" {plural(found.too_few, 'figure has', 'figures have')} too few nights yet." if found.too_few else ""
    return (
        f"The newest {found.window} nights of each figure are tested against up to {found.before} nights before them: figures with an exact "
        "permutation test of the rank sum (Wilcoxon, Mann and Whitney), verdicts with Fisher's exact test, both two-sided. "
        f"{plural(found.tested, 'test')}, corrected with Holm's method: if nothing had changed, the chance that anything is flagged here is at "
        f"most {100 * found.level:.3g}%. A night's figure is the median of its runs.{few}"
    )


def _versions(found: Comparison) -> str:
    ran = [version for version in found.line.rabbitmq if version]
    newest = sorted(set(ran[-found.nights_newest :]))
    before = sorted(set(ran[-(found.nights_newest + found.nights_before) : -found.nights_newest]))
    return f"; RabbitMQ {', '.join(newest)}, before {', '.join(before)}" if newest != before else ""
