"""What can become of messages, by what a scenario sets and does, other than being done: each fate with the place that brings it about.

These are the fates that count against a run unless `expect` speaks of them, and that one who reads the file may not have thought of. What
is lost by a fault is not among them: that nothing is lost is what a scenario is run for.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from harness.effects import Cuts, Takes
from harness.scenario.flow import Death, Flow
from harness.scenario.mistake import Path
from harness.scenario.quantities import format_duration
from harness.scenario.routing import Position
from harness.scenario.scenario import Scenario

_SET_BY: Final[Mapping[Death, tuple[tuple[str, str], ...]]] = {
    Death.EXPIRED: (("message_ttl", "x-message-ttl"),),
    Death.LENGTH: (("max_length", "x-max-length"), ("", "x-max-length-bytes")),
    Death.DELIVERY_LIMIT: (("delivery_limit", "x-delivery-limit"),),
}
"""The keys and arguments that can set it; an argument of its own has no key."""
_DOES: Final[Mapping[Death, str]] = {
    Death.EXPIRED: "messages expire in {queue}",
    Death.LENGTH: "{queue} can hold fewer messages than come to it",
    Death.REJECTED: "messages of {queue} are rejected",
    Death.DELIVERY_LIMIT: "messages of {queue} can reach its delivery limit",
}


@dataclass(frozen=True, slots=True)
class PossibleFate:
    """A fate, or another count, that a scenario can produce."""

    expectation: str
    """The key of `expect` that speaks of it."""
    path: Path
    """What brings it about."""
    how: str
    """How, as a clause without an end: `messages expire in tasks, which has no dead letter target`."""


def possible_fates(scenario: Scenario) -> tuple[PossibleFate, ...]:
    """Find them, each once."""
    flow = Flow(scenario)
    found = (
        *_by_deaths(scenario, flow),
        *_by_full_queues(scenario, flow),
        *_by_cycles(scenario, flow),
        *_by_queues(scenario, flow),
        *_by_steps(scenario, flow),
        *_by_clients(scenario, flow),
    )
    return tuple(dict.fromkeys(found))


def _by_deaths(scenario: Scenario, flow: Flow) -> Iterator[PossibleFate]:
    """Find what ends in a queue for good, and what comes to rest in a dead letter queue."""
    resting = scenario.resting_queues
    for position in sorted(flow.targets):
        queue, policy = position.queue, flow.queues[position.queue]
        for death in sorted(_likely(queue, flow)):
            does = _DOES[death].format(queue=queue)
            path = _cause(death, queue, scenario)
            if not policy.has_dead_letter_target:
                fate = "expired" if death is Death.EXPIRED else "dropped"
                yield PossibleFate(fate, path, f"{does}, and it has no dead letter target")
            elif not flow.targets[position]:
                yield PossibleFate("dropped", path, f"{does}, and its dead letter target leads to no queue")
            for target in flow.targets[position]:
                if target.queue in resting:
                    at = declared_at(queue, "dead_letter", "x-dead-letter-exchange", scenario)
                    yield PossibleFate("dead_lettered", at, f"{does} and come to rest in {target.queue}")


def _likely(queue: str, flow: Flow) -> frozenset[Death]:
    """Return the ways in which a queue can give messages up, given how many can come to it."""
    deaths = flow.deaths(queue)
    return deaths if _can_fill(queue, flow) else deaths - {Death.LENGTH}


def _can_fill(queue: str, flow: Flow) -> bool:
    """Whether more messages can be in a queue than it holds."""
    policy, most = flow.topology.policy(queue), flow.most_in(queue)
    enough = policy.max_length is None or (most is not None and most <= policy.max_length)
    return policy.has_length_limit and (policy.max_length_bytes is not None or not enough)


def _by_full_queues(scenario: Scenario, flow: Flow) -> Iterator[PossibleFate]:
    """Find full queues that refuse what nobody can publish again: dead letters, and what is published without confirms."""
    full = {name: policy for name, policy in flow.queues.items() if policy.refuses_when_full and _can_fill(name, flow)}
    for position, targets in sorted(flow.targets.items()):
        for target in targets:
            if target.queue in full:
                kept = flow.topology.policy(position.queue).dead_letters_at_least_once
                path = declared_at(target.queue, "max_length", "x-max-length", scenario)
                how = f"{target.queue} refuses dead letters of {position.queue} when it is full"
                yield PossibleFate("retained" if kept else "dropped", path, how)
    for source in flow.sources:
        if source.group is not None and source.group.window is None:
            for start in flow.topology.start(source.route):
                if start.queue in full and full[start.queue].overflow == "reject-publish":
                    path = declared_at(start.queue, "max_length", "x-max-length", scenario)
                    how = f"{start.queue} refuses messages when it is full, and {source.group.name} publishes without confirms"
                    yield PossibleFate("dropped", path, how)


def _by_cycles(scenario: Scenario, flow: Flow) -> Iterator[PossibleFate]:
    """Find cycles of deaths without a reject: RabbitMQ drops what goes round in one. Source: RabbitMQ's guide to dead letter exchanges."""
    by_itself = {
        position: targets if _likely(position.queue, flow) - {Death.REJECTED} else ()
        for position, targets in flow.targets.items()
    }
    for start in sorted(by_itself):
        if start in _behind(start, by_itself):
            path = declared_at(start.queue, "dead_letter", "x-dead-letter-exchange", scenario)
            how = f"dead letters of {start.queue} come back to it with no reject on the way, and RabbitMQ drops what goes round like that"
            yield PossibleFate("dropped", path, how)


