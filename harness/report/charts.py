"""One variant as figures: rates, backlog and in flight, the lanes of who was alive, and latency over time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from harness.history.series import Series
from harness.plain import colour, plain, shortened
from harness.report.bokehjs import Field, Model
from harness.report.figures import SHOWN_NAMES
from harness.report.lane_plot import lane_plot
from harness.report.lanes import Span
from harness.report.plots import (
    IN_INK,
    INK,
    LEFT_PX,
    Plot,
    Window,
    answer,
    mark_faults,
    numbers,
    plot_in,
    source,
    stacked,
    struck,
)
from harness.verdict.data import FaultOutcome, VariantVerdict
from harness.verdict.times import LatencyDetail, LatencyStep

LINES: Final = {
    "published": "#4c78a8",
    "confirmed": "#3fa7a0",
    "delivered": "#b279a2",
    "completed": "#54a24b",
    "acknowledged": "#a87b5b",
    "backlog": "#d9822b",
    "in flight": "#8e6bbf",
}
"""The colours of the lines, by what they show."""
LATENCY: Final = {
    "p50": ("median", "#54a24b"),
    "p95": ("95%", "#d9a514"),
    "p99": ("99%", "#d9822b"),
    "max": ("longest", "#d9534f"),
}
"""The lines of the latency charts: what each is called, and its colour."""
DUE: Final = "completion from due"
"""What the latency is called that counts from when a message was due by its publisher's rate."""
QUEUES: Final = ("#d9822b", "#4c78a8", "#54a24b", "#b3446c", "#8e6bbf", "#3fa7a0", "#a87b5b", "#d9a514")
"""The colours of the queues' lines, in the order of the scenario; the first again after the last."""
HIDDEN_AT_FIRST: Final = ("delivered", "acknowledged")
"""Lines that mostly lie on others; the page's legend shows them."""
_FAULT_ROW_PX: Final = 17
_CHARACTER_PX: Final = 6.6
_NARROW_PX: Final = 640
"""Faults' names are laid out for a plot of this width, so that they do not run into each other on a small screen."""
_APART: Final = 5
"""Steps without a message that a line of latencies is drawn across; a longer gap is one."""


@dataclass(frozen=True, slots=True)
class QueueLine:
    """A queue's line in the chart of depths."""

    name: str
    """What the page's script calls it."""
    queue: str
    colour: str


def queue_lines(data: Series | None) -> tuple[QueueLine, ...]:
    """Return the lines of the chart of depths: of the queues that were fullest, in the order of the scenario."""
    if data is None:
        return ()
    fullest = set(sorted(data.depths, key=lambda queue: -int(data.depths[queue].max()))[:SHOWN_NAMES])
    shown = [queue for queue in data.depths if queue in fullest]
    return tuple(
        QueueLine(f"queue {number}", queue, QUEUES[number % len(QUEUES)]) for number, queue in enumerate(shown)
    )


def timeline(variant: VariantVerdict, data: Series | None, spans: Sequence[Span]) -> dict[str, Any] | None:
    """Draw a variant's timeline; the JSON that BokehJS embeds, or None if there is nothing to draw."""
    if data is None and not spans:
        return None
    end_s = max(
        float(data.begin_s[-1]) + data.width_s if data is not None else 0.0,
        *(fault.healed_s or fault.injected_s or 0.0 for fault in variant.faults),
        0.1,
    )
    begin_s = float(data.begin_s[0]) if data is not None else 0.0
    if data is None:
        end_s = max(end_s, *(span.end_s for span in spans))
    window = Window.of(begin_s, end_s)
    plots = [_fault_names(variant.faults, window)] if struck(variant.faults) else []
    if data is not None:
        plots += [_rates(data, window), _stock(data, window)]
        if data.depths:
            plots.append(_depths(data, window))
    plots.append(lane_plot(variant, spans, window))
    for plot in plots:
        mark_faults(plot, variant.faults, window)
    return stacked(plots)


def latency(variant: VariantVerdict) -> dict[str, Any] | None:
    """Draw a variant's latencies over time; the JSON that BokehJS embeds, or None if there are none."""
    kinds = {
        "confirm": variant.confirm_latency_detail,
        "completion": variant.completion_latency_detail,
        DUE: variant.completion_due_latency_detail,
    }
    found = {name: each for name, each in kinds.items() if each is not None}
    if not found:
        return None
    begin_s = min(each.steps[0].begin_s for each in found.values())
    window = Window.of(begin_s, max(each.steps[-1].begin_s + each.step_s for each in found.values()))
    plots = [_latency(name, each, window) for name, each in found.items()]
    for plot in plots:
        mark_faults(plot, variant.faults, window)
    return stacked(plots)


