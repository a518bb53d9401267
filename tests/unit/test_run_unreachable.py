"""A run whose broker cannot be reached ends soon, in order, with what is in the way, and says nothing to the trend."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from harness.broker import external
from harness.cli import answer
from harness.errors import ExitCode
from tests.hostile_broker import MODES, Mode, hostile_broker

pytestmark = pytest.mark.seconds

HANG_S = 60.0
SCENARIO = """
name: unreachable
publishers: {messages: 10}
workers: {count: 1}
expect: {lost: 0}
controls:
  automatic:
    set: {workers.acks: automatic}
    expect: {lost: ">= 0"}
  early:
    set: {workers.acks: early}
    expect: {lost: ">= 0"}
"""


def called(name: str) -> Mode:
    return next(mode for mode in MODES if mode.name == name)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHAOS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(external, "START_WAIT_S", 1.0)
    Path("x.yaml").write_text(SCENARIO)
    return tmp_path


@pytest.mark.parametrize(
    "name", ["nothing listens", "wrong password", "HTTP", "missing virtual host", "closes at once"]
)
def test_the_controls_are_not_tried_for_what_the_guarantee_could_not_reach(
    here: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    mode, began = called(name), time.monotonic()
    with hostile_broker(mode) as url:
        assert answer(["run", "x.yaml", "--broker", url, "--no-color"]) == ExitCode.INFRASTRUCTURE
    assert time.monotonic() - began < HANG_S
    said = capsys.readouterr()
    assert ("in case it is booting" in said.err) is not mode.lasting
    verdict = json.loads((here / "reports" / "latest" / "verdict.json").read_text())
    assert verdict["outcome"] == "infrastructure"
    assert [variant["name"] for variant in verdict["variants"]] == ["guarantee"]
    assert not (here / "reports" / "trend").exists()
    assert (here / "reports" / "latest" / "report.html").stat().st_size > 0


def test_judged_again_it_is_what_it_was(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with hostile_broker(called("wrong password")) as url:
        answer(["run", "x.yaml", "--broker", url, "--quiet"])
    assert answer(["report", "latest"]) == ExitCode.AS_EXPECTED
    verdict = json.loads((here / "reports" / "latest" / "verdict.json").read_text())
    assert verdict["outcome"] == "infrastructure"
    assert "refuses the login" in capsys.readouterr().out


def test_with_quiet_nothing_is_said_while_it_waits(capsys: pytest.CaptureFixture[str]) -> None:
    with hostile_broker(called("nothing listens")) as url:
        answer(["run", "x.yaml", "--broker", url, "--quiet"])
    assert "in case it is booting" not in capsys.readouterr().err
