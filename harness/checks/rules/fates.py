"""What became of each message: exactly one fate, by the rules of `Fate`.

A route may lead to several queues, each with a copy of the message. The message is processed when every copy is; otherwise its fate is
the worst that befell a copy: lost, then stranded, dead-lettered, expired, dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from harness.checks.rules.policy import taken_by_policy
from harness.checks.tally.counting import Mark
from harness.checks.tally.message_table import AT_ONCE, MessageTable
from harness.events import Event
from harness.scenario.routing import downstream, route_queues
from harness.scenario.scenario import Scenario
from harness.verdict.data import Fate

ORDER: Final = tuple(Fate)
"""A fate's number in the arrays is its place here."""


def code(fate: Fate) -> int:
    """Return a fate's number in the arrays."""
    return ORDER.index(fate)


@dataclass(frozen=True, slots=True)
class Fates:
    """The fate of every message."""

    codes: np.ndarray
    """Per message its fate's number in ORDER; -1 for a sequence number that was never published."""
    missing: np.ndarray
    """Per message: of a lost one, the queue whose copy is gone, as an index into the scenario's queues and one more; else 0."""

    def queue(self, message: np.ndarray) -> np.ndarray:
        """Return for each of some messages the queue whose copy is gone, as an index into the scenario's queues; else -1."""
        queue: np.ndarray = self.missing[message].astype(np.int64) - 1
        return queue

    def of(self, fate: Fate) -> np.ndarray:
        """Return the messages that have a fate."""
        parts = [begin + np.flatnonzero(codes == code(fate)) for begin, codes in self._parts()]
        return np.concatenate([np.empty(0, dtype=np.int64), *parts])

    def count(self, fate: Fate) -> int:
        """Count the messages that have a fate."""
        return sum(int(np.count_nonzero(codes == code(fate))) for _, codes in self._parts())

    def _parts(self) -> Iterator[tuple[int, np.ndarray]]:
        for begin in range(0, len(self.codes), AT_ONCE):
            yield begin, self.codes[begin : begin + AT_ONCE]


def find_fates(tally: MessageTable, scenario: Scenario, events: Sequence[Event]) -> Fates:
    """Find every message's fate."""
    # The usual fate has the number 0, and pages of zeros that nobody writes to take no memory.
    codes = np.zeros(tally.total, dtype=np.int8)
    fates = Fates(codes, np.zeros(tally.total, dtype=np.min_scalar_type(len(scenario.queues))))
    for here in tally.slices():
        exists = tally.published.some[here]
        if not exists.all():
            codes[here][~exists] = -1
    for index, route in enumerate(tally.routes):
        _of_route(fates, index, route, tally, scenario, events)
    return fates


@dataclass(frozen=True, slots=True)
class _Copies:
    """What became of the messages' copies in one queue: truth values, to be had by message."""

    done: np.ndarray | Mark
    stranded: np.ndarray
    resting: np.ndarray


def _copies(tally: MessageTable, scenario: Scenario, reached: frozenset[str] | None) -> _Copies:
    """Look at what was completed from, and found in, some queues; None stands for all."""
    names = np.array([reached is None or name in reached for name in tally.queues] or [False])
    resting_queues = scenario.resting_queues
    rest = np.array([name in resting_queues for name in tally.queues] or [False])
    done: np.ndarray | Mark = tally.completions.some
    if reached is not None:
        done = np.zeros(tally.total, dtype=bool)
        deliveries = tally.deliveries
        done[deliveries.message[deliveries.completed & names[deliveries.queue]]] = True
    stranded, resting = np.zeros(tally.total, dtype=bool), np.zeros(tally.total, dtype=bool)
    here = names[tally.found.queue] & ~done[tally.found.message]
    resting[tally.found.message[here & rest[tally.found.queue]]] = True
    left = tally.found.message[here & ~rest[tally.found.queue]]
    stranded[left], resting[left] = True, False
    return _Copies(done, stranded, resting)


def _of_route(
    fates: Fates, index: int, route: str, tally: MessageTable, scenario: Scenario, events: Sequence[Event]
) -> None:
    queues = route_queues(route, scenario)
    several = len(queues) > 1
    # With a single copy, wherever it turns up it is that one.
    copies = [_copies(tally, scenario, downstream(queue, route, scenario) if several else None) for queue in queues]
    copies = copies or [_copies(tally, scenario, None)]
    gone: list[list[np.ndarray]] = [[] for _ in copies]
    for here in tally.slices():
        _settle(fates, _mine(index, here, tally), copies, here, gone, tally)
    missing = [np.concatenate([np.empty(0, dtype=np.int64), *parts]) for parts in gone]
    result = fates.codes
    for place, queue in enumerate(queues):
        if len(missing[place]):
            expired, dropped = taken_by_policy(missing[place], tally, route, queue, scenario, events)
            result[dropped] = code(Fate.DROPPED)
            result[expired] = code(Fate.EXPIRED)
            missing[place] = np.setdiff1d(missing[place], np.concatenate([expired, dropped]), assume_unique=True)
    for fate, there in (
        (Fate.DEAD_LETTERED, [copy.resting for copy in copies]),
        (Fate.STRANDED, [copy.stranded for copy in copies]),
    ):
        for where in there:
            message = np.flatnonzero(where)
            result[message[_mine(index, message, tally)]] = code(fate)
    names = tuple(scenario.queues)
    for queue, lost in zip(reversed(queues or ("",)), reversed(missing), strict=True):
        result[lost] = code(Fate.LOST)
        fates.missing[lost] = names.index(queue) + 1 if queue else 0


def _mine(index: int, here: slice | np.ndarray, tally: MessageTable) -> np.ndarray:
    """Tell which of some messages were published with a route."""
    mine = tally.published.some[here]
    if len(tally.routes) > 1:
        mine &= tally.route[here] == index
    return mine


def _settle(
    fates: Fates,
    mine: np.ndarray,
    copies: Sequence[_Copies],
    here: slice,
    gone: Sequence[list[np.ndarray]],
    tally: MessageTable,
) -> None:
    """Tell the fates of a route's messages that need no closer look; add what is missing of each copy to `gone`."""
    promised, every = tally.promised[here], [copy.done[here] for copy in copies]
    done = mine & np.logical_or.reduce(every)
    if (done & promised).sum() < mine.sum():
        unpromised, refused = done & ~promised, tally.refused(here)
        codes = fates.codes[here]
        codes[mine & ~done] = code(Fate.NEVER_PROMISED)
        codes[unpromised & refused] = code(Fate.RESURRECTED)
        codes[unpromised & ~refused] = code(Fate.RECOVERED)
    for copy, copy_done, parts in zip(copies, every, gone, strict=True):
        missing = mine & promised & ~copy_done
        if missing.any():
            missing &= ~(copy.stranded[here] | copy.resting[here])
            parts.append(np.flatnonzero(missing) + here.start)
