"""Who did the work: by worker, in turn or not, in order or not."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from harness.checks.deliveries import KEPT
from harness.checks.routing import publishers_of, workers_of
from harness.checks.settlement import NEVER
from harness.checks.tally import Tally
from harness.checks.verdict import WorkerFigures
from harness.events import Event, ProcessStarted
from harness.scenario.scenario import Scenario

MOST_DELIVERIES = 20
"""More deliveries of a message are not told apart."""
SHOWN_TURNS = 12
"""Most names in the text that shows who got what."""


def worker_figures(tally: Tally, scenario: Scenario, events: Sequence[Event]) -> tuple[WorkerFigures, ...]:
    """Sum up what each worker did; workers that did nothing are there as well."""
    started = [event for event in events if isinstance(event, ProcessStarted) and event.role == "worker"]
    names = list(dict.fromkeys(event.actor for event in started))
    names += dict.fromkeys(s.actor for s in tally.sessions if s.role == "worker" and s.actor not in names)
    numbers = np.array([names.index(s.actor) if s.role == "worker" else 0 for s in tally.sessions], dtype=np.int64)
    deliveries = tally.deliveries

    def by_actor(chosen: np.ndarray | slice) -> list[int]:
        counted: list[int] = np.bincount(numbers[deliveries.session[chosen]], minlength=len(names)).tolist()
        return counted

    columns = zip(
        names,
        by_actor(slice(None)),
        by_actor(deliveries.completed),
        by_actor(deliveries.redelivered),
        by_actor(deliveries.acked),
        by_actor(deliveries.rejected != KEPT),
        strict=True,
    )
    figures = []
    for actor, delivered, processed, redelivered, acked, rejected in columns:
        group = workers_of(actor, scenario)
        figures.append(
            WorkerFigures(
                actor=actor,
                group=group.name if group else "",
                delivered=delivered,
                processed=processed,
                redelivered=redelivered,
                acked=acked,
                rejected=rejected,
                incarnations=len({event.incarnation for event in started if event.actor == actor}),
            )
        )
    return tuple(figures)


def had_by(tally: Tally, workers: Sequence[WorkerFigures]) -> tuple[np.ndarray, dict[int, str]]:
    """Tell for each message which worker had it, and give the workers' names by number; 0 is nobody, with an empty name.

    The worker that completed it first had it; of a message that was never completed, the worker that it was last delivered to.
    """
    names = ["", *(worker.actor for worker in workers)]
    of_session = np.array([names.index(s.actor) if s.role == "worker" else 0 for s in tally.sessions], dtype=np.int64)
    deliveries = tally.deliveries
    known = np.flatnonzero(deliveries.message >= 0)
    message, at_ns = deliveries.message[known], deliveries.at_ns[known]
    last_ns = np.zeros(tally.total, dtype=np.int64)
    np.maximum.at(last_ns, message, at_ns)
    had = np.zeros(tally.total, dtype=np.int64)
    done = deliveries.completed[known]
    for chosen in (
        at_ns == last_ns[message],
        done & (deliveries.completed_ns[known] == tally.first_completed_ns[message]),
    ):
        had[message[chosen]] = of_session[deliveries.session[known[chosen]]]
    return had, dict(enumerate(names))


def deliveries_each(tally: Tally) -> dict[int, int]:
    """Count the messages that were delivered never, once, twice, ...; all beyond MOST_DELIVERIES count as that many."""
    deliveries = tally.deliveries.message
    times = np.bincount(deliveries[deliveries >= 0], minlength=tally.total)[tally.published > 0]
    counts = np.bincount(np.minimum(times, MOST_DELIVERIES)).tolist()
    return {number: count for number, count in enumerate(counts) if count}


def fairness(workers: Sequence[WorkerFigures]) -> float | None:
    """Return Jain's index of the workers' completed deliveries; None for less than two workers, or nothing done."""
    done = np.array([worker.processed for worker in workers], dtype=np.float64)
    if len(done) < 2 or not done.any():
        return None
    return float(done.sum() ** 2 / (len(done) * (done**2).sum()))


def texts_processed(actors: Sequence[str], tally: Tally, scenario: Scenario) -> tuple[str, ...]:
    """Return the texts that workers completed, in the order of completion; `#seq` where a body is not a text."""
    deliveries = tally.deliveries
    sessions = np.array(
        [session.role == "worker" and session.actor in actors for session in tally.sessions], dtype=bool
    )
    done = np.flatnonzero(deliveries.completed & (deliveries.message >= 0))
    done = done[sessions[deliveries.session[done]]]
    order = done[np.argsort(deliveries.completed_ns[done], kind="stable")]
    texts = []
    for message in deliveries.message[order].tolist():
        publisher, seq = tally.name(message)
        group = publishers_of(publisher, scenario)
        texts.append(group.tasks[seq % len(group.tasks)] if group is not None and group.tasks else f"#{seq}")
    return tuple(texts)


def strictly_in_turn(tally: Tally) -> tuple[bool, str]:
    """Whether the first deliveries of each queue's messages, in the order of publishing, went to its workers in turn.

    With n workers that got any, n at least 2: the first n messages went to n different workers, and each later message to the worker
    that got the message n places before it. Returns the answer and what was seen (of the first queue that breaks it, else of the last).
    """
    deliveries = tally.deliveries
    seen = "nothing was delivered"
    known = np.flatnonzero(deliveries.message >= 0)
    known = known[np.argsort(deliveries.at_ns[known], kind="stable")]
    actors = np.array([session.actor for session in tally.sessions])
    for queue in np.unique(deliveries.queue[known]).tolist():
        mine = known[deliveries.queue[known] == queue]
        _, first = np.unique(deliveries.message[mine], return_index=True)
        firsts = mine[first]
        order = np.argsort(tally.first_published_ns[deliveries.message[firsts]], kind="stable")
        who = actors[deliveries.session[firsts[order]]]
        count = len(np.unique(who))
        seen = " ".join(who[:SHOWN_TURNS].tolist()) + (" ..." if len(who) > SHOWN_TURNS else "")
        if count < 2 or len(set(who[:count].tolist())) != count or not (who[count:] == who[:-count]).all():
            return False, seen
    return bool(len(known)), seen


def out_of_order(tally: Tally) -> int:
    """Count the messages that were first completed before an earlier one of the same publisher and route.

    Only messages published once, delivered once and without the redelivered mark count: redelivered ones may come in any order.
    """
    deliveries = tally.deliveries
    known = deliveries.message >= 0
    plain = (tally.first_completed_ns != NEVER) & (tally.published == 1)
    plain &= np.bincount(deliveries.message[known], minlength=tally.total) == 1
    plain[deliveries.message[known & deliveries.redelivered]] = False
    total = 0
    for begin, end in pairwise([*tally.offsets.values(), tally.total]):
        times, mine, routes = tally.first_completed_ns[begin:end], plain[begin:end], tally.route[begin:end]
        for route in np.unique(routes).tolist():
            chosen = times[mine & (routes == route)]
            # A later message that was completed before the latest completion of all earlier ones.
            if len(chosen) > 1:
                total += int(np.count_nonzero(chosen[1:] < np.maximum.accumulate(chosen)[:-1]))
    return total
