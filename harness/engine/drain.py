"""The drain: when it has ended, and how it is known."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from harness.engine.processes import Processes
from harness.errors import BrokerError
from harness.scenario.scenario import Scenario
from harness.traffic import topology
from harness.traffic.spec import Target

ASK_AGAIN_S = 0.25
"""How long to wait before asking the broker again after it said that something is left."""


@dataclass(frozen=True, slots=True)
class DrainResult:
    """Whether everything was processed, and how that was known (or why not)."""

    complete: bool
    reason: str


def drain(scenario: Scenario, processes: Processes, target: Target, tick: Callable[[], None]) -> DrainResult:
    """Wait until the work queues are empty; bounded by the scenario.

    It ends when nothing new was processed for the quiet period, no worker holds anything, and the queues themselves say that nothing
    is ready (a passive declare, answered by the queue; never the statistics). Counting is no reason to stop: duplicates fake it.
    `tick` is called all the while; it keeps the run's counters and displays going.
    """
    queues = tuple(dict.fromkeys(group.queue or scenario.first_queue for group in scenario.workers))
    if not queues:
        return DrainResult(True, "no workers: nothing to drain")
    started = last_change = time.monotonic()
    processed, ask_at = -1, 0.0
    left = "nothing was asked yet"
    while time.monotonic() - started < scenario.drain.timeout:
        tick()
        now = time.monotonic()
        totals = processes.totals()
        if totals.processed != processed:
            processed, last_change = totals.processed, now
        quiet = now - last_change >= scenario.drain.quiet
        if quiet and totals.in_flight == 0 and now >= ask_at:
            try:
                ready = topology.ready_messages(target, queues)
            except BrokerError as error:
                left = str(error)
                ready = dict.fromkeys(queues, 1)
            else:
                left = ", ".join(f"{count} ready in {queue}" for queue, count in ready.items() if count)
            if not any(ready.values()):
                return DrainResult(True, "the queues are empty and no worker holds anything")
            if not processes.workers_expected():
                return DrainResult(False, f"no worker is left: {left}")
            ask_at = now + ASK_AGAIN_S
        elif totals.in_flight:
            left = f"{totals.in_flight} deliveries in flight"
        time.sleep(0.01)
    return DrainResult(False, f"not drained within {scenario.drain.timeout:g} s: {left}")
