"""Whole runs that go wrong: an interrupt at a bad moment, a full disk, an engine that dies. Each ends in order and is told of."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from harness import ledger
from harness.broker.docker_engine import LABEL_OWNER, connect
from harness.broker.native import NativeBroker
from harness.broker.protocol import BrokerSettings
from harness.broker.select import select
from harness.engine.run import run
from harness.errors import BrokerError
from harness.faults.registry import actions
from harness.process_mark import ProcessMark
from harness.scenario.load import load
from harness.verdict.data import Outcome
from tests.integration.backends import BACKENDS, first_on, require
from tests.integration.stage import state_below
from tests.integration.test_runs import processes_of

BOUND_S = 240
LONG = "{name: long, publishers: {duration: 60s, rate: 200}, workers: {count: 2, work: 1ms}}"
SHORT = "{name: short, publishers: {messages: 50}, workers: {count: 1}}"
ROOM = "30m"
"""The room that is kept, the logs of three processes, and not of a fourth."""
SCALES_UP = """
name: full
publishers: {duration: 60s, rate: 200}
workers: {count: 1}
timeline:
  - after: {confirmed: 100}
    scale: {to: 4}
"""


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = state_below(tmp_path, monkeypatch)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    yield folder
    assert list(folder.glob("*.json")) == [], "a run left its ledger behind"


OWNERS: dict[Path, ProcessMark] = {}
"""The harness that was started in a folder, as the labels of its containers name it."""


def start(tmp_path: Path, scenario: str, backend: str, *, stderr: int = subprocess.PIPE) -> subprocess.Popen[str]:
    (tmp_path / "scenario.yaml").write_text(scenario)
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", "run", "scenario.yaml", "--broker", backend],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )
    OWNERS[tmp_path] = ProcessMark.of(process.pid)
    return process


def wait_for(process: subprocess.Popen[str], what: str, seen: Callable[[], bool]) -> None:
    deadline = time.monotonic() + BOUND_S
    while not seen():
        assert process.poll() is None, f"the run ended before {what}"
        assert time.monotonic() < deadline, f"waited {BOUND_S} s in vain for {what}"
        time.sleep(0.005)


def events_of(tmp_path: Path) -> str:
    return "".join(path.read_text() for path in tmp_path.glob("reports/2*/variants/guarantee/events.jsonl"))


def verdict_of(tmp_path: Path) -> dict[str, object]:
    (path,) = tmp_path.glob("reports/2*/verdict.json")
    found: dict[str, object] = json.loads(path.read_text())
    return found


def left_of(tmp_path: Path, backend: str) -> list[str]:
    """What a run left: processes, data of brokers, containers and volumes."""
    left = [*processes_of(tmp_path), *(str(path) for path in (tmp_path / "data").glob("chaos-*"))]
    if backend == "container":
        with closing(connect()) as client:
            filters: dict[str, str | list[str] | bool] = {"label": f"{LABEL_OWNER}={OWNERS[tmp_path]}"}
            left += [str(each.name) for each in client.containers.list(all=True, filters=filters, ignore_removed=True)]
            left += [str(each.name) for each in client.volumes.list(filters=filters)]
    return left


MOMENTS = [
    ("container", "Ctrl-C while the broker boots", LONG, '"phase": "provision"', signal.SIGINT),
    ("native", "SIGTERM in the traffic", LONG, '"phase": "traffic"', signal.SIGTERM),
    ("container", "Ctrl-C in the drain", SHORT, '"phase": "drain"', signal.SIGINT),
    ("native", "Ctrl-C while it cleans up", SHORT, '"phase": "clean up"', signal.SIGINT),
]
"""Each with the backend that every change meets it on."""


@pytest.mark.parametrize(
    ("backend", "scenario", "moment", "number"),
    [
        pytest.param(
            *each.values,
            scenario,
            moment,
            number,
            id=f"{each.values[0]}-{what}",
            marks=[*each.marks, *([] if each.values == (first,) else [pytest.mark.slow])],
        )
        for first, what, scenario, moment, number in MOMENTS
        for each in BACKENDS
    ],
    indirect=["backend"],
)
def test_an_interrupt_at_any_moment_leaves_a_report_and_nothing_else(
    backend: str, tmp_path: Path, scenario: str, moment: str, number: signal.Signals
) -> None:
    process = start(tmp_path, scenario, backend)
    wait_for(process, moment, lambda: moment in events_of(tmp_path))
    process.send_signal(number)
    _, errors = process.communicate(timeout=BOUND_S)
    assert process.returncode == 130, errors
    assert verdict_of(tmp_path)["outcome"] == "interrupted"
    assert (tmp_path / "reports" / "latest" / "report.html").stat().st_size > 0
    assert "Traceback" not in errors
    assert left_of(tmp_path, backend) == []


@first_on("native")
def test_a_terminal_that_is_closed_ends_the_run_in_order(backend: str, tmp_path: Path) -> None:
    terminal, end = os.openpty()
    process = start(tmp_path, LONG, backend, stderr=end)
    os.close(end)
    wait_for(process, "traffic", lambda: '"phase": "traffic"' in events_of(tmp_path))
    os.close(terminal)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=BOUND_S)
    assert process.returncode == 130
    assert verdict_of(tmp_path)["outcome"] == "interrupted"
    assert left_of(tmp_path, backend) == []


@first_on("container")
def test_a_second_ctrl_c_leaves_at_once_and_clean_removes_the_rest(backend: str, tmp_path: Path) -> None:
    process = start(tmp_path, LONG, backend)
    wait_for(process, "processed messages", lambda: '"processed": 1' in events_of(tmp_path))
    process.send_signal(signal.SIGINT)
    wait_for(process, "the clean-up", lambda: '"phase": "clean up"' in events_of(tmp_path))
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=BOUND_S)
    assert process.returncode == 130
    assert "chaos clean" in errors
    subprocess.run([sys.executable, "-m", "harness", "clean"], cwd=tmp_path, check=True, capture_output=True)
    assert left_of(tmp_path, backend) == []


@first_on("native")
def test_a_harness_that_is_killed_leaves_nothing_after_clean(backend: str, tmp_path: Path, state: Path) -> None:
    process = start(tmp_path, LONG, backend)
    wait_for(process, "processed messages", lambda: '"processed": 1' in events_of(tmp_path))
    process.kill()
    process.communicate(timeout=BOUND_S)
    assert list(state.glob("*.json"))
    cleaned = subprocess.run(
        [sys.executable, "-m", "harness", "clean"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    # The harness of another test may be the one that removes the container: it sweeps what dead ones left, as it begins.
    if backend == "native":
        assert "removed directory" in cleaned.stdout
    deadline = time.monotonic() + BOUND_S
    while left_of(tmp_path, backend):
        assert time.monotonic() < deadline, left_of(tmp_path, backend)
        time.sleep(0.05)
    assert list(state.glob("*.json")) == []


@pytest.mark.native
def test_logs_that_fill_the_disk_are_told_of_in_a_report_on_that_disk(tmp_path: Path) -> None:
    require("native")
    (tmp_path / "scenario.yaml").write_text(SCALES_UP)
    kept = tmp_path / "kept"
    (tmp_path / "small").mkdir()
    script = (
        f"mount -t tmpfs -o size={ROOM} tmpfs small || exit 99; "
        f"{sys.executable} -m harness run scenario.yaml --broker native --reports small; code=$?; "
        "cp -r small kept; exit $code"
    )
    # A mount that only this command sees; who is not root becomes it in a user namespace of the command's own.
    apart = ["unshare", "--mount"] if os.getuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
    done = subprocess.run(
        [*apart, "sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=BOUND_S
    )
    if done.returncode == 99 or "unshare" in done.stderr:
        pytest.skip(f"this machine lets no small file system be mounted: {done.stderr.strip()}")
    assert done.returncode == 3, done.stderr
    (directory,) = kept.glob("2*")
    verdict = json.loads((directory / "verdict.json").read_text())
    assert verdict["outcome"] == "infrastructure"
    assert "No space left on device; make room" in " ".join(verdict["variants"][0]["reasons"])
    assert verdict["variants"][0]["counts"]["published"] >= 100
    assert (directory / "report.html").stat().st_size > 0
    assert list((directory / "variants" / "guarantee" / "logs").glob("publisher-1.*.log"))
    assert "Traceback" not in done.stderr
    assert left_of(tmp_path, "native") == []


FROZEN = """
name: publish by hand while the broker is frozen
publishers: {count: 1, messages: 200, rate: 100, confirms: {window: 50}}
workers: {count: 1}
timeline:
  - at: 500ms
    pause: {broker: any, for: 3s}
  - at: 1s
    publish: {text: hello}
