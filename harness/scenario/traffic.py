"""Publishers and workers."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, Strict, model_validator

from harness.scenario.base import Form, Many, Model, OneOrMany, with_nothing_set
from harness.scenario.quantities import Duration, Size

Name = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"),
    Form("a name of letters, digits, _ . and -, at most 64, beginning with a letter or digit"),
]

LARGEST_BODY = 512 * 1024**2
"""RabbitMQ accepts no larger message, however it is set up. Source: rabbitmq.conf, max_message_size."""


class Confirms(Model):
    """Publisher confirms with a window."""

    window: Annotated[int, Field(ge=1, le=65535)] = 100
    """Most messages sent and not yet confirmed."""


MessagesPerSecond = Annotated[float, Field(gt=0, le=10_000_000)]


class Rate(Model):
    """A rate, and what becomes of a publisher that could not keep to it."""

    per_second: MessagesPerSecond
    """Messages a second, each publisher."""
    catch_up: bool = False
    """Whether a publisher sends late, and as fast as it can, what a lost or blocked connection, a full window of confirms or its own death
    kept it from sending in time. Message N is due N / per_second after the first one. Otherwise the schedule shifts: a pause of more than
    0.25 s is not made up for."""


class Publishers(Model):
    """A group of publishers that are all alike; each is a process of its own."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"anyOf": [{"required": ["messages"]}, {"required": ["tasks"]}]},
                {"required": ["duration"]},
            ],
            "not": {"required": ["to", "exchange"]},
        }
    )

    name: Name = "publisher"
    """The group's name: its publishers are called publisher-1, publisher-2, ..."""
    count: Annotated[int, Field(ge=1, le=1000)] = 1
    """How many publishers there are."""
    messages: Annotated[int, Field(ge=1, le=4_000_000_000)] | None = None
    """How many messages each of them publishes."""
    tasks: Many[str] = ()
    """The bodies, in order; with `messages` they are repeated, without it each is sent once."""
    duration: Annotated[Duration, Field(gt=0)] | Literal["timeline"] | None = None
    """Publish for so long, instead of a number of messages; `timeline`: until the last step has struck and healed."""
    rate: MessagesPerSecond | Rate | None = None
    """Most messages a second, each publisher: a number, or {per_second: number, catch_up: true} for a schedule that is caught up with after
    an outage. As fast as the broker takes them if not given."""
    body: Annotated[Size, Field(le=LARGEST_BODY)] = 256
    """Size of a body that is not given by `tasks`: pseudo-random bytes."""
    persistent: bool = True
    """Delivery mode 2: the message survives a restart in a durable queue."""
    confirms: Confirms | bool = with_nothing_set(Confirms)
    """Publisher confirms: true, false, or {window: N}."""
    mandatory: bool = False
    """Unroutable messages come back instead of vanishing."""
    unconfirmed: Literal["republish", "drop"] = "republish"
    """What becomes of a message whose confirm never came, or that the broker refused."""
    to: str | Many[str] | None = None
    """The queue or queues (in turn) to send to, through the default exchange; the first queue if not given."""
    exchange: str | None = None
    """Publish to this exchange instead."""
    routing_key: str = ""
    """With `exchange`: the routing key."""

    @model_validator(mode="after")
    def _how_much(self) -> Self:
        given = sum((self.messages is not None or bool(self.tasks), self.duration is not None))
        if given == 0:
            raise ValueError("say how much to publish: messages, tasks or duration")
        if given > 1:
            raise ValueError("duration goes without messages and tasks")
        if self.to is not None and self.exchange is not None:
            raise ValueError("give either `to` (a queue) or `exchange`, not both")
        if self.routing_key and self.exchange is None:
            raise ValueError("routing_key goes with `exchange`; to send to a queue by its name, write `to`")
        if self.to == ():
            raise ValueError("`to` names no queue")
        return self

    @property
    def window(self) -> int | None:
        """The confirm window; None when confirms are off."""
        match self.confirms:
            case Confirms(window=window):
                return window
            case True:
                return Confirms().window
            case _:
                return None

    @property
    def rate_per_s(self) -> float | None:
        """Most messages a second; None for as fast as the broker takes them."""
        return self.rate.per_second if isinstance(self.rate, Rate) else self.rate

    @property
    def catches_up(self) -> bool:
        """Whether it sends late what it could not send in time."""
        return isinstance(self.rate, Rate) and self.rate.catch_up

    @property
    def messages_each(self) -> int | None:
        """How many messages one of them publishes; None when it is a matter of time."""
        return self.messages if self.messages is not None else (len(self.tasks) or None)

    @property
    def actors(self) -> tuple[str, ...]:
        """The names of its publishers."""
        return tuple(f"{self.name}-{number}" for number in range(1, self.count + 1))


