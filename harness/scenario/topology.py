"""Queues, exchanges and bindings."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from harness.scenario.base import Model
from harness.scenario.quantities import Duration

LONGEST_TTL_S = 4_294_967
"""RabbitMQ keeps times to live in 32 bits of milliseconds. Source: RabbitMQ's guide to time-to-live."""

ArgumentValue = str | int | float | bool
"""A value of a broker's own setting or of a policy."""
DeclaredValue = str | int | bool
"""A value in the arguments of a declaration: RabbitMQ has none that is a fraction."""
QUEUE_TYPE: Final = "x-queue-type"
ALTERNATE_EXCHANGE: Final = "alternate-exchange"


class DeadLetter(Model):
    """Where a queue sends what it rejects, expires or drops."""

    exchange: str = ""
    """Name of the exchange; the default exchange if not given."""
    routing_key: str | None = None
    """The routing key; the message's own if not given."""


class Queue(Model):
    """A queue. Durable and classic unless said otherwise."""

    model_config = ConfigDict(
        json_schema_extra={
            "not": {
                "properties": {"type": {"const": "quorum"}, "durable": {"const": False}},
                "required": ["type", "durable"],
            },
            "if": {"required": ["delivery_limit"]},
            "then": {
                "anyOf": [
                    {"properties": {"type": {"const": "quorum"}}, "required": ["type"]},
                    {"properties": {"arguments": {"required": ["x-queue-type"]}}, "required": ["arguments"]},
                ]
            },
        }
    )

    stated_type: Annotated[Literal["classic", "quorum"] | None, Field(alias="type")] = None
    """Classic, or quorum (replicated; always durable); classic if not given, unless x-queue-type among the arguments says quorum."""
    durable: bool = True
    """Whether the queue survives a restart of the broker."""
    dead_letter: str | DeadLetter | None = None
    """The queue (or the exchange and routing key) that gets dead-lettered messages."""
    max_length: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    """Most messages the queue keeps."""
    overflow: Literal["drop-head", "reject-publish", "reject-publish-dlx"] | None = None
    """What happens beyond max_length; RabbitMQ's own default is drop-head."""
    message_ttl: Annotated[Duration, Field(le=LONGEST_TTL_S)] | None = None
    """How long a message may wait before it expires."""
    delivery_limit: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    """How often a quorum queue delivers a message again before it gives up on it (20 by default from RabbitMQ 4.0)."""
    rests: bool = False
    """A parking queue: what is there at the end is at rest. No worker consumes from it, and it sends nothing on."""
    arguments: dict[str, DeclaredValue] = Field(default_factory=dict)
    """Further arguments of the declaration, as RabbitMQ names them, e.g. x-max-priority; one that a key stands for means the same."""

    @property
    def type(self) -> Literal["classic", "quorum"]:
        """Classic or quorum, whether `type` says it or an argument."""
        named = self.stated_type or self.arguments.get(QUEUE_TYPE)
        return "quorum" if named == "quorum" else "classic"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.type == "quorum" and not self.durable:
            raise ValueError("a quorum queue is always durable; make it classic, or leave durable out")
        if self.delivery_limit is not None and self.type != "quorum":
            raise ValueError("delivery_limit works on quorum queues only; set type: quorum")
        return self

    def declaration_arguments(self) -> dict[str, ArgumentValue]:
        """Return the arguments of queue.declare, as RabbitMQ names them. Source: RabbitMQ's guide to queues."""
        return {**self.arguments, **self.arguments_of_keys()}

    def arguments_of_keys(self) -> dict[str, DeclaredValue]:
        """Return what its keys say as the arguments that mean the same."""
        target = DeadLetter(routing_key=self.dead_letter) if isinstance(self.dead_letter, str) else self.dead_letter
        written: dict[str, DeclaredValue | None] = {
            QUEUE_TYPE: "quorum" if self.stated_type == "quorum" else None,
            "x-dead-letter-exchange": None if target is None else target.exchange,
            "x-dead-letter-routing-key": None if target is None else target.routing_key,
            "x-max-length": self.max_length,
            "x-overflow": self.overflow,
            "x-message-ttl": None if self.message_ttl is None else round(self.message_ttl * 1000),
            "x-delivery-limit": self.delivery_limit,
        }
        return {name: value for name, value in written.items() if value is not None}


class Exchange(Model):
    """An exchange beside the default one."""

    type: Literal["direct", "fanout", "topic", "headers"] = "direct"
    """How it chooses among its bindings."""
    durable: bool = True
    """Whether the exchange survives a restart of the broker."""
    arguments: dict[str, DeclaredValue] = Field(default_factory=dict)
    """Further arguments of the declaration, as RabbitMQ names them, e.g. alternate-exchange."""


class Binding(Model):
    """What an exchange sends to a queue."""

    exchange: str
    """The exchange that sends."""
    queue: str
    """The queue that it sends to."""
    routing_key: str = ""
    """The routing key (for a topic exchange: the pattern) of the messages that are sent."""
    arguments: dict[str, DeclaredValue] = Field(default_factory=dict)
    """Of a headers exchange: the headers to match."""


def key_of_argument(argument: str) -> str:
    """Name the key of a queue that says the same as an argument (`dead_letter` for x-dead-letter-exchange), or would if there were one."""
    if argument == QUEUE_TYPE:
        return "type"
    return "dead_letter" if argument.startswith("x-dead-letter") else argument.removeprefix("x-").replace("-", "_")
