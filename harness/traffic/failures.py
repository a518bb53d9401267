"""Which deliveries fail at a worker, as the scenario says.

How often the work of a message was attempted before is read from its delivery, where that tells. Of a message that was rejected it tells
always: x-death counts the rejections in this queue, over any number of rounds of a retry loop (3.8 to 4.3, classic and quorum). Of one
that came back to its queue a quorum queue tells in x-delivery-count, which counts everything that was given back or lost with its
connection, begun or not; but from 4.0 on a message keeps that count when it dies, so it is believed of those only that never died.
A classic queue tells nothing: there each worker counts what it gave back itself, its earlier processes included.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from harness.history.records import Death
from harness.traffic.spec import Failure, WorkerSpec

REJECTED = "rejected"
"""The reason in x-death of what a consumer rejected."""


class Attempted(NamedTuple):
    """How often a worker gave back a copy of a message."""

    publisher: int
    seq: int
    first_queue: str
    """Where the copy had died first; empty for one that never died."""
    times: int


@dataclass(slots=True)
class Task:
    """A delivery whose work is to be done."""

    publisher: int
    seq: int
    attempt: int
    tag: int
    connection: int
    body: bytes
    redelivered: bool
    died: Death | None = None
    delivery_count: int = 0
    """x-delivery-count."""

    @property
    def copy(self) -> tuple[int, int, str]:
        """Which copy of which message it is, as far as a worker can know."""
        return self.publisher, self.seq, self.died.first_queue if self.died is not None else ""


class Failures:
    """Says of each task whether and how it fails, and keeps count of those that it sent back."""

    def __init__(self, spec: WorkerSpec, attempted: Iterable[Attempted]) -> None:
        """Go by a worker's spec, and by what its earlier processes gave back."""
        self._spec = spec
        self._given_back = Counter({(each.publisher, each.seq, each.first_queue): each.times for each in attempted})

    def of(self, task: Task) -> Failure | None:
        """Return how a task fails; None if it succeeds."""
        return next((failure for failure in self._spec.failures if self._fails(failure, task)), None)

    def give_back(self, task: Task) -> None:
        """Count a task that goes back to its queue."""
        self._given_back[task.copy] += 1

    def _fails(self, failure: Failure, task: Task) -> bool:
        if failure.first_delivery_only and task.redelivered:
            return False
        if failure.text is not None and failure.text.encode() not in task.body:
            return False
        if failure.every is not None and (task.seq + 1) % failure.every:
            return False
        if failure.attempts is not None and self._attempted(failure, task) >= failure.attempts:
            return False
        if failure.share is not None:
            drawn = random.Random(f"{self._spec.seed}/{task.publisher}/{task.seq}").random()  # noqa: S311
            return drawn < failure.share
        return True

    def _attempted(self, failure: Failure, task: Task) -> int:
        """Return how often the work of a task was attempted before."""
        if failure.how == "reject":
            path = task.died.path if task.died is not None else ()
            return sum(count for queue, reason, count in path if (queue, reason) == (self._spec.queue, REJECTED))
        told = task.delivery_count if task.died is None else 0
        return max(told, self._given_back[task.copy])
