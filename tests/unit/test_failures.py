"""Which deliveries fail, by what the worker can know of earlier attempts."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.engine.resume import given_back
from harness.history.records import Death, Flag, Kind, LogHeader, Table
from harness.traffic.failures import Attempted, Failures, Task
from harness.traffic.log import EventLog
from harness.traffic.spec import Failure, Target, WorkerSpec

QUEUE = "tasks"


def failures(*listed: Failure, attempted: tuple[Attempted, ...] = ()) -> Failures:
    spec = WorkerSpec(Target((), "u", "p"), "", "worker-1", 1, 1, QUEUE, (QUEUE,), failures=listed, seed=3)
    return Failures(spec, attempted)


def task(*, seq: int = 0, body: bytes = b"", path: tuple[tuple[str, str, int], ...] = (), count: int = 0) -> Task:
    died = Death(path[0][0], path) if path else None
    return Task(1, seq, 1, 1, 1, body, redelivered=count > 0, died=died, delivery_count=count)


def test_rejections_in_this_queue_are_the_attempts_that_count() -> None:
    chosen = failures(Failure("reject", attempts=3))
    fails = {
        rounds: chosen.of(task(path=((QUEUE, "rejected", rounds), ("delay", "expired", rounds)))) is not None
        for rounds in range(1, 6)
    }
    assert fails == {1: True, 2: True, 3: False, 4: False, 5: False}
    assert chosen.of(task()) is not None
    assert chosen.of(task(path=(("other", "rejected", 9), (QUEUE, "expired", 9)))) is not None


def test_a_delivery_count_says_nothing_of_rejections() -> None:
    assert failures(Failure("reject", attempts=2)).of(task(count=9)) is not None


@pytest.mark.parametrize("how", ["requeue", "crash"])
def test_what_came_back_is_counted_by_its_queue(how: str) -> None:
    chosen = failures(Failure(how, attempts=2))  # type: ignore[arg-type]
    assert [chosen.of(task(count=count)) is not None for count in range(4)] == [True, True, False, False]


def test_a_queue_that_does_not_count_leaves_it_to_the_worker() -> None:
    chosen = failures(Failure("requeue", attempts=2))
    fails = []
    for _ in range(4):
        fails.append(chosen.of(task()) is not None)
        chosen.give_back(task())
    assert fails == [True, True, False, False]
    assert chosen.of(task(seq=1)) is not None, "another message"
    assert chosen.of(task(path=(("other", "rejected", 1),))) is not None, "another copy"


def test_the_count_of_a_message_that_died_is_that_of_another_queue() -> None:
    chosen = failures(Failure("requeue", attempts=1))
    assert chosen.of(task(path=(("other", "rejected", 1),), count=5)) is not None


def test_attempts_of_earlier_processes_count() -> None:
    chosen = failures(Failure("crash", attempts=2), attempted=(Attempted(1, 0, "", 2), Attempted(1, 1, "", 1)))
    assert [chosen.of(task(seq=seq)) is not None for seq in range(3)] == [False, True, True]


def test_all_conditions_of_a_failure_must_hold() -> None:
    chosen = failures(Failure("reject", text="poison", every=2, attempts=1))
    expected = {(b"poison", 1): True, (b"poison", 0): False, (b"fine", 1): False}
    assert {key: chosen.of(task(seq=key[1], body=key[0])) is not None for key in expected} == expected
    assert chosen.of(task(seq=1, body=b"poison", path=((QUEUE, "rejected", 1),))) is None


def test_the_first_failure_that_applies_is_taken() -> None:
    chosen = failures(Failure("crash", text="poison"), Failure("requeue", attempts=1))
    found = [chosen.of(each) for each in (task(body=b"poison"), task(), task(count=1))]
    assert [None if each is None else each.how for each in found] == ["crash", "requeue", None]


def test_what_a_killed_worker_gave_back_is_in_its_log(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "worker-1.1.log", LogHeader("worker", "worker-1", 1, 1, 1, (QUEUE,)))
    death = log.define(Table.DEATHS, Death("other", (("other", "rejected", 1),)).text)
    for tag, seq, died in ((1, 5, 0), (2, 6, 0), (3, 5, death), (4, 5, 0), (5, 9, 0)):
        log.write(Kind.DELIVERED, seq=seq, tag=tag, publisher=1, attempt=1, connection=1, death=died)
    for tag, seq in ((1, 5), (3, 5), (4, 5)):
        log.write(Kind.REJECTED, seq=seq, tag=tag, publisher=1, attempt=1, connection=1, flags=Flag.REQUEUE)
    log.write(Kind.REJECTED, seq=9, tag=5, publisher=1, attempt=1, connection=1)
    log.write(Kind.CRASHING, seq=6, tag=2, publisher=1, attempt=1, connection=1)
    found = given_back([tmp_path / "worker-1.1.log", tmp_path / "never.log"])
    assert found == (Attempted(1, 5, "", 2), Attempted(1, 5, "other", 1), Attempted(1, 6, "", 1))
