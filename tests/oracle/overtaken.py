"""When a copy was overtaken: by then it can not have been in its queue any more.

The rule: "*Overtaken* is evidence only for a copy never delivered and not requeued, in its first queue, against messages of the same
priority that surely arrived later (same publisher connection, or its own confirm before the other's publish), and only when each consumer
that may have been sent it has, on the same connection, received such a later one (single active consumer: the active one)."
"""

from __future__ import annotations

from collections import defaultdict

from tests.oracle.lives import Life, Lives, Name
from tests.oracle.reading import Delivery, Publish, Session
from tests.oracle.topology import Topology

NEVER = 1 << 62
LAG_NS = 1_000_000_000
"""How long the broker may not have noticed that a connection is gone."""


class Overtaken:
    """Compares the copies of each queue with those that were delivered from it."""

    def __init__(self, lives: Lives, topology: Topology) -> None:
        self.lives, self.topology = lives, topology
        self.received: dict[str, list[tuple[Life, Delivery]]] = defaultdict(list)
        """By queue, what was delivered from it for the first time, of copies that were first put there."""
        for life in lives.of.values():
            first: dict[int, Delivery] = {}
            for each in sorted(life.deliveries, key=lambda each: each.at_ns):
                first.setdefault(each.attempt, each)
            for each in first.values():
                if each.queue == life.name.first and each.death is None and not each.redelivered:
                    self.received[each.queue].append((life, each))

    def at_ns(self, life: Life) -> int:
        """When it was overtaken for certain; NEVER if it was not."""
        name = life.name
        if life.seen or name.branches or not name.first or len(life.publishes) > 1:
            return NEVER
        (publish,) = life.publishes
        times = self._by_session(name, publish)
        begins = {each.session: each.at_ns for each in self.lives.records.consuming if each.queue == name.first}
        at_ns = min(times.values(), default=NEVER)
        while at_ns < NEVER:
            before = [
                session for session, begin in begins.items() if begin < at_ns and self._may_have_it(session, publish)
            ]
            if self.topology.queues[name.first].single_active:
                before = [session for session in before if session in times]
            latest = max([at_ns, *(times.get(session, NEVER) for session in before)])
            if latest == at_ns:
                break
            at_ns = latest
        return at_ns

    def _may_have_it(self, session: Session, publish: Publish) -> bool:
        """Whether the consumer was there at a time when the copy can have been in the queue."""
        end = self.lives.records.ends.get(session)
        if end is None:
            return True
        return end.at_ns + (0 if end.how == "finished" else LAG_NS) > publish.at_ns

    def _by_session(self, name: Name, publish: Publish) -> dict[Session, int]:
        """When each consumer first received a message that surely came into the queue later."""
        times: dict[Session, int] = {}
        for other, delivery in self.received[name.first]:
            sent = next(each for each in other.publishes if each.attempt == delivery.attempt)
            if self._later(sent, publish):
                times[delivery.session] = min(times.get(delivery.session, NEVER), delivery.at_ns)
        return times

    @staticmethod
    def _later(other: Publish, mine: Publish) -> bool:
        if other.session == mine.session and other.at_ns > mine.at_ns:
            return True
        if other.session == mine.session and other.at_ns == mine.at_ns:
            return other.tag > mine.tag
        return mine.confirmed_ns is not None and mine.confirmed_ns < other.at_ns
