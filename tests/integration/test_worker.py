"""What a worker does with acks, failures, a lost connection, a cancelled consumer and a stop, and what its log says of it."""

from __future__ import annotations

import signal

import numpy as np
import pika
import pytest

from harness.broker.protocol import Broker
from harness.history.records import FOREIGN, AckMode, Flag, ForeignMessage, Kind
from harness.traffic import errands, identity, topology
from harness.traffic.spec import CRASH_EXIT_CODE, Acks, Failure, Work
from harness.traffic.worker import FLUSH_AFTER_S
from tests.integration.stage import Process, Stage, wait_until

NEVER_DONE = Work(fixed_s=600.0)


def test_everything_is_delivered_processed_and_acked_once(stage: Stage) -> None:
    stage.declare()
    worker = stage.worker(prefetch=20)
    stage.publish(1000)
    wait_until(lambda: len(worker.acked_tags()) == 1000, "all acks")
    assert worker.stop() == 0, worker.said
    assert sorted(worker.processed()) == list(range(1000))
    assert worker.acked_tags() == list(range(1, 1001))
    assert worker.kinds()[:2] == [Kind.CONNECTED, Kind.CONSUMING]
    assert worker.kinds()[-1] == Kind.FINISHED
    assert worker.of(Kind.CONSUMING)[["attempt", "arg"]].tolist() == [(AckMode.MANUAL, 20)]
    assert worker.said == ""
    assert stage.ready() == 0


def test_work_takes_its_time_and_one_delivery_after_the_other(stage: Stage) -> None:
    stage.declare()
    stage.publish(3, texts=("a..", "b.", "c"))
    worker = stage.worker(work=Work("dots", per_dot_s=0.2))
    wait_until(lambda: worker.processed() == [0, 1, 2], "the work")
    delivered = worker.of(Kind.DELIVERED)["at_ns"].tolist()
    completed = worker.of(Kind.COMPLETED)["at_ns"].tolist()
    assert completed[0] - delivered[0] >= 0.4e9
    assert completed[1] - completed[0] >= 0.2e9
    assert delivered[2] < completed[0], "deliveries wait in the client, not in the broker"


def test_heartbeats_flow_during_long_work(stage: Stage) -> None:
    stage.declare()
    stage.publish(1)
    worker = stage.worker(work=Work(fixed_s=5.0), target=stage.target(heartbeat_s=1))
    wait_until(lambda: worker.acked_tags() == [1], "the work")
    assert Kind.CONNECTION_LOST not in worker.kinds()


@pytest.mark.parametrize(
    ("acks", "left"), [(Acks.MANUAL, 5), (Acks.AUTOMATIC, 0), (Acks.EARLY, 0)], ids=["manual", "automatic", "early"]
)
def test_what_a_killed_worker_held_comes_back_only_with_manual_acks(stage: Stage, acks: Acks, left: int) -> None:
    stage.declare()
    stage.publish(5)
    worker = stage.worker(acks=acks, work=NEVER_DONE)
    worker.await_records(Kind.DELIVERED, 5)
    expected_acks = 5 if acks is Acks.EARLY else 0
    worker.await_records(Kind.ACKED, expected_acks)
    if acks is Acks.EARLY:
        # Recorded before the send: the broker has seen them once it has answered something sent later.
        wait_until(lambda: _unacked_gone(stage), "the broker to take the early acks")
    worker.kill()
    found = stage.left()
    assert len(found) == left
    assert worker.processed() == []
    assert len(worker.acked_tags()) == expected_acks
    if left:
        assert set(found["flags"].tolist()) == {Flag.REDELIVERED}


def _unacked_gone(stage: Stage) -> bool:
    listed = stage.broker.control("list_queues", "-q", "--no-table-headers", "name", "messages_unacknowledged")
    return f"{stage.queue}\t0" in listed.stdout


def test_early_acks_come_before_the_work_and_manual_ones_after(stage: Stage) -> None:
    stage.declare()
    for acks, order in ((Acks.EARLY, [Kind.ACKED, Kind.COMPLETED]), (Acks.MANUAL, [Kind.COMPLETED, Kind.ACKED])):
        worker = stage.worker(acks=acks, work=Work(fixed_s=0.05))
        stage.publish(1)
        worker.await_records(Kind.ACKED)
        worker.await_records(Kind.COMPLETED)
        assert worker.kinds()[2:] == [Kind.DELIVERED, *order]
        assert worker.stop() == 0


