from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from harness.broker.protocol import Broker, BrokerSettings
from harness.engine import run as engine
from harness.errors import BrokerError
from harness.faults.registry import actions
from harness.ledger import Ledger, state_directory
from harness.scenario.load import load
from harness.verdict.data import Outcome

KILL = load(Path("scenarios/worker_kill.yaml"), actions())


class Stopped(datetime):
    """A clock that stands still."""

    @classmethod
    def now(cls, tz: object = None) -> Stopped:  # noqa: ARG003 - as of the clock that it stands for
        return cls(2026, 11, 29, 7, 43, 44)


def test_runs_of_the_same_second_and_name_share_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Docker engine and the folder of ledgers are the machine's; reports may lie anywhere."""
    monkeypatch.setenv("CHAOS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(engine, "datetime", Stopped)
    started: list[str] = []
    ledgers: list[set[str]] = []

    def refuse(settings: BrokerSettings, ledger: Ledger) -> tuple[Broker, str]:  # noqa: ARG001 - named as callers name it
        started.append(settings.run_id)
        ledgers.append({path.stem for path in state_directory().glob("*.json")})
        raise BrokerError("no broker")

    results = [engine.run(KILL, reports=tmp_path / name, seed=1, make_broker=refuse) for name in ("here", "there")]
    assert [result.verdict.outcome for result in results] == [Outcome.INFRASTRUCTURE] * 2
    assert {result.directory.path.name for result in results} == {"20261129-074344-worker-kill"}
    runs = [json.loads((result.directory.path / "run.json").read_text())["run"] for result in results]
    assert len(set(runs)) == 2
    assert started == [f"{run}-{variant}" for run in runs for variant in ("guarantee", "automatic-acks")]
    assert ledgers == [{run} for run in runs for _ in range(2)]
