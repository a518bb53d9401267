from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import ledger
from harness.ledger import Ledger, ProcessMark, owner_alive, owner_label, sweep


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHAOS_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


def dead_owner() -> str:
    """The mark of a process that lived and is gone."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    mark = str(ProcessMark.of(process.pid))
    process.kill()
    process.wait()
    return mark


def left_behind(state: Path, *, owner: str, processes: list[str], directories: list[str]) -> Path:
    path = ledger.state_directory() / "run.json"
    path.write_text(json.dumps({"owner": owner, "processes": processes, "directories": directories}))
    assert path.parent == state
    return path


def test_a_living_owners_run_is_never_touched(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    mine = Ledger("mine")
    mine.add_process(sleeper.pid)
    mine.add_directory(tmp_path)
    assert sweep() == ()
    assert sleeper.poll() is None
    mine.close()


def test_a_dead_owners_processes_and_folders_are_removed(
    sleeper: subprocess.Popen[bytes], state: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    mark = str(ProcessMark.of(sleeper.pid))
    path = left_behind(state, owner=dead_owner(), processes=[mark], directories=[str(folder)])
    removed = sweep()
    assert len(removed) == 2
    assert ProcessMark.parse(mark).process() is None
    assert not folder.exists()
    assert not path.exists()
    assert sweep() == ()


def test_a_number_that_another_process_has_now_is_left_alone(sleeper: subprocess.Popen[bytes], state: Path) -> None:
    mark = ProcessMark.of(sleeper.pid)
    other = str(ProcessMark(mark.pid, mark.started - 100))
    left_behind(state, owner=dead_owner(), processes=[other], directories=[])
    assert sweep() == ()
    assert sleeper.poll() is None


def test_the_owner_is_known_by_number_and_start_time() -> None:
    assert owner_alive(owner_label())
    assert not owner_alive(dead_owner())
    number, _, started = owner_label().partition(":")
    assert not owner_alive(f"{number}:{float(started) - 100}")
    assert not owner_alive("nonsense")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"owner": 5}'])
def test_what_is_no_ledger_is_skipped(text: str) -> None:
    (ledger.state_directory() / "broken.json").write_text(text)
    assert sweep() == ()