expect: {lost: 0}
"""


@pytest.mark.native
def test_a_message_by_hand_while_the_broker_is_frozen_waits_for_it(tmp_path: Path) -> None:
    require("native")
    process = start(tmp_path, FROZEN, "native")
    _, errors = process.communicate(timeout=BOUND_S)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    assert verdict_of(tmp_path)["headline"] != ""


class EngineThatDies:
    """A broker whose backend stops answering at the second look at it."""

    def __init__(self, broker: NativeBroker) -> None:
        self._broker = broker
        self._looks = 0
        self.destroyed = False

    def __getattr__(self, name: str) -> object:
        return getattr(self._broker, name)

    def alive(self, node: int = 0) -> bool:
        self._looks += 1
        if self._looks > 1:
            raise BrokerError("looking at the broker failed: the Docker engine does not answer")
        return self._broker.alive(node)

    def destroy(self) -> None:
        self._broker.destroy()
        if not self.destroyed:
            self.destroyed = True
            raise BrokerError("removing what a run started failed: the Docker engine does not answer")


@pytest.mark.native
def test_an_engine_that_dies_in_the_run_ends_it_and_leaves_the_ledger(tmp_path: Path, state: Path) -> None:
    require("native")
    (tmp_path / "scenario.yaml").write_text(LONG)

    def make(settings: BrokerSettings, book: ledger.Ledger) -> tuple[EngineThatDies, str]:
        broker = select("native", settings, book).broker
        assert isinstance(broker, NativeBroker)
        return EngineThatDies(broker), "test"

    result = run(load(tmp_path / "scenario.yaml", actions()), reports=tmp_path / "reports", seed=1, make_broker=make)  # type: ignore[arg-type]
    (variant,) = result.verdict.variants
    assert result.verdict.outcome is Outcome.INFRASTRUCTURE
    assert "the Docker engine does not answer" in " ".join(variant.reasons)
    assert variant.counts.published < 60 * 200 / 2, "it must not go on to the end of its traffic"
    meta = json.loads((result.directory.path / "run.json").read_text())
    assert [path.stem for path in state.glob("*.json")] == [meta["run"]]
    shutil.rmtree(state)
