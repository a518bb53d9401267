"""GitHub annotations: errors that point at the expectation in the scenario file."""

from __future__ import annotations

from collections.abc import Callable

from harness.checks.verdict import Outcome, RunVerdict


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def annotation_lines(run: RunVerdict, line_of: Callable[[str, str], int | None]) -> list[str]:
    """Return one workflow command for each failed expectation, and one for each variant that is not as expected otherwise."""
    found = []
    for variant in run.variants:
        failed = [result for result in variant.expectations if result.holds is False]
        if variant.outcome is Outcome.AS_EXPECTED:
            continue
        level = "warning" if variant.outcome is Outcome.INCONCLUSIVE else "error"
        for result in failed:
            line = line_of(variant.name, result.path) or 1
            text = f"{variant.name}: {result.path}: expected {result.expected}, observed {result.observed}"
            found.append(
                f"::{level} file={_property(run.file)},line={line},title={_property(run.scenario)}::{_data(text)}"
            )
        if not failed:
            title = _property(run.scenario)
            found.append(
                f"::{level} file={_property(run.file)},line=1,title={title}::{_data(f'{variant.name}: {variant.headline}')}"
            )
    return found
