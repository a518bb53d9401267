"""Why copies were lost, as the rules say it, and the evidence that they go by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from harness.checks.rules.remedies import BROKEN_PROMISE, Remedy
from harness.checks.tally.sessions import Session
from harness.checks.tally.times import NEVER
from harness.verdict.data import Place


@dataclass(frozen=True, slots=True)
class Cause:
    """Why messages were lost."""

    place: Place
    actor: str
    fault: int | None
    remedy: Remedy
    at_ns: int = NEVER
    """When they were taken; NEVER if that is not known."""


@dataclass(frozen=True, slots=True)
class Causes:
    """The cause of each lost copy: `of[i]` is the place of the cause of `copies[i]` in `causes`."""

    copies: np.ndarray
    of: np.ndarray
    causes: tuple[Cause, ...]

    def by_place(self) -> dict[Place, int]:
        """Count the lost copies by place; every place is there."""
        counts = np.bincount(self.of, minlength=len(self.causes)).tolist()
        return {
            place: sum(count for cause, count in zip(self.causes, counts, strict=True) if cause.place is place)
            for place in Place
        }

    def taken_ns(self) -> np.ndarray:
        """Return when each was taken, NEVER where that is not known."""
        times = np.array([cause.at_ns for cause in self.causes], dtype=np.int64)
        return times[self.of] if len(times) else np.empty(0, dtype=np.int64)


NO_CAUSES: Final = Causes(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), ())
"""Where no message is known to be lost."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the cause of a lost copy depends on."""

    queue: str
    """Where it stood last; empty if it reached no queue."""
    sent_ns: int
    """When it was last published (or another that went between the same faults)."""
    since_ns: int
    """Since when it stood there, likewise."""
    overtaken_ns: int
    """By when it had surely left, likewise; NEVER where nothing shows it."""
    publisher: Session
    persistent: bool
    mandatory: bool
    confirmed: bool
    arrived: bool
    """Whether it is known to have reached the broker."""
    at_last: bool
    """Whether it was sent right before its connection was closed: see `sent_at_last`."""
    worker: Session | None
    """The connection of its last delivery; None if it was never delivered."""
    released: bool
    """Whether the broker took its last delivery for acknowledged."""
    failed: bool
    """Whether the work of its last delivery failed where nobody could tell the broker."""
    changed: bool
    """Whether the work of its last delivery was done, on another body than was published."""
    first_queue: str
    """Where it stood first: another one than `queue` if it has died since, as it seems."""
    by_death: bool
    """Whether a death began it: one that led into several queues."""
    route: str
    exchange: str
    """The exchange that its message was published to; empty for the default one."""
    alone: bool
    """Whether its message went to no other queue."""
    exposed_to: int | None
    """The first fault that can have taken it as a dead letter."""
    exposed_by: str
    """The queue that it had died in then."""


def accuses(cause: Cause) -> bool:
    """Whether nothing but a fault of the broker itself is left."""
    return cause.place is Place.UNKNOWN or cause.remedy == BROKEN_PROMISE