def test_acks_are_batched_and_what_is_left_over_is_acked_when_idle(stage: Stage) -> None:
    stage.declare()
    stage.publish(13)
    worker = stage.worker(ack_every=10, work=Work(fixed_s=2 * FLUSH_AFTER_S))
    wait_until(lambda: len(worker.acked_tags()) == 13, "all acks")
    assert worker.acked_tags() == list(range(1, 14))
    assert worker.of(Kind.ACKED)["arg"].tolist() == [10, 3]
    assert worker.stop() == 0
    assert stage.ready() == 0


def test_a_batch_larger_than_the_prefetch_does_not_stall(stage: Stage) -> None:
    stage.declare()
    stage.publish(100)
    worker = stage.worker(ack_every=100, prefetch=4)
    wait_until(lambda: len(worker.acked_tags()) == 100, "all acks")
    assert max(worker.of(Kind.ACKED)["arg"].tolist()) <= 4
    pauses = np.diff(worker.of(Kind.ACKED)["at_ns"])
    assert pauses.min() < FLUSH_AFTER_S * 1e9, "every batch waited for more that could not come"


def test_a_rejected_delivery_is_dead_lettered_and_not_processed(stage: Stage) -> None:
    dead = stage.declare(queue=f"{stage.queue}-dead")
    stage.declare(dead_letter_exchange="", dead_letter_routing_key=dead)
    stage.publish(10)
    worker = stage.worker(failures=(Failure("reject", every=5),))
    wait_until(lambda: len(worker.processed()) == 8, "the work")
    wait_until(lambda: stage.ready(dead) == 2, "the dead letters")
    assert worker.stop() == 0
    assert worker.of(Kind.REJECTED)["seq"].tolist() == [4, 9]
    assert set(worker.of(Kind.REJECTED)["flags"].tolist()) == {0}
    found = stage.left([dead])
    assert sorted(found["seq"].tolist()) == [4, 9]
    assert set(found["flags"].tolist()) == {Flag.DEAD_LETTERED}
    undertaker = stage.worker(queue=dead)
    wait_until(lambda: len(undertaker.processed()) == 2, "the dead letters to be delivered")
    assert all(flags & Flag.DEAD_LETTERED for flags in undertaker.of(Kind.DELIVERED)["flags"].tolist())


def test_a_requeued_delivery_comes_back_redelivered(stage: Stage) -> None:
    stage.declare()
    stage.publish(6)
    worker = stage.worker(failures=(Failure("requeue", every=3, first_delivery_only=True),))
    wait_until(lambda: sorted(worker.processed()) == list(range(6)), "the work")
    assert worker.of(Kind.REJECTED)[["seq", "flags"]].tolist() == [(2, Flag.REQUEUE), (5, Flag.REQUEUE)]
    delivered = worker.of(Kind.DELIVERED)
    assert sorted(delivered[(delivered["flags"] & Flag.REDELIVERED) != 0]["seq"].tolist()) == [2, 5]
    wait_until(lambda: len(worker.acked_tags()) == 6, "all acks")


def test_the_same_share_fails_whichever_worker_meets_it(stage: Stage) -> None:
    dead = stage.declare(queue=f"{stage.queue}-dead")
    stage.declare(dead_letter_exchange="", dead_letter_routing_key=dead)
    failures = (Failure("reject", share=0.3),)
    first = stage.worker(failures=failures, seed=3)
    stage.publish(200)
    wait_until(lambda: len(first.of(Kind.REJECTED)) + len(first.processed()) == 200, "the work")
    assert first.stop() == 0
    rejected = set(first.of(Kind.REJECTED)["seq"].tolist())
    assert 20 < len(rejected) < 120
    second = stage.worker(queue=dead, failures=failures, seed=3)
    wait_until(lambda: len(second.of(Kind.REJECTED)) == len(rejected), "the same ones to fail again")
    assert second.processed() == []


@pytest.mark.parametrize(
    ("acks", "mode"), [(Acks.AUTOMATIC, AckMode.AUTOMATIC), (Acks.EARLY, AckMode.EARLY)], ids=["automatic", "early"]
)
def test_work_that_fails_when_the_broker_takes_it_for_acknowledged_is_recorded(
    stage: Stage, acks: Acks, mode: AckMode
) -> None:
    stage.declare()
    stage.publish(6)
    worker = stage.worker(acks=acks, prefetch=3, failures=(Failure("reject", every=3),))
    wait_until(lambda: worker.processed() == [0, 1, 3, 4], "the work")
    worker.await_records(Kind.FAILED, 2)
    assert worker.stop() == 0, worker.said
    failed = worker.of(Kind.FAILED)[["publisher", "seq", "attempt", "connection", "tag"]]
    assert failed.tolist() == [(1, 2, 1, 1, 3), (1, 5, 1, 1, 6)]
    consuming = worker.of(Kind.CONSUMING)[["attempt", "arg"]].tolist()
    assert consuming == [(mode, 0 if acks is Acks.AUTOMATIC else 3)]
    assert Kind.REJECTED not in worker.kinds()
    assert len(stage.left()) == 0


