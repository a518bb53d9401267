"""junit.xml: a suite for the scenario, a case for each expectation of each variant. What CI servers read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from junitparser import Attr, Error, Failure, JUnitXml, Properties, Property, Skipped, TestCase, TestSuite

from harness.plain import lines, plain
from harness.report.summary import standing
from harness.verdict.data import ExpectationResult, Outcome, RunVerdict, VariantVerdict

LineOf = Callable[[RunVerdict, str, str], int | None]
"""From a run, a variant's name and an expectation's path to the line in the scenario's file; None where it has none."""


def nowhere(_run: RunVerdict, _variant: str, _path: str) -> None:
    """Know no line."""


ENDED_EARLY = (Outcome.INFRASTRUCTURE, Outcome.INCONCLUSIVE, Outcome.INTERRUPTED)
THE_RUN = "the run comes to its end and proves something"
"""The case of what is no expectation: that the infrastructure held, and that something was at risk."""


def junit(*runs: RunVerdict, line_of: LineOf = nowhere) -> str:
    """Render runs, a suite each, as the Jenkins xUnit plugin's schema has it.

    An expectation that does not hold is a failure; a broken infrastructure and an interruption are errors; what is
    inconclusive is skipped, with its reason. `line_of` says where in the scenario's file an expectation stands.
    """
    # The library's own functions have no types.
    document: Any = JUnitXml(name=plain(", ".join(dict.fromkeys(run.scenario for run in runs))))
    suites = [_suite(run, line_of) for run in runs]
    for suite in suites:
        document.append(suite)
    # Not update_statistics: it counts what is skipped in the document as well, for which the schema has no place.
    document.tests, document.failures, document.errors = (
        sum(getattr(suite, name) for suite in suites) for name in ("tests", "failures", "errors")
    )
    document.time = round(sum(run.duration_s for run in runs), 3)
    rendered: bytes = document.tostring()
    return rendered.decode()


class _Suite(TestSuite):
    """A suite that names its file."""

    file = Attr()


def _suite(run: RunVerdict, line_of: LineOf) -> Any:
    suite: Any = _Suite(plain(run.scenario))
    suite.file = plain(run.file)
    suite.timestamp = plain(run.started_at)
    suite.append(_properties(run))
    for variant in run.variants:
        for case in _cases(run, variant, line_of):
            suite.add_testcase(case)
    if not run.variants:
        suite.add_testcase(_outcome_case(run, "guarantee", run.outcome, run.headline, (), run.duration_s))
    suite.update_statistics()
    suite.time = round(run.duration_s, 3)
    return suite


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
            f"{variant.name}.copies": counts.copies,
            f"{variant.name}.confirmed": counts.confirmed,
            f"{variant.name}.redelivered": counts.redelivered,
            **{f"{variant.name}.{fate.value}": count for fate, count in counts.fates.items() if count},
            **{f"{variant.name}.{fate.value}, possibly lost": count for fate, count in counts.possible.items()},
            **{f"{variant.name}.{name}": f"{value:.6f}" for name, value in _times(variant)},
        }
    make: Any = Properties
    properties = make()
    for name, value in figures.items():
        properties.append(Property(plain(name), plain(str(value))))
    return properties


def _times(variant: VariantVerdict) -> Iterator[tuple[str, float]]:
    for name, latency in (
        ("confirm", variant.confirm_latency),
        ("completion", variant.completion_latency),
        ("completion_due", variant.completion_due_latency),
    ):
        if latency is not None:
            yield f"{name}_p50_s", latency.p50
            yield f"{name}_p99_s", latency.p99
    for who in ("publishers", "workers"):
        yield f"outage_{who}_s", sum(each.end_s - each.begin_s for each in variant.outages if each.who == who)
    if variant.broker_down is not None:
        yield "broker_down_s", variant.broker_down.total_s
    for fault in variant.faults:
        if fault.recovery_s is not None:
            yield f"recovery_{fault.fault + 1}_s", fault.recovery_s


def _cases(run: RunVerdict, variant: VariantVerdict, line_of: LineOf) -> list[Any]:
    """Return a variant's cases; its time is shared out evenly, for the expectations were judged on one run."""
    unfinished = variant.outcome in ENDED_EARLY
    share = variant.duration_s / max(1, len(variant.expectations) + unfinished)
    cases = [
        _case(run, variant, result, share, line_of(run, variant.name, result.path)) for result in variant.expectations
    ]
    if unfinished or not variant.expectations:
        cases.append(_outcome_case(run, variant.name, variant.outcome, variant.headline, variant.reasons, share))
    return cases


def _case(run: RunVerdict, variant: VariantVerdict, result: ExpectationResult, seconds: float, line: int | None) -> Any:
    case: Any = TestCase(
        plain(f"{variant.name}: {result.path} {result.expected}"),
        plain(f"{run.scenario}.{variant.name}"),
        round(seconds, 3),
    )
    if variant.outcome in ENDED_EARLY:
        case.result = [Skipped(plain(variant.headline))]
    elif result.holds is None:
        case.result = [Skipped(plain(f"{standing(variant, result)}: {result.observed}"))]
    elif not result.holds:
        failure: Any = Failure(plain(f"expected {result.expected}, observed {result.observed}"), "violated")
        place = f"{run.file}:{line}" if line is not None else run.file
        told = [
            variant.headline,
            result.explanation,
            *variant.explained,
            f"expected in {place}",
            f"replay: {run.replay}",
        ]
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
