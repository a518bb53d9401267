"""Adding up what became of each message at its publisher, one log after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.checks.counting import consecutive, count, least, mark
from harness.checks.deliveries import attempt_key
from harness.checks.outline import Outline, groups_of
from harness.checks.publishes import Settlements, route_numbers, settlements
from harness.checks.sessions import Survey
from harness.checks.settlement import NEVER
from harness.history.read import Log


class Sent:
    """What became of each message at its publisher: arrays by message, which grow with the messages that are known.

    The logs of one publisher are added one behind the other, and the publishers in the order of their numbers.
    """

    def __init__(self, most: int, routes: Sequence[str]) -> None:
        """Make room for so many messages; there is more where that is not enough."""
        self.total = 0
        self.attempts = 0
        self.times = np.zeros(most, dtype=np.uint16)
        self.first_published_ns = np.empty(most, dtype=np.int64)
        self.first_confirmed_ns = np.empty(most, dtype=np.int64)
        self.promised = np.zeros(most, dtype=bool)
        self.nacked = np.zeros(most, dtype=bool)
        self.returned = np.zeros(most, dtype=bool)
        self.unconfirmed = np.zeros(most, dtype=bool)
        self.route = np.zeros(most, dtype=np.uint16)
        self.first_attempt = np.zeros(most, dtype=bool)
        """Whether its first attempt was published."""
        self.again: list[np.ndarray] = []
        """Keys of all other attempts."""
        self._routes = routes

    def read(self, log: Log, offset: int) -> tuple[Survey, Outline]:
        """Add a log, whose publisher's first message has the number `offset`."""
        survey, routes = Survey(), route_numbers(log, self._routes)
        parts: list[_Part] = []
        groups: list[np.ndarray] = []

        def see(block: np.ndarray, kinds: np.ndarray, publishes: np.ndarray) -> None:
            survey.see(block, kinds)
            message = publishes["seq"].astype(np.int64) + offset
            if len(message):
                parts.append(self._publish(publishes, message, routes))
            groups.append(groups_of(message, self.total))

        settled, begin = settlements(log, see), 0
        for part in parts:
            end = begin + part.size
            self._settle(part, settled, offset, slice(begin, end))
            begin = end
        return survey, Outline(settled.extents, groups)

    def _publish(self, publishes: np.ndarray, message: np.ndarray, routes: np.ndarray) -> _Part:
        self._grow(int(message.max()) + 1)
        place = consecutive(message)
        self.attempts += len(message)
        count(self.times, message, place)
        least(self.first_published_ns, message, publishes["at_ns"], place)
        where = message if place is None else place
        if len(self._routes) > 1:
            self.route[where] = routes[publishes["queue"]]
        attempt = publishes["attempt"]
        first = attempt == 1
        if first.all():
            self.first_attempt[where] = True
        else:
            self.first_attempt[message[first]] = True
            self.again.append(np.unique(attempt_key(message[~first], attempt[~first])))
        confirmable = publishes["tag"] != 0
        mark(self.unconfirmed, message, ~confirmable)
        return _Part(
            len(message),
            message if place is None else place,
            None if first.all() else attempt,
            None if confirmable.all() else confirmable,
        )

    def _settle(self, part: _Part, settled: Settlements, offset: int, here: slice) -> None:
        place = part.where if isinstance(part.where, slice) else None
        message = np.arange(part.where.start, part.where.stop) if isinstance(part.where, slice) else part.where
        confirmed_ns, nacked = settled.confirmed_ns[here], settled.nacked[here]
        least(self.first_confirmed_ns, message, confirmed_ns, place)
        promised = confirmed_ns != NEVER
        if part.confirmable is not None:
            promised |= ~part.confirmable
        mark(self.nacked, message, nacked)
        if len(settled.returns):
            attempt = np.ones(part.size, dtype=np.uint16) if part.attempt is None else part.attempt
            returned = settled.returned(message - offset, attempt)
            mark(self.returned, message, returned)
            promised &= ~returned
        mark(self.promised, message, promised)

    def _grow(self, needed: int) -> None:
        if needed <= self.total:
            return
        if needed > len(self.times):
            for name, array in list(vars(self).items()):
                if isinstance(array, np.ndarray):
                    grown = np.zeros(needed + needed // 2, dtype=array.dtype)
                    grown[: self.total] = array[: self.total]
                    setattr(self, name, grown)
        self.first_published_ns[self.total : needed] = NEVER
        self.first_confirmed_ns[self.total : needed] = NEVER
        self.total = needed

    def take_first_attempt(self) -> np.ndarray:
        """Give away `first_attempt`: there may be many messages."""
        first, self.first_attempt = self.first_attempt, self.first_attempt[:0]
        return first

    def close(self) -> None:
        """Give back the room that was not needed."""
        for name, array in list(vars(self).items()):
            if isinstance(array, np.ndarray):
                setattr(self, name, array[: self.total])


@dataclass(frozen=True, slots=True)
class _Part:
    """The publishes of a block."""

    size: int
    where: np.ndarray | slice
    """Their messages."""
    attempt: np.ndarray | None
    """None if it is the first one for all."""
    confirmable: np.ndarray | None
    """None if all are."""
