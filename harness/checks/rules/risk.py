"""What each fault could have taken when it struck. A fault that met nothing at risk proves nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from harness.checks.tally.deliveries import KEPT, Deliveries
from harness.checks.tally.fault_records import FaultRecord
from harness.checks.tally.message_table import MessageTable
from harness.checks.tally.publishes import Publishes
from harness.checks.tally.times import NEVER
from harness.effects import AtRisk, Becomes


class _Alive:
    """Until when each copy could still be harmed: its first completion, or what took it.

    What was never settled and never completed was at risk until its connection was lost; what was refused was not. What rests in a queue
    at the end stays at risk.
    """

    def __init__(self, tally: MessageTable, lost: np.ndarray, taken_ns: np.ndarray) -> None:
        """Look at the messages for which it is no completion. `lost` are the lost copies and `taken_ns` when each was taken."""
        self._tally = tally
        publishes = tally.publishes
        rows = np.flatnonzero(~tally.messages.refused(publishes.message))
        lost_ns = np.array([session.lost_ns for session in tally.sessions], dtype=np.int64)
        open_ones, of_row = tally.copies.of(publishes.message[rows])
        unsafe = self._unsafe(open_ones)
        open_ones, of_row = open_ones[unsafe], of_row[unsafe]
        found = tally.found.copy[tally.found.copy >= 0]
        self._copy = np.unique(np.concatenate([open_ones, found, lost]))
        until = self._from_the_start(self._copy)
        np.maximum.at(until, self._places(open_ones), lost_ns[publishes.session[rows[of_row]]])
        until[self._places(found)] = NEVER
        until[self._places(lost)] = np.minimum(until[self._places(lost)], taken_ns)
        self._until_ns = until

    def until_ns(self, here: slice) -> np.ndarray:
        """Return the times of a slice."""
        until = self._from_the_start(here)
        first, end = np.searchsorted(self._copy, [here.start, here.stop])
        until[self._copy[first:end] - here.start] = self._until_ns[first:end]
        return until

    def _unsafe(self, here: slice | np.ndarray) -> np.ndarray:
        unsafe: np.ndarray = ~self._tally.promised[here] & ~self._tally.completions.some[here]
        return unsafe

    def _from_the_start(self, here: slice | np.ndarray) -> np.ndarray:
        until = self._tally.first_completed_ns[here]
        until[self._unsafe(here)] = 0
        return until

    def _places(self, copy: np.ndarray) -> np.ndarray:
        return np.searchsorted(self._copy, copy)


def at_risk(
    struck: Sequence[FaultRecord], tally: MessageTable, lost: np.ndarray, taken_ns: np.ndarray
) -> list[int | None]:
    """Count for each fault the copies in reach of it when it struck; None for an action that puts none at risk.

    `lost` are the lost copies and `taken_ns` when each was taken.

    Broker: published and not completed, wherever they were. Purge: what the broker says that it took; if it does not, the same as for a
    broker, not yet delivered. Closed connections: at the loss of each,
    held by a worker, or not settled at a publisher. A worker: delivered to the incarnation that was struck and not completed, or (killed)
    not acknowledged. A publisher: published by it and not settled (without confirms: not yet delivered). An injection takes its time: the
    greater figure of its beginning and its effect counts. The kill of a process is looked at by its effect alone, for it may have waited
    for one that holds something; other faults of processes by their beginning, for an orderly stop waits until nothing is held.
    """
    hands = [tuple(_hands(each, tally)) for each in struck]
    _fill([each for of_one in hands for each in of_one], tally)
    in_broker = _in_broker(struck, tally, lost, taken_ns)
    return [
        max([*(each.count() for each in of_one), *met], default=None)
        for of_one, met in zip(hands, in_broker, strict=True)
    ]


def _in_broker(
    struck: Sequence[FaultRecord], tally: MessageTable, lost: np.ndarray, taken_ns: np.ndarray
) -> list[list[int]]:
    """Count what each fault of the broker, or purge, met at its beginning and at its effect; nothing of other faults."""
    told = {each.fault: [each.taken] for each in struck if each.meets_broker and each.taken is not None}
    counts = [told.get(each.fault, [0, 0] if each.meets_broker else []) for each in struck]
    if not any(len(met) > 1 for met in counts):
        return counts
    alive = _Alive(tally, lost, taken_ns)
    for here in tally.slices():
        exists = tally.published.some[here]
        published_ns, until_ns = tally.first_published_ns[here], alive.until_ns(here)
        for each, met in zip(struck, counts, strict=True):
            if len(met) > 1:
                reached = None if each.effects.at_risk is AtRisk.UNDONE else _led_to(each, tally, here)
                for place, when_ns in enumerate((each.at_ns, each.struck_ns)):
                    there = exists & (published_ns <= when_ns) & (until_ns > when_ns)
                    if reached is not None and there.any():
                        there &= reached & (tally.first_delivered_ns[here] > when_ns)
                    met[place] += int(np.count_nonzero(there))
    return counts


def _led_to(fault_record: FaultRecord, tally: MessageTable, here: slice) -> np.ndarray:
    """Return which copies of a slice can come to a queue that was purged."""
    slot = tally.copies.slot(here)
    leads = np.array(
        [any(place.queue in fault_record.targets for place in lives.places(slot)) for lives in tally.copies.lives]
    )
    led: np.ndarray = leads[tally.route[here]]
    return led


def _hands(fault_record: FaultRecord, tally: MessageTable) -> Iterator[_Hands]:
    """Yield what clients had in hand at each moment of a fault that reaches them; nothing is seen yet."""
    if fault_record.effects.at_risk is AtRisk.ON_CUT_CONNECTIONS:
        cut = [fault_record.cut_off(session) and session.lost_ns != session.death_ns for session in tally.sessions]
        lost_ns = [session.lost_ns for session in tally.sessions]
        yield _Hands(fault_record, np.array(cut, dtype=bool), np.array(lost_ns, dtype=np.int64))
    struck = [
        session.actor in fault_record.targets and session.lost_ns >= fault_record.at_ns for session in tally.sessions
    ]
    for moment_ns in fault_record.meets_hands_ns:
        hands = _Hands(fault_record, np.array(struck, dtype=bool), np.full(len(struck), moment_ns), at_once=True)
        if moment_ns in tally.held:
            hands.take(tally.held[moment_ns])
        yield hands


@dataclass(slots=True)
class _Hands:
    """What workers held and publishers had not settled on the connections that were struck, at a moment of each."""

    fault_record: FaultRecord
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
        """Count what a worker that lives on held and had not done."""
        when_ns = self.when_ns[table.session]
        held = self.struck[table.session] & (table.rejected == KEPT) & (table.at_ns <= when_ns)
        self.undone += int(np.count_nonzero(held & (table.completed_ns > when_ns)))

    def see_publishes(self, table: Publishes, tally: MessageTable) -> None:
        """Count what was not settled at a publisher."""
        when_ns = self.when_ns[table.session]
        there = self.struck[table.session] & ~table.nacked & (table.at_ns <= when_ns)
        settled_ns = table.confirmed_ns
        if not table.confirmable.all():
            settled_ns = np.where(table.confirmable, settled_ns, _all_delivered_ns(table.message, tally))
        self.unsettled += int(np.count_nonzero(there & (settled_ns > when_ns)))

    def count(self) -> int:
        """Add up; with automatic acks there are none to come."""
        killed = self.fault_record.effects.process is Becomes.KILLED
        return (self.unsafe if killed and self.acks else self.undone) + self.unsettled


def _all_delivered_ns(message: np.ndarray, tally: MessageTable) -> np.ndarray:
    """Return when the last copy of each of some messages was first delivered, NEVER where one was not."""
    copies, places = tally.copies.of(message)
    there = tally.published.some[copies]
    latest = np.zeros(len(message), dtype=np.int64)
    np.maximum.at(latest, places[there], tally.first_delivered_ns[copies[there]])
    return latest


def _fill(hands: Sequence[_Hands], tally: MessageTable) -> None:
    """Look at what the clients had in hand, reading the logs of those that were struck once."""
    cut = [each for each in hands if not each.at_once]
    for deliveries in tally.all_deliveries(_struck(cut, tally)):
        for each in cut:
            each.see_deliveries(deliveries)
    for publishes in tally.all_publishes(_struck(hands, tally)):
        for each in hands:
            each.see_publishes(publishes, tally)


def _struck(hands: Sequence[_Hands], tally: MessageTable) -> np.ndarray:
    """Tell by session whether something in hand there was struck."""
    struck: np.ndarray = np.logical_or.reduce(
        [np.zeros(len(tally.sessions), dtype=bool), *(each.struck for each in hands)]
    )
    return struck
