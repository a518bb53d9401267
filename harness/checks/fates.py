"""What became of each message: exactly one fate, by the rules of `Fate`.

A route may lead to several queues, each with a copy of the message. The message is processed when every copy is; otherwise its fate is
the worst that befell a copy: lost, then stranded, dead-lettered, expired, dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from harness.checks.policy import taken_by_policy
from harness.checks.routing import downstream, route_queues
from harness.checks.tally import Tally
from harness.checks.verdict import Fate
from harness.events import Event
from harness.scenario.scenario import Scenario

ORDER: Final = tuple(Fate)
"""A fate's number in the arrays is its place here."""

_AT_ONCE = 1 << 18
"""Messages that are looked at at once: a processor's cache holds what that takes."""


def code(fate: Fate) -> int:
    """Return a fate's number in the arrays."""
    return ORDER.index(fate)


@dataclass(frozen=True, slots=True)
class Fates:
    """The fate of every message."""

    codes: np.ndarray
    """Per message its fate's number in ORDER; -1 for a sequence number that was never published."""
    queue: np.ndarray
    """Per message: of a lost one, the queue whose copy is gone, as an index into the scenario's queues; else -1."""

    def of(self, fate: Fate) -> np.ndarray:
        """Return the messages that have a fate."""
        return np.flatnonzero(self.codes == code(fate))

    def count(self, fate: Fate) -> int:
        """Count the messages that have a fate."""
        return int(np.count_nonzero(self.codes == code(fate)))


def find_fates(tally: Tally, scenario: Scenario, events: Sequence[Event]) -> Fates:
    """Find every message's fate."""
    queues = np.full(tally.total, -1, dtype=np.min_scalar_type(-len(scenario.queues)))
    fates = Fates(np.full(tally.total, -1, dtype=np.int8), queues)
    exists = tally.published > 0
    for index, route in enumerate(tally.routes):
        mine = exists & (tally.route == index) if len(tally.routes) > 1 else exists
        if mine.any():
            _of_route(fates, mine, route, tally, scenario, events)
    return fates


@dataclass(frozen=True, slots=True)
class _Copies:
    """What became of the messages' copies in one queue: arrays of truth values by message."""

    done: np.ndarray
    stranded: np.ndarray
    resting: np.ndarray


def _copies(tally: Tally, scenario: Scenario, reached: frozenset[str] | None) -> _Copies:
    """Look at what was completed from, and found in, some queues; None stands for all."""
    names = np.array([reached is None or name in reached for name in tally.queues] or [False])
    rest = np.array([name in scenario.dead_letter_queues for name in tally.queues] or [False])
    if reached is None:
        done = tally.completions > 0
    else:
        done = np.zeros(tally.total, dtype=bool)
        deliveries = tally.deliveries
        done[deliveries.message[deliveries.completed & names[deliveries.queue]]] = True
    # What was found is little, and pages of zeros that nobody writes to take no memory.
    stranded, resting = np.zeros(tally.total, dtype=bool), np.zeros(tally.total, dtype=bool)
    here = names[tally.found.queue] & ~done[tally.found.message]
    resting[tally.found.message[here & rest[tally.found.queue]]] = True
    left = tally.found.message[here & ~rest[tally.found.queue]]
    stranded[left], resting[left] = True, False
    return _Copies(done, stranded, resting)


def _of_route(
    fates: Fates, mine: np.ndarray, route: str, tally: Tally, scenario: Scenario, events: Sequence[Event]
) -> None:
    queues = route_queues(route, scenario)
    several = len(queues) > 1
    # With a single copy, wherever it turns up it is that one.
    copies = [_copies(tally, scenario, downstream(queue, route, scenario) if several else None) for queue in queues]
    copies = copies or [_copies(tally, scenario, None)]
    result, promised = fates.codes, tally.promised
    for begin in range(0, tally.total, _AT_ONCE):
        here = slice(begin, begin + _AT_ONCE)
        done = mine[here] & np.logical_or.reduce([copy.done[here] for copy in copies])
        unpromised, refused = done & ~promised[here], tally.nacked[here] | tally.returned[here]
        codes = result[here]
        codes[mine[here]] = code(Fate.NEVER_PROMISED)
        codes[done & promised[here]] = code(Fate.PROCESSED)
        codes[unpromised & refused] = code(Fate.RESURRECTED)
        codes[unpromised & ~refused] = code(Fate.RECOVERED)
    gone = []
    for copy in copies:
        missing = mine & promised
        for elsewhere in (copy.done, copy.stranded, copy.resting):
            np.greater(missing, elsewhere, out=missing)  # of truth values: and not
        gone.append(missing)
    for queue, missing in zip(queues or ("",), gone, strict=True):
        if not queue or not missing.any():
            continue
        expired, dropped = taken_by_policy(np.flatnonzero(missing), tally, route, queue, scenario, events)
        missing[expired] = missing[dropped] = False
        result[dropped] = code(Fate.DROPPED)
        result[expired] = code(Fate.EXPIRED)
    for fate, there in (
        (Fate.DEAD_LETTERED, [copy.resting for copy in copies]),
        (Fate.STRANDED, [copy.stranded for copy in copies]),
    ):
        for where in there:
            message = np.flatnonzero(where)
            result[message[mine[message]]] = code(fate)
    names = tuple(scenario.queues)
    for queue, missing in zip(reversed(queues or ("",)), reversed(gone), strict=True):
        result[missing] = code(Fate.LOST)
        fates.queue[missing] = names.index(queue) if queue else -1
