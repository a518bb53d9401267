"""Whole runs on real brokers: what is asserted is the verdict, the history, and what is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest

from harness.broker.docker_engine import LABEL_OWNER, connect
from harness.broker.making import MakeBroker
from harness.engine.judging import RunResult, judge_again
from harness.engine.run import run
from harness.events import FaultInjected, PublishingEnded
from harness.faults.registry import actions
from harness.history.parquet import to_frame, write
from harness.process_mark import ProcessMark
from harness.scenario.load import load
from harness.verdict.data import Fate, Outcome, Place, RunVerdict, VariantVerdict
from tests.integration.backends import ALONE, EVERY_CHANGE, each_pair, first_on

Run = Callable[[str], RunResult]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "state"
    monkeypatch.setenv("CHAOS_STATE_DIR", str(folder))
    yield folder
    assert list(folder.glob("*.json")) == [], "a run left its ledger behind"


@pytest.fixture
def run_text(backend: str, lend: Callable[[str], MakeBroker], tmp_path: Path) -> Run:
    def execute(text: str) -> RunResult:
        path = tmp_path / "scenario.yaml"
        path.write_text(text)
        return run(load(path, actions()), reports=tmp_path / "reports", seed=7, make_broker=lend(backend))

    return execute


def only(result: RunResult) -> VariantVerdict:
    (variant,) = result.verdict.variants
    return variant


@each_pair(EVERY_CHANGE[:1])
def test_a_restart_and_a_kill_lose_nothing_and_the_control_shows_the_loss(run_text: Run, client: str) -> None:
    result = run_text(
        f"client: {client}"
        """
name: both
publishers: {count: 2, messages: 1500, confirms: {window: 50}}
workers: {count: 2, prefetch: 20, work: 1ms}
timeline:
  - after: {confirmed: 500}
    kill: {worker: holding deliveries, back_after: 300ms}
  - after: {confirmed: 1500}
    restart: broker
controls:
  transient:
    set: {publishers.persistent: false}
    expect: {lost: ">= 1", lost_at: {broker: ">= 1", worker: 0, unknown: 0}}
"""
    )
    guarantee, control = result.verdict.variants
    assert result.verdict.outcome is Outcome.AS_EXPECTED, result.verdict.headline
    assert guarantee.counts.fates[Fate.PROCESSED] == guarantee.counts.published == 3000
    assert all(fault.at_risk for fault in guarantee.faults)
    assert guarantee.faults[1].clean is True
    assert control.counts.fates[Fate.LOST] == control.faults[1].taken > 0


@each_pair()
def test_automatic_acks_lose_exactly_what_the_worker_held(run_text: Run, client: str) -> None:
    variant = only(
        run_text(
            f"client: {client}"
            """
name: automatic
publishers: {messages: 400}
workers: {count: 2, acks: automatic, work: 5ms}
timeline:
  - after: {confirmed: 400, delivered: 400}
    kill: {worker: holding deliveries}
expect: {lost: ">= 1", lost_at: {worker: ">= 1", broker: 0, publisher: 0, unknown: 0}}
"""
        )
    )
    assert variant.outcome is Outcome.AS_EXPECTED, variant.headline
    (cause,) = variant.causes
    killed = next(worker for worker in variant.workers if worker.actor == cause.actor)
    assert cause.place is Place.WORKER
    assert cause.count == killed.delivered - killed.processed == variant.counts.fates[Fate.LOST]


@first_on("container")
def test_a_violated_expectation_is_told_with_its_cause(run_text: Run) -> None:
    result = run_text(
        """
name: violated
publishers: {messages: 500, persistent: false}
workers: {count: 1, work: 2ms}
timeline:
  - after: {confirmed: 500}
    restart: broker
