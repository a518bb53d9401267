"""GitHub annotations: errors that point at the expectation in the scenario file."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from harness.plain import plain
from harness.verdict.data import Outcome, RunVerdict, VariantVerdict


def annotation_lines(run: RunVerdict, line_of: Callable[[str, str], int | None]) -> list[str]:
    """Return a workflow command for each expectation that does not hold, and one for each variant that failed otherwise.

    `line_of` takes a variant's name and an expectation's path, and returns the line in the scenario file, if it has one.
    """
    found = []
    for variant in run.variants:
        if variant.outcome is Outcome.AS_EXPECTED:
            continue
        level = "warning" if variant.outcome is Outcome.INCONCLUSIVE else "error"
        failed = [result for result in variant.expectations if result.holds is False]
        if variant.outcome is not Outcome.VIOLATED or not failed:
            found.append(_command(level, run, 1, f"{variant.name}: {variant.headline}"))
            continue
        for result in failed:
            said = f"{variant.name}: {result.path}: expected {result.expected}, observed {result.observed}"
            sentences = "\n".join(_sentences(variant, result.path))
            line = line_of(variant.name, result.path) or 1
            found.append(_command(level, run, line, f"{said}\n{sentences}".strip()))
    if not run.variants:
        found.append(_command("error", run, 1, run.headline))
    return found


def _sentences(variant: VariantVerdict, path: str) -> tuple[str, ...]:
    """Return what explains an expectation that fails: what took the lost, or what else became of messages."""
    if path.startswith("lost"):
        return tuple(cause.sentence for cause in variant.causes)
    if path.endswith("duplicates"):
        return tuple(cause.sentence for cause in variant.duplicate_causes)
    if path == "processed":
        return variant.explained
    return tuple(each.sentence for each in variant.not_done if each.fate.value == path)


def _command(level: str, run: RunVerdict, line: int, text: str) -> str:
    place = ",".join(f"{key}={_property(value)}" for key, value in _properties(run, line))
    return f"::{level} {place}::{_data(text)}"


def _properties(run: RunVerdict, line: int) -> Iterator[tuple[str, str]]:
    yield "file", run.file
    yield "line", str(line)
    yield "title", f"{run.scenario}: {run.outcome.value}"


def _data(text: str) -> str:
    """Escape as the runner's own toolkit does; line ends stay line ends."""
    kept = "\n".join(plain(line) for line in text.split("\n"))
    return kept.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(plain(text)).replace(":", "%3A").replace(",", "%2C")
