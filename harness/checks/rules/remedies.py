"""What would have kept a copy: the settings, as they are said and as the paths that a control's `set` could name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

from harness.checks.rules.taken import Reason
from harness.checks.rules.too_large import TooLarge
from harness.checks.tally.topology import RunTopology
from harness.scenario.scenario import QUORUM_SETTLE_S

Ways = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Remedy:
    """What would have kept a copy, or why nothing is named."""

    text: str
    """As it is said: `workers.acks: manual`."""
    ways: Ways = ()
    """Each of them would have kept it, by all of its settings together: their paths. Empty where nothing is named."""
    source: str = ""
    """The queue that dead-lettered it at most once; empty where that is not why it was lost."""
    why: str = ""
    """What else is to be said of why it was lost."""
    failed_work: bool = False
    """Whether the work failed, with nobody to tell the broker."""


BROKEN_PROMISE: Final = Remedy("none: durable, persistent and confirmed, and the broker did not keep it")
NO_CAUSE: Final = Remedy("unknown: no fault of this run explains it")
CHANGED_BODY: Final = Remedy("none: what was delivered is not what was published")
UNDECLARED_TAKER: Final = Remedy("unknown: the fault declares no effects")
MANUAL_ACKS: Final = Remedy("workers.acks: manual", (("workers.acks",),))
FAILED_WORK: Final = Remedy(
    "workers.acks: manual, and a reject to a dead letter target", (("workers.acks",),), failed_work=True
)
CONFIRMS: Final = Remedy("publishers.confirms: true", (("publishers.confirms",),))
SETTLE: Final = Remedy(f"settle: {QUORUM_SETTLE_S:g}s", (("settle",),))
_ROUTING: Final[Ways] = (
    ("bindings",),
    ("exchanges",),
    ("publishers.exchange",),
    ("publishers.routing_key",),
    ("publishers.to",),
)
UNBOUND: Final = Remedy("a binding", _ROUTING)
MANDATORY: Final = Remedy("publishers.mandatory: true (or a binding)", (("publishers.mandatory",), *_ROUTING))


def small_enough(refused: TooLarge) -> Remedy:
    """For what was sent on a channel that the broker closed, as a message was too large."""
    return Remedy(
        "a greater max_message_size in broker.config (or smaller bodies)",
        (("broker.config.max_message_size",), ("publishers.body",), ("publishers.tasks",)),
        why=f"A body of {refused.body:,} bytes is larger than the broker's max_message_size, {refused.most:,} bytes, "
        "so it closed the channel",
    )


def durable(queue: str) -> Remedy:
    """A queue that survives the end of its node; a quorum queue always does."""
    return Remedy(f"queues.{queue}.durable: true", ((f"queues.{queue}.durable",), (f"queues.{queue}.type",)))


def persistent(queue: str) -> Remedy:
    """Messages that survive the end of a node; in a quorum queue all do."""
    return Remedy("publishers.persistent: true", (("publishers.persistent",), (f"queues.{queue}.type",)))


def lasting(exchange: str) -> Remedy:
    """An exchange that survives the end of its broker."""
    return Remedy(f"exchanges.{exchange}.durable: true", ((f"exchanges.{exchange}.durable",),))


def reachable(queue: str, *, mandatory: bool) -> Remedy:
    """For a message that is sent while the home node of its classic queue is away; `mandatory` tells whether that would have helped."""
    replicated = Remedy(f"queues.{queue}.type: quorum", ((f"queues.{queue}.type",),))
    if not mandatory:
        return replicated
    return Remedy(f"publishers.mandatory: true (or {replicated.text})", (("publishers.mandatory",), *replicated.ways))


def unexpired(queue: str, *, mandatory: bool) -> Remedy:
    """For a message that is sent to a queue which has expired; `mandatory` tells whether that would have helped."""
    lasting_queue = Remedy(f"queues.{queue} without x-expires", ((f"queues.{queue}.arguments.x-expires",),))
    if not mandatory:
        return lasting_queue
    return Remedy(
        f"publishers.mandatory: true (or {lasting_queue.text})", (("publishers.mandatory",), *lasting_queue.ways)
    )


def at_least_once(queue: str, topology: RunTopology) -> Remedy:
    """For a dead letter of a queue that dead-letters at most once; RabbitMQ 3.10 is the first that can do otherwise."""
    policy, at = topology.policy(queue), f"queues.{queue}"
    if topology.rabbitmq and tuple(map(int, topology.rabbitmq.split(".")[:2])) < (3, 10):
        return Remedy(f"none: RabbitMQ {topology.rabbitmq} dead-letters at most once", source=queue)
    wanted = (
        (f"{at}.type: quorum", f"{at}.type", policy.type == "quorum"),
        (f"{at}.overflow: reject-publish", f"{at}.overflow", policy.overflow == "reject-publish"),
        (
            f"{at}.arguments.x-dead-letter-strategy: at-least-once",
            f"{at}.arguments.x-dead-letter-strategy",
            policy.dead_letter_strategy == "at-least-once",
        ),
    )
    missing = [(text, path) for text, path, there in wanted if not there]
    return Remedy(" and ".join(text for text, _ in missing), (tuple(path for _, path in missing),), source=queue)


def together(remedies: Sequence[Remedy]) -> Remedy:
    """Put remedies together of which only all would have kept a copy."""
    ways = (tuple(path for way in chosen for path in way) for chosen in product(*(each.ways for each in remedies)))
    return Remedy(" and ".join(each.text for each in remedies), tuple(ways))


def _confirms_of(groups: Sequence[str]) -> Remedy:
    """Confirms for some groups of publishers; for all where none is named."""
    paths = tuple(f"publishers.{group}.confirms" for group in groups)
    return Remedy(" and ".join(f"{path}: true" for path in paths), (paths,)) if paths else CONFIRMS


_POLICY_KEYS: Final = {
    "max_length": "max-length",
    "max_length_bytes": "max-length-bytes",
    "message_ttl_s": "message-ttl",
    "delivery_limit": "delivery-limit",
    "expires_s": "expires",
}
"""What policies call the settings of which the smaller one of declaration and policy is in force."""


def _eased(queue: str, field: str, own: Remedy, how: str, topology: RunTopology) -> Remedy:
    """Return `own`, for a setting that the scenario makes; else name the broker's policy, as no key of the scenario changes what that sets."""
    policy = topology.policy_behind(queue, field)
    return Remedy(f"{how} {_POLICY_KEYS[field]} in the policy {policy}") if policy else own


