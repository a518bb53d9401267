"""trend.html: verdicts and figures over the nights, in one file that opens from disk without a network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from harness.plain import plain
from harness.report.bokehjs import Field, Model, embedded
from harness.report.charts import LINES
from harness.report.files import replace
from harness.report.index import TREND_PAGE, may_replace
from harness.report.plots import INK, Plot, answer, numbers, source
from harness.report.scripts import chart_scripts
from harness.report.templates import environment, mood, packed_json
from harness.report.trend_words import as_expected, change, extent, method, newest_figure, place, result, written
from harness.trend.changes import Changes
from harness.trend.table import MEASURES, Line, Measure, Table

COLOURS: Final = tuple(LINES.values())
"""Of a scenario's variants, in their order; the first again after the last."""
_FORMATS: Final = {"share": "0.[00]%", "seconds": "0,0.[00]", "rate": "0,0"}
_UNITS: Final = {"share": "", "seconds": ", seconds", "rate": ", completions a second"}


@dataclass(frozen=True, slots=True)
class Chart:
    """One figure of a scenario over the nights."""

    anchor: str
    title: str
    item: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Section:
    """A scenario on a backend."""

    scenario: str
    backend: str
    lines: tuple[Line, ...]
    charts: tuple[Chart, ...]


def write_trend(found: Table, changes: Changes, reports: Path, *, warnings: Sequence[str] = ()) -> Path | None:
    """Write a reports folder's trend.html; None if a file of that name is there that is not ours. Raises OSError."""
    path = reports / TREND_PAGE
    return replace(path, trend_page(found, changes, warnings=warnings)) if may_replace(path) else None


def trend_page(found: Table, changes: Changes, *, warnings: Sequence[str] = ()) -> str:
    """Render the page."""
    sections: list[Section] = []
    for (scenario, backend), group in groupby(found.lines, key=lambda line: (line.scenario, line.backend)):
        lines = tuple(group)
        drawn = _charts(found, lines, changes, f"scenario-{len(sections) + 1}")
        sections.append(Section(scenario, backend, lines, drawn))
    settled = bool(changes.comparisons) and not changes.changed
    charts = [{"id": chart.anchor, "item": chart.item} for section in sections for chart in section.charts]
    return (
        environment()
        .get_template("trend.html")
        .render(
            nights=found.nights,
            extent=extent(found, len(warnings)),
            result=result(changes),
            mood=mood(found.newest_outcome) if settled or mood(found.newest_outcome) == "bad" else "unsure",
            method=method(changes),
            changed=[(place(each.line), change(each)) for each in changes.changed],
            warnings=warnings,
            sections=sections,
            measures=MEASURES,
            colours=COLOURS,
            as_expected=as_expected,
            cell=lambda line, measure: _cell(line, measure, changes),
            charts=packed_json(charts) if charts else "",
            scripts=chart_scripts() if charts else (),
        )
    )


def _cell(line: Line, measure: Measure, changes: Changes) -> tuple[str, str]:
    """Return a figure of the newest nights, and what it was where that has changed."""
    value = newest_figure(line, measure, changes.window)
    if value is None:
        return "", ""
    compared = changes.of(line, measure)
    was = f"was {written(compared.before, measure)}" if compared is not None and compared.changed else ""
    return written(value, measure), was


def _charts(found: Table, lines: Sequence[Line], changes: Changes, anchor: str) -> tuple[Chart, ...]:
    """Draw each figure that is not the same in all nights; with one night there is nothing to draw."""
    charts = []
    for measure in MEASURES:
        values = {value for line in lines for value in line.figures[measure.column] if value is not None}
        if len(values) > 1 and len(found.nights) > 1:
            plot = _plot(found, lines, measure, changes)
            title = f"{measure.title}{_UNITS[measure.unit]}"
            charts.append(Chart(f"{anchor}-{measure.column}", title, embedded(plot.model())))
    return tuple(charts)


def _plot(found: Table, lines: Sequence[Line], measure: Measure, changes: Changes) -> Plot:
    spare = max((found.nights[-1] - found.nights[0]) / 40, timedelta(hours=6))
    plot = Plot(
        180,
        Model("Range1d", start=_ms(found.nights[0] - spare), end=_ms(found.nights[-1] + spare)),
        Model("DataRange1d", start=0),
        x_axis=Model(
            "DatetimeAxis",
            formatter=Model("DatetimeTickFormatter", hours="%H:%M", days="%d %b", months="%b %Y", years="%Y"),
        ),
        y_axis=Model(
            "LinearAxis",
            formatter=numbers(_FORMATS[measure.unit]),
            ticker=Model("BasicTicker", desired_num_ticks=4),
        ),
        left_px=64,
    )
    if len(found.nights) > changes.window:
        newest = _ms(found.nights[-changes.window])
        plot.bands.append(Model("BoxAnnotation", left=newest, fill_color=INK, fill_alpha=0.1))
    columns: dict[str, Any] = {
        "night": [_ms(night) for night in found.nights],
        "rabbitmq": [_versions(lines, index) for index in range(len(found.nights))],
        "bottom": [0] * len(found.nights),
    }
    tips = [("", "@night{%d %b %Y, %H:%M}")]
    for number, line in enumerate(lines):
        figures = line.figures[measure.column]
        columns[f"value{number}"] = [math.nan if value is None else float(f"{value:.4g}") for value in figures]
        tips.append((plain(line.variant), f"@value{number}{{{_FORMATS[measure.unit]}}}"))
    nights = source(columns)
    for number in range(len(lines)):
        value, colour = f"value{number}", COLOURS[number % len(COLOURS)]
        plot.line(nights, "night", value, line_color=colour, line_width=1.5, line_alpha=0.7)
        plot.marks("Scatter", nights, x=Field("night"), y=Field(value), fill_color=colour, line_color=None, size=5)
    # Every night answers the pointer, whichever variants have a figure in it.
    answer(plot, nights, ("night", "bottom"), [*tips, ("RabbitMQ", "@rabbitmq")], formatters={"@night": "datetime"})
    return plot


def _versions(lines: Sequence[Line], night: int) -> str:
    return plain(", ".join(sorted({line.rabbitmq[night] for line in lines} - {""})))


def _ms(moment: datetime) -> float:
    """Write a moment as charts do: milliseconds since 1970."""
    return moment.timestamp() * 1e3
