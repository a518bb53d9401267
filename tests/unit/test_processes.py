from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from harness.cli import nightly, processes, several, suite
from harness.cli.options import BrokerOption, result_console
from harness.cli.processes import Ended, Job, LocalProcesses, run_jobs
from harness.cli.settings import Settings
from harness.errors import ExitCode
from harness.faults.registry import actions
from harness.scenario.load import Loaded, load
from harness.verdict.as_json import to_json
from harness.verdict.data import Outcome
from tests.unit import report_samples as samples

pytestmark = pytest.mark.seconds

CHILD = """
import json, os, pathlib, signal, sys, time
from harness.cli import INTERRUPTED
from harness.cli.serving import ANSWERS_VARIABLE, serve

here = pathlib.Path(__file__).parent

def do(arguments):
    scenario, seed = pathlib.Path(arguments[-1]), int(arguments[arguments.index("--seed") + 1])
    ran = [arguments, "GITHUB_STEP_SUMMARY" in os.environ, os.getpid()]
    (here / f"{scenario.stem}-{seed}.ran").write_text(json.dumps(ran))
    kind = scenario.stem.split("_")[0]
    if kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "crashing":
        sys.exit("the broker could not be found")
    outcome = "violated" if kind == "violated" or (kind == "flaky" and seed % 2) else "as expected"
    if kind == "slow":
        try:
            (here / "slow.begun").touch()
            signal.pause()
        except KeyboardInterrupt:
            outcome = "interrupted"
    verdict = json.loads((here / "verdict.json").read_text())
    verdict |= {"scenario": kind, "file": str(scenario), "outcome": outcome, "seed": seed, "duration_s": 0.01}
    print(f"{kind} says something", file=sys.stderr)
    print(json.dumps(verdict))
    return INTERRUPTED if outcome == "interrupted" else 0

serve(do, 0, int(os.environ.pop(ANSWERS_VARIABLE)))
"""


@pytest.fixture(autouse=True)
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "child.py").write_text(CHILD)
    (tmp_path / "verdict.json").write_text(to_json(replace(samples.passing().run, variants=())))
    monkeypatch.setattr(processes, "PROGRAM", (sys.executable, str(tmp_path / "child.py")))
    monkeypatch.setattr(suite, "sweep_everything", lambda: ())
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)


def scenario(tmp_path: Path, kind: str) -> Loaded:
    text = Path("scenarios/round_robin.yaml").read_text().replace("name: round robin", f"name: {kind}")
    path = tmp_path / f"{kind}.yaml"
    path.write_text(text)
    return load(path, actions())


def settings(tmp_path: Path, **changes: object) -> Settings:
    plain = Settings(
        option=BrokerOption(),
        broker="amqp://me:secret@127.0.0.1",
        image=None,
        reports=tmp_path / "reports",
        seed=None,
        controls=True,
        quiet=True,
        json_output=False,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def run_once(tmp_path: Path, *kinds: str, jobs: int = 2) -> list[Ended]:
    waiting = [Job(scenario(tmp_path, kind), seed) for seed, kind in enumerate(kinds)]
    ended: list[Ended] = []
    with closing(LocalProcesses(settings(tmp_path))) as executor:
        assert run_jobs(lambda: waiting.pop(0) if waiting else None, ended.append, executor, jobs=jobs)
    return sorted(ended, key=lambda each: each.job.seed)


def processes_used(tmp_path: Path) -> set[int]:
    return {json.loads(path.read_text())[2] for path in tmp_path.glob("*.ran")}


def test_each_job_is_run_with_its_seed_and_gives_its_verdict(tmp_path: Path) -> None:
    ended = run_once(tmp_path, "good", "violated", "good2")
    assert [each.verdict.outcome.value for each in ended] == ["as expected", "violated", "as expected"]
    assert [each.verdict.seed for each in ended] == [0, 1, 2]
    assert ended[1].errors == "violated says something\n"


def test_a_child_leaves_the_jobs_summary_to_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "page"))
    run_once(tmp_path, "good")
    assert json.loads((tmp_path / "good-0.ran").read_text())[1] is False


def test_a_process_does_one_job_after_the_other(tmp_path: Path) -> None:
    ended = run_once(tmp_path, "good", "violated", "good2", jobs=1)
    assert len(processes_used(tmp_path)) == 1
    assert [each.errors for each in ended] == [f"{kind} says something\n" for kind in ("good", "violated", "good2")]


def test_a_process_that_was_killed_is_replaced(tmp_path: Path) -> None:
    ended = run_once(tmp_path, "good", "killed", "good2", jobs=1)
    assert [each.verdict.outcome.value for each in ended] == ["as expected", "infrastructure", "as expected"]
    assert len(processes_used(tmp_path)) == 2


def test_a_process_that_ended_while_it_was_free_takes_no_run_with_it(tmp_path: Path) -> None:
    with closing(LocalProcesses(settings(tmp_path))) as executor:
        executor.run(Job(scenario(tmp_path, "good"), 0))
        (free,) = processes_used(tmp_path)
        os.kill(free, signal.SIGKILL)
        psutil.wait_procs([psutil.Process(free)], timeout=30)
        ended = executor.run(Job(scenario(tmp_path, "good2"), 1))
    assert ended is not None
    assert ended.verdict.outcome is Outcome.AS_EXPECTED


