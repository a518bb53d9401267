"""What took a copy that was promised, and is neither done nor anywhere: the reasons, and what fate each one is."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.checks.tally.times import NEVER
from harness.verdict.data import Fate


class Reason(IntEnum):
    """What took a copy. The number is its place in arrays; NONE is what nothing shows to have been taken."""

    NONE = 0
    TTL = 1
    LENGTH = 2
    DELIVERY_LIMIT = 3
    REJECTED = 4
    NO_TARGET = 5
    """It died, and its queue's dead letter exchange led it to no queue."""
    CYCLE = 6
    """It came round to a queue where it had died, with no reject on the way."""
    PURGED = 7
    QUEUE_GONE = 8
    """Its queue was deleted with it: x-expires, auto-delete, or by somebody."""
    HELD = 9
    """The broker holds it for a dead letter target that refuses it."""
    TAKEN = 10
    """Somebody else consumed from its queue."""
    UNCONFIRMED = 11
    """The broker holds it until its dead letter target, which takes what comes, has confirmed it."""
    RECOVERY = 12
    """Its queue refuses when it is full, and dropped it for its length all the same, when its node came back."""
    BY_OTHERS = 13
    """A program that is not the run's was there, and may have taken it, purged it, or deleted its queue."""
    HELD_BY_OTHERS = 14
    """A consumer that is not the run's held it, unacknowledged, when the drain ended."""
    BY_POLICY = 15
    """The broker could not be asked for its policies, and one of them may have expired or dropped it, or led it elsewhere."""


FATES = {
    Reason.TTL: Fate.EXPIRED,
    Reason.LENGTH: Fate.DROPPED,
    Reason.DELIVERY_LIMIT: Fate.DROPPED,
    Reason.REJECTED: Fate.DROPPED,
    Reason.NO_TARGET: Fate.DROPPED,
    Reason.CYCLE: Fate.DROPPED,
    Reason.PURGED: Fate.REMOVED,
    Reason.QUEUE_GONE: Fate.REMOVED,
    Reason.HELD: Fate.RETAINED,
    Reason.TAKEN: Fate.REMOVED,
    Reason.UNCONFIRMED: Fate.IN_TRANSIT,
    Reason.RECOVERY: Fate.DROPPED,
    Reason.BY_OTHERS: Fate.REMOVED,
    Reason.HELD_BY_OTHERS: Fate.STRANDED,
    Reason.BY_POLICY: Fate.REMOVED,
}


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of the missing copies: arrays of one length."""

    copy: NDArray[np.int64]
    reason: NDArray[np.int8]
    """A `Reason` each."""
    possible: NDArray[np.bool_]
    """Whether it may as well have been lost, or taken by what `instead` says."""
    instead: NDArray[np.int8]
    """Where `possible`: what took it if `reason` did not, a `Reason` each; NONE if it was lost then."""
    instead_queue: NDArray[np.int64]
    """Where that was, like `queue`."""
    queue: NDArray[np.int64]
    """Where it was taken, or stood last; an index into `MessageTable.queues`, -1 for one that reached no queue."""
    since_ns: NDArray[np.int64]
    """Since when it stood there, at the earliest."""
    overtaken_ns: NDArray[np.int64]
    """By when it had surely left; NEVER where nothing shows it."""
    fault: NDArray[np.int64]
    """The fault that removed it; -1 for none."""
    exposed_to: NDArray[np.int64]
    """The first fault that can have taken it as a dead letter; -1 for none."""
    exposed_by: NDArray[np.int64]
    """The queue that it had died in then, an index into `MessageTable.queues`; -1 for none."""

    @classmethod
    def nothing(cls, copies: NDArray[np.int64]) -> Taken:
        """Say of some copies that nothing is known to have taken them."""
        size = len(copies)
        begun = {
            "possible": np.zeros(size, dtype=bool),
            "since_ns": np.zeros(size, dtype=np.int64),
            "overtaken_ns": np.full(size, NEVER),
        }
        nothing = {name: np.zeros(size, dtype=np.int8) for name in ("reason", "instead")}
        nowhere = ("queue", "instead_queue", "fault", "exposed_to", "exposed_by")
        none = {name: np.full(size, -1, dtype=np.int64) for name in nowhere}
        columns: dict[str, NDArray[Any]] = {"copy": copies, **begun, **nothing, **none}
        return cls(**columns)

    def chosen(self, rows: NDArray[np.bool_]) -> Taken:
        """Return some of them."""
        return Taken(**{each.name: getattr(self, each.name)[rows] for each in fields(self)})

    @property
    def perhaps_lost(self) -> NDArray[np.bool_]:
        """Which of them may as well have been lost."""
        lost: NDArray[np.bool_] = self.possible & (self.instead == Reason.NONE)
        return lost

    def put(self, rows: NDArray[np.int64] | NDArray[np.bool_], reason: Reason, queue: int) -> None:
        """Say of some that a reason took them in a queue (an index into `MessageTable.queues`, -1 for none)."""
        self.reason[rows] = reason
        self.queue[rows] = queue
        self.instead[rows] = Reason.NONE

    def put_instead(self, rows: NDArray[np.int64], reason: Reason, queue: int) -> None:
        """Say of some that are only possible that another reason took them, in a queue, if the one that they have did not."""
        self.possible[rows] = True
        self.instead[rows] = reason
        self.instead_queue[rows] = queue
