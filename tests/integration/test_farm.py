"""Runs that are farmed out to a real Dask engine: a scheduler and workers of this machine, each a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import ExitCode, InfrastructureError
from harness.faults.registry import actions
from harness.ledger import state_directory
from harness.scale.connect import connect
from harness.scenario.load import load
from harness.trend import store
from tests.integration.backends import ALONE, require
from tests.integration.dask_engine import DaskEngine
from tests.integration.stage import wait_until

pytestmark = [pytest.mark.native, ALONE]

BOUND_S = 300.0
QUICK = ("scenarios/round_robin.yaml", "scenarios/redeclare.yaml")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskEngine]:
    """A scheduler and two workers."""
    require("native")
    made = DaskEngine(tmp_path_factory.mktemp("dask"))
    made.add("one")
    made.add("two")
    yield made
    made.close()


def wait_for_runs(engine: DaskEngine, count: int, *, at_once: bool = False) -> None:
    """Wait until this many runs have started their processes, in all or at the same time. A run's files are removed at its end, so runs seen once are remembered."""
    seen: set[Path] = set()

    def begun() -> int:
        logs = engine.folder.glob("*/dask-scratch-space/*/chaos-*/reports/2*/variants/*/logs/*.log")
        now = {path.parents[5] for path in logs}
        seen.update(now)
        return len(now if at_once else seen)

    wait_until(lambda: begun() == count, f"{count} runs")


def wait_for_nothing_left(engine: DaskEngine) -> None:
    wait_until(lambda: engine.leftovers() == [], "the end of all runs")


class Command:
    """A `chaos` command that runs beside the test."""

    def __init__(self, engine: DaskEngine, reports: Path, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "harness", *arguments, "--json"],
            env=os.environ
            | {"CHAOS_SCHEDULER": engine.address, "CHAOS_BROKER": "native", "CHAOS_REPORTS": str(reports)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.verdicts: dict[str, tuple[str, str]] = {}
        self.said = ""

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self) -> int:
        """Wait for its end, and keep each scenario's outcome and headline; returns the exit code."""
        output, self.said = self._process.communicate(timeout=BOUND_S)
        runs = [json.loads(line) for line in output.splitlines()]
        self.verdicts = {run["file"]: (run["outcome"], run["headline"]) for run in runs}
        return self._process.returncode


def test_a_night_is_spread_over_the_workers_and_its_runs_lie_here(engine: DaskEngine, tmp_path: Path) -> None:
    files = [str(Path(QUICK[0]).resolve()), QUICK[1]]
    command = Command(engine, tmp_path, "nightly", *files, "--budget", "1s")
    wait_for_runs(engine, 2)
    assert command.end() == ExitCode.AS_EXPECTED, command.said
    assert {file: outcome for file, (outcome, _) in command.verdicts.items()} == dict.fromkeys(files, "as expected")
    folders = list(tmp_path.glob("2*"))
    for folder in folders:
        # Judged again, from the logs that came along, under the name that the file was given here.
        before = json.loads((folder / "verdict.json").read_text())
        subprocess.run([sys.executable, "-m", "harness", "report", str(folder)], check=True, capture_output=True)
        after = json.loads((folder / "verdict.json").read_text())
        assert (after["file"], after["replay"], after["outcome"]) == (before["file"], before["replay"], "as expected")
    assert {json.loads((folder / "run.json").read_text())["file"] for folder in folders} == set(files)
    rows = store.read(tmp_path / "trend").rows
    assert sorted({row.file for row in rows}) == sorted(files)
    assert len({row.night for row in rows}) == 1
    assert len(rows) == len({(row.run_id, row.variant) for row in rows}) == 4
    wait_for_nothing_left(engine)


@pytest.mark.slow
def test_a_matrix_is_spread_over_the_workers(engine: DaskEngine, tmp_path: Path) -> None:
    command = Command(engine, tmp_path, "matrix", QUICK[0], "--over", "queues.tasks.type=classic,quorum")
    wait_for_runs(engine, 2)
    assert command.end() == ExitCode.AS_EXPECTED, command.said
    assert sorted(Path(file).name for file in command.verdicts) == [
        "round_robin-001-type-classic.yaml",
        "round_robin-002-type-quorum.yaml",
    ]
    types = {
        json.loads((folder / "run.json").read_text())["file"]: load(folder / "scenario.yaml", actions()).scenario
        for folder in tmp_path.glob("2*")
    }
    assert {Path(file).stem.rpartition("-")[2]: one.queues["tasks"].type for file, one in types.items()} == {
        "classic": "classic",
        "quorum": "quorum",
    }
    assert "queues.tasks.type" in (tmp_path / "matrix" / "summary.md").read_text()
    wait_for_nothing_left(engine)


KILLS_AT_FIRST = "34"
"""A seed of which the first schedule of one step kills a worker of `worker_kill.yaml` that holds deliveries."""


