"""What is in force on a queue, and where its dead letters go, is what the broker does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest
from pika import BasicProperties
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import NackError
from pika.spec import Basic

from harness.broker.erlang import evaluate
from harness.broker.protocol import Broker
from harness.engine.plan import declarations
from harness.scenario.queue_policy import effective_policy
from harness.scenario.scenario import Scenario
from harness.scenario.topology import ArgumentValue, Queue
from harness.traffic import errands, topology
from tests.integration.stage import Stage, wait_until
from tests.unit.histories import scenario
from tests.unit.test_scenario_routing import by_key


@pytest.fixture
def stage(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A broker to declare on; no client takes part."""
    stage = Stage(broker, tmp_path_factory.mktemp("stage"), "pika")
    yield stage
    stage.close()


@contextmanager
def declared(stage: Stage, made: Scenario) -> Iterator[None]:
    """Declare a scenario's topology, and delete it at the end."""
    exchanges, queues, bindings = declarations(made)
    topology.declare(stage.target(), exchanges, queues, bindings)
    try:
        yield
    finally:
        topology.delete(stage.target(), tuple(made.queues), tuple(made.exchanges))


def ready(stage: Stage, queue: str) -> int:
    found = topology.ready_messages(stage.target(), [queue])[queue]
    return -1 if found is None else found


def publish(stage: Stage, exchange: str, key: str, count: int = 1) -> int:
    """Publish with confirms; returns how many the broker took."""
    taken = 0
    with errands.channel(stage.target(), "publishing for a test") as channel:
        channel.confirm_delivery()
        for _ in range(count):
            try:
                channel.basic_publish(exchange, key, b"x" * 100, BasicProperties(delivery_mode=2))
                taken += 1
            except NackError:
                continue
    return taken


@contextmanager
def policy(broker: Broker, queue: str, definition: Mapping[str, ArgumentValue]) -> Iterator[None]:
    """Set a policy on one queue from outside, as rabbitmqctl does, without a second for its start."""
    text = json.dumps(json.dumps(definition))  # quoted as Erlang quotes
    named = '<<"/">>, <<"test">>'
    setting = f'rabbit_policy:parse_set({named}, <<"^{queue}$">>, <<{text}>>, 0, <<"queues">>, <<"a test">>)'
    assert evaluate(broker, setting) == "ok"
    try:
        yield
    finally:
        evaluate(broker, f'rabbit_policy:delete({named}, <<"a test">>)')


@pytest.mark.parametrize(
    ("first_key", "second_key", "end"),
    [(None, None, "own"), ("one", None, "one"), (None, "two", "two"), ("one", "two", "two")],
)
def test_a_message_keeps_the_key_that_its_last_death_gave_it(
    stage: Stage, first_key: str | None, second_key: str | None, end: str
) -> None:
    made = by_key(first_key, second_key)
    with declared(stage, made):
        publish(stage, "start", "own")
        wait_until(lambda: ready(stage, end) == 1, f"the message in {end}")
        assert {name: ready(stage, name) for name in made.queues if ready(stage, name)} == {end: 1}


def test_an_alternate_exchange_takes_dead_letters_too(stage: Stage) -> None:
    made = scenario(
        queues={"tasks": {"message_ttl": "50ms", "dead_letter": {"exchange": "picky"}}, "dead": {}},
        exchanges={"picky": {"arguments": {"alternate-exchange": "rest"}}, "rest": {"type": "fanout"}},
        bindings=[{"exchange": "rest", "queue": "dead"}],
    )
    with declared(stage, made):
        publish(stage, "", "tasks")
        wait_until(lambda: ready(stage, "dead") == 1, "the message in dead")


@pytest.mark.parametrize("kind", ["classic", "quorum"])
@pytest.mark.parametrize(
    ("arguments", "definition"),
    [
        ({"x-max-length": 5}, {"max-length": 50}),
        ({"x-max-length": 50}, {"max-length": 5}),
        ({"x-message-ttl": 200}, {"message-ttl": 60_000}),
        ({"x-message-ttl": 60_000}, {"message-ttl": 200}),
        ({"x-overflow": "drop-head", "x-max-length": 5}, {"overflow": "reject-publish"}),
        ({"x-overflow": "reject-publish", "x-max-length": 5}, {"overflow": "drop-head"}),
        ({}, {"overflow": "reject-publish", "max-length": 5}),
        ({"x-overflow": "reject-publish-dlx"}, {"max-length": 5}),
    ],
    ids=str,
)
def test_what_is_in_force_is_what_the_broker_does(
    stage: Stage, broker: Broker, kind: str, arguments: dict[str, ArgumentValue], definition: dict[str, ArgumentValue]
) -> None:
    queue = Queue.model_validate({"arguments": {"x-queue-type": kind} | arguments})
    found = effective_policy(queue, definition)
    with policy(broker, "tasks", definition), declared(stage, scenario(queues={"tasks": queue})):
        taken = publish(stage, "", "tasks", 20)
        if found.message_ttl_s is not None:
            assert found.message_ttl_s == 0.2
            wait_until(lambda: ready(stage, "tasks") == 0, "the end of the messages' time")
            return
        assert found.max_length == 5
        if found.refuses_when_full:
            over = 1 if kind == "quorum" else 0  # a quorum queue refuses from one over its limit on
            assert taken == 5 + over
        else:
            assert taken == 20
            wait_until(lambda: ready(stage, "tasks") == 5, "the queue to be cut")


@pytest.mark.parametrize(("argument", "limit"), [(1, 3), (3, 1), (None, 2)])
def test_the_smaller_delivery_limit_is_in_force(stage: Stage, broker: Broker, argument: int | None, limit: int) -> None:
    arguments = {"x-queue-type": "quorum"} | ({} if argument is None else {"x-delivery-limit": argument})
    queue = Queue.model_validate({"arguments": arguments, "dead_letter": "dead"})
    most = effective_policy(queue, {"delivery-limit": limit}).most_redeliveries(broker.versions().rabbitmq)
    assert most is not None
    made = scenario(queues={"tasks": queue, "dead": {}})
    with policy(broker, "tasks", {"delivery-limit": limit}), declared(stage, made):
        publish(stage, "", "tasks")
        seen: list[int] = []

        def give_back(channel: BlockingChannel, method: Basic.Deliver, *_: object) -> None:
            seen.append(method.delivery_tag)
            channel.basic_reject(method.delivery_tag, requeue=True)

        def given_up(channel: BlockingChannel) -> bool:
            channel.connection.process_data_events(0.01)
            return ready(stage, "dead") == 1

        with errands.channel(stage.target(), "consuming for a test") as channel:
            channel.basic_consume("tasks", give_back)
            wait_until(lambda: given_up(channel), "the message to be given up")
        assert len(seen) == most + 1
