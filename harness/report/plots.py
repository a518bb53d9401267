"""What all figures have in common: a window of time that they share, axes in the pages' ink, bands of faults, tips.

The page names the lines and colours the text: the figures are drawn in colours that read on light and dark, and the
page's script sets the ink of axes and text to the page's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from bokeh.embed import json_item
from bokeh.layouts import gridplot
from bokeh.models.annotations import BoxAnnotation
from bokeh.models.ranges import Range1d
from bokeh.models.sources import ColumnDataSource
from bokeh.models.tools import HoverTool
from bokeh.plotting import figure

from harness.checks.verdict import FaultOutcome
from harness.report.plain import colour

INK: Final = "#7a818c"
IN_INK: Final = "in ink"
"""The name of texts that the page's script sets in the page's ink."""
LEFT_PX: Final = 96
"""Room for the names of the lanes, in every figure, so that one moment is at one place in all of them."""


@dataclass(frozen=True, slots=True)
class Window:
    """What the figures under each other show: from when to when, and the range that they share."""

    begin_s: float
    end_s: float
    shared: Any

    @classmethod
    def of(cls, begin_s: float, end_s: float) -> Window:
        """Take a window a little wider to the left, so that what happens at once does not lie on the axis."""
        begin_s -= (end_s - begin_s) * 0.01
        return cls(begin_s, end_s, Range1d(start=begin_s, end=end_s, bounds="auto"))

    @property
    def span_s(self) -> float:
        """How long it is."""
        return self.end_s - self.begin_s


def plot_in(window: Window, name: str, height: int, **options: Any) -> Any:
    """Make an empty figure, `height` pixels high and as wide as the page lets it be."""
    plot = figure(
        name=name,
        height=height,
        sizing_mode="stretch_width",
        tools="box_zoom,xpan,xzoom_in,xzoom_out,reset,save",
        active_drag=None,
        x_range=window.shared,
        background_fill_alpha=0,
        border_fill_alpha=0,
        outline_line_color=None,
        min_border_left=LEFT_PX,
        min_border_right=8,
        min_border_top=6,
        min_border_bottom=8,
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


def stacked(plots: Sequence[Any]) -> dict[str, Any]:
    """Put figures of one window under each other, with one axis of time; the JSON that BokehJS embeds."""
    for plot in plots[:-1]:
        plot.xaxis.major_label_text_font_size = "0px"
        plot.xaxis.major_label_standoff = 0
    plots[-1].xaxis.axis_label = "seconds since the release"
    grid = gridplot(
        [[plot] for plot in plots],
        sizing_mode="stretch_width",
        toolbar_location="above",
        toolbar_options={"logo": None, "autohide": True},
    )
    return embedded(grid, plots)


def embedded(root: Any, plots: Sequence[Any]) -> dict[str, Any]:
    """Return the JSON that BokehJS embeds, without the looks of what is selected or muted: the pages select and mute nothing."""
    for plot in plots:
        for renderer in plot.renderers:
            renderer.nonselection_glyph = renderer.muted_glyph = "auto"
    return dict(json_item(root))


def answer(
    plot: Any, source: ColumnDataSource, line: tuple[str, str], tips: list[tuple[str, str]], **options: Any
) -> None:
    """Let one line, of two columns, answer the pointer for all, or the tips would stack up; an unseen one, which nobody can switch off."""
    unseen = plot.line(*line, source=source, line_alpha=0)
    plot.add_tools(HoverTool(tooltips=tips, mode="vline", renderers=[unseen], line_policy="nearest", **options))


def struck(faults: Sequence[FaultOutcome]) -> list[FaultOutcome]:
    """Return the faults that were injected."""
    return [fault for fault in faults if fault.injected_s is not None]


def mark_faults(plot: Any, faults: Sequence[FaultOutcome], window: Window) -> None:
    """Draw every fault as a band from its injection to its healing: to the end if it was not healed, as a line if it is over at once."""
    least = window.span_s / 500
    for fault in struck(faults):
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
