"""Columns that hold something of each message, read by copy: all copies of a message share it."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from harness.checks.tally.copies import Copies
from harness.checks.tally.counting import Counts, Mark

Here = slice | NDArray[np.int64]
"""Some messages or copies: a slice of their numbers, or numbers in any order."""


class TruthColumn(Protocol):
    """A truth value of each copy."""

    def __getitem__(self, here: Here) -> NDArray[np.bool_]:
        """Return those of some copies."""


class TimeColumn(Protocol):
    """A time of each copy, in monotonic nanoseconds; NEVER for what has not happened."""

    def __len__(self) -> int:
        """Return the number of copies."""

    def __getitem__(self, here: Here) -> NDArray[np.int64]:
        """Return those of some copies."""

    def known(self, here: Here) -> NDArray[np.bool_]:
        """Return of some copies whether it has happened to them."""


class CountColumn(Protocol):
    """How often something happened to each copy."""

    @property
    def some(self) -> TruthColumn:
        """Whether it happened at all."""

    def __getitem__(self, here: Here) -> NDArray[np.integer]:
        """Return those of some copies."""

    def single(self, here: Here) -> NDArray[np.bool_]:
        """Return to which of some copies it happened exactly once."""


class MarkByCopy:
    """A mark of each message. Copies that do not exist have none."""

    def __init__(self, mark: Mark, copies: Copies, exists: NDArray[np.bool_]) -> None:
        """`exists` is by copy."""
        self._mark, self._copies, self._exists = mark, copies, exists

    def __getitem__(self, here: Here) -> NDArray[np.bool_]:
        """Return those of some copies."""
        found: NDArray[np.bool_] = self._mark[self._copies.messages(here)] & self._exists[here]
        return found


class CountsByCopy:
    """Counts of each message. Copies that do not exist have none."""

    def __init__(self, counts: Counts, copies: Copies, exists: NDArray[np.bool_]) -> None:
        """`exists` is by copy."""
        self._counts, self._copies, self._exists = counts, copies, exists
        self.some = MarkByCopy(counts.some, copies, exists)

    def __getitem__(self, here: Here) -> NDArray[np.integer]:
        """Return those of some copies."""
        found: NDArray[np.integer] = self._counts[self._copies.messages(here)] * self._exists[here]
        return found

    def single(self, here: Here) -> NDArray[np.bool_]:
        """Return to which of some copies it happened exactly once."""
        found: NDArray[np.bool_] = self._counts.single(self._copies.messages(here)) & self._exists[here]
        return found


class TimesByCopy:
    """Times of each message."""

    def __init__(self, times: TimeColumn, copies: Copies) -> None:
        """Read `times` by copy."""
        self._times, self._copies = times, copies

    def __len__(self) -> int:
        """Return the number of copies."""
        return self._copies.total

    def __getitem__(self, here: Here) -> NDArray[np.int64]:
        """Return those of some copies."""
        return self._times[self._copies.messages(here)]

    def known(self, here: Here) -> NDArray[np.bool_]:
        """Return of some copies whether it has happened to them."""
        return self._times.known(self._copies.messages(here))


class RouteByCopy:
    """The route of each copy's message, as an index into `MessageTable.routes`."""

    def __init__(self, route: NDArray[np.unsignedinteger], copies: Copies) -> None:
        """Read `route` by copy."""
        self._route, self._copies = route, copies

    def __getitem__(self, here: Here) -> NDArray[np.unsignedinteger]:
        """Return those of some copies."""
        found: NDArray[np.unsignedinteger] = self._route[self._copies.messages(here)]
        return found
