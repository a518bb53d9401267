"""What happened to the queues of a run that can have taken copies from them, and when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from harness.checks.rules.arrival import NOTICED_AFTER_NS
from harness.checks.tally.fault_records import BACK_NS, WITHIN_NS, FaultRecord, on_disk_ns, over_ns
from harness.checks.tally.message_table import MessageTable
from harness.checks.tally.times import NEVER
from harness.effects import Takes
from harness.events import Drained, Event
from harness.history.records import AckMode
from harness.scenario.topology import Queue


class Happenings:
    """What faults, purges and ends of workers did; arrays are of copies that stand in one queue."""

    def __init__(self, tally: MessageTable, events: Sequence[Event]) -> None:
        """Collect the faults."""
        self._tally, self._topology = tally, tally.topology
        self.faults = tally.topology.faults
        self._on_disk_ns = on_disk_ns(events)
        self.drained_ns = min((event.at_ns for event in events if isinstance(event, Drained)), default=NEVER)

    def struck_ns(
        self, queue: str, since_ns: NDArray[np.int64], persistent: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return from when on a fault other than a purge can have taken what stood in a queue since then, and by when one had; NEVER for none.

        A node that stops in order takes its time: at some moment of it the queues are gone.
        """
        settings, from_ns = self._topology.settings(queue), np.full(len(since_ns), NEVER)
        struck_ns = from_ns.copy()
        for lasting in (False, True):
            for fault in self.faults:
                if _purges(fault) or not fault.can_take(
                    queue, settings, persistent=lasting, on_disk_ns=self._on_disk_ns
                ):
                    continue
                there = (persistent == lasting) & (since_ns <= fault.struck_ns)
                from_ns[there] = np.minimum(from_ns[there], fault.at_ns)
                struck_ns[there] = np.minimum(struck_ns[there], fault.struck_ns)
        return from_ns, struck_ns

    def unwritten_ns(self, since_ns: NDArray[np.int64], confirmed: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return when a node ended after copies were sent that were never confirmed, and need not have been written; NEVER for others."""
        ended_ns = np.array([*sorted(fault.struck_ns for fault in self.faults if fault.ends_node), NEVER])
        first_ns: NDArray[np.int64] = ended_ns[np.searchsorted(ended_ns, since_ns)]
        return np.where(confirmed, NEVER, first_ns)

    def pushed_ns(self, queue: str, came_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return when copies can have been on their way to a worker that needs no acks and ended before it read them; NEVER for none."""
        ends = np.array([*self._unacked_ends_ns(queue), NEVER], dtype=np.int64)
        first_ns: NDArray[np.int64] = ends[np.searchsorted(ends, came_ns - NOTICED_AFTER_NS)]
        return np.where(first_ns == NEVER, NEVER, first_ns - WITHIN_NS)

    def gone_before(self, queue: str, came_ns: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which copies came when their queue was gone."""
        return came_ns > self.gone_ns(queue)

    def gone_ns(self, queue: str) -> int:
        """Return since when a queue was gone: it was not durable, and nothing declares it again after a node's end; NEVER for others."""
        if self._topology.settings(queue).durable:
            return NEVER
        return min((fault.struck_ns for fault in self.faults if fault.ends_node), default=NEVER)

    def emptied_ns(self, queue: str) -> list[tuple[int, int]]:
        """Return when what is sent to a queue can be gone other than by its own limits: since when, and until when, in order."""
        settings, kinds = self._topology.settings(queue), np.unique(self._tally.publishes.persistent).tolist()
        found = [
            (fault.at_ns, NEVER if fault.ends_node and not settings.durable else fault.struck_ns)
            for fault in self.faults
            if (queue in fault.targets if _purges(fault) else self._takes_any(fault, queue, settings, kinds))
        ]
        found += [(away.at_ns - WITHIN_NS, over_ns(away) + BACK_NS) for away in self._topology.home_away(queue)]
        # It may have pushed all that it had to a worker that needs no acks and never read it.
        found += [(0, ended_ns + NOTICED_AFTER_NS) for ended_ns in self._unacked_ends_ns(queue)]
        return sorted(found)

    def _takes_any(self, fault: FaultRecord, queue: str, settings: Queue, kinds: Iterable[bool]) -> bool:
        return any(fault.can_take(queue, settings, persistent=kind, on_disk_ns=self._on_disk_ns) for kind in kinds)

    def _unacked_ends_ns(self, queue: str) -> list[int]:
        """Return when workers of a queue that need no acks ended, before the drain did."""
        return sorted(
            session.over_ns
            for session in self._tally.sessions
            if session.role == "worker"
            and queue in session.queues
            and session.acks is AckMode.AUTOMATIC
            and session.over_ns < self.drained_ns
        )

    @cached_property
    def ended_ns(self) -> int:
        """When the broker first ended: nothing declares again what does not outlast that; NEVER if it did not."""
        return min((fault.struck_ns for fault in self.faults if self._topology.ends_broker(fault)), default=NEVER)

    def purged_ns(
        self, queue: str, since_ns: NDArray[np.int64], until_ns: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return when a purge took what stood ready in a queue since and until then, and which one; NEVER and -1 where none did."""
        purged_ns, by = np.full(len(since_ns), NEVER), np.full(len(since_ns), -1)
        for fault in self.faults:
            if _purges(fault) and queue in fault.targets:
                there = (since_ns <= fault.struck_ns) & (fault.at_ns <= until_ns) & (fault.struck_ns < purged_ns)
                purged_ns[there], by[there] = fault.struck_ns, fault.fault
        return purged_ns, by

    def routable(self, queue: str, sent_ns: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which copies an exchange may have had a queue for, and for which it may have had none.

        It has none while the queue's node is away; shortly before and after, that is possible only.
        """
        routable, maybe_not = np.ones(len(sent_ns), dtype=bool), np.zeros(len(sent_ns), dtype=bool)
        for away in self._topology.home_away(queue):
            surely = (sent_ns >= away.struck_ns) & (sent_ns <= over_ns(away)) & (queue in self._topology.facts)
            routable &= ~surely
            maybe = ~surely & (sent_ns >= away.at_ns - WITHIN_NS) & (sent_ns <= over_ns(away) + BACK_NS)
            maybe_not |= maybe
        return routable, maybe_not

    def is_gone(self, queue: str) -> bool:
        """Whether a queue that outlasts everything of the run was gone at the end."""
        lasts = self._topology.settings(queue).durable or not any(fault.ends_node for fault in self.faults)
        return lasts and self._topology.is_missing(queue)


def _purges(fault: FaultRecord) -> bool:
    return fault.effects.takes is Takes.WAITING
