"""Why each lost message was lost: where it was, what took it, and which setting would have kept it.

A message's own last evidence decides. Delivered and released by an ack (automatic or early) before it was done: it was at the
worker. Otherwise a fault that can take messages from a queue, after its publish: it was in the broker if it was confirmed or a
later message of the same connection and route got through, else still on its way from the publisher. Queues that acknowledge
automatically lose what the broker had pushed towards a worker that died, recorded or not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.checks.happenings import Happening, deaths, happenings
from harness.checks.routing import acks_of, route_queues, workers_of
from harness.checks.tally import NEVER, Tally
from harness.checks.verdict import LossCause, Place
from harness.events import Event
from harness.scenario.scenario import QUORUM_SETTLE_S, Scenario

BROKEN_PROMISE = "none: durable, persistent and confirmed, and the broker did not keep it"
NO_CAUSE = "unknown: no fault of this run explains it"


@dataclass(frozen=True, slots=True)
class Cause:
    """Why one message was lost."""

    place: Place
    actor: str
    fault: int | None
    setting: str


@dataclass(frozen=True, slots=True)
class Causes:
    """The cause of each lost message: `messages` and `causes` side by side."""

    messages: np.ndarray
    causes: tuple[Cause, ...]

    def by_place(self) -> dict[Place, int]:
        """Count the lost messages by place; every place is there."""
        counted = Counter(cause.place for cause in self.causes)
        return {place: counted.get(place, 0) for place in Place}


def find_causes(lost: np.ndarray, tally: Tally, scenario: Scenario, events: Sequence[Event]) -> Causes:
    """Find the cause of each message of `lost` (message numbers)."""
    finder = _Finder(tally, scenario, events)
    return Causes(lost, tuple(finder.cause(int(message)) for message in lost))


class _Finder:
    def __init__(self, tally: Tally, scenario: Scenario, events: Sequence[Event]) -> None:
        self._tally = tally
        self._scenario = scenario
        self._happenings = happenings(events)
        self._deaths = deaths(events)
        self._queues = [route_queues(route, scenario) for route in tally.routes]
        self._last_delivery = _last_by_message(tally.deliveries.message, tally.deliveries.at_ns, tally.total)
        self._last_publish = _last_by_message(tally.publishes.message, tally.publishes.at_ns, tally.total)
        self._arrived = self._arrivals()
        self._worker_ends = sorted(
            (session.lost_ns, index)
            for index, session in enumerate(tally.sessions)
            if session.role == "worker" and session.lost_ns != NEVER
        )
        self._declared_ns = min(
            (event.at_ns for event in events if getattr(event, "phase", "") == "declare"), default=0
        )

    def _arrivals(self) -> np.ndarray:
        """Per session: the place in `publishes` of the last one that is known to have reached a queue, -1 for none.

        Messages of a connection reach the broker in their order, so all before it have reached it as well.
        """
        publishes, tally = self._tally.publishes, self._tally
        seen = (publishes.confirmed_ns != NEVER) | (tally.first_delivered_ns[publishes.message] != NEVER)
        arrived = np.full(len(tally.sessions), -1, dtype=np.int64)
        np.maximum.at(arrived, publishes.session[seen], np.flatnonzero(seen))
        return arrived

    def cause(self, message: int) -> Cause:
        tally = self._tally
        queues = self._queues[int(tally.route[message])]
        if not queues:
            return Cause(Place.EXCHANGE, "", None, "publishers.mandatory: true (or a binding)")
        delivery = int(self._last_delivery[message])
        if delivery >= 0:
            return self._after_delivery(message, delivery, queues[0])
        return self._before_delivery(message, queues[0])

    def _after_delivery(self, message: int, delivery: int, queue: str) -> Cause:
        deliveries = self._tally.deliveries
        session = self._tally.sessions[int(deliveries.session[delivery])]
        group = workers_of(session.actor, self._scenario)
        acks = group.acks if group is not None else "manual"
        name = self._tally.queues[int(deliveries.queue[delivery])] if self._tally.queues else queue
        if acks == "automatic" or deliveries.acked[delivery]:
            if session.lost_ns == NEVER:
                return Cause(Place.UNKNOWN, session.actor, None, NO_CAUSE)
            return Cause(
                Place.WORKER,
                session.actor,
                self._fault_that_ended(session.actor, session.incarnation, session.lost_ns),
                "workers.acks: manual",
            )
        return self._in_broker(message, name, int(deliveries.at_ns[delivery]), known=True)

    def _before_delivery(self, message: int, queue: str) -> Cause:
        publishes, tally = self._tally.publishes, self._tally
        last = int(self._last_publish[message])
        session_index = int(publishes.session[last])
        at_ns = int(publishes.at_ns[last])
        known = bool(tally.first_confirmed_ns[message] != NEVER) or last <= int(self._arrived[session_index])
        gone = self._queue_gone_before(queue, at_ns)
        if gone is not None:
            return Cause(Place.EXCHANGE, "", gone.fault, f"queues.{queue}.durable: true")
        broker = self._first(lambda happening: happening.destroys_in_broker and happening.struck_ns >= at_ns)
        pushed = "automatic" in acks_of(queue, self._scenario)
        ends = [(lost_ns, index) for lost_ns, index in self._worker_ends if lost_ns >= at_ns]
        if pushed and ends and known and (broker is None or ends[0][0] < broker.at_ns):
            lost_ns, index = ends[0]
            session = tally.sessions[index]
            only = len({tally.sessions[other].actor for _, other in ends}) == 1
            fault = self._fault_that_ended(session.actor, session.incarnation, lost_ns)
            return Cause(Place.WORKER, session.actor if only else "", fault, "workers.acks: manual")
        if broker is not None:
            return self._in_broker(message, queue, at_ns, known=known)
        ended = tally.sessions[session_index]
        if not known and ended.lost_ns != NEVER:
            fault = self._fault_that_ended(ended.actor, ended.incarnation, ended.lost_ns)
            return Cause(Place.PUBLISHER, ended.actor, fault, "publishers.confirms: true")
        return Cause(Place.UNKNOWN, "", None, NO_CAUSE)

    def _queue_gone_before(self, queue: str, at_ns: int) -> Happening | None:
        """Return the fault that took a non-durable queue away before `at_ns`: nothing declares it again, so all later messages go nowhere."""
        if self._scenario.queues[queue].durable:
            return None
        return self._first(lambda each: each.family == "broker" and each.destroys_in_broker and each.struck_ns < at_ns)

    def _in_broker(self, message: int, queue: str, since_ns: int, *, known: bool) -> Cause:
        happening = self._first(
            lambda each: (
                each.destroys_in_broker
                and each.struck_ns >= since_ns
                and (each.action != "purge" or queue in each.targets)
            )
        )
        if happening is None:
            return Cause(Place.UNKNOWN, "", None, NO_CAUSE)
        if happening.action == "purge":
            return Cause(Place.BROKER, queue, happening.fault, "no purge")
        last = int(self._last_publish[message])
        missing = []
        settings = self._scenario.queues[queue]
        if not settings.durable:
            missing.append(f"queues.{queue}.durable: true")
        if not self._tally.publishes.persistent[last] and settings.type == "classic":
            missing.append("publishers.persistent: true")
        confirmed = self._tally.first_confirmed_ns[message] != NEVER
        if not confirmed and not missing:
            missing.append("publishers.confirms: true")
        fresh = settings.type == "quorum" and happening.at_ns - self._declared_ns < QUORUM_SETTLE_S * 1e9
        if not missing and fresh:
            missing.append(f"settle: {QUORUM_SETTLE_S:g}s")
        if not known:
            session = self._tally.sessions[int(self._tally.publishes.session[last])]
            return Cause(Place.PUBLISHER, session.actor, happening.fault, " and ".join(missing))
        return Cause(
            Place.BROKER,
            happening.targets[0] if happening.targets else "",
            happening.fault,
            " and ".join(missing) or BROKEN_PROMISE,
        )

    def _first(self, fits: object) -> Happening | None:
        assert callable(fits)  # noqa: S101 - a predicate
        return next((happening for happening in self._happenings if fits(happening)), None)

    def _fault_that_ended(self, actor: str, incarnation: int, lost_ns: int) -> int | None:
        """Join a lost connection to the fault behind it: the one that killed its process, else the latest that cuts clients off."""
        death = self._deaths.get((actor, incarnation))
        if death is not None and death.fault is not None and lost_ns >= death.at_ns:
            return death.fault
        cutting = [each for each in self._happenings if each.breaks_connections and each.at_ns <= lost_ns]
        return cutting[-1].fault if cutting else None


def _last_by_message(message: np.ndarray, at_ns: np.ndarray, total: int) -> np.ndarray:
    """Per message: the place of its latest row, -1 for none."""
    last = np.full(total, -1, dtype=np.int64)
    real = np.flatnonzero(message >= 0)
    order = real[np.argsort(at_ns[real], kind="stable")]
    last[message[order]] = order
    return last


def group_causes(causes: Causes, tally: Tally, events: Sequence[Event]) -> tuple[LossCause, ...]:
    """Group by place, holder, fault and remedy, with one sentence each; the largest first."""
    titles = {happening.fault: happening for happening in happenings(events)}
    grouped = Counter(causes.causes)
    result = []
    for cause, count in grouped.most_common():
        happening = titles.get(cause.fault) if cause.fault is not None else None
        result.append(
            LossCause(
                place=cause.place,
                actor=cause.actor,
                fault=cause.fault,
                fault_title=happening.title if happening else "",
                setting=cause.setting,
                count=count,
                sentence=_sentence(cause, count, happening, tally),
            )
        )
    return tuple(result)


def _sentence(cause: Cause, count: int, happening: Happening | None, tally: Tally) -> str:
    were = f"{count:,} {'message was' if count == 1 else 'messages were'} lost"
    holder = {
        Place.PUBLISHER: f"on the way from {cause.actor or 'a publisher'} to the queue",
        Place.EXCHANGE: "sent to where no queue was, and silently dropped by the exchange"
        + (", the queue having gone" if cause.fault is not None else ""),
        Place.BROKER: f"in a queue at {cause.actor or 'the broker'}",
        Place.WORKER: f"at {cause.actor or 'the workers'}, acknowledged and not done,",
        Place.UNKNOWN: "with no fault of this run to explain it",
    }[cause.place]
    when = ""
    if happening is not None:
        when = f" when `{happening.title}` struck at {tally.seconds(happening.at_ns):.1f} s"
    elif cause.place is Place.WORKER:
        when = " when it died"
    kept = ""
    if cause.setting not in (NO_CAUSE, BROKEN_PROMISE):
        kept = f". Would have kept {'it' if count == 1 else 'them'}: {cause.setting}"
    elif cause.setting == BROKEN_PROMISE:
        kept = ". They were durable, persistent and confirmed: the broker broke its promise"
    return f"{were} {holder}{when}{kept}."