def test_a_poison_message_crashes_the_worker_and_comes_back(stage: Stage) -> None:
    stage.declare()
    stage.publish(3, texts=("fine", "poison", "fine"))
    worker = stage.worker(failures=(Failure("crash", text="poison"),), prefetch=1)
    assert worker.wait() == CRASH_EXIT_CODE
    assert worker.kinds()[-1] == Kind.CRASHING
    assert worker.of(Kind.CRASHING)["seq"].tolist() == [1]
    assert worker.processed() == [0]
    assert 1 in stage.left()["seq"].tolist()


def test_what_it_held_when_the_broker_died_is_never_acked_on_the_new_channel(stage: Stage, broker: Broker) -> None:
    stage.declare()
    stage.settle()
    stage.publish(10)
    worker = stage.worker(work=Work(fixed_s=1.0), prefetch=3)
    worker.await_records(Kind.COMPLETED, 1)
    worker.await_records(Kind.DELIVERED, 4)
    broker.kill()
    broker.start_node()
    wait_until(lambda: set(worker.processed()) == set(range(10)), "everything to be processed")
    wait_until(lambda: stage.ready() == 0, "the queue to be empty")
    assert worker.stop() == 0, worker.said
    delivered = {(r["connection"], r["tag"]) for r in worker.of(Kind.DELIVERED)}
    acked = [(r["connection"], r["tag"] + n) for r in worker.of(Kind.ACKED) for n in range(r["arg"])]
    assert len(acked) == len(set(acked))
    assert set(acked) <= delivered
    lost_at = worker.kinds().index(Kind.CONNECTION_LOST)
    assert all(r["connection"] == 2 for r in worker.records[lost_at + 1 :] if r["kind"] == Kind.ACKED)
    assert Kind.CHANNEL_CLOSED not in worker.kinds(), "an unknown delivery tag closes the channel"
    assert len(stage.left()) == 0


def test_work_that_outlives_its_connection_is_done_and_acked_only_when_it_was_delivered_again(
    stage: Stage, broker: Broker
) -> None:
    stage.declare()
    stage.publish(1)
    worker = stage.worker(work=Work(fixed_s=10.0))  # longer than rabbitmqctl takes to start on a busy machine
    worker.await_records(Kind.DELIVERED)
    assert broker.control("close_all_connections", "a test").exit_code == 0
    worker.await_records(Kind.DELIVERED, 2)
    assert worker.processed() == [], "the work was over before the connection was back"
    wait_until(lambda: len(worker.of(Kind.ACKED)) >= 1, "the ack")
    wait_until(lambda: stage.ready() == 0, "the queue to be empty")
    assert worker.stop() == 0, worker.said
    (lost,) = worker.of(Kind.CONNECTION_LOST)
    assert (lost["arg"], worker.read.reasons[lost["queue"]]) == (320, "CONNECTION_FORCED - a test")
    assert worker.of(Kind.COMPLETED)[["connection", "tag"]].tolist() == [(1, 1), (2, 1)]
    assert worker.kinds()[-2] == Kind.ACKED
    assert worker.of(Kind.ACKED)[["connection", "tag"]].tolist() == [(2, 1)]
    assert len(stage.left()) == 0


def test_a_cancelled_consumer_finishes_what_it_holds_and_consumes_again(stage: Stage) -> None:
    stage.declare()
    stage.publish(3)
    worker = stage.worker(work=Work(fixed_s=0.3))
    worker.await_records(Kind.DELIVERED, 3)
    topology.delete(stage.target(), [stage.queue], [])
    worker.await_records(Kind.CANCELLED)
    wait_until(lambda: worker.processed() == [0, 1, 2], "what it held to be worked off")
    stage.declare()
    worker.await_records(Kind.CONSUMING, 2)
    stage.publish(1, start=0)
    wait_until(lambda: len(worker.processed()) == 4, "a message of the new queue")
    assert worker.stop() == 0, worker.said


