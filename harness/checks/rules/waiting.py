"""When work was waiting and no worker was at work on any: the outages of workers.

Only the times in which no worker was at work are looked at (`tally/idle.py`); there are few of them. In each no work can end, so it is enough
to count what had begun to wait, and what had ended, at its two ends.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from harness.checks.tally.deliveries import REJECTED, REQUEUED
from harness.checks.tally.idle import Spans
from harness.checks.tally.message_table import MessageTable
from harness.checks.tally.times import NEVER

Waits = tuple[NDArray[np.int64], NDArray[np.int64]]
"""When work began to wait, and when it ended or was out of the workers' reach. Each end has a begin; they are in no order."""


def unattended(tally: MessageTable) -> Spans:
    """Return the spans in which work was waiting and no worker was at work, between the first delivery and the last completion.

    Work waits from its first publish to its first completion. What was never completed does not count, because its
    wait has no end. Nor does what may be in a queue from which no worker can get it: see `_waits`.
    """
    idle: Spans = tally.idle[(tally.idle[:, 0] != -NEVER) & (tally.idle[:, 1] != NEVER)]
    if not len(idle):
        return idle
    # A time at the end of a span is one before work may end that ends it.
    edges = np.stack([idle[:, 0], idle[:, 1] - 1], axis=1).reshape(-1)
    begun, ended = np.zeros((2, len(edges) + 1), dtype=np.int64)
    first_ns = np.full(len(idle), NEVER, dtype=np.int64)
    for begins_ns, ends_ns in _waits(tally):
        place = np.searchsorted(edges, begins_ns)
        begun += np.bincount(place, minlength=len(begun))
        ended += np.bincount(np.searchsorted(edges, ends_ns), minlength=len(ended))
        inside = np.flatnonzero(place & 1)
        np.minimum.at(first_ns, place[inside] >> 1, begins_ns[inside])
    waiting = (np.cumsum(begun) - np.cumsum(ended))[:-1].reshape(-1, 2)
    # Where clocks disagree a little, work may seem to end inside.
    all_along = waiting[:, 0] - ended[1::2] > 0
    since_ns = np.where(all_along | (first_ns == NEVER), idle[:, 0], first_ns)
    found: Spans = np.stack([since_ns, idle[:, 1]], axis=1)[waiting[:, 1] > 0]
    return found


def _waits(tally: MessageTable) -> Iterator[Waits]:
    """Yield when work waited for a worker.

    Where a queue passes messages on by itself, or no worker consumes from it, work begins to wait with its first delivery: until then it may
    have been in a queue with a delay. Likewise what came back as a dead letter waits from its next delivery on.
    """
    at_once = _ready_at_once(tally)
    for here in tally.slices():
        known = tally.first_completed_ns.known(here)
        if not known.any():
            continue
        begins_ns, ends_ns = tally.first_published_ns[here], tally.first_completed_ns[here]
        ready = at_once[:, tally.copies.slot(here)]
        if not ready.all():
            begins_ns = np.where(ready[tally.route[here]], begins_ns, tally.first_delivered_ns[here])
        known &= begins_ns != NEVER
        yield (begins_ns, ends_ns) if known.all() else (begins_ns[known], ends_ns[known])
    if any(tally.topology.policy(name).has_dead_letter_target or _delays_retries(name, tally) for name in tally.queues):
        yield _out_of_reach(tally)


def _ready_at_once(tally: MessageTable) -> NDArray[np.bool_]:
    """Return by route and slot whether such a copy is put in a queue from which a worker gets it, and which keeps it until then."""
    consumed = {queue for session in tally.sessions if session.role == "worker" for queue in session.queues}
    ready = np.array([name in consumed and not _passes_on(name, tally) for name in tally.queues] + [False])
    by_publish = np.arange(tally.begins_in.shape[1]) < np.array(
        [[each.published] for each in tally.copies.lives] or [[1]]
    )
    found: NDArray[np.bool_] = ready[tally.begins_in] & by_publish
    return found


def _passes_on(queue: str, tally: MessageTable) -> bool:
    """Whether a queue may lead a message elsewhere without a worker's doing."""
    policy = tally.topology.policy(queue)
    return policy.has_dead_letter_target and (policy.message_ttl_s is not None or policy.has_length_limit)


def _delays_retries(queue: str, tally: MessageTable) -> bool:
    """Whether a queue keeps what comes back to it from the workers for a while (quorum queues of RabbitMQ 4.3)."""
    facts = tally.topology.facts.get(queue)
    keys = [*tally.topology.settings(queue).arguments, *(() if facts is None else (*facts.arguments, *facts.policy))]
    return any("delayed-retry" in key for key in keys)


def _out_of_reach(tally: MessageTable) -> Waits:
    """Return when dead letters, and what is retried with a delay, ceased to wait, and when they were delivered again: as ends and begins."""
    deliveries = tally.deliveries
    done_ns = tally.first_completed_ns[np.maximum(deliveries.copy, 0)]
    rows = np.flatnonzero((deliveries.copy >= 0) & (done_ns != NEVER) & (deliveries.at_ns <= done_ns))
    rows = rows[np.lexsort((deliveries.at_ns[rows], deliveries.copy[rows]))]
    copy, at_ns, died = deliveries.copy[rows], deliveries.at_ns[rows], deliveries.died[rows]
    rejected, rejected_ns = deliveries.rejected[rows], deliveries.rejected_ns[rows]
    again = np.append(False, copy[1:] == copy[:-1])[: len(copy)]
    before = np.maximum(np.arange(len(rows)) - 1, 0)
    delayed = np.array([_delays_retries(name, tally) for name in tally.queues])[deliveries.queue[rows]]
    later = again & (
        (rejected[before] == REJECTED) | (died & ~died[before]) | ((rejected[before] == REQUEUED) & delayed)
    )
    left_ns = np.where(rejected_ns[before] != NEVER, rejected_ns[before], at_ns[before])
    ready = _ready_at_once(tally)[tally.route[copy], tally.copies.slots(copy)] if len(copy) else np.empty(0, dtype=bool)
    first = ~again & died & ready
    left_ns = np.where(first, tally.first_published_ns[copy], left_ns) if len(copy) else left_ns
    chosen = later | first
    return at_ns[chosen], np.minimum(left_ns, at_ns)[chosen]
