"""What a lie is: where in a message's life it is told, how, and what a judge must say of the message."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from enum import StrEnum
from typing import ClassVar, Generic, Self, TypeVar

from harness.lies.cases import Acked, Case, Consumer, Delivery
from harness.lies.scene import Beside, Place, Traffic
from harness.lies.session import Session
from harness.traffic.identity import Identity

PointT = TypeVar("PointT", bound=Case)


class Find(StrEnum):
    """What a verdict says of a message."""

    LOST = "lost"
    DUPLICATE = "duplicate"
    """Done twice, and nothing explains it."""
    CORRUPT = "corrupt"
    PHANTOM = "phantom"
    MISROUTED = "misrouted"
    RESURRECTED = "resurrected"
    STILL_THERE = "acknowledged and still there"
    OUT_OF_ORDER = "out of order"
    RECOVERED = "recovered"
    """Never confirmed, and done all the same: said, without an effect on the verdict."""


class AsIf(StrEnum):
    """What an honest broker does beside a fault that leaves the same as a lie which is told while the fault strikes."""

    DELIVERED_AGAIN = "delivered again"
    """The connection was lost before the ack had surely arrived."""
    REMOVED = "removed"
    """It was in the queue that is purged."""
    IN_ORDER_AGAIN = "in order again"
    """The connection was lost before the messages were done: the broker delivered them again, in their order."""

    @property
    def beside(self) -> frozenset[Beside]:
        """Beside which faults."""
        return frozenset({Beside.PURGE} if self is AsIf.REMOVED else {Beside.WORKER_KILL, Beside.CUT, Beside.RESTART})


class Lie(ABC, Generic[PointT]):
    """A kind of lie."""

    name: str
    point: type[PointT]
    """Where in a message's life it is told."""
    finds: ClassVar[frozenset[Find]]
    """What a judge must say of the message."""
    or_find: ClassVar[frozenset[Find]] = frozenset()
    """Any of these may be said instead."""
    may_find: ClassVar[frozenset[Find]] = frozenset()
    """What may be said of it as well."""
    of_copies: ClassVar[bool] = True
    """Whether it concerns the copy in one queue; else the message, in all the queues that it goes to."""
    traffic: ClassVar[Traffic] = Traffic.WORK
    """What messages it is told of."""
    as_if: ClassVar[AsIf | None] = None
    """What an honest broker does that leaves the same; None where none does."""

    @classmethod
    def each(cls) -> Iterator[Self]:
        """Yield the lies of this class: one, where there is nothing to choose."""
        yield cls()

    def fits(self, place: Place) -> bool:
        """Whether there is what it takes, where some messages go."""
        return place.traffic is self.traffic

    def suits(self, case: PointT) -> bool:
        """Whether it can be told of a message. Those whose story is unclear already are left out."""
        if case.who is None or case.who.attempt > 1:
            return False
        delivery = case.delivery if isinstance(case, Acked) else case
        return not (isinstance(delivery, Delivery) and delivery.method.redelivered)

    @abstractmethod
    def tell(self, case: PointT) -> Identity | None:
        """Tell it: see to whatever becomes of the message instead. Returns which message it concerns, None for one without an identity."""


Receiver = tuple[Session, int, Consumer]
"""A consumer, with its connection and channel."""


def again(delivery: Delivery, *, to: Receiver | None = None) -> Delivery:
    """Return a delivery that the broker knows nothing of: the same message, to the same consumer or another one."""
    session, channel, consumer = to or (delivery.session, delivery.channel, delivery.consumer)
    return Delivery(
        session, channel, consumer, delivery.method, delivery.header, delivery.body, delivery.who, broker_tag=None
    )


def identity_of(case: Case) -> Identity:
    """Return which message a case is about: one that suits a lie has an identity."""
    assert case.who is not None  # noqa: S101 - `suits` has looked
    return case.who