def _of_length(queue: str, topology: RunTopology, *, recovered: bool) -> Iterator[Remedy]:
    at, policy = f"queues.{queue}", topology.policy(queue)
    # A dead letter that is refused is lost: dead-lettering at most once has no confirms.
    if recovered:
        yield Remedy(f"{at}.type: quorum", ((f"{at}.type",),))
    elif not topology.takes_dead_letters(queue):
        if policy.refuses_when_full:
            yield _confirms_of(topology.unconfirmed_into(queue))
        else:
            yield Remedy(f"{at}.overflow: reject-publish with publishers.confirms: true", ((f"{at}.overflow",),))
    if policy.max_length is not None:
        own = Remedy(f"a greater {at}.max_length", ((f"{at}.max_length",),))
        yield _eased(queue, "max_length", own, "a greater", topology)
    if policy.max_length_bytes is not None:
        argument = f"{at}.arguments.x-max-length-bytes"
        own = Remedy(f"a greater {argument}", ((argument,),))
        yield _eased(queue, "max_length_bytes", own, "a greater", topology)


def _passing_targets(queue: str, topology: RunTopology) -> Iterator[Remedy]:
    """Name what of the way of a queue's dead letters does not outlast the end of a node."""
    for exchange in topology.passing_exchanges(topology.policy(queue).dead_letter_exchange or ""):
        yield lasting(exchange)
    for target in topology.targets(queue):
        if not topology.settings(target).durable:
            yield durable(target)
        if topology.policy(target).expires_s is not None and topology.is_missing(target):
            yield unexpired(target, mandatory=False)


def _of_held(queue: str, topology: RunTopology) -> Iterator[Remedy]:
    """Name what would have let the dead letters go that a queue holds: a target that is there, and has room."""
    targets, own = topology.targets(queue), f"queues.{queue}.dead_letter"
    if not targets:
        yield Remedy(f"a binding for {own} (or a queue that exists)", ((own,), *_ROUTING))
    yield from _passing_targets(queue, topology)
    for target in targets:
        if topology.policy(target).max_length is not None:
            longer = Remedy(f"a greater queues.{target}.max_length", ((f"queues.{target}.max_length",),))
            yield _eased(target, "max_length", longer, "a greater", topology)


def of_not_done(reason: Reason, queue: str, topology: RunTopology) -> Iterator[Remedy]:
    """Name what would have kept what a queue threw away or gave up; each alone, and nothing that is in force already."""
    at = f"queues.{queue}"
    to_target = Remedy(f"{at}.dead_letter", ((f"{at}.dead_letter",),))
    match reason:
        case Reason.TTL:
            yield to_target
            own = Remedy(f"a longer {at}.message_ttl", ((f"{at}.message_ttl",),))
            yield _eased(queue, "message_ttl_s", own, "a longer", topology)
        case Reason.LENGTH | Reason.RECOVERY:
            yield from _of_length(queue, topology, recovered=reason is Reason.RECOVERY)
        case Reason.DELIVERY_LIMIT:
            yield to_target
            own = Remedy(f"a greater {at}.delivery_limit", ((f"{at}.delivery_limit",),))
            yield _eased(queue, "delivery_limit", own, "a greater", topology)
        case Reason.REJECTED:
            yield to_target
        case Reason.NO_TARGET if passing := list(_passing_targets(queue, topology)):
            yield from passing
        case Reason.NO_TARGET:
            yield Remedy(f"{at}.dead_letter: a queue that exists", (*to_target.ways, *_ROUTING))
        case Reason.CYCLE:
            yield Remedy(f"{at}.dead_letter: a queue outside the cycle", to_target.ways)
        case Reason.QUEUE_GONE if topology.policy(queue).expires_s is not None:
            own = Remedy(f"{at} without x-expires", ((f"{at}.arguments.x-expires",),))
            yield _eased(queue, "expires_s", own, "a longer", topology)
        case Reason.HELD:
            yield from _of_held(queue, topology)
        case _:
            return