def _latency(name: str, detail: LatencyDetail, window: Window) -> Plot:
    ticker = Model("LogTicker", desired_num_ticks=4)
    axis = Model("LogAxis", axis_label=f"ms to {name}", formatter=numbers("0,0[.]00"), ticker=ticker)
    plot = plot_in(window, f"latency {name}", 190, y_axis=axis)
    plot.set(y_scale=Model("LogScale"))
    plot.grids[1].set(ticker=ticker)
    rows = list(_with_gaps(detail))
    columns: dict[str, Any] = {"x": [round(begin_s + detail.step_s / 2, 4) for begin_s, _ in rows]}
    for key in LATENCY:
        # A logarithmic axis has no 0; the clock's own step is far below a thousandth of a millisecond.
        columns[key] = [math.nan if s is None else max(1e-3, float(f"{getattr(s, key) * 1e3:.4g}")) for _, s in rows]
    columns["count"] = [0 if step is None else step.count for _, step in rows]
    steps = source(columns)
    for key, (_, shade) in LATENCY.items():
        plot.line(steps, "x", key, line_color=shade, line_width=1.8)
        plot.marks("Scatter", steps, x=Field("x"), y=Field(key), size=3.5, line_color=shade, fill_color=shade)
    tips = [
        ("due at" if name == DUE else "published at", "@x{0,0.00} s"),
        *((said, f"@{key}{{0,0.[00]}} ms") for key, (said, _) in LATENCY.items()),
    ]
    tips.append(("messages", "@count{0,0}"))
    answer(plot, steps, ("x", "p50"), tips)
    return plot


def _with_gaps(detail: LatencyDetail) -> Iterator[tuple[float, LatencyStep | None]]:
    """Give each step with its begin, and nothing where so long no message was published that a line would claim too much."""
    last_s = math.inf
    for step in detail.steps:
        if step.begin_s - last_s > (_APART + 0.5) * detail.step_s:
            yield last_s + detail.step_s, None
        yield step.begin_s, step
        last_s = step.begin_s


def _rates(data: Series, window: Window) -> Plot:
    plot = _measures("rates", 230, window, "messages a second")
    _draw(plot, data, {name: values for name, values in data.rates.items() if values.any()}, middle=True)
    return plot


def _stock(data: Series, window: Window) -> Plot:
    plot = _measures("stock", 150, window, "messages")
    _draw(plot, data, {"backlog": data.backlog, "in flight": data.in_flight}, middle=False)
    return plot


def _depths(data: Series, window: Window) -> Plot:
    plot = _measures("depths", 150, window, "waiting")
    lines = queue_lines(data)
    columns = {"x": (data.begin_s + data.width_s).round(3).tolist()}
    columns |= {line.name: data.depths[line.queue].tolist() for line in lines}
    buckets = source(columns)
    for line in lines:
        plot.line(buckets, "x", line.name, line_color=line.colour, line_width=1.8, name=line.name)
    tips = [("at", "@x{0,0.00} s"), *((plain(line.queue), f"@{{{line.name}}}{{0,0}}") for line in lines)]
    answer(plot, buckets, ("x", lines[0].name), tips)
    return plot


def _measures(name: str, height: int, window: Window, label: str) -> Plot:
    ticker = Model("BasicTicker", desired_num_ticks=4)
    axis = Model("LinearAxis", axis_label=label, formatter=numbers(), ticker=ticker)
    return plot_in(window, name, height, y_range=Model("DataRange1d", start=0), y_axis=axis)


def _draw(plot: Plot, data: Series, values: dict[str, Any], *, middle: bool) -> None:
    shift = data.width_s / (2 if middle else 1)
    columns = {"x": (data.begin_s + shift).round(3).tolist()}
    columns |= {name: each.round(1).tolist() for name, each in values.items()}
    buckets = source(columns)
    for name in values:
        shown = name not in HIDDEN_AT_FIRST
        plot.line(buckets, "x", name, line_color=LINES[name], line_width=1.8, name=name, visible=shown)
    tips = [("at", "@x{0,0.00} s"), *((name, f"@{{{name}}}{{0,0}}") for name in values)]
    for name in tuple(values)[:1]:
        answer(plot, buckets, ("x", name), tips)


def _fault_names(faults: Sequence[FaultOutcome], window: Window) -> Plot:
    """Write each fault's name where it struck, beside its colour, in as many rows as keep the names apart."""
    rows_end: list[float] = []
    columns: dict[str, Any] = {key: [] for key in ("x", "row", "name", "colour", "align", "text_at", "square_at")}
    for fault in struck(faults):
        at = fault.injected_s or 0.0
        name = shortened(plain(f"{fault.fault + 1} {fault.title}"), 36)
        width = (len(name) * _CHARACTER_PX + 24) / (_NARROW_PX - LEFT_PX) * window.span_s
        late = at > window.begin_s + window.span_s * 0.6
        left, right = (at - width, at) if late else (at, at + width)
        row = next((index for index, taken in enumerate(rows_end) if left >= taken), len(rows_end))
        rows_end[row : row + 1] = [right]
        places = ("right", -18, -4) if late else ("left", 18, 4)
        for key, value in zip(columns, (at, row, name, colour(fault.colour), *places), strict=True):
            columns[key].append(value)
    rows = len(rows_end)
    plot = plot_in(window, "faults", rows * _FAULT_ROW_PX + 14, y_range=Model("Range1d", start=rows - 0.5, end=-0.5))
    for unseen in (plot.x_axis, plot.y_axis, *plot.grids):
        unseen.set(visible=False)
    write = partial(
        plot.marks,
        "Text",
        source(columns),
        x=Field("x"),
        y=Field("row"),
        text_align=Field("align"),
        text_baseline="middle",
    )
    write(text="■", x_offset=Field("square_at"), text_color=Field("colour"), text_font_size="13px")
    write(
        text=Field("name"),
        x_offset=Field("text_at"),
        text_font_size="12px",
        text_font_style="bold",
        text_color=INK,
        name=IN_INK,
    )
    return plot
