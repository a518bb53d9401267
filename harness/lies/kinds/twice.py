"""Messages that are delivered twice, over connections that nothing happened to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final, Self

from harness.lies.cases import Consumer, Delivery, Wanted
from harness.lies.kinds.base import AsIf, Find, Lie, again, identity_of
from harness.lies.scene import Place
from harness.lies.session import Session
from harness.traffic.identity import Identity

LATER_S: Final = 0.4


class _Twice(Lie[Delivery]):
    """A delivery is repeated, with the redelivered mark or without it: that is a hint, and no reason."""

    point = Delivery
    finds = frozenset({Find.DUPLICATE})
    how: ClassVar[str]

    def __init__(self, *, marked: bool) -> None:
        self.name = f"delivered twice, {self.how}{', marked as redelivered' if marked else ''}"
        self._marked = marked

    @classmethod
    def each(cls) -> Iterator[Self]:
        """Yield the one without the mark, and the one with it."""
        for marked in (False, True):
            yield cls(marked=marked)


class TwiceAtOnce(_Twice):
    """A delivery is repeated right after itself."""

    how = "at once"

    def tell(self, case: Delivery) -> Identity:
        """Deliver it, and once more."""
        case.session.deliver(case)
        case.session.deliver(again(case), redelivered=self._marked)
        return identity_of(case)


class TwiceLater(_Twice):
    """A delivery is repeated after its worker has acknowledged it."""

    how = "later"
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
                receiver[0].deliver(again(case, to=receiver), redelivered=self._marked)
                return
            self._later(case)  # the worker is away

        case.session.liar.later(LATER_S, once_more)


class TwiceToAnother(_Twice):
    """A delivery is repeated to another worker of the same queue."""

    how = "to another worker"
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
        receiver[0].deliver(again(case, to=receiver), redelivered=self._marked)
        return identity_of(case)


def _others(case: Delivery) -> Wanted:
    return lambda session, consumer: consumer.queue == case.queue and session.name != case.session.name
