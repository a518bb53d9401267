"""Who did the work: by worker, in turn or not, in order or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from harness.checks.tally.copies import AT_ONCE, Span
from harness.checks.tally.deliveries import NO_DELIVERIES
from harness.checks.tally.message_table import MessageTable
from harness.checks.tally.times import NEVER
from harness.events import Event, ProcessStarted
from harness.scenario.routing import publishers_of, workers_of
from harness.scenario.scenario import Scenario
from harness.verdict.data import WorkerFigures

MOST_DELIVERIES = 20
"""More deliveries of a message are not told apart."""
SHOWN_TURNS = 12
"""Most names in the text that shows who got what."""


def worker_figures(tally: MessageTable, scenario: Scenario, events: Sequence[Event]) -> tuple[WorkerFigures, ...]:
    """Sum up what each worker did; workers that did nothing are there as well."""
    started = [event for event in events if isinstance(event, ProcessStarted) and event.role == "worker"]
    names = list(dict.fromkeys(event.actor for event in started))
    names += dict.fromkeys(s.actor for s in tally.sessions if s.role == "worker" and s.actor not in names)
    numbers = np.array([names.index(s.actor) if s.role == "worker" else 0 for s in tally.sessions], dtype=np.int64)
    flow = tally.flow

    def by_actor(of_session: np.ndarray) -> list[int]:
        counted = np.zeros(len(names), dtype=np.int64)
        np.add.at(counted, numbers[of_session > 0], of_session[of_session > 0])
        summed: list[int] = counted.tolist()
        return summed

    columns = zip(
        names,
        by_actor(flow.delivered),
        by_actor(flow.completed),
        by_actor(flow.redelivered),
        by_actor(flow.acked),
        by_actor(flow.rejected),
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


def had_by(
    tally: MessageTable, workers: Sequence[WorkerFigures]
) -> tuple[Callable[[slice], np.ndarray], dict[int, str]]:
    """Return which worker had each copy of a slice, and the workers' names by number; 0 is nobody, with an empty name.

    The worker that completed it first had it; of a copy that was never completed, the worker that it was last delivered to.
    """
    names = ["", *(worker.actor for worker in workers)]
    numbers = [names.index(s.actor) if s.role == "worker" else 0 for s in tally.sessions]
    of_session = np.array(numbers or [0], dtype=np.min_scalar_type(len(names)))
    deliveries = tally.deliveries
    rows = np.flatnonzero(deliveries.copy >= 0)
    rows = rows[~tally.completions.some[deliveries.copy[rows]]]
    rows = rows[np.argsort(deliveries.at_ns[rows], kind="stable")]
    last = np.zeros(tally.total, dtype=of_session.dtype)
    last[deliveries.copy[rows]] = of_session[deliveries.session[rows]]  # of several assignments, the last one stays

    def had(here: slice) -> np.ndarray:
        found: np.ndarray = of_session[tally.completed_in[here]]
        done = tally.completions.some[here]
        return found if done.all() else np.where(done, found, last[here])

    return had, dict(enumerate(names))


def deliveries_each(tally: MessageTable) -> dict[int, int]:
    """Count the copies that were delivered never, once, twice, ...; all beyond MOST_DELIVERIES count as that many."""
    counts = np.zeros(MOST_DELIVERIES + 1, dtype=np.int64)
    for here in tally.slices():
        times = np.minimum(tally.delivered[here], np.uint32(MOST_DELIVERIES))[tally.published.some[here]]
        counts += np.bincount(times, minlength=len(counts))
    return {number: count for number, count in enumerate(counts.tolist()) if count}


def fairness(workers: Sequence[WorkerFigures]) -> float | None:
    """Return Jain's index of the workers' completed deliveries; None for less than two workers, or nothing done."""
    done = np.array([worker.processed for worker in workers], dtype=np.float64)
    if len(done) < 2 or not done.any():
        return None
    return float(done.sum() ** 2 / (len(done) * (done**2).sum()))


def texts_processed(actors: Sequence[str], tally: MessageTable, scenario: Scenario) -> tuple[str, ...]:
    """Return the texts that workers completed, in the order of completion; `#seq` where a body is not a text."""
    sessions = np.array(
        [session.role == "worker" and session.actor in actors for session in tally.sessions], dtype=bool
    )
    deliveries = NO_DELIVERIES.extended(tally.all_deliveries(sessions))
    done = np.flatnonzero(deliveries.completed & (deliveries.message >= 0))
    done = done[sessions[deliveries.session[done]]]
    order = done[np.argsort(deliveries.completed_ns[done], kind="stable")]
    texts = []
    for message in deliveries.message[order].tolist():
        publisher, seq = tally.messages.name(message)
        group = publishers_of(publisher, scenario)
        texts.append(group.tasks[seq % len(group.tasks)] if group is not None and group.tasks else f"#{seq}")
    return tuple(texts)


def strictly_in_turn(tally: MessageTable) -> tuple[bool, str]:
    """Whether the first deliveries of each queue's messages, in the order of publishing, went to its workers in turn.

    With n workers that got any, n at least 2: the first n messages went to n different workers, and each later message to the worker
    that got the message n places before it. Returns the answer and what was seen (of the first queue that breaks it, else of the last).
    """
    deliveries = NO_DELIVERIES.extended(tally.all_deliveries())
    seen = "nothing was delivered"
    known = np.flatnonzero(deliveries.message >= 0)
    known = known[np.argsort(deliveries.at_ns[known], kind="stable")]
    actors = np.array([session.actor for session in tally.sessions])
    for queue in np.unique(deliveries.queue[known]).tolist():
        mine = known[deliveries.queue[known] == queue]
        _, first = np.unique(deliveries.message[mine], return_index=True)
        firsts = mine[first]
        order = np.argsort(tally.messages.first_published_ns[deliveries.message[firsts]], kind="stable")
        who = actors[deliveries.session[firsts[order]]]
        count = len(np.unique(who))
        seen = " ".join(who[:SHOWN_TURNS].tolist()) + (" ..." if len(who) > SHOWN_TURNS else "")
        if count < 2 or len(set(who[:count].tolist())) != count or not (who[count:] == who[:-count]).all():
            return False, seen
    return bool(len(known)), seen


def out_of_order(tally: MessageTable, *, undisturbed: bool = False) -> int:
    """Count the copies that were first completed before an earlier one of the same publisher and route, in the same queue.

    With `undisturbed`, only messages published once, delivered once and without the redelivered mark count.
    """
    return sum(_out_of_order(span, tally, undisturbed=undisturbed) for span in tally.copies.spans)


def _out_of_order(span: Span, tally: MessageTable, *, undisturbed: bool) -> int:
    together: dict[tuple[str, int], list[int]] = {}
    for route, (name, begins_in) in enumerate(zip(tally.routes, tally.begins_in[:, span.slot].tolist(), strict=False)):
        together.setdefault((name, begins_in), []).append(route)
    total, latest = 0, [-NEVER] * len(together)
    for place in range(span.begin, span.end, AT_ONCE):
        here = slice(place, min(place + AT_ONCE, span.end))
        counted = tally.completions.some[here]
        if undisturbed:
            counted = counted & tally.published.single(here) & tally.delivered.single(here) & ~tally.redelivered[here]
        completed_ns = tally.first_completed_ns[here]
        for number, routes in enumerate(together.values()):
            mine = counted & np.isin(tally.route[here], routes) if len(together) > 1 else counted
            times = completed_ns if mine.all() else completed_ns[mine]
            # A later message that was completed before the latest completion of all earlier ones.
            if len(times):
                so_far = np.maximum.accumulate(np.append(latest[number], times))
                total += int(np.count_nonzero(times < so_far[:-1]))
                latest[number] = int(so_far[-1])
    return total
