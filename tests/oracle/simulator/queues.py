"""A queue of the simulated broker, classic or quorum."""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from tests.oracle.simulator.truth import Copy, End, Instance
from tests.oracle.simulator.world import MS, US, Act, S, World

if TYPE_CHECKING:
    from tests.oracle.simulator.broker import Broker

Value = str | int | float | bool
BODY_BYTES = 256
"""Size of every body: what publishers send where a scenario says nothing else."""


@dataclass(frozen=True)
class Settings:
    """What is in force on a queue, whoever set it."""

    type: str = "classic"
    durable: bool = True
    max_length: int | None = None
    overflow: str = "drop-head"
    ttl_ns: int | None = None
    target: str | None = None
    """The dead letter exchange; None without one."""
    target_key: str | None = None
    at_least_once: bool = False
    delivery_limit: int | None = None
    expires_ns: int | None = None
    single_active: bool = False

    @property
    def strategy(self) -> str:
        return "disabled" if self.target is None else ("at_least_once" if self.at_least_once else "at_most_once")


def in_force(
    arguments: Mapping[str, Value], policy: Mapping[str, Value], *, durable: bool, limit: int | None
) -> Settings:
    """Put a declaration and a policy together: the smaller of two limits, else the argument; of messages and bytes the tighter one."""

    def either(name: str) -> Any:
        return arguments.get(f"x-{name}", policy.get(name))

    def least(name: str) -> int | None:
        given = [int(value) for value in (arguments.get(f"x-{name}"), policy.get(name)) if value is not None]
        return min(given) if given else None

    kind = str(arguments.get("x-queue-type", "classic"))
    size = least("max-length-bytes")
    lengths = [each for each in (least("max-length"), None if size is None else size // BODY_BYTES) if each is not None]
    ttl, expires = least("message-ttl"), least("expires")
    limits = least("delivery-limit")
    quorum = kind == "quorum"
    return Settings(
        type=kind,
        durable=durable or quorum,
        max_length=min(lengths, default=None),
        overflow=str(either("overflow") or "drop-head"),
        ttl_ns=None if ttl is None else ttl * MS,
        target=either("dead-letter-exchange"),
        target_key=either("dead-letter-routing-key"),
        at_least_once=quorum
        and either("dead-letter-strategy") == "at-least-once"
        and either("overflow") == "reject-publish",
        delivery_limit=(limit if limits is None else limits) if quorum else None,
        expires_ns=None if expires is None else expires * MS,
        single_active=bool(arguments.get("x-single-active-consumer", False)),
    )


WRITTEN_AFTER = (200 * US, 3 * MS)
"""When a message, or its ack, is on disk."""
DEAD_LETTER_WRITTEN_WITHIN = (5 * MS, 50 * MS, 500 * MS, 3 * S)
"""One of these is how long a dead letter may take in a classic queue: nobody waits for it."""


class Receiver(Protocol):
    """Who consumes."""

    def send(self, instance: Instance, tag: int, *, redelivered: bool, count: int) -> None:
        """Put a delivery on the wire."""

    def cancelled(self, queue: str) -> None:
        """Say that the consumer is gone with its queue."""


@dataclass(eq=False)
class Consumer:
    """A consumer as the broker sees it; it has a channel of its own."""

    receiver: Receiver
    prefetch: int
    automatic: bool
    foreign: bool = False
    node: int = 0
    unsettled: dict[int, Instance] = field(default_factory=dict)
    tags: int = 0

    @property
    def has_room(self) -> bool:
        return self.automatic or not self.prefetch or len(self.unsettled) < self.prefetch


class SimQueue:
    """Messages in their order, and who gets them."""

    def __init__(self, world: World, broker: Broker, name: str, settings: Settings) -> None:
        self.world, self.broker, self.name, self.settings = world, broker, name, settings
        self.home = 0
        """The number of the node that it, or its leader, is on."""
        self.led_ns = 0
        """From when on a quorum queue has a leader."""
        self.ready: list[tuple[float, int, Instance]] = []
        self.held: list[Instance] = []
        """Dead, and kept until their target takes them."""
        self.consumers: list[Consumer] = []
        self.holders: list[Consumer] = []
        """Those that may hold messages: consumers, and cancelled ones on a channel that is still open."""
        self.acked: list[tuple[int, Instance]] = []
        """Acks that may not be on disk yet."""
        self.exists = True
        self.removed = False
        """Whether it is not there because it was deleted, or has expired."""
        self._next_position = 0
        self._unused_since = 0
        self.touch()

    # What comes in.

    @property
    def full(self) -> bool:
        """Whether it refuses: a quorum queue does from one message over its limit on."""
        limit = self.settings.max_length
        return limit is not None and len(self.ready) >= limit + (self.settings.type == "quorum")

    def put(self, instance: Instance, *, written_within_ns: int = WRITTEN_AFTER[1]) -> bool:
        """Take a message; False if the queue refuses it."""
        settings = self.settings
        if settings.overflow != "drop-head" and self.full and not (self._room() and not self.ready):
            if settings.overflow == "reject-publish-dlx":
                instance.queue = self.name
                self.die(instance, "maxlen")
            return False
        self._next_position += 1
        instance.queue, instance.position = self.name, self._next_position
        instance.redelivered, instance.delivery_count = False, 0
        instance.written = not instance.persistent and settings.type == "classic"
        if settings.ttl_ns is not None:
            instance.expires_ns = self.world.now + settings.ttl_ns
            self.world.at(instance.expires_ns, self.pump)
        else:
            instance.expires_ns = None
        self._insert(instance)
        written_ns = self.world.between(WRITTEN_AFTER[0], written_within_ns)
        place = instance.place
        self.world.after(written_ns, lambda: instance.write(place))
        self.pump()
        return True

    def requeue(self, instances: list[Instance], *, counts: bool = True) -> None:
        """Put back what was delivered and not settled, where it was."""
        for instance in instances:
            instance.redelivered = True
            if self.settings.type == "quorum" and counts:
                instance.delivery_count += 1
                limit = self.settings.delivery_limit
                if limit is not None and instance.delivery_count > limit:
                    self.die(instance, "delivery_limit")
                    continue
            self._insert(instance)
            if instance.expires_ns is not None:
                self.world.at(instance.expires_ns, self.pump)
        self.pump()

    def _insert(self, instance: Instance) -> None:
        insort(self.ready, (instance.position, id(instance), instance))

    # What goes out.

    def pump(self) -> None:
        """Let go what is due: what has expired at the head, what consumers have room for, what the limit does not allow."""
        if not self.broker.serves(self):
            return
        while True:
            self._expire()
            consumer = self._room() if self.ready else None
            if consumer is None:
                break
            self.deliver(self.ready.pop(0)[2], consumer)
        if self.settings.overflow == "drop-head" and self.settings.max_length is not None:
            while len(self.ready) > self.settings.max_length:
                self.die(self.ready.pop(0)[2], "maxlen")

    def _expire(self) -> None:
        while self.ready and (due := self.ready[0][2].expires_ns) is not None and due <= self.world.now:
            self.die(self.ready.pop(0)[2], "expired")

    def _room(self) -> Consumer | None:
        """The next consumer in turn that has room."""
        able = self.consumers[:1] if self.settings.single_active else self.consumers
        for consumer in able:
            if consumer.has_room:
                if not self.settings.single_active:
                    self.consumers.remove(consumer)
                    self.consumers.append(consumer)
                return consumer
        return None

    def deliver(self, instance: Instance, consumer: Consumer) -> None:
        consumer.tags += 1
        tag = consumer.tags
        if consumer.automatic:
            self.finish(instance, End.FOREIGN if consumer.foreign else End.SETTLED)
        else:
            consumer.unsettled[tag] = instance
        instance.delivered += 1
        consumer.receiver.send(instance, tag, redelivered=instance.redelivered, count=instance.delivery_count)

    # Consumers.

    def consume(self, consumer: Consumer) -> None:
        self.consumers.append(consumer)
        self.holders.append(consumer)
        self.touch()
        self.pump()

    def forget(self, consumer: Consumer, *, counts: bool = True) -> None:
        """A consumer is gone: what it held comes back."""
        if consumer not in self.holders:
            return
        self.holders.remove(consumer)
        if consumer in self.consumers:
            self.consumers.remove(consumer)
        back = list(consumer.unsettled.values())
        consumer.unsettled.clear()
        self.touch()
        self.requeue(back, counts=counts)

    def cancel(self, consumer: Consumer) -> None:
        """No more deliveries; what is held may still be settled."""
        if consumer in self.consumers:
            self.consumers.remove(consumer)
            self.touch()
            self.pump()

    def ack(self, consumer: Consumer, tags: range) -> None:
        for tag in tags:
            instance = consumer.unsettled.pop(tag, None)
            if instance is not None:
                self.finish(instance, End.FOREIGN if consumer.foreign else End.SETTLED)
                self.acked = [(at, each) for at, each in self.acked if self.world.now - at < WRITTEN_AFTER[1]]
                self.acked.append((self.world.now, instance))
        self.pump()

    def reject(self, consumer: Consumer, tag: int, *, requeue: bool) -> None:
        instance = consumer.unsettled.pop(tag, None)
        if instance is None:
            return
        if requeue:
            self.requeue([instance])
        else:
            self.die(instance, "rejected")
        self.pump()

    def touch(self) -> None:
        """The queue is used: an unused one expires, if it has a time for that."""
        if self.settings.expires_ns is None:
            return
        self._unused_since = now = self.world.now
        self.world.after(self.settings.expires_ns, lambda: self._expire_itself(now))

    def _expire_itself(self, since: int) -> None:
        if self.broker.serves(self) and self._unused_since == since and not self.consumers:
            self.delete(None)

    # Ends.

    def finish(self, instance: Instance, end: End, fault: int | None = None) -> None:
        instance.end, instance.end_queue, instance.end_ns, instance.fault = end, self.name, self.world.now, fault

    def delete(self, fault: int | None) -> None:
        """The queue is gone with all that is in it."""
        self.exists, self.removed = False, True
        consumers, self.consumers = self.consumers, []
        holders, self.holders = self.holders, []
        for holder in holders:
            for instance in holder.unsettled.values():
                self.finish(instance, End.DELETED, fault)
            holder.unsettled.clear()
        for consumer in consumers:
            consumer.receiver.cancelled(self.name)
        self._empty(End.DELETED, fault)

    def purge(self, fault: int | None) -> int:
        return self._empty(End.PURGED, fault)

    def _empty(self, end: End, fault: int | None) -> int:
        count = len(self.ready)
        for _, _, instance in self.ready:
            self.finish(instance, end, fault)
            self.broker.truth.removed[self.name] += 1
        self.ready.clear()
        return count

    # Deaths.

    def die(self, instance: Instance, reason: str) -> None:
        """Take a message out of the queue for a reason, to its targets if there are any."""
        settings, broker = self.settings, self.broker
        broker.truth.deaths[self.name, reason] += 1
        broker.count(self, f"{settings.type}/{settings.strategy}/{reason}")
        ends = {
            "expired": End.EXPIRED,
            "maxlen": End.LENGTH,
            "delivery_limit": End.DELIVERY_LIMIT,
            "rejected": End.REJECTED,
        }
        if settings.target is None:
            self.finish(instance, ends[reason])
            return
        if instance.carried and not broker.plan.version.startswith("3"):
            instance.deaths, instance.first_death = [], ""  # from 4.0 on what a client puts there is not gone on with
        instance.carried = 0
        instance.first_death = instance.first_death or self.name
        same = [each for each in instance.deaths if each[:2] == (self.name, reason)]
        others = [each for each in instance.deaths if each[:2] != (self.name, reason)]
        instance.deaths = [(self.name, reason, (same[0][2] if same else 0) + 1), *others]
        key = instance.route_key if settings.target_key is None else settings.target_key
        broker.under_way += 1
        self.world.after(self.world.between(1_000, 100_000), lambda: self._lead_on(instance, reason, key))

    def _lead_on(self, instance: Instance, reason: str, key: str) -> None:
        self.broker.under_way -= 1
        self._go_on(instance, reason, key)

    def _go_on(self, instance: Instance, reason: str, key: str) -> None:
        if not self.broker.serves(self):
            if self.settings.at_least_once:
                self._hold(instance, lambda: self._go_on(instance, reason, key))
            else:
                self.finish(instance, End.BROKER, self.broker.last_fault)
            return
        assert self.settings.target is not None
        targets = self.broker.bound(self.settings.target, key, ())
        if len(targets) == 1:
            instance.route_key = key
            self._arrive(instance, reason, targets[0])
            return
        if not targets:
            self.finish(instance, End.NOWHERE)
            return
        self.finish(instance, End.BRANCHED)
        for target in targets:
            copy = Copy(*instance.key, instance.copy.first, (*instance.copy.branches, target))
            branch = Instance(
                copy, instance.attempt, key, instance.persistent, list(instance.deaths), instance.first_death
            )
            branch.corrupt = instance.corrupt
            self.broker.truth.add(branch)
            self._arrive(branch, reason, target)

    def _arrive(self, instance: Instance, reason: str, target: str) -> None:
        """Put what died into a target, unless it would go round without ever having been rejected.

        At most once, nobody hears of it if the target has no leader, or its node is down; at least once, it is kept until it is confirmed.
        """
        there, kept = self.broker.queues[target], self.settings.at_least_once
        if not there.exists and not kept:
            self.finish(instance, End.NOWHERE)
            return
        if reason != "rejected" and self._goes_round(instance, target):
            self.finish(instance, End.CYCLE)
            return
        if not self.broker.serves(there):
            if kept:
                self._hold(instance, lambda: self._arrive(instance, reason, target))
            else:
                self.finish(instance, End.BROKER, self.broker.last_fault)
            return
        written_within_ns = WRITTEN_AFTER[1]
        if there.settings.type == "classic":
            written_within_ns = self.world.random.choice(DEAD_LETTER_WRITTEN_WITHIN)
        if there.put(instance, written_within_ns=written_within_ns):
            instance.written |= kept  # else it would be sent again
        elif kept:
            self._hold(instance, lambda: self._arrive(instance, reason, target))
        elif there.settings.overflow != "reject-publish-dlx":
            self.finish(instance, End.REFUSED)

    def _hold(self, instance: Instance, go_on: Act) -> None:
        """Keep it, and try again after a while."""
        instance.queue = self.name
        self.held.append(instance)

        def try_again() -> None:
            if instance in self.held:
                self.held.remove(instance)
                if self.broker.serves(self):
                    go_on()
                else:
                    self._hold(instance, go_on)

        self.world.after(50 * MS, try_again)

    @staticmethod
    def _goes_round(instance: Instance, target: str) -> bool:
        """Whether it was in the target before, and nobody has rejected it since."""
        for place, (queue, _, _) in enumerate(instance.deaths):
            if queue == target:
                return all(reason != "rejected" for _, reason, _ in instance.deaths[: place + 1])
        return False
