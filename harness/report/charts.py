"""The charts of report.html, as Bokeh figures; the script they need comes out of the Bokeh package."""

from __future__ import annotations

from typing import Any

from bokeh.models import BoxAnnotation, ColumnDataSource, HoverTool, Label, Legend, NumeralTickFormatter
from bokeh.models.annotations import Span
from bokeh.plotting import figure

from harness.checks.verdict import VariantVerdict
from harness.events import (
    BrokerStarted,
    FaultHealed,
    FaultInjected,
    ProcessExited,
    ProcessPaused,
    ProcessResumed,
    ProcessStarted,
)
from harness.history.history import History
from harness.history.series import Series, series
from harness.report.plain import plain

COLOURS = {
    "published": "#4c78a8",
    "confirmed": "#72b7b2",
    "delivered": "#b279a2",
    "completed": "#54a24b",
    "acknowledged": "#9d755d",
}
_MUTED = "#8a8f98"


def timeline(variant: VariantVerdict, history: History) -> tuple[Any, Any] | None:
    """Draw rates, and backlog with deliveries in flight; faults as bands on both. None if nothing was published."""
    data = series(history)
    if data is None:
        return None
    rates = _figure("messages a second", 260)
    for name, values in data.rates.items():
        if values.any():
            rates.line("x", "y", source=_source(data, values), color=COLOURS[name], line_width=1.6, legend_label=name)
    stock = _figure("messages", 180, x_range=rates.x_range)
    stock.line("x", "y", source=_source(data, data.backlog), color="#e45756", line_width=1.6, legend_label="backlog")
    stock.line(
        "x", "y", source=_source(data, data.in_flight), color="#b279a2", line_width=1.6, legend_label="in flight"
    )
    end = float(data.at_s[-1])
    for plot in (rates, stock):
        _bands(plot, variant, end, named=plot is rates)
        for lost in variant.lost[:200]:
            plot.add_layout(Span(location=lost.last_seen_s, dimension="height", line_color="#c0392b", line_alpha=0.15))
        _legend(plot)
    return rates, stock


def _source(data: Series, values: Any) -> ColumnDataSource:
    return ColumnDataSource({"x": data.at_s.round(3).tolist(), "y": values.round(1).tolist()})


def _figure(label: str, height: int, x_range: Any = None) -> Any:
    options = {"x_range": x_range} if x_range is not None else {}
    plot = figure(
        height=height,
        sizing_mode="stretch_width",
        tools="xpan,xwheel_zoom,box_zoom,reset",
        toolbar_location="above",
        output_backend="svg",
        **options,
    )
    plot.add_tools(HoverTool(tooltips=[("at", "@x{0.00} s"), (label, "@y{0,0}")], mode="vline"))
    plot.xaxis.axis_label = "seconds since the publishers were released"
    plot.yaxis.axis_label = label
    plot.yaxis.formatter = NumeralTickFormatter(format="0,0")
    plot.y_range.start = 0
    _neutral(plot)
    return plot


def _neutral(plot: Any) -> None:
    """Colours that read on a light and on a dark page alike."""
    plot.background_fill_alpha = plot.border_fill_alpha = 0
    plot.outline_line_color = None
    plot.toolbar.logo = None
    for axis in (*plot.xaxis, *plot.yaxis):
        axis.axis_label_text_color = axis.major_label_text_color = _MUTED
        axis.axis_line_color = axis.major_tick_line_color = axis.minor_tick_line_color = _MUTED
        axis.axis_label_text_font_style = "normal"
    for grid in (*plot.xgrid, *plot.ygrid):
        grid.grid_line_color, grid.grid_line_alpha = _MUTED, 0.2


def _legend(plot: Any) -> None:
    legend: Legend = plot.legend[0]
    legend.orientation = "horizontal"
    legend.background_fill_alpha = 0
    legend.border_line_color = None
    legend.label_text_color = _MUTED
    legend.click_policy = "hide"
    plot.add_layout(legend, "below")


