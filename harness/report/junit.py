"""junit.xml: a suite for each variant, a case for each expectation."""

from __future__ import annotations

import re

from junitparser import Error, Failure, JUnitXml, Properties, Property, Skipped, TestCase, TestSuite

from harness.checks.verdict import ExpectationResult, Outcome, RunVerdict, VariantVerdict

_ILLEGAL = re.compile(r"[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _legal(text: str) -> str:
    """Replace what XML 1.0 cannot hold."""
    return _ILLEGAL.sub("\ufffd", text)


def junit(run: RunVerdict) -> str:
    """Render a run."""
    document = JUnitXml(name=_legal(run.scenario))
    for variant in run.variants:
        document.append(_suite(run, variant))
    document.update_statistics()
    rendered: bytes = document.tostring()
    return rendered.decode()


def _suite(run: RunVerdict, variant: VariantVerdict) -> TestSuite:
    suite = TestSuite(_legal(f"{run.scenario}: {variant.name}"))
    suite.timestamp = run.started_at
    properties = Properties()
    counts = variant.counts
    figures = {
        "seed": run.seed,
        "replay": run.replay,
        "backend": variant.backend,
        "rabbitmq": variant.rabbitmq,
        "published": counts.published,
        "confirmed": counts.confirmed,
        "completions": counts.completions,
        "redelivered": counts.redelivered,
        **{f"fate.{fate.value}": count for fate, count in counts.fates.items()},
    }
    for name, value in figures.items():
        properties.append(Property(name, _legal(str(value))))
    suite.append(properties)
    share = variant.duration_s / max(1, len(variant.expectations))
    for result in variant.expectations:
        suite.add_testcase(_case(run, variant, result, share))
    if variant.outcome in (Outcome.INFRASTRUCTURE, Outcome.INCONCLUSIVE, Outcome.INTERRUPTED):
        suite.add_testcase(_outcome_case(run, variant))
    return suite


def _case(run: RunVerdict, variant: VariantVerdict, result: ExpectationResult, seconds: float) -> TestCase:
    case = TestCase(_legal(f"{result.path} {result.expected}"), _legal(f"{run.scenario}.{variant.name}"), seconds)
    if variant.outcome in (Outcome.INFRASTRUCTURE, Outcome.INCONCLUSIVE, Outcome.INTERRUPTED):
        case.result = [Skipped(_legal(variant.headline))]
    elif result.holds is False:
        causes = "\n".join(cause.sentence for cause in variant.causes)
        failure = Failure(_legal(f"expected {result.expected}, observed {result.observed}"), "violated")
        failure.text = _legal(f"{variant.headline}\n{causes}\nreplay: {run.replay}")
        case.result = [failure]
    return case


def _outcome_case(run: RunVerdict, variant: VariantVerdict) -> TestCase:
    case = TestCase("the run came to its end and proved something", _legal(f"{run.scenario}.{variant.name}"), 0.0)
    reasons = _legal("\n".join(variant.reasons) or variant.headline)
    if variant.outcome is Outcome.INCONCLUSIVE:
        case.result = [Skipped(reasons)]
    else:
        error = Error(_legal(variant.headline), variant.outcome.value)
        error.text = f"{reasons}\nreplay: {_legal(run.replay)}"
        case.result = [error]
    return case
