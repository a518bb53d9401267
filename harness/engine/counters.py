"""Live counters: what progress triggers and displays go by."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(slots=True)
class ActorCounters:
    """What one incarnation has done so far. `held` counts what would be at stake if it died now."""

    published: int = 0
    """First attempts."""
    publishes: int = 0
    confirmed: int = 0
    nacked: int = 0
    delivered: int = 0
    processed: int = 0
    acked: int = 0
    rejected: int = 0
    connected: bool = False
    consuming: bool = False
    exhausted: bool = False
    last_processed_ns: int = 0
    in_flight: int = 0
    """Deliveries of the present connection that are not settled (manual acks), or whose work is neither done nor failed."""
    unsettled: int = 0
    """Publishes of the present connection without confirm or nack."""
    uncompleted: int = 0
    """Deliveries of the present connection whose work is neither done nor failed."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Counters summed over all incarnations of all actors."""

    published: int = 0
    copies: int = 0
    """Of what was published: one for each queue that a message is put in."""
    confirmed: int = 0
    delivered: int = 0
    processed: int = 0
    acked: int = 0
    in_flight: int = 0
    last_processed_ns: int = 0

    @classmethod
    def of(cls, incarnations: Iterable[tuple[ActorCounters, bool, float]]) -> Totals:
        """Sum up the counters of incarnations.

        Beside them: whether each lives, for what it holds is gone when it does not, and how many copies each of its messages has (the mean
        of the routes that they take in turn).
        """
        found = tuple(incarnations)
        return cls(
            published=sum(each.published for each, _, _ in found),
            copies=round(sum(copies * each.published for each, _, copies in found)),
            confirmed=sum(each.confirmed for each, _, _ in found),
            delivered=sum(each.delivered for each, _, _ in found),
            processed=sum(each.processed for each, _, _ in found),
            acked=sum(each.acked for each, _, _ in found),
            in_flight=sum(each.in_flight for each, alive, _ in found if alive),
            last_processed_ns=max((each.last_processed_ns for each, _, _ in found), default=0),
        )

    @property
    def backlog(self) -> int:
        """Copies published and not yet processed, as far as counting goes (duplicates make it too small)."""
        return max(0, self.copies - self.processed)

    def reached(self, thresholds: dict[str, int]) -> bool:
        """Whether every threshold is reached."""
        return all(getattr(self, name) >= value for name, value in thresholds.items())
