"""The timeline of one variant as Bokeh figures: rates, backlog and in flight, and the lanes of who was alive.

The page names the lines and colours the text: the figures are drawn in colours that read on light and dark, and the
page's script sets the ink of the axes to the page's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from bokeh.embed import json_item
from bokeh.layouts import gridplot
from bokeh.models import PlainText
from bokeh.models.annotations import BoxAnnotation
from bokeh.models.formatters import NumeralTickFormatter
from bokeh.models.ranges import Range1d
from bokeh.models.sources import ColumnDataSource
from bokeh.models.tools import HoverTool
from bokeh.plotting import figure

from harness.checks.verdict import FaultOutcome, VariantVerdict
from harness.history.series import Series
from harness.report.lanes import Span
from harness.report.plain import colour, plain, shortened

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
STATES: Final = {"alive": "#54a24b", "paused": "#d9a514", "down": "#d9534f"}
HIDDEN_AT_FIRST: Final = ("delivered", "acknowledged")
"""Lines that mostly lie on others; the page's legend shows them."""
SHOWN_LANES: Final = 40
"""Processes beyond this many are in the tables only."""
INK: Final = "#7a818c"
OUTAGES: Final = {"publishers": "no confirms", "workers": "no work done"}
"""The lanes of times without service, by who was without it."""
_OUTAGE_COLOUR: Final = "#7f5a83"
_HATCHES: Final = {"alive": " ", "paused": "|", "down": "/"}
"""States differ by more than their colour."""
_LANE_NAME: Final = 16
_LEFT_PX: Final = 96
_FAULT_ROW_PX: Final = 17
_CHARACTER_PX: Final = 6.2
_NARROW_PX: Final = 640
"""Faults' names are laid out for a plot of this width, so that they do not run into each other on a small screen."""


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
    window = _Window.of(begin_s, end_s)
    plots = [_fault_names(variant.faults, window)] if _struck(variant.faults) else []
    if data is not None:
        plots += [_rates(data, window), _stock(data, window)]
    plots.append(_lanes(variant, spans, window))
    for plot in plots:
        _bands(plot, variant.faults, window)
    for plot in plots[:-1]:
        plot.xaxis.major_label_text_font_size = "0px"
        plot.xaxis.major_label_standoff = 0
    plots[-1].xaxis.axis_label = "seconds since the publishers were released"
    grid = gridplot(
        [[plot] for plot in plots],
        sizing_mode="stretch_width",
        toolbar_location="right",
        toolbar_options={"logo": None, "autohide": True},
    )
    return dict(json_item(grid))


@dataclass(frozen=True, slots=True)
class _Window:
    """What all figures of a timeline show: from when to when, and the range that they share."""

    begin_s: float
    end_s: float
    shared: Any

    @classmethod
    def of(cls, begin_s: float, end_s: float) -> _Window:
        begin_s -= (end_s - begin_s) * 0.01
        return cls(begin_s, end_s, Range1d(start=begin_s, end=end_s, bounds="auto"))

    @property
    def span_s(self) -> float:
        return self.end_s - self.begin_s


def _figure(name: str, height: int, window: _Window, **options: Any) -> Any:
    plot = figure(
        name=name,
        height=height,
        sizing_mode="stretch_width",
        tools="box_zoom,xpan,reset,save",
        active_drag=None,
        x_range=window.shared,
        background_fill_alpha=0,
        border_fill_alpha=0,
        outline_line_color=None,
        min_border_left=_LEFT_PX,
        min_border_right=8,
        min_border_top=2,
        min_border_bottom=4,
        **options,
    )
    in_ink(plot)
    return plot


def in_ink(plot: Any) -> None:
    """Draw a figure's axes and grid in the pages' ink."""
    for axis in (*plot.xaxis, *plot.yaxis):
        axis.axis_label_text_color = axis.major_label_text_color = INK
        axis.axis_line_color = axis.major_tick_line_color = INK
        axis.minor_tick_line_color = None
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font_size = axis.major_label_text_font_size = "11px"
        axis.axis_line_alpha = 0.5
        axis.major_tick_in, axis.major_tick_out = 0, 4
    for grid in (*plot.xgrid, *plot.ygrid):
        grid.grid_line_color, grid.grid_line_alpha = INK, 0.18


def _rates(data: Series, window: _Window) -> Any:
    plot = _measures("rates", 230, window, "messages a second")
    _draw(plot, data, {name: values for name, values in data.rates.items() if values.any()}, middle=True)
    return plot


def _stock(data: Series, window: _Window) -> Any:
    plot = _measures("stock", 150, window, "messages")
    _draw(plot, data, {"backlog": data.backlog, "in flight": data.in_flight}, middle=False)
    return plot


def _measures(name: str, height: int, window: _Window, label: str) -> Any:
    plot = _figure(name, height, window)
    plot.yaxis.axis_label = label
    plot.yaxis.formatter = NumeralTickFormatter(format="0,0")
    plot.y_range.start = 0
    plot.yaxis.ticker.desired_num_ticks = 4
    return plot


def _draw(plot: Any, data: Series, values: dict[str, Any], *, middle: bool) -> None:
    shift = data.width_s / (2 if middle else 1)
    columns = {"x": (data.begin_s + shift).round(3).tolist()}
    columns |= {name: each.round(1).tolist() for name, each in values.items()}
    source = ColumnDataSource(columns)
    renderers = [
        plot.line(
            "x", name, source=source, color=LINES[name], line_width=1.8, name=name, visible=name not in HIDDEN_AT_FIRST
        )
        for name in values
    ]
    tips = [("at", "@x{0,0.00} s"), *((name, f"@{{{name}}}{{0,0}}") for name in values)]
    # One line answers for all, or the tips would stack up.
    plot.add_tools(HoverTool(tooltips=tips, mode="vline", renderers=renderers[:1], line_policy="nearest"))