"""
    )
    variant = only(result)
    assert result.verdict.outcome is Outcome.VIOLATED
    assert {cause.setting for cause in variant.causes} == {"publishers.persistent: true"}


@first_on("native")
def test_publishers_go_on_until_the_last_step_has_struck_and_others_keep_their_own_end(
    run_text: Run, tmp_path: Path
) -> None:
    result = run_text(
        """
name: as long as the timeline
publishers:
  - {name: open, count: 2, duration: timeline, rate: 100}
  - {name: short, duration: 100ms, rate: 100}
  - {name: counted, messages: 300, rate: 200}
workers: {count: 2, work: 4ms}
timeline:
  - at: 500ms
    close: {connections: all, times: 2, every: 100ms}
  - after: {processed: 500}
    pause: {worker: any, for: 500ms}
"""
    )
    variant = only(result)
    assert result.verdict.outcome is Outcome.AS_EXPECTED, variant.headline
    events = result.histories["guarantee"].events
    struck = {event.action: event.struck_at_ns for event in events if isinstance(event, FaultInjected)}
    ended = {event.group: event.at_ns for event in events if isinstance(event, PublishingEnded)}
    assert ended.keys() == {"open", "short"}
    assert ended["short"] < struck["close"] < struck["pause"] <= ended["open"]
    assert variant.schedule is not None
    assert variant.schedule.never_sent is not None
    write(result.histories["guarantee"], tmp_path / "history.parquet")
    history = to_frame(tmp_path / "history.parquet")
    published = history[history["event"] == "published"].groupby("actor", observed=True)["at_ns"]
    last, count = published.max(), published.count()
    assert all(last[actor] > struck["pause"] for actor in ("open-1", "open-2"))
    assert last["short-1"] < struck["close"]
    assert count["counted-1"] >= 300  # the others' ends cut nothing off; what was unsettled at a closing is sent again
    assert variant.counts.indeterminate == 0
    assert variant.counts.fates[Fate.PROCESSED] == variant.counts.published
    assert {each.action: each.times for each in variant.faults} == {"pause": 1, "close": 2}


@first_on("container")
def test_a_killed_publisher_goes_on_where_it_was(run_text: Run) -> None:
    variant = only(
        run_text(
            """
name: publisher
publishers: {messages: 2000, rate: 2000, confirms: {window: 100}}
workers: {count: 2}
timeline:
  - after: {confirmed: 500}
    kill: {publisher: holding unconfirmed, back_after: 100ms}
"""
        )
    )
    assert variant.outcome is Outcome.AS_EXPECTED, variant.headline
    assert variant.counts.published == 2000
    assert variant.counts.publishes > 2000, "what was unsettled must have been published again"


@first_on("container")
def test_a_second_declaration_is_refused_and_harms_nothing(run_text: Run) -> None:
    variant = only(
        run_text(
            """
name: redeclare
publishers: {messages: 300}
workers: {count: 1}
timeline:
  - after: {confirmed: 100}
    declare: {queue: tasks, durable: false}
expect: {errors: {code: 406, text: PRECONDITION_FAILED}}
"""
        )
    )
    assert variant.outcome is Outcome.AS_EXPECTED, variant.headline


@first_on("native")
def test_pause_and_scale_and_by_hand_and_connections(run_text: Run) -> None:
    variant = only(
        run_text(
            """
name: many
publishers: {messages: 2500, rate: 2000}
workers: {count: 2, work: 4ms, prefetch: 5}
timeline:
  - after: {processed: 100}
    pause: {worker: 1, for: 300ms}
  - after: {confirmed: 400}
    scale: {to: 3}
  - after: {confirmed: 600}
    publish: {text: by hand, count: 3}
  - after: {confirmed: 800}
    close: connections
  - after: {confirmed: 1200}
    pause: {broker: any, for: 300ms}
  - after: {processed: 2000}
    pause: {worker: worker-3, for: 300ms}
  - after: {confirmed: 2503}
    publish: the last one
