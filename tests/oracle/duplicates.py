"""What was done twice, and why; what was acknowledged and is still there.

The rule: "Reasons are a table in one module, each with a test of an honest broker doing it: reject or recover, a lost connection, a closed
channel, a republish, a fault between the queue and that channel's node, at-least-once dead-lettering after a leader change, an ack that a
killed node had not written. The redelivered bit is a hint, never a reason. The end of a connection explains nothing before it."
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum

from harness.effects import Becomes
from harness.history.records import AckMode
from tests.oracle.lives import Life, Lives, refused
from tests.oracle.options import LAG_NS, Struck
from tests.oracle.reading import Delivery, Found, Session
from tests.oracle.topology import Topology


class Reason(StrEnum):
    """Why the broker delivered something that had been delivered before."""

    REPUBLISHED = "published again"
    REQUEUED = "requeued by its worker"
    CONNECTION = "the connection ended"
    CHANNEL = "the broker closed the channel"
    UNWRITTEN = "the node was killed before the ack was written"
    DIED_AGAIN = "the node was killed before its death was written"
    NODE = "a node of the cluster was struck"
    AT_LEAST_ONCE = "dead-lettered at least once"
    NONE = "nothing"


@dataclass(frozen=True)
class Twice:
    """A copy that was done once more."""

    life: Life
    delivery: Delivery
    """The one whose work was completed again."""
    reason: Reason
    earlier: Delivery | None = None
    """The one that came back."""


class Duplicates:
    """Looks at every delivery of every copy."""

    def __init__(self, lives: Lives, topology: Topology, faults: list[Struck]) -> None:
        self.lives, self.topology, self.faults = lives, topology, faults
        self.by_session: dict[Session, list[Delivery]] = defaultdict(list)
        for each in lives.records.deliveries:
            self.by_session[each.session].append(each)

    def all(self) -> list[Twice]:
        """Every completion of a copy beyond its first, with the reason for its delivery."""
        found = []
        for life in self.lives.of.values():
            done = [each for each in life.deliveries if each.completed_ns is not None and not each.corrupt]
            for each in sorted(done, key=lambda each: (each.at_ns, each.tag))[1:]:
                reason, earlier = self.reason(life, each)
                found.append(Twice(life, each, reason, earlier))
        return found

    def reason(self, life: Life, later: Delivery) -> tuple[Reason, Delivery | None]:
        """Why a copy was delivered once more: of its own attempt, an earlier delivery must have come back."""
        earlier = [
            each
            for each in life.deliveries
            if each.attempt == later.attempt
            and each is not later
            and (each.at_ns, each.tag) <= (later.at_ns, later.tag)
        ]
        if not earlier:
            done = {each.attempt for each in life.deliveries if each.completed_ns is not None}
            lied = any(refused(life, attempt, self.topology) for attempt in done)
            return Reason.NONE if lied else Reason.REPUBLISHED, None
        last = max(earlier, key=lambda each: (each.at_ns, each.tag))
        return self._came_back(last, later.at_ns), last

    def still_there(self) -> list[Found]:
        """What was found of an attempt whose ack the broker surely has."""
        found = []
        for life in self.lives.of.values():
            for each in life.found:
                mine = [delivery for delivery in life.deliveries if delivery.attempt == each.attempt]
                acked = [delivery for delivery in mine if self._settled(delivery)]
                if acked and self._came_back(acked[-1], self.lives.records.last_ns) is Reason.NONE:
                    found.append(each)
        return found

    def _settled(self, delivery: Delivery) -> bool:
        return delivery.mode is AckMode.AUTOMATIC or delivery.acked_ns is not None

    # Whether a delivery came back.

    def _came_back(self, earlier: Delivery, at_ns: int) -> Reason:
        if earlier.rejected_ns is not None and earlier.rejected_ns <= at_ns and earlier.acked_ns is None:
            return Reason.REQUEUED
        end = self.lives.records.ends.get(earlier.session)
        if end is not None and self._gone_by(earlier.session, at_ns) and not self._surely_settled(earlier):
            return Reason.CHANNEL if end.how == "closed" else Reason.CONNECTION
        settled_ns = earlier.at_ns if earlier.mode is AckMode.AUTOMATIC else earlier.acked_ns
        for fault in self.faults:
            if fault.end_ns > at_ns + LAG_NS:
                continue
            if fault.effects.node is Becomes.KILLED:
                acked = settled_ns is not None and -LAG_NS <= fault.end_ns - settled_ns <= LAG_NS
                if acked or self._may_die_again(earlier, fault.end_ns):
                    return Reason.UNWRITTEN if acked else Reason.DIED_AGAIN
            if (
                self.topology.nodes > 1
                and fault.effects.node is not Becomes.UNCHANGED
                and fault.end_ns >= earlier.at_ns
            ):
                return Reason.NODE
        there = self.topology.queues.get(earlier.queue)
        if there is not None and there.at_least_once and any(fault.ends_node for fault in self.faults):
            return Reason.AT_LEAST_ONCE
        return Reason.NONE

    def _may_die_again(self, delivery: Delivery, killed_ns: int) -> bool:
        """Whether the queue that had dead-lettered a message may have it again after a kill: it need not have written that it was gone."""
        if delivery.death is None:
            return False
        queues = self.topology.queues.values()
        lazily = any(each.kind == "classic" and each.dead_letters is not None for each in queues)
        return lazily or delivery.at_ns >= killed_ns - LAG_NS

    def _gone_by(self, session: Session, at_ns: int) -> bool:
        """Whether the broker can have forgotten a connection by a moment.

        It had not while it still sent something on it, as far as that was under way; and a process that was killed was there until then.
        """
        end = self.lives.records.ends[session]
        if end.how in ("lost", "closed"):
            return at_ns >= max(each.at_ns for each in self.by_session[session]) - LAG_NS
        if end.how == "died":
            return at_ns >= max(self._last_record_ns(session), self._struck_ns(session))
        return at_ns >= self._last_record_ns(session)

    def _last_record_ns(self, session: Session) -> int:
        mine = self.by_session[session]
        times = [time for each in mine for time in (each.at_ns, each.completed_ns, each.acked_ns, each.rejected_ns)]
        return max(time for time in times if time is not None)

    def _struck_ns(self, session: Session) -> int:
        """When the fault began that ended a process."""
        end = self.lives.records.ends[session]
        mine = [fault for fault in self.faults if fault.begin_ns <= end.at_ns and session[0] in fault.targets]
        return max([fault.begin_ns for fault in mine if fault.cuts(session[0])], default=0)

    def _surely_settled(self, delivery: Delivery) -> bool:
        """Whether the broker has the ack for certain: sent long before the end, or new deliveries came that only it made room for."""
        if delivery.mode is AckMode.AUTOMATIC:
            return True
        if delivery.acked_ns is None:
            return False
        end = self.lives.records.ends.get(delivery.session)
        if end is None or end.how == "finished" or end.at_ns - delivery.acked_ns > LAG_NS:
            return True
        mine = self.by_session[delivery.session]
        prefetch = next(each.prefetch for each in self.lives.records.consuming if each.session == delivery.session)
        before = sum(_settled_ns(each) <= delivery.acked_ns for each in mine)
        return bool(prefetch) and max(each.tag for each in mine) - prefetch >= before


def _settled_ns(delivery: Delivery) -> int:
    times = [each for each in (delivery.acked_ns, delivery.rejected_ns) if each is not None]
    return min(times, default=1 << 62)
