"""What all figures have in common: a window of time that they share, axes in the pages' ink, bands of faults, tips.

The page names the lines and colours the text: the figures are drawn in colours that read on light and dark, and the
page's script sets the ink of axes and text to the page's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from harness.plain import colour
from harness.report.bokehjs import Field, Model, Value, embedded
from harness.verdict.data import FaultOutcome

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
    shared: Model

    @classmethod
    def of(cls, begin_s: float, end_s: float) -> Window:
        """Take a window a little wider to the left, so that what happens at once does not lie on the axis."""
        begin_s -= (end_s - begin_s) * 0.01
        return cls(begin_s, end_s, Model("Range1d", start=begin_s, end=end_s, bounds="auto"))

    @property
    def span_s(self) -> float:
        """How long it is."""
        return self.end_s - self.begin_s


class Plot:
    """A figure that is as wide as the page lets it be."""

    def __init__(
        self,
        height: int,
        x_range: Model,
        y_range: Model,
        *,
        x_axis: Model,
        y_axis: Model,
        left_px: int,
        name: str | None = None,
    ) -> None:
        """Begin an empty one, `height` pixels high, its axes in the pages' ink."""
        self.name: Final = name
        self.x_axis: Final = x_axis
        self.y_axis: Final = y_axis
        self.grids: Final = (Model("Grid", axis=x_axis), Model("Grid", axis=y_axis, dimension=1))
        self.renderers: Final[list[Model]] = []
        self.tools: Final[list[Model]] = []
        self.bands: Final[list[Model]] = []
        self._looks: Final[dict[str, object]] = {
            "height": height,
            "x_range": x_range,
            "y_range": y_range,
            "min_border_left": left_px,
            "min_border_right": 8,
        }
        for axis in (x_axis, y_axis):
            _in_ink(axis)
        for grid in self.grids:
            grid.set(grid_line_color=INK, grid_line_alpha=0.18)

    def set(self, **looks: object) -> None:
        """Change how it looks."""
        self._looks.update(looks)

    def line(
        self, source: Model, x: str, y: str, *, name: str | None = None, visible: bool = True, **looks: object
    ) -> Model:
        """Draw a line through two columns of a source."""
        return self._draw(source, Model("Line", x=Field(x), y=Field(y), **looks), name=name, visible=visible)

    def marks(
        self, kind: str, source: Model, *, name: str | None = None, level: str | None = None, **looks: object
    ) -> Model:
        """Draw marks, one for each row of a source: what is no `Field` holds for all."""
        each = {key: look if isinstance(look, Field) else Value(look) for key, look in looks.items()}
        return self._draw(source, Model(kind, **each), name=name, **({} if level is None else {"level": level}))

    def _draw(self, source: Model, glyph: Model, **attributes: object) -> Model:
        renderer = Model("GlyphRenderer", data_source=source, glyph=glyph, **attributes)
        self.renderers.append(renderer)
        return renderer

    def model(self) -> Model:
        """Return it as BokehJS's model."""
        return Model(
            "Figure",
            name=self.name,
            sizing_mode="stretch_width",
            background_fill_alpha=0,
            border_fill_alpha=0,
            outline_line_color=None,
            title=Model("Title"),
            toolbar=Model("Toolbar", tools=self.tools, active_drag=None),
            toolbar_location=None,
            left=[self.y_axis],
            below=[self.x_axis],
            center=[*self.grids, *self.bands],
            renderers=self.renderers,
            **self._looks,
        )


def plot_in(
    window: Window, name: str, height: int, *, y_range: Model | None = None, y_axis: Model | None = None
) -> Plot:
    """Make an empty figure of a window of time."""
    y_range, y_axis = y_range or Model("DataRange1d"), y_axis or Model("LinearAxis")
    plot = Plot(height, window.shared, y_range, x_axis=Model("LinearAxis"), y_axis=y_axis, left_px=LEFT_PX, name=name)
    plot.set(min_border_top=6, min_border_bottom=8)
    plot.tools.extend(
        (
            Model("BoxZoomTool", dimensions="both"),
            Model("PanTool", dimensions="width"),
            Model("ZoomInTool", dimensions="width"),
            Model("ZoomOutTool", dimensions="width"),
            Model("ResetTool"),
            Model("SaveTool"),
        )
    )
    return plot


