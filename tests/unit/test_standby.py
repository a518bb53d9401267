"""Processes that are started before there is anything for them to do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from harness.engine.host import LocalHost
from harness.engine.standby import MOST, Standby
from harness.traffic.spec import Target, WorkerSpec

BOUND_S = 60.0
WORKER = WorkerSpec(Target((("127.0.0.1", 1),), "u", "p"), "", "worker-1", 1, 1, "tasks", ("tasks",))


@pytest.fixture
def started() -> list[int]:
    return []


@pytest.fixture
def standby(started: list[int]) -> Iterator[Standby]:
    with closing(Standby(started.append)) as standby:
        yield standby


def test_one_that_waits_is_taken_with_what_it_said(standby: Standby, started: list[int], tmp_path: Path) -> None:
    standby.fill(tmp_path, 2)
    process = standby.take(tmp_path / "worker-1.1.stderr")
    assert started == [process.pid, started[1]]
    process.communicate(b"worker /nowhere/spec.json\n", BOUND_S)
    assert "/nowhere/spec.json" in (tmp_path / "worker-1.1.stderr").read_text()
    assert [path.name for path in tmp_path.glob("standby-*")] == ["standby-2.stderr"]


def test_one_that_died_waiting_is_replaced(standby: Standby, started: list[int], tmp_path: Path) -> None:
    standby.fill(tmp_path, 1)
    os.kill(started[0], signal.SIGKILL)
    os.waitid(os.P_PID, started[0], os.WEXITED | os.WNOWAIT)
    process = standby.take(tmp_path / "worker-1.1.stderr")
    assert process.pid == started[1] != started[0]
    assert process.poll() is None
    process.communicate(b"", BOUND_S)
    assert process.returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["worker-1.1.stderr"]


def test_nothing_is_left_of_those_that_nobody_took(standby: Standby, started: list[int], tmp_path: Path) -> None:
    standby.fill(tmp_path / "logs", MOST + 5)
    assert len(started) == MOST
    standby.close()
    assert not any(Path(f"/proc/{pid}").exists() for pid in started)
    assert list((tmp_path / "logs").iterdir()) == []


def test_one_that_waits_ends_with_whoever_started_it(tmp_path: Path) -> None:
    program = (
        "import os; from pathlib import Path; from harness.engine.standby import Standby; standby = Standby(print); "
        f"standby.fill(Path({str(tmp_path)!r}), 1); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-uc", program], capture_output=True, timeout=BOUND_S, check=False)
    assert done.returncode == -signal.SIGKILL
    pid = int(done.stdout)
    assert _gone(pid), f"process {pid} still waits for somebody who is dead"


@retry(
    stop=stop_after_delay(BOUND_S),
    wait=wait_fixed(0.02),
    retry=retry_if_result(lambda gone: not gone),
    retry_error_callback=lambda _state: False,
)
def _gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_process_is_told_a_path_that_is_not_utf_8(tmp_path: Path) -> None:
    logs = tmp_path / os.fsdecode(b"logs\xff")
    with closing(LocalHost(logs)) as host:
        host.start("worker-1.1", WORKER, ())
        taken = retry(stop=stop_after_delay(BOUND_S), wait=wait_fixed(0.05), retry=retry_if_result(lambda left: left))(
            (logs / "worker-1.1.json").exists
        )
        assert taken() is False
