"""A process that does commands for another `chaos` ends with it, also by SIGKILL, and interrupts what is under way once only."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from harness.cli import INTERRUPTED
from harness.cli.brokers import pooled
from harness.cli.processes import PROGRAM
from harness.cli.serving_process import ServingProcess

SERVER = """
import os, sys, time
from pathlib import Path
from harness.cli import INTERRUPTED, take_requests_to_end
from harness.cli.interruptible import interruptible
from harness.cli.serving import ANSWERS_VARIABLE, serve

def do(arguments):
    kind, begun, ended = arguments[0], Path(arguments[1]), Path(arguments[2])
    if kind == "quick":
        print("quick", arguments[3])
        return 7
    with interruptible("ending in order"):
        try:
            begun.write_text(str(os.getpid()))
            time.sleep(60)
        except KeyboardInterrupt:
            if kind == "slow to end":
                begun.write_text("interrupted")
                while begun.exists():
                    time.sleep(0.01)
                time.sleep(0.2)
            ended.write_text("in order")
    return INTERRUPTED

take_requests_to_end()
serve(do, 0, int(os.environ.pop(ANSWERS_VARIABLE)))
"""
PARENT = """
import os, sys
from harness.cli.processes import PROGRAM
from harness.cli.serving_process import ServingProcess

process = ServingProcess([sys.executable, "-c", sys.argv[1]], os.environ)
process.order(sys.argv[2:])
process.wait()
"""


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Give what a command writes when it begins, and when it has ended in order."""
    return tmp_path / "begun", tmp_path / "ended"


@pytest.fixture
def process() -> Iterator[ServingProcess]:
    with closing(ServingProcess([sys.executable, "-c", SERVER], os.environ)) as made:
        yield made


def wait_for(file: Path, text: str = "") -> str:
    deadline = time.monotonic() + 60
    while not (file.exists() and (found := file.read_text()) and text in found):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def test_each_command_gives_its_exit_code_and_what_it_printed(
    process: ServingProcess, files: tuple[Path, Path]
) -> None:
    for word in ("one", "two"):
        process.order(["quick", *map(str, files), word])
        done = process.wait()
        assert (done.code, done.output, done.errors) == (7, f"quick {word}\n", "")
    assert process.serves


def test_a_command_ends_in_order_when_the_process_that_asked_for_it_is_killed(files: tuple[Path, Path]) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, SERVER, "slow", *map(str, files)]) as parent:
        server = psutil.Process(int(wait_for(files[0])))
        parent.kill()
    assert psutil.wait_procs([server], timeout=60)[1] == [] or server.status() == psutil.STATUS_ZOMBIE
    assert files[1].read_text() == "in order"


def test_an_interrupt_ends_the_command_and_the_process(process: ServingProcess, files: tuple[Path, Path]) -> None:
    process.order(["slow", *map(str, files)])
    wait_for(files[0])
    process.interrupt()
    assert process.wait().code == INTERRUPTED
    assert not process.serves
    assert files[1].exists()


def test_a_command_that_ends_already_is_not_interrupted_again(
    process: ServingProcess, files: tuple[Path, Path]
) -> None:
    process.order(["slow to end", *map(str, files)])
    wait_for(files[0])
    process.interrupt()
    wait_for(files[0], "interrupted")
    process.no_more()
    files[0].unlink()
    assert "left at once" not in process.wait().errors
    assert files[1].exists()


def test_a_process_without_a_command_ends_when_it_is_interrupted(
    process: ServingProcess, files: tuple[Path, Path]
) -> None:
    process.order(["quick", *map(str, files), "one"])
    process.wait()
    process.interrupt()
    assert process.wait().code in (INTERRUPTED, -signal.SIGINT, 1)


def test_an_interrupt_while_the_process_still_imports_is_quiet() -> None:
    with closing(ServingProcess(PROGRAM, os.environ)) as process:
        process.order(["--version"])
        process.interrupt()
        done = process.wait()
    assert (done.code, done.errors) == (INTERRUPTED, "")


def test_commands_of_one_process_share_their_brokers(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[object] = []

    def close(pool: object) -> None:
        closed.append(pool)

    monkeypatch.setattr("harness.broker.pool.BrokerPool.close", close)
    with pooled() as outer:
        with pooled() as inner:
            assert inner is outer
        assert not closed
    assert closed == [outer]
    with pooled() as other:
        assert other is not outer
