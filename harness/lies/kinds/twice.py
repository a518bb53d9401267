"""Messages that are delivered twice, over connections that nothing happened to."""

from __future__ import annotations

from typing import ClassVar, Final

from harness.lies.cases import Consumer, Delivery, Wanted
from harness.lies.kinds.base import AsIf, Find, Lie, again, identity_of
from harness.lies.scene import Place
from harness.lies.session import Session
from harness.traffic.identity import Identity

LATER_S: Final = 0.4


class TwiceAtOnce(Lie[Delivery]):
    """A delivery is repeated right after itself."""

    name = "delivered twice, at once"
    point = Delivery
    finds = frozenset({Find.DUPLICATE})
    marked: ClassVar[bool] = False
    """Whether the second one has the redelivered mark: a hint, and no reason."""

    def tell(self, case: Delivery) -> Identity:
        """Deliver it, and once more."""
        case.session.deliver(case)
        case.session.deliver(again(case), redelivered=self.marked)
        return identity_of(case)


class TwiceAtOnceMarked(TwiceAtOnce):
    """The same, and marked."""

    name = "delivered twice, at once, marked as redelivered"
    marked = True


class TwiceLater(Lie[Delivery]):
    """A delivery is repeated after its worker has acknowledged it."""

    name = "delivered twice, later"
    point = Delivery
    finds = frozenset({Find.DUPLICATE})
    marked: ClassVar[bool] = False
    as_if = AsIf.DELIVERED_AGAIN

    def tell(self, case: Delivery) -> Identity:
        """Deliver it, and once more after a while, over whatever connection the worker has then."""
        case.session.deliver(case)
        self._later(case)
        return identity_of(case)

    def _later(self, case: Delivery) -> None:
        def same(session: Session, _consumer: Consumer) -> bool:
            return session.name == case.session.name

        def once_more() -> None:
            for receiver in case.session.liar.consumers(same):
                receiver[0].deliver(again(case, to=receiver), redelivered=self.marked)
                return
            self._later(case)  # the worker is away

        case.session.liar.later(LATER_S, once_more)


class TwiceLaterMarked(TwiceLater):
    """The same, and marked."""

    name = "delivered twice, later, marked as redelivered"
    marked = True


class TwiceToAnother(Lie[Delivery]):
    """A delivery is repeated to another worker of the same queue."""

    name = "delivered twice, to another worker"
    point = Delivery
    finds = frozenset({Find.DUPLICATE})
    marked: ClassVar[bool] = False
    as_if = AsIf.DELIVERED_AGAIN

    def fits(self, place: Place) -> bool:
        """Only where there are several workers."""
        return super().fits(place) and place.workers > 1

    def suits(self, case: Delivery) -> bool:
        """Only while there is another worker."""
        return super().suits(case) and bool(case.session.liar.consumers(_others(case)))

    def tell(self, case: Delivery) -> Identity:
        """Deliver it to both."""
        receiver = case.session.liar.consumers(_others(case))[0]
        case.session.deliver(case)
        receiver[0].deliver(again(case, to=receiver), redelivered=self.marked)
        return identity_of(case)


class TwiceToAnotherMarked(TwiceToAnother):
    """The same, and marked."""

    name = "delivered twice, to another worker, marked as redelivered"
    marked = True


def _others(case: Delivery) -> Wanted:
    return lambda session, consumer: consumer.queue == case.queue and session.name != case.session.name
