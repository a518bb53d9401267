"""Charts are written without Bokeh's models for Python; these read here what is written, and know every name and type."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bokeh.document import Document
from bokeh.models import ColumnDataSource, DatetimeAxis, GridPlot, HoverTool, LogAxis
from bokeh.models import Model as BokehModel
from bokeh.models import Plot as BokehPlot
from bokeh.models.renderers import GlyphRenderer
from bokeh.plotting import figure

from harness.report.bokehjs import Field, Model, Value, embedded
from harness.report.charts import latency, timeline
from harness.report.lanes import lanes
from harness.report.scripts import chart_scripts
from harness.report.trend_page import trend_page
from harness.trend.changes import changes
from harness.trend.table import table
from tests.unit import report_samples as samples
from tests.unit import trend_samples

pytestmark = pytest.mark.seconds


def unknown(written: Any) -> Iterator[str]:
    """Name the attributes that their models do not have; the library leaves them out with a word in its log."""
    if isinstance(written, dict):
        if written.get("type") == "object":
            kind = figure if written["name"] == "Figure" else BokehModel.model_class_reverse_map[written["name"]]
            yield from (f"{written['name']}.{name}" for name in {*written.get("attributes", ())} - kind.properties())
        written = list(written.values())
    if isinstance(written, list):
        yield from (name for each in written for name in unknown(each))


def read(item: dict[str, Any]) -> Any:
    """Read a chart as its page does, and return what it shows."""
    assert list(unknown(item["doc"])) == []
    document = Document.from_json(item["doc"])
    document.validate()
    (root,) = document.roots
    assert root.id == item["root_id"]
    return root


@pytest.mark.parametrize("name", ["passing", "failing", "interrupted", "hostile"])
def test_the_library_knows_all_that_the_charts_of_a_run_say(name: str) -> None:
    sample = samples.ALL[name]()
    for variant in sample.run.variants:
        history = sample.histories[variant.name]
        drawn = timeline(variant, None, lanes(history)), latency(variant)
        for root in (read(item) for item in drawn if item is not None):
            assert isinstance(root, GridPlot)
            plots: list[Any] = list(root.select({"type": BokehPlot}))
            assert len({plot.x_range.id for plot in plots}) == 1


def test_lines_of_latencies_are_drawn_from_one_source_and_answer_the_pointer_once() -> None:
    variant = samples.passing().run.variants[0]
    item = latency(variant)
    assert item is not None
    root = read(item)
    assert len(list(root.select({"type": LogAxis}))) == 2
    for plot, _, _ in root.children:
        assert len(list(plot.select({"type": ColumnDataSource}))) == 1
        (hover,) = plot.select({"type": HoverTool})
        assert [renderer.glyph.line_alpha for renderer in hover.renderers] == [0]
        assert len(list(plot.select({"type": GlyphRenderer}))) == 9


def test_the_library_knows_all_that_the_charts_of_a_trend_say(monkeypatch: pytest.MonkeyPatch) -> None:
    packed: list[dict[str, Any]] = []

    def keep(charts: list[dict[str, Any]]) -> str:
        packed.extend(charts)
        return ""

    monkeypatch.setattr("harness.report.trend_page.packed_json", keep)
    found = table(trend_samples.nights(20, seed=1, scenarios=1))
    trend_page(found, changes(found))
    roots = [read(chart["item"]) for chart in packed]
    assert roots
    assert all(list(root.select({"type": DatetimeAxis})) for root in roots)


def test_what_is_in_two_places_is_one_model_and_marks_say_where_their_values_are() -> None:
    shared = Model("Range1d", start=0, end=math.nan)
    root = Model("Figure", x_range=shared, y_range=shared, renderers=[Field("a"), Value(None)], title={"a": (1, "b")})
    written = embedded(root)["doc"]["roots"][0]["attributes"]
    assert written["x_range"]["attributes"] == {"start": 0, "end": {"type": "number", "value": "nan"}}
    assert written["y_range"] == {"id": written["x_range"]["id"]}
    assert written["renderers"] == [{"type": "field", "field": "a"}, {"type": "value", "value": None}]
    assert written["title"] == {"type": "map", "entries": [["a", [1, "b"]]]}
    with pytest.raises(TypeError, match="nothing of set"):
        embedded(Model("Figure", renderers={1}))


def test_the_script_ends_no_element(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "js").mkdir()
    (tmp_path / "js" / "bokeh.min.js").write_text("'</script>'")
    monkeypatch.setattr("harness.report.scripts.bokehjs_path", lambda: tmp_path)
    chart_scripts.cache_clear()
    assert chart_scripts()[0].text == r"'<\/script>'"
    chart_scripts.cache_clear()
