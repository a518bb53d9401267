"""Adding up what became of each message at its publisher, one log after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.checks.tally.counting import Counts, Marks, are_distinct, consecutive, numbers, resized
from harness.checks.tally.numbering import attempt_key
from harness.checks.tally.outline import Outline, groups_of
from harness.checks.tally.publishes import PublishSettlements, name_numbers, settlements
from harness.checks.tally.sessions import Survey
from harness.checks.tally.times import NEVER, Times
from harness.history.read import Log
from harness.history.records import MOST_DEATHS


class Sent:
    """What became of each message at its publisher: by message, growing with the messages that are known.

    The logs of one publisher are added one behind the other, and the publishers in the order of their numbers.
    """

    def __init__(self, most: int, routes: Sequence[str]) -> None:
        """Make room for so many messages; there is more where that is not enough."""
        self.total = 0
        self.attempts = 0
        self.marks = Marks(most)
        """More of them may be used for what becomes of messages later."""
        self.published = Counts(most, self.marks.column())
        self.first_published_ns = Times(most)
        self.first_confirmed_ns = Times(most)
        self.promised = self.marks.column()
        self.nacked = self.marks.column()
        self.returned = self.marks.column()
        self.unconfirmed = self.marks.column()
        self.first_attempt = self.marks.column()
        """Whether its first attempt was published."""
        self.again: list[np.ndarray] = []
        """Keys of all other attempts."""
        self._carried: list[tuple[np.ndarray, np.ndarray]] = []
        self.route = np.zeros(most, dtype=np.min_scalar_type(len(routes)))
        self._routes = routes
        self._room = most

    def read(self, log: Log, offset: int) -> tuple[Survey, Outline]:
        """Add a log, whose publisher's first message has the number `offset`."""
        survey, routes = Survey(), name_numbers(log, self._routes)
        parts: list[_Part] = []
        groups: list[np.ndarray] = []

        def visit(block: np.ndarray, kinds: np.ndarray, publishes: np.ndarray) -> None:
            survey.see(block, kinds)
            message = publishes["seq"].astype(np.int64) + offset
            if len(message):
                parts.append(self._publish(publishes, message, routes))
            groups.append(groups_of(message))

        settled, begin = settlements(log, visit), 0
        for part in parts:
            end = begin + part.size
            self._settle(part, settled, offset, slice(begin, end))
            begin = end
        return survey, Outline(settled.extents, groups)

    def _publish(self, publishes: np.ndarray, message: np.ndarray, routes: np.ndarray) -> _Part:
        self._grow(int(message.max()) + 1)
        where = consecutive(message) or message
        self.attempts += len(message)
        self.published.add(where, distinct=isinstance(where, slice) or are_distinct(message))
        self.first_published_ns.least(where, publishes["at_ns"])
        if len(self._routes) > 1:
            self.route[where] = routes[publishes["queue"]]
        if publishes["arg"].any():
            self._carried.append((message, publishes["arg"]))
        attempt = np.ascontiguousarray(publishes["attempt"])
        first = attempt == 1
        self.first_attempt.put_some(where, first)
        if not first.all():
            self.again.append(np.unique(attempt_key(message[~first], attempt[~first])))
        confirmable = publishes["tag"] != 0
        self.unconfirmed.put_some(where, ~confirmable)
        return _Part(len(message), where, None if first.all() else attempt, None if confirmable.all() else confirmable)

    def _settle(self, part: _Part, settled: PublishSettlements, offset: int, here: slice) -> None:
        where, confirmed_ns = part.where, settled.confirmed_ns[here]
        self.first_confirmed_ns.least(where, confirmed_ns)
        promised = confirmed_ns != NEVER
        if part.confirmable is not None:
            promised |= ~part.confirmable
        self.nacked.put_some(where, settled.nacked[here])
        if len(settled.returns):
            attempt = np.ones(part.size, dtype=np.uint16) if part.attempt is None else part.attempt
            returned = settled.returned(numbers(where) - offset, attempt)
            self.returned.put_some(where, returned)
            promised &= ~returned
        self.promised.put_some(where, promised)

    def _grow(self, needed: int) -> None:
        self.total = max(self.total, needed)
        if needed > self._room:
            self._resize(needed + needed // 2)

    def carried(self) -> NDArray[np.uint8] | None:
        """Return by message how many x-death entries its publish had; None if none had any."""
        if not self._carried:
            return None
        found = np.zeros(self.total, dtype=np.uint8)
        for message, count in self._carried:
            found[message] = np.minimum(count, MOST_DEATHS)
        return found

    def close(self) -> None:
        """Give back the room that was not needed."""
        self._resize(self.total)

    def _resize(self, size: int) -> None:
        for each in (self.marks, self.published, self.first_published_ns, self.first_confirmed_ns):
            each.resize(size)
        self.route = resized(self.route, size)
        self._room = size


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
