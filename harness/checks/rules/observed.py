"""All figures of one variant that an expectation can be held against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.checks.rules.controls import Shown
from harness.checks.rules.timing import Outages
from harness.checks.tally.message_table import MessageTable
from harness.checks.tally.sessions import TrafficError
from harness.events import ErrorObserved
from harness.verdict.data import Counts, FaultOutcome, Place, WorkerFigures
from harness.verdict.times import BrokerDown, Percentiles


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen."""

    tally: MessageTable
    counts: Counts
    lost_at: dict[Place, int]
    faults: tuple[FaultOutcome, ...]
    workers: tuple[WorkerFigures, ...]
    outages: Outages
    broker_down: BrokerDown | None
    confirm_latency: Percentiles | None
    completion_latency: Percentiles | None
    completion_due_latency: Percentiles | None
    errors: tuple[ErrorObserved | TrafficError, ...]
    """Of steps, then of publishers and workers."""
    undisturbed_out_of_order: int
    """Copies out of order among those that were published once and delivered once, without the redelivered mark."""
    in_turn: tuple[bool, str]
    speed_ups: dict[str, float | None]
    """By action: how the rate of completed work changed after its first such step."""
    shown: Mapping[str, Shown] = field(default_factory=dict)
    """Of a control, by the path of an expectation: how much of a count is owed to what it takes away."""
