"""Publishers, workers and the broker killed at bad moments: the logs add up, and nothing confirmed is lost."""

from __future__ import annotations

import random

import pytest

from harness.broker.protocol import Broker
from harness.history.records import Flag, Kind
from harness.traffic.spec import Work
from tests.integration.stage import Process, Stage, wait_until

MESSAGES = 4000


@pytest.mark.parametrize("kind", ["classic", "quorum"])
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_nothing_confirmed_is_lost_whatever_is_killed(stage: Stage, broker: Broker, kind: str, seed: int) -> None:
    chance = random.Random(f"{kind}/{seed}")
    stage.declare(queue_type=kind)
    stage.settle()
    workers = [stage.worker(prefetch=chance.choice([1, 20, 0]), work=Work(fixed_s=0.0003)) for _ in range(2)]
    for worker in workers:
        worker.await_records(Kind.CONSUMING)
    incarnations = [stage.publisher(messages=MESSAGES, window=chance.choice([10, 200]))]
    victims = ["publisher", "worker", "broker"]
    chance.shuffle(victims)
    for number, victim in enumerate(victims):
        progress = MESSAGES * (number + 1) // 5 + chance.randrange(200)
        _await_confirms(incarnations, progress)
        match victim:
            case "publisher":
                incarnations[-1].kill()
                incarnations.append(_next_incarnation(stage, incarnations))
            case "worker":
                workers[-1].kill()
                workers.append(stage.worker(prefetch=20))
            case "broker":
                broker.kill()
                broker.start_node()
    assert incarnations[-1].wait() == 0, incarnations[-1].said
    wait_until(lambda: stage.ready() == 0, "the queue to be drained")
    for worker in workers:
        if worker.popen.poll() is None:
            assert worker.stop() == 0, worker.said

    published = {identity for publisher in incarnations for identity in publisher.published()}
    confirmed = {identity for publisher in incarnations for identity in publisher.confirmed()}
    delivered = {
        (int(seq), int(attempt))
        for worker in workers
        for seq, attempt in worker.of(Kind.DELIVERED)[["seq", "attempt"]].tolist()
    }
    processed = {seq for worker in workers for seq in worker.processed()}
    found = stage.left()
    assert confirmed <= published
    assert {seq for seq, _ in confirmed} == set(range(MESSAGES)), "the publisher ended before everything was confirmed"
    assert {seq for seq, _ in confirmed} - processed - set(found["seq"].tolist()) == set(), (
        "a confirmed message is lost"
    )
    assert delivered <= published, "something was delivered that nobody published"
    for worker in workers:
        records = worker.of(Kind.DELIVERED)
        assert not (records["flags"] & Flag.CORRUPT).any()
        _assert_acks_follow_the_work(worker)


def _await_confirms(incarnations: list[Process], count: int) -> None:
    def confirmed() -> int:
        return sum(int(publisher.of(Kind.CONFIRMED)["arg"].sum()) for publisher in incarnations)

    wait_until(lambda: confirmed() >= count, f"{count} confirms")


def _next_incarnation(stage: Stage, incarnations: list[Process]) -> Process:
    """Take up as an application with an outbox does: what was published and never confirmed goes again."""
    attempts: dict[int, int] = {}
    for publisher in incarnations:
        for seq, attempt in publisher.published():
            attempts[seq] = max(attempts.get(seq, 0), attempt)
    settled = {seq for publisher in incarnations for seq, _ in publisher.confirmed()}
    return stage.publisher(
        messages=MESSAGES,
        start=max(attempts) + 1,
        republish=tuple((seq, attempt + 1) for seq, attempt in sorted(attempts.items()) if seq not in settled),
        incarnation=len(incarnations) + 1,
    )


def _assert_acks_follow_the_work(worker: Process) -> None:
    completed: set[tuple[int, int]] = set()
    for record in worker.records:
        connection, tag = int(record["connection"]), int(record["tag"])
        match record["kind"]:
            case Kind.COMPLETED:
                completed.add((connection, tag))
            case Kind.DELIVERED if record["flags"] & Flag.DONE:
                completed.add((connection, tag))
            case Kind.ACKED:
                for each in range(tag, tag + int(record["arg"])):
                    assert (connection, each) in completed
