"""Live progress for people: a display that renews itself on a terminal, a few plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harness.events import (
    BrokerBooting,
    BrokerStarted,
    Drained,
    ErrorObserved,
    Event,
    FaultHealed,
    FaultInjected,
    FaultMissed,
    HostLost,
    InfrastructureFailed,
    Note,
    PhaseChanged,
    ProcessExited,
    Progress,
    TrafficStarted,
    VariantFinished,
    VariantStarted,
)
from harness.plain import plain
from harness.report.figures import about, seconds
from harness.report.progress import Follower, VariantProgress
from harness.report.summary import STYLES, print_verdict
from harness.verdict.data import Outcome
from harness.verdict.words import plural

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["LiveProgress", "print_verdict"]

PLAIN_EVERY_NS = 2_000_000_000
"""Without a terminal, counters are written at most this often."""
LONG_STRIKE_NS = 500_000_000
"""Of a strike that takes so long the line says how long: it comes when it has struck, after lines of later moments."""


class LiveProgress:
    """A listener that shows a run as it goes. `close` it at the end, however the run ends."""

    def __init__(self, console: Console, *, quiet: bool = False, now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        """Show on `console`; with `quiet`, show nothing. `now_ns` is the clock of the events."""
        self._console = console
        self._quiet = quiet
        self._now_ns = now_ns
        self._follower = Follower()
        self._faults: dict[int, FaultInjected] = {}
        self._last_counters_ns = 0
        self._live: Live | None = None

    def __call__(self, event: Event) -> None:
        """Show an event."""
        if self._quiet:
            return
        standing = self._follower.advance(event)
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            self._on_terminal(event)
        elif isinstance(event, Progress):
            self._counters_in_a_line(event, standing)
        for line in self._lines(event, standing):
            self._console.print(line)
        if self._live is not None and not isinstance(event, Progress):
            self._live.refresh()

    def close(self) -> None:
        """End the display; what was told stays. Further calls are in order."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    # On a terminal: told lines stay above, the counters are renewed below.

    def _on_terminal(self, event: Event) -> None:
        if isinstance(event, VariantFinished):
            self.close()
        elif self._live is None:
            self._live = Live(get_renderable=self._display, console=self._console, transient=True, refresh_per_second=5)
            self._live.start()

    def _display(self) -> RenderableType:
        standing = self._follower.standing
        top = Table.grid(expand=True, padding=(0, 1))
        top.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        top.add_column(justify="right", no_wrap=True)
        since = standing.zero_ns if standing.zero_ns is not None else standing.phase_began_ns
        elapsed = max(0.0, (self._now_ns() - since) / 1e9) if since else 0.0
        left = standing.left_s
        top.add_row(
            Text.assemble((_title(standing), "bold"), "  ", (standing.phase.value if standing.phase else "", "cyan")),
            Text(f"{elapsed:.1f} s" + (f", about {about(left)} left" if left is not None else ""), style="dim"),
        )
        parts: list[RenderableType] = [top]
        if standing.counters is not None:
            parts += _counters(standing)
        parts += [
            Text.assemble(("▌ ", fault.colour), plain(fault.title), (" not healed yet", "dim"))
            for fault in tuple(self._faults.values())
        ]
        return Group(*parts)

    # Lines that stay.

    def _counters_in_a_line(self, event: Progress, standing: VariantProgress) -> None:
        if event.at_ns - self._last_counters_ns < PLAIN_EVERY_NS or not event.published:
            return
        self._last_counters_ns = event.at_ns
        of = f" of {event.expected_messages:,}" if event.expected_messages is not None else ""
        left = standing.left_s
        self._console.print(
            Text(
                f"  {self._at(event.at_ns)}  published {event.published:,}{of}, confirmed {event.confirmed:,}, "
                f"processed {event.processed:,} ({standing.rates.processed:,.0f}/s), in flight {event.in_flight:,}, "
                f"backlog {event.backlog:,}" + (f", about {about(left)} left" if left is not None else "")
            )
        )

    def _lines(self, event: Event, standing: VariantProgress) -> list[Text]:  # noqa: PLR0911, PLR0912 - one case an event
        at = self._at(event.at_ns)
        match event:
            case VariantStarted():
                self._faults.clear()
                self._last_counters_ns = 0
                sets = ", ".join(f"{path}: {value}" for path, value in event.settings.items())
                return [Text.assemble((_title(standing), "bold"), (f"  {plain(sets)}" if sets else "", "dim"))]
            case PhaseChanged() if not self._console.is_terminal:
                return [Text(f"  {event.phase.value}")]
            case BrokerBooting():
                return [Text(f"  starting RabbitMQ on the {plain(event.backend)} backend", style="dim")]
            case BrokerStarted():
                image = f", image {event.image}" if event.image else ""
                nodes = f", {len(event.nodes)} nodes" if len(event.nodes) > 1 else ""
                said = f"RabbitMQ {event.rabbitmq} (Erlang {event.erlang}) on the {event.backend} backend{nodes}{image}"
                return [Text.assemble("  ", plain(said), (f": {plain(event.reason)}", "dim"))]
            case TrafficStarted():
                return [Text("  traffic begins", style="dim")]
            case FaultInjected():
                remarks = [event.detail or ("not seen to be clean" if event.clean is False else "")]
                if event.struck_at_ns - event.at_ns >= LONG_STRIKE_NS:
                    remarks.append(f"took {seconds((event.struck_at_ns - event.at_ns) / 1e9)}")
                if event.healable:
                    self._faults[event.fault] = event
                return [_fault_line(at, event, plain(event.title), "; ".join(filter(None, remarks)))]
            case FaultHealed() if event.fault in self._faults:
                fault = self._faults.pop(event.fault)
                took = seconds((event.at_ns - fault.at_ns) / 1e9)
                return [_fault_line(at, fault, f"{plain(fault.title)}: healed after {took}", "")]
            case FaultMissed():
                said = f"step {event.fault + 1} ({event.action}) never struck: {event.reason}"
                return [Text(f"  {at}  {plain(said)}", style="yellow")]
            case ProcessExited() if event.cause in ("unexpected", "crash"):
                unexpected = event.cause == "unexpected"
                how = "exited unexpectedly" if unexpected else "crashed on a poison message"
                said = f"{event.actor} {how} (exit code {event.exit_code})"
                return [Text(f"  {at}  {plain(said)}", style="red" if unexpected else "yellow")]
            case ErrorObserved():
                return [Text(f"  {at}  {plain(f'{event.where}: {event.code} {event.text}')}", style="yellow")]
            case HostLost():
                said = f"the machine {event.host} was lost with {', '.join(event.actors)}: {event.reason}"
                return [Text(f"  {at}  {plain(said)}", style="bold red")]
            case Drained():
                end = "drained" if event.complete else "the drain did not finish"
                return [Text(f"  {at}  {plain(f'{end}: {event.reason}')}", style="" if event.complete else "yellow")]
            case InfrastructureFailed():
                return [Text(f"  {plain(event.message)}", style="bold red")]
            case Note():
                return [Text(f"  note: {plain(event.message)}", style="yellow")]
            case VariantFinished():
                style = STYLES[Outcome(event.verdict)]
                return [Text.assemble("  ", (event.verdict, style), f"  {plain(event.headline)}")]
            case _:
                return []

    def _at(self, at_ns: int) -> str:
        zero_ns = self._follower.standing.zero_ns
        return f"{(at_ns - zero_ns) / 1e9:6.1f} s" if zero_ns is not None else " " * 8