"""
        )
    )
    assert variant.outcome is Outcome.AS_EXPECTED, variant.headline
    assert variant.counts.published == 2504
    assert len(variant.workers) == 3


@first_on("native")
def test_a_quorum_queue_gives_up_on_a_poison_message(run_text: Run) -> None:
    variant = only(
        run_text(
            """
name: poison
queues:
  tasks: {type: quorum, delivery_limit: 2, dead_letter: dead}
  dead: {}
publishers: {tasks: [fine, poison, fine, fine]}
workers: {count: 1, prefetch: 1, fails: {text: poison, by: crash}, back_after: 50ms}
expect: {dead_lettered: 1, processed: 3}
"""
        )
    )
    assert variant.outcome is Outcome.AS_EXPECTED, variant.headline
    assert variant.workers[0].incarnations == 4


@first_on("container")
def test_a_poison_message_of_two_attempts_is_done_by_the_third_process(run_text: Run) -> None:
    variant = only(
        run_text(
            """
name: poison twice
publishers: {tasks: [fine, poison, fine, fine]}
workers: {count: 1, prefetch: 1, fails: {text: poison, by: crash, attempts: 2}, back_after: 50ms}
expect: {processed: 4}
"""
        )
    )
    assert variant.outcome is Outcome.AS_EXPECTED, variant.headline
    assert variant.workers[0].incarnations == 3


@first_on("native")
def test_work_that_fails_three_times_is_done_after_three_rounds_of_a_retry_loop(run_text: Run) -> None:
    result = run_text(
        """
name: retry loop
queues:
  tasks: {dead_letter: delay}
  delay: {message_ttl: 100ms, dead_letter: tasks}
publishers: {messages: 40}
workers: {count: 2, fails: {every: 4, attempts: 3}}
expect: {processed: 40}
"""
    )
    variant = only(result)
    assert variant.outcome is Outcome.AS_EXPECTED, variant.headline
    assert sum(worker.rejected for worker in variant.workers) == 30


@first_on("container")
def test_an_idle_kill_is_inconclusive(run_text: Run) -> None:
    variant = only(
        run_text(
            """
name: idle
publishers: {messages: 50}
workers: {count: 1}
timeline:
  - at: 2s
    kill: {worker: 1, back_after: 0s}
"""
        )
    )
    assert variant.outcome is Outcome.INCONCLUSIVE
    assert "at risk" in " ".join(variant.reasons)


@first_on("native")
def test_the_history_tells_the_same_again(run_text: Run, tmp_path: Path) -> None:
    result = run_text("{name: again, publishers: {messages: 300}, workers: {count: 2}}")
    again = judge_again(result.directory, load(result.directory.path / "scenario.yaml", actions()))
    assert again.verdict.variants == result.verdict.variants
    write(result.histories["guarantee"], tmp_path / "history.parquet")
    frame = to_frame(tmp_path / "history.parquet")
    counted = frame.groupby("event", observed=True).size()
    assert counted["published"] == counted["confirmed"] == counted["delivered"] == counted["acked"] == 300
    assert counted["completed"] == 300
    assert str(frame["seq"].dtype) == "Int64"


# The command line.


def chaos(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=240,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "NO_COLOR": "1"} | environment,
        check=False,
    )


LONG = """
name: long
publishers: {duration: 60s, rate: 200}
workers: {count: 2, work: 1ms}
"""


def started(tmp_path: Path, backend: str) -> subprocess.Popen[str]:
    """Start a long run and wait until its traffic flows."""
    (tmp_path / "long.yaml").write_text(LONG)
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", "run", "long.yaml", "--broker", backend],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        found = list(tmp_path.glob("reports/*-long/variants/guarantee/events.jsonl"))
        if found and '"processed": 1' in found[0].read_text():
            return process
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError("no traffic within 90 s")


def processes_of(tmp_path: Path) -> list[str]:
    """Everything whose command line, folder or environment belongs to this test's run."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if str(tmp_path) in line and "pytest" not in line:
            found.append(line)
    return found


