"""A worker, as an actor in virtual time that records what the harness's workers record."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from harness.history.records import AckMode, Death, Flag, Kind
from tests.oracle.simulator.broker import Broker, Link
from tests.oracle.simulator.queues import Consumer
from tests.oracle.simulator.recorder import Recorder
from tests.oracle.simulator.truth import Instance
from tests.oracle.simulator.world import MS, World

Failing = Literal["reject", "requeue", "crash"]


@dataclass(frozen=True)
class WorkerSettings:
    queue: str
    acks: AckMode
    prefetch: int
    work_ns: tuple[int, int]
    """Shortest and longest."""
    every: int = 0
    """Every so many messages of a publisher fail; 0 for none."""
    fails: Failing = "reject"
    first_delivery_only: bool = False
    back_after_ns: int = 20 * MS


@dataclass(eq=False)
class Delivery:
    instance: Instance
    tag: int
    connection: int
    redelivered: bool
    deaths: Death | None


class Worker:
    """One worker, over all its incarnations."""

    def __init__(
        self, world: World, broker: Broker, name: str, number: int, settings: WorkerSettings, queues: tuple[str, ...]
    ) -> None:
        self.world, self.broker, self.name, self.number, self.settings = world, broker, name, number, settings
        self.queues = queues
        self.crashed: Callable[[Worker], None] = lambda _worker: None
        self.incarnation = 0
        self.alive = False
        self.paused = False
        self.stopping = False
        self.logs: list[Recorder] = []
        self.waiting: deque[Delivery] = deque()
        self.busy = False
        self.link: Link | None = None
        self.consumer: Consumer | None = None
        self.connection = 0
        self.node = number - 2
        """Which node it was connected to last; the next one is tried after it."""

    # Life.

    def start(self) -> None:
        self.incarnation += 1
        self.alive, self.busy, self.connection, self.stopping = True, False, 0, False
        self.waiting.clear()
        self.logs.append(Recorder(self.world, "worker", self.name, self.number, self.incarnation, self.queues))
        self._connect()

    def kill(self) -> None:
        if not self.alive:
            return
        self.alive = False
        if self.link is not None:
            self.broker.drop(self.link, client_lives=False)
        self.link = self.consumer = None
        self.waiting.clear()

    @property
    def log(self) -> Recorder:
        return self.logs[-1]

    @property
    def holds(self) -> int:
        return len(self.waiting) + self.busy

    def mine(self, act: Callable[[], None]) -> Callable[[], None]:
        incarnation = self.incarnation

        def guarded() -> None:
            if self.alive and self.incarnation == incarnation:
                act()

        return guarded

    def _connect(self) -> None:
        if self.stopping:
            return
        self.node += 1
        link = self.broker.connect(f"{self.name}.{self.incarnation}", self.node, self.mine(self._lost))
        if link is None:
            self.world.after(20 * MS, self.mine(self._connect))
            return
        self.link, self.consumer = link, None
        self.connection += 1
        self.log.write(Kind.CONNECTED, connection=self.connection)
        self.connected()
        link.wire.up(self._consume_at_broker)

    def _consume_at_broker(self) -> None:
        link = self.link
        if link is None or link not in self.broker.links or self.consumer is not None:
            return
        settings, connection = self.settings, self.connection
        receiver = _Channel(self, link, connection)

        def consuming() -> None:
            self.log.write(
                Kind.CONSUMING,
                queue=self._index,
                connection=connection,
                attempt=settings.acks,
                arg=settings.prefetch,
            )

        if not self.broker.serves(self.broker.queues[settings.queue]):
            self.world.after(200 * MS, self.mine(self._consume_at_broker))
            return
        link.wire.down(self.mine(consuming))
        self.consumer = self.broker.consume(
            link,
            settings.queue,
            receiver,
            prefetch=settings.prefetch,
            automatic=settings.acks is AckMode.AUTOMATIC,
        )

    def consume_again(self, link: Link) -> None:
        """The consumer was cancelled: try again on the same channel, while it is there."""
        if self.link is link and not self.stopping:
            link.wire.up(self._consume_at_broker)

    @property
    def _index(self) -> int:
        return self.queues.index(self.settings.queue)

    def _lost(self) -> None:
        self.log.write(Kind.CONNECTION_LOST, connection=self.connection, arg=320)
        self.disconnected()
        self.link = self.consumer = None
        if self.settings.acks is AckMode.MANUAL:
            self.waiting.clear()
        self.world.after(self.world.between(1 * MS, 20 * MS), self.mine(self._connect))

    def close_channel(self, text: str) -> None:
        """The broker closes the channel: what is held goes back, and a new connection follows."""
        link, consumer = self.link, self.consumer
        if link is None or consumer is None or not link.wire.open:
            return
        queue = self.broker.queues[self.settings.queue]
        queue.forget(consumer)
        link.wire.down(self.mine(lambda: self._closed(text)))
        self.world.after(1 * MS, lambda: self.broker.leave(link))

    def _closed(self, text: str) -> None:
        self.log.write(Kind.CHANNEL_CLOSED, connection=self.connection, arg=406, queue=self.log.reason(text))
        self.link = self.consumer = None
        if self.settings.acks is AckMode.MANUAL:
            self.waiting.clear()
        self.world.after(self.world.between(1 * MS, 20 * MS), self.mine(self._connect))

    def stop(self) -> None:
        """Take nothing more, finish what is held, settle it, close."""
        self.stopping = True
        link, consumer = self.link, self.consumer
        if link is not None and consumer is not None:
            queue = self.broker.queues[self.settings.queue]
            link.wire.up(lambda: queue.cancel(consumer))

    def finish(self) -> None:
        """End in order, everything settled."""
        if self.alive:
            self.alive = False
            link = self.link
            if link is not None and not link.wire.open:
                self.log.write(Kind.CONNECTION_LOST, connection=self.connection, arg=320)
            self.log.write(Kind.FINISHED, connection=self.connection)
            if link is not None:
                link.wire.up(lambda: self.broker.leave(link))

    # Deliveries.

    def take(
        self,
        instance: Instance,
        tag: int,
        connection: int,
        *,
        queue: str,
        redelivered: bool,
        count: int,
        deaths: Death | None,
    ) -> None:
        """A delivery has come."""
        log, settings = self.log, self.settings
        if self.stopping:
            self._give_back(tag)
            return
        death = log.death(deaths)
        flags = (Flag.REDELIVERED if redelivered else 0) | (Flag.DEAD_LETTERED if death else 0)
        flags |= Flag.CORRUPT if instance.corrupt else 0
        log.write(
            Kind.DELIVERED,
            seq=instance.copy.seq,
            tag=tag,
            publisher=instance.copy.publisher,
            attempt=instance.attempt,
            queue=log.name(queue),
            connection=connection,
            flags=flags,
            death=death,
            arg=count,
        )
        if settings.acks is AckMode.EARLY:
            self._ack(tag)
        self.waiting.append(Delivery(instance, tag, connection, redelivered, deaths))
        self._next()

    def _give_back(self, tag: int) -> None:
        """What comes between the cancel and its answer, the client gives back without a word; with automatic acks it is gone."""
        link, consumer = self.link, self.consumer
        if self.settings.acks is not AckMode.AUTOMATIC and link is not None and consumer is not None:
            queue = self.broker.queues[self.settings.queue]
            link.wire.up(lambda: queue.reject(consumer, tag, requeue=True))

    def _next(self) -> None:
        if self.busy or not self.waiting or self.paused:
            return
        self.busy = True
        delivery = self.waiting.popleft()
        self.world.after(self.world.between(*self.settings.work_ns), self.mine(lambda: self._worked(delivery)))

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False
        self._next()

    def _worked(self, delivery: Delivery) -> None:
        if self.paused:
            self.world.after(1 * MS, self.mine(lambda: self._worked(delivery)))
            return
        self.busy = False
        if self._fails(delivery):
            self._fail(delivery)
        else:
            self.succeed(delivery)
        self._next()

    def succeed(self, delivery: Delivery) -> None:
        """The work is done."""
        if not delivery.instance.corrupt:
            delivery.instance.completed.append((self.name, self.world.now))
        self._record(Kind.COMPLETED, delivery)
        if self.settles(delivery):
            self._ack(delivery.tag)

    def connected(self) -> None:
        """Called when a connection is there."""

    def disconnected(self) -> None:
        """Called when it is lost."""

    def _fails(self, delivery: Delivery) -> bool:
        every = self.settings.every
        if not every or (self.settings.first_delivery_only and delivery.redelivered):
            return False
        return (delivery.instance.copy.seq + 1) % every == 0

    def _fail(self, delivery: Delivery) -> None:
        how = self.settings.fails
        if how == "crash":
            self._record(Kind.CRASHING, delivery)
            self.crashed(self)
            return
        if self.settings.acks is not AckMode.MANUAL:
            self._record(Kind.FAILED, delivery)
            return
        link, consumer = self.link, self.consumer
        if not self.settles(delivery) or link is None or consumer is None:
            return
        requeue = how == "requeue"
        self._record(Kind.REJECTED, delivery, flags=Flag.REQUEUE if requeue else 0)
        queue = self.broker.queues[self.settings.queue]
        link.wire.up(lambda: queue.reject(consumer, delivery.tag, requeue=requeue))

    def settles(self, delivery: Delivery) -> bool:
        return self.settings.acks is AckMode.MANUAL and delivery.connection == self.connection and self.link is not None

    def _ack(self, tag: int) -> None:
        link, consumer = self.link, self.consumer
        self.log.write(Kind.ACKED, tag=tag, arg=1, queue=self._index, connection=self.connection)
        if link is not None and consumer is not None:
            queue = self.broker.queues[self.settings.queue]
            link.wire.up(lambda: queue.ack(consumer, range(tag, tag + 1)))

    def _record(self, kind: Kind, delivery: Delivery, flags: int = 0) -> None:
        instance = delivery.instance
        self.log.write(
            kind,
            seq=instance.copy.seq,
            tag=delivery.tag,
            publisher=instance.copy.publisher,
            attempt=instance.attempt,
            queue=self._index,
            connection=delivery.connection,
            flags=flags,
        )


@dataclass(frozen=True)
class _Channel:
    """Where the broker sends a worker's deliveries to."""

    worker: Worker
    link: Link
    connection: int

    def send(self, instance: Instance, tag: int, *, redelivered: bool, count: int) -> None:
        """Put a delivery on the wire, as it is at this moment."""
        worker = self.worker
        queue = instance.queue
        path = tuple((where, reason, times) for where, reason, times in reversed(instance.deaths))
        deaths = Death(instance.first_death, path) if path else None
        self.link.wire.down(
            worker.mine(
                lambda: worker.take(
                    instance, tag, self.connection, queue=queue, redelivered=redelivered, count=count, deaths=deaths
                )
            )
        )

    def cancelled(self, queue: str) -> None:
        """Say that the queue is gone."""
        worker = self.worker

        def heard() -> None:
            worker.log.write(Kind.CANCELLED, queue=worker.queues.index(queue), connection=self.connection)
            worker.consumer = None
            worker.world.after(200 * MS, worker.mine(lambda: worker.consume_again(self.link)))

        self.link.wire.down(worker.mine(heard))
