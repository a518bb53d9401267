"""Declaring, asking, collecting what is left, and the tutorial by hand."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager

import numpy as np
import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker

from harness.broker.protocol import Broker
from harness.engine.by_hand import ManualPublisher
from harness.errors import BrokerError
from harness.history.read import read_log
from harness.history.records import FOREIGN, Flag, Kind
from harness.traffic import collector, console, errands, topology
from harness.traffic.topology import BindingDeclaration, ExchangeDeclaration, QueueDeclaration
from tests.integration.stage import Stage, wait_until

CONSOLE_WORKER = """
import sys
from harness.traffic import console
from harness.traffic.spec import Target

host, port, queue = sys.argv[1], int(sys.argv[2]), sys.argv[3]
try:
    console.work(Target(((host, port),), "guest", "guest"), queue=queue, durable=True, quorum=False,
                 automatic_acks=False, prefetch=1, per_dot_s=float(sys.argv[4]), say=lambda line: print(line, flush=True))
except KeyboardInterrupt:
    sys.exit(130)
"""


def test_the_broker_serves(stage: Stage) -> None:
    topology.round_trip(stage.target())


def test_no_broker_is_told_with_its_address(stage: Stage, broker: Broker) -> None:
    broker.kill()
    with pytest.raises(BrokerError, match=rf"readiness check .* failed: .*:{broker.endpoint().port} refuses connec"):
        topology.round_trip(stage.target())


def test_a_wrong_password_is_told_and_not_shown(stage: Stage) -> None:
    with pytest.raises(BrokerError) as raised:
        topology.purge(stage.target(password="s3cr3t-w0rd"), stage.queue)  # noqa: S106 - wrong
    assert "refuses the login of user 'guest' (403 ACCESS_REFUSED" in str(raised.value)
    assert "s3cr3t-w0rd" not in str(raised.value)


def test_a_virtual_host_that_is_missing_is_told(stage: Stage) -> None:
    with pytest.raises(
        BrokerError, match=r"does not let user 'guest' into the virtual host 'absent' \(530 NOT_ALLOWED"
    ):
        topology.purge(stage.target(virtual_host="absent"), stage.queue)


def test_messages_follow_a_declared_binding(stage: Stage) -> None:
    exchange = f"{stage.queue}-logs"
    topology.declare(
        stage.target(),
        [ExchangeDeclaration(exchange, "topic")],
        [QueueDeclaration(stage.queue)],
        [BindingDeclaration(exchange, stage.queue, "kern.*")],
    )
    with errands.channel(stage.target(), "publishing by hand") as channel:
        for key in ("kern.critical", "auth.critical"):
            channel.basic_publish(exchange, key, b"")
    wait_until(lambda: stage.ready() == 1, "the message that is bound")
    topology.delete(stage.target(), [stage.queue], [exchange])
    assert stage.ready() is None


def test_a_queue_declared_again_with_other_properties_is_refused_and_unharmed(stage: Stage) -> None:
    stage.declare()
    stage.publish(3)
    assert topology.redeclare(stage.target(), QueueDeclaration(stage.queue)) is None
    refused = topology.redeclare(stage.target(), QueueDeclaration(stage.queue, durable=False))
    assert refused is not None
    code, text = refused
    assert code == 406
    assert "PRECONDITION_FAILED" in text
    assert "durable" in text
    assert stage.ready() == 3
    with pytest.raises(BrokerError, match=f"declaring queue '{stage.queue}' failed: 406 PRECONDITION_FAILED"):
        topology.declare(stage.target(), [], [QueueDeclaration(stage.queue, durable=False)], [])


def test_a_purge_says_how_many_it_took(stage: Stage) -> None:
    stage.declare()
    stage.publish(7)
    assert topology.purge(stage.target(), stage.queue) == 7
    assert stage.ready() == 0


@pytest.mark.parametrize("kind", ["classic", "quorum"])
@pytest.mark.parametrize("prefetch", [collector.PREFETCH, 100])
def test_collecting_reads_everything_and_takes_nothing(
    stage: Stage, kind: str, prefetch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collector, "PREFETCH", prefetch)
    stage.declare(queue_type=kind)
    stage.publish(500)
    with errands.channel(stage.target(), "publishing by hand") as channel:
        channel.basic_publish("", stage.queue, b"who am I?", pika.BasicProperties(message_id="nobody"))
    wait_until(lambda: stage.ready() == 501, "the messages")
    first = stage.left()
    assert sorted(first[first["publisher"] == 1]["seq"].tolist()) == list(range(500))
    assert (first["publisher"] == FOREIGN).sum() == 1
    assert not (first["flags"] & Flag.REDELIVERED).any()
    wait_until(lambda: stage.ready() == 501, "the messages to be given back")
    again = stage.left()
    assert len(again) == 501
    assert (again["flags"] & Flag.REDELIVERED).all()


def test_collecting_reads_more_of_a_quorum_queue_than_it_sends_a_consumer_that_asks_for_no_number(stage: Stage) -> None:
    stage.declare(queue_type="quorum")
    stage.publish(2500)
    assert sorted(stage.left()["seq"].tolist()) == list(range(2500))


@contextmanager
def busy_leader(broker: Broker, queue: str) -> Iterator[None]:
    """Suspend a quorum queue's leader: the broker then says of the queue that it is empty and has no consumers."""
    leader = f"{{'%2F_{queue}', node()}}"
    assert broker.control("eval", f"sys:suspend({leader}).").exit_code == 0
    try:
        yield
    finally:
        assert broker.control("eval", f"sys:resume({leader}).").exit_code == 0


