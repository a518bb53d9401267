"""Medians of the rounds, the ratios to the yardsticks, and where they are written."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- begin: make bench -->", "<!-- end: make bench -->"


@dataclass(frozen=True, slots=True)
class Measured:
    """A client on a queue type: messages a second through both ends, round by round."""

    client: str
    queue: str
    rates: tuple[float, ...]
    processor_us: tuple[float, ...]
    """Processor time of both ends, in microseconds a message, round by round."""
    bytes_a_message: float | None = None
    """Of the event logs of both ends, where there are any."""

    @property
    def rate(self) -> float:
        """The median, in messages a second."""
        return median(self.rates)

    @property
    def cost_us(self) -> float:
        """The median processor time, in microseconds a message."""
        return median(self.processor_us)


@dataclass(frozen=True, slots=True)
class Bench:
    """What was measured, on what, and how."""

    broker: str
    messages: int
    rounds: int
    measured: tuple[Measured, ...]

    def ratio(self, client: str, to: str, queue: str) -> float | None:
        """The median of the ratios of two clients, round by round; None if one of them was not measured."""
        rates = {each.client: each.rates for each in self.measured if each.queue == queue}
        if client not in rates or to not in rates:
            return None
        return median(one / other for one, other in zip(rates[client], rates[to], strict=True))

    def table(self, yardsticks: Sequence[str]) -> str:
        """Write a Markdown table: ratios first, then messages a second and bytes."""
        head = [
            "client",
            "queue",
            *(f"of {name}" for name in yardsticks),
            "messages a second",
            "µs of processor a message",
            "bytes a message",
        ]
        lines = [_row(head), _row(["---"] * len(head))]
        for each in self.measured:
            ratios = [self.ratio(each.client, name, each.queue) for name in yardsticks]
            shown = ["" if ratio is None else f"{ratio:.2f}" for ratio in ratios]
            size = "" if each.bytes_a_message is None else f"{each.bytes_a_message:.0f}"
            lines.append(_row([each.client, each.queue, *shown, f"{each.rate:,.0f}", f"{each.cost_us:.1f}", size]))
        return "\n".join(lines)

    def conditions(self) -> str:
        """Say in a sentence under what conditions it was measured."""
        return (
            f"{self.rounds} interleaved rounds of {self.messages:,} messages on {self.broker}, {os.cpu_count()} cores, "
            f"Python {platform.python_version()}; medians. Processor time is that of both ends, their start included."
        )

    def write(self, folder: Path = RESULTS) -> Path:
        """Write everything as JSON; returns the file."""
        folder.mkdir(parents=True, exist_ok=True)
        now = datetime.now(UTC)
        path = folder / f"{now:%Y%m%d-%H%M%S}.json"
        machine = {"cores": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version()}
        path.write_text(json.dumps({"at": now.isoformat(), "machine": machine} | asdict(self), indent=2) + "\n")
        return path


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def refresh(page: str, inserted: str) -> str:
    """Replace what stands between the marks of a page. Raises ValueError for a page without them."""
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f"the page has no {BEGIN} and {END}")
    return pattern.sub(lambda _: f"{BEGIN}\n\n{inserted}\n\n{END}", page)