def _struck(faults: Sequence[FaultOutcome]) -> list[FaultOutcome]:
    return [fault for fault in faults if fault.injected_s is not None]


def _bands(plot: Any, faults: Sequence[FaultOutcome], window: _Window) -> None:
    """Mark every fault from its injection to its healing: to the end if it was not healed, as a line if it is over at once."""
    least = window.span_s / 500
    for fault in _struck(faults):
        begin = fault.injected_s or 0.0
        healed = fault.healed_s if fault.healed_s is not None else window.end_s if fault.healable else begin
        plot.add_layout(
            BoxAnnotation(
                left=begin,
                right=max(healed, begin + least),
                fill_color=colour(fault.colour),
                fill_alpha=0.16,
                line_color=colour(fault.colour),
                line_alpha=0.35,
                level="underlay",
            )
        )


def _fault_names(faults: Sequence[FaultOutcome], window: _Window) -> Any:
    """Write each fault's name where it struck, in as many rows as keep the names apart."""
    rows_end: list[float] = []
    columns: dict[str, Any] = {key: [] for key in ("x", "row", "name", "colour", "align", "offset")}
    for fault in _struck(faults):
        at = fault.injected_s or 0.0
        name = shortened(plain(f"{fault.fault + 1} {fault.title}"), 36)
        width = (len(name) * _CHARACTER_PX + 10) / (_NARROW_PX - _LEFT_PX) * window.span_s
        late = at > window.begin_s + window.span_s * 0.6
        left, right = (at - width, at) if late else (at, at + width)
        row = next((index for index, taken in enumerate(rows_end) if left >= taken), len(rows_end))
        rows_end[row : row + 1] = [right]
        values = (at, row, name, colour(fault.colour), "right" if late else "left", -4 if late else 4)
        for key, value in zip(columns, values, strict=True):
            columns[key].append(value)
    rows = len(rows_end)
    plot = _figure("faults", rows * _FAULT_ROW_PX + 8, window, y_range=Range1d(start=rows - 0.5, end=-0.5))
    plot.axis.visible = False
    plot.grid.visible = False
    plot.text(
        x="x",
        y="row",
        text="name",
        x_offset="offset",
        text_align="align",
        text_baseline="middle",
        text_color="colour",
        text_font_size="12px",
        text_font_style="bold",
        source=ColumnDataSource(columns),
    )
    return plot


def _lanes(variant: VariantVerdict, spans: Sequence[Span], window: _Window) -> Any:
    names = list(dict.fromkeys(span.lane for span in spans))[:SHOWN_LANES]
    outages = [outage for outage in variant.outages if outage.who in OUTAGES]
    labels = [label for who, label in OUTAGES.items() if any(outage.who == who for outage in outages)]
    row_of = {name: len(labels) + number for number, name in enumerate(names)}
    labels += [shortened(plain(name), _LANE_NAME) for name in names]
    rows = max(1, len(labels))
    plot = _figure("lanes", 46 + 20 * rows, window, y_range=Range1d(start=rows - 0.5, end=-0.5))
    plot.ygrid.visible = False
    plot.yaxis.ticker = list(range(len(labels)))
    # Plain text: a name that looks like a formula is none.
    plot.yaxis.major_label_overrides = {row: PlainText(text=label) for row, label in enumerate(labels)}
    for state, fill in STATES.items():
        mine = [span for span in spans if span.state == state and span.lane in row_of]
        bars = [(row_of[span.lane], span.begin_s, span.end_s, f"{span.lane}, {state}", span.what) for span in mine]
        _bars(plot, bars, fill, hatch=_HATCHES[state], window=window)
    stood = [
        (labels.index(OUTAGES[outage.who]), outage.begin_s, outage.end_s, OUTAGES[outage.who], "an outage")
        for outage in outages
    ]
    _bars(plot, stood, _OUTAGE_COLOUR, hatch="x", window=window)
    plot.add_tools(
        HoverTool(
            tooltips=[("", "@name"), ("", "@what"), ("from", "@left{0,0.00} s"), ("to", "@right{0,0.00} s")],
            renderers=[renderer for renderer in plot.renderers if renderer.name == "bars"],
        )
    )
    return plot


def _bars(
    plot: Any, bars: Sequence[tuple[int, float, float, str, str]], fill: str, *, hatch: str, window: _Window
) -> None:
    if not bars:
        return
    source = ColumnDataSource(
        {
            "y": [row for row, *_ in bars],
            "left": [round(max(left, window.begin_s), 3) for _, left, *_ in bars],
            "right": [round(right, 3) for _, _, right, *_ in bars],
            "name": [plain(name) for *_, name, _ in bars],
            "what": [plain(what) for *_, what in bars],
        }
    )
    plot.hbar(
        name="bars",
        y="y",
        left="left",
        right="right",
        height=0.56,
        fill_color=fill,
        fill_alpha=0.75,
        line_color=None,
        hatch_pattern=hatch,
        hatch_color="#ffffff",
        hatch_alpha=0.55,
        hatch_scale=6,
        source=source,
    )
