"""What programs that are not the run's did to its queues: seen at the looks, in the broker's log, or by the broker's own counts.

A program that comes and goes between two looks is in the log of the node that it connected to, and what it took is in the counts of
acknowledgements, rejects and deliveries with automatic acknowledgements, beyond those of the run's workers. A purge is counted nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np

from harness.checks.rules.counted import DISABLED, REJECTS
from harness.checks.tally.deliveries import REJECTED
from harness.checks.tally.message_table import MessageTable
from harness.events import BrokerLook, BrokerStarted, Event, OthersConnected, QueueFacts
from harness.history.records import AckMode

SHARED: Final = frozenset({"external", "compose"})
"""Backends whose broker may serve others in further virtual hosts: its counts are of all of them."""
_AUTOMATIC: Final = ("consume_auto_ack", "get_auto_ack")
_MANUAL: Final = ("consume_manual_ack", "get_manual_ack")
"""What the counts of deliveries are called, by whether they are acknowledged."""


class Took(NamedTuple):
    """How many messages others took from queues for good, by the broker's counts."""

    least: int
    """Some of them may be messages that they had published themselves."""
    most: int
    """More than were counted, where acknowledgements of the run's workers may not have arrived, or deliveries are not counted apart."""
    counted: int
    """Beyond what the run's workers did."""


