"""Live progress on standard error, and the verdict at the end."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from harness.checks.verdict import Outcome, RunVerdict, VariantVerdict
from harness.events import (
    BrokerStarted,
    Drained,
    Event,
    FaultArmed,
    FaultHealed,
    FaultInjected,
    FaultMissed,
    InfrastructureFailed,
    Note,
    Phase,
    PhaseChanged,
    ProcessExited,
    Progress,
    TrafficStarted,
    VariantFinished,
    VariantStarted,
)
from harness.report.plain import plain

PLAIN_PROGRESS_EVERY_S: Final = 2.0
_STYLES: Final = {
    Outcome.AS_EXPECTED: "bold green",
    Outcome.VIOLATED: "bold red",
    Outcome.INFRASTRUCTURE: "bold magenta",
    Outcome.INCONCLUSIVE: "bold yellow",
    Outcome.INTERRUPTED: "bold yellow",
}


class LiveProgress:
    """Shows a run while it goes on: one moving line on a terminal, plain lines elsewhere."""

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        """Show on `console`; nothing at all when quiet."""
        self._console = console
        self._quiet = quiet
        self._live: Live | None = None
        self._zero_ns = 0
        self._last: Progress | None = None
        self._last_plain = 0.0
        self._rates = (0.0, 0.0)

    def __call__(self, event: Event) -> None:
        """Take one event."""
        if self._quiet:
            return
        match event:
            case VariantStarted():
                settings = ", ".join(f"{path}: {value}" for path, value in event.settings.items())
                name = event.variant + (f" ({settings})" if settings else "")
                self._say(
                    Text(f"{plain(event.scenario)} [{event.index + 1}/{event.total}] {plain(name)}", style="bold")
                )
                self._zero_ns, self._last = 0, None
            case BrokerStarted():
                self._say(Text(f"  broker: RabbitMQ {event.rabbitmq}, {plain(event.reason)}", style="dim"))
            case TrafficStarted():
                self._zero_ns = event.at_ns
            case PhaseChanged(phase=phase) if phase in (Phase.SETTLE, Phase.DRAIN):
                self._say(Text(f"  {self._clock(event)}{phase.value}", style="dim"))
            case FaultArmed():
                self._show(event, "fault")
            case FaultInjected():
                detail = f" ({plain(event.detail)})" if event.detail else ""
                self._say(Text(f"  {self._clock(event)}{plain(event.title)}{detail}", style=event.colour))
            case FaultHealed():
                self._say(Text(f"  {self._clock(event)}{event.action} of step {event.fault + 1} is over", style="dim"))
            case (
                FaultMissed() | InfrastructureFailed() | Note() | Drained(complete=False) | ProcessExited(cause="crash")
            ):
                self._warn(event)
            case Progress():
                self._progress(event)
            case VariantFinished():
                self._stop()
                style = _STYLES[Outcome(event.verdict)]
                self._say(Text(f"  {event.verdict}: ", style=style).append(plain(event.headline), style="default"))

    def close(self) -> None:
        """Leave the terminal as it should be."""
        self._stop()

    def _warn(self, event: Event) -> None:
        match event:
            case FaultMissed():
                text = f"step {event.fault + 1} ({event.action}) never struck: {event.reason}"
            case InfrastructureFailed() | Note():
                text = event.message
            case Drained():
                text = event.reason
            case ProcessExited():
                text = f"{event.actor} crashed on a poison message"
            case _:
                return
        self._say(Text(f"  {self._clock(event)}{plain(text)}", style="yellow"))

    def _clock(self, event: Event) -> str:
        return (
            f"{(event.at_ns - self._zero_ns) / 1e9:7.2f} s  " if self._zero_ns and event.at_ns >= self._zero_ns else ""
        )

    def _progress(self, event: Progress) -> None:
        if self._last is not None and event.at_ns > self._last.at_ns:
            seconds = (event.at_ns - self._last.at_ns) / 1e9
            self._rates = (
                (event.published - self._last.published) / seconds,
                (event.processed - self._last.processed) / seconds,
            )
        self._last = event
        self._show(event, event.phase.value)

    def _show(self, event: Event, word: str) -> None:
        if self._last is None:
            return
        if self._console.is_terminal:
            if self._live is None:
                self._live = Live(console=self._console, refresh_per_second=5, transient=True)
                self._live.start()
            self._live.update(self._line(event, word))
        elif time.monotonic() - self._last_plain >= PLAIN_PROGRESS_EVERY_S:
            self._last_plain = time.monotonic()
            self._console.print(self._line(event, word))

    def _line(self, event: Event, word: str) -> Text:
        last = self._last
        assert last is not None  # noqa: S101 - callers have looked
        total = f" of {last.expected_messages:,}" if last.expected_messages else ""
        left = ""
        if last.expected_messages and self._rates[1] > 0:
            seconds = max(0.0, (last.expected_messages - last.processed) / self._rates[1])
            left = f", about {seconds:.0f} s left"
        return Text(
            f"  {self._clock(event)}{word}: published {last.published:,}{total} ({self._rates[0]:,.0f}/s), "
            f"confirmed {last.confirmed:,}, processed {last.processed:,} ({self._rates[1]:,.0f}/s), "
            f"backlog {last.backlog:,}, in flight {last.in_flight:,}{left}",
            style="cyan",
        )

    def _say(self, text: Text) -> None:
        self._console.print(text)

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def print_verdict(run: RunVerdict, console: Console, *, directory: Path) -> None:
    """Print the verdict: the sentence first, then the guarantee beside its controls, then what failed and why."""
    console.print()
    console.print(
        Text(run.outcome.value.upper(), style=_STYLES[run.outcome]).append(f"  {plain(run.scenario)}", style="bold")
    )
    console.print(Text(plain(run.headline)))
    console.print()
    console.print(_table(run))
    for variant in run.variants:
        _print_details(variant, console)
    console.print()
    console.print(Text(f"report: {directory / 'report.html'}"))
    console.print(Text(f"replay: {plain(run.replay)}", style="dim"))


def _table(run: RunVerdict) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("variant", "expected", "observed", "verdict"):
        table.add_column(heading, overflow="fold")
    for variant in run.variants:
        stated = [each for each in variant.expectations if each.stated or each.holds is not True]
        shown = stated or [each for each in variant.expectations if each.path == "lost"]
        expected = "\n".join(f"{each.path} {plain(each.expected)}" for each in shown)
        observed = Text()
        for index, each in enumerate(shown):
            style = {True: "green", False: "bold red", None: "yellow"}[each.holds]
            observed.append(("\n" if index else "") + plain(each.observed), style=style)
        name = Text(plain(variant.name), style="bold")
        for path, value in variant.settings.items():
            name.append(f"\n{plain(path)}: {plain(value)}", style="dim")
        table.add_row(name, Text(expected), observed, Text(variant.outcome.value, style=_STYLES[variant.outcome]))
    return table


def _print_details(variant: VariantVerdict, console: Console) -> None:
    for reason in variant.reasons:
        console.print(Text(f"{plain(variant.name)}: {plain(reason)}", style="yellow"))
    for cause in variant.causes:
        console.print(Text(f"{plain(variant.name)}: {plain(cause.sentence)}"))
    for anomaly in variant.anomalies[:3]:
        console.print(Text(f"{plain(variant.name)}: {anomaly.message}: {plain(anomaly.sentence)}", style="red"))
