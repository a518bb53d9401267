"""What the broker refused: publishes that it cannot have put in a queue, by what it said of them itself.

Each attempt of a publish is a message of its own to the broker: what it said of one says nothing of the others.

- It returned the publish: no queue was there for it.
- It nacked the publish. A nack speaks for the message, not for its copies, so it tells something only where the message went to one queue.
  Even there the queue may have kept it, or passed it on: a full queue may dead-letter what it refuses; a quorum queue may keep what it
  nacks when its leader changes; and in a cluster a node nacks for the home node of a classic queue that is gone, which may have written
  the message. So near a fault of a node, a nack of such queues says nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.checks.rules.latest import rows_of
from harness.checks.tally.fault_records import WITHIN_NS, over_ns
from harness.checks.tally.message_table import MessageTable
from harness.effects import Becomes


def done_though_refused(copies: NDArray[np.int64], tally: MessageTable) -> NDArray[np.bool_]:
    """Return which of some copies have an attempt that was refused and done all the same.

    Their messages must be irregular: see `MessageTable.irregular`.
    """
    if not len(copies):
        return np.zeros(0, dtype=bool)
    deliveries, publishes = tally.deliveries, tally.publishes
    sent = rows_of(tally.message(copies), publishes.message, tally.messages.total)
    sent = sent[refused_publishes(sent, tally)]
    rows = rows_of(copies, deliveries.copy, tally.total)
    rows = rows[deliveries.intact[rows]]
    refused = np.isin(
        deliveries.message[rows].astype(np.int64) << 16 | deliveries.attempt[rows],
        publishes.message[sent].astype(np.int64) << 16 | publishes.attempt[sent],
    )
    found: NDArray[np.bool_] = np.isin(copies, deliveries.copy[rows[refused]])
    return found


def refused_publishes(rows: NDArray[np.int64], tally: MessageTable) -> NDArray[np.bool_]:
    """Return which of some publishes the broker cannot have put in a queue."""
    publishes, topology = tally.publishes, tally.topology
    route, sent_ns = tally.messages.route[publishes.message[rows]], publishes.at_ns[rows]
    queues = [lives.slots[0].first_queue for lives in tally.copies.lives]
    one_queue = np.array([lives.alone for lives in tally.copies.lives])
    passes_on = np.array([topology.policy(queue).dead_letters_refused for queue in queues])
    speaks = publishes.nacked[rows] & (one_queue & ~passes_on)[route]
    for each in tally.topology.faults:
        if each.effects.node is not Becomes.UNCHANGED:
            keeps = [
                topology.policy(queue).type == "quorum" or topology.may_live_on(queue, each.targets) for queue in queues
            ]
            near = (sent_ns >= each.at_ns - WITHIN_NS) & (sent_ns <= over_ns(each) + WITHIN_NS)
            speaks &= ~(np.array(keeps)[route] & near)
    found: NDArray[np.bool_] = publishes.returned[rows] | speaks
    return found
