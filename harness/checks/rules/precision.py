"""How exactly steps struck, by the history: when the trigger of each was met, and how far its counters had come when it began to strike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

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
    copies = tally.topology.topology.copies
    logs = [
        _Counted(each.log, each.outline, fmean(map(copies, each.log.names or ("",)))) for each in tally.publisher_logs
    ]
    logs += [_Counted(each.log, each.outline) for each in tally.worker_logs]
    thresholds = step.after.thresholds() if step.after is not None else {}
    totals = {name: _total(logs, name, fault_record.at_ns) for name in thresholds if name in _PARTS}
    met_ns = [_met_ns(logs, name, thresholds[name], fault_record.at_ns, total) for name, total in totals.items()]
    counted = {name: max(0, round(total)) for name, total in totals.items()}
    if step.at is not None:
        met_ns.append(tally.zero_ns + round(step.at * 1e9))
    known = [each for each in met_ns if each is not None]
    if not known or len(known) < max(1, len(thresholds)):
        return Precision(step.trigger, None, counted)
    due_ns = max(*known, _free_ns(fault_record, struck))
    return Precision(step.trigger, (fault_record.at_ns - due_ns) / 1e9, counted)


@dataclass(frozen=True, slots=True)
class _Counted:
    """A log, with what is known of the counters in it."""

    log: Log
    outline: Outline
    copies: float = 1.0
    """How many copies each published message has; the mean of the routes that they take in turn."""

    def weight(self, name: str, part: str) -> float:
        """Return what one of a part adds to a counter."""
        return _PARTS[name][part] * (self.copies if name == "backlog" and part == "published" else 1)


def _met_ns(logs: Sequence[_Counted], name: str, value: int, at_ns: int, counted: float) -> int | None:
    """Return since when, without a break, a counter had been at its threshold or above; None if it was below it at `at_ns`."""
    if round(counted) < value:
        return None
    for window_ns in (*_WINDOWS_NS, at_ns + 1):
        times, changes = _changes(logs, name, at_ns - window_ns, at_ns)
        moments, index = np.unique(times, return_inverse=True)
        steps = np.bincount(index, weights=changes, minlength=len(moments))
        before = counted - float(steps.sum())
        below = np.flatnonzero(np.rint(before + np.cumsum(steps)) < value)
        if len(below):
            return int(moments[below[-1] + 1])
        if round(before) < value:
            return int(moments[0])
    return None


_PARTS = {name: {name: 1} for name in COUNTERS} | {"backlog": {"published": 1, "processed": -1}}
"""What makes up each counter, with its sign."""


def _changes(logs: Sequence[_Counted], name: str, after_ns: int, until_ns: int) -> tuple[np.ndarray, np.ndarray]:
    """Return when a counter changed in a span of time, log by log, and by how much."""
    times, changes = [np.empty(0, dtype=np.int64)], [np.empty(0)]
    for each in logs:
        for block in each.log.blocks(each.log.place(after_ns), each.log.place(until_ns)):
            for part in _PARTS[name]:
                change = COUNTERS[part](block).astype(np.int64)
                times.append(block["at_ns"][change != 0])
                changes.append(each.weight(name, part) * change[change != 0])
    return np.concatenate(times), np.concatenate(changes)


def _total(logs: Sequence[_Counted], name: str, until_ns: int) -> float:
    return sum(
        each.weight(name, part) * each.outline.count(each.log, part, until_ns)
        for each in logs
        for part in _PARTS[name]
        if part in each.outline.extents.counted
    )


def _free_ns(fault_record: FaultRecord, struck: Sequence[FaultRecord]) -> int:
    """Return when the last other step let the broker go before this one, which acts on it too, began; 0 if none had it."""
    if not fault_record.effects.claims_broker:
        return 0
    others = (each for each in struck if each is not fault_record and each.effects.claims_broker)
    return max((over for each in others if (over := over_ns(each)) <= fault_record.at_ns), default=0)