def _in_ink(axis: Model) -> None:
    axis.set(
        axis_label_text_color=INK,
        major_label_text_color=INK,
        axis_line_color=INK,
        major_tick_line_color=INK,
        minor_tick_line_color=None,
        axis_label_text_font_style="normal",
        axis_label_text_font_size="11px",
        major_label_text_font_size="11px",
        axis_line_alpha=0.5,
        major_tick_in=0,
        major_tick_out=4,
    )


def numbers(pattern: str = "0,0") -> Model:
    """Write an axis's numbers in a pattern."""
    return Model("NumeralTickFormatter", format=pattern)


def source(columns: Mapping[str, Sequence[object]]) -> Model:
    """Give columns that lines and marks are drawn from."""
    return Model("ColumnDataSource", data=columns)


def stacked(plots: Sequence[Plot]) -> dict[str, Any]:
    """Put figures of one window under each other, with one axis of time; the JSON that BokehJS embeds."""
    for plot in plots[:-1]:
        plot.x_axis.set(major_label_text_font_size="0px", major_label_standoff=0)
    plots[-1].x_axis.set(axis_label="seconds since the release")
    toolbar = Model("Toolbar", tools=_joined(plots), logo=None, autohide=True, active_drag=None)
    children = [[plot.model(), row, 0] for row, plot in enumerate(plots)]
    return embedded(
        Model("GridPlot", children=children, toolbar=toolbar, toolbar_location="above", sizing_mode="stretch_width")
    )


def _joined(plots: Sequence[Plot]) -> list[Model]:
    """Let one button stand for the same tool of all figures."""
    alike: dict[str, list[Model]] = {}
    for tool in (tool for plot in plots for tool in plot.tools):
        looks = {key: look for key, look in tool.attributes.items() if key != "renderers"}
        alike.setdefault(f"{tool.kind} {looks}", []).append(tool)
    return [
        Model("SaveTool") if tools[0].kind == "SaveTool" else Model("ToolProxy", tools=tools)
        for tools in alike.values()
    ]


def tip(plot: Plot, renderers: Sequence[Model], tips: Sequence[tuple[str, str]], **options: object) -> None:
    """Say something where the pointer meets what is drawn."""
    plot.tools.append(Model("HoverTool", renderers=list(renderers), tooltips=list(tips), sort_by=None, **options))


def answer(
    plot: Plot, columns: Model, line: tuple[str, str], tips: Sequence[tuple[str, str]], **options: object
) -> None:
    """Let one line, of two columns, answer the pointer for all, or the tips would stack up; an unseen one, which nobody can switch off."""
    unseen = plot.line(columns, *line, line_alpha=0)
    tip(plot, [unseen], tips, mode="vline", line_policy="nearest", **options)


def struck(faults: Sequence[FaultOutcome]) -> list[FaultOutcome]:
    """Return the faults that were injected."""
    return [fault for fault in faults if fault.injected_s is not None]


def mark_faults(plot: Plot, faults: Sequence[FaultOutcome], window: Window) -> None:
    """Draw every fault as a band from its injection to its healing: to the end if it was not healed, as a line if it is over at once."""
    least = window.span_s / 500
    for fault in struck(faults):
        begin = fault.injected_s or 0.0
        healed = fault.healed_s if fault.healed_s is not None else window.end_s if fault.healable else begin
        plot.bands.append(
            Model(
                "BoxAnnotation",
                left=begin,
                right=max(healed, begin + least),
                fill_color=colour(fault.colour),
                fill_alpha=0.16,
                line_color=colour(fault.colour),
                line_alpha=0.35,
                level="underlay",
            )
        )
