"""Messages that are not what was published, or not where."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from harness.frames.properties import with_message_id
from harness.lies.cases import Delivery, Wanted
from harness.lies.kinds.base import Find, Lie, again, identity_of
from harness.lies.scene import Place
from harness.traffic import identity
from harness.traffic.identity import Identity

INVENTED_FROM: Final = 1_000_000
"""Sequence numbers that no publisher comes to."""


class Corrupted(Lie[Delivery]):
    """A body that is not the one that was published."""

    name = "corrupted"
    point = Delivery
    finds = frozenset({Find.CORRUPT})
    may_find = frozenset({Find.LOST})  # it was never done intact

    def tell(self, case: Delivery) -> Identity:
        """Flip a bit."""
        case.session.deliver(case, body=bytes([case.body[0] ^ 1]) + case.body[1:])
        return identity_of(case)


class Invented(Lie[Delivery]):
    """A message that nobody published, and that claims nothing."""

    name = "invented, without an identity"
    point = Delivery
    finds = frozenset({Find.PHANTOM})

    def tell(self, case: Delivery) -> None:
        """Deliver it after another one."""
        case.session.deliver(case)
        invented = replace(again(case), header=with_message_id(case.header, None), who=None)
        case.session.deliver(invented, redelivered=False)


class InventedWithIdentity(Lie[Delivery]):
    """A message that nobody published, and that looks like one of the run's."""

    name = "invented, with an identity of the run"
    point = Delivery
    finds = frozenset({Find.PHANTOM})

    def tell(self, case: Delivery) -> Identity:
        """Deliver it after another one."""
        case.session.deliver(case)
        who = identity_of(case)._replace(seq=INVENTED_FROM + identity_of(case).seq)
        text = identity.encode(case.session.liar.token, who.publisher, who.seq, who.attempt, case.body)
        invented = replace(again(case), header=with_message_id(case.header, text), who=who)
        case.session.deliver(invented, redelivered=False)
        return who


class FromAnotherQueue(Lie[Delivery]):
    """A message is delivered to a worker of a queue that it was never in, and to nobody else."""

    name = "delivered from another queue"
    point = Delivery
    finds = frozenset({Find.MISROUTED})
    may_find = frozenset({Find.LOST})  # of the queue that it was in

    def suits(self, case: Delivery) -> bool:
        """Only while there is a worker of another queue."""
        return super().suits(case) and bool(case.session.liar.consumers(_strangers(case)))

    def tell(self, case: Delivery) -> Identity:
        """Acknowledge it to the broker and give it to a worker of another queue."""
        receiver = case.session.liar.consumers(_strangers(case))[0]
        case.session.acknowledge(case)
        receiver[0].deliver(again(case, to=receiver))
        return identity_of(case)


class FromASibling(Lie[Delivery]):
    """A copy is delivered to a worker of the queue that another copy is in: one is done twice, and the other one never."""

    name = "delivered from a sibling's queue"
    point = Delivery
    finds = frozenset({Find.LOST, Find.DUPLICATE})

    def fits(self, place: Place) -> bool:
        """Only where messages go to several queues."""
        return super().fits(place) and len(place.queues) > 1

    def suits(self, case: Delivery) -> bool:
        """Only while there is such a worker."""
        return super().suits(case) and bool(case.session.liar.consumers(_siblings(case)))

    def tell(self, case: Delivery) -> Identity:
        """Acknowledge it to the broker and give it to the other worker."""
        receiver = case.session.liar.consumers(_siblings(case))[0]
        case.session.acknowledge(case)
        receiver[0].deliver(again(case, to=receiver))
        return identity_of(case)


def _strangers(case: Delivery) -> Wanted:
    related = {case.queue, *case.session.liar.siblings(case.queue)}
    return lambda _session, consumer: consumer.queue not in related


def _siblings(case: Delivery) -> Wanted:
    siblings = case.session.liar.siblings(case.queue)
    return lambda _session, consumer: consumer.queue in siblings
