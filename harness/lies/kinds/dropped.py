"""Messages that vanish though they were promised."""

from __future__ import annotations

from harness.lies.cases import Confirmed, Delivery, Published, Returned
from harness.lies.kinds.base import AsIf, Find, Lie, identity_of
from harness.lies.scene import Traffic
from harness.traffic.identity import Identity


class DroppedBeforeTheQueue(Lie[Published]):
    """A publish never reaches the broker, and its confirm is forged."""

    name = "dropped before the queue, confirmed alone"
    point = Published
    finds = frozenset({Find.LOST})
    of_copies = False
    as_if = AsIf.REMOVED

    def tell(self, case: Published) -> Identity:
        """Confirm it, and do nothing else."""
        case.session.confirm(case)
        return identity_of(case)


class DroppedAndConfirmedWithOthers(Lie[Published]):
    """The same, within a confirm of several publishes."""

    name = "dropped before the queue, confirmed with others"
    point = Published
    finds = frozenset({Find.LOST})
    of_copies = False
    as_if = AsIf.REMOVED

    def tell(self, case: Published) -> Identity:
        """Have the next confirm cover it, and do nothing else."""
        case.session.confirm_with_others(case)
        return identity_of(case)


class DroppedAfterTheQueue(Lie[Delivery]):
    """A delivery never reaches its worker, and its ack is forged."""

    name = "dropped after the queue"
    point = Delivery
    finds = frozenset({Find.LOST})
    as_if = AsIf.REMOVED

    def tell(self, case: Delivery) -> Identity:
        """Acknowledge it to the broker."""
        case.session.acknowledge(case)
        return identity_of(case)


class NackTurnedIntoAck(Lie[Confirmed]):
    """The broker refuses a message, and its publisher hears that it was taken."""

    name = "nack turned into an ack"
    point = Confirmed
    finds = frozenset({Find.LOST})
    of_copies = False
    traffic = Traffic.REFUSED

    def suits(self, case: Confirmed) -> bool:
        """Only what is refused."""
        return case.nack

    def tell(self, case: Confirmed) -> Identity:
        """Confirm it."""
        case.session.confirm(case)
        return identity_of(case)


class ReturnSwallowed(Lie[Returned]):
    """An unroutable message is not given back, and confirmed."""

    name = "return swallowed"
    point = Returned
    finds = frozenset({Find.LOST})
    of_copies = False
    traffic = Traffic.UNROUTABLE

    def tell(self, case: Returned) -> Identity:
        """Do nothing; the confirm follows by itself."""
        return identity_of(case)
