"""What is in force on a queue, whoever says it: a key of the scenario, an entry of its `arguments`, or a policy of the broker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeVar, cast

from harness.scenario.topology import ArgumentValue, Queue

N = TypeVar("N", int, float)
T = TypeVar("T")

Overflow = Literal["drop-head", "reject-publish", "reject-publish-dlx"]
Strategy = Literal["at-most-once", "at-least-once"]

OVERFLOWS: Final[tuple[Overflow, ...]] = ("drop-head", "reject-publish", "reject-publish-dlx")
LARGEST_INTEGER: Final = 2**63
"""Beyond what AMQP has room for."""
STRATEGIES: Final[tuple[Strategy, ...]] = ("at-most-once", "at-least-once")
DEFAULT_DELIVERY_LIMIT: Final = 20
"""Of quorum queues from RabbitMQ 4.0 on. Measured: 21 deliveries on 4.0.5 and 4.3.6, no limit on 3.8.9 and 3.10.8."""
FIRST_WITH_DELIVERY_LIMIT: Final = "4.0"
"""The first version of RabbitMQ whose quorum queues have a delivery limit that nobody set."""


@dataclass(frozen=True, slots=True)
class EffectivePolicy:
    """What a queue does with its messages. None where nothing is set, and RabbitMQ's default holds."""

    type: Literal["classic", "quorum"] = "classic"
    max_length: int | None = None
    """Most ready messages."""
    max_length_bytes: int | None = None
    """Most bytes of ready messages; a quorum queue of RabbitMQ 4.3 counts more than the bodies."""
    overflow: Overflow | None = None
    message_ttl_s: float | None = None
    expires_s: float | None = None
    """How long the queue exists without a consumer and without being declared again."""
    dead_letter_exchange: str | None = None
    """Empty for the default exchange, None without a target."""
    dead_letter_routing_key: str | None = None
    """None: a message keeps the routing key that it has."""
    dead_letter_strategy: Strategy | None = None
    delivery_limit: int | None = None
    """As it is set; see `most_redeliveries` for what that means."""
    single_active_consumer: bool = False
    max_priority: int | None = None
    consumer_timeout_s: float | None = None

    @property
    def has_dead_letter_target(self) -> bool:
        """Whether what it rejects, expires or drops goes to an exchange."""
        return self.dead_letter_exchange is not None

    @property
    def has_length_limit(self) -> bool:
        """Whether it holds a limited number of messages or of bytes."""
        return self.max_length is not None or self.max_length_bytes is not None

    @property
    def refuses_when_full(self) -> bool:
        """Whether a full queue refuses what is published to it, rather than dropping its oldest messages.

        Measured on 3.10.8, 4.0.5 and 4.3.6: a quorum queue takes `reject-publish-dlx` for `drop-head`, and refuses only
        from one message over its limit on.
        """
        if self.type == "quorum":
            return self.overflow == "reject-publish"
        return self.overflow in ("reject-publish", "reject-publish-dlx")

    @property
    def dead_letters_refused(self) -> bool:
        """Whether a message that it refuses, for it is full, goes to its dead letter target all the same."""
        refuses = self.has_length_limit and self.refuses_when_full
        return refuses and self.overflow == "reject-publish-dlx" and self.has_dead_letter_target

    @property
    def dead_letters_at_least_once(self) -> bool:
        """Whether it keeps a dead-lettered message until the target has taken it. Source: RabbitMQ's guide to quorum queues."""
        asked = self.dead_letter_strategy == "at-least-once" and self.has_dead_letter_target
        return asked and self.type == "quorum" and self.overflow == "reject-publish"

    def most_redeliveries(self, rabbitmq: str) -> int | None:
        """Return after how many returns the queue gives a message up, on a version of RabbitMQ (`4.0.5`); None for no limit.

        Measured: a limit below 0 is no limit on 4.0.5 and 4.3.6, and the same as 0 on 3.8.9 and 3.10.8.
        """
        if self.type != "quorum":
            return None
        major = rabbitmq.partition(".")[0]
        modern = major.isdigit() and int(major) >= 4
        if self.delivery_limit is None:
            return DEFAULT_DELIVERY_LIMIT if modern else None
        if self.delivery_limit < 0:
            return None if modern else 0
        return self.delivery_limit

    def with_policy(self, definition: Mapping[str, ArgumentValue]) -> EffectivePolicy:
        """Add what the broker's policies set on the queue, by the names that policies use (`max-length`).

        Measured on 3.8.9, 3.10.8, 4.0.5 and 4.3.6: of lengths, times to live, expiries and delivery limits the smaller one is in force,
        else what the declaration says; of `overflow` on quorum queues what the policy says.
        """
        policy = _read({f"x-{name}": value for name, value in definition.items()})
        overflows = (policy.overflow, self.overflow) if self.type == "quorum" else (self.overflow, policy.overflow)
        return replace(
            self,
            max_length=_smaller(self.max_length, policy.max_length),
            max_length_bytes=_smaller(self.max_length_bytes, policy.max_length_bytes),
            overflow=overflows[0] or overflows[1],
            message_ttl_s=_smaller(self.message_ttl_s, policy.message_ttl_s),
            expires_s=_smaller(self.expires_s, policy.expires_s),
            dead_letter_exchange=_first(self.dead_letter_exchange, policy.dead_letter_exchange),
            dead_letter_routing_key=_first(self.dead_letter_routing_key, policy.dead_letter_routing_key),
            dead_letter_strategy=_first(self.dead_letter_strategy, policy.dead_letter_strategy),
            delivery_limit=_stricter(self.delivery_limit, policy.delivery_limit),
            consumer_timeout_s=_smaller(self.consumer_timeout_s, policy.consumer_timeout_s),
        )


