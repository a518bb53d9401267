"""When the broker was down: no node of it answered, as faults had taken all of them down or frozen them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.checks.tally.fault_records import FaultRecord, seen_striking_ns
from harness.checks.tally.message_table import MessageTable
from harness.checks.tally.times import NEVER
from harness.effects import Becomes
from harness.events import BrokerStarted, Event
from harness.verdict.times import BrokerDown, TimeSpan


def broker_down(tally: MessageTable, struck: Sequence[FaultRecord], events: Sequence[Event]) -> BrokerDown | None:
    """Find the times in which every node was down or frozen; None if no broker was started.

    A node is down from when the first connection was seen to end, or else from the end of the strike, until it was started again and answered
    the harness or let a worker consume, or was thawed. One that was never healed is down until the last event.
    """
    nodes = next((event.nodes for event in events if isinstance(event, BrokerStarted)), ())
    if not nodes:
        return None
    last_ns = max(event.at_ns for event in events)
    changes: list[tuple[int, int]] = []
    for node in nodes:
        for begin, end in _merged(_down(node, tally, struck, last_ns)):
            changes += [(begin, 1), (end, -1)]
    times: list[tuple[int, int]] = []
    down, since_ns = 0, 0
    for at_ns, change in sorted(changes):
        if down == len(nodes):
            times.append((since_ns, at_ns))
        down, since_ns = down + change, at_ns
    served_ns = sorted(session.since_ns for session in tally.sessions)
    ends = ((begin, next((at_ns for at_ns in served_ns if at_ns > begin), NEVER), end) for begin, end in _merged(times))
    spans = tuple(TimeSpan(tally.seconds(begin), tally.seconds(min(served, end))) for begin, served, end in ends)
    lengths = [span.end_s - span.begin_s for span in spans]
    return BrokerDown(sum(lengths, 0.0), max(lengths, default=0.0), spans)


def _down(node: str, tally: MessageTable, struck: Sequence[FaultRecord], last_ns: int) -> Iterable[tuple[int, int]]:
    for fault in struck:
        if node not in fault.targets or fault.effects.node not in (Becomes.KILLED, Becomes.STOPPED, Becomes.FROZEN):
            continue
        frozen = fault.effects.node is Becomes.FROZEN
        begin = fault.struck_ns if frozen else seen_striking_ns(fault, tally.sessions)
        ends = [fault.healed_ns] if fault.healed_ns != NEVER else [last_ns]
        if frozen:
            ends += [
                other.struck_ns
                for other in struck
                if other.effects.node is Becomes.THAWED and node in other.targets and other.struck_ns > begin
            ]
        yield begin, max(begin, min(ends))


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Put spans together that overlap or meet."""
    found: list[tuple[int, int]] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        elif end > begin:
            found.append((begin, end))
    return found