@ALONE
@first_on("native")
def test_ctrl_c_heals_cleans_up_and_still_reports(backend: str, tmp_path: Path) -> None:
    process = started(tmp_path, backend)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=90)
    assert process.returncode == 130, errors
    (report,) = tmp_path.glob("reports/*-long/report.html")
    verdict = json.loads((report.parent / "verdict.json").read_text())
    assert verdict["outcome"] == "interrupted"
    assert verdict["variants"][0]["counts"]["published"] > 0
    assert processes_of(tmp_path) == []


@ALONE
@first_on("container")
def test_machine_output_is_pure_and_human_text_is_on_stderr(backend: str, tmp_path: Path) -> None:
    (tmp_path / "short.yaml").write_text("{name: short, publishers: {messages: 50}, workers: {count: 1}}")
    done = chaos("run", "short.yaml", "--broker", backend, "--client", "fast", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    verdict = json.loads(done.stdout)
    assert verdict["outcome"] == "as expected"
    assert verdict["versions"]["client"] == "fast"
    assert f"--broker {backend} --client fast" in verdict["replay"]
    assert "as expected" in done.stderr.lower()
    run_directory = tmp_path / "reports" / "latest"
    for name in ("verdict.json", "junit.xml", "summary.md", "report.html", "resolved.yaml", "run.json"):
        assert (run_directory / name).stat().st_size > 0, name
    assert "client: fast" in (run_directory / "resolved.yaml").read_text()
    traced = chaos("trace", "latest", "publisher-1#7", cwd=tmp_path)
    assert [word for word in ("published", "confirmed", "delivered", "completed") if word not in traced.stdout] == []
    assert chaos("history", "latest", cwd=tmp_path).returncode == 0
    assert chaos("report", "latest", cwd=tmp_path).returncode == 0


@ALONE
@first_on("native")
def test_an_unwritable_report_folder_is_infrastructure(backend: str, tmp_path: Path) -> None:
    (tmp_path / "short.yaml").write_text("{name: short, publishers: {messages: 5}, workers: {count: 1}}")
    (tmp_path / "file").write_text("in the way")
    done = chaos("run", "short.yaml", "--broker", backend, "--reports", "file/reports", cwd=tmp_path)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert "--reports" in done.stderr


@ALONE
@first_on("container")
def test_a_broker_that_dies_by_itself_is_infrastructure(backend: str, tmp_path: Path) -> None:
    process = started(tmp_path, backend)
    if backend == "native":
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # the broker asks other programs for the memory and the disk
                if "beam" in child.name():
                    child.kill()
    else:
        with closing(connect()) as client:
            (container,) = client.containers.list(filters={"label": f"{LABEL_OWNER}={ProcessMark.of(process.pid)}"})
            container.kill()
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 3, errors
    verdict: RunVerdict | dict[str, object] = json.loads(next(tmp_path.glob("reports/*-long/verdict.json")).read_text())
    assert verdict["outcome"] == "infrastructure"  # type: ignore[index]


def test_bad_scenarios_are_told_all_at_once_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("name: bad\npublisher: {messages: 5}\nworkers: {count: -1}\n")
    done = chaos("run", "bad.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "bad.yaml:2:1: publisher" in done.stderr
    assert "publishers" in done.stderr
    assert "bad.yaml:3:" in done.stderr
    assert not (tmp_path / "reports").exists()


@ALONE
def test_an_external_broker_refuses_broker_faults_without_commands(tmp_path: Path) -> None:
    (tmp_path / "restart.yaml").write_text(
        "name: x\npublishers: {messages: 5}\nworkers: {}\ntimeline:\n  - {at: 1s, restart: broker}\n"
    )
    done = chaos("run", "restart.yaml", "--broker", "amqp://user:geheim@127.0.0.1:1/", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "geheim" not in done.stderr
