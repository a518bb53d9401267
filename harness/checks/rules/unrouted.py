"""Which copies found their queue gone when they were published, where the broker counted what it put in queues.

RabbitMQ 3.10 and later count how many messages came and in how many queues they were put (dead letters are not among them: measured on 3.10
and 4.0). Where one queue was gone at the end, and nothing else can have kept copies from theirs, as many as are missing in that count were
published after it had gone: the last ones. All others that are missing went with it. What came after a queue had expired by itself is said to
be removed with it, or lost: the same setting would have kept it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.checks.rules.happenings import Happenings
from harness.checks.rules.latest import last_deliveries, last_publishes
from harness.checks.rules.strangers import Strangers
from harness.checks.rules.taken import Reason, Taken
from harness.checks.tally.message_table import MessageTable
from harness.checks.tally.times import NEVER
from harness.events import Event


def found_their_queue_gone(taken: Taken, happened: Happenings, tally: MessageTable, events: Sequence[Event]) -> None:
    """Say of missing copies of a queue that was gone at the end whether they came in time to go with it, in `taken` itself."""
    strangers = Strangers(tally, events)
    gone = [queue for queue in tally.queues if happened.is_gone(queue)]
    fewer = strangers.unrouted
    if len(gone) != 1 or fewer is None or any(strangers.unbound()):
        return
    (queue,) = gone
    topology, place = tally.topology, tally.queues.index(queue)
    if topology.gives_up(queue) or topology.home_away(queue):
        return
    rows = np.flatnonzero((tally.published_to(taken.copy) == place) & (last_deliveries(taken.copy, tally) < 0))
    if len(rows) < fewer or not np.isin(taken.reason[rows], (Reason.NONE, Reason.QUEUE_GONE)).all():
        return
    sent = last_publishes(taken.copy[rows], tally)
    in_order = np.argsort(tally.publishes.at_ns[sent], kind="stable")
    rows, sent = rows[in_order], sent[in_order]
    came, late = np.split(rows, [len(rows) - fewer])
    if topology.policy(queue).expires_s is None:
        taken.put(late, Reason.NONE, -1)
        taken.possible[late] = False
    else:  # the queue that it was meant for has taken them along, as some would say
        taken.put(late, Reason.QUEUE_GONE, place)
        taken.possible[late] = True
    persistent = tally.publishes.persistent[sent[: len(came)]]
    _, struck_ns = happened.struck_ns(queue, taken.since_ns[came], persistent)
    safe = came[struck_ns == NEVER]
    taken.put(safe, Reason.QUEUE_GONE, place)
    taken.possible[safe] = False