def test_a_quorum_queue_whose_leader_is_busy_is_not_taken_for_empty(stage: Stage, broker: Broker) -> None:
    stage.declare(queue_type="quorum")
    stage.publish(5)
    endpoint = broker.endpoint()
    parameters = pika.ConnectionParameters(endpoint.host, endpoint.port)
    with closing(pika.BlockingConnection(parameters)) as asking, ThreadPoolExecutor(1) as pool:
        ask = asking.channel()
        with busy_leader(broker, stage.queue):
            told = ask.queue_declare(stage.queue, passive=True).method
            assert (told.message_count, told.consumer_count) == (0, 0)
            ready = pool.submit(stage.ready)
            ask.queue_declare(stage.queue, passive=True)
            assert not ready.done()
        assert ready.result() == 5


@contextmanager
def collecting_beside_another_consumer(
    stage: Stage, broker: Broker
) -> Iterator[tuple[Future[np.ndarray], BlockingChannel, BlockingChannel]]:
    """Collect while another consumer holds all messages: gives what comes of it, a channel to ask on, and the other consumer's."""
    endpoint = broker.endpoint()
    parameters = pika.ConnectionParameters(endpoint.host, endpoint.port)
    with closing(pika.BlockingConnection(parameters)) as asking, closing(pika.BlockingConnection(parameters)) as other:
        ask, channel = asking.channel(), other.channel()
        channel.basic_consume(stage.queue, lambda *_: None)
        other.process_data_events(0)
        wait_until(lambda: stage.ready() == 0, "the other consumer to hold all")
        with ThreadPoolExecutor(1) as pool:
            found = pool.submit(stage.left)
            wait_until(lambda: ask.queue_declare(stage.queue, passive=True).method.consumer_count == 2, "the collector")
            yield found, ask, channel


def give_all_back(stage: Stage, channel: BlockingChannel) -> None:
    """End another consumer in one step: a close in order cancels it first, and for a moment the queue is empty and has no other consumer."""
    with pytest.raises(ChannelClosedByBroker):
        channel.queue_declare(f"{stage.queue}-missing", passive=True)


def test_collecting_waits_for_a_leader_that_is_busy(
    stage: Stage, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collector, "INACTIVITY_S", 60.0)
    stage.declare(queue_type="quorum")
    stage.publish(5)
    with collecting_beside_another_consumer(stage, broker) as (found, ask, channel):
        with busy_leader(broker, stage.queue):
            for _ in range(4):  # a quarter of a second each, in which the collector asks as well
                assert ask.queue_declare(stage.queue, passive=True).method.consumer_count == 0
            assert not found.done()
        give_all_back(stage, channel)
        assert sorted(found.result()["seq"].tolist()) == [0, 1, 2, 3, 4]


