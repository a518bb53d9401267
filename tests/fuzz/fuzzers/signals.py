"""Signals at random moments of a run, on both backends: it ends in order, with a report, and leaves nothing.

A second signal leaves at once, and SIGKILL is no end in order: there `chaos clean` must find everything that was left.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from harness.broker.docker_engine import LABEL_RUN, connect
from harness.errors import ExitCode
from tests.fuzz.attempt import Answer, Attempt
from tests.fuzz.running import HANG_S, as_process
from tests.integration.backends import missing

ROOT: Final = Path(__file__).parents[3]
AT_ONCE: Final = 2
MOST_S: Final = 9.0
"""About as long as the run takes: a signal comes before its end or not at all."""
SCENARIO: Final = """
name: struck by a signal
publishers: {messages: 400, rate: 400}
workers: {count: 2, work: 1ms}
timeline:
  - after: {processed: 100}
    kill: {worker: any, back_after: 200ms}
  - after: {processed: 200}
    restart: {broker: any, down_for: 200ms}
"""
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
SWALLOWED: Final = re.compile(r"Exception ignored in: <function _get_module_lock.*?KeyboardInterrupt: ?\n", re.DOTALL)
"""What Python itself prints where an interrupt falls into a callback of its import lock, which swallows it: the run goes on."""
ENDS: Final = frozenset({ExitCode.INTERRUPTED, ExitCode.AS_EXPECTED, ExitCode.INCONCLUSIVE})
"""A signal that came too late changes nothing; one fault of the scenario may have met no message."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What is sent to a run, and when."""

    backend: str
    first: signal.Signals
    after_s: float
    again_s: float | None
    """How long after the first one a second signal follows."""

    @property
    def orderly(self) -> bool:
        """Whether the run has the time to end in order."""
        return self.first is not signal.SIGKILL and self.again_s is None

    def __str__(self) -> str:
        """Say it on one line."""
        again = "" if self.again_s is None else f", another {self.again_s:.3f} s later"
        return f"{self.first.name} {self.after_s:.3f} s after the start of a run on a {self.backend} broker{again}"


@dataclass(frozen=True, slots=True)
class Signals:
    """Draws a backend, a signal and a moment."""

    name: str = "signals"
    short: int = 4
    long: int = 100

    def attempts(self, chance: random.Random, count: int, folder: Path) -> Iterator[Attempt]:
        """Make attempts, two at once."""
        backends = [backend for backend in ("native", "container") if missing(backend) is None]
        drawn = [_drawn(chance, backends) for _ in range(count)]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            yield from pool.map(_tried, drawn, (folder / str(number) for number in range(count)))


def _drawn(chance: random.Random, backends: list[str]) -> Drawn:
    first = chance.choice(SIGNALS)
    again = chance.uniform(0.0, 1.0) if first is not signal.SIGKILL and chance.random() < 0.25 else None
    return Drawn(chance.choice(backends), first, chance.uniform(0.0, MOST_S), again)


def _tried(drawn: Drawn, folder: Path) -> Attempt:
    data = folder / "data"
    data.mkdir(parents=True)
    (folder / "x.yaml").write_text(SCENARIO)
    environment = {"CHAOS_STATE_DIR": str(folder / "state"), "TMPDIR": str(data), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", "run", "x.yaml", "--broker", drawn.backend, "--no-controls"],
        cwd=folder,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="backslashreplace",
    )
    _send(process, drawn)
    try:
        out, err = process.communicate(timeout=HANG_S)
        err = SWALLOWED.sub("", err)
        begun = (err and " in main" in err) or (err and "Traceback" not in err) or (folder / "reports").exists()
        before_us = not begun and process.returncode in (-drawn.first, -signal.SIGINT)
        # Before Python has come to the harness, the signal does what it does to any program.
        answer = Answer(ExitCode.INTERRUPTED, "", "") if before_us else Answer(process.returncode, out, err)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        answer = Answer(None, out, err)
    left = [] if not drawn.orderly else [*_left(folder, drawn.backend), *_unreported(folder, answer)]
    allowed = ENDS
    if not drawn.orderly:
        cleaned = as_process(["clean"], environment=environment, folder=folder)
        left += _left(folder, drawn.backend)
        answer = Answer(cleaned.code, out + cleaned.out, err + cleaned.err)
        allowed = frozenset({ExitCode.AS_EXPECTED})
    files = tuple(path.read_text(errors="replace") for path in folder.glob("reports/2*/**/harness-error.txt"))
    return Attempt(str(drawn), answer, allowed, left=tuple(left), files=files)


def _send(process: subprocess.Popen[str], drawn: Drawn) -> None:
    try:
        process.wait(drawn.after_s)
    except subprocess.TimeoutExpired:
        process.send_signal(drawn.first)
    if drawn.again_s is not None:
        try:
            process.wait(drawn.again_s)
        except subprocess.TimeoutExpired:
            process.send_signal(drawn.first)


def _left(folder: Path, backend: str) -> list[str]:
    """Name the ledgers, processes, data and containers of a run that are still there, once those that are ending have had time to."""
    deadline = time.monotonic() + 10.0
    while (left := list(_there(folder, backend))) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def _there(folder: Path, backend: str) -> Iterator[str]:
    yield from (f"ledger {path.name}" for path in (folder / "state").glob("*.json"))
    yield from (f"data {path.name}" for path in (folder / "data").glob("chaos-*") if "error" not in path.name)
    for process in psutil.process_iter(["pid", "cmdline", "environ"]):
        named = str(folder) in " ".join(process.info["cmdline"] or [])
        mine = (process.info["environ"] or {}).get("CHAOS_STATE_DIR") == str(folder / "state")
        if (named or mine) and process.status() != psutil.STATUS_ZOMBIE:
            yield f"process {process.info['pid']}"
    runs = [json.loads(path.read_text())["run"] for path in folder.glob("reports/2*/run.json")]
    if backend == "container" and runs:
        with closing(connect()) as client:
            for run in runs:
                filters: dict[str, str | list[str] | bool] = {"label": f"{LABEL_RUN}={run}-guarantee"}
                found = client.containers.list(all=True, filters=filters, ignore_removed=True)
                yield from (f"container {each.name}" for each in found)
                yield from (f"volume {each.name}" for each in client.volumes.list(filters=filters))


def _unreported(folder: Path, answer: Answer) -> Iterator[str]:
    """Name the reports that are missing of a run that had begun, which is not what is left, but what is not."""
    for directory in folder.glob("reports/2*"):
        # A run that was interrupted before its first phase has nothing to report.
        if (directory / "variants").exists() and not (directory / "report.html").exists():
            yield f"a run without a report, exit code {answer.code}"


FUZZER = Signals()
