"""What `chaos plan` says: what would happen, in the order in which it would."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness.broker.abilities import abilities
from harness.broker.protocol import Ability
from harness.broker.sharing import Foreseen
from harness.plain import plain
from harness.scenario.base import Model
from harness.scenario.load import Loaded
from harness.scenario.quantities import format_duration
from harness.scenario.queue_policy import effective_policy
from harness.scenario.scenario import Scenario
from harness.scenario.traffic import DotsWork, Publishers, RandomWork, Workers
from harness.scenario.variants import Variant
from harness.verdict.words import plural


def plan_text(loaded: Loaded, *, backend: str, seed: int | None, foreseen: Foreseen | None = None) -> str:
    """Describe every variant of a scenario. `foreseen` knows the broker that the scenario before it leaves, if there is one."""
    foreseen = Foreseen() if foreseen is None else foreseen
    lines = [f"{loaded.path}: {loaded.scenario.name}"]
    variants = loaded.variants()
    for number, variant in enumerate(variants, start=1):
        settings = ", ".join(f"{path}: {value}" for path, value in variant.settings.items())
        lines.append(f"  {number}. {variant.name}" + (f" ({settings})" if settings else ""))
        lines += [f"     {line}" for line in _variant(variant, backend, foreseen)]
    if seed is not None:
        lines.append(f"  seed {seed}")
    return "\n".join(map(plain, lines))


def _variant(variant: Variant, backend: str, foreseen: Foreseen) -> list[str]:
    scenario = variant.scenario
    nodes = f", {scenario.broker.nodes} nodes" if scenario.broker.nodes > 1 else ""
    lines = [f"broker: {backend}{nodes}, {foreseen.next(variant.name, scenario, backend)}"]
    lines += [f"declare {name}: {', '.join(_queue(name, scenario))}" for name in scenario.queues]
    if scenario.settle_s:
        told = scenario.settle is None and Ability.CONTROL in abilities(backend, {})
        wait = format_duration(scenario.settle_s)
        lines.append("settle: until the broker has written its queues to disk" if told else f"settle: {wait}")
    if scenario.client != "pika":
        lines.append(f"client: {scenario.client}")
    lines += [_workers(group, scenario) for group in scenario.workers]
    lines += [_publishers(group) for group in scenario.publishers]
    for step in scenario.timeline:
        how_long = step.action.how_long()
        lines.append(f"{step.trigger}: {step.action.title()}" + (f", {how_long}" if how_long else ""))
    drain = scenario.drain
    lines.append(f"drain: until nothing is left that could come to a worker, at most {format_duration(drain.timeout)}")
    lines += [f"expect {line}" for name, value in scenario.expect for line in _expectation(name, value)]
    return lines


def _queue(name: str, scenario: Scenario) -> Iterator[str]:
    """Say what a queue is, and what it does with messages other than handing them out."""
    queue, policy = scenario.queues[name], effective_policy(scenario.queues[name])
    yield policy.type
    yield "durable" if queue.durable else "not durable"
    if policy.message_ttl_s is not None:
        yield f"messages expire after {format_duration(policy.message_ttl_s)}"
    full = "refuses more" if policy.refuses_when_full else "drops its oldest beyond that"
    if policy.max_length is not None:
        yield f"holds {policy.max_length:,} messages and {full}"
    if policy.max_length_bytes is not None:
        yield f"holds {policy.max_length_bytes:,} bytes and {full}"
    if policy.delivery_limit is not None:
        yield f"gives a message up after {policy.delivery_limit} returns"
    if policy.dead_letter_exchange is not None:
        target = policy.dead_letter_exchange or policy.dead_letter_routing_key or "the routing key of each message"
        yield f"dead letters to {target}"
    if name in scenario.resting_queues:
        yield "messages rest here"


def _expectation(path: str, value: Any) -> Iterator[str]:
    """Write what is stated in a section of the expectations, one line for each value."""
    match value:
        case None:
            return
        case Model() | dict():
            for name, inner in value.items() if isinstance(value, dict) else value:
                yield from _expectation(f"{path}.{name}", inner)
        case tuple() if all(isinstance(each, str) for each in value):
            if value:
                yield f"{path}: {' | '.join(value)}"
        case tuple():
            for number, inner in enumerate(value):
                yield from _expectation(f"{path}.{number}", inner)
        case bool():
            yield f"{path}: {str(value).lower()}"
        case _:
            yield f"{path}: {value}"


def _workers(group: Workers, scenario: Scenario) -> str:
    match group.work:
        case DotsWork(per_dot=per_dot):
            work = f"{format_duration(per_dot)} for each dot"
        case RandomWork(random=(low, high)):
            work = f"{format_duration(low)} to {format_duration(high)}"
        case "dots":
            work = "1 s for each dot"
        case float(seconds):
            work = format_duration(seconds) if seconds else "no"
        case other:
            raise AssertionError(f"validated: {other!r} is no kind of work")
    queue = group.queue or scenario.first_queue
    prefetch = group.prefetch or "unlimited"
    return f"{group.name} ({group.count}): from {queue}, acks {group.acks}, prefetch {prefetch}, {work} work"


def _publishers(group: Publishers) -> str:
    if group.duration == "timeline":
        amount = "until the last step has struck and healed"
    elif group.duration is not None:
        amount = f"for {format_duration(group.duration)}"
    else:
        amount = f"{plural(group.messages_each or 0, 'message')} each"
    kind = "persistent" if group.persistent else "transient"
    confirms = f"confirms with a window of {group.window}" if group.window is not None else "no confirms"
    rate = f", at most {group.rate_per_s:g}/s" if group.rate_per_s is not None else ""
    if group.catches_up:
        rate = f", {group.rate_per_s:g}/s, caught up with after an outage"
    return f"{group.name} ({group.count}): {amount}, {kind}, {confirms}{rate}"
