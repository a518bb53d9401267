"""What really became of every copy, known to the simulated broker alone."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

Key = tuple[int, int]
"""Publisher's number and sequence number."""


class Copy(NamedTuple):
    """A copy of a message: the queue it was first put in, and the branch taken at each death that led to several queues."""

    publisher: int
    seq: int
    first: str
    """Empty for a message that reached no queue."""
    branches: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        return self.publisher, self.seq

    def __str__(self) -> str:
        way = " > ".join((self.first or "no queue", *self.branches))
        return f"{self.publisher}#{self.seq} in {way}"


class End(StrEnum):
    """How a message in a queue came to its end."""

    SETTLED = "settled"
    """By an ack, of the worker or automatic: it was done if its work was completed."""
    BRANCHED = "branched"
    """It died and led to several queues: copies of their own began."""
    EXPIRED = "expired"
    LENGTH = "dropped by a length limit"
    DELIVERY_LIMIT = "dropped by a delivery limit"
    REJECTED = "rejected without a target"
    CYCLE = "dropped in a dead letter cycle"
    NOWHERE = "its dead letter target led nowhere"
    REFUSED = "refused by a full queue"
    PURGED = "purged"
    DELETED = "deleted with its queue"
    BROKER = "lost with the node"
    FOREIGN = "taken by another program"
    UNROUTABLE = "no queue took it"
    LIE = "lost by the broker's lie"


NOT_LOST = {
    End.EXPIRED: "expired",
    End.LENGTH: "dropped",
    End.DELIVERY_LIMIT: "dropped",
    End.REJECTED: "dropped",
    End.CYCLE: "dropped",
    End.NOWHERE: "dropped",
    End.REFUSED: "dropped",
    End.PURGED: "removed",
    End.DELETED: "removed",
    End.FOREIGN: "foreign",
}
"""Ends that are no loss, with the fate that they make."""


@dataclass(eq=False)
class Instance:
    """One message in the broker: a publish makes one for each queue that takes it."""

    copy: Copy
    attempt: int
    route_key: str
    persistent: bool
    deaths: list[tuple[str, str, int]] = field(default_factory=list)
    """Queue, reason and count, the latest first, as x-death has them."""
    first_death: str = ""
    queue: str = ""
    position: float = 0.0
    delivered: int = 0
    delivery_count: int = 0
    redelivered: bool = False
    expires_ns: int | None = None
    written: bool = False
    """Whether a killed node has it on disk."""
    end: End | None = None
    end_queue: str = ""
    end_ns: int = 0
    fault: int | None = None
    """Which fault took it."""
    completed: list[tuple[str, int]] = field(default_factory=list)
    """By whom and when its work was completed."""
    corrupt: bool = False
    carried: int = 0
    """How many of its deaths are not its own, but were in the headers that it was published with."""

    @property
    def key(self) -> Key:
        return self.copy.key

    @property
    def place(self) -> tuple[str, float]:
        """Queue and position."""
        return self.queue, self.position

    def write(self, place: tuple[str, float]) -> None:
        """It is on disk in a place, which is known to nobody once it has left it."""
        self.written |= self.place == place


@dataclass
class CopyTruth:
    """A copy, with all messages in the broker that were this copy."""

    copy: Copy
    instances: list[Instance] = field(default_factory=list)
    not_routed: list[int] = field(default_factory=list)
    """Attempts that did not come to its first queue, because that was not there."""
    queue_removed: bool = False
    """Whether it was not there because it was deleted, or had expired."""
    at_rest: list[tuple[str, str]] = field(default_factory=list)
    """Queues that it was in at the end, each with the role of the queue: `stranded`, `dead-lettered`, `in transit`, `retained`."""

    @property
    def completions(self) -> list[tuple[str, int]]:
        return sorted((each for instance in self.instances for each in instance.completed), key=lambda each: each[1])

    @property
    def branched(self) -> bool:
        return any(instance.end is End.BRANCHED for instance in self.instances)

    def fates(self, *, promised: bool) -> frozenset[str]:
        """What may be said of it truthfully: several if several publishes of the same message ended differently."""
        if self.completions:
            return frozenset({"done"})
        if self.at_rest:
            return frozenset(role for _, role in self.at_rest)
        ends = {instance.end for instance in self.instances}
        kinds = {NOT_LOST.get(end, "lost") for end in ends if end is not None and end is not End.BRANCHED}
        kinds |= {"removed" if self.queue_removed else "lost"} if self.not_routed else set()
        if self.branched and not kinds:
            return frozenset({"branched"})
        if not promised:
            return frozenset({"never promised"})
        return frozenset(kinds or {"lost"})


class Truth:
    """All copies, by themselves."""

    def __init__(self) -> None:
        self.copies: dict[Copy, CopyTruth] = {}
        self.removed: dict[str, int] = defaultdict(int)
        self.deaths: dict[tuple[str, str], int] = defaultdict(int)
        """By queue and reason, how many died."""
        self.lies: dict[str, set[Key]] = defaultdict(set)
        """By the kind of lie, the messages that it was told of."""

    def of(self, copy: Copy) -> CopyTruth:
        return self.copies.setdefault(copy, CopyTruth(copy))

    def add(self, instance: Instance) -> None:
        self.of(instance.copy).instances.append(instance)
