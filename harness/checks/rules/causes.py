"""The causes of all lost copies: decided once (`finder.py`) for all that share what it depends on.

That is few things: route, connections, marks, and between which faults a message was sent.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.checks.rules.arrival import arrived, sent_at_last
from harness.checks.rules.evidence import NO_CAUSES, Causes, Evidence
from harness.checks.rules.finder import Finder
from harness.checks.rules.latest import last_deliveries, last_publishes
from harness.checks.rules.taken import Taken
from harness.checks.tally.message_table import MessageTable
from harness.events import Event
from harness.history.records import AckMode


def find_causes(lost: Taken, tally: MessageTable, events: Sequence[Event]) -> Causes:
    """Find the cause of each lost copy: of the i-th one, `of[i]`."""
    if not len(lost.copy):
        return NO_CAUSES
    publishes, deliveries = tally.publishes, tally.deliveries
    sent = last_publishes(lost.copy, tally)
    delivered = last_deliveries(lost.copy, tally)
    was_delivered = delivered >= 0
    row = np.maximum(delivered, 0)
    nowhere = np.zeros(len(lost.copy), dtype=bool)
    anything = len(deliveries.message) > 0
    released = was_released(row, tally) & was_delivered if anything else nowhere
    failed = deliveries.failed[row] & was_delivered if anything else nowhere
    changed = (deliveries.completed & deliveries.corrupt)[row] & was_delivered if anything else nowhere
    worker = np.where(was_delivered, deliveries.session[row], -1) if anything else nowhere - 1
    finder = Finder(tally, events)
    columns = np.stack(
        [
            lost.queue,
            tally.route[lost.copy],
            np.searchsorted(finder.times, publishes.at_ns[sent]),
            publishes.session[sent],
            publishes.persistent[sent],
            publishes.mandatory[sent],
            tally.first_confirmed_ns.known(lost.copy),
            arrived(sent, tally),
            sent_at_last(sent, tally),
            worker,
            np.searchsorted(finder.times, lost.since_ns),
            np.searchsorted(finder.times, lost.overtaken_ns),
            released,
            failed,
            changed,
            tally.first_queue(lost.copy),
            tally.published_to(lost.copy) < 0,
            lost.exposed_to,
            lost.exposed_by,
        ],
        axis=1,
    ).astype(np.int64)
    _, first, of = np.unique(columns, axis=0, return_index=True, return_inverse=True)
    found = [
        finder.cause(
            Evidence(
                queue=tally.queues[queue] if queue >= 0 else "",
                sent_ns=int(publishes.at_ns[sent[each]]),
                since_ns=int(lost.since_ns[each]),
                overtaken_ns=int(lost.overtaken_ns[each]),
                publisher=tally.sessions[publishes.session[sent[each]]],
                persistent=bool(persistent),
                mandatory=bool(mandatory),
                confirmed=bool(confirmed),
                arrived=bool(reached),
                at_last=bool(last),
                worker=tally.sessions[worker[each]] if worker[each] >= 0 else None,
                released=bool(gone),
                failed=bool(fail),
                changed=bool(other_body),
                first_queue=tally.queues[begun] if begun >= 0 else "",
                by_death=bool(by_death),
                route=tally.routes[route],
                exchange=tally.topology.topology.split(tally.routes[route])[0],
                alone=tally.copies.lives[route].alone,
                exposed_to=exposed_to if exposed_to >= 0 else None,
                exposed_by=tally.queues[exposed_by] if exposed_by >= 0 else "",
            )
        )
        for each, (
            queue,
            route,
            _,
            _,
            persistent,
            mandatory,
            confirmed,
            reached,
            last,
            _,
            _,
            _,
            gone,
            fail,
            other_body,
            begun,
            by_death,
            exposed_to,
            exposed_by,
        ) in zip(first.tolist(), columns[first].tolist(), strict=True)
    ]
    distinct = tuple(dict.fromkeys(found))
    places = np.array([distinct.index(cause) for cause in found], dtype=np.int64)
    return Causes(lost.copy, places[of.reshape(-1)], distinct)


def was_released(rows: NDArray[np.int64], tally: MessageTable) -> NDArray[np.bool_]:
    """Return of some deliveries whether the broker took them for acknowledged: an ack was recorded, or it needs none."""
    automatic = np.array([session.acks is AckMode.AUTOMATIC for session in tally.sessions], dtype=bool)
    deliveries = tally.deliveries
    released: NDArray[np.bool_] = deliveries.acked[rows] | automatic[deliveries.session[rows]]
    return released
