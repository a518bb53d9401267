"""Runs that are farmed out, without Dask: remote_runs with their keepers on this machine, and workers that are lost when a test says so."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from harness import __version__
from harness.cli import nightly
from harness.cli.executor import executor_for
from harness.cli.farming import FarmCrew
from harness.cli.options import BrokerOption
from harness.cli.processes import Ended, Job, run_jobs
from harness.cli.settings import Settings
from harness.errors import HistoryError, InfrastructureError, UsageError
from harness.faults.registry import actions
from harness.scale import connect as connecting
from harness.scale import remote_run as remote_runs
from harness.scale.actor_handle import DaskWorker, DaskWorkerLostError
from harness.scale.connect import connect, must_fit
from harness.scale.farm import Farm
from harness.scale.packing import pack, unpack
from harness.scale.remote_run import Done, Order, RemoteRun
from harness.scenario.load import Loaded, load
from harness.trend import store
from harness.trend.rows import rows_of
from harness.verdict.as_json import to_json
from harness.verdict.data import Outcome
from tests.unit import report_samples as samples

pytestmark = pytest.mark.seconds

ONE, TWO = DaskWorker("one", "tcp://127.0.0.1:1"), DaskWorker("two", "tcp://127.0.0.1:2")
BOUND_S = 60.0

CHILD = """
import json, pathlib, signal, sys, time
arguments = sys.argv[1:]
here = pathlib.Path(__file__).parent
called = next(word.removeprefix("--called=") for word in arguments if word.startswith("--called="))
kind = pathlib.Path(called).stem
with (here / "ran").open("a") as file:
    file.write(kind + chr(10))
run = pathlib.Path(arguments[arguments.index("--reports") + 1]) / "20260101-000000-farmed"
run.mkdir(parents=True)
(run / "run.json").write_text(json.dumps({"file": called, "started_at": "2026-01-01T00:00:00+00:00"}))
trend = run.parent / "trend"
trend.mkdir()
for path in here.glob("rows/*.parquet"):
    (trend / path.name).write_bytes(path.read_bytes())
outcome = "as expected"
if kind == "slow":
    def on_interrupt(*_):
        global outcome
        outcome = "interrupted"
    signal.signal(signal.SIGINT, on_interrupt)
    (here / "slow.begun").touch()
    signal.pause()
