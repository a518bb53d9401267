"""Rows put in order: the nights, and for each variant its verdict and its figures night by night.

A night's figure is the median of its runs: runs of one night share a machine and its mood, so the night is what counts once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Final, Literal

from harness.trend.rows import Row, is_comparable
from harness.verdict.data import Outcome, worst


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure that is followed over the nights."""

    column: str
    title: str
    unit: Literal["share", "seconds", "rate"]


MEASURES: Final = (
    Measure("loss_rate", "loss", "share"),
    Measure("recovery_s", "recovery", "seconds"),
    Measure("outage_publishers_s", "outage of publishers", "seconds"),
    Measure("outage_workers_s", "outage of workers", "seconds"),
    Measure("throughput", "throughput", "rate"),
)


@dataclass(frozen=True, slots=True)
class Line:
    """One variant of one scenario on one backend. Each tuple has an entry for each night of the table."""

    scenario: str
    variant: str
    backend: str
    control: bool
    settings: str
    outcomes: tuple[Outcome | None, ...]
    """The worst verdict of the night; None where it did not run."""
    runs: tuple[int, ...]
    rabbitmq: tuple[str, ...]
    """The versions that it ran on."""
    figures: dict[str, tuple[float | None, ...]]
    """By the columns of MEASURES; what means something else in the newest row's version is left out of older rows."""

    @property
    def key(self) -> tuple[str, str, str]:
        """What it is, whatever nights are looked at."""
        return self.scenario, self.backend, self.variant

    @property
    def flaky(self) -> bool:
        """Whether its verdict was not the same in all nights."""
        return len({outcome for outcome in self.outcomes if outcome is not None}) > 1


@dataclass(frozen=True, slots=True)
class Table:
    """All nights, the oldest first, and all lines in the order of scenario, backend, guarantee and controls."""

    nights: tuple[datetime, ...]
    """When each began."""
    lines: tuple[Line, ...]
    runs: int

    @property
    def newest_outcome(self) -> Outcome:
        """The worst verdict of the newest night."""
        return worst([line.outcomes[-1] for line in self.lines if line.outcomes[-1] is not None])


def table(rows: Sequence[Row], *, newest: int | None = None) -> Table:
    """Put rows in order: all nights, or so many of the newest."""
    began: dict[str, datetime] = {}
    for row in rows:
        began[row.night] = min(row.started_at, began.get(row.night, row.started_at))
    nights = sorted(began, key=lambda night: (began[night], night))[-newest if newest is not None else 0 :]
    rows = [row for row in rows if row.night in set(nights)]
    groups: dict[tuple[str, str, bool, str], dict[str, list[Row]]] = {}
    for row in rows:
        key = (row.scenario, row.backend, row.control, row.variant)
        groups.setdefault(key, {}).setdefault(row.night, []).append(row)
    lines = tuple(_line([groups[key].get(night, []) for night in nights]) for key in sorted(groups))
    return Table(tuple(began[night] for night in nights), lines, len({row.run_id for row in rows}))


def _line(by_night: Sequence[Sequence[Row]]) -> Line:
    newest = next(rows for rows in reversed(by_night) if rows)[-1]
    return Line(
        scenario=newest.scenario,
        variant=newest.variant,
        backend=newest.backend,
        control=newest.control,
        settings=newest.settings,
        outcomes=tuple(worst([Outcome(row.outcome) for row in rows]) if rows else None for rows in by_night),
        runs=tuple(len(rows) for rows in by_night),
        rabbitmq=tuple(", ".join(sorted({row.rabbitmq for row in rows})) for rows in by_night),
        figures={
            measure.column: tuple(
                _median(
                    [
                        getattr(row, measure.column)
                        for row in rows
                        if is_comparable(measure.column, row.schema_version, newest.schema_version)
                    ]
                )
                for rows in by_night
            )
            for measure in MEASURES
        },
    )


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
