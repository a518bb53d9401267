"""Two runs side by side: what was set differently, what became of the messages, latency, and outages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.table import Table
from rich.text import Text

from harness.plain import plain, shortened
from harness.report.figures import NOTHING, clock, figure, lost_figure, seconds
from harness.verdict.data import Fate, RunVerdict, VariantVerdict
from harness.verdict.times import Percentiles

if TYPE_CHECKING:
    from rich.console import Console

LONGEST_VALUE: Final = 300


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two runs."""

    name: str
    """What the reader calls it, e.g. its folder."""
    run: RunVerdict
    settings: Mapping[str, str]
    """Its scenario as resolved, path by path."""


@dataclass(frozen=True, slots=True)
class Row:
    """One thing, in both runs; a dash where a run has none of it."""

    what: str
    left: str
    right: str

    @property
    def differs(self) -> bool:
        """Whether the runs differ in it."""
        return self.left != self.right


@dataclass(frozen=True, slots=True)
class Section:
    """Rows that belong together."""

    title: str
    rows: tuple[Row, ...]


def comparison(left: Side, right: Side) -> tuple[Section, ...]:
    """Lay two runs beside each other: the runs, the settings that differ, then every variant that either has."""
    settings = tuple(row for row in _rows(left.settings, right.settings) if row.differs)
    sections = [
        Section("Runs", tuple(_rows(_of_run(left.run), _of_run(right.run)))),
        Section("Settings that differ", settings),
    ]
    versions = frozenset({left.run.schema_version, right.run.schema_version})
    not_compared = [
        Row(what, *(words(side.run.schema_version) for side in (left, right)))
        for since, what, words in _CHANGED
        if min(versions) < since <= max(versions)
    ]
    if not_compared:
        sections.append(Section("Not compared", tuple(not_compared)))
    mine = {variant.name: variant for variant in left.run.variants}
    theirs = {variant.name: variant for variant in right.run.variants}
    for name in dict.fromkeys((*mine, *theirs)):
        rows = _rows(_of_variant(mine.get(name), versions), _of_variant(theirs.get(name), versions))
        sections.append(Section(name, tuple(rows)))
    return tuple(sections)


def comparison_page(left: Side, right: Side) -> str:
    """Render two runs side by side as one page that loads nothing."""
    from harness.report.templates import environment  # noqa: PLC0415 - the terminal needs no template engine

    sections = comparison(left, right)
    return environment().get_template("compare.html").render(left=left, right=right, sections=sections)


def print_comparison(left: Side, right: Side, console: Console) -> None:
    """Print two runs side by side; what differs is bold."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("", overflow="fold")
    for side in (left, right):
        table.add_column(plain(side.name), overflow="fold")
    for section in comparison(left, right):
        table.add_row(Text(f"\n{plain(section.title)}", style="bold"))
        if not section.rows:
            table.add_row(Text("  none", style="dim"))
        for row in section.rows:
            style = "bold" if row.differs else ""
            values = (Text(shortened(plain(value), LONGEST_VALUE), style=style) for value in (row.left, row.right))
            table.add_row(Text(f"  {plain(row.what)}"), *values)
    console.print(table)


def _rows(left: Mapping[str, str], right: Mapping[str, str]) -> Iterator[Row]:
    for what in dict.fromkeys((*left, *right)):
        yield Row(what, left.get(what, NOTHING), right.get(what, NOTHING))


def _of_run(run: RunVerdict) -> dict[str, str]:
    return {
        "scenario": run.scenario,
        "verdict": run.outcome.value,
        "in a sentence": run.headline,
        "started": run.started_at,
        "took": seconds(run.duration_s),
        "seed": str(run.seed),
        **run.versions,
        "replay": run.replay,
    }


def _unit(version: int) -> str:
    return f"counts {'messages' if version < 2 else 'copies'} (verdict version {version})"


def _outage(version: int) -> str:
    return f"{'no work was completed' if version < 3 else 'no worker was at work'} (verdict version {version})"


_CHANGED: Final[tuple[tuple[int, str, Callable[[int], str]], ...]] = (
    (2, "fates, duplicates, losses by step, completion latency", _unit),
    (3, "outages of workers", _outage),
)
"""What has meant something else since a version of the verdict, and what it means in each."""


def _of_variant(variant: VariantVerdict | None, versions: frozenset[int]) -> dict[str, str]:
    """Return a variant's figures, without those whose meaning differs between the versions of the verdict."""
    if variant is None:
        return {}
    counts, across = variant.counts, min(versions) < 2 <= max(versions)
    found = {"outcome": variant.outcome.value, **variant.settings}
    found["published"] = f"{counts.published:,}"
    if not across:
        found["copies"] = f"{counts.copies:,}"
        found |= {fate.value: figure(fate, counts) for fate in Fate if counts.fates.get(fate)}
        found["lost"] = lost_figure(variant)
        found["processed twice or more"] = f"{counts.duplicates:,}"
    found["deliveries"] = f"{counts.deliveries:,}"
    found["redelivered"] = f"{counts.redelivered:,}"
    for name, figures, detail in (
        ("publish to confirm", variant.confirm_latency, variant.confirm_latency_detail),
        ("publish to completion", variant.completion_latency, variant.completion_latency_detail),
        ("due to completion", variant.completion_due_latency, variant.completion_due_latency_detail),
    ):
        # Of a message with several copies, version 1 knew the first completion only.
        if across and name == "publish to completion":
            continue
        found |= _latency(name, figures)
        if detail is not None and variant.faults:
            found |= _latency(f"{name}, during faults", detail.during_faults)
    if variant.schedule is not None:
        found["not sent in time"] = f"{variant.schedule.late:,}"
        found["sent late, at most by"] = seconds(variant.schedule.most_late_s)
        found["never sent"] = NOTHING if variant.schedule.never_sent is None else f"{variant.schedule.never_sent:,}"
    for who in ("publishers", "workers"):
        if who == "workers" and min(versions) < 3 <= max(versions):
            continue
        lengths = [outage.end_s - outage.begin_s for outage in variant.outages if outage.who == who]
        found[f"outages of {who}"] = f"{len(lengths):,}"
        found[f"longest outage of {who}"] = seconds(max(lengths, default=None))
    if variant.broker_down is not None:
        found["broker down for"] = seconds(variant.broker_down.total_s)
    for fault in variant.faults:
        said = f"step {fault.fault + 1} ({fault.action})"
        found[f"{said} struck at"] = clock(fault.injected_s)
        if not across:
            found[f"{said}: lost to it"] = f"{fault.taken:,}"
        found[f"{said}: next work after its end"] = seconds(fault.recovery_s)
    return found


def _latency(name: str, figures: Percentiles | None) -> dict[str, str]:
    if figures is None:
        return {}
    return {
        f"{name}: median": seconds(figures.p50),
        f"{name}: 99%": seconds(figures.p99),
        f"{name}: longest": seconds(figures.max),
    }
