"""What `chaos publish` and `chaos work` speak to when no broker is named."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli import answer, byhand
from harness.ledger import Ledger
from harness.process_mark import ProcessMark

URL = "amqp://guest:guest@127.0.0.1:4242/"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHAOS_STATE_DIR", str(tmp_path))
    monkeypatch.delenv("CHAOS_URL", raising=False)
    return tmp_path


def killed(path: Path) -> None:
    """Make a ledger one of a dead owner."""
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        owner = str(ProcessMark.of(child.pid))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"owner": owner}))


def test_the_broker_of_this_user_is_found() -> None:
    assert byhand.by_hand() == ""
    Ledger("by-hand-0").set_address(URL)
    Ledger("run")
    assert byhand.by_hand() == URL


@pytest.mark.parametrize("command", [["publish", "hi"], ["work"]], ids=lambda command: command[0])
def test_a_broker_that_was_killed_is_not_spoken_to(
    command: list[str], state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Ledger("by-hand-0").set_address(URL)
    killed(state / "by-hand-0.json")
    assert answer(command) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(
        "the broker that `chaos broker` ran is gone, its process was killed; `chaos clean` removes what"
    )
    assert err.count("\n") == 1


def test_one_that_runs_counts_beside_one_that_was_killed(state: Path) -> None:
    for number in range(2):
        Ledger(f"by-hand-{number}").set_address(f"{URL}{number}")
    killed(state / "by-hand-0.json")
    (state / "by-hand-2.json").write_text("[")
    assert byhand.by_hand() == f"{URL}1"
