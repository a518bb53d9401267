"""One run's publishers and workers on several machines of a Dask engine: real ones, but for the distance between them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from harness.history.history import load
from harness.history.records import Kind
from harness.verdict.data import Outcome
from tests.integration.backends import require
from tests.integration.dask_engine import IN_ANOTHER_TIME, LATE_S, DaskEngine, another_time_can_be_had
from tests.integration.stage import wait_until
from tests.required import lacking

pytestmark = [pytest.mark.native, pytest.mark.xdist_group("dask")]

BOUND_S = 240
LONG = "{name: long, publishers: {count: 2, duration: 60s, rate: 200}, workers: {count: 2, work: 1ms}}"
WORKER_KILL = str(Path("scenarios/worker_kill.yaml").absolute())


@pytest.fixture(scope="module", autouse=True)
def _broker() -> None:
    require("native")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskEngine]:
    """A scheduler, and a worker whose clock is this machine's."""
    made = DaskEngine(tmp_path_factory.mktemp("dask"))
    made.add("here")
    yield made
    made.close()


def start(engine: DaskEngine, tmp_path: Path, scenario: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "harness", "run", scenario, "--broker", "native", "--scheduler", engine.address],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def in_the_traffic(engine: DaskEngine, tmp_path: Path) -> subprocess.Popen[str]:
    """A long run, when all its publishers and workers are at work."""
    (tmp_path / "long.yaml").write_text(LONG)
    process = start(engine, tmp_path, "long.yaml")

    def some_work_is_done() -> bool:
        assert process.poll() is None, process.communicate()[1]
        told = "".join(path.read_text() for path in tmp_path.glob("reports/2*/variants/guarantee/events.jsonl"))
        return any(json.loads(line).get("processed", 0) > 200 for line in told.splitlines())

    wait_until(some_work_is_done, "the traffic")
    return process


def verdict_of(tmp_path: Path) -> dict[str, Any]:
    (path,) = tmp_path.glob("reports/2*/verdict.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def left(engine: DaskEngine) -> list[str]:
    """Publishers, workers and folders that an agent has left."""
    running = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if "harness.traffic." in line and str(engine.folder) in line:
            running.append(line)
    return [*running, *engine.leftovers()]


@pytest.fixture(scope="module")
def spread_run(engine: DaskEngine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A guarantee and its control over two machines whose clocks are 5000 s apart; the run's directory."""
    if not another_time_can_be_had():
        lacking("a time namespace, which needs Linux 5.6 and the right to make one (root)")
    tmp_path = tmp_path_factory.mktemp("run")
    engine.add("late", within=IN_ANOTHER_TIME)
    process = start(engine, tmp_path, WORKER_KILL)
    _, errors = process.communicate(timeout=BOUND_S)
    engine.kill("late")
    assert process.returncode == 0, errors
    (directory,) = tmp_path.glob("reports/2*")
    return directory


def test_a_spread_run_keeps_all_messages_and_its_control_is_seen_to_lose_some(spread_run: Path) -> None:
    verdict = verdict_of(spread_run.parents[1])
    guarantee, control = verdict["variants"]
    assert (guarantee["outcome"], control["outcome"]) == (Outcome.AS_EXPECTED, Outcome.AS_EXPECTED)
    assert guarantee["counts"]["fates"]["lost"] == 0
    assert control["counts"]["fates"]["lost"] > 0
    assert "--scheduler tcp://127.0.0.1:" in verdict["replay"]


def test_publishers_and_workers_were_on_both_machines(spread_run: Path) -> None:
    for variant in verdict_of(spread_run.parents[1])["variants"]:
        actors = {each["name"]: each["actors"] for each in variant["machines"]}
        assert set(actors) == {"here", "late"}
        assert sorted(chain(*actors.values())) == ["publisher-1", "worker-1", "worker-2", "worker-3"]


def test_the_clocks_offsets_are_known_as_well_as_is_said(spread_run: Path) -> None:
    """Both machines are this one, so the true offsets are known: 0 and 5000 s."""
    for variant in verdict_of(spread_run.parents[1])["variants"]:
        for machine in variant["machines"]:
            true_s = LATE_S if machine["name"] == "late" else 0
            assert abs(machine["clock_offset_s"] - true_s) <= machine["clock_error_s"]
            assert 0 < machine["clock_error_s"] < 1


def test_no_message_was_worked_on_before_it_was_published(spread_run: Path) -> None:
    history = load(spread_run / "variants" / "guarantee")
    machines = verdict_of(spread_run.parents[1])["variants"][0]["machines"]
    error_ns = 1e9 * sum(machine["clock_error_s"] for machine in machines)
    published: dict[int, int] = {}
    for log in history.of_role("publisher"):
        rows = log.records[log.records["kind"] == Kind.PUBLISHED]
        published |= dict(zip(rows["seq"].tolist(), rows["at_ns"].tolist(), strict=True))
    delivered = [log.records[log.records["kind"] == Kind.DELIVERED] for log in history.of_role("worker")]
    took_ns = np.concatenate([rows["at_ns"] - [published[seq] for seq in rows["seq"].tolist()] for rows in delivered])
    assert len(took_ns) >= 3000
    assert took_ns.min() >= -error_ns
    assert took_ns.max() < 60e9, "5000 s are not in it"


def test_nothing_is_left_on_the_machines(engine: DaskEngine, spread_run: Path) -> None:
    assert spread_run.is_dir()
    wait_until(lambda: left(engine) == [] or engine.folder.joinpath("late").is_dir(), "the agents' end")
    assert [each for each in left(engine) if "/late/" not in each] == []


def test_a_machine_that_is_lost_makes_no_loss_and_no_violation(engine: DaskEngine, tmp_path: Path) -> None:
    engine.add("doomed")
    process = in_the_traffic(engine, tmp_path)
    engine.kill("doomed")
    _, errors = process.communicate(timeout=BOUND_S)
    assert process.returncode == 3, errors
    assert "Traceback" not in errors
    verdict = verdict_of(tmp_path)
    assert verdict["outcome"] == Outcome.INFRASTRUCTURE
    (variant,) = verdict["variants"]
    assert "the machine doomed was lost in the middle of the run: it is gone" in " ".join(variant["reasons"])
    assert variant["causes"] == []
    lost = {each["name"]: each["lost"] for each in variant["machines"]}
    assert lost == {"doomed": "it is gone", "here": ""}
    assert [each for each in left(engine) if "/doomed/" not in each] == []


@pytest.mark.slow
def test_ctrl_c_ends_what_runs_elsewhere_and_brings_its_records_here(engine: DaskEngine, tmp_path: Path) -> None:
    process = in_the_traffic(engine, tmp_path)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=BOUND_S)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    (variant,) = verdict_of(tmp_path)["variants"]
    assert variant["counts"]["published"] > 200
    assert variant["machines"][0]["records"] > 400
    assert [each for each in left(engine) if "/here/" in each] == []


@pytest.mark.slow
def test_what_runs_elsewhere_ends_with_a_harness_that_is_killed(engine: DaskEngine, tmp_path: Path) -> None:
    process = in_the_traffic(engine, tmp_path)
    process.kill()
    process.wait()
    wait_until(lambda: [each for each in left(engine) if "/here/" in each] == [], "the end of all that was started")
    swept = subprocess.run(
        [sys.executable, "-m", "harness", "clean"], capture_output=True, text=True, check=True, env=os.environ
    )
    assert "(beam.smp)" in swept.stdout + swept.stderr
