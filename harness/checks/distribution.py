"""Who did the work: by worker, in turn or not, in order or not, more than once or not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.checks.routing import publishers_of, workers_of
from harness.checks.tally import NEVER, Tally
from harness.checks.verdict import WorkerFigures
from harness.events import Event, ProcessStarted
from harness.scenario.scenario import Scenario


def worker_figures(tally: Tally, scenario: Scenario, events: Sequence[Event]) -> tuple[WorkerFigures, ...]:
    """Sum up what each worker did; workers that did nothing are there as well."""
    names = dict.fromkeys(
        event.actor for event in events if isinstance(event, ProcessStarted) and event.role == "worker"
    )
    names |= dict.fromkeys(session.actor for session in tally.sessions if session.role == "worker")
    deliveries = tally.deliveries
    figures = []
    for actor in names:
        mine = of_actor(actor, tally)
        group = workers_of(actor, scenario)
        incarnations = {
            event.incarnation for event in events if isinstance(event, ProcessStarted) and event.actor == actor
        }
        figures.append(
            WorkerFigures(
                actor=actor,
                group=group.name if group else "",
                delivered=int(mine.sum()),
                processed=int(np.count_nonzero(mine & (deliveries.completed_ns != NEVER))),
                redelivered=int(np.count_nonzero(mine & deliveries.redelivered)),
                acked=int(np.count_nonzero(mine & deliveries.acked)),
                rejected=int(np.count_nonzero(mine & (deliveries.rejected > 0))),
                incarnations=len(incarnations),
            )
        )
    return tuple(figures)


def of_actor(actor: str, tally: Tally) -> np.ndarray:
    """Tell which deliveries went to a worker."""
    sessions = [index for index, session in enumerate(tally.sessions) if session.actor == actor]
    mine: np.ndarray = np.isin(tally.deliveries.session, sessions)
    return mine


def texts_processed(actors: Sequence[str], tally: Tally, scenario: Scenario) -> tuple[str, ...]:
    """Return the texts that workers completed, in the order of completion; `#seq` where a body is not a text."""
    deliveries = tally.deliveries
    mine = np.zeros(len(deliveries.at_ns), dtype=bool)
    for actor in actors:
        mine |= of_actor(actor, tally)
    done = np.flatnonzero(mine & (deliveries.completed_ns != NEVER) & (deliveries.message >= 0))
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
    that got the message n places before it. Returns the answer and what was seen.
    """
    deliveries = tally.deliveries
    if not len(deliveries.at_ns):
        return False, "nothing was delivered"
    actors = np.array([session.actor for session in tally.sessions])
    for queue in np.unique(deliveries.queue).tolist():
        mine = np.flatnonzero((deliveries.queue == queue) & (deliveries.message >= 0))
        _, first = np.unique(deliveries.message[mine], return_index=True)
        firsts = mine[first]
        order = np.argsort(tally.first_published_ns[deliveries.message[firsts]], kind="stable")
        who = actors[deliveries.session[firsts[order]]]
        count = len(np.unique(who))
        seen = " ".join(who[:12].tolist()) + (" ..." if len(who) > 12 else "")
        if count < 2 or len(set(who[:count].tolist())) != count or not (who[count:] == who[:-count]).all():
            return False, seen
    return True, seen


def out_of_order(tally: Tally) -> int:
    """Count the messages that were first completed before an earlier one of the same publisher and route.

    Only messages published once and delivered once count: redelivered ones may come in any order.
    """
    deliveries = tally.deliveries
    real = deliveries.message >= 0
    delivered = np.bincount(deliveries.message[real], minlength=tally.total)
    plain = (tally.first_completed_ns != NEVER) & (tally.published == 1) & (delivered == 1)
    total = 0
    publisher = tally.publisher_of()
    for number in tally.offsets:
        for route in range(len(tally.routes)):
            mine = np.flatnonzero(plain & (publisher == number) & (tally.route == route))
            times = tally.first_completed_ns[mine]
            # A later message that was completed before the latest completion of all earlier ones.
            if len(times) > 1:
                total += int(np.count_nonzero(times[1:] < np.maximum.accumulate(times)[:-1]))
    return total


def unexplained_duplicates(tally: Tally) -> np.ndarray:
    """Return the messages completed more than once with nothing to explain it.

    It is explained by a publish of a second attempt; by a delivery that the broker marked as redelivered; by a reject with
    requeue; or by the loss of the connection on which it was completed: the acknowledgement may never have reached the broker
    (the redelivered mark is only a hint, and missing after some crashes).
    """
    deliveries = tally.deliveries
    duplicate = tally.completions > 1
    lost = np.array([session.lost_ns != NEVER for session in tally.sessions] or [False])
    real = np.flatnonzero(deliveries.message >= 0)
    excuse = deliveries.redelivered[real] | (deliveries.rejected[real] == 2) | lost[deliveries.session[real]]
    excused = np.zeros(tally.total, dtype=bool)
    excused[deliveries.message[real[excuse]]] = True
    return np.flatnonzero(duplicate & ~excused & (tally.published < 2))
