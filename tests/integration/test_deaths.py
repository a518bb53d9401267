"""How a message died is in the records as each broker says it, of both kinds of queues, for both clients."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from harness.history.read import Log
from harness.history.records import NEVER_DIED, Death, Flag, Kind
from harness.traffic import topology
from harness.traffic.spec import Failure
from harness.traffic.topology import BindingDeclaration, ExchangeDeclaration
from tests.integration.stage import Stage, wait_until

KINDS = pytest.mark.parametrize("kind", ["classic", "quorum"])
REJECT = (Failure("reject"),)


def into(queue: str) -> dict[str, Any]:
    """Arguments of a queue that dead-letters into another."""
    return {"dead_letter_exchange": "", "dead_letter_routing_key": queue}


def deaths(log: Log, kind: Kind) -> list[Death]:
    """How each of the deliveries (or messages found) had died, in their order."""
    rows = log.records[log.records["kind"] == kind]
    marked = (rows["flags"] & Flag.DEAD_LETTERED) != 0
    assert (marked == (rows["death"] != 0)).all()
    return [log.deaths[index] for index in rows["death"].tolist()]


def found_in(stage: Stage, queue: str, count: int = 1) -> Log:
    """What is in a queue once it holds so many messages."""
    wait_until(lambda: stage.ready(queue) == count, f"{count} messages in {queue}")
    return stage.collected([queue])


@KINDS
def test_each_round_of_a_retry_loop_counts_its_deaths(stage: Stage, kind: str) -> None:
    work = stage.queue
    delay = stage.declare(queue=f"{work}-delay", message_ttl=50, **into(work))
    stage.declare(queue_type=kind, **into(delay))
    worker = stage.worker(failures=(Failure("reject", every=2),))
    stage.publish(2)
    worker.await_records(Kind.DELIVERED, 5)
    log = worker.read
    rows = log.records[log.records["kind"] == Kind.DELIVERED]
    again = np.flatnonzero(rows["seq"] == 1)[:4]
    assert [deaths(log, Kind.DELIVERED)[place] for place in again] == [
        NEVER_DIED,
        *(Death(work, ((work, "rejected", count), (delay, "expired", count))) for count in (1, 2, 3)),
    ]
    assert deaths(log, Kind.DELIVERED)[int(np.flatnonzero(rows["seq"] == 0)[0])] == NEVER_DIED


@KINDS
def test_work_that_fails_the_first_three_times_is_done_after_three_rounds(stage: Stage, kind: str) -> None:
    work = stage.queue
    delay = stage.declare(queue=f"{work}-delay", message_ttl=50, **into(work))
    stage.declare(queue_type=kind, **into(delay))
    failures = (Failure("reject", every=2, attempts=3),)
    workers = [stage.worker(failures=failures, prefetch=1) for _ in range(2)]
    stage.publish(20)
    wait_until(lambda: sum(len(worker.processed()) for worker in workers) == 20, "all work")
    assert all(worker.stop() == 0 for worker in workers)
    rejected = [seq for worker in workers for seq in worker.of(Kind.REJECTED)["seq"].tolist()]
    assert Counter(rejected) == dict.fromkeys(range(1, 20, 2), 3)
    assert sorted(seq for worker in workers for seq in worker.processed()) == list(range(20))


@pytest.mark.parametrize(("kind", "workers"), [("classic", 1), ("quorum", 2)])
def test_work_that_is_given_back_twice_is_done_the_third_time(stage: Stage, kind: str, workers: int) -> None:
    stage.declare(queue_type=kind)
    failures = (Failure("requeue", every=2, attempts=2),)
    started = [stage.worker(failures=failures, prefetch=1) for _ in range(workers)]
    stage.publish(10)
    wait_until(lambda: sum(len(worker.processed()) for worker in started) == 10, "all work")
    assert all(worker.stop() == 0 for worker in started)
    given_back = [seq for worker in started for seq in worker.of(Kind.REJECTED)["seq"].tolist()]
    assert Counter(given_back) == dict.fromkeys(range(1, 10, 2), 2)


@KINDS
def test_a_message_beyond_the_length_says_so(stage: Stage, kind: str) -> None:
    dead = stage.declare(queue=f"{stage.queue}-dead", queue_type=kind)
    stage.declare(queue_type=kind, max_length=1, **into(dead))
    stage.publish(2)
    assert deaths(found_in(stage, dead), Kind.FOUND) == [Death(stage.queue, ((stage.queue, "maxlen", 1),))]


def test_a_message_that_a_quorum_queue_delivered_too_often_says_so_and_its_count_rises_before(stage: Stage) -> None:
    dead = stage.declare(queue=f"{stage.queue}-dead")
    stage.declare(queue_type="quorum", delivery_limit=2, **into(dead))
    stage.publish(1)
    worker = stage.worker(failures=(Failure("requeue"),))
    log = found_in(stage, dead)
    assert deaths(log, Kind.FOUND) == [Death(stage.queue, ((stage.queue, "delivery_limit", 1),))]
    assert worker.of(Kind.DELIVERED)["arg"].tolist() == [0, 1, 2]


@KINDS
def test_a_death_into_two_queues_and_the_next_one_are_told_apart(stage: Stage, kind: str) -> None:
    work, left, right, last = (f"{stage.queue}-{name}" for name in ("work", "left", "right", "last"))
    exchange = f"{stage.queue}-dead"
    stage.declare(queue=last, queue_type=kind)
    stage.declare(queue=left, queue_type=kind, **into(last))
    stage.declare(queue=right, queue_type=kind)
    stage.declare(queue=work, queue_type=kind, dead_letter_exchange=exchange)
    topology.declare(
        stage.target(),
        [ExchangeDeclaration(exchange, "fanout")],
        [],
        [BindingDeclaration(exchange, queue) for queue in (left, right)],
    )
    stage.queue = work
    stage.publish(1)
    first = stage.worker(queue=work, failures=REJECT)
    second = stage.worker(queue=left, failures=REJECT)
    once = Death(work, ((work, "rejected", 1),))
    assert deaths(found_in(stage, right), Kind.FOUND) == [once]
    found = found_in(stage, last)
    assert deaths(found, Kind.FOUND) == [Death(work, ((work, "rejected", 1), (left, "rejected", 1)))]
    assert deaths(first.read, Kind.DELIVERED) == [NEVER_DIED]
    assert deaths(second.read, Kind.DELIVERED) == [once]
    topology.delete(stage.target(), [], [exchange])
