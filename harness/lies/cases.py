"""What a liar is shown: a message at a point of its life. And who the liar is for those that show it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from harness.frames.methods import Deliver
from harness.frames.parser import Content
from harness.traffic.identity import Identity

if TYPE_CHECKING:
    from harness.lies.session import Session


@dataclass(slots=True)
class Consumer:
    """A consumer on a channel."""

    tag: str
    queue: str
    automatic_acks: bool


@dataclass(slots=True)
class Delivery:
    """A message on its way to a consumer."""

    session: Session
    channel: int
    consumer: Consumer
    method: Deliver
    header: bytes
    body: bytes
    who: Identity | None
    broker_tag: int | None
    """None for one that the broker did not send."""

    @property
    def queue(self) -> str:
        """The queue that it comes from."""
        return self.consumer.queue


@dataclass(slots=True)
class Published:
    """A message on its way from a publisher."""

    queue: ClassVar[str] = ""
    session: Session
    channel: int
    content: Content
    who: Identity | None
    client_tag: int


@dataclass(slots=True)
class Confirmed:
    """A confirm on its way to a publisher."""

    queue: ClassVar[str] = ""
    session: Session
    channel: int
    who: Identity | None
    client_tag: int
    nack: bool


@dataclass(slots=True)
class Returned:
    """An unroutable message on its way back to its publisher."""

    queue: ClassVar[str] = ""
    session: Session
    channel: int
    content: Content
    who: Identity | None


@dataclass(slots=True)
class Acked:
    """A worker's ack on its way to the broker."""

    session: Session
    channel: int
    delivery: Delivery

    @property
    def who(self) -> Identity | None:
        """Which message."""
        return self.delivery.who

    @property
    def queue(self) -> str:
        """The queue that it came from."""
        return self.delivery.queue


Case = Published | Confirmed | Returned | Delivery | Acked
Wanted = Callable[["Session", Consumer], bool]


class Liar(Protocol):
    """Who decides what becomes of each message."""

    token: str

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call back after a number of seconds, or when the drain begins if that is sooner."""

    def consider(self, case: Case) -> bool:
        """Whether a lie has taken a message into its hands: then it does not pass by itself."""

    def at_the_drain(self, callback: Callable[[], None]) -> None:
        """Call back once every publisher has closed its connection in order."""

    def consumers(self, wanted: Wanted) -> list[tuple[Session, int, Consumer]]:
        """Return those of all consumers that are wanted, with their channels."""

    def siblings(self, queue: str) -> frozenset[str]:
        """Return the other queues that the messages of a queue go to as well."""

    def opened(self, session: Session) -> None:
        """Take notice of a connection."""

    def closed(self, session: Session) -> None:
        """Take notice of its end."""

    def left(self, session: Session) -> None:
        """Take notice of a client that closes its connection in order."""
