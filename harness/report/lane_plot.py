"""The lanes as a figure: who was alive, reconnecting, paused or down, times without service, and where lost messages were last seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log10
from typing import Final

from harness.plain import plain, shortened
from harness.report.bokehjs import Field, Model
from harness.report.figures import seconds
from harness.report.lanes import Span
from harness.report.plots import IN_INK, INK, Plot, Window, plot_in, source, tip
from harness.verdict.data import LossCause, VariantVerdict
from harness.verdict.words import plural

STATES: Final = {"alive": "#54a24b", "reconnecting": "#4c9be8", "paused": "#d9a514", "down": "#d9534f"}
LOST: Final = "#e0241b"
SHOWN_LANES: Final = 40
"""Processes beyond this many are in the tables only."""
OUTAGES: Final = {"publishers": "no confirms", "workers": "no worker busy"}
"""The lanes of times without service, by who was without it."""
_OUTAGE_COLOUR: Final = "#7f5a83"
_HATCHES: Final = {"alive": " ", "reconnecting": ".", "paused": "|", "down": "/"}
"""States differ by more than their colour."""
_LANE_NAME: Final = 16

Bar = tuple[int, float, float, str, str]
"""Row, from, to (seconds), and what the pointer is told: a name, and what it is."""


def lane_plot(variant: VariantVerdict, spans: Sequence[Span], window: Window) -> Plot:
    """Draw a variant's lanes; times without service come first, lost messages are marked in the lane of whoever held them."""
    names = list(dict.fromkeys(span.lane for span in spans))[:SHOWN_LANES]
    outages = [outage for outage in variant.outages if outage.who in OUTAGES]
    labels = [label for who, label in OUTAGES.items() if any(outage.who == who for outage in outages)]
    names += dict.fromkeys(holder for cause in variant.causes if (holder := _holder(cause)) not in names)
    row_of = {name: len(labels) + number for number, name in enumerate(names)}
    labels += [shortened(plain(name), _LANE_NAME) for name in names]
    rows = max(1, len(labels))
    plot = plot_in(window, "lanes", 50 + 20 * rows, y_range=Model("Range1d", start=rows - 0.5, end=-0.5))
    plot.grids[1].set(visible=False)
    plot.y_axis.set(
        ticker=Model("FixedTicker", ticks=list(range(len(labels)))),
        # Plain text: a name that looks like a formula is none.
        major_label_overrides={row: Model("PlainText", text=label) for row, label in enumerate(labels)},
    )
    for state, fill in STATES.items():
        mine = [span for span in spans if span.state == state and span.lane in row_of]
        bars = [(row_of[span.lane], span.begin_s, span.end_s, f"{span.lane}, {state}", span.what) for span in mine]
        _bars(plot, bars, fill, hatch=_HATCHES[state], window=window)
    stood = [
        (labels.index(OUTAGES[outage.who]), outage.begin_s, outage.end_s, OUTAGES[outage.who], "an outage")
        for outage in outages
    ]
    _bars(plot, stood, _OUTAGE_COLOUR, hatch="x", window=window)
    _lengths(plot, stood)
    _lost(plot, variant.causes, row_of)
    drawn = [renderer for renderer in plot.renderers if renderer.attributes["name"] == "bars"]
    tip(plot, drawn, [("", "@name"), ("", "@what"), ("from", "@left{0,0.00} s"), ("to", "@right{0,0.00} s")])
    return plot


def _holder(cause: LossCause) -> str:
    """Name the lane that lost messages are marked in: whoever held them, else their place."""
    return cause.actor or f"({cause.place.value})"


def _lengths(plot: Plot, outages: Sequence[Bar]) -> None:
    """Write behind each outage how long it was."""
    if not outages:
        return
    columns = source(
        {
            "x": [right for _, _, right, *_ in outages],
            "y": [row for row, *_ in outages],
            "text": [seconds(right - left) for _, left, right, *_ in outages],
        }
    )
    plot.marks(
        "Text",
        columns,
        x=Field("x"),
        y=Field("y"),
        text=Field("text"),
        x_offset=4,
        text_baseline="middle",
        text_font_size="11px",
        text_color=INK,
        name=IN_INK,
    )


def _lost(plot: Plot, causes: Sequence[LossCause], row_of: Mapping[str, int]) -> None:
    """Mark when and where lost messages were last seen: the more at about one time, the larger."""
    rows = [(cause, seen) for cause in causes for seen in cause.last_seen]
    if not rows:
        return
    columns = source(
        {
            "x": [round(seen.at_s, 3) for _, seen in rows],
            "y": [row_of[_holder(cause)] for cause, _ in rows],
            "size": [round(8 + 3 * log10(seen.count), 1) for _, seen in rows],
            "said": [
                f"{plural(seen.count, 'lost message')}, last seen at {plain(_holder(cause))}" for cause, seen in rows
            ],
            "kept": [plain(cause.setting) for cause, _ in rows],
        }
    )
    marks = plot.marks(
        "Scatter",
        columns,
        x=Field("x"),
        y=Field("y"),
        size=Field("size"),
        marker="x",
        line_color=LOST,
        line_width=2.2,
        name="lost",
        level="overlay",
    )
    tips = [("", "@said"), ("at", "@x{0,0.00} s"), ("would have kept them", "@kept")]
    tip(plot, [marks], tips)


def _bars(plot: Plot, bars: Sequence[Bar], fill: str, *, hatch: str, window: Window) -> None:
    if not bars:
        return
    columns = source(
        {
            "y": [row for row, *_ in bars],
            "left": [round(max(left, window.begin_s), 3) for _, left, *_ in bars],
            "right": [round(right, 3) for _, _, right, *_ in bars],
            "name": [plain(name) for *_, name, _ in bars],
            "what": [plain(what) for *_, what in bars],
        }
    )
    plot.marks(
        "HBar",
        columns,
        name="bars",
        y=Field("y"),
        left=Field("left"),
        right=Field("right"),
        height=0.56,
        fill_color=fill,
        fill_alpha=0.75,
        line_color=None,
        hatch_pattern=hatch,
        hatch_color="#ffffff",
        hatch_alpha=0.55,
        hatch_scale=6,
    )