def _title(standing: VariantProgress) -> str:
    position = f" ({standing.index + 1} of {standing.total})" if standing.total > 1 else ""
    return plain(f"{standing.scenario} · {standing.variant}{position}")


def _fault_line(at: str, fault: FaultInjected, said: str, remark: str) -> Text:
    return Text.assemble(
        "  ", (at, "dim"), "  ", ("▌", fault.colour), said, (f" ({plain(remark)})" if remark else "", "yellow")
    )


def _counters(standing: VariantProgress) -> list[RenderableType]:
    seen, rates = standing.counters, standing.rates
    if seen is None:
        return []
    grid = Table.grid(padding=(0, 2))
    for _ in range(6):
        grid.add_column(justify="right", no_wrap=True)
    for row in (
        ("", "published", "confirmed", "processed", "in flight", "backlog"),
        (
            "",
            *(f"{value:,}" for value in (seen.published, seen.confirmed, seen.processed, seen.in_flight, seen.backlog)),
        ),
        ("", *(f"{value:,.0f}/s" for value in (rates.published, rates.confirmed, rates.processed)), "", ""),
    ):
        grid.add_row(*(Text(cell, style="" if cell[:1].isdigit() and "/" not in cell else "dim") for cell in row))
    parts: list[RenderableType] = [grid]
    if seen.expected_copies:
        done = min(seen.processed, seen.expected_copies)
        bar = Table.grid(padding=(0, 1), expand=True)
        bar.add_column(ratio=1)
        bar.add_column(no_wrap=True, justify="right")
        unit = ("message",) if seen.expected_copies == seen.expected_messages else ("copy", "copies")
        of = Text(f"of {plural(seen.expected_copies, *unit)}", style="dim")
        bar.add_row(ProgressBar(total=seen.expected_copies, completed=done), of)
        parts.append(bar)
    return parts
