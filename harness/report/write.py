"""Writing a run's artefacts: each by itself, so that one that fails does not keep the others from being there."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from harness.checks.verdict import RunVerdict
from harness.checks.verdict_json import to_json
from harness.errors import InfrastructureError
from harness.history.history import History
from harness.report.junit import junit
from harness.report.markdown import markdown


def write_all(
    run: RunVerdict,
    directory: Path,
    *,
    histories: Mapping[str, History],
    resolved_scenario: str,
    broker_logs: Mapping[str, Mapping[str, str]],
) -> None:
    """Write verdict.json, junit.xml, summary.md and report.html, each whole or not at all. Raises InfrastructureError at the end."""
    from harness.report.html import html  # noqa: PLC0415 - the chart library takes a second to import

    makers: dict[str, Callable[[], str]] = {
        "verdict.json": lambda: to_json(run) + "\n",
        "junit.xml": lambda: junit(run),
        "summary.md": lambda: markdown(run),
        "report.html": lambda: html(
            run, histories=histories, resolved_scenario=resolved_scenario, broker_logs=broker_logs
        ),
    }
    problems = []
    for name, make in makers.items():
        try:
            _write(directory / name, make())
        except Exception as error:
            problems.append(f"{directory / name}: {error}")
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        try:
            with Path(summary).open("a", encoding="utf-8") as file:
                file.write(markdown(run) + "\n")
        except OSError as error:
            problems.append(f"{summary}: {error.strerror}")
    if problems:
        raise InfrastructureError("; ".join(problems))


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
