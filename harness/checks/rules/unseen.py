"""What was not looked at, so that nobody takes its silence for an answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.checks.rules.strangers import Strangers
from harness.checks.tally.message_table import MessageTable
from harness.checks.tally.topology import RunTopology
from harness.events import BrokerLook, Event
from harness.scenario.arguments import unknown_arguments
from harness.scenario.scenario import Scenario
from harness.verdict.words import plural


def not_looked_at(scenario: Scenario, tally: MessageTable, events: Sequence[Event]) -> tuple[str, ...]:
    """List it: what the broker could not be asked, what it does not count, what others did, what arguments do that are not understood."""
    looks, topology = [event for event in events if isinstance(event, BrokerLook)], tally.topology
    asked = [look for look in looks if not look.not_asked]
    strangers = Strangers(tally, events)
    changed = (*_changed(asked[0], asked[-1], topology), *_gone_or_new(strangers)) if asked else ()
    others = (*_others(strangers, asked=bool(asked)), *changed, *_uncalled_for(strangers), *_arguments(scenario))
    return tuple(dict.fromkeys((*_unasked(looks), *_policies(topology), *_uncounted(looks, topology), *others)))


def _unasked(looks: Sequence[BrokerLook]) -> Iterator[str]:
    for look in looks:
        if look.not_asked:
            yield f"what the broker says of itself {look.moment} ({look.not_asked})"


def _policies(topology: RunTopology) -> Iterator[str]:
    if topology.policies_unseen:
        yield f"the policies of the broker, which may have dropped or expired messages ({topology.policies_unseen})"


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


def _others(strangers: Strangers, *, asked: bool) -> Iterator[str]:
    if strangers.connections:
        yield f"what {plural(len(strangers.connections), 'connection')} of others did"
    if asked and strangers.why_not_known:
        yield f"who else was connected between the looks ({strangers.why_not_known})"


def _changed(before: BrokerLook, after: BrokerLook, topology: RunTopology) -> Iterator[str]:
    """Say what is there no more, or not the same, that nothing of the run changed."""
    left = topology.lasting if any(map(topology.ends_broker, topology.faults)) else topology.topology
    queues, policies = ({queue.name: queue.policy for queue in look.queues} for look in (before, after))
    for exchange in before.exchanges:
        if exchange in left.exchanges and exchange not in after.exchanges:
            yield f"who deleted the exchange {exchange}"
    for name in queues.keys() & policies.keys():
        if queues[name] != policies[name]:
            yield f"who changed the policy of {name}"


def _gone_or_new(strangers: Strangers) -> Iterator[str]:
    for exchange, queue in strangers.unbound():
        yield f"who unbound {queue} from {exchange}"
    for queue in strangers.declared_again():
        yield f"who deleted the queue {queue} and declared it again"


def _uncalled_for(strangers: Strangers) -> Iterator[str]:
    """Say what the broker counted beyond what the workers of the run did."""
    for number, done in (
        (strangers.acknowledged, "acknowledged"),
        (strangers.rejected_anywhere, "rejected"),
        (strangers.taken_automatically, "received, with automatic acknowledgements,"),
    ):
        if number is not None and number > 0:
            yield f"who {done} {plural(number, 'message')} that no worker of the run did"


def _arguments(scenario: Scenario) -> Iterator[str]:
    for argument in unknown_arguments(scenario):
        yield f"what the {argument} does"
