"""Answers that never arrive."""

from __future__ import annotations

from typing import Final

from harness.lies.cases import Acked, Confirmed
from harness.lies.kinds.base import AsIf, Find, Lie, identity_of
from harness.lies.scene import Traffic
from harness.traffic.identity import Identity

LOOK_EVERY_S: Final = 0.4


class AckSwallowed(Lie[Acked]):
    """A worker acknowledges a message, and the broker keeps it."""

    name = "ack swallowed"
    point = Acked
    finds = frozenset({Find.STILL_THERE})
    or_find = frozenset({Find.DUPLICATE})  # once it was delivered again, and is not there any more
    as_if = AsIf.DELIVERED_AGAIN

    def tell(self, case: Acked) -> Identity:
        """Do nothing."""
        return identity_of(case)


class ConfirmSwallowed(Lie[Confirmed]):
    """The broker takes a message, and its publisher never hears of it. At last its connection is closed, as by a broker that shuts down."""

    name = "confirm swallowed"
    point = Confirmed
    finds = frozenset({Find.RECOVERED})
    of_copies = False
    traffic = Traffic.GIVEN_UP

    def suits(self, case: Confirmed) -> bool:
        """Only what is taken."""
        return super().suits(case) and not case.nack

    def tell(self, case: Confirmed) -> Identity:
        """Say nothing, and end the connection once its client waits for nothing else."""
        session, before = case.session, -1

        def look() -> None:
            nonlocal before
            if session.over:
                return
            if session.publishes == before and session.waits_in_vain():
                session.close("CONNECTION_FORCED - shutting down")
                return
            before = session.publishes
            session.liar.later(LOOK_EVERY_S, look)

        session.never_confirm(case)
        session.liar.later(LOOK_EVERY_S, look)
        return identity_of(case)
