"""A harness that is killed leaves nothing after the next sweep, and a living one loses nothing to it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import Mock

import psutil
import pytest
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from harness import ledger
from harness.errors import InfrastructureError
from harness.ledger import MARK_FILE, TOKEN_VARIABLE, Ledger, owner_alive, owner_label, remove_directory
from harness.leftovers import stale, sweep
from harness.process_mark import ProcessMark

OWNER = """
import os, subprocess, sys
from pathlib import Path
from harness.ledger import Ledger

WAIT = [sys.executable, "-c", "import signal; signal.pause()"]
PARENT = [sys.executable, "-c", "import subprocess, sys; subprocess.run(sys.argv[1:])", *WAIT]
book = Ledger("killed")
folder = book.make_directory(Path(sys.argv[1]), "data")
(folder / "data").write_text("data")
parent = subprocess.Popen(PARENT, start_new_session=True)
book.add_process(parent.pid)
unnoted = subprocess.Popen(WAIT, start_new_session=True, env=os.environ | book.environment)
print(parent.pid, unnoted.pid, folder, flush=True)
sys.stdin.read()
"""


@dataclass
class Killed:
    """What an owner left that was SIGKILLed: a process with a child, one that it had no time to write down, a folder."""

    noted: psutil.Process
    child: psutil.Process
    unnoted: psutil.Process
    folder: Path

    @property
    def processes(self) -> tuple[psutil.Process, ...]:
        return (self.noted, self.child, self.unnoted)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHAOS_STATE_DIR", str(tmp_path / "state"))
    return ledger.state_directory()


@retry(stop=stop_after_delay(30), wait=wait_fixed(0.01), retry=retry_if_exception_type(IndexError))
def child_of(process: psutil.Process) -> psutil.Process:
    return process.children()[0]


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Killed]]:
    """A living owner, and what it started."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    *pids, folder = process.stdout.readline().split()
    noted, unnoted = (psutil.Process(int(pid)) for pid in pids)
    killed = Killed(noted, child_of(noted), unnoted, Path(folder))
    # A sweep must end frozen processes as well.
    for one in killed.processes:
        one.suspend()
    yield process, killed
    for one in killed.processes:
        if one.is_running():
            one.kill()
    process.kill()
    process.communicate()


@pytest.fixture
def killed(owner: tuple[subprocess.Popen[str], Killed]) -> Killed:
    owner[0].kill()
    owner[0].wait()
    return owner[1]


def ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_what_a_killed_owner_left_is_removed(killed: Killed, state: Path) -> None:
    removed = sweep().removed
    assert all(ended(process) for process in killed.processes)
    assert not killed.folder.exists()
    assert {line.partition(" (")[0] for line in removed} == {
        *(f"process {process.pid}" for process in killed.processes),
        f"directory {killed.folder}",
    }
    assert not list(state.glob("*.json"))


def test_a_second_sweep_finds_nothing(killed: Killed) -> None:
    assert len(stale()) == 1
    sweep()
    assert stale() == ()
    assert sweep() == ((), ())
    assert not killed.folder.exists()


def test_two_sweeps_at_once_remove_each_thing_once(killed: Killed) -> None:
    with ProcessPoolExecutor(2) as pool:
        first, second = pool.submit(sweep), pool.submit(sweep)
        removed = [*first.result().removed, *second.result().removed]
    assert len(removed) == len(set(removed)) == len(killed.processes) + 1


def test_a_living_owner_loses_nothing(owner: tuple[subprocess.Popen[str], Killed], state: Path) -> None:
    assert stale() == ()
    assert sweep() == ((), ())
    assert not any(ended(process) for process in owner[1].processes)
    assert (owner[1].folder / "data").read_text() == "data"
    assert (state / "killed.json").exists()


def test_a_process_that_took_over_the_number_is_not_touched(killed: Killed, state: Path) -> None:
    path = state / "killed.json"
    book = json.loads(path.read_text())
    mark = ProcessMark.of(os.getpid())
    book["processes"] = [f"{mark.pid}:{mark.started}0@{mark.place}", str(mark).replace("@", "0@")]
    book["token"] = "0" * 16
    (killed.folder / MARK_FILE).write_text("0" * 16)
    path.write_text(json.dumps(book))
    assert sweep().removed == (f"directory {killed.folder}",)
    assert not any(ended(process) for process in killed.processes)


def test_what_cannot_be_removed_stays_written_down(
    killed: Killed, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", Mock())
        assert f"directory {killed.folder}" not in sweep().removed
    assert (state / "killed.json").exists()
    assert sweep().removed == (f"directory {killed.folder}",)


def test_a_link_is_not_followed(killed: Killed, state: Path, tmp_path: Path) -> None:
    (killed.folder / "data").rename(tmp_path / "precious")
    shutil.rmtree(killed.folder)
    target = tmp_path / "target"
    target.mkdir()
    (tmp_path / "precious").rename(target / "precious")
    (target / MARK_FILE).write_text(json.loads((state / "killed.json").read_text())["token"])
    killed.folder.symlink_to(target)
    sweep()
    assert (target / "precious").read_text() == "data"


def test_a_closed_ledger_leaves_nothing(state: Path) -> None:
    book = Ledger("run")
    folder = book.make_directory(state, "some")
    assert json.loads((state / "run.json").read_text())["directories"] == [str(folder)]
    remove_directory(folder)
    book.close()
    book.close()
    assert not list(state.glob("run*"))


def test_each_ledger_has_a_token_of_its_own() -> None:
    first, second = Ledger("first"), Ledger("second")
    assert first.environment.keys() == {TOKEN_VARIABLE}
    assert first.environment != second.environment


def test_an_owner_is_alive_until_it_ends() -> None:
    assert owner_alive(owner_label())
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        label = str(ProcessMark.of(child.pid))
        assert owner_alive(label)
        child.send_signal(signal.SIGKILL)
    assert not owner_alive(label)


@pytest.mark.parametrize("label", ["", "nobody", "-"])
def test_a_label_that_is_none_names_nobody(label: str) -> None:
    assert not owner_alive(label)


def test_a_place_that_cannot_be_made_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("CHAOS_STATE_DIR", str(tmp_path / "file" / "below"))
    with pytest.raises(InfrastructureError, match="name another one in CHAOS_STATE_DIR"):
        Ledger("run")
