"""junit.xml: a suite for the scenario, a case for each expectation of each variant. What CI servers read."""

from __future__ import annotations

from typing import Any

from junitparser import Error, Failure, JUnitXml, Properties, Property, Skipped, TestCase, TestSuite

from harness.checks.verdict import ExpectationResult, Outcome, RunVerdict, VariantVerdict
from harness.report.plain import lines, plain

ENDED_EARLY = (Outcome.INFRASTRUCTURE, Outcome.INCONCLUSIVE, Outcome.INTERRUPTED)
THE_RUN = "the run comes to its end and proves something"
"""The case of what is no expectation: that the infrastructure held, and that something was at risk."""


def junit(run: RunVerdict) -> str:
    """Render a run.

    An expectation that does not hold is a failure; a broken infrastructure and an interruption are errors; what is
    inconclusive is skipped, with its reason.
    """
    # The library's own functions have no types.
    suite: Any = TestSuite(plain(run.scenario))
    suite.timestamp = plain(run.started_at)
    suite.append(_properties(run))
    for variant in run.variants:
        for case in _cases(run, variant):
            suite.add_testcase(case)
    if not run.variants:
        suite.add_testcase(_outcome_case(run, "guarantee", run.outcome, run.headline, (), 0.0))
    document: Any = JUnitXml(name=plain(run.scenario))
    document.append(suite)
    document.update_statistics()
    suite.time = document.time = round(run.duration_s, 3)
    rendered: bytes = document.tostring()
    return rendered.decode()


def _properties(run: RunVerdict) -> Any:
    figures = {
        "file": run.file,
        "seed": run.seed,
        "replay": run.replay,
        "verdict": run.outcome.value,
        **{f"version.{name}": value for name, value in run.versions.items()},
    }
    for variant in run.variants:
        counts = variant.counts
        figures |= {
            f"{variant.name}.verdict": variant.outcome.value,
            f"{variant.name}.published": counts.published,
            f"{variant.name}.confirmed": counts.confirmed,
            f"{variant.name}.redelivered": counts.redelivered,
            **{f"{variant.name}.{fate.value}": count for fate, count in counts.fates.items() if count},
        }
    make: Any = Properties
    properties = make()
    for name, value in figures.items():
        properties.append(Property(plain(name), plain(str(value))))
    return properties


def _cases(run: RunVerdict, variant: VariantVerdict) -> list[Any]:
    """Return a variant's cases; its time is shared out evenly, for the expectations were judged on one run."""
    unfinished = variant.outcome in ENDED_EARLY
    share = variant.duration_s / max(1, len(variant.expectations) + unfinished)
    cases = [_case(run, variant, result, share) for result in variant.expectations]
    if unfinished or not variant.expectations:
        cases.append(_outcome_case(run, variant.name, variant.outcome, variant.headline, variant.reasons, share))
    return cases


def _case(run: RunVerdict, variant: VariantVerdict, result: ExpectationResult, seconds: float) -> Any:
    case: Any = TestCase(
        plain(f"{variant.name}: {result.path} {result.expected}"),
        plain(f"{run.scenario}.{variant.name}"),
        round(seconds, 3),
    )
    if variant.outcome in ENDED_EARLY:
        case.result = [Skipped(plain(variant.headline))]
    elif result.holds is None:
        case.result = [Skipped(plain(f"not measured: {result.observed}"))]
    elif not result.holds:
        failure: Any = Failure(plain(f"expected {result.expected}, observed {result.observed}"), "violated")
        causes = [cause.sentence for cause in variant.causes]
        told = [variant.headline, result.explanation, *causes, f"replay: {run.replay}"]
        failure.text = "\n".join(lines(each) for each in told if each)
        case.result = [failure]
    return case


def _outcome_case(
    run: RunVerdict, name: str, outcome: Outcome, headline: str, reasons: tuple[str, ...], seconds: float
) -> Any:
    case: Any = TestCase(plain(f"{name}: {THE_RUN}"), plain(f"{run.scenario}.{name}"), round(seconds, 3))
    told = "\n".join([*(lines(reason) for reason in reasons), f"replay: {plain(run.replay)}"])
    match outcome:
        case Outcome.AS_EXPECTED:
            pass
        case Outcome.INCONCLUSIVE:
            case.result = [Skipped(plain(headline))]
        case _:
            error: Any = Error(plain(headline), outcome.value)
            error.text = told
            case.result = [error]
    return case
