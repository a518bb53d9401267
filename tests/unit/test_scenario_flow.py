"""How many copies a scenario's messages can be, where they can come to, and how a queue can give them up."""

from __future__ import annotations

from typing import Any

import pytest

from harness.faults.registry import actions
from harness.scenario.flow import Death, Flow
from harness.scenario.scenario import Scenario, scenario_model


def scenario(**sections: Any) -> Scenario:
    base = {"name": "test", "publishers": {"messages": 10}, "workers": {"count": 2}}
    return scenario_model(actions()).model_validate(base | sections)


def fan(**left: Any) -> dict[str, Any]:
    """A fanout exchange to two queues, 10 messages."""
    return {
        "queues": {"left": left, "right": {}, "dead": {}},
        "exchanges": {"fan": {"type": "fanout"}},
        "bindings": [{"exchange": "fan", "queue": "left"}, {"exchange": "fan", "queue": "right"}],
        "publishers": {"messages": 10, "exchange": "fan"},
    }


def test_a_message_is_a_copy_in_each_queue_that_it_is_put_in() -> None:
    flow = Flow(scenario(**fan()))
    assert flow.most_copies == 20
    assert [flow.most_in(queue) for queue in ("left", "right", "dead")] == [10, 10, 0]


def test_messages_that_reach_no_queue_are_copies_too() -> None:
    assert Flow(scenario(exchanges={"ex": {}}, publishers={"messages": 7, "exchange": "ex"})).most_copies == 7


def test_queues_that_are_sent_to_in_turn_share_the_messages() -> None:
    made = scenario(queues={"a": {}, "b": {}}, publishers={"messages": 5, "count": 2, "to": ["a", "b"]})
    flow = Flow(made)
    assert (flow.most_copies, flow.most_in("a"), flow.most_in("b")) == (10, 6, 4)


def test_what_a_step_publishes_counts() -> None:
    made = scenario(timeline=[{"at": "1s", "publish": {"text": "x", "count": 3}}])
    assert Flow(made).most_in("tasks") == 13


def dying(to: list[str], **queues: Any) -> Scenario:
    """Tasks expire in their queue and are dead-lettered to a fanout exchange."""
    tasks = {"message_ttl": "1s", "dead_letter": {"exchange": "fan"}}
    return scenario(
        queues={"tasks": tasks, **queues},
        exchanges={"fan": {"type": "fanout"}},
        bindings=[{"exchange": "fan", "queue": queue} for queue in to],
    )


def test_a_death_into_several_queues_makes_as_many_copies() -> None:
    flow = Flow(dying(["one", "two", "three"], one={}, two={}, three={}))
    assert (flow.most_copies, flow.most_in("tasks"), flow.most_in("one")) == (30, 30, 30)


def test_a_retry_loop_makes_no_more_copies_of_a_message() -> None:
    flow = Flow(dying(["retry"], retry={"message_ttl": "1s", "dead_letter": "tasks"}))
    assert (flow.most_copies, flow.most_in("retry")) == (10, 10)


def test_a_loop_that_sheds_a_copy_each_round_has_no_bound() -> None:
    flow = Flow(dying(["retry", "audit"], retry={"message_ttl": "1s", "dead_letter": "tasks"}, audit={}))
    assert (flow.most_copies, flow.most_in("audit")) == (None, None)


def test_publishers_that_go_by_time_alone_have_no_bound() -> None:
    assert Flow(scenario(publishers={"duration": "2s"})).most_copies is None
    assert Flow(scenario(publishers={"duration": "2s", "rate": 10, "count": 2})).most_copies == 42


def test_a_target_that_no_death_leads_to_gets_nothing() -> None:
    made = scenario(queues={"tasks": {"dead_letter": "dead"}, "dead": {}})
    assert list(Flow(made).queues) == ["tasks"]


QUORUM = {"type": "quorum", "delivery_limit": 2}
KILLS = [{"at": "1s", "kill": "worker-1"}]


@pytest.mark.parametrize(
    ("sections", "deaths"),
    [
        ({}, set()),
        ({"queues": {"tasks": {"message_ttl": "1s"}}}, {Death.EXPIRED}),
        ({"queues": {"tasks": {"arguments": {"x-max-length-bytes": 1}}}}, {Death.LENGTH}),
        ({"queues": {"tasks": {"max_length": 5, "overflow": "reject-publish"}}}, set()),
        ({"queues": {"tasks": {"max_length": 5, "overflow": "reject-publish-dlx"}}}, {Death.LENGTH}),
        ({"workers": {"fails": {"every": 2, "by": "reject"}}}, {Death.REJECTED}),
        ({"workers": {"acks": "automatic", "fails": {"every": 2, "by": "reject"}}}, set()),
        ({"workers": {"fails": {"every": 2, "by": "requeue"}}}, set()),
        (
            {"queues": {"tasks": {"type": "quorum"}}, "workers": {"fails": {"every": 2, "by": "requeue"}}},
            {Death.DELIVERY_LIMIT},
        ),
        (
            {"queues": {"tasks": {"type": "quorum"}}, "workers": {"fails": {"every": 2, "by": "crash"}}},
            {Death.DELIVERY_LIMIT},
        ),
        (
            {
                "queues": {"tasks": {"type": "quorum"}},
                "workers": {"fails": {"every": 2, "by": "requeue", "first_delivery_only": True}},
            },
            set(),
        ),
        ({"queues": {"tasks": QUORUM}, "timeline": KILLS * 2}, set()),
        ({"queues": {"tasks": QUORUM}, "timeline": KILLS * 3}, {Death.DELIVERY_LIMIT}),
        (
            {"queues": {"tasks": QUORUM}, "timeline": [{"at": "1s", "close": {"connections": "all", "times": 3}}]},
            {Death.DELIVERY_LIMIT},
        ),
        ({"queues": {"tasks": {"type": "quorum"}}, "timeline": KILLS * 3}, set()),
    ],
    ids=str,
)
def test_a_queue_gives_a_copy_up_by_what_is_set_on_it_and_by_what_happens(
    sections: dict[str, Any], deaths: set[Death]
) -> None:
    assert Flow(scenario(**sections)).deaths("tasks") == deaths


def test_a_tangle_of_three_hundred_queues_is_followed_at_once() -> None:
    names = [f"q{number}" for number in range(300)]
    made = scenario(
        queues={name: {"message_ttl": "1s", "dead_letter": {"exchange": "fan"}} for name in names},
        exchanges={"fan": {"type": "fanout"}},
        bindings=[{"exchange": "fan", "queue": name} for name in names],
        workers=[],
    )
    assert Flow(made).most_copies is None