verdict = json.loads((here / "verdict.json").read_text())
verdict |= {"scenario": kind, "file": called, "outcome": outcome, "duration_s": 0.01}
print(f"report  {run}/report.html", file=sys.stderr)
print(json.dumps(verdict))
"""


@pytest.fixture(autouse=True)
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "child.py").write_text(CHILD)
    (tmp_path / "verdict.json").write_text(to_json(replace(samples.passing().run, variants=())))
    store.append(tmp_path / "rows", rows_of(samples.passing().run, {}, run_id="farmed", night="one"))
    (tmp_path / "worker").mkdir()
    (tmp_path / "arrivals").mkdir()
    monkeypatch.setattr(remote_runs, "PROGRAM", (sys.executable, str(tmp_path / "child.py")))
    monkeypatch.setattr(remote_runs, "place", lambda: tmp_path / "worker")


class Sent:
    """A remote run on this machine, on a worker that is lost before the call that `lost_at` names."""

    def __init__(self, worker: DaskWorker, lost_at: str | None) -> None:
        self._worker, self._lost_at = worker, lost_at
        self._remote_run = RemoteRun()

    def ask(self, method: str, *arguments: Any) -> Any:
        if method == self._lost_at:
            raise DaskWorkerLostError(f"{self._worker} was lost in the middle of the run")
        return getattr(self._remote_run, method)(*arguments)


def farm(*workers: DaskWorker, lost: dict[DaskWorker, str] | None = None) -> Farm:
    return Farm(workers, lambda worker: Sent(worker, (lost or {}).get(worker)))


def settings(tmp_path: Path) -> Settings:
    return Settings(
        option=BrokerOption(),
        broker=None,
        image=None,
        reports=tmp_path / "reports",
        seed=None,
        controls=True,
        quiet=True,
        json_output=False,
        scheduler="tcp://127.0.0.1:8786",
    )


def scenario(tmp_path: Path, kind: str) -> Loaded:
    path = tmp_path / f"{kind}.yaml"
    path.write_text(Path("scenarios/round_robin.yaml").read_text().replace("name: round robin", "name: farmed"))
    return load(path, actions())


def run_once(tmp_path: Path, workers: Farm, *kinds: str) -> list[Ended]:
    waiting = [Job(scenario(tmp_path, kind), seed) for seed, kind in enumerate(kinds)]
    executor = FarmCrew(settings(tmp_path), workers, tmp_path / "arrivals")
    ended: list[Ended] = []
    assert run_jobs(lambda: waiting.pop(0) if waiting else None, ended.append, executor, jobs=2)
    return sorted(ended, key=lambda each: each.job.seed)


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_run_on_a_worker_gives_its_verdict_and_leaves_its_folder_here(tmp_path: Path) -> None:
    (ended,) = run_once(tmp_path, farm(ONE), "good")
    assert (ended.verdict.outcome, ended.failed) == (Outcome.AS_EXPECTED, False)
    (directory,) = (tmp_path / "reports").glob("2*")
    given = str(tmp_path / "good.yaml")
    assert given == ended.verdict.file == json.loads((directory / "run.json").read_text())["file"]
    assert ended.errors == f"report  {directory}/report.html\n"
    assert (tmp_path / "reports" / "latest").resolve() == directory
    assert list((tmp_path / "arrivals").iterdir()) == []
    eventually(lambda: list((tmp_path / "worker").iterdir()) == [])


def test_runs_of_one_second_lie_side_by_side_and_a_row_of_the_trend_counts_once(tmp_path: Path) -> None:
    ended = run_once(tmp_path, farm(ONE, TWO), "good", "fine", "well")
    assert [each.verdict.scenario for each in ended] == ["good", "fine", "well"]
    folders = list((tmp_path / "reports").glob("2*"))
    files = {json.loads((folder / "run.json").read_text())["file"] for folder in folders}
    assert files == {str(tmp_path / f"{kind}.yaml") for kind in ("good", "fine", "well")}
    rows = store.read(tmp_path / "reports" / "trend").rows
    assert [row.variant for row in rows] == [variant.name for variant in samples.passing().run.variants]


def test_a_lost_worker_costs_its_run_which_is_not_repeated_and_the_others_go_on(tmp_path: Path) -> None:
    workers = farm(ONE, TWO, lost={TWO: "poll"})  # the last is asked first
    ended = run_once(tmp_path, workers, "good", "fine", "well")
    assert sorted(each.verdict.outcome.value for each in ended) == ["as expected", "as expected", "infrastructure"]
    (lost,) = (each for each in ended if each.failed)
    assert lost.verdict.headline == f"{TWO} was lost in the middle of the run"
    assert sorted((tmp_path / "ran").read_text().split()).count(Path(lost.verdict.file).stem) <= 1
    assert workers.living == 1


def test_a_run_keeps_its_verdict_when_its_worker_is_lost_before_what_it_left_is_fetched(tmp_path: Path) -> None:
    (ended,) = run_once(tmp_path, farm(ONE, lost={ONE: "piece"}), "good")
    assert (ended.verdict.outcome, ended.failed) == (Outcome.AS_EXPECTED, True)
    assert f"{ONE} was lost before what the run left was fetched" in ended.errors


class Says(Sent):
    """A remote run that says something else of what the run left."""

    def __init__(self, worker: DaskWorker, size: int, piece: bytes) -> None:
        super().__init__(worker, None)
        self._size, self._piece = size, piece

    def ask(self, method: str, *arguments: Any) -> Any:
        answer = super().ask(method, *arguments)
        if method == "piece":
            return self._piece
        return replace(answer, size=self._size) if isinstance(answer, Done) else answer


@pytest.mark.parametrize(
    ("size", "said"),
    [(1 << 60, "half of what is free on the disk"), (1 << 20, "has only 0 of the 1,048,576 bytes that the run left")],
)
def test_a_worker_that_promises_more_than_there_is_or_than_there_is_room_for_costs_only_the_archive(
    tmp_path: Path, size: int, said: str
) -> None:
    (ended,) = run_once(tmp_path, Farm((ONE,), lambda worker: Says(worker, size, b"")), "good")
    assert (ended.verdict.outcome, ended.failed) == (Outcome.AS_EXPECTED, True)
    assert said in ended.errors


def test_an_archive_that_would_fill_the_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "there" / "run").mkdir(parents=True)
    for name in ("a", "b"):
        (tmp_path / "there" / "run" / name).write_bytes(bytes(1 << 20))
    pack(tmp_path / "there", tmp_path / "archive")
    assert (tmp_path / "archive").stat().st_size < 1 << 12
    monkeypatch.setattr("harness.scale.packing.most_bytes", lambda _: (1 << 20) + 10)
    with pytest.raises(HistoryError, match="more than 1,048,586 bytes"):
        unpack(tmp_path / "archive", tmp_path / "here")
    assert not (tmp_path / "here" / "run" / "b").exists()


def test_with_all_workers_lost_the_other_runs_end_at_once(tmp_path: Path) -> None:
    ended = run_once(tmp_path, farm(ONE, TWO, lost={ONE: "start", TWO: "start"}), "good", "fine", "well")
    assert [each.verdict.outcome for each in ended] == [Outcome.INFRASTRUCTURE] * 3
    headlines = [each.verdict.headline for each in ended]
    # Which of them comes last is a matter of who asks first.
    assert sorted(headlines) == [
        "all Dask workers were lost, so this run was not begun",
        *sorted(f"{worker} was lost in the middle of the run" for worker in (ONE, TWO)),
    ]


def test_a_night_whose_workers_are_lost_tells_of_each_scenario_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = FarmCrew(settings(tmp_path), farm(ONE, lost={ONE: "start"}), tmp_path / "arrivals")
    monkeypatch.setattr("harness.cli.executor.executor_for", lambda *_: nullcontext(executor))
    monkeypatch.setattr("harness.cli.suite.sweep_everything", lambda: ())
    loaded = [scenario(tmp_path, kind) for kind in ("good", "fine")]
    batch = nightly.run_night(loaded, settings(tmp_path), budget_s=3600.0, jobs=None)
    assert sorted(Path(run.file).stem for run in batch.runs) == ["fine", "good"]


def test_an_interrupt_reaches_the_run_and_what_it_left_is_fetched(tmp_path: Path) -> None:
    waiting = [Job(scenario(tmp_path, "slow"), 0), Job(scenario(tmp_path, "good"), 1)]
    executor = FarmCrew(settings(tmp_path), farm(ONE), tmp_path / "arrivals")
    ended: list[Ended] = []

    def interrupt() -> None:
        eventually((tmp_path / "slow.begun").exists)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    whole = run_jobs(lambda: waiting.pop(0) if waiting else None, ended.append, executor, jobs=1)
    thread.join()
    assert not whole
    assert [each.verdict.outcome for each in ended] == [Outcome.INTERRUPTED]
    assert len(list((tmp_path / "reports").glob("2*"))) == 1
    assert (tmp_path / "ran").read_text() == "slow\n", "nothing begins after an interrupt"


def test_an_errand_that_dask_makes_again_runs_nothing(tmp_path: Path) -> None:
    order = Order("", ("--called=good.yaml",), {})
    first, again = RemoteRun(), RemoteRun()
    assert again.start(first.identity(), order) == "it was restarted"
    assert first.start(first.identity(), order) is None
    assert first.start(first.identity(), order) == "it was restarted"
    eventually(lambda: first.poll(0.1) is not None)
    assert (tmp_path / "ran").read_text() == "good\n"


@pytest.mark.parametrize("end", ["let go", "killed"])
def test_a_run_ends_with_whoever_asked_for_it_and_leaves_nothing(tmp_path: Path, end: str) -> None:
    """The process that has the supervisor's standard input is the Dask worker; letting go is what Dask does for a command that is gone."""
    code = (
        f"import sys, time; from pathlib import Path; from harness.scale import remote_run as e; e.place = lambda: Path({str(tmp_path / 'worker')!r});"
        f"e.PROGRAM = (sys.executable, {str(tmp_path / 'child.py')!r}); remote_run = e.RemoteRun();"
        "remote_run.start(remote_run.identity(), e.Order('', ('--called=slow.yaml',), {})); sys.stdin.read(); del remote_run; time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as worker:
        assert worker.stdin is not None
        try:
            eventually((tmp_path / "slow.begun").exists)
            if end == "killed":
                worker.kill()
            else:
                worker.stdin.close()
            eventually(lambda: list((tmp_path / "worker").iterdir()) == [])
        finally:
            worker.kill()


def test_a_keeper_that_ends_before_its_run_is_told_of(tmp_path: Path) -> None:
    remote_run = RemoteRun()
    assert remote_run.start(remote_run.identity(), Order("", ("--called=slow.yaml",), {})) is None
    eventually((tmp_path / "slow.begun").exists)
    (folder,) = (tmp_path / "worker").iterdir()
    assert remote_run.poll(0.0) is None
    kept = remote_run._kept
    assert kept is not None
    kept.close()
    eventually(lambda: not folder.exists())
    assert remote_run.poll(BOUND_S) == "its supervisor ended before it"


def test_what_is_packed_is_unpacked_and_only_folders_and_files_are(tmp_path: Path) -> None:
    run = tmp_path / "there" / "run"
    run.mkdir(parents=True)
    (run / "log").write_bytes(b"a" * (1 << 20))
    (run / "elsewhere").symlink_to("/etc/passwd")
    (tmp_path / "there" / "latest").symlink_to("run")
    pack(tmp_path / "there", tmp_path / "archive")
    assert (tmp_path / "archive").stat().st_size < 1 << 16
    unpack(tmp_path / "archive", tmp_path / "here")
    assert [path.relative_to(tmp_path / "here") for path in sorted((tmp_path / "here").rglob("*"))] == [
        Path("run"),
        Path("run/log"),
    ]
    assert (tmp_path / "here" / "run" / "log").read_bytes() == b"a" * (1 << 20)


@pytest.mark.parametrize("name", ["../outside", "run/../../outside"])
def test_an_archive_that_reaches_outside_is_refused(tmp_path: Path, name: str) -> None:
    with (
        pa.OSFile(str(tmp_path / "archive"), "wb") as file,
        pa.CompressedOutputStream(file, "zstd") as stream,
        tarfile.open(fileobj=stream, mode="w|") as tar,
    ):
        member = tarfile.TarInfo(name)
        member.size = 1
        tar.addfile(member, io.BytesIO(b"x"))
    with pytest.raises(HistoryError, match="could not be unpacked"):
        unpack(tmp_path / "archive", tmp_path / "here")
    assert not (tmp_path / "outside").exists()


def test_an_archive_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    (tmp_path / "there" / "run").mkdir(parents=True)
    (tmp_path / "there" / "run" / "log").write_bytes(os.urandom(1 << 16))
    pack(tmp_path / "there", tmp_path / "archive")
    (tmp_path / "archive").write_bytes((tmp_path / "archive").read_bytes()[: 1 << 15])
    with pytest.raises(HistoryError, match="could not be unpacked"):
        unpack(tmp_path / "archive", tmp_path / "here")


@pytest.mark.parametrize("chosen", ["by the scenario", "by the command"])
def test_a_compose_project_is_refused_before_anything_is_started(tmp_path: Path, chosen: str) -> None:
    given = settings(tmp_path)
    one = scenario(tmp_path, "good")
    if chosen == "by the command":
        given = replace(given, option=BrokerOption("compose"))
    else:
        broker = one.scenario.broker.model_copy(update={"backend": "compose"})
        one = replace(one, scenario=one.scenario.model_copy(update={"broker": broker}))
    with pytest.raises(UsageError, match="the project's files are on this machine"), executor_for(given, [one]):
        pass


@pytest.mark.parametrize(
    "address", ["127.0.0.1:8786", "http://here:1", "tcp://here", "tcp://a b:1", "tcp://here:0", "tcp://here:65536", ""]
)
def test_what_is_no_schedulers_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="is no address of a Dask scheduler"), connect(address):
        pass


