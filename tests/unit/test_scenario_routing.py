"""Where messages come to, by bindings and by dead-lettering, and what the queues without workers are for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.faults.registry import actions
from harness.scenario.routing import (
    Position,
    QueueRoles,
    dead_letter_queues,
    downstream,
    publisher_routes,
    queue_roles,
    route_queues,
)
from harness.scenario.scenario import Scenario, scenario_model
from harness.scenario.topology import ArgumentValue
from tests.unit.histories import scenario


def test_a_dead_letter_target_among_the_arguments_is_one() -> None:
    made = scenario(
        queues={
            "tasks": {"arguments": {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}},
            "dead": {},
        }
    )
    assert dead_letter_queues("tasks", "tasks", made) == ("dead",)
    assert made.resting_queues == {"dead"}


def test_a_death_leads_into_every_queue_that_is_bound() -> None:
    made = scenario(
        queues={"tasks": {"dead_letter": {"exchange": "fan"}}, "left": {}, "right": {}},
        exchanges={"fan": {"type": "fanout"}},
        bindings=[{"exchange": "fan", "queue": "left"}, {"exchange": "fan", "queue": "right"}],
    )
    assert dead_letter_queues("tasks", "tasks", made) == ("left", "right")


def by_key(first_key: str | None, second_key: str | None) -> Scenario:
    """Two queues that dead-letter one after the other; the second does so into a queue for each routing key."""
    first: dict[str, Any] = {"exchange": "middle"} | ({} if first_key is None else {"routing_key": first_key})
    second: dict[str, Any] = {"exchange": "sorter"} | ({} if second_key is None else {"routing_key": second_key})
    return scenario(
        queues={
            "first": {"message_ttl": "50ms", "dead_letter": first},
            "second": {"message_ttl": "50ms", "dead_letter": second},
            "own": {},
            "one": {},
            "two": {},
        },
        exchanges={"start": {}, "middle": {"type": "fanout"}, "sorter": {}},
        bindings=[
            {"exchange": "start", "queue": "first", "routing_key": "own"},
            {"exchange": "middle", "queue": "second"},
            *({"exchange": "sorter", "queue": name, "routing_key": name} for name in ("own", "one", "two")),
        ],
        publishers={"messages": 1, "exchange": "start", "routing_key": "own"},
        workers=[],
    )


@pytest.mark.parametrize(
    ("first_key", "second_key", "end"),
    [(None, None, "own"), ("one", None, "one"), (None, "two", "two"), ("one", "two", "two")],
)
def test_a_message_keeps_the_key_that_its_last_death_gave_it(
    first_key: str | None, second_key: str | None, end: str
) -> None:
    made = by_key(first_key, second_key)
    assert dead_letter_queues("second", "start/own", made, died_in=("first",)) == (end,)
    assert downstream("first", "start/own", made) == {"first", "second", end}


def test_a_key_of_the_messages_own_leads_through_the_default_exchange() -> None:
    made = scenario(
        queues={"wait": {"message_ttl": "50ms", "dead_letter": {"exchange": ""}}, "tasks": {}},
        exchanges={"ex": {"type": "fanout"}},
        bindings=[{"exchange": "ex", "queue": "wait"}],
        publishers={"messages": 1, "exchange": "ex", "routing_key": "tasks"},
        workers={"queue": "tasks"},
    )
    assert dead_letter_queues("wait", "ex/tasks", made) == ("tasks",)
    assert made.queue_roles.delaying == {"wait"}


def test_the_broker_s_own_exchanges_lead_on() -> None:
    made = scenario(
        queues={"tasks": {"dead_letter": {"exchange": "amq.fanout"}}, "dead": {}},
        bindings=[
            {"exchange": "amq.topic", "queue": "tasks", "routing_key": "task.*"},
            {"exchange": "amq.fanout", "queue": "dead"},
        ],
    )
    assert route_queues("amq.topic/task.new", made) == ("tasks",)
    assert route_queues("amq.topic/other", made) == ()
    assert dead_letter_queues("tasks", "amq.topic/task.new", made) == ("dead",)


def test_alternate_exchanges_that_lead_in_a_circle_lead_nowhere() -> None:
    made = scenario(
        exchanges={
            "one": {"arguments": {"alternate-exchange": "other"}},
            "other": {"arguments": {"alternate-exchange": "one"}},
        }
    )
    assert route_queues("one/key", made) == ()


def test_an_alternate_exchange_takes_dead_letters_too() -> None:
    made = scenario(
        queues={"tasks": {"dead_letter": {"exchange": "picky"}}, "dead": {}},
        exchanges={"picky": {"arguments": {"alternate-exchange": "rest"}}, "rest": {"type": "fanout"}},
        bindings=[{"exchange": "rest", "queue": "dead"}],
    )
    assert dead_letter_queues("tasks", "tasks", made) == ("dead",)


def test_the_broker_s_policies_lead_on_where_the_scenario_does_not() -> None:
    made = scenario(
        queues={"tasks": {}, "dead": {}},
        exchanges={"ex": {}, "spare": {"type": "fanout"}},
        bindings=[{"exchange": "spare", "queue": "tasks"}],
    )
    policies: dict[str, dict[str, ArgumentValue]] = {
        "tasks": {"dead-letter-exchange": "", "dead-letter-routing-key": "dead", "message-ttl": 100}
    }
    known = replace(made.topology, policies=policies, alternates={"ex": "spare"})
    assert known.start("ex/any") == (Position("tasks", "any"),)
    assert known.deaths(Position("tasks", "any")) == (Position("dead", "dead"),)
    assert queue_roles(known, ["tasks"], frozenset({"dead"})).delaying == {"tasks"}


@pytest.mark.parametrize(
    ("match", "asked", "fits"),
    [
        ("all", {}, True),
        ("any", {}, False),
        ("all", {"kind": "order"}, False),
        ("all", {"x-kind": "order"}, True),
        ("all-with-x", {"x-kind": "order"}, False),
        ("any-with-x", {"x-kind": "order"}, False),
    ],
)
def test_a_message_without_headers_fits_what_asks_for_none(match: str, asked: dict[str, Any], fits: bool) -> None:
    binding = {"exchange": "headers", "queue": "tasks", "arguments": {"x-match": match} | asked}
    made = scenario(queues={"tasks": {}}, exchanges={"headers": {"type": "headers"}}, bindings=[binding])
    assert route_queues("headers/", made) == (("tasks",) if fits else ())


def test_a_queue_whose_name_begins_like_an_exchange_is_reached_by_its_name() -> None:
    made = scenario(queues={"ex/queue": {}, "/lead": {}}, exchanges={"ex": {}}, publishers={"messages": 1})
    assert [route_queues(route, made) for route in made.routes] == [("ex/queue",)]
    both = scenario(
        queues={"ex/queue": {}, "/lead": {}},
        exchanges={"ex": {}},
        publishers={"messages": 1, "to": ["ex/queue", "/lead"]},
    )
    assert publisher_routes(both.publishers[0], both.first_queue) == ("/ex/queue", "//lead")
    assert [route_queues(route, both) for route in both.routes] == [("ex/queue",), ("/lead",)]


def test_what_waits_for_its_time_to_live_on_the_way_to_a_worker_is_not_at_rest() -> None:
    made = scenario(
        queues={
            "tasks": {"dead_letter": "retry"},
            "retry": {"message_ttl": "1s", "dead_letter": "again"},
            "again": {"message_ttl": "1s", "dead_letter": "tasks"},
        }
    )
    assert made.queue_roles == QueueRoles(resting=frozenset(), delaying=frozenset({"retry", "again"}))


def test_without_a_time_to_live_nothing_leads_out_of_a_dead_letter_queue() -> None:
    made = scenario(queues={"tasks": {"dead_letter": "dead"}, "dead": {"dead_letter": "tasks"}})
    assert made.queue_roles == QueueRoles(resting=frozenset({"dead"}), delaying=frozenset())


def test_a_dead_letter_queue_with_workers_is_work() -> None:
    made = scenario(
        queues={"tasks": {"dead_letter": "dead"}, "dead": {}},
        workers=[{"name": "one", "queue": "tasks"}, {"name": "two", "queue": "dead"}],
    )
    assert made.resting_queues == frozenset()


def test_a_queue_that_rests_is_at_rest_though_nothing_is_dead_lettered_into_it() -> None:
    made = scenario(
        queues={"tasks": {}, "parked": {"rests": True}, "forgotten": {}},
        publishers={"messages": 1, "to": ["parked", "forgotten"]},
    )
    assert made.resting_queues == {"parked"}


def test_what_a_step_publishes_is_followed_too() -> None:
    made = scenario_model(actions()).model_validate(
        {
            "name": "test",
            "queues": {"tasks": {}, "other": {"message_ttl": "1s", "dead_letter": "dead"}, "dead": {}},
            "publishers": {"messages": 1},
            "timeline": [{"at": "1s", "publish": {"queue": "other", "text": "x"}}],
        }
    )
    assert made.routes == ("tasks", "other")
    assert made.resting_queues == {"dead"}
