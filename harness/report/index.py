"""index.html of a reports folder: every run, the newest first, with its verdict."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.files import open_file, parse_json, read_text
from harness.report.files import replace
from harness.verdict.data import Outcome

SHOWN_RUNS = 300
TREND_PAGE = "trend.html"
GENERATOR = '<meta name="generator" content="chaos-harness">'


@dataclass(frozen=True, slots=True)
class Run:
    """A line of the index."""

    folder: str
    scenario: str
    outcome: Outcome
    headline: str
    started_at: str
    duration_s: float
    rabbitmq: str
    variants: int
    report: bool
    """Whether the folder has a report.html."""


def runs_in(reports: Path) -> tuple[Run, ...]:
    """Return the runs of a folder, the newest first; a folder without a readable verdict is none."""
    folders = [path for path in reports.iterdir() if path.is_dir() and not path.is_symlink()]
    found = [run for folder in folders if (run := _read(folder)) is not None]
    return tuple(sorted(found, key=lambda run: (run.started_at, run.folder), reverse=True))


def write_index(reports: Path) -> Path | None:
    """Write a folder's index.html; None if a file of that name is there that is not ours."""
    from harness.report.templates import environment  # noqa: PLC0415 - the template engine is wanted by no other command

    path = reports / "index.html"
    if not may_replace(path):
        return None
    runs = runs_in(reports)
    text = (
        environment()
        .get_template("index.html")
        .render(runs=runs[:SHOWN_RUNS], total=len(runs), outcomes=_counted(runs), trend=(reports / TREND_PAGE).exists())
    )
    return replace(path, text)


def may_replace(path: Path) -> bool:
    """Whether a page is ours to write: it is not there, or the harness wrote it."""
    return not path.exists() or _is_ours(path)


def _is_ours(path: Path) -> bool:
    try:
        with open_file(path) as file:
            return GENERATOR.encode() in file.read(4096)
    except OSError:
        return False


def _read(folder: Path) -> Run | None:
    try:
        data = parse_json(read_text(folder / "verdict.json"))
        return Run(
            folder=folder.name,
            scenario=str(data["scenario"]),
            outcome=Outcome(data["outcome"]),
            headline=str(data["headline"]),
            started_at=str(data["started_at"]),
            duration_s=float(data["duration_s"]),
            rabbitmq=str(data["versions"].get("rabbitmq", "")),
            variants=len(data["variants"]),
            report=(folder / "report.html").exists(),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _counted(runs: tuple[Run, ...]) -> list[tuple[Outcome, int]]:
    counts = [(outcome, sum(run.outcome is outcome for run in runs)) for outcome in Outcome]
    return [(outcome, count) for outcome, count in counts if count]
