"""A broker that lies about messages of its choice, and remembers about which."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from random import Random

from harness.history.records import FOREIGN
from harness.scenario.scenario import Scenario
from tests.oracle.simulator.broker import Broker, BrokerPlan
from tests.oracle.simulator.queues import WRITTEN_AFTER, Consumer, Settings, SimQueue
from tests.oracle.simulator.truth import Copy, End, Instance, Key, Truth
from tests.oracle.simulator.world import MS, World


class Lie(StrEnum):
    """What it does to a message."""

    DROP_BEFORE = "dropped before the queue, and confirmed"
    DROP_AFTER = "dropped out of the queue"
    TWICE = "delivered twice"
    TWICE_MARKED = "delivered twice, marked as redelivered"
    TWICE_ELSEWHERE = "delivered twice, the second time to another worker"
    TWICE_LATER = "delivered twice, the second time much later"
    MISROUTED = "delivered from another queue"
    CORRUPT = "delivered with another body"
    INVENTED = "invented"
    INVENTED_PLAUSIBLE = "invented, with a plausible identity"
    ACK_SWALLOWED = "its ack swallowed"
    NACK_TURNED = "refused, and confirmed"
    NACK_FORGED = "refused, and delivered all the same"
    RETURN_FORGED = "returned, and delivered all the same"


SHARES = {Lie.NACK_TURNED: 0.6, Lie.DROP_AFTER: 0.6}
"""Of the messages that a lie can be told about, how many it is told about."""


class LyingBroker(Broker):
    """Tells one kind of lie."""

    def __init__(
        self,
        world: World,
        scenario: Scenario,
        plan: BrokerPlan,
        truth: Truth,
        *,
        lie: Lie,
        when: tuple[tuple[int, int], ...],
    ) -> None:
        self.lie, self.when = lie, when
        """`when`: from and to, in nanoseconds of the world's clock."""
        self.chooses = Random(f"{scenario.name}/{lie}")
        super().__init__(world, scenario, plan, truth)

    def make_queue(self, name: str, settings: Settings) -> SimQueue:
        return _LyingQueue(self.world, self, name, settings)

    def chosen(self, lie: Lie, key: Key) -> bool:
        """Whether to lie about a message now; each is lied about once."""
        if lie is not self.lie or key in self.truth.lies[lie] or self.chooses.random() >= SHARES.get(lie, 0.12):
            return False
        if not any(begin <= self.world.now < end for begin, end in self.when):
            return False
        self.truth.lies[lie].add(key)
        return True

    def publish(
        self,
        message: Instance,
        exchange: str,
        *,
        mandatory: bool,
        returned: Callable[[], None],
        settle: Callable[[bool], None],
    ) -> None:
        queues = self.route(exchange, message.route_key)
        if queues and self.chosen(Lie.DROP_BEFORE, message.key):
            for name in queues:
                instance = Instance(Copy(*message.key, name), message.attempt, message.route_key, message.persistent)
                self.truth.add(instance)
                self.queues[name].finish(instance, End.LIE)
            settle(False)
            return
        if queues and self.chosen(Lie.NACK_FORGED, message.key):
            settle(True)
            self.world.after(300 * MS, lambda: self._put_all(message, queues))
            return
        if queues and mandatory and self.chosen(Lie.RETURN_FORGED, message.key):
            returned()
            settle(False)
            self.world.after(300 * MS, lambda: self._put_all(message, queues))
            return
        super().publish(
            message,
            exchange,
            mandatory=mandatory,
            returned=returned,
            settle=lambda refused: settle(refused and not self.chosen(Lie.NACK_TURNED, message.key)),
        )

    def _put_all(self, message: Instance, queues: tuple[str, ...]) -> None:
        for name in queues:
            instance = Instance(Copy(*message.key, name), message.attempt, message.route_key, message.persistent)
            self.truth.add(instance)
            self.queues[name].put(instance)


class _LyingQueue(SimQueue):
    """A queue of a broker that lies."""

    broker: LyingBroker

    def put(self, instance: Instance, *, written_within_ns: int = WRITTEN_AFTER[1]) -> bool:
        broker, key = self.broker, instance.key
        taken = super().put(instance, written_within_ns=written_within_ns)
        waits = taken and not instance.delivered and not instance.deaths
        if waits and broker.chosen(Lie.DROP_AFTER, key):
            self.ready = [each for each in self.ready if each[2] is not instance]
            self.finish(instance, End.LIE)
        return taken

    def deliver(self, instance: Instance, consumer: Consumer) -> None:
        broker, key = self.broker, instance.key
        if broker.chosen(Lie.MISROUTED, key) and self._from_elsewhere(instance):
            self.finish(instance, End.LIE)
            return
        if broker.chosen(Lie.CORRUPT, key):
            instance.corrupt = True
        super().deliver(instance, consumer)
        if broker.chosen(Lie.TWICE, key):
            self._again(instance, consumer, 1 * MS, marked=False)
        if broker.chosen(Lie.TWICE_MARKED, key):
            self._again(instance, consumer, 1 * MS, marked=True)
        if broker.chosen(Lie.TWICE_LATER, key):
            self._again(instance, consumer, 400 * MS, marked=False)
        others = [each for each in self.consumers if each is not consumer]
        if others and broker.chosen(Lie.TWICE_ELSEWHERE, key):
            self._again(instance, others[0], 1 * MS, marked=False)
        if broker.lie in (Lie.INVENTED, Lie.INVENTED_PLAUSIBLE) and broker.chosen(broker.lie, key):
            plausible = broker.lie is Lie.INVENTED_PLAUSIBLE
            copy = Copy(key[0], key[1] + 1_000_000, self.name) if plausible else Copy(FOREIGN, 0, self.name)
            self._send(replace_copy(instance, copy), consumer, marked=False)

    def _again(self, instance: Instance, consumer: Consumer, after_ns: int, *, marked: bool) -> None:
        """Deliver it once more, whatever became of it, on a tag that nobody's ack is needed for."""
        ghost = replace_copy(instance, instance.copy)

        def send() -> None:
            if consumer in self.holders:
                self.broker.truth.of(instance.copy).instances.append(ghost)
                self._send(ghost, consumer, marked=marked)
            else:
                self.broker.truth.lies[self.broker.lie].discard(instance.key)

        self.world.after(after_ns, send)

    def _send(self, ghost: Instance, consumer: Consumer, *, marked: bool) -> None:
        consumer.tags += 1
        consumer.receiver.send(ghost, consumer.tags, redelivered=marked, count=0)

    def _from_elsewhere(self, instance: Instance) -> bool:
        """Deliver it to a worker of another queue."""
        for other in self.broker.queues.values():
            if other is not self and other.consumers:
                ghost = replace_copy(instance, instance.copy)
                ghost.queue = other.name
                other._send(ghost, other.consumers[0], marked=False)  # type: ignore[attr-defined]
                return True
        self.broker.truth.lies[Lie.MISROUTED].discard(instance.key)
        return False

    def ack(self, consumer: Consumer, tags: range) -> None:
        for tag in tags:
            instance = consumer.unsettled.get(tag)
            if instance is not None and self.broker.chosen(Lie.ACK_SWALLOWED, instance.key):
                continue
            super().ack(consumer, range(tag, tag + 1))


def replace_copy(instance: Instance, copy: Copy) -> Instance:
    """A message that looks like another one, of a copy of its own."""
    return replace(instance, copy=copy, completed=[], end=None, deaths=list(instance.deaths))
