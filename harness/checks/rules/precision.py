"""How exactly steps struck, by the history: when the trigger of each was met, and how far its counters had come when it began to strike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from harness.checks.tally.fault_records import FaultRecord, over_ns
from harness.checks.tally.message_table import MessageTable
from harness.checks.tally.outline import Outline
from harness.history.progress import COUNTERS
from harness.history.read import Log
from harness.scenario.scenario import Scenario
from harness.scenario.timeline import Step

_WINDOWS_NS = (100_000_000, 1_000_000_000, 10_000_000_000)
"""How far before the strike the moment is looked for at which the trigger was met; then from the beginning on."""


@dataclass(frozen=True, slots=True)
class Precision:
    """How exactly a step struck."""

    trigger: str = ""
    """In the scenario's words."""
    late_s: float | None = None
    """From the moment at which its trigger was met to the begin of its injection; None where the logs do not tell that moment."""
    counted: Mapping[str, int] = field(default_factory=dict)
    """What its trigger counts, as far as it had come by then."""


def precision(tally: MessageTable, scenario: Scenario, struck: Sequence[FaultRecord]) -> dict[int, Precision]:
    """Measure each step that struck, by its number.

    Time that a step had to wait for another one, which had the broker in its hands, does not count as late. Deliveries in flight come and
    go with connections, so a trigger that counts them is not measured. Nothing is known of steps that the scenario does not have.
    """
    steps = dict(enumerate(scenario.timeline))
    return {
        each.fault: _measured(tally, steps[each.fault], each, struck) if each.fault in steps else Precision()
        for each in struck
    }


def _measured(tally: MessageTable, step: Step, fault_record: FaultRecord, struck: Sequence[FaultRecord]) -> Precision:
    outlines = [(each.log, each.outline) for each in tally.publisher_logs]
    outlines += [(each.log, each.outline) for each in tally.worker_logs]
    logs = [log for log, _ in outlines]
    thresholds = step.after.thresholds() if step.after is not None else {}
    counted = {name: _total(outlines, name, fault_record.at_ns) for name in thresholds if name in _PARTS}
    met_ns = [_met_ns(logs, name, thresholds[name], fault_record.at_ns, count) for name, count in counted.items()]
    if step.at is not None:
        met_ns.append(tally.zero_ns + round(step.at * 1e9))
    known = [each for each in met_ns if each is not None]
    if not known or len(known) < max(1, len(thresholds)):
        return Precision(step.trigger, None, counted)
    due_ns = max(*known, _free_ns(fault_record, struck))
    return Precision(step.trigger, (fault_record.at_ns - due_ns) / 1e9, counted)


def _met_ns(logs: Sequence[Log], name: str, value: int, at_ns: int, counted: int) -> int | None:
    """Return since when, without a break, a counter had been at its threshold or above; None if it was below it at `at_ns`."""
    if counted < value:
        return None
    for window_ns in (*_WINDOWS_NS, at_ns + 1):
        times, changes = _changes(logs, name, at_ns - window_ns, at_ns)
        moments, index = np.unique(times, return_inverse=True)
        steps = np.bincount(index, weights=changes, minlength=len(moments)).astype(np.int64)
        before = counted - int(steps.sum())
        below = np.flatnonzero(before + np.cumsum(steps) < value)
        if len(below):
            return int(moments[below[-1] + 1])
        if before < value:
            return int(moments[0])
    return None


_PARTS = {name: ((name, 1),) for name in COUNTERS} | {"backlog": (("published", 1), ("processed", -1))}
"""What makes up each counter, with its sign."""


def _changes(logs: Sequence[Log], name: str, after_ns: int, until_ns: int) -> tuple[np.ndarray, np.ndarray]:
    """Return when a counter changed in a span of time, log by log, and by how much."""
    times, changes = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for log in logs:
        for block in log.blocks(log.place(after_ns), log.place(until_ns)):
            for counter, sign in _PARTS[name]:
                change = COUNTERS[counter](block).astype(np.int64)
                times.append(block["at_ns"][change != 0])
                changes.append(sign * change[change != 0])
    return np.concatenate(times), np.concatenate(changes)


def _total(outlines: Sequence[tuple[Log, Outline]], name: str, until_ns: int) -> int:
    total = sum(
        sign * outline.count(log, counter, until_ns)
        for log, outline in outlines
        for counter, sign in _PARTS[name]
        if counter in outline.extents.counted
    )
    return max(total, 0)


def _free_ns(fault_record: FaultRecord, struck: Sequence[FaultRecord]) -> int:
    """Return when the last other step let the broker go before this one, which acts on it too, began; 0 if none had it."""
    if not fault_record.effects.claims_broker:
        return 0
    others = (each for each in struck if each is not fault_record and each.effects.claims_broker)
    return max((over for each in others if (over := over_ns(each)) <= fault_record.at_ns), default=0)
