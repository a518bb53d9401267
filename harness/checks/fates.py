"""What became of each message: exactly one fate, by the rules of `Fate`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from harness.checks.routing import route_queues
from harness.checks.tally import NEVER, Tally
from harness.checks.verdict import Fate
from harness.events import BrokerStarted, Event
from harness.scenario.scenario import Scenario
from harness.scenario.topology import Queue

ORDER: Final = tuple(Fate)
"""A fate's number in the arrays is its place here."""

DEFAULT_DELIVERY_LIMIT = 20
"""Of quorum queues from RabbitMQ 4.0 on. Source: RabbitMQ's guide to quorum queues, poison message handling."""


def code(fate: Fate) -> int:
    """Return a fate's number in the arrays."""
    return ORDER.index(fate)


def fates(tally: Tally, scenario: Scenario, events: Sequence[Event]) -> np.ndarray:
    """Return every message's fate as its number in ORDER; -1 for a sequence number that was never published."""
    result = np.full(tally.total, -1, dtype=np.int8)
    exists = tally.published > 0
    processed = exists & (tally.completions > 0)
    result[processed & tally.promised] = code(Fate.PROCESSED)
    result[processed & ~tally.promised & tally.refused] = code(Fate.RESURRECTED)
    result[processed & ~tally.promised & ~tally.refused] = code(Fate.RECOVERED)
    rest = exists & ~processed
    resting = np.array([name in scenario.dead_letter_queues for name in tally.queues] or [False])
    found = rest & (tally.found >= 0)
    dead = found & resting[np.maximum(tally.found, 0)]
    result[dead] = code(Fate.DEAD_LETTERED)
    result[found & ~dead] = code(Fate.STRANDED)
    rest &= ~found
    result[rest & ~tally.promised] = code(Fate.NEVER_PROMISED)
    gone = rest & tally.promised
    result[gone] = code(Fate.LOST)
    for route, name in enumerate(tally.routes):
        for queue in route_queues(name, scenario):
            _explain_by_policy(result, gone & (tally.route == route), tally, scenario.queues[queue], events)
    return result


def _explain_by_policy(
    result: np.ndarray, gone: np.ndarray, tally: Tally, queue: Queue, events: Sequence[Event]
) -> None:
    """Move those that the queue's own policy took away from LOST; each needs evidence in the history."""
    if queue.dead_letter is not None or not gone.any():
        return  # what the policy takes goes to the dead letter queue, and would have been found there
    deliveries = tally.deliveries
    real = np.flatnonzero(deliveries.message >= 0)
    last = np.full(tally.total, -1, dtype=np.int64)
    order = real[np.argsort(deliveries.at_ns[real], kind="stable")]
    last[deliveries.message[order]] = order
    delivered = last >= 0
    rejected = delivered & (deliveries.rejected[np.maximum(last, 0)] == 1) if len(deliveries.at_ns) else delivered
    result[gone & rejected] = code(Fate.DROPPED)
    limit = delivery_limit(queue, events)
    if limit is not None:
        times = np.bincount(deliveries.message[real], minlength=tally.total)
        result[gone & (times > limit)] = code(Fate.DROPPED)
    if queue.max_length is not None and queue.overflow in (None, "drop-head"):
        overflowed = gone & ~delivered & (_highest_backlog_after(tally) >= queue.max_length)
        result[overflowed] = code(Fate.DROPPED)
    if queue.message_ttl is not None and len(tally.first_published_ns):
        ended = max((event.at_ns for event in events), default=0)
        age = ended - np.where(tally.first_published_ns == NEVER, ended, tally.first_published_ns)
        result[gone & ~delivered & (age > queue.message_ttl * 1e9)] = code(Fate.EXPIRED)


def delivery_limit(queue: Queue, events: Sequence[Event]) -> int | None:
    """Return how often the queue delivers a message again before it drops it; None for no limit."""
    if queue.type != "quorum":
        return None
    if queue.delivery_limit is not None:
        return queue.delivery_limit
    version = next((event.rabbitmq for event in events if isinstance(event, BrokerStarted)), "")
    major = version.partition(".")[0]
    return DEFAULT_DELIVERY_LIMIT if major.isdigit() and int(major) >= 4 else None


def _highest_backlog_after(tally: Tally) -> np.ndarray:
    """Per message: the most messages that were published and not completed at any moment after its own publish."""
    published = np.where(tally.first_published_ns == NEVER, 0, tally.first_published_ns)
    completed = tally.first_completed_ns[tally.first_completed_ns != NEVER]
    times = np.concatenate([published, completed])
    steps = np.concatenate([np.ones(len(published), dtype=np.int64), -np.ones(len(completed), dtype=np.int64)])
    order = np.argsort(times, kind="stable")
    backlog = np.cumsum(steps[order])
    highest = np.maximum.accumulate(backlog[::-1])[::-1]
    result: np.ndarray = highest[np.searchsorted(times[order], published, side="left")]
    return result
