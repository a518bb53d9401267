"""Which faults can have taken a dead letter: dead-lettering at most once promises nothing.

The broker keeps its promise in the queue that a message was published to. When the message dies there, the broker publishes it to the target
without asking for a confirm (source: RabbitMQ's guide to dead lettering), unless the queue dead-letters at least once. So a fault of a node
can have taken

- what died about then: its target was not there, or the node went down with the dead letter on its way;
- what a classic queue had as a dead letter when its node was killed: without confirms nothing says that it was written.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.checks.tally.fault_records import BACK_NS, FaultRecord, fault_records, over_ns
from harness.checks.tally.times import NEVER
from harness.checks.tally.topology import RunTopology
from harness.effects import Becomes
from harness.events import Event


class DeadLettering:
    """Knows the faults of nodes; arrays are of copies that died in one queue and came to another, as it seems."""

    def __init__(self, topology: RunTopology, events: Sequence[Event]) -> None:
        """Collect the faults."""
        self._topology = topology
        self._faults = [each for each in fault_records(events) if self._harms(each)]

    def taken(
        self,
        source: str,
        target: str,
        died_ns: NDArray[np.int64],
        latest_ns: NDArray[np.int64],
        until_ns: NDArray[np.int64],
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return from when on a fault can have taken each dead letter, and which fault; NEVER and -1 where none can.

        It died between two times, and stood in its target until a third; one whose latest time is before its earliest has surely arrived.
        """
        from_ns, by = np.full(len(died_ns), NEVER), np.full(len(died_ns), -1)
        if self._topology.policy(source).dead_letters_at_least_once:
            return from_ns, by
        # What was at risk while a fault lasted, or stood there as it struck, was not taken by the aftermath of one before.
        later_ns = BACK_NS if self._finds_its_way_late(source, target) else 0
        for fault, back_ns in (*((each, 0) for each in self._faults), *((each, later_ns) for each in self._faults)):
            at_target = self._strikes(fault, target)
            about = (died_ns <= over_ns(fault) + back_ns) & (latest_ns >= fault.at_ns)
            about &= (latest_ns >= died_ns) & (at_target or self._strikes(fault, source))
            stood = (died_ns <= fault.struck_ns) & (until_ns >= fault.at_ns)
            stood &= at_target and self._topology.policy(target).type == "classic" and fault.kills_node
            found = (about | stood) & (by < 0)
            from_ns[found] = np.where(about, died_ns, np.maximum(died_ns, fault.at_ns))[found]
            by[found] = fault.fault
        return from_ns, by

    def _finds_its_way_late(self, *queues: str) -> bool:
        """Whether some queues may be without a leader, or out of reach, for a while after a node is back."""
        return self._topology.nodes > 1 or any(self._topology.policy(queue).type == "quorum" for queue in queues)

    def _harms(self, fault: FaultRecord) -> bool:
        """Whether it takes a node away; one that stands still, and is the only one, does nothing meanwhile."""
        alone = self._topology.nodes < 2
        return fault.effects.strikes_node and not (alone and fault.effects.node is Becomes.FROZEN)

    def _strikes(self, fault: FaultRecord, queue: str) -> bool:
        topology = self._topology
        anywhere = topology.nodes < 2 or topology.policy(queue).type == "quorum"
        return anywhere or topology.may_live_on(queue, fault.targets)
