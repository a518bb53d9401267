"""Declare a queue again with other properties, publish by hand, purge.

The AMQP client is imported by what strikes: who only reads scenarios does without it.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator

from harness.effects import HARMLESS, AtRisk, Effects, Takes
from harness.faults.base import Fault, Injection
from harness.faults.context import FaultContext
from harness.scenario.topology import ArgumentValue


class Declare(Fault):
    """Declare an existing queue again, with the properties given here in place of its own.

    The broker must refuse other properties with 406 PRECONDITION_FAILED; the same ones are no change.
    """

    name: ClassVar[str] = "declare"
    family = "topology"
    asks_broker = True
    colour = "#6c7a89"

    queue: str
    durable: bool | None = None
    arguments: dict[str, ArgumentValue] = Field(default_factory=dict)
    """Arguments in addition to the queue's own, as RabbitMQ names them."""

    def actors(self) -> tuple[tuple[str, str], ...]:
        """The queue must exist."""
        return (("queue", self.queue),)

    def title(self) -> str:
        """Describe the action as planned."""
        changes = [] if self.durable is None else [f"durable: {str(self.durable).lower()}"]
        changes += [f"{key}: {value}" for key, value in self.arguments.items()]
        return f"declare {self.queue} again with {', '.join(changes) or 'the same properties'}"

    def effects(self) -> Effects:
        """What is refused changes nothing."""
        return HARMLESS

    def noun(self, targets: tuple[str, ...]) -> tuple[str, str]:  # noqa: ARG002 - it has no others
        """Name it."""
        return "second declaration", "second declarations"

    def inject(self, context: FaultContext) -> Injection:
        """Declare, and report the error if there is one."""
        from harness.traffic import topology  # noqa: PLC0415 - see above

        queue = context.queues[self.queue]
        declaration = topology.QueueDeclaration(
            name=self.queue,
            durable=queue.durable if self.durable is None else self.durable,
            arguments=queue.declaration_arguments() | self.arguments,
        )
        refused = topology.redeclare(context.target, declaration)
        if refused is None:
            return Injection(self.title(), (self.queue,), detail="accepted")
        code, text = refused
        context.error_observed(code, text, f"declaring {self.queue} again")
        return Injection(self.title(), (self.queue,), detail=f"refused: {code} {text}")


class Publish(Fault):
    """Publish by hand, with an identity and a confirm like any other message."""

    name: ClassVar[str] = "publish"
    family = "traffic"
    asks_broker = True
    colour = "#2e86c1"

    queue: str | None = None
    """The queue to send to; the first one if not given."""
    text: str
    count: Annotated[int, Field(ge=1, le=100_000)] = 1

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        """`publish: First message.` stands for one message to the first queue."""
        return {"text": value} if isinstance(value, str) else value

    def actors(self) -> tuple[tuple[str, str], ...]:
        """The queue must exist."""
        return (("queue", self.queue),) if self.queue is not None else ()

    def publishes(self) -> tuple[int, str]:
        """Say what it adds to the publishers' messages."""
        return self.count, self.text

    def title(self) -> str:
        """Describe the action as planned."""
        return f"publish {self.count} by hand" + (f" to {self.queue}" if self.queue else "")

    def effects(self) -> Effects:
        """It adds messages."""
        return HARMLESS

    def noun(self, targets: tuple[str, ...]) -> tuple[str, str]:  # noqa: ARG002 - it has no others
        """Name it."""
        return "publish by hand", "publishes by hand"

    def inject(self, context: FaultContext) -> Injection:
        """Publish and wait for the confirms."""
        queue = self.queue or next(iter(context.queues))
        context.publish(queue, self.text, self.count)
        return Injection(f"publish {self.count} by hand to {queue}", (queue,))


class Purge(Fault):
    """Purge a queue: its ready messages are gone."""

    name: ClassVar[str] = "purge"
    family = "topology"
    asks_broker = True
    colour = "#943126"

    queue: str

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        """`purge: tasks` names the queue."""
        return {"queue": value} if isinstance(value, str) else value

    def actors(self) -> tuple[tuple[str, str], ...]:
        """The queue must exist."""
        return (("queue", self.queue),)

    def title(self) -> str:
        """Describe the action as planned."""
        return f"purge {self.queue}"

    def effects(self) -> Effects:
        """It takes what waits in its queue."""
        return Effects(at_risk=AtRisk.WAITING, takes=Takes.WAITING)

    def inject(self, context: FaultContext) -> Injection:
        """Purge, and say how many messages went."""
        from harness.traffic import topology  # noqa: PLC0415 - see above

        count = topology.purge(context.target, self.queue)
        return Injection(self.title(), (self.queue,), detail=f"{count} messages purged", taken=count)
