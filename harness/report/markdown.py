"""summary.md: verdict first, a table of the variants, details folded; what a job shows on its page."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from harness.checks.headline import plural
from harness.checks.verdict import ExpectationResult, Fate, Outcome, RunVerdict, VariantVerdict
from harness.report.figures import processed, seconds
from harness.report.plain import plain, shortened
from harness.report.summary import observed_or_asked, standing

LIMIT_BYTES: Final = 1024 * 1024
"""What GitHub takes as the summary of a step."""
SIGNS: Final = {
    Outcome.AS_EXPECTED: "✅",
    Outcome.VIOLATED: "❌",
    Outcome.INFRASTRUCTURE: "🛠️",
    Outcome.INCONCLUSIVE: "❔",
    Outcome.INTERRUPTED: "⏹️",
}
_LISTED_CAUSES: Final = 50
_LISTED_ANOMALIES: Final = 20
_CUT: Final = "\n*Cut at what a job's summary may hold; report.html has everything.*\n"
_SPECIAL: Final = re.compile(r"[\\`*_~\[\]|#@$]|:(?=//)")


def markdown(run: RunVerdict, *, limit: int = LIMIT_BYTES) -> str:
    """Render a run in at most `limit` bytes of UTF-8; whole blocks are left out, so that nothing stays unclosed."""
    blocks = [_head(run), *(_details(variant) for variant in run.variants), _foot(run)]
    kept: list[str] = []
    room = limit - len(_CUT.encode())
    for block in (block for block in blocks if block):
        size = len(block.encode(errors="backslashreplace")) + 1
        if size > room:
            return "\n".join(kept) + _CUT
        kept.append(block)
        room -= size
    return "\n".join(kept)


def append_to_job_summary(run: RunVerdict, environment: Mapping[str, str]) -> Path | None:
    """Add the summary to the page of the GitHub job that this runs in; None outside of one. Raises OSError."""
    file = environment.get("GITHUB_STEP_SUMMARY")
    if not file:
        return None
    path = Path(file)
    taken = path.stat().st_size if path.exists() else 0
    room = LIMIT_BYTES - taken - 1
    text = markdown(run, limit=room) if room > len(_CUT) else ""
    if text and len(text.encode()) <= room:
        with path.open("a", encoding="utf-8", errors="backslashreplace") as summary:
            summary.write(text + "\n")
    return path


def escaped(text: str) -> str:
    """Escape text from outside, for Markdown within tables and HTML: no mark-up, no mention, no reference."""
    return _SPECIAL.sub(lambda match: f"&#{ord(match[0])};", html.escape(plain(text), quote=False))


def _head(run: RunVerdict) -> str:
    rows = [
        f"## {SIGNS[run.outcome]} {escaped(run.scenario)}: {run.outcome.value}",
        "",
        f"**{escaped(run.headline)}**",
        "",
    ]
    if run.variants:
        rows += ["| variant | with | expected | observed | verdict |", "|---|---|---|---|---|"]
        rows += [_row(variant) for variant in run.variants]
    return "\n".join([*rows, ""])


def _row(variant: VariantVerdict) -> str:
    shown = observed_or_asked(variant)
    cells = (
        escaped(variant.name),
        "<br>".join(f"{escaped(path)}: {escaped(value)}" for path, value in variant.settings.items()),
        "<br>".join(escaped(shortened(f"{each.path} {each.expected}", 200)) for each in shown),
        "<br>".join(_observed(variant, each) for each in shown),
        f"{SIGNS[variant.outcome]} {variant.outcome.value}",
    )
    return f"| {' | '.join(cells)} |"


def _observed(variant: VariantVerdict, result: ExpectationResult) -> str:
    text, word = escaped(shortened(result.observed, 200)), standing(variant, result)
    return text if word == "ok" else f"**{text}** ({word})"


def _details(variant: VariantVerdict) -> str:
    title = f"{escaped(variant.name)}: {escaped(shortened(variant.headline, 300))}"
    return "\n".join(
        [
            "<details>",
            f"<summary>{title}</summary>",
            "",
            *(f"- {line}" for line in _told(variant)),
            "",
            "</details>",
            "",
        ]
    )


def _told(variant: VariantVerdict) -> Iterator[str]:
    counts = variant.counts
    yield (
        f"{plural(counts.published, 'message')} published, {counts.confirmed:,} confirmed, {processed(counts):,} processed, "
        f"{counts.fates.get(Fate.LOST, 0):,} lost, {counts.duplicates:,} processed more than once"
    )
    for reason in variant.reasons:
        yield escaped(reason)
    for cause in variant.causes[:_LISTED_CAUSES]:
        yield escaped(cause.sentence)
    for fault in variant.faults:
        if fault.injected_s is not None:
            back = f", recovery after {seconds(fault.recovery_s)}" if fault.recovery_s is not None else ""
            risk = f", {fault.at_risk:,} at risk" if fault.at_risk is not None else ""
            yield f"{escaped(fault.title)} at {fault.injected_s:.2f} s{risk}, took {fault.taken:,}{back}"
    for anomaly in variant.anomalies[:_LISTED_ANOMALIES]:
        yield f"{escaped(anomaly.kind)}: {escaped(str(anomaly.message))} {escaped(anomaly.sentence)}"
    for note in variant.notes:
        yield f"note: {escaped(note)}"


def _foot(run: RunVerdict) -> str:
    versions = ", ".join(f"{escaped(name)} {escaped(value)}" for name, value in run.versions.items())
    return "\n".join([f"Replay: <code>{escaped(run.replay)}</code>", "", f"<sub>{versions}</sub>", ""])
