"""What was not looked at, so that nobody takes its silence for an answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.checks.tally.topology import RunTopology
from harness.events import BrokerLook, Event
from harness.scenario.arguments import unknown_arguments
from harness.scenario.scenario import Scenario
from harness.verdict.words import plural


def not_looked_at(scenario: Scenario, topology: RunTopology, events: Sequence[Event]) -> tuple[str, ...]:
    """List it: what the broker could not be asked, what it does not count, what others did, what arguments do that are not understood."""
    looks = [event for event in events if isinstance(event, BrokerLook)]
    return tuple(
        dict.fromkeys((*_unasked(looks), *_uncounted(looks, topology), *_others(looks), *_arguments(scenario)))
    )


def _unasked(looks: Sequence[BrokerLook]) -> Iterator[str]:
    for look in looks:
        if look.not_asked:
            yield f"what the broker says of itself {look.moment} ({look.not_asked})"


def _uncounted(looks: Sequence[BrokerLook], topology: RunTopology) -> Iterator[str]:
    """Say where the broker's own counts of what it threw away are missing, if it may have thrown something away."""
    asked = [look for look in looks if not look.not_asked]
    policies = [topology.policy(name) for look in asked for name in {queue.name for queue in look.queues}]
    if not any(policy.message_ttl_s is not None or policy.has_length_limit for policy in policies):
        return
    if not all(look.dead_lettered for look in asked):
        yield f"how many messages the broker threw away: RabbitMQ {topology.rabbitmq} does not count them"
    elif len({tuple(sorted(look.node_started.items())) for look in asked}) > 1:
        yield "how many messages the broker threw away: its counts began anew with a node"


def _others(looks: Sequence[BrokerLook]) -> Iterator[str]:
    strangers = {name for look in looks for name in look.foreign_connections}
    if strangers:
        yield f"what {plural(len(strangers), 'connection')} of others did"


def _arguments(scenario: Scenario) -> Iterator[str]:
    for argument in unknown_arguments(scenario):
        yield f"what the {argument} does"
