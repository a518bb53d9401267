"""Which acknowledgements a node that was killed may not have written to disk.

A quorum queue writes them as they come. A classic queue notes them in memory, and writes what it has noted when it must confirm a
persistent message, or has nothing else to do. Without confirms a busy one may not write for long: on 3.10.8, on two processors with a
load of 13, what had been acknowledged three seconds before the kill came back. So an ack to a classic queue is surely written if it had
arrived before

- a persistent message was published to the queue that was confirmed before a worker had done it (else its ack may have been the reason), or
- the queue had nothing to do for a while.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from harness.checks.rules.endings import LAG_NS
from harness.checks.tally.fault_records import FaultRecord, fault_records
from harness.checks.tally.message_table import MessageTable
from harness.checks.tally.times import NEVER
from harness.events import Event


class Written:
    """What is on disk when nodes are killed."""

    def __init__(self, tally: MessageTable, events: Sequence[Event]) -> None:
        """Nothing is looked at before it is asked for."""
        self._tally = tally
        self.kills = tuple(each for each in fault_records(events) if each.kills_node)
        """The steps that may have cost acks."""

    def missing(self, kill: FaultRecord, queue: NDArray[np.integer], acked_ns: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which acks (NEVER: none was sent) to some queues (places in `MessageTable.queues`) a kill may have found unwritten."""
        found: NDArray[np.bool_] = acked_ns <= kill.struck_ns
        for place in np.unique(queue[found]).tolist():
            mine = queue == place
            found[mine] &= acked_ns[mine] >= self._from_ns(kill, place)
        return found

    def _from_ns(self, kill: FaultRecord, place: int) -> int:
        """Return since when acks to a queue need not have been written."""
        shortly_before = kill.at_ns - LAG_NS
        if self._tally.topology.policy(self._tally.queues[place]).type != "classic":
            return shortly_before
        return min(shortly_before, max(self._confirmed_ns(kill, place) - LAG_NS, self._idle_ns(kill, place)))

    def _confirmed_ns(self, kill: FaultRecord, place: int) -> int:
        """Return when the last message was published whose confirm shows that the queue has written since; -NEVER for none."""
        tally, latest = self._tally, -NEVER + LAG_NS
        for here in tally.slices():
            copies, confirmed_ns = np.arange(here.start, here.stop), tally.first_confirmed_ns[here]
            shows = (confirmed_ns < kill.at_ns) & (confirmed_ns < tally.first_completed_ns[here])
            shows &= (tally.published_to(copies) == place) & self._persistent[tally.message(copies)]
            latest = max(latest, int(tally.first_published_ns[here][shows].max(initial=latest)))
        return latest

    @cached_property
    def _persistent(self) -> NDArray[np.bool_]:
        """By message."""
        persistent = np.zeros(self._tally.messages.total, dtype=bool)
        for publishes in self._tally.all_publishes():
            persistent[publishes.message] |= publishes.persistent
        return persistent

    def _idle_ns(self, kill: FaultRecord, place: int) -> int:
        """Return when the queue last began to have nothing to do for a while; -NEVER if it never had."""
        tally = self._tally
        if tally.topology.takes_dead_letters(tally.queues[place]):
            return -NEVER  # nobody sees them come
        times = [np.array([kill.at_ns])]
        for here in tally.slices():
            mine = tally.published_to(np.arange(here.start, here.stop)) == place
            times.append(_edges(tally.first_published_ns[here][mine], kill.at_ns))
        for deliveries in tally.all_deliveries():
            mine = deliveries.queue == place
            for column in (deliveries.at_ns, deliveries.acked_ns, deliveries.rejected_ns):
                times.append(_edges(column[mine], kill.at_ns))
        busy_ns = np.unique(np.concatenate(times))
        idle = np.flatnonzero(np.diff(busy_ns) >= LAG_NS)
        return int(busy_ns[idle[-1]]) + 1 if len(idle) else -NEVER


def _edges(times_ns: NDArray[np.int64], until_ns: int) -> NDArray[np.int64]:
    """Return the first and the last of some times in each span that is too short to be idle in, as far as they are before another."""
    times_ns = times_ns[times_ns <= until_ns]
    if not len(times_ns):
        return times_ns
    span = (until_ns - times_ns) // (LAG_NS // 2)
    first, last = np.full(int(span.max()) + 1, NEVER), np.full(int(span.max()) + 1, -NEVER)
    np.minimum.at(first, span, times_ns)
    np.maximum.at(last, span, times_ns)
    some = first != NEVER
    return np.concatenate([first[some], last[some]])
