"""The scenario as a whole, and the variants that its controls make of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Final, Literal

from pydantic import Field, create_model

from harness.scenario.base import Form, Many, Model, OneOrMany, Prose, with_nothing_set
from harness.scenario.expectations import Expectations
from harness.scenario.quantities import Duration
from harness.scenario.routing import QueueRoles, Topology, publisher_routes, queue_roles, queue_route
from harness.scenario.timeline import Action, Step
from harness.scenario.topology import ArgumentValue, Binding, Exchange, Queue
from harness.scenario.traffic import Publishers, Workers

GUARANTEE = "guarantee"
"""The name of the variant that is the scenario itself."""

QUORUM_SETTLE_S = 5.0
"""Measured on RabbitMQ 4.0.5: a quorum queue killed within tens of milliseconds of its declaration came back empty
(Ra writes its name registry every 500 ms), one that was 5 s old kept everything."""


KILL_SETTLE_S = 5.0
"""Measured on RabbitMQ 3.10.8: of 18 durable classic queues on a node killed within 2.2 s of its first boot and of their
declaration 2 were gone afterwards, with 300 confirmed messages each; of 9 that were 2.5 s old, none."""


class BrokerModel(Model):
    """Where the broker runs and how it is set up."""

    backend: Literal["auto", "container", "native", "compose", "external"] = "auto"
    """Where it runs; auto takes a container where there is a Docker engine, else a native node."""
    image: str | None = None
    """The container backend's image."""
    nodes: Annotated[int, Field(ge=1, le=9)] = 1
    """Nodes of the cluster."""
    config: dict[str, ArgumentValue] = Field(default_factory=dict)
    """Keys and values of rabbitmq.conf."""
    permit: Many[str] = ()
    """Deprecated features that the scenario needs, e.g. transient_nonexcl_queues for non-durable queues on 4.3."""
    plugins: Many[str] = ()
    """Plugins to enable."""
    fresh: bool = False
    """Whether each variant gets a broker of its own. Else a broker that a variant left healthy is used again by the next one that asks for the
    same, in a virtual host of its own."""
    compose_file: str = "compose.yaml"
    """The compose backend's project file, relative to the scenario."""
    service: str = "rabbitmq"
    """The compose backend's service."""
    commands: dict[Literal["restart", "kill", "pause", "resume", "start", "stop"], str] = Field(default_factory=dict)
    """The commands that do the faults of an external broker."""


class Drain(Model):
    """The wait at the end until nothing is left in the queues that could come to a worker."""

    quiet: Duration = 1.0
    """How long nothing may happen, at least, before a broker that cannot be asked whether anything is left is taken to be drained."""
    timeout: Annotated[Duration, Field(gt=0)] = 60.0
    """The drain's bound."""


MOST_NAMES: Final = 20_000
"""How many queues a scenario may have, how many exchanges, and how many bindings. 10,000 queues have been run."""


class Control(Model):
    """A variant with a setting taken away, and what must then be seen."""

    description: Prose = ""
    """What is taken away, and what that must show."""
    set: Annotated[dict[str, Any], Field(min_length=1)]
    """Settings by path, e.g. publishers.persistent: false."""
    expect: Expectations
    """What must be seen; what is not said is expected as in a scenario that says nothing."""


