"""Nights made up: rows of scenarios whose figures are drawn, with or without a change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from harness.trend.rows import Row, rows_of
from harness.trend.table import MEASURES, Line, Table
from harness.verdict.data import Outcome
from tests.unit import report_samples as samples

Draw = Callable[[np.random.Generator, int, str], float]
"""From the chance, the night's number and the figure's column to a figure."""


def noise(generator: np.random.Generator, _night: int, column: str) -> float:
    """Draw a figure whose distribution does not change: skewed, with ties and with outliers, as real ones are."""
    if column == "loss_rate":
        return float(generator.binomial(40, 0.3)) / 40
    if column.startswith("outage"):
        return max(0.0, round(float(generator.normal(0.2, 0.5)), 1))
    return float(generator.lognormal(0, 0.3)) * (5 if generator.random() < 0.03 else 1)


def nights(
    count: int, *, seed: int, scenarios: int = 4, draw: Draw = noise, green: float = 0.97, repetitions: int = 1
) -> list[Row]:
    """Make the rows of `count` nights: `scenarios` with two controls each."""
    generator = np.random.default_rng(seed)
    sample = samples.passing()
    first = rows_of(sample.run, sample.histories, run_id="", night="")
    return [
        replace(
            row,
            scenario=f"scenario {scenario}",
            night=f"night {night:03d}",
            run_id=f"{night}-{scenario}-{repetition}",
            started_at=row.started_at + timedelta(days=night, minutes=repetition),
            backend="container",
            rabbitmq="4.0.5",
            outcome=(Outcome.AS_EXPECTED if generator.random() < green else Outcome.VIOLATED).value,
            **figures(generator, night, draw),
        )
        for night in range(count)
        for scenario in range(scenarios)
        for repetition in range(repetitions)
        for row in first
    ]


def shifted(factor: float, *, since: int, column: str = "recovery_s") -> Draw:
    """Draw figures of which one is `factor` times what it was, from night `since` on."""

    def draw(generator: np.random.Generator, night: int, name: str) -> float:
        return noise(generator, night, name) * (factor if name == column and night >= since else 1)

    return draw


def figures(generator: np.random.Generator, night: int, draw: Draw) -> dict[str, Any]:
    """Draw a row's figures, by column."""
    return {measure.column: draw(generator, night, measure.column) for measure in MEASURES}


def drawn_table(seed: int, *, lines: int = 12, count: int = 35, draw: Draw = noise, changing: int = 0) -> Table:
    """Make a table of lines that are drawn night by night, the first `changing` of them with `draw`; verdicts are mostly green."""
    generator = np.random.default_rng(seed)
    began = datetime(2026, 1, 1, 2, tzinfo=UTC)

    def line(number: int) -> Line:
        chosen = draw if number < changing else noise
        drawn = [figures(generator, night, chosen) for night in range(count)]
        green = generator.random(count) < 0.97
        return Line(
            scenario=f"scenario {number}",
            variant="guarantee",
            backend="container",
            control=False,
            settings="",
            outcomes=tuple(Outcome.AS_EXPECTED if each else Outcome.VIOLATED for each in green),
            runs=(1,) * count,
            rabbitmq=("4.0.5",) * count,
            figures={measure.column: tuple(each[measure.column] for each in drawn) for measure in MEASURES},
        )

    return Table(tuple(began + timedelta(days=night) for night in range(count)), tuple(map(line, range(lines))), count)
