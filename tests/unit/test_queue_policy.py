"""A key and an argument mean the same, and a policy of the broker is added to them as the broker adds it."""

from __future__ import annotations

from typing import Any

import pytest

from harness.scenario.arguments import unknown_arguments
from harness.scenario.queue_policy import EffectivePolicy, effective_policy
from harness.scenario.topology import Queue
from tests.unit.histories import scenario


def queue(**keys: Any) -> Queue:
    return Queue.model_validate(keys)


@pytest.mark.parametrize(
    ("keys", "arguments"),
    [
        ({"type": "quorum"}, {"x-queue-type": "quorum"}),
        ({"max_length": 5}, {"x-max-length": 5}),
        ({"overflow": "reject-publish"}, {"x-overflow": "reject-publish"}),
        ({"message_ttl": "1500ms"}, {"x-message-ttl": 1500}),
        ({"dead_letter": "dead"}, {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}),
        ({"dead_letter": {"exchange": "dlx"}}, {"x-dead-letter-exchange": "dlx"}),
        (
            {"dead_letter": {"exchange": "dlx", "routing_key": "k"}},
            {"x-dead-letter-exchange": "dlx", "x-dead-letter-routing-key": "k"},
        ),
        (
            {"type": "quorum", "delivery_limit": 3},
            {"x-queue-type": "quorum", "x-delivery-limit": 3},
        ),
    ],
)
def test_a_key_means_what_its_argument_means(keys: dict[str, Any], arguments: dict[str, Any]) -> None:
    by_key, by_argument = queue(**keys), queue(arguments=arguments)
    assert effective_policy(by_key) == effective_policy(by_argument) != EffectivePolicy()
    assert by_key.declaration_arguments() == by_argument.declaration_arguments() == arguments
    assert by_key.type == by_argument.type


def test_arguments_without_a_key_are_understood() -> None:
    arguments = {
        "x-max-length-bytes": 1000,
        "x-expires": 60_000,
        "x-single-active-consumer": True,
        "x-max-priority": 4,
        "x-consumer-timeout": 90_000,
    }
    assert effective_policy(queue(arguments=arguments)) == EffectivePolicy(
        max_length_bytes=1000, expires_s=60.0, single_active_consumer=True, max_priority=4, consumer_timeout_s=90.0
    )


def test_a_key_and_the_half_that_it_leaves_open_are_put_together() -> None:
    found = effective_policy(queue(dead_letter={"exchange": "dlx"}, arguments={"x-dead-letter-routing-key": "k"}))
    assert (found.dead_letter_exchange, found.dead_letter_routing_key) == ("dlx", "k")


@pytest.mark.parametrize("name", ["max-length", "max-length-bytes", "message-ttl", "expires", "delivery-limit"])
@pytest.mark.parametrize(("argument", "policy"), [(300, 5000), (5000, 300), (None, 300), (300, None)])
def test_of_an_argument_and_a_policy_the_smaller_number_is_in_force(
    name: str, argument: int | None, policy: int | None
) -> None:
    declared = {} if argument is None else {f"x-{name}": argument}
    found = effective_policy(queue(arguments=declared), {} if policy is None else {name: policy})
    assert found == effective_policy(queue(arguments={f"x-{name}": 300}))


def test_a_policy_sets_a_dead_letter_target_where_the_declaration_has_none() -> None:
    policy = {"dead-letter-exchange": "dlx", "dead-letter-routing-key": "from the policy"}
    assert effective_policy(queue(), policy).dead_letter_exchange == "dlx"
    declared = queue(arguments={"x-dead-letter-exchange": "own"})
    found = effective_policy(declared, policy)
    assert (found.dead_letter_exchange, found.dead_letter_routing_key) == ("own", "from the policy")


def test_what_a_full_queue_does_is_set_by_the_policy_on_quorum_queues_and_by_the_argument_on_classic_ones() -> None:
    declared, policy = {"x-overflow": "reject-publish"}, {"overflow": "drop-head"}
    assert effective_policy(queue(arguments=declared), policy).refuses_when_full
    assert not effective_policy(queue(type="quorum", arguments=declared), policy).refuses_when_full


def test_reject_publish_dlx_refuses_on_classic_queues_only() -> None:
    assert effective_policy(queue(overflow="reject-publish-dlx")).refuses_when_full
    assert not effective_policy(queue(type="quorum", overflow="reject-publish-dlx")).refuses_when_full


@pytest.mark.parametrize(
    ("limit", "policy", "rabbitmq", "most"),
    [
        (None, None, "3.10.8", None),
        (None, None, "4.0.5", 20),
        (3, None, "3.8.9", 3),
        (-1, None, "4.3.6", None),
        (-1, None, "3.10.8", 0),
        (-1, 3, "4.0.5", 3),
        (2, -1, "4.0.5", 2),
        (3, 1, "4.0.5", 1),
        (None, 4, "3.10.8", 4),
    ],
)
def test_a_quorum_queue_gives_up_after_its_delivery_limit(
    limit: int | None, policy: int | None, rabbitmq: str, most: int | None
) -> None:
    arguments = {"x-queue-type": "quorum"} | ({} if limit is None else {"x-delivery-limit": limit})
    found = effective_policy(queue(arguments=arguments), {} if policy is None else {"delivery-limit": policy})
    assert found.most_redeliveries(rabbitmq) == most


def test_a_classic_queue_never_gives_up() -> None:
    assert effective_policy(queue(), {"delivery-limit": 2}).most_redeliveries("4.0.5") is None


@pytest.mark.parametrize(
    ("keys", "at_least_once"),
    [
        ({"type": "quorum", "dead_letter": "dead", "overflow": "reject-publish"}, True),
        ({"type": "quorum", "dead_letter": "dead"}, False),
        ({"type": "quorum", "overflow": "reject-publish"}, False),
    ],
)
def test_dead_letters_are_kept_for_their_target_where_everything_it_takes_is_set(
    keys: dict[str, Any], at_least_once: bool
) -> None:
    found = effective_policy(queue(**keys, arguments={"x-dead-letter-strategy": "at-least-once"}))
    assert found.dead_letters_at_least_once is at_least_once


def test_arguments_that_are_not_understood_are_named() -> None:
    found = scenario(
        queues={
            "tasks": {"arguments": {"x-queue-mode": "lazy", "x-delayed-type": "direct", "x-max-length": 5}},
            "more": {"arguments": {"x-mine": 1}},
        },
        exchanges={"ex": {"arguments": {"alternate-exchange": "amq.fanout", "x-mine": 2}}},
    )
    assert [str(unknown) for unknown in unknown_arguments(found)] == [
        "argument x-delayed-type of queue tasks",
        "argument x-mine of queue more",
        "argument x-mine of exchange ex",
    ]
