"""Broker facts, asked of real brokers."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pika
import pytest

from harness.broker.flush import flush_metadata
from harness.broker.protocol import Broker, BrokerSettings
from harness.broker.select import select
from harness.engine.facts import BrokerFacts
from harness.events import BrokerLook, QueueFacts
from harness.ledger import Ledger
from harness.scenario.topology import Queue
from harness.traffic import topology
from harness.traffic.spec import Target
from harness.traffic.topology import BindingDeclaration, ExchangeDeclaration, QueueDeclaration
from tests.integration.backends import BACKENDS, require
from tests.integration.stage import Stage, wait_until

MARK = "chaos-facts-0"
STRANGE = 'we"ird\\ ünï 💥'


@pytest.fixture
def stage(broker: Broker, tmp_path: Path) -> Iterator[Stage]:
    """Starts publishers on the broker."""
    stage = Stage(broker, tmp_path, "pika")
    yield stage
    stage.close()


def look(stage: Stage) -> BrokerLook:
    taken = BrokerFacts(
        stage.broker, stage.target(client_name=MARK), {stage.queue: Queue()}, variant="guarantee", own=True
    )
    found = taken.take("before the traffic", {}).look
    assert found.not_asked == ""
    return found


def queue(found: BrokerLook, name: str) -> QueueFacts:
    return next(each for each in found.queues if each.name == name)


@pytest.fixture
def policy(stage: Stage) -> Iterator[Callable[[str], None]]:
    """Sets a policy for the stage's queues, given as JSON; it goes at the end."""

    def apply(definition: str) -> None:
        assert stage.broker.control("set_policy", "mine", f"^{stage.queue}", definition).exit_code == 0

    yield apply
    stage.broker.control("clear_policy", "mine")


def test_a_topology_is_known_as_it_is(stage: Stage, policy: Callable[[str], None]) -> None:
    exchange, other = f"{stage.queue}-logs", f"{stage.queue}-rest"
    strange = f"{stage.queue}{STRANGE}"
    topology.declare(
        stage.target(),
        [
            ExchangeDeclaration(other, "fanout"),
            ExchangeDeclaration(exchange, "topic", arguments={"alternate-exchange": other}),
        ],
        [QueueDeclaration(stage.queue, arguments={"x-max-length": 50}), QueueDeclaration(strange)],
        [BindingDeclaration(exchange, strange, "kern.*", {"x-text": "a"})],
    )
    policy('{"max-length":20,"dead-letter-exchange":"' + other + '"}')
    flush_metadata(stage.broker)
    found = look(stage)
    tasks = queue(found, stage.queue)
    assert tasks.arguments["x-max-length"] == 50
    assert tasks.policy_name == "mine"
    assert tasks.policy == {"max-length": 20, "dead-letter-exchange": other}
    assert queue(found, strange).state == "running"
    assert found.exchanges[exchange] == "topic"
    assert found.alternate_exchanges[exchange] == other
    binding = next(each for each in found.bindings if each.exchange == exchange)
    assert (binding.destination, binding.routing_key, binding.arguments) == (strange, "kern.*", {"x-text": "a"})
    topology.delete(stage.target(), [stage.queue, strange], [exchange, other])


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_messages_are_counted_where_they_are(stage: Stage, kind: str) -> None:
    stage.declare(queue_type=kind)
    stage.publish(7)
    endpoint = stage.broker.endpoint()
    parameters = pika.ConnectionParameters(
        endpoint.host, endpoint.port, client_properties={"connection_name": f"{MARK}/worker-1.1"}
    )
    foreign = pika.ConnectionParameters(endpoint.host, endpoint.port)
    with closing(pika.BlockingConnection(parameters)) as ours, closing(pika.BlockingConnection(foreign)) as other:
        for connection, prefetch in ((ours, 3), (other, 2)):
            channel = connection.channel()
            channel.basic_qos(prefetch_count=prefetch)
            channel.basic_consume(stage.queue, lambda *_: None)
            connection.process_data_events(0)
        wait_until(lambda: queue(look(stage), stage.queue).unacknowledged == 5, "both consumers to hold what they may")
        found = look(stage)
    tasks = queue(found, stage.queue)
    assert (tasks.ready, tasks.unacknowledged, tasks.held) == (2, 5, 0)
    assert (tasks.consumers, tasks.foreign_consumers) == (2, 1)
    assert not found.own_virtual_host
    assert f"{MARK}/worker-1.1" not in found.foreign_connections


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_what_others_take_is_counted_and_they_are_in_the_log(stage: Stage, kind: str) -> None:
    stage.declare(queue_type=kind)
    ours = stage.target(client_name=MARK)
    topology.ready_messages(ours, [stage.queue])
    stage.publish(5)
    before = look(stage)
    endpoint = stage.broker.endpoint()
    with closing(pika.BlockingConnection(pika.ConnectionParameters(endpoint.host, endpoint.port))) as other:
        channel = other.channel()
        taken = [channel.basic_get(stage.queue, auto_ack=True)[2] for _ in range(2)]
        channel.basic_publish("", stage.queue, b"more")
        channel.basic_publish("", f"{stage.queue}-nowhere", b"astray")
    assert None not in taken
    after = look(stage)
    if before.handled:  # from 3.10 on
        (was,), (is_now,) = before.handled.values(), after.handled.values()
        more = {name: count - was[name] for name, count in is_now.items()}
        assert (more["received"], more["routed"], more["delivered"]) == (2, 1, 2)
        assert more["get_auto_ack"] == (0 if stage.broker.versions().rabbitmq.startswith("3.10.") else 2)
    facts = BrokerFacts(stage.broker, ours, {stage.queue: Queue()}, variant="guarantee", own=True)
    wait_until(lambda: bool(facts.others(stage.broker.logs()).connections), "the log to name the client")
    assert queue(before, stage.queue).identity == queue(after, stage.queue).identity


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_a_queue_that_is_declared_again_is_another_one(stage: Stage, kind: str) -> None:
    stage.declare(queue_type=kind)
    before = queue(look(stage), stage.queue).identity
    topology.delete(stage.target(), [stage.queue], [])
    stage.declare(queue_type=kind)
    assert before
    assert queue(look(stage), stage.queue).identity not in ("", before)


