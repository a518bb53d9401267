"""Runs as processes of their own, several at once, so that interrupts and crashes stay apart."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock

from harness.checks.verdict import Outcome, RunVerdict
from harness.checks.verdict_json import from_json
from harness.cli.interruptible import interruptible
from harness.cli.settings import Settings
from harness.errors import ExitCode, HistoryError
from harness.scenario.load import Loaded

PROGRAM = (sys.executable, "-m", "harness")
"""What runs a scenario in a child process."""


@dataclass(frozen=True, slots=True)
class Job:
    """A run to come."""

    loaded: Loaded
    seed: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that is over: its verdict, and what its process printed."""

    job: Job
    verdict: RunVerdict
    output: str
    errors: str
    failed: bool
    """Whether something beside the verdict failed, such as the writing of a report."""


def run_jobs(
    next_job: Callable[[], Job | None], on_end: Callable[[Ended], None], settings: Settings, *, jobs: int
) -> bool:
    """Run what `next_job` hands out, `jobs` at once, until it hands out None; returns False if that was interrupted.

    Both functions are called by one thread at a time. An interrupt is passed on to the runs, which end in order: they are waited for
    and told to `on_end` as well. A process that ends without a verdict counts as broken infrastructure.
    """
    crew, lock = _Crew(settings), Lock()

    def work() -> None:
        while True:
            with lock:
                job = next_job()
            ended = crew.run(job) if job is not None else None
            if ended is None:
                return
            with lock:
                on_end(ended)

    told = "interrupted: the runs are healing, stopping and writing their reports; once more leaves at once"
    with interruptible(told), ThreadPoolExecutor(max_workers=jobs) as pool:
        workers = [pool.submit(work) for _ in range(jobs)]
        try:
            for worker in workers:
                worker.result()
        except BaseException as error:
            crew.interrupt()
            if not isinstance(error, KeyboardInterrupt):
                raise
            for worker in workers:
                worker.result()
            return False
    return True


@dataclass(slots=True)
class _Crew:
    settings: Settings
    _processes: list[subprocess.Popen[str]] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)
    _ending: bool = False

    def run(self, job: Job) -> Ended | None:
        """Run a job to its end; None if everything is ending."""
        # The pages' summary is the parent's to write: it knows all runs.
        environment = {name: value for name, value in os.environ.items() if name != "GITHUB_STEP_SUMMARY"}
        now, began = datetime.now().astimezone(), time.monotonic()
        with self._lock:
            if self._ending:
                return None
            process = subprocess.Popen(
                self._command(job),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="backslashreplace",
                env=environment,
                start_new_session=True,
            )
            self._processes.append(process)
        output, errors = process.communicate()
        lines = output.splitlines()
        try:
            verdict = from_json(lines[-1] if lines else "")
        except HistoryError:
            verdict = self._no_verdict(job, process.returncode, errors, now, time.monotonic() - began)
        return Ended(job, verdict, output, errors, failed=process.returncode == ExitCode.INFRASTRUCTURE)

    def interrupt(self) -> None:
        """Let no further run begin, and interrupt those that are under way."""
        with self._lock:
            self._ending = True
            for process in self._processes:
                if process.poll() is None:
                    process.send_signal(signal.SIGINT)

    def _command(self, job: Job) -> list[str]:
        settings = self.settings
        options = ["--json", "--reports", str(settings.reports), "--seed", str(job.seed), *settings.arguments()]
        options += [] if settings.controls else ["--no-controls"]
        options += ["--quiet"] if settings.quiet else []
        options += ["--night", settings.night] if settings.night is not None else []
        return [*PROGRAM, "run", *options, "--", str(job.loaded.path)]

    def _no_verdict(self, job: Job, code: int, errors: str, now: datetime, took_s: float) -> RunVerdict:
        said = [line.strip() for line in errors.splitlines() if line.strip()]
        scenario = job.loaded.scenario
        ended = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return RunVerdict(
            scenario=scenario.name,
            description=scenario.description,
            file=str(job.loaded.path),
            outcome=Outcome.INTERRUPTED if self._ending else Outcome.INFRASTRUCTURE,
            headline=f"the run's process {ended} and gave no verdict" + (f": {said[-1]}" if said else ""),
            seed=job.seed,
            replay=self.settings.replay(job.loaded, job.seed),
            started_at=now.isoformat(timespec="seconds"),
            duration_s=took_s,
            versions={},
            variants=(),
        )