class RandomWork(Model):
    """Work that takes a random time, uniform between two durations."""

    random: Annotated[
        tuple[Duration, Duration], Strict(False), Form("the shortest and the longest duration, as in [1ms, 5ms]")
    ]
    """The shortest and the longest duration."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.random[0] > self.random[1]:
            raise ValueError("the first duration must not be the longer one")
        return self


class DotsWork(Model):
    """Work that takes so long for each dot in the body, as in RabbitMQ's work-queue tutorial."""

    per_dot: Duration
    """How long for each dot."""


_CONDITIONS = ("text", "every", "share", "attempts")


class Fails(Model):
    """Deliveries that fail, and how. All the conditions given must hold."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": [condition]} for condition in _CONDITIONS]})

    text: str | None = None
    """The body contains this text."""
    every: Annotated[int, Field(ge=1)] | None = None
    """Every so many messages of a publisher."""
    share: Annotated[float, Field(gt=0, le=1)] | None = None
    """This share of the messages, chosen by the seed."""
    attempts: Annotated[int, Field(ge=1, le=99)] | None = None
    """So many attempts at a message fail, the first ones; later ones succeed. By reject they are counted by what x-death says of rejections in
    this queue; else by a quorum queue's x-delivery-count, and in a classic queue by each worker for itself."""
    by: Literal["reject", "requeue", "crash"] = "reject"
    """Reject without requeue, reject with requeue, or the worker's process dies."""
    first_delivery_only: bool = False
    """Only where the delivery is not marked as redelivered."""

    @model_validator(mode="after")
    def _condition(self) -> Self:
        if all(getattr(self, condition) is None for condition in _CONDITIONS):
            raise ValueError("say which deliveries fail: text, every, share or attempts")
        return self


class Workers(Model):
    """A group of workers that are all alike; each is a process of its own."""

    name: Name = "worker"
    """The group's name: its workers are called worker-1, worker-2, ..."""
    count: Annotated[int, Field(ge=0, le=1000)] = 1
    """How many workers there are at the start."""
    queue: str | None = None
    """The queue they consume from; the first queue if not given."""
    acks: Literal["manual", "automatic", "early"] = "manual"
    """After the work, by the broker on sending, or by the worker before the work."""
    ack_every: Annotated[int, Field(ge=1, le=65535)] = 1
    """With manual acks: acknowledge so many deliveries at once."""
    prefetch: Annotated[int, Field(ge=0, le=65535)] = 20
    """Most unacknowledged deliveries a worker holds; 0 is unlimited."""
    work: Duration | Literal["dots"] | DotsWork | RandomWork = 0.0
    """How long a delivery's work takes: a duration, {random: [low, high]}, `dots` (a second for each dot of the
    body) or {per_dot: duration}."""
    fails: OneOrMany[Fails] = ()
    """Which deliveries fail."""
    back_after: Duration | None = 0.5
    """How long after a crash on a poison message the worker is back; null: never."""

    @model_validator(mode="after")
    def _batches_fit(self) -> Self:
        if self.acks == "manual" and 0 < self.prefetch < self.ack_every:
            raise ValueError(
                "ack_every must not be greater than prefetch: the worker would wait for deliveries for ever"
            )
        return self

    @property
    def actors(self) -> tuple[str, ...]:
        """The names of its workers at the start."""
        return tuple(f"{self.name}-{number}" for number in range(1, self.count + 1))