class Strangers:
    """Knows what the run's events tell of others."""

    def __init__(self, tally: MessageTable, events: Sequence[Event]) -> None:
        looks = [event for event in events if isinstance(event, BrokerLook) and not event.not_asked]
        self._before = next((look for look in looks if look.moment == "before the traffic"), None)
        self._after = next((look for look in reversed(looks) if look.moment == "after the drain"), None)
        logged = [event for event in events if isinstance(event, OthersConnected)]
        backend = next((event.backend for event in events if isinstance(event, BrokerStarted)), "")
        self._tally, self._shared = tally, backend in SHARED
        named = [*(look.foreign_connections for look in looks), *(each.connections for each in logged)]
        self.connections = tuple(dict.fromkeys(name for names in named for name in names))
        """Their names or addresses, at the looks and in the log."""
        self.seen = bool(self.connections) or any(map(tally.topology.has_foreign_consumers, tally.queues))
        self.why_not_known = next((each.not_read for each in logged if each.not_read), "")
        """Why the log does not say who was there between the looks; empty if it does, or is not known to the run at all."""
        self._log_read = bool(logged) and not any(each.not_read for each in logged)

    @property
    def may_have_acted(self) -> bool:
        """Whether they were seen; or, where no log tells who was there, something was counted that no worker of the run did."""
        return self.seen or (not self._log_read and self.took is not None and self.took.counted > 0)

    @cached_property
    def took(self) -> Took | None:
        """How many messages they took for good; None where that was not counted, or the counts began anew with a node."""
        acked, rejected = self.acknowledged, self.rejected
        if acked is None or rejected is None:
            return None
        sure = max(0, acked) + rejected
        automatic = self.taken_automatically
        maybe = max(0, (self.delivered or 0) - sure) if automatic is None else automatic
        counted = sure + (automatic or 0)
        sure += 0 if self._has_automatic else automatic or 0
        known = self.published is not None and not self._shared
        least = max(0, sure - max(0, self.published or 0)) if known else 0
        return Took(least, counted + max(0, maybe - (automatic or 0)) + self._unarrived, counted)

    @cached_property
    def acknowledged(self) -> int | None:
        """How many acknowledgements were counted beyond those of the run's workers."""
        if not self._whole or not self._before_look.acknowledged:
            return None
        counted = sum(self._after_look.acknowledged.values()) - sum(self._before_look.acknowledged.values())
        return counted - int(self._tally.flow.acked.sum())

    @cached_property
    def rejected(self) -> int | None:
        """How many messages were counted as rejected in queues without a dead letter target, beyond those of the run's workers."""
        counted = self._rejects(f"/{DISABLED}/{REJECTS}")
        tally, deliveries = self._tally, self._tally.deliveries
        ends = [not tally.topology.policy(name).has_dead_letter_target for name in tally.queues]
        own = (deliveries.rejected == REJECTED) & np.array(ends or [False])[deliveries.queue]
        return None if counted is None else max(0, counted - int(np.count_nonzero(own)))

    @cached_property
    def rejected_anywhere(self) -> int | None:
        """How many messages were counted as rejected beyond those of the run's workers."""
        counted = self._rejects(f"/{REJECTS}")
        return None if counted is None else counted - int(self._tally.flow.rejected.sum())

    def _rejects(self, ending: str) -> int | None:
        if not self._whole:
            return None
        before, after = (
            sum(
                count for counts in look.dead_lettered.values() for key, count in counts.items() if key.endswith(ending)
            )
            for look in (self._before_look, self._after_look)
        )
        return after - before

    @cached_property
    def delivered(self) -> int | None:
        """How many deliveries were counted beyond those that the run's workers received; None before 3.10."""
        sent = self._handled("delivered")
        return None if sent is None else max(0, sent - int(self._tally.flow.delivered.sum()))

    @cached_property
    def taken_automatically(self) -> int | None:
        """How many of these need no acknowledgement; None where the broker does not count them apart."""
        sent, apart = self._handled(*_AUTOMATIC), self._handled(*_AUTOMATIC, *_MANUAL)
        if sent is None or apart != self._handled("delivered"):
            return None
        received = zip(self._tally.sessions, self._tally.flow.delivered.tolist(), strict=False)
        own = sum(int(count) for session, count in received if session.acks is AckMode.AUTOMATIC)
        return max(0, sent - own)

    @cached_property
    def published(self) -> int | None:
        """How many messages the broker received beyond those of the run; below 0 for those that never came."""
        received = self._handled("received")
        return None if received is None else received - self._tally.attempts

    @cached_property
    def unrouted(self) -> int | None:
        """How many copies fewer were routed to queues than the run published; None if that is not known."""
        tally, routed = self._tally, self._handled("routed")
        messages = tally.messages
        if routed is None or self._shared or self.published != 0 or messages.count(messages.returned):
            return None
        if tally.attempts != messages.count(messages.published.some):
            return None
        expected = 0
        for here in tally.slices():
            copies = here.start + np.flatnonzero(tally.published.some[here])
            expected += int(np.count_nonzero(tally.published_to(copies) >= 0))
        return max(0, expected - routed)

    def unbound(self) -> Iterator[tuple[str, str]]:
        """Yield exchange and queue of each binding that was there before the traffic and is not after the drain, though both are."""
        if self._before is None or self._after is None:
            return
        queues = {queue.name for queue in self._after.queues}
        for each in self._before.bindings:
            stays = each.exchange in self._after.exchanges and each.destination in queues
            if stays and not each.to_exchange and each not in self._after.bindings:
                yield each.exchange, each.destination

    def declared_again(self) -> Iterator[str]:
        """Yield the queues that were deleted and declared again between the looks, while every node ran on."""
        if not self._whole:
            return
        known = {queue.name: queue.identity for queue in self._before_look.queues if queue.identity}
        for queue in self._after_look.queues:
            if queue.identity and known.get(queue.name, queue.identity) != queue.identity:
                yield queue.name

    def holding(self) -> Iterator[tuple[str, int]]:
        """Yield the queues of which they held messages unacknowledged after the drain, and how many."""
        if self._after is None or not self.seen:
            return
        for queue in self._after.queues:
            held = queue.unacknowledged - self._held_by_workers(queue, self._after.at_ns)
            if (
                held > 0
                and queue.name in self._tally.queues
                and (queue.foreign_consumers or self._after.foreign_connections)
            ):
                yield queue.name, held

    def _held_by_workers(self, queue: QueueFacts, at_ns: int) -> int:
        tally, deliveries = self._tally, self._tally.deliveries
        if queue.name not in tally.queues or not len(deliveries.session):
            return 0
        over_ns = np.array([session.over_ns for session in tally.sessions], dtype=np.int64)[deliveries.session]
        open_ones = (deliveries.queue == tally.queues.index(queue.name)) & (deliveries.at_ns <= at_ns)
        open_ones &= np.minimum(np.minimum(deliveries.acked_ns, deliveries.rejected_ns), over_ns) > at_ns
        return int(np.count_nonzero(open_ones))

    @property
    def _whole(self) -> bool:
        """Whether both looks were taken, and no node has begun to count anew."""
        return (
            self._before is not None
            and self._after is not None
            and self._before.node_started == self._after.node_started
        )

    @property
    def _before_look(self) -> BrokerLook:
        assert self._before is not None  # noqa: S101 - asked before
        return self._before

    @property
    def _after_look(self) -> BrokerLook:
        assert self._after is not None  # noqa: S101 - asked before
        return self._after

    def _handled(self, *names: str) -> int | None:
        """Return how much some counts grew between the looks."""
        if not self._whole or not self._before_look.handled:
            return None
        return sum(_sum(look.handled, names) * sign for look, sign in ((self._after_look, 1), (self._before_look, -1)))

    @property
    def _has_automatic(self) -> bool:
        """Whether workers of the run take messages without acknowledging them: some that were sent need not have come."""
        return any(each.acks is AckMode.AUTOMATIC for each in self._tally.sessions)

    @property
    def _unarrived(self) -> int:
        """How many acknowledgements of the run's workers need not have arrived: of what each may hold, where its connection was lost."""
        lost = [
            each for each in self._tally.sessions if each.role == "worker" and each.lost_ns < self._after_look.at_ns
        ]
        return sum(each.prefetch or int(self._tally.flow.acked.sum()) for each in lost)


def _sum(handled: Mapping[str, Mapping[str, int]], names: Sequence[str]) -> int:
    return sum(counts.get(name, 0) for counts in handled.values() for name in names)