@pytest.mark.slow
def test_an_exploration_runs_on_the_workers_and_is_seen_to_catch_the_loss_of_the_control(
    engine: DaskEngine, tmp_path: Path
) -> None:
    options = ("--budget", "1s", "--steps", "1", "--seed", KILLS_AT_FIRST)
    command = Command(engine, tmp_path, "explore", "scenarios/worker_kill.yaml", *options, "-j", "1")
    assert command.end() == ExitCode.AS_EXPECTED, command.said
    outcomes = {Path(file).stem: outcome for file, (outcome, _) in command.verdicts.items()}
    assert outcomes == {"automatic-acks-schedule-1": "violated", "schedule-1": "as expected"}
    assert "the search caught the loss of automatic acks (schedule 1)" in command.said
    (folder,) = (tmp_path / "explore").iterdir()
    assert len(list((folder / "runs").glob("2*/report.html"))) == 2
    assert not list(tmp_path.glob("2*")), "its runs lie with it, not among the others"
    wait_for_nothing_left(engine)


@pytest.mark.slow
def test_a_loss_is_found_on_the_workers_and_shrunk(engine: DaskEngine, tmp_path: Path) -> None:
    scenario = tmp_path / "automatic.yaml"
    text = Path("scenarios/worker_kill.yaml").read_text().partition("controls:")[0]
    scenario.write_text(text.replace("acks: manual", "acks: automatic").replace("messages: 3000", "messages: 900"))
    command = Command(
        engine, tmp_path, "explore", str(scenario), "--budget", "10m", "--steps", "1", "--seed", KILLS_AT_FIRST
    )
    assert command.end() == ExitCode.VIOLATED, command.said
    (folder,) = (tmp_path / "explore").iterdir()
    found = load(folder / "found.yaml", actions())
    assert [step.action.title() for step in found.scenario.timeline] == ["kill worker holding deliveries"]
    assert "Shrunk from 1 step to 1, and broke it in 5 of 5 runs more." in command.said
    wait_for_nothing_left(engine)


@pytest.mark.slow
def test_ctrl_c_reaches_the_run_and_its_report_lies_here(engine: DaskEngine, tmp_path: Path) -> None:
    command = Command(engine, tmp_path, "nightly", QUICK[0], "--budget", "1s")
    wait_for_runs(engine, 1)
    command.signal(signal.SIGINT)
    assert command.end() == ExitCode.INTERRUPTED, command.said
    assert [outcome for outcome, _ in command.verdicts.values()] == ["interrupted"]
    assert (tmp_path / "latest" / "report.html").is_file()
    wait_for_nothing_left(engine)


def ledgers() -> set[str]:
    """Name what is noted as running: a broker that other tests share may be among it."""
    return {path.stem for path in state_directory().glob("*.json")}


def test_a_command_that_is_killed_leaves_nothing_running(engine: DaskEngine, tmp_path: Path) -> None:
    before = ledgers()
    command = Command(engine, tmp_path, "nightly", QUICK[0], "--budget", "1s")
    wait_for_runs(engine, 1)
    command.signal(signal.SIGKILL)
    command.end()
    wait_for_nothing_left(engine)
    assert [name for name in ledgers() - before if not name.startswith("farm-")] == []


def test_a_worker_with_another_harness_is_refused(tmp_path: Path) -> None:
    (tmp_path / "harness").mkdir()
    (tmp_path / "harness" / "__init__.py").write_text('__version__ = "0.0.1"\n')
    engine = DaskEngine(tmp_path)
    try:
        engine.add("old", within=("env", f"PYTHONPATH={tmp_path}"))
        command = Command(engine, tmp_path / "reports", "nightly", QUICK[0], "--budget", "1s")
        assert command.end() == ExitCode.INFRASTRUCTURE, command.said
        assert command.said.splitlines()[-1].startswith("the Dask worker old (tcp://127.0.0.1:")
        assert "has chaos-harness 0.0.1" in command.said
        assert not (tmp_path / "reports").exists()
    finally:
        engine.close()


@pytest.mark.slow
def test_runs_whose_workers_are_lost_are_not_repeated_and_the_others_end_at_once(
    engine: DaskEngine, tmp_path: Path
) -> None:
    """The last test: it takes the engine's workers."""
    command = Command(engine, tmp_path, "run", *QUICK, "scenarios/worker_kill.yaml", "-j", "2")
    wait_for_runs(engine, 2, at_once=True)
    engine.kill("one")
    engine.kill("two")
    assert command.end() == ExitCode.INFRASTRUCTURE, command.said
    assert {outcome for outcome, _ in command.verdicts.values()} == {"infrastructure"}
    lost = sorted(command.verdicts[file][1] for file in QUICK)
    for name, headline in zip(("one", "two"), lost, strict=True):
        assert headline.startswith(f"the Dask worker {name} (tcp://127.0.0.1:")
        assert ") was lost in the middle of the run" in headline
    assert command.verdicts["scenarios/worker_kill.yaml"][1] == "all Dask workers were lost, so this run was not begun"
    assert "Traceback" not in command.said
    assert "distributed." not in command.said
    wait_for_nothing_left(engine)
    with pytest.raises(InfrastructureError, match="has no workers"), connect(engine.address):
        pass