def test_collecting_tells_an_empty_queue_from_a_missing_one(stage: Stage) -> None:
    stage.declare()
    names = [stage.queue, f"{stage.queue}-missing"]
    assert len(stage.left(names)) == 0
    assert topology.ready_messages(stage.target(), names) == {names[0]: 0, names[1]: None}


def test_collecting_waits_for_what_another_consumer_gives_back(
    stage: Stage, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collector, "INACTIVITY_S", 60.0)  # a loaded machine may take its time to close the channel
    stage.declare()
    stage.publish(5)
    with collecting_beside_another_consumer(stage, broker) as (found, _, channel):
        give_all_back(stage, channel)
        assert sorted(found.result()["seq"].tolist()) == [0, 1, 2, 3, 4]


def test_a_message_published_by_hand_is_worked_on_by_hand(stage: Stage) -> None:
    console.publish_text(stage.target(), "First message.", queue=stage.queue, durable=True, persistent=True)
    with _console_worker(stage, per_dot_s=0.1) as worker:
        said = [_line(worker) for _ in range(3)]
        worker.send_signal(signal.SIGINT)
        assert worker.wait(60) == 130
    assert said == [
        " [*] Waiting for messages. To exit press CTRL+C",
        " [x] Received First message.",
        " [x] Done",
    ]
    assert stage.ready() == 0


def test_work_interrupted_by_hand_gives_its_message_back(stage: Stage) -> None:
    console.publish_text(stage.target(), "Long...", queue=stage.queue, durable=True, persistent=True)
    with _console_worker(stage, per_dot_s=600.0) as worker:
        assert [_line(worker) for _ in range(2)][1] == " [x] Received Long..."
        worker.send_signal(signal.SIGINT)
        assert worker.wait(60) == 130
    wait_until(lambda: stage.ready() == 1, "the message to come back")


def test_a_connection_lost_while_a_step_publishes_is_in_its_log(stage: Stage, broker: Broker) -> None:
    stage.declare()
    hand = ManualPublisher(stage.directory, stage.target(), token=stage.token, number=9, queues=(stage.queue,))
    with ThreadPoolExecutor(1) as pool:
        publishing = pool.submit(hand.publish, stage.queue, "First message.", 1_000_000)
        wait_until(lambda: hand.confirmed > 10, "the first confirms")
        assert broker.control("close_all_connections", "a test").exit_code == 0
        with pytest.raises(BrokerError, match="320 CONNECTION_FORCED - a test"):
            publishing.result(60)
    hand.publish(stage.queue, "Second message.", 1)
    hand.close()
    log = read_log(stage.directory / "hand.1.log")
    rows = log.events
    ends = rows[(rows["kind"] == Kind.CONNECTED) | (rows["kind"] == Kind.CONNECTION_LOST)]
    assert ends[["kind", "connection"]].tolist() == [
        (Kind.CONNECTED, 1),
        (Kind.CONNECTION_LOST, 1),
        (Kind.CONNECTED, 2),
    ]
    assert ends["arg"].tolist() == [1, 320, 1]
    assert log.reasons[ends["queue"][1]] == "CONNECTION_FORCED - a test"


def test_a_queue_with_other_properties_is_told_by_hand(stage: Stage) -> None:
    stage.declare()
    with pytest.raises(
        BrokerError, match=r"exists with other properties: 406 PRECONDITION_FAILED .*'durable'.*; ask for"
    ):
        console.publish_text(stage.target(), "First message.", queue=stage.queue, durable=False, persistent=True)


@contextmanager
def _console_worker(stage: Stage, *, per_dot_s: float) -> Iterator[subprocess.Popen[str]]:
    endpoint = stage.broker.endpoint()
    with subprocess.Popen(
        [sys.executable, "-c", CONSOLE_WORKER, endpoint.host, str(endpoint.port), stage.queue, str(per_dot_s)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ,
    ) as worker:
        try:
            yield worker
        finally:
            worker.kill()


def _line(worker: subprocess.Popen[str]) -> str:
    assert worker.stdout is not None
    return worker.stdout.readline().rstrip("\n")
