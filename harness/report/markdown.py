"""summary.md: for a job's summary page."""

from __future__ import annotations

import html

from harness.checks.verdict import Outcome, RunVerdict, VariantVerdict
from harness.report.plain import plain

LIMIT_BYTES = 1024 * 1024
"""What GitHub takes as a step's summary."""
_SIGNS = {
    Outcome.AS_EXPECTED: "✅",
    Outcome.VIOLATED: "❌",
    Outcome.INFRASTRUCTURE: "🛠️",
    Outcome.INCONCLUSIVE: "❔",
    Outcome.INTERRUPTED: "⏹️",
}


def _safe(text: str) -> str:
    """Escape for Markdown inside HTML and tables."""
    escaped = html.escape(plain(text))
    for character in "\\`*_[]|#":
        escaped = escaped.replace(character, f"&#{ord(character)};")
    return escaped


def markdown(run: RunVerdict) -> str:
    """Render a run; verdict first."""
    lines = [
        f"## {_SIGNS[run.outcome]} {_safe(run.scenario)}: {run.outcome.value}",
        "",
        _safe(run.headline),
        "",
        "| variant | settings | expected | observed | verdict |",
        "|---|---|---|---|---|",
    ]
    lines += [_row(variant) for variant in run.variants]
    for variant in run.variants:
        lines += _details(variant)
    lines += ["", f"Replay: `{plain(run.replay).replace('`', '')}`", ""]
    text = "\n".join(lines)
    if len(text.encode()) > LIMIT_BYTES:
        text = text.encode()[: LIMIT_BYTES - 100].decode(errors="ignore") + "\n\n(cut; report.html has all)\n"
    return text


def _row(variant: VariantVerdict) -> str:
    shown = [each for each in variant.expectations if each.stated or each.holds is not True]
    shown = shown or [each for each in variant.expectations if each.path == "lost"]
    settings = "<br>".join(f"{_safe(path)}: {_safe(value)}" for path, value in variant.settings.items())
    expected = "<br>".join(f"{_safe(each.path)} {_safe(each.expected)}" for each in shown)
    observed = "<br>".join(_safe(each.observed) for each in shown)
    return f"| {_safe(variant.name)} | {settings} | {expected} | {observed} | {_SIGNS[variant.outcome]} {variant.outcome.value} |"


def _details(variant: VariantVerdict) -> list[str]:
    told = [*variant.reasons, *(cause.sentence for cause in variant.causes)]
    told += [f"{anomaly.message}: {anomaly.sentence}" for anomaly in variant.anomalies[:20]]
    if not told:
        return []
    return [
        "",
        f"<details><summary>{_safe(variant.name)}</summary>",
        "",
        *(f"- {_safe(each)}" for each in told),
        "",
        "</details>",
    ]
