"""Writing a run's artefacts: each by itself, so that one that fails does not keep the others from being there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from harness.errors import HistoryError
from harness.history.history import History
from harness.report.badge import badge
from harness.report.files import replace
from harness.report.index import write_index
from harness.report.junit import LineOf, junit, nowhere
from harness.report.markdown import markdown
from harness.report.openmetrics import openmetrics
from harness.scenario.scenario import Scenario
from harness.verdict.as_json import to_json
from harness.verdict.data import RunVerdict


def write_all(
    run: RunVerdict,
    directory: Path,
    *,
    histories: Mapping[str, History],
    resolved_scenario: str,
    broker_logs: Mapping[str, Mapping[str, str]],
    line_of: LineOf = nowhere,
    scenarios: Mapping[str, Scenario] | None = None,
) -> tuple[Path, ...]:
    """Write verdict.json, junit.xml, summary.md, metrics.prom, badge.svg and report.html, each whole or not at all, and the index.

    `line_of` says where in the scenario's file an expectation stands; `scenarios` are those of the variants. Returns what was written. Raises HistoryError at the end, naming
    everything that could not be.
    """

    def page() -> str:
        from harness.report.html import html  # noqa: PLC0415 - the chart library takes a second to import

        return html(
            run,
            histories=histories,
            resolved_scenario=resolved_scenario,
            broker_logs=broker_logs,
            scenarios=scenarios,
        )

    makers: dict[str, Callable[[], str]] = {
        "verdict.json": lambda: to_json(run) + "\n",
        "junit.xml": lambda: junit(run, line_of=line_of),
        "summary.md": lambda: markdown(run),
        "metrics.prom": lambda: openmetrics(run),
        "badge.svg": lambda: badge(run.scenario, run.outcome.value, run.outcome),
        "report.html": page,
    }
    written: list[Path] = []
    problems: list[str] = []
    for name, make in makers.items():
        try:
            written.append(replace(directory / name, make()))
        except Exception as error:  # one mistake of a renderer must not cost the other reports
            problems.append(_problem(directory / name, error))
    index = directory.parent / "index.html"
    try:
        written += [found] if (found := write_index(directory.parent)) is not None else []
    except Exception as error:  # the same
        problems.append(_problem(index, error))
    if problems:
        raise HistoryError(f"{'; '.join(problems)}; the other reports are there, and `chaos report` writes them again")
    return tuple(written)


def _problem(path: Path, error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else f"{type(error).__name__}: {error}"
    return f"{path} could not be written: {reason}"
