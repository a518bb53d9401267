"""What a process is told arrives unchanged, once, and is readable by its owner alone."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from harness.traffic.spec import (
    Acks,
    Failure,
    PublisherSpec,
    Route,
    Target,
    Work,
    WorkerSpec,
    read_publisher_spec,
    read_worker_spec,
    write_spec,
)

TARGET = Target((("127.0.0.1", 20001), ("127.0.0.1", 20002)), "guest", "s3cret", "/v", first=1)
PUBLISHER = PublisherSpec(
    target=TARGET,
    log="/logs/publisher-1.1.log",
    actor="publisher-1",
    number=1,
    incarnation=2,
    routes=(Route("tasks", "", "tasks"), Route("all", "fan", "")),
    messages=5000,
    start=17,
    republish=((3, 2), (9, 4)),
    texts=("First message.", "Zweite Nachricht…"),
    rate_per_s=12.5,
    catch_up=True,
    origin_ns=123_456_789_000,
    token="r1",  # noqa: S106 - names a run
    seed=7,
    client="fast",
)
WORKER = WorkerSpec(
    target=TARGET,
    log="/logs/worker-1.1.log",
    actor="worker-1",
    number=1,
    incarnation=1,
    queue="tasks",
    queue_names=("tasks", "dead"),
    acks=Acks.EARLY,
    prefetch=20,
    ack_every=5,
    work=Work("random", low_s=0.1, high_s=0.2),
    failures=(Failure("crash", text="poison"), Failure("requeue", share=0.1, first_delivery_only=True)),
    token="r1",  # noqa: S106 - names a run
    seed=7,
)


def test_a_publishers_spec_arrives_unchanged(tmp_path: Path) -> None:
    write_spec(PUBLISHER, tmp_path / "p.json")
    assert read_publisher_spec(tmp_path / "p.json") == PUBLISHER


def test_a_workers_spec_arrives_unchanged(tmp_path: Path) -> None:
    write_spec(WORKER, tmp_path / "w.json")
    assert read_worker_spec(tmp_path / "w.json") == WORKER


def test_only_its_owner_may_read_a_spec_and_only_once(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    write_spec(PUBLISHER, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    read_publisher_spec(path)
    assert not path.exists()


def test_a_spec_is_never_written_into_a_file_that_others_may_read(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.touch(mode=0o644)
    with pytest.raises(FileExistsError):
        write_spec(PUBLISHER, path)
    assert path.read_text() == ""


def test_the_password_is_in_no_repr() -> None:
    assert "s3cret" not in repr(PUBLISHER)
    assert "s3cret" not in repr(replace(WORKER, seed=8))
