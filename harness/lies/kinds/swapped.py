"""Deliveries in another order than the queue's."""

from __future__ import annotations

from harness.lies.cases import Delivery
from harness.lies.kinds.base import AsIf, Find, Lie, identity_of
from harness.lies.scene import Traffic
from harness.traffic.identity import Identity


class Swapped(Lie[Delivery]):
    """A delivery is held back until the next one of its channel has passed."""

    name = "swapped with the next"
    point = Delivery
    finds = frozenset({Find.OUT_OF_ORDER})
    traffic = Traffic.IN_ORDER
    as_if = AsIf.IN_ORDER_AGAIN

    def tell(self, case: Delivery) -> Identity:
        """Hold it back."""
        case.session.hold_back(case)
        return identity_of(case)
