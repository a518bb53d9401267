"""What is known of each message at its publisher, by message number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.checks.tally.copies import AT_ONCE
from harness.checks.tally.counting import Counts, Mark
from harness.checks.tally.times import Times


@dataclass(frozen=True, slots=True)
class Messages:
    """Columns by message; a sequence number that was never published is a gap, of which nothing is marked."""

    publisher_names: dict[int, str]
    offsets: dict[int, int]
    """By publisher's number, growing with it."""
    total: int
    published: Counts
    """How often it was published."""
    first_published_ns: Times
    first_confirmed_ns: Times
    promised: Mark
    nacked: Mark
    returned: Mark
    unconfirmed: Mark
    """Its publisher asked for no confirms."""
    route: NDArray[np.unsignedinteger]
    """Index into `MessageTable.routes`."""

    def slices(self) -> Iterator[slice]:
        """Yield slices of message numbers that cover all of them."""
        for begin in range(0, self.total, AT_ONCE):
            yield slice(begin, min(begin + AT_ONCE, self.total))

    def count(self, mark: Mark) -> int:
        """Count the messages that are marked."""
        return sum(int(np.count_nonzero(mark[here])) for here in self.slices())

    def refused(self, here: slice | NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which of some messages were nacked or returned."""
        refused: NDArray[np.bool_] = self.nacked[here] | self.returned[here]
        return refused

    def name(self, message: int) -> tuple[str, int]:
        """Return (publisher's name, sequence number) of a message."""
        number, offset = max(
            ((number, offset) for number, offset in self.offsets.items() if offset <= message), key=lambda pair: pair[1]
        )
        return self.publisher_names[number], message - offset

    def publisher_of(self, here: slice | NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the publisher's number of each of some messages."""
        numbers = np.array([*self.offsets], dtype=np.int64)
        offsets = np.array([*self.offsets.values()], dtype=np.int64)
        message = here if isinstance(here, np.ndarray) else np.arange(here.start, here.stop)
        found: NDArray[np.int64] = numbers[np.searchsorted(offsets, message, side="right") - 1]
        return found