def effective_policy(queue: Queue, definition: Mapping[str, ArgumentValue] | None = None) -> EffectivePolicy:
    """Return what is in force on a queue as it is declared, and with the policies that the broker has for it."""
    own = replace(_read(queue.declaration_arguments()), type=queue.type)
    return own if definition is None else own.with_policy(definition)


def _read(arguments: Mapping[str, ArgumentValue]) -> EffectivePolicy:
    """Read arguments of a declaration; what is not of the right form says nothing (the broker refuses it)."""
    return EffectivePolicy(
        max_length=_number(arguments.get("x-max-length")),
        max_length_bytes=_number(arguments.get("x-max-length-bytes")),
        overflow=cast("Overflow | None", _one_of(OVERFLOWS, arguments.get("x-overflow"))),
        message_ttl_s=_seconds(arguments.get("x-message-ttl")),
        expires_s=_seconds(arguments.get("x-expires")),
        dead_letter_exchange=_text(arguments.get("x-dead-letter-exchange")),
        dead_letter_routing_key=_text(arguments.get("x-dead-letter-routing-key")),
        dead_letter_strategy=cast("Strategy | None", _one_of(STRATEGIES, arguments.get("x-dead-letter-strategy"))),
        delivery_limit=_number(arguments.get("x-delivery-limit")),
        single_active_consumer=arguments.get("x-single-active-consumer") is True,
        max_priority=_number(arguments.get("x-max-priority")),
        consumer_timeout_s=_seconds(arguments.get("x-consumer-timeout")),
    )


def _number(value: object) -> int | None:
    number = value if isinstance(value, int) and not isinstance(value, bool) else None
    return number if number is not None and abs(number) <= LARGEST_INTEGER else None


def _seconds(value: object) -> float | None:
    milliseconds = _number(value)
    return None if milliseconds is None else milliseconds / 1000


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _one_of(words: tuple[str, ...], value: object) -> str | None:
    return value if isinstance(value, str) and value in words else None


def _smaller(one: N | None, other: N | None) -> N | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def _stricter(argument: int | None, policy: int | None) -> int | None:
    """Of two delivery limits the smaller one; one below 0 is none where there is another (measured on 4.0.5 and 4.3.6)."""
    if argument is not None and policy is not None and min(argument, policy) < 0:
        return max(argument, policy)
    return _smaller(argument, policy)


def _first(argument: T | None, policy: T | None) -> T | None:
    return policy if argument is None else argument
