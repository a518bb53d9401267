"""summary.md: verdict first, a table of the variants, details folded; what a job shows on its page."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from harness.plain import plain, shortened
from harness.report.figures import (
    NOTHING_PUBLISHED,
    SHOWN_NAMES,
    lost_figure,
    matter_most,
    not_done_otherwise,
    processed,
    seconds,
    several_copies,
)
from harness.report.named import named, trace_command
from harness.report.summary import expected, missing_control, observed_or_asked, standing
from harness.verdict.data import ExpectationResult, Fate, Outcome, RunVerdict, VariantVerdict
from harness.verdict.words import plural

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
_CUT: Final = "\n*Cut here: this is what a job's summary may hold; report.html has everything.*\n"
_OPEN, _CLOSE = "<details>", "</details>"
_CLOSING_BYTES: Final = len(f"\n{_CLOSE}\n")
_SPECIAL: Final = re.compile(r"[\\`*_~\[\]|#@$]|:(?=//)")


def markdown(run: RunVerdict, *, limit: int = LIMIT_BYTES) -> str:
    """Render a run in at most `limit` bytes of UTF-8."""
    blocks = [_head(run), *(_details(variant) for variant in run.variants), _foot(run)]
    return cut([line for block in blocks for line in block.split("\n")], limit)


def cut(lines: Sequence[str], limit: int) -> str:
    """Join lines in at most `limit` bytes of UTF-8; what is cut is cut at a whole line, said, and leaves nothing folded open."""
    kept: list[str] = []
    sizes = [len(line.encode(errors="backslashreplace")) + 1 for line in lines]
    if sum(sizes) <= limit:
        return "\n".join([*lines, ""])
    room, opened = limit - len(_CUT.encode()), 0
    for line, size in zip(lines, sizes, strict=True):
        opened += (line == _OPEN) - (line == _CLOSE)
        room -= size
        if room < opened * _CLOSING_BYTES:
            opened -= (line == _OPEN) - (line == _CLOSE)
            break
        kept.append(line)
    return "\n".join([*kept, *(("", _CLOSE) * opened), _CUT])


def append_to_job_summary(render: Callable[[int], str], environment: Mapping[str, str]) -> Path | None:
    """Add a summary to the page of the GitHub job that this runs in; None outside of one. Raises OSError.

    `render` is given how many bytes the summary may have: what the page still has room for.
    """
    file = environment.get("GITHUB_STEP_SUMMARY")
    if not file:
        return None
    path = Path(file)
    taken = path.stat().st_size if path.exists() else 0
    text = render(LIMIT_BYTES - taken)
    if taken + len(text.encode(errors="backslashreplace")) <= LIMIT_BYTES:
        with path.open("a", encoding="utf-8", errors="backslashreplace") as summary:
            summary.write(text)
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
    if missing := missing_control(run):
        rows += [missing, ""]
    if run.variants:
        rows += ["| variant | with | expected | observed | verdict |", "|---|---|---|---|---|"]
        rows += [_row(variant) for variant in run.variants]
    return "\n".join([*rows, ""])


def _row(variant: VariantVerdict) -> str:
    shown = observed_or_asked(variant)
    cells = (
        escaped(variant.name),
        "<br>".join(f"{escaped(path)}: {escaped(value)}" for path, value in variant.settings.items()),
        "<br>".join(escaped(shortened(f"{each.path} {expected(each)}", 200)) for each in shown),
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
            _OPEN,
            f"<summary>{title}</summary>",
            "",
            *(f"- {line}" for line in _told(variant)),
            "",
            _CLOSE,
            "",
        ]
    )


def _by_queue(by_queue: Mapping[str, Mapping[Fate, int]]) -> Iterator[str]:
    if len(by_queue) < 2:
        return
    for queue in matter_most(by_queue, SHOWN_NAMES):
        there = ", ".join(f"{count:,} {fate.value}" for fate, count in by_queue[queue].items() if count)
        yield f"{escaped(queue)}: {there or NOTHING_PUBLISHED}"
    if (more := len(by_queue) - SHOWN_NAMES) > 0:
        yield f"and {plural(more, 'more queue')}, with less that was not done, or fewer messages"


def _told(variant: VariantVerdict) -> Iterator[str]:
    counts = variant.counts
    parts = [
        f"{plural(counts.published, 'message')} published",
        *([plural(counts.copies, "copy", "copies")] if several_copies(counts) else []),
        f"{counts.confirmed:,} confirmed",
        f"{processed(counts):,} processed",
        f"{lost_figure(variant)} lost",
        *(f"{written} {fate.value}" for fate, written in not_done_otherwise(counts).items()),
        f"{counts.duplicates:,} processed more than once",
    ]
    yield ", ".join(parts)
    for reason in variant.reasons:
        yield escaped(reason)
    for sentence in variant.explained[:_LISTED_CAUSES]:
        yield escaped(sentence)
    for line in named(variant):
        yield escaped(line)
    if trace := trace_command([variant], "RUN"):
        yield f"the life of one: <code>{escaped(trace)}</code>, where RUN is the run's directory"
    yield from _by_queue(variant.by_queue)
    for fault in variant.faults:
        if fault.injected_s is not None:
            healed_s = fault.healed_s if fault.healable else None
            lasted = f", lasted {seconds(healed_s - fault.injected_s)}" if healed_s is not None else ""
            risk = f", {fault.at_risk:,} at risk" if fault.at_risk is not None else ""
            work = f", next work {seconds(fault.recovery_s)} after its end" if fault.recovery_s is not None else ""
            yield f"{escaped(fault.title)} at {fault.injected_s:.2f} s{lasted}{risk}, took {fault.taken:,}{work}"
    if variant.load is not None:
        yield escaped(variant.load.sentence)
    for machine in variant.machines:
        known = f"lost: {machine.lost}" if machine.lost else f"times right within {seconds(machine.clock_error_s)}"
        yield escaped(f"machine {machine.name}: {', '.join(machine.actors)}; {known}")
    for anomaly in variant.anomalies[:_LISTED_ANOMALIES]:
        yield f"{escaped(anomaly.kind)}: {escaped(str(anomaly.message))} {escaped(anomaly.sentence)}"
    for note in variant.notes:
        yield f"note: {escaped(note)}"
    for each in variant.not_looked_at:
        yield f"not looked at: {escaped(each)}"


def _foot(run: RunVerdict) -> str:
    versions = ", ".join(f"{escaped(name)} {escaped(value)}" for name, value in run.versions.items())
    return "\n".join([f"Replay: <code>{escaped(run.replay)}</code>", "", f"<sub>{versions}</sub>", ""])