class Scenario(Model):
    """A scenario file."""

    name: Annotated[
        str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,120}$"), Form("a name of one line, at most 120 characters")
    ]
    """The scenario's name, as reports show it."""
    description: Prose = ""
    """What it shows, in a sentence or two."""
    broker: BrokerModel = with_nothing_set(BrokerModel)
    queues: Annotated[dict[str, Queue], Field(min_length=1, max_length=MOST_NAMES)] = Field(
        default_factory=lambda: {"tasks": Queue()}
    )
    """The queues by name; a durable classic queue called tasks if not given."""
    exchanges: Annotated[dict[str, Exchange], Field(max_length=MOST_NAMES)] = Field(default_factory=dict)
    """Further exchanges, by name."""
    bindings: Annotated[Many[Binding], Field(max_length=MOST_NAMES)] = ()
    """What the exchanges send to which queue."""
    publishers: Annotated[OneOrMany[Publishers], Field(min_length=1, max_length=100)]
    """One group of publishers, or a list of groups."""
    workers: Annotated[OneOrMany[Workers], Field(max_length=100)] = ()
    """One group of workers, or a list of groups."""
    backlog_first: bool = False
    """Start the workers only when the publishers have sent everything."""
    client: Literal["pika", "fast"] = "pika"
    """What publishers and workers speak AMQP with: pika's own code for every message, or pika with messages encoded and parsed in
    bulk, for more load from the same machine."""
    timeline: Many[Step] = ()
    """What happens while the traffic flows, step by step."""
    settle: Duration | None = None
    """How long to wait after declaring. If not given and there is a quorum queue or a step that kills the broker: until the broker has
    written its queues to disk, or 5 s if it cannot be told to (an external one)."""
    drain: Drain = with_nothing_set(Drain)
    """When the run ends."""
    time_limit: Annotated[Duration, Field(gt=0)] = 300.0
    """Bound on traffic and timeline. A run whose publishers had not sent everything by then is inconclusive."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    """Seed of all random choices; drawn and printed if not given."""
    expect: Expectations = with_nothing_set(Expectations)
    """What must be seen at the end."""
    controls: Annotated[dict[str, Control], Field(max_length=100)] = Field(default_factory=dict)
    """Variants that must show the loss, by name."""

    @property
    def settle_s(self) -> float:
        """How long to wait after declaring, in seconds; unless `settle` says it, a broker that writes to disk when told to needs no wait."""
        if self.settle is not None:
            return self.settle
        quorum = any(queue.type == "quorum" for queue in self.queues.values())
        kill = any("kill" in step.action.broker_abilities() for step in self.timeline)
        return max(QUORUM_SETTLE_S if quorum else 0.0, KILL_SETTLE_S if kill else 0.0)

    @property
    def first_queue(self) -> str:
        """The queue meant where none is named."""
        return next(iter(self.queues))

    @property
    def expected_messages(self) -> int | None:
        """How many messages all publishers will publish, and the timeline by hand; None where a publisher goes by time."""
        total = sum(step.action.publishes()[0] for step in self.timeline)
        for group in self.publishers:
            each = group.messages_each
            if each is None:
                return None
            total += each * group.count
        return total

    def copies_each(self, group: Publishers) -> float:
        """How many copies each message of a group has; the mean of its routes, which its messages take in turn."""
        routes = publisher_routes(group, self.first_queue)
        return sum(map(self.topology.copies, routes)) / len(routes)

    @property
    def expected_copies(self) -> int | None:
        """How many copies all that is published will have; None where a publisher goes by time."""
        total = float(sum(step.action.publishes()[0] for step in self.timeline))
        for group in self.publishers:
            if group.messages_each is None:
                return None
            total += group.messages_each * group.count * self.copies_each(group)
        return round(total)

    @property
    def topology(self) -> Topology:
        """What leads where, as the scenario declares it."""
        return Topology(self.queues, self.exchanges, self.bindings)

    @property
    def consumed_queues(self) -> frozenset[str]:
        """The queues that workers consume from."""
        return frozenset(group.queue or self.first_queue for group in self.workers)

    @property
    def routes(self) -> tuple[str, ...]:
        """The routes of all that is published, by publishers and by hand."""
        by_group = [route for group in self.publishers for route in publisher_routes(group, self.first_queue)]
        by_hand = [step.action for step in self.timeline if step.action.publishes()[0]]
        queues = [dict(action.actors()).get("queue", self.first_queue) for action in by_hand]
        return tuple(dict.fromkeys([*by_group, *map(queue_route, queues)]))

    @property
    def queue_roles(self) -> QueueRoles:
        """What the queues without workers are for, as far as the scenario tells."""
        return queue_roles(self.topology, self.routes, self.consumed_queues)

    @property
    def resting_queues(self) -> frozenset[str]:
        """The queues where messages come to rest: what is left there at the end is dead-lettered, not stranded."""
        return self.queue_roles.resting


def scenario_model(actions: Mapping[str, type[Action]]) -> type[Scenario]:
    """Make the scenario's model for a set of known actions; its steps have one field for each of them."""
    return _scenario_model(tuple(actions.items()))


@cache
def _scenario_model(actions: tuple[tuple[str, type[Action]], ...]) -> type[Scenario]:
    fields: dict[str, Any] = {
        name: (action | None, Field(None, description=_summary(action))) for name, action in actions
    }
    step = create_model("Step", __base__=Step, __doc__=Step.__doc__, **fields)
    step.action_names = tuple(fields)
    return create_model(
        "Scenario",
        __base__=Scenario,
        __doc__=Scenario.__doc__,
        timeline=(
            Annotated[Many[step], Field(max_length=1000)],
            Field((), description=Scenario.model_fields["timeline"].description),
        ),
    )


def _summary(action: type[Action]) -> str:
    return (action.__doc__ or action.name).split("\n", 1)[0]
