"""Messages that a queue's own policy took away: a time to live, a length limit, a delivery limit, a reject. Each needs its evidence.

A message that some policy might have taken in principle, and that nothing in the history shows it to have taken, is lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from harness.checks.rules.copies import copy_in, copy_numbers, last_deliveries, last_publishes, rows_of
from harness.checks.tally.deliveries import REJECTED
from harness.checks.tally.fault_records import fault_records, on_disk_ns
from harness.checks.tally.message_table import MessageTable
from harness.checks.tally.times import NEVER
from harness.events import BrokerStarted, Event
from harness.scenario.routing import dead_letter_queues, route_queues, workers_of
from harness.scenario.scenario import Scenario
from harness.scenario.topology import Queue

DEFAULT_DELIVERY_LIMIT = 20
"""Of quorum queues from RabbitMQ 4.0 on. Source: RabbitMQ's guide to quorum queues, poison message handling."""

ARRIVES_WITHIN_NS = 1_000_000_000
"""A message without a confirm is taken to be in its queue so long after its publish."""


def taken_by_policy(
    gone: np.ndarray, tally: MessageTable, route: str, queue: str, scenario: Scenario, events: Sequence[Event]
) -> tuple[np.ndarray, np.ndarray]:
    """Return which of the messages `gone` (message numbers, of one route) expired, in a queue or one behind it, and which were dropped.

    What a queue with a dead letter target takes goes there and would have been found: it explains nothing, unless the message can have
    expired in the target too.
    """
    copy = copy_in(queue, route, scenario)
    last = last_deliveries(gone, copy, tally, scenario)
    expired, dropped = np.zeros((2, len(gone)), dtype=bool)
    for name, here in _places(last, queue, tally):
        case = _Case(gone[here], last[here], copy, name, tally, scenario, events)
        took = case.expired, case.dropped
        if scenario.queues[name].dead_letter is not None:
            took = case.expired_behind(route), np.zeros(len(here), dtype=bool)
        expired[here], dropped[here] = took
    return gone[expired], gone[dropped]


def _places(last: np.ndarray, queue: str, tally: MessageTable) -> Iterator[tuple[str, np.ndarray]]:
    """Yield where messages were last known to be, and which: in the queue of their latest delivery, or where they were sent to."""
    place = np.full(len(last), -1, dtype=np.int64)
    place[last >= 0] = tally.deliveries.queue[last[last >= 0]]
    for number in np.unique(place).tolist():
        yield tally.queues[number] if number >= 0 else queue, np.flatnonzero(place == number)


