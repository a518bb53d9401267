"""report.html: one file that opens from disk without a network. It shows what the verdict and the history hold, and computes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from bokeh.embed import components
from bokeh.resources import INLINE
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from harness.checks.verdict import Fate, Outcome, RunVerdict, VariantVerdict
from harness.history.history import History
from harness.report.charts import lanes, timeline
from harness.report.plain import lines, plain
from harness.scenario.quantities import format_duration

LISTED_ON_PAGE = 100
"""Lost messages that the page lists one by one; verdict.json has more, history.parquet all."""
LOG_LINES = 200
"""Last lines of a broker's log that the page holds; the run's directory has all."""


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("harness.report"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "plain": plain,
        "lines": lines,
        "number": lambda value: f"{value:,}",
        "seconds": lambda value: "" if value is None else format_duration(value),
        "at": lambda value: "" if value is None else f"{value:.2f} s",
    }
    return environment


def html(
    run: RunVerdict,
    *,
    histories: Mapping[str, History],
    resolved_scenario: str,
    broker_logs: Mapping[str, Mapping[str, str]],
) -> str:
    """Render a run's page."""
    figures: dict[str, Any] = {}
    for index, variant in enumerate(run.variants):
        history = histories.get(variant.name)
        if history is None:
            continue
        drawn = timeline(variant, history)
        if drawn is not None:
            figures[f"{index}-rates"], figures[f"{index}-stock"] = drawn
        lane = lanes(history, variant)
        if lane is not None:
            figures[f"{index}-lanes"] = lane
    script, divisions = components(figures) if figures else ("", {})
    logs = {
        name: {node: "\n".join(text.splitlines()[-LOG_LINES:]) for node, text in nodes.items()}
        for name, nodes in broker_logs.items()
    }
    return (
        _environment()
        .get_template("report.html")
        .render(
            run=run,
            scripts=Markup("\n".join(f"<script>{code}</script>" for code in _bokeh() if figures)),  # noqa: S704 - Bokeh's own
            chart_script=Markup(script),  # noqa: S704 - Bokeh escapes what it embeds
            charts={name: Markup(division) for name, division in divisions.items()},  # noqa: S704
            resolved=resolved_scenario,
            logs=logs,
            fates=list(Fate),
            outcome_class=_outcome_class,
            shown=_shown,
            listed=LISTED_ON_PAGE,
            lost_count=lambda variant: variant.counts.fates.get(Fate.LOST, 0),
            log_lines=LOG_LINES,
        )
    )


@cache
def _bokeh() -> tuple[str, ...]:
    """Return the one bundle that plain figures need: no widgets, tables or WebGL."""
    resources = INLINE.clone(components=["bokeh"])
    return tuple(resources.js_raw)


def _outcome_class(outcome: Outcome) -> str:
    return {Outcome.AS_EXPECTED: "good", Outcome.VIOLATED: "bad"}.get(outcome, "unsure")


def _shown(variant: VariantVerdict) -> list[Any]:
    """Return the expectations that the overview shows: those stated, and those that do not hold."""
    stated = [each for each in variant.expectations if each.stated or each.holds is not True]
    return stated or [each for each in variant.expectations if each.path == "lost"]
