"""What an exploration leaves beside its runs' own reports: a summary as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.errors import HistoryError
from harness.report.files import replace
from harness.report.markdown import LIMIT_BYTES, SIGNS, append_to_job_summary, cut, escaped
from harness.search.exploration import Exploration, Searched, steps_in_words
from harness.search.trial_outcome import TrialOutcome
from harness.verdict.data import Outcome

_SIGNS = {
    TrialOutcome.BROKEN: SIGNS[Outcome.VIOLATED],
    TrialOutcome.HELD: SIGNS[Outcome.AS_EXPECTED],
    TrialOutcome.NOT_TRIED: SIGNS[Outcome.INCONCLUSIVE],
    TrialOutcome.FAILED: SIGNS[Outcome.INFRASTRUCTURE],
    TrialOutcome.INTERRUPTED: SIGNS[Outcome.INTERRUPTED],
}


def write_exploration(exploration: Exploration, directory: Path, environment: Mapping[str, str]) -> Path:
    """Write summary.md, and add it to the GitHub job's page where there is one. Raises HistoryError."""
    try:
        written = replace(directory / "summary.md", exploration_markdown(exploration))
        append_to_job_summary(lambda limit: exploration_markdown(exploration, limit=limit), environment)
    except OSError as error:
        raise HistoryError(f"the summary could not be written to {directory}: {error.strerror}") from error
    return written


def exploration_markdown(exploration: Exploration, *, limit: int = LIMIT_BYTES) -> str:
    """Render an exploration in at most `limit` bytes of UTF-8: the verdict, the finding, then every schedule that was run."""
    outcome = exploration.outcome
    lines = [
        f"## {SIGNS[outcome]} exploration of {escaped(exploration.scenario)}: {outcome.value}",
        "",
        f"**{escaped(exploration.headline)}**",
        "",
    ]
    if exploration.shrunk is not None:
        lines += [f"- {escaped(steps_in_words([step]))}" for step in exploration.shrunk] or ["- no fault at all"]
        lines.append("")
    for searched in (exploration.guarantee, *exploration.controls):
        lines += _table(searched)
    return cut(lines, limit)


def _table(searched: Searched) -> Iterator[str]:
    yield from (
        f"### {escaped(searched.variant)}",
        "",
        "| schedule | stands | steps | in a sentence | again |",
        "|---|---|---|---|---|",
    )
    for ran in sorted(searched.ran, key=lambda each: each.number):
        cells = (
            str(ran.number),
            f"{_SIGNS[ran.standing]} {ran.standing.value}",
            escaped(steps_in_words(ran.steps)),
            escaped(ran.verdict.headline),
            f"<code>{escaped(ran.verdict.replay)}</code>",
        )
        yield f"| {' | '.join(cells)} |"
    yield ""