def test_what_a_target_refuses_is_held(stage: Stage) -> None:
    dead = f"{stage.queue}-dead"
    stage.declare(queue=dead, max_length=1, overflow="reject-publish")
    stage.declare(
        queue_type="quorum",
        overflow="reject-publish",
        dead_letter_exchange="",
        dead_letter_routing_key=dead,
        dead_letter_strategy="at-least-once",
        message_ttl=1,
    )
    before = look(stage).dead_lettered
    stage.publish(5)
    wait_until(lambda: queue(look(stage), stage.queue).held == 4, "the target to refuse the others")
    found = look(stage)
    tasks = queue(found, stage.queue)
    assert (tasks.ready, tasks.unacknowledged) == (0, 0)
    assert queue(found, dead).ready == 1
    (node,) = found.node_started
    assert found.node_started.keys() == found.dead_lettered.keys()
    counter = "quorum/at_least_once/expired"
    assert found.dead_lettered[node][counter] - before[node][counter] == 5


def test_every_start_of_a_node_is_another_one(stage: Stage) -> None:
    first = look(stage).node_started
    stage.broker.stop()
    stage.broker.start_node()
    second = look(stage).node_started
    assert first.keys() == second.keys()
    assert first != second


def test_a_node_that_is_down_cannot_be_asked(stage: Stage, broker: Broker) -> None:
    broker.kill()
    taken = BrokerFacts(broker, stage.target(), {stage.queue: Queue()}, variant="guarantee", own=True)
    found = taken.take("after the drain", {}).look
    assert found.not_asked.startswith(f"{broker.nodes[0]} is down; asking for the depth of queue")
    assert found.queues == ()


def test_a_queue_beyond_the_quick_way_is_looked_at_too(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without erl_call, rabbitmqctl says the same."""
    monkeypatch.setattr("harness.broker.erl_call.answer", lambda _done: None)
    monkeypatch.setattr(
        "harness.broker.erl_call.in_container",
        lambda expression, timeout_s: ["rabbitmqctl", "-q", "-t", str(int(timeout_s)), "eval", expression],
    )
    stage.declare(queue_type="quorum")
    stage.publish(3)
    assert queue(look(stage), stage.queue).ready == 3


@pytest.fixture(params=[BACKENDS[0], pytest.param("container", marks=[pytest.mark.container, pytest.mark.slow])])
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    """Three nodes of a test's own."""
    require(request.param)
    ledger = Ledger(f"test-{secrets.token_hex(4)}")
    broker = select(request.param, BrokerSettings(run_id=ledger.run_id, directory=tmp_path, nodes=3), ledger).broker
    try:
        broker.start()
        yield broker
    finally:
        broker.destroy()
        ledger.close()


def test_a_cluster_is_looked_at_in_one_call(cluster: Broker, tmp_path: Path) -> None:
    stage = Stage(cluster, tmp_path, "pika")
    for node in range(3):
        endpoint = cluster.endpoint(node)
        target = Target(((endpoint.host, endpoint.port),), endpoint.username, endpoint.password)
        topology.declare(target, [], [QueueDeclaration(f"classic-{node}")], [])
    stage.declare(queue_type="quorum")
    stage.publish(9)
    flush_metadata(cluster)
    found = look(stage)
    homes = {queue(found, f"classic-{node}").node for node in range(3)}
    assert homes <= set(cluster.nodes)
    assert queue(found, stage.queue).ready == 9
    assert set(found.node_started) == set(found.dead_lettered) == set(cluster.nodes)
    home = queue(found, "classic-0").node
    cluster.kill(cluster.nodes.index(home))
    wait_until(lambda: home not in look(stage).node_started, "the others to notice that a node is gone")
    wait_until(lambda: queue(look(stage), stage.queue).state == "running", "the quorum queue to have a leader")
    found = look(stage)
    assert queue(found, "classic-0").state == "down"
    assert queue(found, stage.queue).ready == 9
