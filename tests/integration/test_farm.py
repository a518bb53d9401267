"""Runs that are farmed out to a real Dask engine: a scheduler and workers of this machine, each a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from distributed import Client

from harness.errors import ExitCode, InfrastructureError
from harness.ledger import state_directory
from harness.scale.connect import connect
from harness.trend import store
from tests.integration.backends import ALONE, require

pytestmark = [pytest.mark.native, ALONE]

BOUND_S = 300.0
QUICK = ("scenarios/round_robin.yaml", "scenarios/redeclare.yaml")


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class DaskEngine:
    """A scheduler, and workers that come and go."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._workers: dict[str, subprocess.Popen[bytes]] = {}
        about = folder / "scheduler.json"
        self._scheduler = self._dask("scheduler", "--port", "0", "--scheduler-file", str(about), "--no-show")
        eventually(lambda: about.exists() and bool(about.read_text()))
        self.address: str = json.loads(about.read_text())["address"]
        self._client = Client(self.address, set_as_default=False)

    def add(self, *names: str, **environment: str) -> None:
        """Start workers, each with its nanny, and wait until the scheduler knows them."""
        for name in names:
            options = ("--nthreads", "1", "--name", name, "--local-directory", str(self._folder / name))
            self._workers[name] = self._dask("worker", self.address, *options, **environment)
        eventually(lambda: self._known() >= set(names))

    def kill(self, name: str) -> None:
        """SIGKILL a worker's nanny and the worker, and wait until the scheduler has noticed."""
        nanny = self._workers.pop(name)
        for process in (psutil.Process(nanny.pid), *psutil.Process(nanny.pid).children()):
            process.kill()
        nanny.wait(BOUND_S)
        eventually(lambda: name not in self._known())

    def runs(self) -> list[Path]:
        """Return the folders that runs have on the workers now."""
        return list(self._folder.glob("*/dask-scratch-space/*/chaos-*"))

    def begun(self) -> int:
        """Return how many runs are under way with processes that publish or work."""
        return len({path.parts[-7] for path in self._folder.glob("*/dask-scratch-space/*/chaos-*/*/*/*/*/*/*.log")})

    def close(self) -> None:
        """Kill them all."""
        for name in list(self._workers):
            self.kill(name)
        self._client.close()
        self._scheduler.kill()
        self._scheduler.wait(BOUND_S)

    def _known(self) -> set[str]:
        return {str(about["name"]) for about in self._client.scheduler_info()["workers"].values()}

    def _dask(self, kind: str, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dask", kind, *arguments, "--host", "127.0.0.1", "--no-dashboard"]
        with (self._folder / f"{kind}.log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | environment)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskEngine]:
    require("native")
    engine = DaskEngine(tmp_path_factory.mktemp("dask"))
    try:
        engine.add("one", "two")
        yield engine
    finally:
        engine.close()


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
    eventually(lambda: engine.begun() == 2)
    assert command.end() == ExitCode.AS_EXPECTED
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
    eventually(lambda: engine.runs() == [])


def test_ctrl_c_reaches_the_run_and_its_report_lies_here(engine: DaskEngine, tmp_path: Path) -> None:
    command = Command(engine, tmp_path, "nightly", QUICK[0], "--budget", "1s")
    eventually(lambda: engine.begun() == 1)
    command.signal(signal.SIGINT)
    assert command.end() == ExitCode.INTERRUPTED
    assert [outcome for outcome, _ in command.verdicts.values()] == ["interrupted"]
    assert (tmp_path / "latest" / "report.html").is_file()
    eventually(lambda: engine.runs() == [])


def test_a_command_that_is_killed_leaves_nothing_running(engine: DaskEngine, tmp_path: Path) -> None:
    command = Command(engine, tmp_path, "nightly", QUICK[0], "--budget", "1s")
    eventually(lambda: engine.begun() == 1)
    command.signal(signal.SIGKILL)
    command.end()
    eventually(lambda: engine.runs() == [])
    assert [path.stem for path in state_directory().glob("*.json") if not path.stem.startswith("farm-")] == []


def test_a_worker_with_another_harness_is_refused(engine: DaskEngine, tmp_path: Path) -> None:
    (tmp_path / "harness").mkdir()
    (tmp_path / "harness" / "__init__.py").write_text('__version__ = "0.0.1"\n')
    engine.add("old", PYTHONPATH=str(tmp_path))
    command = Command(engine, tmp_path, "nightly", QUICK[0], "--budget", "1s")
    assert command.end() == ExitCode.INFRASTRUCTURE
    assert command.said.startswith("the Dask worker old (tcp://127.0.0.1:")
    assert "has chaos-harness 0.0.1" in command.said
    engine.kill("old")


def test_runs_whose_workers_are_lost_are_not_repeated_and_the_others_end_at_once(
    engine: DaskEngine, tmp_path: Path
) -> None:
    """The last test: it takes the engine's workers."""
    command = Command(engine, tmp_path, "run", *QUICK, "scenarios/worker_kill.yaml", "-j", "2")
    eventually(lambda: engine.begun() == 2)
    engine.kill("one")
    engine.kill("two")
    assert command.end() == ExitCode.INFRASTRUCTURE
    assert {outcome for outcome, _ in command.verdicts.values()} == {"infrastructure"}
    lost = sorted(command.verdicts[file][1] for file in QUICK)
    for name, headline in zip(("one", "two"), lost, strict=True):
        assert headline.startswith(f"the Dask worker {name} (tcp://127.0.0.1:")
        assert ") was lost in the middle of the run" in headline
    assert command.verdicts["scenarios/worker_kill.yaml"][1] == "all Dask workers were lost, so this run was not begun"
    assert "Traceback" not in command.said
    assert "distributed" not in command.said
    eventually(lambda: engine.runs() == [])
    with pytest.raises(InfrastructureError, match="has no workers"), connect(engine.address):
        pass
