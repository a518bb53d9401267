"""What many runs leave beside their own reports, those of a night or of a matrix: one summary, one junit.xml, one badge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.errors import HistoryError
from harness.report.badge import badge
from harness.report.files import replace
from harness.report.junit import LineOf, junit, nowhere
from harness.report.markdown import append_to_job_summary
from harness.report.suite import Axes, suite_markdown
from harness.verdict.data import worst
from harness.verdict.repetitions import Repetitions


def write_batch(
    scenarios: Sequence[Repetitions],
    directory: Path,
    environment: Mapping[str, str],
    *,
    title: str,
    axes: Axes | None = None,
    line_of: LineOf = nowhere,
) -> tuple[Path, Path, Path]:
    """Write summary.md, junit.xml and badge.svg of several runs, and add the summary to the GitHub job's page where there is one.

    Raises HistoryError where something cannot be written.
    """
    outcome = worst([each.outcome for each in scenarios])
    try:
        directory.mkdir(parents=True, exist_ok=True)
        written = (
            replace(directory / "summary.md", suite_markdown(scenarios, title=title, axes=axes)),
            replace(directory / "junit.xml", junit(*(run for each in scenarios for run in each.runs), line_of=line_of)),
            replace(directory / "badge.svg", badge(title, badge_message(scenarios), outcome)),
        )
        append_to_job_summary(lambda limit: suite_markdown(scenarios, title=title, axes=axes, limit=limit), environment)
    except OSError as error:
        raise HistoryError(f"the summary could not be written to {directory}: {error.strerror}") from error
    return written


def badge_message(scenarios: Sequence[Repetitions]) -> str:
    """Say in few words how a night went: `12 of 12 as expected`, `1 of 12 violated, 1 flaky`."""
    outcome = worst([each.outcome for each in scenarios])
    count, flaky = sum(each.outcome is outcome for each in scenarios), sum(each.flaky for each in scenarios)
    return f"{count} of {len(scenarios)} {outcome.value}" + (f", {flaky} flaky" if flaky else "")