def test_without_dask_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"pip install 'chaos-harness\[dask\]'"), connect("tcp://127.0.0.1:8786"):
        pass


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "ANSWER_TIMEOUT_S", 0.2)
    with pytest.raises(InfrastructureError, match="no Dask scheduler answers"), connect("tcp://127.0.0.1:1"):
        pass


HERE = ".".join(map(str, sys.version_info[:3]))


def test_a_worker_with_the_same_versions_fits_whatever_its_patch_release() -> None:
    must_fit(str(ONE), HERE.rpartition(".")[0] + ".99", __version__)


@pytest.mark.parametrize(
    ("python", "harness", "said"),
    [
        ("3.9.1", __version__, f"{ONE} has Python 3.9.1, and {HERE} runs here"),
        (HERE, "0.0.1", f"{ONE} has chaos-harness 0.0.1, and {__version__} runs here"),
        (HERE, ModuleNotFoundError("harness"), f"{ONE} has no chaos-harness; install version {__version__} there"),
        (OSError("it broke"), __version__, f"{ONE} does not answer (it broke)"),
    ],
)
def test_a_worker_that_does_not_fit_is_named_with_both_versions(python: object, harness: object, said: str) -> None:
    with pytest.raises(InfrastructureError) as caught:
        must_fit(str(ONE), python, harness)
    assert str(caught.value).startswith(said)