def test_no_process_is_left_when_all_jobs_are_done(tmp_path: Path) -> None:
    run_once(tmp_path, "good", "good2")
    assert not [pid for pid in processes_used(tmp_path) if psutil.pid_exists(pid)]


@pytest.mark.parametrize(
    ("kind", "said"),
    [("killed", "was ended by signal 9"), ("crashing", "ended with exit code 1 and gave no verdict: the broker could")],
)
def test_a_process_without_a_verdict_is_broken_infrastructure(tmp_path: Path, kind: str, said: str) -> None:
    (ended,) = run_once(tmp_path, kind)
    assert ended.verdict.outcome is Outcome.INFRASTRUCTURE
    assert said in ended.verdict.headline
    assert ended.errors.endswith(f"{kind}.yaml: {ended.verdict.headline}\n"), "it is shown"
    assert ended.verdict.replay.endswith("--seed 0 --broker 'amqp://me:***@127.0.0.1'")


def test_a_violation_outranks_a_run_without_a_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loaded = [scenario(tmp_path, kind) for kind in ("killed", "violated", "good")]
    code = suite.run_all(loaded, settings(tmp_path), jobs=2, no_color=True)
    assert code is ExitCode.VIOLATED
    assert "VIOLATED  1 of 3 scenarios as expected, 1 violated, 1 infrastructure" in capsys.readouterr().out


def test_the_verdict_gives_way_to_json_on_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loaded = [scenario(tmp_path, kind) for kind in ("violated", "good")]
    suite.run_all(loaded, settings(tmp_path, json_output=True), jobs=2, no_color=True)
    said = capsys.readouterr()
    assert {json.loads(line)["outcome"] for line in said.out.splitlines()} == {"violated", "as expected"}
    assert "VIOLATED  1 of 2 scenarios as expected, 1 violated" in said.err


def test_an_interrupt_reaches_the_runs_and_their_verdicts_are_kept(tmp_path: Path) -> None:
    waiting = [Job(scenario(tmp_path, "slow"), 0), Job(scenario(tmp_path, "good"), 1)]
    ended: list[Ended] = []

    def interrupt() -> None:
        begun, deadline = tmp_path / "slow.begun", time.monotonic() + 60
        while not begun.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with closing(LocalProcesses(settings(tmp_path))) as executor:
        whole = run_jobs(lambda: waiting.pop(0) if waiting else None, ended.append, executor, jobs=1)
    thread.join()
    assert not whole
    assert [each.verdict.outcome for each in ended] == [Outcome.INTERRUPTED]
    assert not (tmp_path / "good-1.ran").exists(), "nothing begins after an interrupt"


def play(tmp_path: Path, *kinds: str, budget_s: float = 0.0) -> tuple[ExitCode, Path]:
    chosen = settings(tmp_path)
    loaded = [scenario(tmp_path, kind) for kind in kinds]
    batch = nightly.run_night(loaded, chosen, budget_s=budget_s, jobs=2)
    folder = chosen.reports / "nightly"
    console = result_console(json_output=False, no_color=True)
    code = several.conclude(
        batch.runs, loaded, ending=batch.ending, folder=folder, title=nightly.TITLE, console=console
    )
    return code, folder


@pytest.fixture
def every_look_at_the_clock_takes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A night's clock goes on by a tenth of a second at each look, however slow the machine is."""
    looks = itertools.count()
    monkeypatch.setattr(several, "time", SimpleNamespace(monotonic=lambda: next(looks) / 10))


@pytest.mark.usefixtures("every_look_at_the_clock_takes_its_time")
def test_a_night_draws_fresh_seeds_and_fills_its_budget(tmp_path: Path) -> None:
    code, folder = play(tmp_path, "good", "fine", budget_s=1.5)
    assert code is ExitCode.AS_EXPECTED
    for kind in ("good", "fine"):
        assert len({path.name for path in tmp_path.glob(f"{kind}-*.ran")}) >= 2
    assert (folder / "summary.md").read_text().startswith("## ✅ nightly reliability: as expected")


@pytest.mark.usefixtures("every_look_at_the_clock_takes_its_time")
def test_a_flaky_night_is_red_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = iter(range(1, 1000))
    monkeypatch.setattr("harness.cli.settings.draw_seed", lambda: next(seeds))
    code, folder = play(tmp_path, "flaky", budget_s=1.5)
    assert code is ExitCode.VIOLATED
    text = (folder / "summary.md").read_text()
    assert "0 of 1 scenario as expected, 1 violated; flaky: flaky" in text


def test_a_night_without_a_broker_is_broken_infrastructure(tmp_path: Path) -> None:
    assert play(tmp_path, "good", "crashing")[0] is ExitCode.INFRASTRUCTURE


def test_at_least_one_run_fits_on_any_machine() -> None:
    assert 1 <= several.jobs_for_this_machine() <= (os.cpu_count() or 1)
