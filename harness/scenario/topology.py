"""Queues, exchanges and bindings."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from harness.scenario.base import Model
from harness.scenario.quantities import Duration

LONGEST_TTL_S = 4_294_967
"""RabbitMQ keeps times to live in 32 bits of milliseconds. Source: RabbitMQ's guide to time-to-live."""

ArgumentValue = str | int | float | bool


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
            "then": {"properties": {"type": {"const": "quorum"}}, "required": ["type"]},
        }
    )

    type: Literal["classic", "quorum"] = "classic"
    """Classic, or quorum (replicated; always durable)."""
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
    """A parking queue: what is there is at rest. Nobody consumes from it, and nothing leads out of it."""
    arguments: dict[str, ArgumentValue] = Field(default_factory=dict)
    """Further arguments of the declaration, as RabbitMQ names them, e.g. x-max-priority."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.type == "quorum" and not self.durable:
            raise ValueError("a quorum queue is always durable; make it classic, or leave durable out")
        if self.delivery_limit is not None and self.type != "quorum":
            raise ValueError("delivery_limit works on quorum queues only; set type: quorum")
        return self

    def declaration_arguments(self) -> dict[str, Any]:
        """Return the arguments of queue.declare, as RabbitMQ names them. Source: RabbitMQ's guide to queues."""
        arguments: dict[str, Any] = dict(self.arguments)
        if self.type == "quorum":
            arguments["x-queue-type"] = "quorum"
        match self.dead_letter:
            case str(queue):
                arguments |= {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue}
            case DeadLetter(exchange=exchange, routing_key=routing_key):
                arguments["x-dead-letter-exchange"] = exchange
                if routing_key is not None:
                    arguments["x-dead-letter-routing-key"] = routing_key
        if self.max_length is not None:
            arguments["x-max-length"] = self.max_length
        if self.overflow is not None:
            arguments["x-overflow"] = self.overflow
        if self.message_ttl is not None:
            arguments["x-message-ttl"] = round(self.message_ttl * 1000)
        if self.delivery_limit is not None:
            arguments["x-delivery-limit"] = self.delivery_limit
        return arguments


class Exchange(Model):
    """An exchange beside the default one."""

    type: Literal["direct", "fanout", "topic", "headers"] = "direct"
    """How it chooses among its bindings."""
    durable: bool = True
    """Whether the exchange survives a restart of the broker."""
    arguments: dict[str, ArgumentValue] = Field(default_factory=dict)
    """Further arguments of the declaration, as RabbitMQ names them, e.g. alternate-exchange."""


class Binding(Model):
    """What an exchange sends to a queue."""

    exchange: str
    """The exchange that sends."""
    queue: str
    """The queue that it sends to."""
    routing_key: str = ""
    """The routing key (for a topic exchange: the pattern) of the messages that are sent."""
    arguments: dict[str, ArgumentValue] = Field(default_factory=dict)
    """Of a headers exchange: the headers to match."""
