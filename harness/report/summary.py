"""The verdict on a terminal: the sentence first, the guarantee beside its controls, what took what, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from rich.table import Table
from rich.text import Text

from harness.plain import plain, shortened
from harness.report.named import named, trace_command
from harness.verdict.data import ExpectationResult, Fate, Outcome, RunVerdict, VariantVerdict
from harness.verdict.words import plural

if TYPE_CHECKING:
    from rich.console import Console

    from harness.report.broker_log import Complaints

STYLES: Final = {
    Outcome.AS_EXPECTED: "bold green",
    Outcome.VIOLATED: "bold red",
    Outcome.INFRASTRUCTURE: "bold magenta",
    Outcome.INCONCLUSIVE: "bold yellow",
    Outcome.INTERRUPTED: "bold yellow",
}
SHOWN_CAUSES: Final = 5
SHOWN_REASONS: Final = 8
SHOWN_LOG_LINES: Final = 6
LOG_LINE: Final = 160
"""Characters of a line of a broker's log."""


def print_verdict(
    run: RunVerdict,
    console: Console,
    *,
    directory: Path,
    complaints: Mapping[str, Sequence[Complaints]] | None = None,
) -> None:
    """Print a run's verdict. `directory` is where its reports lie; `complaints` are those of the brokers, by variant."""
    console.print()
    console.print(Text.assemble((run.outcome.value.upper(), STYLES[run.outcome]), "  ", plain(run.headline)))
    if missing := missing_control(run):
        console.print(Text(missing, style="yellow"))
    if run.variants:
        console.print()
        console.print(_table(run.variants, wide=console.width >= 100))
    for variant in run.variants:
        for line in _explanation(variant, (complaints or {}).get(variant.name, ())):
            console.print(line)
    console.print()
    if trace := trace_command(run.variants, str(directory)):
        console.print(Text.assemble(("trace   ", "dim"), plain(trace)))
    console.print(Text.assemble(("report  ", "dim"), plain(str(directory / "report.html"))))
    console.print(Text.assemble(("replay  ", "dim"), plain(run.replay)))


def missing_control(run: RunVerdict) -> str:
    """Say that no control ran, where everything is as expected and nothing was lost; empty otherwise."""
    if len(run.variants) != 1 or run.outcome is not Outcome.AS_EXPECTED or run.variants[0].counts.fates.get(Fate.LOST):
        return ""
    return "No control ran: this run has not shown that it would notice a loss."


def observed_or_asked(variant: VariantVerdict) -> tuple[ExpectationResult, ...]:
    """Return the expectations worth a reader's eye: those the scenario states, those not met, and always the loss."""
    return tuple(
        result for result in variant.expectations if result.stated or result.holds is not True or result.path == "lost"
    )


def standing(
    variant: VariantVerdict, result: ExpectationResult
) -> Literal["ok", "not ok", "undecided", "not measured", "not proved"]:
    """Say how an expectation stands; what holds in a run that proved nothing is not proved."""
    if result.holds is None:  # of an interval it may hold for a part only
        return "undecided" if any(letter.isdigit() for letter in result.observed) else "not measured"
    if not result.holds:
        return "not ok"
    return "ok" if variant.outcome in (Outcome.AS_EXPECTED, Outcome.VIOLATED) else "not proved"


def expected(result: ExpectationResult) -> str:
    """Write what is expected; what does not hold and is nowhere in the scenario is marked. That nothing may be lost goes without saying."""
    unstated = not result.stated and result.holds is not True and result.path != "lost"
    return f"{result.expected} (not stated)" if unstated else result.expected


def _table(variants: tuple[VariantVerdict, ...], *, wide: bool) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("variant", overflow="fold")
    if wide:
        table.add_column("with", overflow="fold")
    for heading in ("expected", "observed"):
        table.add_column(heading, overflow="fold")
    table.add_column("")
    for variant in variants:
        settings = ", ".join(f"{path}: {value}" for path, value in variant.settings.items())
        name = Text(plain(variant.name), style="bold")
        if settings and not wide:
            name.append(f"\n{plain(settings)}", style="dim")
        leading: tuple[Text, ...] = (name, Text(plain(settings))) if wide else (name,)
        for result in observed_or_asked(variant):
            table.add_row(
                *leading,
                Text(shortened(plain(f"{result.path} {expected(result)}"), 60)),
                Text(shortened(plain(result.observed), 60)),
                _mark(variant, result),
            )
            leading = tuple(Text() for _ in leading)
        if variant.outcome not in (Outcome.AS_EXPECTED, Outcome.VIOLATED) or not variant.expectations:
            table.add_row(*leading, Text(), Text(), Text(variant.outcome.value, style=STYLES[variant.outcome]))
    return table


def _mark(variant: VariantVerdict, result: ExpectationResult) -> Text:
    word = standing(variant, result)
    match word:
        case "ok":
            return Text(word, style="green")
        case "not ok":
            return Text(word.upper(), style="bold red")
        case _:
            return Text(word, style="yellow")


def _explanation(variant: VariantVerdict, complaints: Sequence[Complaints]) -> list[Text]:
    """Say why a variant is what it is: what took messages, what did not hold, and what the broker complained of."""
    lines: list[Text] = []
    lines += [Text(f"  {plain(sentence)}") for sentence in variant.explained[:SHOWN_CAUSES]]
    if len(variant.explained) > SHOWN_CAUSES:
        lines.append(Text(f"  and {len(variant.explained) - SHOWN_CAUSES} more causes, in the report", style="dim"))
    lines += [Text(f"  {plain(line)}") for line in named(variant)]
    if variant.outcome is not Outcome.AS_EXPECTED:
        style = STYLES[variant.outcome]
        lines += [Text(f"  {plain(reason)}", style=style) for reason in variant.reasons[:SHOWN_REASONS]]
        lines += [
            Text(f"  {plain(result.path)}: {plain(result.explanation)}")
            for result in variant.expectations
            if result.holds is False and result.explanation
        ]
    lines += [Text(f"  note: {plain(note)}", style="yellow") for note in variant.notes]
    lines += [Text(f"  not looked at: {plain(each)}", style="dim") for each in variant.not_looked_at]
    for each in complaints:
        count = len(each.lines) + each.left_out
        lines.append(Text(f"  {plural(count, 'line')} of warnings and errors in the log of {plain(each.node)}:"))
        lines += [Text(f"    {shortened(plain(line), LOG_LINE)}", style="dim") for line in each.lines[:SHOWN_LOG_LINES]]
        if count > SHOWN_LOG_LINES:
            lines.append(Text(f"    and {plural(count - SHOWN_LOG_LINES, 'more line')}, in the report", style="dim"))
    return [Text.assemble("\n", (plain(variant.name), "bold")), *lines] if lines else []
