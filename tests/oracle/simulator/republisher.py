"""A worker that publishes what it gets once more, to another queue, with the headers of the delivery."""

from __future__ import annotations

from dataclasses import dataclass

from harness.history.records import Flag, Kind
from tests.oracle.simulator.broker import Broker
from tests.oracle.simulator.recorder import Recorder
from tests.oracle.simulator.truth import Copy, Instance
from tests.oracle.simulator.worker import Delivery, Worker, WorkerSettings
from tests.oracle.simulator.world import World


@dataclass(frozen=True)
class Onward:
    """Where it publishes to."""

    route: str
    exchange: str
    key: str


class Republisher(Worker):
    """Acknowledges a delivery once what it published instead is confirmed. Its messages are its own: another publisher's, for the run."""

    def __init__(
        self,
        world: World,
        broker: Broker,
        name: str,
        number: int,
        settings: WorkerSettings,
        queues: tuple[str, ...],
        *,
        onward: Onward,
        publisher: int,
    ) -> None:
        super().__init__(world, broker, name, number, settings, queues)
        self.onward, self.publisher = onward, publisher
        self.published = 0
        self.tags = 0
        self.sent: list[Recorder] = []

    def start(self) -> None:
        """Begin an incarnation, with a log of what it publishes beside that of what it gets."""
        route = (self.onward.route,)
        name = f"{self.name}-onward"
        self.sent.append(Recorder(self.world, "publisher", name, self.publisher, self.incarnation + 1, route))
        super().start()

    def connected(self) -> None:
        self.tags = 0
        self.sent[-1].write(Kind.CONNECTED, publisher=self.publisher, connection=self.connection, arg=1000)

    def disconnected(self) -> None:
        self.sent[-1].write(Kind.CONNECTION_LOST, publisher=self.publisher, connection=self.connection, arg=320)

    def succeed(self, delivery: Delivery) -> None:
        """The work is to publish; it is done when that is confirmed."""
        link = self.link
        if link is None or not self.settles(delivery):
            return
        self.tags += 1
        tag, seq, connection = self.tags, self.published, self.connection
        self.published += 1
        carried = delivery.deaths.path if delivery.deaths is not None else ()
        self.sent[-1].write(
            Kind.PUBLISHED,
            seq=seq,
            tag=tag,
            arg=len(carried),
            publisher=self.publisher,
            attempt=1,
            connection=connection,
            flags=Flag.PERSISTENT,
        )
        message = Instance(Copy(self.publisher, seq, ""), 1, self.onward.key, persistent=True)
        message.deaths = list(reversed(carried))
        message.first_death = delivery.deaths.first_queue if delivery.deaths is not None else ""
        message.carried = len(carried)

        def confirmed(_refused: bool) -> None:
            link.wire.down(self.mine(lambda: self._confirmed(delivery, tag, connection)))

        link.wire.up(
            lambda: self.broker.publish(
                message, self.onward.exchange, mandatory=False, returned=lambda: None, settle=confirmed
            )
        )

    def _confirmed(self, delivery: Delivery, tag: int, connection: int) -> None:
        self.sent[-1].write(Kind.CONFIRMED, tag=tag, arg=1, publisher=self.publisher, connection=connection)
        super().succeed(delivery)
