"""What each fault could have taken when it struck. A fault that met nothing at risk proves nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from harness.checks.deliveries import KEPT, Deliveries
from harness.checks.happenings import HARMLESS, Happening
from harness.checks.publishes import Publishes
from harness.checks.settlement import NEVER
from harness.checks.tally import Tally


def _last_alive_ns(tally: Tally, lost: np.ndarray, taken_ns: np.ndarray) -> np.ndarray:
    """Return for each message until when it could still be harmed: its first completion, or what took it.

    `lost` are the lost messages and `taken_ns` when each was taken. What was never settled and never completed was at risk until its
    connection was lost; what was refused was not. What rests in a queue at the end stays at risk.
    """
    until = tally.first_completed_ns.copy()
    unsafe = ~tally.promised & (tally.completions == 0)
    until[unsafe] = 0
    publishes = tally.publishes
    rows = np.flatnonzero((unsafe & ~tally.refused)[publishes.message])
    lost_ns = np.array([session.lost_ns for session in tally.sessions], dtype=np.int64)
    np.maximum.at(until, publishes.message[rows], lost_ns[publishes.session[rows]])
    until[tally.found.message] = NEVER
    until[lost] = np.minimum(until[lost], taken_ns)
    return until


def at_risk(struck: Sequence[Happening], tally: Tally, lost: np.ndarray, taken_ns: np.ndarray) -> list[int | None]:
    """Count for each fault the messages in reach of it when it struck; None for an action that puts none at risk.

    `lost` are the lost messages and `taken_ns` when each was taken.

    Broker: published and not completed, wherever they were. Purge: the same, not yet delivered. Closed connections: at the loss of each,
    held by a worker, or not settled at a publisher. A worker: delivered to the incarnation that was struck and not completed, or (killed)
    not acknowledged. A publisher: published by it and not settled (without confirms: not yet delivered). An injection takes its time: the
    greater figure of its beginning and its effect counts. The kill of a process is looked at by its effect alone, for it may have waited
    for one that holds something; other faults of processes by their beginning, for an orderly stop waits until nothing is held.
    """
    hands = [tuple(_hands(each, tally)) for each in struck]
    _fill([each for of_one in hands for each in of_one], tally)
    until_ns = tally.first_completed_ns
    if any(each.meets_broker for each in struck):
        until_ns = _last_alive_ns(tally, lost, taken_ns)
    return [
        max([*(each.count() for each in of_one), *_in_broker(happening, tally, until_ns)], default=None)
        for happening, of_one in zip(struck, hands, strict=True)
    ]


def _in_broker(happening: Happening, tally: Tally, until_ns: np.ndarray) -> Iterator[int]:
    """Count what a fault of the broker, or a purge, met at its beginning and at its effect."""
    if not happening.meets_broker:
        return
    for when_ns in (happening.at_ns, happening.struck_ns):
        there = (tally.first_published_ns <= when_ns) & (until_ns > when_ns)
        if happening.family != "broker":
            leads = np.array([route in happening.targets or "/" in route for route in tally.routes] or [False])
            there &= (tally.first_delivered_ns > when_ns) & leads[tally.route]
        yield int(np.count_nonzero(there))


def _hands(happening: Happening, tally: Tally) -> Iterator[_Hands]:
    """Yield what clients had in hand at each moment of a fault that reaches them; nothing is seen yet."""
    if happening.family == "connection" and happening.action not in HARMLESS and not happening.meets_broker:
        cut = [happening.cut_off(session) and session.lost_ns != session.death_ns for session in tally.sessions]
        lost_ns = [session.lost_ns for session in tally.sessions]
        yield _Hands(happening, np.array(cut, dtype=bool), np.array(lost_ns, dtype=np.int64))
    struck = [session.actor in happening.targets and session.lost_ns >= happening.at_ns for session in tally.sessions]
    for moment_ns in happening.meets_hands_ns:
        hands = _Hands(happening, np.array(struck, dtype=bool), np.full(len(struck), moment_ns), at_once=True)
        if moment_ns in tally.held:
            hands.take(tally.held[moment_ns])
        yield hands


@dataclass(slots=True)
class _Hands:
    """What workers held and publishers had not settled on the connections that were struck, at a moment of each."""

    happening: Happening
    struck: np.ndarray
    when_ns: np.ndarray
    """Both by session."""
    at_once: bool = False
    """Whether the moment is one for all, so that the tally knows what workers held."""
    undone: int = 0
    unsafe: int = 0
    """Deliveries not completed, or not acknowledged."""
    acks: bool = False
    unsettled: int = 0

    def take(self, held: np.ndarray) -> None:
        """Add what the workers of the tally held at the moment."""
        undone, unsafe, acked = held[:, self.struck].sum(axis=1).tolist()
        self.undone, self.unsafe, self.acks = undone, unsafe, acked > 0

    def see_deliveries(self, table: Deliveries) -> None:
        """Count what a worker held."""
        mine = self.struck[table.session] & (table.rejected == KEPT)
        when_ns = self.when_ns[table.session]
        there = mine & (table.at_ns <= when_ns)
        undone = there & (table.completed_ns > when_ns)
        self.undone += int(np.count_nonzero(undone))
        self.unsafe += int(np.count_nonzero(undone | (there & ~table.acked)))
        self.acks |= bool((mine & table.acked).any())

    def see_publishes(self, table: Publishes, tally: Tally) -> None:
        """Count what was not settled at a publisher."""
        when_ns = self.when_ns[table.session]
        there = self.struck[table.session] & ~table.nacked & (table.at_ns <= when_ns)
        settled_ns = table.confirmed_ns
        if not table.confirmable.all():
            settled_ns = np.where(table.confirmable, settled_ns, tally.first_delivered_ns[table.message])
        self.unsettled += int(np.count_nonzero(there & (settled_ns > when_ns)))

    def count(self) -> int:
        """Add up; with automatic acks there are none to come."""
        return (self.unsafe if self.happening.action == "kill" and self.acks else self.undone) + self.unsettled


def _fill(hands: Sequence[_Hands], tally: Tally) -> None:
    """Look at what the clients had in hand, reading the logs of those that were struck once."""
    cut = [each for each in hands if not each.at_once]
    for deliveries in tally.all_deliveries(_struck(cut, tally)):
        for each in cut:
            each.see_deliveries(deliveries)
    for publishes in tally.all_publishes(_struck(hands, tally)):
        for each in hands:
            each.see_publishes(publishes, tally)


def _struck(hands: Sequence[_Hands], tally: Tally) -> np.ndarray:
    """Tell by session whether something in hand there was struck."""
    struck: np.ndarray = np.logical_or.reduce(
        [np.zeros(len(tally.sessions), dtype=bool), *(each.struck for each in hands)]
    )
    return struck
