"""report.html: one file that opens from disk without a network. It shows what the verdict and the history hold, and judges nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from typing import Any

from harness.checks.rules.distribution import MOST_DELIVERIES
from harness.checks.rules.timing import LISTED_OUTAGE_S
from harness.checks.tally.topology import RunTopology
from harness.history.history import History
from harness.history.series import Series, series
from harness.plain import shortened
from harness.report.broker_log import Complaints, Excerpt, complaints_by_variant, excerpts, zero_of
from harness.report.charts import HIDDEN_AT_FIRST, LATENCY, LINES, QueueLine, latency, queue_lines, timeline
from harness.report.depths import copies_by_route, depths
from harness.report.figures import NOTHING_PUBLISHED, SHOWN_NAMES, interval
from harness.report.lane_plot import LOST, SHOWN_LANES, STATES
from harness.report.lanes import Span, lanes
from harness.report.lives import ListedMessage, lives
from harness.report.scripts import chart_scripts, own_script
from harness.report.templates import embedded_json, environment, packed_json
from harness.scenario.scenario import Scenario
from harness.verdict.data import DuplicateCause, Fate, FaultOutcome, LossCause, NotDone, RunVerdict, VariantVerdict

FIRST_CAUSES = 4
"""Causes that the table under the headline names; the sections below name all."""
LISTED_MESSAGES = 1000
"""Messages (lost, done more than once, anomalies) that the page lists one by one, over all variants; verdict.json may have more, the history has all."""
LOG_LINES = 900
"""Lines of the brokers' logs that the page holds, over all variants and faults."""
TABLE_ROWS = 60
"""Rows of the table of workers."""
TIMELINE_ROWS = 24
SCENARIO_CHARACTERS = 100_000


@dataclass(frozen=True, slots=True)
class Page:
    """What the page shows of one variant beside its verdict."""

    verdict: VariantVerdict
    anchor: str
    chart: dict[str, Any] | None
    lines: tuple[str, ...]
    """What the chart's lines are called."""
    queues: tuple[QueueLine, ...]
    """The lines of the depths of queues."""
    latency_chart: dict[str, Any] | None
    table: Series | None
    spans: tuple[Span, ...]
    listed: int
    log: tuple[Excerpt, ...]
    complaints: tuple[Complaints, ...]


def html(
    run: RunVerdict,
    *,
    histories: Mapping[str, History],
    resolved_scenario: str,
    broker_logs: Mapping[str, Mapping[str, str]],
    scenarios: Mapping[str, Scenario] | None = None,
) -> str:
    """Render a run's page. `scenarios` are those of the variants; a variant without one has no chart of its queues."""
    pages = _pages(run, histories, broker_logs, scenarios or {})
    charts = [
        {"id": f"{page.anchor}-{name}", "item": item}
        for page in pages
        for name, item in (("chart", page.chart), ("latency", page.latency_chart))
        if item is not None
    ]
    return (
        environment()
        .get_template("report.html")
        .render(
            run=run,
            pages=pages,
            fates=list(Fate),
            charts=packed_json(charts) if charts else "",
            lists=embedded_json(
                {
                    f"{page.anchor}-{kind}": lives(messages[: page.listed])
                    for page in pages
                    for kind, messages in _listed(page.verdict).items()
                }
            ),
            scripts=(*(chart_scripts() if charts else ()), own_script("report.js")),
            resolved=shortened(resolved_scenario, SCENARIO_CHARACTERS),
            line_colours=LINES,
            hidden_lines=HIDDEN_AT_FIRST,
            latency_lines=LATENCY,
            lost_colour=LOST,
            states=STATES,
            shown_lanes=SHOWN_LANES,
            listed_outage_s=LISTED_OUTAGE_S,
            table_rows=TABLE_ROWS,
            shown_names=SHOWN_NAMES,
            row_of=_row_of,
            first_causes=FIRST_CAUSES,
            unwanted=_unwanted,
            most_deliveries=MOST_DELIVERIES,
            struck_by=_struck_by,
            nothing_published=NOTHING_PUBLISHED,
            nonzero=lambda fates: [fate.value for fate, count in fates.items() if count],
        )
    )


