"""The drain: it ends when the broker's own state proves that nothing can come to a worker any more.

Two looks in a row have to agree, and in each of them queues are asked before those that they lead to, so that a message on its way is seen
in one or the other. The first look is a passive declare of each queue over a kept connection, which costs a millisecond. Where the
broker can be asked, the second one is the look after the drain (see facts): it knows what is unacknowledged, held for dead-lettering
or not yet written, and whether a connection is left of a process that has ended. Else it is a second passive declare, and as many consumers as
there are living workers, and others before the traffic, prove that the broker has noticed every end.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from harness.engine.counters import Totals
from harness.engine.facts import BrokerFacts, Taken
from harness.engine.flow import flow
from harness.engine.processes import Processes
from harness.errors import BrokerError
from harness.events import BrokerLook
from harness.scenario.scenario import Scenario
from harness.traffic.spec import Target
from harness.traffic.topology import Counts, QueueCounts

POLL_S = 0.005
ASK_AGAIN_S = (0.01, 0.25)
"""How long to wait before asking the broker again, at first and at most: half as long again each time."""
BETWEEN_LOOKS_S = 0.1
"""How long after the first passive declares the second ones follow: messages on their way between queues arrive meanwhile."""
WRITING_S = 0.5
"""How long a quorum queue may take to write what it has taken, where it does not say so itself."""
AFTER_LEASE_S = 0.2
"""How long after its time an unused queue is looked for again."""
SILENCE_S = 5.0
"""How long nothing may happen, at least, before a broker that has more or fewer consumers than are known of is believed to be drained."""


@dataclass(frozen=True, slots=True)
class DrainResult:
    """How the drain ended."""

    complete: bool
    reason: str
    """How it is known that nothing can come any more, or what was left."""
    look: BrokerLook | None = None
    """The look after the drain, where it was the proof."""


_PROVED = "the broker has nothing left to deliver to a worker"
_COUNTED = "the queues are empty, and the broker has noticed the end of every consumer"


class Drain:
    """The drain of one variant's run."""

    def __init__(
        self,
        scenario: Scenario,
        processes: Processes,
        facts: BrokerFacts,
        target: Target,
        tick: Callable[[], None],
    ) -> None:
        """Prepare; `tick` is called all the while, and looks at the processes. The look before the traffic must have been taken."""
        self._scenario = scenario
        self._processes = processes
        self._facts = facts
        self._target = target
        self._tick = tick
        first = facts.first()
        self._flow = flow(scenario, first)
        self._others = {queue.name: queue.foreign_consumers for queue in first.queues}
        self._counts = QueueCounts(target)
        self._totals = Totals()
        self._lease_s = 0.0
        """How long to leave the queues alone, since they were last asked."""
        self._changed_at = time.monotonic()
        """When the counters of the processes were last seen to change."""

    def run(self) -> DrainResult:
        """Wait until nothing can come any more; bounded by the scenario."""
        if not self._flow.moving:
            return DrainResult(True, "no workers: nothing to drain")
        try:
            return self._run()
        finally:
            self._counts.close()

    def _run(self) -> DrainResult:
        started = time.monotonic()
        pause, ask_at = ASK_AGAIN_S[0], 0.0
        left = "nothing was asked yet"
        while time.monotonic() - started < self._scenario.drain.timeout:
            held = self._held()
            if held:
                left, pause = f"{held} deliveries in flight", ASK_AGAIN_S[0]
            elif time.monotonic() >= ask_at:
                found = self._look_twice()
                if isinstance(found, DrainResult):
                    return found
                left = found
                time_left_s = self._scenario.drain.timeout - (time.monotonic() - started)
                ask_at = time.monotonic() + (max(pause, self._lease_s) if self._lease_s < time_left_s else pause)
                pause = min(pause * 1.5, ASK_AGAIN_S[1])
            time.sleep(POLL_S)
        return DrainResult(False, f"not drained within {self._scenario.drain.timeout:g} s: {left}")

    def _held(self) -> int:
        """Look at the processes; returns how many deliveries living workers hold."""
        self._tick()
        totals = self._processes.totals()
        if totals != self._totals:
            self._totals, self._changed_at = totals, time.monotonic()
        return totals.in_flight

    def _look_twice(self) -> DrainResult | str:
        """Look at the queues, and again if nothing is in the way; returns how the drain has ended, or what is in its way."""
        try:
            first = self._counts.ask(self._flow.moving)
            self._lease_s = self._longest_lease_s(first)
            left = self._left({name: count.ready for name, count in first.items() if count is not None})
            if left and self._goes_on:
                return left
            before = self._totals
            if self._facts.can_ask:
                taken = self._facts.take("after the drain", self._processes.consumers(), self._flow.sources)
                if not taken.look.not_asked:
                    return self._agreed(taken) or self._ended(
                        before, _PROVED, self._left(_ready(taken.look)), taken.look
                    )
            obstacle, silent = self._disagreed(first)
            return obstacle or self._ended(before, silent or _COUNTED, left)
        except BrokerError as error:
            return str(error)

    def _longest_lease_s(self, counts: Mapping[str, Counts | None]) -> float:
        """Return how long queues without consumers are not to be asked again, so that they can expire: each time makes that begin anew."""
        unused = [name for name, count in counts.items() if count is not None and count.ready and not count.consumers]
        leases = [self._scenario.topology.policy(name).expires_s for name in unused]
        return max((lease + AFTER_LEASE_S for lease in leases if lease is not None), default=0.0)

    def _left(self, ready: Mapping[str, int]) -> str:
        """Say what is ready in queues that messages can still come to a worker from; empty if nothing is."""
        said = {name: "ready" if name in self._scenario.consumed_queues else "in transit" for name in self._flow.moving}
        return ", ".join(f"{ready[name]} {how} in {name}" for name, how in said.items() if ready.get(name))

    def _ended(self, before: Totals, proof: str, left: str, look: BrokerLook | None = None) -> DrainResult | str:
        """End the drain, unless a worker has been sent something since the counters were `before`, or takes what is left."""
        if self._held() or self._totals != before:
            return "a worker was sent something meanwhile"
        if not left:
            return DrainResult(True, proof, look)
        return left if self._goes_on else DrainResult(False, f"no worker is left: {left}", look)

    @property
    def _goes_on(self) -> bool:
        """Whether what is left can still leave: workers take it, or none are meant to."""
        return not self._scenario.workers or self._processes.workers_expected()

    def _agreed(self, taken: Taken) -> str:
        """Say what in a look contradicts that nothing can come any more, beside what is ready; empty if nothing does."""
        return next(self._contradictions(taken), "")

    def _contradictions(self, taken: Taken) -> Iterator[str]:
        queues = {queue.name: queue for queue in taken.look.queues if queue.name in self._scenario.queues}
        for queue in (queues[name] for name in self._flow.moving if name in queues):
            if queue.state != "running":
                yield f"queue {queue.name} does not answer: {queue.state}"
            if queue.unacknowledged and not queue.foreign_consumers:
                yield f"{queue.unacknowledged} unacknowledged in {queue.name}, and no worker holds them"
            if queue.held and queue.name in self._flow.returning:
                yield f"{queue.held} held for dead-lettering in {queue.name}"
        for name in taken.unwritten & queues.keys():
            yield f"queue {name} is still writing"
        if taken.may_be_unwritten & queues.keys() and self._quiet_s < WRITING_S:
            yield "quorum queues may still be writing"
        mark = self._target.client_name
        living = Counter(f"{mark}/{process}" for process in self._processes.running())
        for name in Counter(each for each in taken.own_connections if each != mark) - living:
            yield f"the broker has not noticed the end of a connection of {name.rpartition('/')[2]}"

    @property
    def _quiet_s(self) -> float:
        return time.monotonic() - self._changed_at

    def _disagreed(self, first: Mapping[str, Counts | None]) -> tuple[str, str]:
        """Ask a second time, where the broker says nothing but what a passive declare does.

        Returns what is in the way, or nothing; and what is not known, where silence has to do. Raises BrokerError.
        """
        unknown = _unknown_consumers(first, self._processes.consumers(), self._others, self._scenario.consumed_queues)
        if unknown and self._quiet_s < max(SILENCE_S, self._scenario.drain.quiet):
            return unknown, ""
        if any(queue.type == "quorum" for queue in self._scenario.queues.values()) and self._quiet_s < WRITING_S:
            return "quorum queues may still be writing", ""
        time.sleep(BETWEEN_LOOKS_S)
        if self._counts.ask(self._flow.moving) != first:
            return "the queues have changed meanwhile", ""
        silent = f"the queues are empty and nothing has happened for {self._quiet_s:.1f} s, but {unknown}"
        return "", silent if unknown else ""


def _ready(look: BrokerLook) -> Mapping[str, int]:
    return {queue.name: queue.ready for queue in look.queues}


def _unknown_consumers(
    counts: Mapping[str, Counts | None], own: Mapping[str, int], others: Mapping[str, int], consumed: frozenset[str]
) -> str:
    """Say where the broker has more or fewer consumers than are known of; empty where it has not."""
    for name, count in counts.items():
        expected, foreign = own.get(name, 0), others.get(name, 0)
        if count is not None and name in consumed and count.consumers != expected + foreign:
            known = f"{expected} of living workers and {foreign} of others before the traffic are known"
            return f"{name} has {count.consumers} consumers, of which {known}"
    return ""
