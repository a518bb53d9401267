"""`make bench-precision`: how exactly steps strike while publishers and workers put through all they can.

Runs one scenario a round for each client, without a rate, and reads from the verdicts how late each step struck and how far its counter had
come by then. A step by progress is in bounds if it struck within 10 ms, or within 1% of its count; one by time within 5 ms.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.broker.install import install
from harness.broker.native import NativeBroker
from harness.broker.protocol import Broker, BrokerSettings
from harness.broker.select import select
from harness.engine.run import run
from harness.faults.registry import actions
from harness.ledger import Ledger
from harness.scenario.load import Loaded, load
from harness.scenario.timeline import Step
from harness.verdict.data import RunVerdict

TIME_BOUND_S, PROGRESS_BOUND_S, COUNT_BOUND = 0.005, 0.010, 0.01
SCENARIO = """\
name: precision
client: {client}
publishers: {{count: 2, messages: {messages}, body: 256, confirms: {{window: 1000}}}}
workers: {{count: 2, prefetch: 500, ack_every: 100}}
timeline:
{steps}
"""
TIMES = ("500ms", "1s", "1500ms", "2s", "2500ms")
COUNTERS = ("published", "confirmed", "delivered", "processed", "acked")


@dataclass(frozen=True, slots=True)
class Struck:
    """How exactly a step struck."""

    trigger: str
    by_time: bool
    late_s: float
    beyond: float
    """How far its counter had come beyond its threshold, as a share of that."""

    @property
    def in_bounds(self) -> bool:
        """Whether that is exact enough."""
        if self.by_time:
            return self.late_s <= TIME_BOUND_S
        return self.late_s <= PROGRESS_BOUND_S or self.beyond <= COUNT_BOUND


def scenario(client: str, messages: int) -> str:
    """Write the scenario: steps by time, and steps by each counter at each tenth of the messages."""
    steps = [f"  - {{at: {at}, publish: {{text: tick}}}}" for at in TIMES]
    steps += [
        f"  - {{after: {{{name}: {messages * 2 * tenth // 10}}}, publish: {{text: tick}}}}"
        for tenth in range(1, 9)
        for name in COUNTERS
    ]
    return SCENARIO.format(client=client, messages=messages, steps="\n".join(steps))


def struck(verdict: RunVerdict, steps: Sequence[Step]) -> list[Struck]:
    """Read from a verdict how exactly each step struck."""
    found = []
    for fault in verdict.variants[0].faults:
        after = steps[fault.fault].after
        thresholds = after.thresholds() if after is not None else {}
        assert fault.late_s is not None, f"{fault.trigger} was not measured"
        beyond = max((fault.counted[name] / value - 1 for name, value in thresholds.items()), default=0.0)
        found.append(Struck(fault.trigger, not thresholds, fault.late_s, beyond))
    return found


def measure(client: str, messages: int, suite: str | None) -> tuple[list[Struck], float]:
    """Run once; returns what struck, and the messages a second that went through."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder) / "precision.yaml"
        path.write_text(scenario(client, messages), encoding="utf-8")
        loaded: Loaded = load(path, actions())

        def make(settings: BrokerSettings, ledger: Ledger) -> tuple[Broker, str]:
            if suite is None:
                return select("native", settings, ledger).broker, "bench"
            return NativeBroker(settings, install(_say, suite=suite), ledger), "bench"

        verdict = run(loaded, reports=Path(folder) / "reports", seed=1, make_broker=make).verdict
        (variant,) = verdict.variants
        assert variant.load is not None
        rate = variant.counts.published / variant.load.span_s
        return struck(verdict, loaded.scenario.timeline), rate


def table(found: dict[str, list[Struck]], rates: dict[str, list[float]]) -> str:
    """Write what was measured as Markdown."""
    rows = [
        "| client | messages a second | steps by | struck | ms late: median, 95%, most | counter beyond: most | in bounds |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for client, all_struck in found.items():
        for name, by_time in (("time", True), ("progress", False)):
            some = [each for each in all_struck if each.by_time is by_time]
            late = sorted(each.late_s * 1000 for each in some)
            figures = (statistics.median(late), late[int(len(late) * 0.95)], late[-1])
            within = sum(each.in_bounds for each in some)
            rows.append(
                f"| {client} | {statistics.median(rates[client]):,.0f} | {name} | {len(some)} | "
                f"{', '.join(f'{figure:.1f}' for figure in figures)} | "
                f"{'' if by_time else f'{max(each.beyond for each in some):.2%}'} | {within / len(some):.1%} |"
            )
    return "\n".join(rows)


def main() -> int:
    """Measure and print the table; what was out of bounds as it is met, on standard error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=100_000, help="messages of each of two publishers")
    parser.add_argument("--suite", help="a native broker of this Debian suite, unpacked into the user's cache")
    asked = parser.parse_args()
    found: dict[str, list[Struck]] = {"fast": [], "pika": []}
    rates: dict[str, list[float]] = {"fast": [], "pika": []}
    for _ in range(asked.rounds):
        for client, all_struck in found.items():
            some, rate = measure(client, asked.messages, asked.suite)
            all_struck.extend(some)
            rates[client].append(rate)
            for each in some:
                if not each.in_bounds:
                    _say(f"{client}: {each.trigger}: {each.late_s * 1000:.1f} ms late, {each.beyond:.2%} beyond")
    print(table(found, rates))  # noqa: T201
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