class _Case:
    """What a queue's policy can have done with messages that were last known to be in it."""

    def __init__(
        self,
        messages: np.ndarray,
        last: np.ndarray,
        copy: int,
        queue: str,
        tally: MessageTable,
        scenario: Scenario,
        events: Sequence[Event],
    ) -> None:
        """Decide, whether or not it dead-letters what it takes. `last` is each message's latest delivery, -1 for none."""
        self._queue, self._scenario, self._events = queue, scenario, events
        settings = scenario.queues[queue]
        ttl_ns = _ttl_ns(settings)
        delivered = last >= 0
        deliveries = tally.deliveries
        given_up = np.zeros(len(messages), dtype=bool)
        given_up[delivered] = deliveries.rejected[last[delivered]] == REJECTED
        limit = delivery_limit(settings, events)
        if limit is not None:
            given_up |= _times_delivered(messages, copy, queue, tally, scenario) > limit
        # What was acknowledged is out of the queue's reach, whatever became of it.
        released = np.zeros(len(messages), dtype=bool)
        released[delivered] = was_released(last[delivered], tally, scenario)
        there = np.flatnonzero(~given_up & ~released)
        self.expired = np.zeros(len(messages), dtype=bool)
        self.dropped = given_up.copy()
        sent = last_publishes(messages, tally)
        self._persistent = tally.publishes.persistent[sent]
        self._left_ns = tally.publishes.at_ns[sent]
        """The earliest time at which each can have left the queue by its policy."""
        if len(there) and (_limit(settings, "x-max-length") is not None or ttl_ns is not None):
            stay = _Stay(messages[there], ~delivered[there], tally, queue, scenario, events)
            self.dropped[there] = stay.outgrown(_limit(settings, "x-max-length"), settings)
            if ttl_ns is not None:
                self.expired[there] = ~self.dropped[there] & (stay.longest_ns() >= ttl_ns)
                self._left_ns[self.expired] += ttl_ns
        self._left_ns[given_up & delivered] = deliveries.at_ns[last[given_up & delivered]]

    def expired_behind(self, route: str) -> np.ndarray:
        """Tell which of what it took can have expired in its dead letter target, or in one behind that."""
        gone: np.ndarray = self.expired | self.dropped
        since_ns, queue, passed = self._left_ns, self._queue, {self._queue}
        while True:
            targets = dead_letter_queues(queue, route, self._scenario)
            if len(targets) != 1 or targets[0] in passed:
                return np.zeros(len(gone), dtype=bool)
            queue = targets[0]
            passed.add(queue)
            settings = self._scenario.queues[queue]
            ttl_ns = _ttl_ns(settings)
            if ttl_ns is None:
                return np.zeros(len(gone), dtype=bool)
            end_ns = _taken_ns(queue, since_ns, self._persistent, self._scenario, self._events)
            gone &= end_ns - since_ns >= ttl_ns
            if settings.dead_letter is None:
                return gone
            since_ns = since_ns + ttl_ns


def _taken_ns(
    queue: str, since_ns: np.ndarray, persistent: np.ndarray, scenario: Scenario, events: Sequence[Event]
) -> np.ndarray:
    """Return when a fault took what was in a queue since then; the end of the run where none did."""
    settings, on_disk = scenario.queues[queue], on_disk_ns(events)
    end_ns = np.full(len(since_ns), max((event.at_ns for event in events), default=0), dtype=np.int64)
    for lasting in (False, True):
        for fault_record in fault_records(events):
            if fault_record.can_take(queue, settings, persistent=lasting, on_disk_ns=on_disk):
                struck = (persistent == lasting) & (since_ns <= fault_record.struck_ns)
                end_ns[struck] = np.minimum(end_ns[struck], fault_record.struck_ns)
    return end_ns


def was_released(rows: np.ndarray, tally: MessageTable, scenario: Scenario) -> np.ndarray:
    """Tell of some deliveries whether the broker took them for acknowledged: an ack was recorded, or it needs none."""
    groups = [workers_of(session.actor, scenario) for session in tally.sessions]
    automatic = np.array([group is not None and group.acks == "automatic" for group in groups], dtype=bool)
    deliveries = tally.deliveries
    released: np.ndarray = deliveries.acked[rows] | automatic[deliveries.session[rows]]
    return released


def _times_delivered(
    messages: np.ndarray, copy: int, queue: str, tally: MessageTable, scenario: Scenario
) -> np.ndarray:
    """Count the deliveries from a queue of a copy of each message's last attempt: a message published again begins anew."""
    deliveries = tally.deliveries
    rows = rows_of(messages, deliveries.message, tally.total)
    rows = rows[copy_numbers(rows, tally, scenario) == copy]
    rows = rows[np.array([name == queue for name in tally.queues], dtype=bool)[deliveries.queue[rows]]]
    attempt = np.zeros(tally.total, dtype=np.uint16)
    attempt[messages] = tally.publishes.attempt[last_publishes(messages, tally)]
    rows = rows[deliveries.attempt[rows] == attempt[deliveries.message[rows]]]
    counted: np.ndarray = np.bincount(deliveries.message[rows], minlength=tally.total)[messages]
    return counted