def test_a_queue_that_is_not_there_yet_is_waited_for(stage: Stage) -> None:
    worker = stage.worker()
    worker.await_records(Kind.CHANNEL_CLOSED, 2)
    closed = worker.of(Kind.CHANNEL_CLOSED)
    assert set(closed["arg"].tolist()) == {404}
    assert {worker.read.reasons[said] for said in closed["queue"].tolist()} == {
        f"NOT_FOUND - no queue '{stage.queue}' in vhost '/'"
    }
    stage.declare()
    stage.publish(3)
    wait_until(lambda: len(worker.processed()) == 3, "the work")


def test_a_queue_that_never_comes_is_told_within_the_bound(stage: Stage) -> None:
    worker = stage.worker(target=stage.target(reconnect_timeout_s=1.0))
    assert worker.wait() == 1
    assert "404" in worker.said
    assert len(worker.said.strip().splitlines()) == 1


@pytest.mark.parametrize("how", ["stop", "SIGTERM"])
def test_a_stop_finishes_and_acks_what_is_held(stage: Stage, how: str) -> None:
    stage.declare()
    stage.publish(10)
    worker = stage.worker(prefetch=3, work=Work(fixed_s=0.3))
    worker.await_records(Kind.DELIVERED, 3)
    worker.popen.send_signal(signal.SIGINT)
    if how == "stop":
        worker.say("stop")
    else:
        worker.popen.send_signal(signal.SIGTERM)
    assert worker.wait() == 0, worker.said
    assert worker.kinds()[-1] == Kind.FINISHED
    assert len(worker.processed()) == len(worker.of(Kind.DELIVERED)) == len(worker.acked_tags())
    left = stage.left()["seq"].tolist()
    assert sorted(worker.processed() + left) == list(range(10))


def test_a_stop_before_the_first_connection_ends_it(stage: Stage, broker: Broker) -> None:
    stage.declare()
    stage.settle()
    broker.kill()
    worker = stage.worker()
    worker.await_records(Kind.CONNECT_FAILED)
    assert worker.stop() == 0, worker.said


def test_it_dies_with_the_engine(stage: Stage) -> None:
    stage.declare()
    worker = stage.worker(work=NEVER_DONE)
    worker.await_records(Kind.CONSUMING)
    worker.hang_up()
    assert worker.wait() == 1


def test_foreign_and_corrupt_messages_are_told_apart(stage: Stage) -> None:
    stage.declare()
    body = b"First message."
    with errands.channel(stage.target(), "publishing by hand") as channel:
        for message_id, sent in (
            (None, body),
            (identity.encode("other", 1, 7, 1, body), body),
            (identity.encode(stage.token, 1, 8, 2, body), b"Furst message."),
            (identity.encode(stage.token, 1, 9, 3, body), body),
        ):
            channel.basic_publish("", stage.queue, sent, pika.BasicProperties(message_id=message_id))
    worker = stage.worker()
    worker.await_records(Kind.DELIVERED, 4)
    other = identity.encode("other", 1, 7, 1, body)
    assert worker.read.identities == (
        ForeignMessage("", "", stage.queue, len(body), "First message."),
        ForeignMessage(other, "", stage.queue, len(body), "First message."),
    )
    assert worker.of(Kind.DELIVERED)[["publisher", "seq", "attempt", "flags"]].tolist() == [
        (FOREIGN, 0, 0, Flag.DONE),
        (FOREIGN, 1, 0, Flag.DONE),
        (1, 8, 2, Flag.DONE | Flag.CORRUPT),
        (1, 9, 3, Flag.DONE),
    ]


def test_no_password_is_in_any_output(stage: Stage, broker: Broker) -> None:
    password = "s3cr3t-w0rd"  # noqa: S105 - looked for below
    user = f"u-{stage.token}"
    assert broker.control("add_user", user, password).exit_code == 0
    assert broker.control("set_permissions", user, ".*", ".*", ".*").exit_code == 0
    stage.declare()
    stage.settle()
    target = stage.target(username=user, password=password)
    publisher, worker = stage.publisher(target=target, rate_per_s=100.0), stage.worker(target=target)
    wait_until(worker.processed, "traffic")
    broker.kill()
    _await_loss(publisher, worker)
    broker.start_node()
    publisher.await_records(Kind.CONNECTED, 2)
    worker.await_records(Kind.CONNECTED, 2)
    assert publisher.stop() == worker.stop() == 0
    for path in stage.directory.rglob("*"):
        assert not path.is_file() or password.encode() not in path.read_bytes(), path


def _await_loss(*processes: Process) -> None:
    for process in processes:
        process.await_records(Kind.CONNECTION_LOST)