def _pages(
    run: RunVerdict,
    histories: Mapping[str, History],
    broker_logs: Mapping[str, Mapping[str, str]],
    scenarios: Mapping[str, Scenario],
) -> tuple[Page, ...]:
    complained = complaints_by_variant(run, histories, broker_logs)
    excerpted = sum(len(variant.faults) * len(broker_logs.get(variant.name, {})) for variant in run.variants)
    most_lines = max(4, min(60, LOG_LINES // max(1, excerpted)))
    listed = LISTED_MESSAGES // max(1, sum(len(_listed(variant)) for variant in run.variants))
    pages = []
    for index, variant in enumerate(run.variants):
        history = histories.get(variant.name)
        data = _over_time(history, scenarios.get(variant.name)) if history is not None else None
        spans = lanes(history) if history is not None else ()
        log: Sequence[Excerpt] = ()
        if history is not None:
            zero = zero_of(run, histories, variant.name)
            log = excerpts(
                variant.faults,
                broker_logs.get(variant.name, {}),
                zero=zero,
                most_lines=most_lines,
                local=zero.tzinfo or UTC,
            )
        pages.append(
            Page(
                verdict=variant,
                anchor=f"variant-{index + 1}",
                chart=timeline(variant, data, spans),
                lines=(*(name for name, rate in data.rates.items() if rate.any()), "backlog", "in flight")
                if data is not None
                else (),
                queues=queue_lines(data),
                table=data.coarser(TIMELINE_ROWS) if data is not None else None,
                spans=spans,
                listed=listed,
                latency_chart=latency(variant),
                log=tuple(log),
                complaints=complained.get(variant.name, ()),
            )
        )
    return tuple(pages)


def _listed(variant: VariantVerdict) -> dict[str, Sequence[ListedMessage]]:
    """Return the messages that a variant names one by one, by kind; kinds without any are left out."""
    kinds: dict[str, Sequence[ListedMessage]] = {
        "lost": variant.lost,
        "twice": variant.done_twice,
        "anomalies": variant.anomalies,
    }
    return {kind: messages for kind, messages in kinds.items() if messages}


def _over_time(history: History, scenario: Scenario | None) -> Series | None:
    """Aggregate a history for the charts; the depths of the queues only where the scenario is known."""
    if scenario is None:
        return series(history)
    topology = RunTopology(scenario, history.events)
    data = series(history, copies=copies_by_route(topology, history))
    return data and replace(data, depths=depths(history, topology, data))


@dataclass(frozen=True, slots=True)
class Unwanted:
    """Copies that were not done, and not lost, which breaks an expectation: those of one fate, queue and reason."""

    group: NotDone
    figure: str
    """How many, as `875`, `up to 2` or, where some are shown and others possible, `875 to 877`."""


def _unwanted(variant: VariantVerdict) -> list[Unwanted]:
    """Return what was not done, and not lost, of the fates that break an expectation."""
    broken = {each.path for each in variant.expectations if each.holds is False}
    alike: dict[tuple[object, ...], list[NotDone]] = {}
    for each in variant.not_done:
        if each.fate.value.replace("-", "_").replace(" ", "_") in broken:
            alike.setdefault((each.fate, each.queue, each.fault, each.by, each.settings), []).append(each)
    return [
        Unwanted(
            groups[0],
            interval(sum(each.count for each in groups if not each.possible), sum(each.count for each in groups)),
        )
        for groups in alike.values()
    ]


def _struck_by(variant: VariantVerdict, cause: LossCause | NotDone | DuplicateCause) -> FaultOutcome | None:
    return next((fault for fault in variant.faults if fault.fault == cause.fault), None)


def _row_of(page: Page, index: int) -> tuple[float, ...]:
    """Return a row of the timeline's table: when, messages in the bucket by kind, then backlog, in flight and the depths of the queues shown."""
    data = page.table
    assert data is not None  # noqa: S101 - the template has looked
    return (
        float(data.begin_s[index]),
        *(round(float(rate[index]) * data.width_s) for rate in data.rates.values()),
        int(data.backlog[index]),
        int(data.in_flight[index]),
        *(int(data.depths[line.queue][index]) for line in page.queues),
    )


def prepare() -> None:
    """Do what takes long and is the same for every page: compile the templates, read the chart library's scripts."""
    for name in environment().list_templates(extensions=["html"]):
        environment().get_template(name)
    chart_scripts()