def delivery_limit(queue: Queue, events: Sequence[Event]) -> int | None:
    """Return how often the queue delivers a message again before it drops it; None for no limit."""
    if queue.type != "quorum":
        return None
    limit = queue.delivery_limit if queue.delivery_limit is not None else queue.arguments.get("x-delivery-limit")
    if isinstance(limit, int):
        return limit if limit >= 0 else None
    version = next((event.rabbitmq for event in events if isinstance(event, BrokerStarted)), "")
    major = version.partition(".")[0]
    return DEFAULT_DELIVERY_LIMIT if major.isdigit() and int(major) >= 4 else None


def _limit(queue: Queue, argument: str) -> int | None:
    value = queue.declaration_arguments().get(argument)
    return value if isinstance(value, int) else None


def _ttl_ns(queue: Queue) -> int | None:
    milliseconds = _limit(queue, "x-message-ttl")
    return None if milliseconds is None else milliseconds * 1_000_000


class _Stay:
    """How long messages can have been in a queue, and how many can have come behind them, at the most."""

    def __init__(
        self,
        messages: np.ndarray,
        undelivered: np.ndarray,
        tally: MessageTable,
        queue: str,
        scenario: Scenario,
        events: Sequence[Event],
    ) -> None:
        """Bound the end of each message's stay: by a fault that takes it, and by a delivery of what stands surely behind it."""
        self._tally = tally
        self._messages = messages
        last = last_publishes(messages, tally)
        self._sent_ns = tally.publishes.at_ns[last]
        self._confirmable = tally.publishes.confirmable[last]
        leads = [queue in route_queues(route, scenario) for route in tally.routes]
        others = (
            np.flatnonzero(np.array(leads)[tally.route[here]] & tally.published.some[here]) + here.start
            for here in tally.slices()
        )
        self._others = np.concatenate([*others])
        others_sent = tally.first_published_ns[self._others]
        order = np.argsort(others_sent, kind="stable")
        self._others_sent = others_sent[order]
        delivered = tally.first_delivered_ns[self._others][order]
        passed_by = np.append(np.minimum.accumulate(delivered[::-1])[::-1], NEVER)
        arrived = tally.first_confirmed_ns[messages]
        arrived = np.where(arrived == NEVER, self._sent_ns + ARRIVES_WITHIN_NS, arrived)
        overtaken = passed_by[np.searchsorted(self._others_sent, arrived, side="right")]
        # One that was delivered came back to its place later, when others had passed it.
        end = np.where(undelivered, overtaken, NEVER)
        taken = _taken_ns(queue, self._sent_ns, tally.publishes.persistent[last], scenario, events)
        self._end_ns = np.minimum(end, taken)

    def longest_ns(self) -> np.ndarray:
        """Return the longest time that each can have been in the queue."""
        longest: np.ndarray = self._end_ns - self._sent_ns
        return longest

    def outgrown(self, length: int | None, queue: Queue) -> np.ndarray:
        """Tell which ones a length limit can have taken: as many as it allows came behind them while they were there.

        Where the queue refuses instead of dropping, only a publisher without confirms loses what it sends to a full queue.
        """
        if length is None:
            return np.zeros(len(self._sent_ns), dtype=bool)
        tally = self._tally
        if queue.declaration_arguments().get("x-overflow") in ("reject-publish", "reject-publish-dlx"):
            entered = np.setdiff1d(self._others, self._messages, assume_unique=True)
            came, left = np.sort(tally.first_published_ns[entered]), np.sort(tally.first_delivered_ns[entered])
            waiting = np.searchsorted(came, self._sent_ns, side="right")
            waiting -= np.searchsorted(left, self._sent_ns, side="right")
            full: np.ndarray = ~self._confirmable & (waiting >= length)
            return full
        settled = tally.first_confirmed_ns[self._others]
        settled = np.sort(np.where(settled == NEVER, tally.first_published_ns[self._others], settled))
        ahead = np.searchsorted(settled, self._sent_ns, side="left")
        behind = np.searchsorted(self._others_sent, self._end_ns, side="right") - ahead - 1  # itself is not behind
        outgrown: np.ndarray = behind >= length
        return outgrown