def _behind(start: Position, targets: Mapping[Position, tuple[Position, ...]]) -> frozenset[Position]:
    """Return what a position leads to, itself only if it leads to itself."""
    found: set[Position] = set()
    waiting = list(targets[start])
    while waiting:
        here = waiting.pop()
        if here not in found:
            found.add(here)
            waiting += targets[here]
    return frozenset(found)


def _by_queues(scenario: Scenario, flow: Flow) -> Iterator[PossibleFate]:
    delaying = scenario.queue_roles.delaying
    for name, policy in flow.queues.items():
        if policy.expires_s is not None:
            how = f"{name} is deleted with what is in it when nobody has consumed from it for {format_duration(policy.expires_s)}"
            yield PossibleFate("removed", ("queues", name, "arguments", "x-expires"), how)
        if name in delaying and (delay_s := _delay_s(name, scenario, flow)) > scenario.drain.timeout:
            timeout = format_duration(scenario.drain.timeout)
            how = f"messages of {name} come to a worker after {format_duration(delay_s)}, and the drain ends after {timeout}"
            yield PossibleFate("in_transit", _cause(Death.EXPIRED, name, scenario), how)
        if scenario.queues[name].rests:
            yield PossibleFate("dead_lettered", ("queues", name, "rests"), f"messages come to rest in {name}")


def _delay_s(queue: str, scenario: Scenario, flow: Flow) -> float:
    """Return how long messages are delayed from a queue on until they come to one with workers, by the quickest way."""
    delaying, consumed = scenario.queue_roles.delaying, scenario.consumed_queues
    waiting = [(0.0, queue)]
    passed: set[str] = set()
    while waiting:
        delay_s, here = heapq.heappop(waiting)
        if here not in delaying:
            return delay_s
        if here not in passed:
            passed.add(here)
            here_s = flow.topology.policy(here).message_ttl_s or 0.0
            ahead = {
                target.queue
                for position, targets in flow.targets.items()
                if position.queue == here
                for target in targets
            }
            for target in ahead & (delaying | consumed):
                heapq.heappush(waiting, (delay_s + here_s, target))
    return 0.0


def _by_steps(scenario: Scenario, flow: Flow) -> Iterator[PossibleFate]:
    for index, step in enumerate(scenario.timeline):
        effects, title = step.action.effects(), step.action.title()
        path: Path = ("timeline", index, step.action.name)
        if effects.takes is Takes.WAITING:
            for role, queue in step.action.actors():
                if role == "queue" and queue in flow.queues:
                    yield PossibleFate("removed", path, f"`{title}` takes what waits in {queue}")


def _by_clients(scenario: Scenario, flow: Flow) -> Iterator[PossibleFate]:
    cutting = [step.action.title() for step in scenario.timeline if step.action.effects().cuts is Cuts.EVERYONE]
    for index, publishers in enumerate(scenario.publishers):
        if publishers.unconfirmed == "drop" and publishers.window is not None and cutting:
            how = f"{publishers.name} gives up what is not confirmed when `{cutting[0]}` strikes"
            yield PossibleFate("never_promised", ("publishers", index, "unconfirmed"), how)
    for queue in flow.queues:
        for index, workers in flow.workers(queue):
            if workers.acks != "manual" and workers.fails:
                how = f"the messages on which {workers.name} fails were acknowledged before"
                yield PossibleFate("lost", ("workers", index, "fails"), how)


def _cause(death: Death, queue: str, scenario: Scenario) -> Path:
    """Return the place of what makes a queue give messages up."""
    declared = scenario.queues[queue].declaration_arguments()
    for key, argument in _SET_BY.get(death, ()):
        if argument in declared:
            return declared_at(queue, key, argument, scenario)
    wanted = ("reject",) if death is Death.REJECTED else ("requeue", "crash")
    for index, workers in enumerate(scenario.workers):
        if (workers.queue or scenario.first_queue) == queue and any(fails.by in wanted for fails in workers.fails):
            return ("workers", index, "fails")
    return ("queues", queue)


def declared_at(queue: str, key: str, argument: str, scenario: Scenario) -> Path:
    """Return where a queue's setting stands: at its key, or among the arguments."""
    return (
        ("queues", queue, "arguments", argument)
        if argument in scenario.queues[queue].arguments
        else ("queues", queue, key)
    )
