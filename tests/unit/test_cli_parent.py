"""A run that another `chaos` started is interrupted when that one ends, also by SIGKILL, and once only."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from harness.cli.parent import VARIABLE, child, end_with_parent

RUN = """
import sys, time
from harness.cli.interruptible import interruptible
from harness.cli.parent import end_with_parent

end_with_parent()
with interruptible("ending in order"):
    try:
        print("runs", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        {cleaning_up}
        open(sys.argv[1], "w").write("in order")
"""
PARENT = """
import os, sys
from harness.cli.parent import child

with child([sys.executable, *sys.argv[1:]], os.environ) as run:
    print(run.pid, run.stdout.readline(), flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


def program(cleaning_up: str = "pass") -> str:
    return RUN.format(cleaning_up=cleaning_up)


def test_a_run_ends_in_order_when_its_parent_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, "-c", program(), str(tmp_path / "ended")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline().split()[0])
        run = psutil.Process(pid)
        parent.kill()
    assert psutil.wait_procs([run], timeout=30)[1] == [] or run.status() == psutil.STATUS_ZOMBIE
    assert (tmp_path / "ended").read_text() == "in order"


def test_a_run_goes_on_while_its_parent_lives(tmp_path: Path) -> None:
    with child([sys.executable, "-c", program(), str(tmp_path / "ended")], os.environ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "runs\n"
        with pytest.raises(subprocess.TimeoutExpired):
            run.communicate(timeout=0.5)
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=30)
    assert (tmp_path / "ended").exists()


def test_a_run_that_ends_already_is_not_interrupted_again(tmp_path: Path) -> None:
    cleaning_up = "print('interrupted', flush=True); sys.stdin.read(); time.sleep(0.5)"
    with child([sys.executable, "-c", program(cleaning_up), str(tmp_path / "ended")], os.environ) as run:
        assert run.stdout is not None
        run.stdout.readline()
        run.send_signal(signal.SIGINT)
        assert run.stdout.readline() == "interrupted\n"
    _, errors = run.communicate(timeout=30)
    assert "left at once" not in errors
    assert (tmp_path / "ended").read_text() == "in order"


def test_a_command_that_nobody_else_started_reads_no_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(sys, "stdin", None)
    end_with_parent()