def _bands(plot: Any, variant: VariantVerdict, end: float, *, named: bool) -> None:
    for number, fault in enumerate(variant.faults):
        if fault.injected_s is None:
            continue
        right = fault.healed_s if fault.healed_s is not None else end
        plot.add_layout(
            BoxAnnotation(
                left=fault.injected_s,
                right=max(right, fault.injected_s + end / 400),
                fill_color=fault.colour,
                fill_alpha=0.18,
            )
        )
        if named:
            plot.add_layout(
                Label(
                    x=fault.injected_s,
                    y=6 + 14 * (number % 4),
                    y_units="screen",
                    text=plain(fault.title)[:60],
                    text_color=fault.colour,
                    text_font_size="11px",
                )
            )
    for outage in variant.outages:
        plot.add_layout(
            BoxAnnotation(
                left=outage.begin_s,
                right=outage.end_s,
                top=6 if outage.who == "publishers" else 12,
                bottom=0 if outage.who == "publishers" else 6,
                top_units="screen",
                bottom_units="screen",
                fill_color=COLOURS["confirmed" if outage.who == "publishers" else "completed"],
                fill_alpha=0.7,
            )
        )


def lanes(history: History, variant: VariantVerdict) -> Any | None:
    """Draw a lane for each process and node: alive, paused, dead, with its incarnations. None if no process was started."""
    spans = lane_spans(history)
    if not spans:
        return None
    names = list(dict.fromkeys(name for name, *_ in spans))
    plot = figure(
        height=60 + 22 * len(names),
        y_range=names[::-1],
        sizing_mode="stretch_width",
        tools="xpan,xwheel_zoom,reset",
        toolbar_location=None,
        output_backend="svg",
    )
    colours = {"alive": "#54a24b", "paused": "#f2cf5b", "down": "#e45756"}
    for state, colour in colours.items():
        mine = [span for span in spans if span[3] == state]
        if mine:
            source = ColumnDataSource(
                {
                    "y": [name for name, *_ in mine],
                    "left": [round(begin, 3) for _, begin, *_ in mine],
                    "right": [round(end, 3) for _, _, end, *_ in mine],
                    "what": [plain(what) for *_, what in mine],
                }
            )
            plot.hbar(
                y="y",
                left="left",
                right="right",
                height=0.6,
                color=colour,
                alpha=0.8,
                legend_label=state,
                source=source,
            )
    plot.add_tools(HoverTool(tooltips=[("", "@y @what"), ("from", "@left{0.00} s"), ("to", "@right{0.00} s")]))
    plot.xaxis.axis_label = "seconds since the publishers were released"
    _neutral(plot)
    _legend(plot)
    end = max(end for _, _, end, *_ in spans)
    _bands(plot, variant, end, named=False)
    return plot


LaneSpan = tuple[str, float, float, str, str]
"""Name, begin, end (seconds), state (alive, paused, down), what happened."""


def lane_spans(history: History) -> list[LaneSpan]:
    """Work out who was alive, paused or down, from when to when."""
    zero = history.zero_ns
    spans: list[LaneSpan] = []
    open_: dict[str, tuple[float, str, str]] = {}
    last = max((event.at_ns for event in history.events), default=0)

    def close(name: str, at_s: float) -> None:
        if name in open_:
            begin, state, what = open_.pop(name)
            spans.append((name, begin, at_s, state, what))

    for event in history.events:
        at_s = (event.at_ns - zero) / 1e9
        match event:
            case ProcessStarted():
                close(event.actor, at_s)
                open_[event.actor] = (at_s, "alive", f"incarnation {event.incarnation}")
            case ProcessPaused():
                close(event.actor, at_s)
                open_[event.actor] = (at_s, "paused", f"incarnation {event.incarnation}")
            case ProcessResumed():
                close(event.actor, at_s)
                open_[event.actor] = (at_s, "alive", f"incarnation {event.incarnation}")
            case ProcessExited():
                close(event.actor, at_s)
                if event.cause in ("fault", "crash", "unexpected"):
                    open_[event.actor] = (at_s, "down", f"{event.cause}, exit code {event.exit_code}")
            case BrokerStarted():
                for node in event.nodes:
                    open_[node] = (at_s, "alive", "")
            case FaultInjected() if event.family == "broker" and event.action in ("kill", "restart", "stop", "pause"):
                for node in event.targets:
                    close(node, at_s)
                    open_[node] = (at_s, "paused" if event.action == "pause" else "down", event.title)
            case FaultHealed():
                for node, (_, state, what) in list(open_.items()):
                    if state in ("down", "paused") and what.startswith(event.action) and "@" in node:
                        close(node, at_s)
                        open_[node] = (at_s, "alive", "")
    for name in list(open_):
        close(name, (last - zero) / 1e9)
    order = {name: number for number, name in enumerate(dict.fromkeys(span[0] for span in spans))}
    return sorted(spans, key=lambda span: (order[span[0]], span[1]))
