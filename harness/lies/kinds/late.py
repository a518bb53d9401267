"""Messages that were refused, and come back to life during the drain."""

from __future__ import annotations

from typing import Final

from harness.frames.methods import Deliver, decode_publish
from harness.lies.cases import Delivery, Published, Returned
from harness.lies.kinds.base import Find, Lie, identity_of
from harness.lies.scene import Traffic
from harness.traffic.identity import Identity


class NackedAndDelivered(Lie[Published]):
    """A message is refused (nacked), and delivered to a worker of its queue during the drain."""

    name = "nacked, and delivered during the drain"
    point = Published
    finds = frozenset({Find.RESURRECTED})
    of_copies = False
    traffic = Traffic.GIVEN_UP

    def tell(self, case: Published) -> Identity:
        """Refuse it, and keep it."""
        case.session.confirm(case, nack=True)
        publish = decode_publish(case.content.arguments)
        _deliver_at_the_drain(case, publish.exchange, publish.routing_key)
        return identity_of(case)


class ReturnedAndDelivered(Lie[Published]):
    """A message is returned, and delivered to a worker of its queue during the drain."""

    name = "returned, and delivered during the drain"
    point = Published
    finds = frozenset({Find.RESURRECTED})
    of_copies = False
    traffic = Traffic.GIVEN_UP

    def tell(self, case: Published) -> Identity:
        """Return it, confirm it as a broker does, and keep it."""
        case.session.give_back(case)
        case.session.confirm(case)
        publish = decode_publish(case.content.arguments)
        _deliver_at_the_drain(case, publish.exchange, publish.routing_key)
        return identity_of(case)


class UnroutableAndDelivered(Lie[Returned]):
    """An unroutable message is returned by the broker itself, and delivered to some worker during the drain."""

    name = "unroutable, and delivered during the drain"
    point = Returned
    finds = frozenset({Find.MISROUTED})
    may_find = frozenset({Find.RESURRECTED})
    of_copies = False
    traffic = Traffic.UNROUTABLE

    def tell(self, case: Returned) -> Identity:
        """Return it, and keep it."""
        case.session.give_back(case)
        _deliver_at_the_drain(case, "", "")
        return identity_of(case)


AGAIN_S: Final = 0.05


def _deliver_at_the_drain(case: Published | Returned, exchange: str, routing_key: str) -> None:
    liar = case.session.liar

    def deliver() -> None:
        everyone = liar.consumers(lambda _session, _consumer: True)
        there = [each for each in everyone if each[2].queue == routing_key] or everyone
        for session, channel, consumer in there[:1]:
            method = Deliver(consumer.tag, 0, False, exchange, routing_key)
            late = Delivery(session, channel, consumer, method, case.content.header, case.content.body, case.who, None)
            session.deliver(late)
            return
        liar.later(AGAIN_S, deliver)  # every worker is away

    liar.at_the_drain(deliver)
