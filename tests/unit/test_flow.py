"""Where messages can still move when the publishers are done."""

from __future__ import annotations

from typing import Any

import pytest

from harness.engine.flow import flow
from harness.events import BrokerLook, QueueFacts
from harness.faults.registry import actions
from harness.scenario.scenario import Scenario, scenario_model


def scenario(**changes: Any) -> Scenario:
    data = {"name": "test", "publishers": {"messages": 10}, "workers": {"queue": "tasks"}} | changes
    return scenario_model(actions()).model_validate(data)


def queue(name: str, **changes: Any) -> QueueFacts:
    facts: dict[str, Any] = {
        "name": name,
        "type": "classic",
        "durable": True,
        "arguments": {},
        "policy": {},
        "policy_name": "",
        "operator_policy_name": "",
        "consumers": 0,
        "foreign_consumers": 0,
        "ready": 0,
        "unacknowledged": 0,
        "held": 0,
        "node": "n1",
        "state": "running",
    }
    return QueueFacts(**facts | changes)


def look(*queues: QueueFacts, **changes: Any) -> BrokerLook:
    return BrokerLook(
        at_ns=1, variant="guarantee", moment="before the traffic", queues=queues, alternate_exchanges=changes
    )


NOTHING = look()


def test_only_queues_with_workers_move_where_nothing_is_dead_lettered() -> None:
    found = flow(scenario(queues={"tasks": {}, "side": {}}), NOTHING)
    assert (found.moving, found.sources, found.returning) == (("tasks",), (), frozenset())


def test_a_queue_where_messages_come_to_rest_does_not_move() -> None:
    found = flow(scenario(queues={"tasks": {"dead_letter": "dead"}, "dead": {"message_ttl": "1s"}}), NOTHING)
    assert (found.moving, found.returning) == (("tasks",), frozenset())


@pytest.mark.parametrize(("ttl", "moving"), [("2s", ("side", "tasks")), ("2001ms", ("tasks",))])
def test_what_soon_expires_where_it_was_published_is_waited_for(ttl: str, moving: tuple[str, ...]) -> None:
    queues = {"tasks": {}, "side": {"message_ttl": ttl}}
    written = scenario(queues=queues, publishers={"messages": 10, "to": ["tasks", "side"]})
    assert set(flow(written, NOTHING).moving) == set(moving)


def test_delay_queues_move_and_are_asked_before_what_they_lead_to() -> None:
    queues = {
        "tasks": {},
        "second": {"message_ttl": "1s", "dead_letter": "tasks"},
        "first": {"message_ttl": "1s", "dead_letter": "second"},
    }
    found = flow(scenario(queues=queues, publishers={"messages": 10, "to": "first"}), NOTHING)
    assert found.moving == ("first", "second", "tasks")
    assert found.sources == ("first", "second")
    assert found.returning == {"first", "second"}


def test_a_retry_loop_moves_and_returns() -> None:
    queues = {"tasks": {"dead_letter": "retry"}, "retry": {"message_ttl": "1s", "dead_letter": "tasks"}}
    found = flow(scenario(queues=queues), NOTHING)
    assert set(found.moving) == set(found.sources) == {"tasks", "retry"}
    assert found.returning == {"tasks", "retry"}


def test_a_queue_that_is_dead_lettered_into_itself_returns() -> None:
    found = flow(scenario(queues={"tasks": {"dead_letter": "tasks"}}), NOTHING)
    assert (found.moving, found.sources, found.returning) == (("tasks",), (), frozenset({"tasks"}))


@pytest.mark.parametrize(
    "parking", [{"dead_letter": "tasks"}, {"dead_letter": "tasks", "message_ttl": "1s", "rests": True}]
)
def test_what_does_not_leave_a_queue_by_itself_is_not_waited_for(parking: dict[str, Any]) -> None:
    queues = {"tasks": {"dead_letter": "parking"}, "parking": parking}
    assert flow(scenario(queues=queues), NOTHING).moving == ("tasks",)


@pytest.mark.parametrize(("ttl", "moving"), [("2s", ("side", "tasks")), ("2001ms", ("tasks",))])
def test_what_soon_goes_elsewhere_is_waited_for_where_no_worker_is_as_well(ttl: str, moving: tuple[str, ...]) -> None:
    queues = {"tasks": {}, "side": {"message_ttl": ttl, "dead_letter": "rest"}, "rest": {"message_ttl": "1s"}}
    written = scenario(queues=queues, publishers={"messages": 10, "to": ["tasks", "side"]})
    assert flow(written, NOTHING).moving == moving


def test_what_soon_goes_nowhere_is_waited_for_as_well() -> None:
    """No queue is bound to its dead letter exchange: the broker drops it."""
    side = {"message_ttl": "1s", "dead_letter": {"exchange": "unbound"}}
    written = scenario(
        queues={"tasks": {}, "side": side, "parking": side | {"rests": True}},
        exchanges={"unbound": {"type": "direct"}},
        publishers={"messages": 10, "to": ["tasks", "side", "parking"]},
    )
    assert set(flow(written, NOTHING).moving) == {"tasks", "side"}


def test_a_queue_that_rests_leads_nowhere() -> None:
    queues = {
        "tasks": {"dead_letter": "parking"},
        "parking": {"dead_letter": "tasks", "message_ttl": "1s", "rests": True},
    }
    assert flow(scenario(queues=queues), NOTHING).returning == frozenset()


def test_a_policy_of_the_broker_makes_a_delay_queue() -> None:
    policy = {"message-ttl": 1000, "dead-letter-exchange": "", "dead-letter-routing-key": "tasks"}
    written = scenario(queues={"tasks": {}, "parking": {}}, publishers={"messages": 10, "to": "parking"})
    assert flow(written, NOTHING).moving == ("tasks",)
    assert flow(written, look(queue("parking", policy=policy))).moving == ("parking", "tasks")


def test_an_alternate_exchange_of_a_policy_is_followed() -> None:
    written = scenario(
        queues={"tasks": {}, "parking": {"message_ttl": "1s", "dead_letter": {"exchange": "x"}}},
        exchanges={"x": {"type": "direct"}, "y": {"type": "fanout"}},
        bindings=[{"exchange": "y", "queue": "tasks"}],
        publishers={"messages": 10, "to": "parking"},
    )
    assert flow(written, NOTHING).sources == ()
    assert flow(written, look(x="y")).sources == ("parking",)
    assert flow(written, look(x="y")).moving == ("parking", "tasks")


def test_what_somebody_else_may_dead_letter_to_a_worker_moves() -> None:
    written = scenario(
        queues={"tasks": {}, "theirs": {"dead_letter": "tasks"}}, publishers={"messages": 10, "to": ["tasks", "theirs"]}
    )
    assert flow(written, NOTHING).moving == ("tasks",)
    assert flow(written, look(queue("theirs", foreign_consumers=1))).moving == ("theirs", "tasks")


def test_workers_of_several_queues_are_all_waited_for() -> None:
    written = scenario(
        queues={"tasks": {"dead_letter": "failed"}, "failed": {}},
        workers=[{"name": "a", "queue": "tasks"}, {"name": "b", "queue": "failed"}],
    )
    found = flow(written, NOTHING)
    assert (found.moving, found.sources) == (("tasks", "failed"), ("tasks",))
    assert found.returning == {"tasks"}
