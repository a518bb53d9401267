"""Steps of the timeline: a trigger and an action. The actions themselves are given from outside, by name."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import ConfigDict, Field, model_validator

from harness.effects import UNDECLARED, Effects
from harness.scenario.base import Model
from harness.scenario.quantities import Duration, format_duration

Count = Annotated[int, Field(ge=1, lt=2**63)]


class Progress(Model):
    """A trigger by progress: all that are given must be reached, counted over all actors."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    published: Count | None = None
    """Messages sent."""
    confirmed: Count | None = None
    """Messages that the broker confirmed."""
    delivered: Count | None = None
    """Deliveries that workers received."""
    processed: Count | None = None
    """Deliveries whose work was completed."""
    acked: Count | None = None
    """Deliveries that workers acknowledged."""
    backlog: Count | None = None
    """Copies published and not yet processed: a message that is put in three queues is three."""
    in_flight: Annotated[Count | None, Field(alias="in flight")] = None
    """Deliveries that workers hold unsettled."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.thresholds():
            raise ValueError(
                "name at least one of published, confirmed, delivered, processed, acked, backlog, in flight"
            )
        return self

    def thresholds(self) -> dict[str, int]:
        """Return the counters that must be reached, by name."""
        return {name: value for name, value in self if value is not None}

    def __str__(self) -> str:
        """Describe the trigger: `2000 confirmed and 5 in flight`."""
        return " and ".join(f"{value} {name.replace('_', ' ')}" for name, value in self.thresholds().items())


class Action(Model):
    """What a step does. Its name is the key in the step; its fields are what stands behind the key."""

    name: ClassVar[str]

    def broker_abilities(self) -> frozenset[str]:
        """Name the abilities of the broker that this action needs (see harness.broker.protocol.Ability)."""
        return frozenset()

    def leaves_behind(self) -> str:
        """Say what may change on the broker for whoever has it next, as in `step 1 (kill broker) …`; empty if nothing does."""
        return "runs rabbitmqctl" if "control" in self.broker_abilities() else ""

    def actors(self) -> tuple[tuple[str, str], ...]:
        """Name the (role, name) pairs that must exist, for validation.

        Roles: publisher, worker (names, or numbers as texts), worker group, queue, exchange, node (numbers from 0).
        """
        return ()

    def publishes(self) -> tuple[int, str]:
        """Tell how many messages it adds to the publishers', and their text; for validation."""
        return 0, ""

    def scales(self) -> tuple[str | None, int] | None:
        """Tell which group of workers (None: the only one) has how many after it; None if it changes none."""
        return None

    def strikes(self) -> int:
        """Tell how often it strikes at the most; for validation."""
        return 1

    def effects(self) -> Effects:
        """Declare what it may do, by its fields. An action that declares nothing may do anything."""
        return UNDECLARED

    def title(self) -> str:
        """Describe the action as planned, in a few words."""
        return self.name

    def how_long(self) -> str:
        """Describe how long it lasts, as planned: `for 2 s`. Empty for what is over at once."""
        return ""


class Step(Model):
    """One step: `at` or `after`, and exactly one action."""

    action_names: ClassVar[tuple[str, ...]] = ()
    """The known actions; subclasses have a field for each of them."""

    at: Duration | None = None
    """Strike so long after the publishers were released."""
    after: Progress | None = None
    """Strike when the traffic has come so far."""

    @model_validator(mode="after")
    def _one_trigger_one_action(self) -> Self:
        if (self.at is None) == (self.after is None):
            raise ValueError("a step has exactly one trigger: `at: 3s`, or `after: {confirmed: 2000}`")
        given = [name for name in self.action_names if getattr(self, name) is not None]
        if len(given) != 1:
            what = "has none" if not given else f"has {' and '.join(given)}"
            raise ValueError(f"a step has exactly one action ({', '.join(self.action_names)}); this one {what}")
        return self

    @property
    def action(self) -> Action:
        """The step's action."""
        for name in self.action_names:
            action: Action | None = getattr(self, name)
            if action is not None:
                return action
        raise AssertionError("validated: a step has an action")

    @property
    def trigger(self) -> str:
        """The trigger in words."""
        return f"at {format_duration(self.at)}" if self.at is not None else f"after {self.after}"
