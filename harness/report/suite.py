"""Several runs in one summary: as Markdown for a job's page, and as a table on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from harness.plain import plain, shortened
from harness.report.markdown import LIMIT_BYTES, SIGNS, cut, escaped, markdown
from harness.report.summary import STYLES
from harness.verdict.data import Fate, Outcome, worst
from harness.verdict.repetitions import Repetitions, headline
from harness.verdict.words import plural

if TYPE_CHECKING:
    from rich.console import Console

LISTED_REPLAYS = 20


@dataclass(frozen=True, slots=True)
class Axes:
    """What tells scenarios apart that were made of the same one, in place of their names."""

    names: tuple[str, ...]
    values: Mapping[str, tuple[str, ...]]
    """By the scenario's file: a value for each name."""

    def of(self, each: Repetitions) -> tuple[str, ...]:
        """Return a scenario's values."""
        return self.values[each.runs[0].file]


def print_suite(scenarios: Sequence[Repetitions], console: Console, axes: Axes | None = None) -> None:
    """Print a line for each scenario, what differs between its runs, and the sentence for all."""
    repeated = any(len(each.runs) > 1 for each in scenarios)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in axes.names if axes is not None else ("scenario",):
        table.add_column(Text(plain(heading)), overflow="fold")
    for heading in ("verdict", *(("runs",) if repeated else ()), *(("lost",) if axes is not None else ())):
        table.add_column(heading, overflow="fold")
    for heading in ("variants", "seconds"):
        table.add_column(heading, justify="right")
    for each in scenarios:
        verdict = Text(each.outcome.value, style=STYLES[each.outcome])
        if each.flaky:
            verdict.append(" (flaky)", style="bold yellow")
        table.add_row(
            *(Text(plain(name)) for name in (axes.of(each) if axes is not None else (each.scenario,))),
            verdict,
            *((each.shares if each.flaky else str(len(each.runs)),) if repeated else ()),
            *((_lost(each),) if axes is not None else ()),
            str(len(each.worst_run.variants)),
            f"{sum(run.duration_s for run in each.runs):.1f}",
        )
    console.print()
    console.print(table)
    console.print()
    outcome = worst([each.outcome for each in scenarios])
    console.print(Text.assemble((outcome.value.upper(), STYLES[outcome]), "  ", plain(headline(scenarios))))


def suite_markdown(
    scenarios: Sequence[Repetitions], *, title: str = "", limit: int = LIMIT_BYTES, axes: Axes | None = None
) -> str:
    """Render several scenarios in at most `limit` bytes of UTF-8: the verdict, a table, then the details folded.

    The details are those of each scenario's worst run; scenarios that are not as expected come first.
    """
    outcome = worst([each.outcome for each in scenarios])
    count = sum(len(each.runs) for each in scenarios)
    heading = (
        f"{escaped(title)}: {outcome.value}" if title else f"{plural(len(scenarios), 'scenario')}: {outcome.value}"
    )
    lines = [
        f"## {SIGNS[outcome]} {heading}",
        "",
        f"**{escaped(headline(scenarios))}** ({plural(count, 'run')})",
        "",
        *_markdown_table(scenarios, axes),
        "",
    ]
    for each in sorted(scenarios, key=lambda each: each.outcome is Outcome.AS_EXPECTED and not each.flaky):
        lines += _details(each)
    return cut(lines, limit)


def _markdown_table(scenarios: Sequence[Repetitions], axes: Axes | None) -> Iterator[str]:
    names = axes.names if axes is not None else ("scenario",)
    headings = (*names, "verdict", "runs", *(("lost",) if axes is not None else ()), "in a sentence")
    yield f"| {' | '.join(escaped(heading) for heading in headings)} |"
    yield "|" + "---|" * len(headings)
    for each in scenarios:
        flaky = f" **flaky** ({each.shares})" if each.flaky else ""
        cells = (
            *(escaped(value) for value in (axes.of(each) if axes is not None else (each.scenario,))),
            f"{SIGNS[each.outcome]} {each.outcome.value}{flaky}",
            str(len(each.runs)),
            *((_lost(each),) if axes is not None else ()),
            escaped(shortened(each.worst_run.headline, 300)),
        )
        yield f"| {' | '.join(cells)} |"


def _lost(each: Repetitions) -> str:
    """Say what the guarantee of its runs lost, and of how many messages that had to arrive, all runs together."""
    guarantees = [run.variants[0] for run in each.runs if run.variants]
    lost = sum(guarantee.counts.fates.get(Fate.LOST, 0) for guarantee in guarantees)
    return f"{lost:,} of {sum(guarantee.promised for guarantee in guarantees):,}" if guarantees else "-"


def _details(each: Repetitions) -> Iterator[str]:
    yield from ("<details>", f"<summary>{escaped(each.scenario)}</summary>", "")
    yield from markdown(each.worst_run).splitlines()
    if len(each.differing) > 1:
        yield from ("", "Runs that were not as expected:", "")
        for run in each.differing[:LISTED_REPLAYS]:
            yield f"- {SIGNS[run.outcome]} {run.outcome.value}: <code>{escaped(run.replay)}</code>"
        if len(each.differing) > LISTED_REPLAYS:
            yield f"- and {len(each.differing) - LISTED_REPLAYS} more"
    yield from ("", "</details>", "")
