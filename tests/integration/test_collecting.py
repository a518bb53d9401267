"""Reading what is left in queues that feed each other, and in queues that somebody else has for himself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from harness.broker.protocol import Broker
from harness.history.records import LogHeader
from harness.traffic import collector, topology
from harness.traffic.collector import Left, collect
from harness.traffic.log import EventLog
from harness.traffic.topology import QueueDeclaration
from tests.integration.stage import Stage, wait_until


@pytest.fixture
def stage(broker: Broker, tmp_path: Path) -> Iterator[Stage]:
    """Starts publishers on the broker."""
    stage = Stage(broker, tmp_path, "pika")
    yield stage
    stage.close()


@contextmanager
def somebody_else(stage: Stage) -> Iterator[BlockingChannel]:
    endpoint = stage.broker.endpoint()
    with closing(pika.BlockingConnection(pika.ConnectionParameters(endpoint.host, endpoint.port))) as connection:
        yield connection.channel()


def left(stage: Stage, queues: list[str], single_active: frozenset[str] = frozenset()) -> dict[str, Left]:
    log = EventLog(stage.directory / "left.log", LogHeader("collector", "collector", 0, 1, 1, tuple(queues)))
    try:
        return collect(stage.target(), queues, log, stage.token, single_active=single_active)
    finally:
        log.close()


@pytest.mark.parametrize("order", [("parking", "tasks"), ("tasks", "parking")])
def test_nothing_moves_between_two_queues_while_they_are_read(stage: Stage, order: tuple[str, str]) -> None:
    """The messages of one queue expire into the other all the while; each is found once."""
    names = {name: f"{stage.queue}-{name}" for name in order}
    stage.declare(queue=names["tasks"])
    stage.declare(
        queue=names["parking"],
        message_ttl=300,
        dead_letter_exchange="",
        dead_letter_routing_key=names["tasks"],
    )
    stage.queue = names["parking"]
    stage.publish(2000)
    found = stage.left([names[name] for name in order])
    assert sorted(found["seq"].tolist()) == list(range(2000))
    topology.delete(stage.target(), list(names.values()), [])


def test_a_queue_with_a_single_active_consumer_of_somebody_else_is_only_counted(stage: Stage) -> None:
    stage.declare(single_active_consumer=True)
    stage.publish(5)
    with somebody_else(stage) as channel:
        channel.basic_qos(prefetch_count=2)
        channel.basic_consume(stage.queue, lambda *_: None)
        wait_until(lambda: stage.ready() == 3, "the other consumer to hold what it may")
        found = left(stage, [stage.queue], frozenset({stage.queue}))
        assert found == {stage.queue: Left(3, "single active consumer")}
        assert topology.counts(stage.target(), [stage.queue])[stage.queue] == topology.Counts(3, 1)


def test_a_queue_with_a_single_active_consumer_is_read_when_nobody_else_consumes(stage: Stage) -> None:
    stage.declare(single_active_consumer=True)
    stage.publish(5)
    assert left(stage, [stage.queue], frozenset({stage.queue})) == {stage.queue: Left(5)}


def test_a_queue_with_an_exclusive_consumer_is_only_counted_and_the_others_are_read(stage: Stage) -> None:
    names = [f"{stage.queue}-{number}" for number in range(3)]
    for name in names:
        stage.declare(queue=name)
        stage.queue = name
        stage.publish(4)
    with somebody_else(stage) as channel:
        channel.basic_qos(prefetch_count=1)
        channel.basic_consume(names[1], lambda *_: None, exclusive=True)
        wait_until(lambda: stage.ready(names[1]) == 3, "the other consumer to hold what it may")
        assert left(stage, names) == {names[0]: Left(4), names[1]: Left(3, "exclusive"), names[2]: Left(4)}


def test_an_exclusive_queue_and_a_missing_one_are_told_apart(stage: Stage) -> None:
    with somebody_else(stage) as channel:
        channel.queue_declare(stage.queue, exclusive=True)
        missing = f"{stage.queue}-missing"
        assert left(stage, [stage.queue, missing]) == {
            stage.queue: Left(0, "exclusive"),
            missing: Left(0, "missing"),
        }


def test_more_messages_than_a_consumer_takes_are_read_from_several_queues(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collector, "PREFETCH", 100)
    names = [f"{stage.queue}-{kind}" for kind in ("classic", "quorum")]
    for name, kind in zip(names, ("classic", "quorum"), strict=True):
        stage.declare(queue=name, queue_type=kind)
        stage.queue = name
        stage.publish(350)
    assert left(stage, names) == {name: Left(350) for name in names}
    wait_until(lambda: [stage.ready(name) for name in names] == [350, 350], "all to be given back")


def test_hundreds_of_queues_are_declared_and_read_over_one_connection(stage: Stage) -> None:
    names = [f"{stage.queue}-{number}" for number in range(300)]
    topology.declare(stage.target(), [], [QueueDeclaration(name) for name in names], [])
    stage.queue = names[250]
    stage.publish(3)
    found = left(stage, names)
    assert {name: each.messages for name, each in found.items() if each.messages} == {names[250]: 3}
    topology.delete(stage.target(), names, [])
