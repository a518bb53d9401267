"""From a scenario to what is really started: actors with their specs, and the topology to declare."""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.engine.links import Links
from harness.events import Role
from harness.scenario.routing import publisher_routes
from harness.scenario.scenario import Scenario
from harness.scenario.traffic import DotsWork, Publishers, RandomWork, Workers
from harness.traffic.spec import Acks, Failure, PublisherSpec, Route, Target, Work, WorkerSpec
from harness.traffic.topology import BindingDeclaration, ExchangeDeclaration, QueueDeclaration


@dataclass(frozen=True, slots=True)
class ActorPlan:
    """One publisher or worker: who it is, and its group in the scenario."""

    role: Role
    actor: str
    number: int
    """From 1, over all groups of the role; a publisher's is in its messages' identities."""
    group: Publishers | Workers


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What all processes of a run share."""

    links: Links
    token: str
    seed: int
    queue_names: tuple[str, ...]


def publishers(scenario: Scenario) -> tuple[ActorPlan, ...]:
    """Plan the publishers, numbered over all groups."""
    named = [(actor, group) for group in scenario.publishers for actor in group.actors]
    return tuple(ActorPlan("publisher", actor, number, group) for number, (actor, group) in enumerate(named, start=1))


def workers(scenario: Scenario) -> tuple[ActorPlan, ...]:
    """Plan the workers there are at the start, numbered over all groups."""
    named = [(actor, group) for group in scenario.workers for actor in group.actors]
    return tuple(ActorPlan("worker", actor, number, group) for number, (actor, group) in enumerate(named, start=1))


def routes(group: Publishers, scenario: Scenario) -> tuple[Route, ...]:
    """Return where a group's messages go, in turn."""
    names = publisher_routes(group, scenario.first_queue)
    if group.exchange is not None:
        return tuple(Route(name, group.exchange, group.routing_key) for name in names)
    return tuple(Route(name, "", name.removeprefix("/")) for name in names)


def spec(plan: ActorPlan, scenario: Scenario, session: RunSettings, *, incarnation: int) -> PublisherSpec | WorkerSpec:
    """Make the spec of an actor's next incarnation, but for where its log is and what an earlier one has left to do."""
    target = session.links.target(plan.actor)
    target = replace(target, client_name=f"{target.client_name}/{plan.actor}.{incarnation}")
    match plan.group:
        case Publishers() as group:
            return _publisher_spec(group, plan, scenario, session, target, incarnation)
        case Workers() as group:
            return _worker_spec(group, plan, scenario, session, target, incarnation)


def _publisher_spec(
    group: Publishers, plan: ActorPlan, scenario: Scenario, session: RunSettings, target: Target, incarnation: int
) -> PublisherSpec:
    return PublisherSpec(
        target=target,
        log="",
        actor=plan.actor,
        number=plan.number,
        incarnation=incarnation,
        routes=routes(group, scenario),
        messages=group.messages_each,
        texts=group.tasks,
        body_bytes=group.body,
        rate_per_s=group.rate_per_s,
        catch_up=group.catches_up,
        persistent=group.persistent,
        mandatory=group.mandatory,
        confirms=group.window is not None,
        window=group.window or 1,
        republish_unconfirmed=group.unconfirmed == "republish",
        token=session.token,
        seed=session.seed,
        client=scenario.client,
    )


def _worker_spec(
    group: Workers, plan: ActorPlan, scenario: Scenario, session: RunSettings, target: Target, incarnation: int
) -> WorkerSpec:
    return WorkerSpec(
        target=target,
        log="",
        actor=plan.actor,
        number=plan.number,
        incarnation=incarnation,
        queue=group.queue or scenario.first_queue,
        queue_names=session.queue_names,
        acks=Acks(group.acks),
        prefetch=group.prefetch,
        ack_every=group.ack_every,
        work=_work(group),
        failures=tuple(
            Failure(
                how=fails.by,
                text=fails.text,
                every=fails.every,
                share=fails.share,
                first_delivery_only=fails.first_delivery_only,
                attempts=fails.attempts,
            )
            for fails in group.fails
        ),
        token=session.token,
        seed=session.seed,
        client=scenario.client,
    )


def _work(group: Workers) -> Work:
    match group.work:
        case "dots":
            return Work(kind="dots", per_dot_s=1.0)
        case DotsWork(per_dot=per_dot):
            return Work(kind="dots", per_dot_s=per_dot)
        case RandomWork(random=(low, high)):
            return Work(kind="random", low_s=low, high_s=high)
        case float(seconds):
            return Work(kind="fixed", fixed_s=seconds)
        case other:
            raise AssertionError(f"validated: {other!r} is no kind of work")


def declarations(
    scenario: Scenario,
) -> tuple[tuple[ExchangeDeclaration, ...], tuple[QueueDeclaration, ...], tuple[BindingDeclaration, ...]]:
    """Return what is to be declared, as the AMQP layer takes it."""
    exchanges = tuple(
        ExchangeDeclaration(name=name, type=exchange.type, durable=exchange.durable, arguments=dict(exchange.arguments))
        for name, exchange in scenario.exchanges.items()
    )
    queues = tuple(
        QueueDeclaration(name=name, durable=queue.durable, arguments=queue.declaration_arguments())
        for name, queue in scenario.queues.items()
    )
    bindings = tuple(
        BindingDeclaration(
            exchange=binding.exchange,
            queue=binding.queue,
            routing_key=binding.routing_key,
            arguments=dict(binding.arguments),
        )
        for binding in scenario.bindings
    )
    return exchanges, queues, bindings
