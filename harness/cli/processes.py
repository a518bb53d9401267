"""Runs as processes of their own, several at once, so that interrupts and crashes stay apart."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import Protocol

from harness.cli.interruptible import interruptible
from harness.cli.serving_process import ServingProcess
from harness.cli.settings import Settings
from harness.errors import ExitCode, HistoryError
from harness.plain import plain
from harness.scenario.load import Loaded
from harness.verdict.as_json import from_json
from harness.verdict.data import Outcome, RunVerdict

PROGRAM = (sys.executable, "-m", "harness.cli.serving")
"""What does the runs in a process of its own."""


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


class Executor(Protocol):
    """Who does the runs: processes of this machine, or the workers of a Dask engine. Used by several threads."""

    @property
    def room(self) -> int | None:
        """How many runs it can do at once: 0 when it can do none any more, None if that is for the caller to choose."""

    def run(self, job: Job) -> Ended | None:
        """Run a job to its end; None if everything is ending."""

    def interrupt(self) -> None:
        """Let no further run begin, and interrupt those that are under way."""


def run_jobs(
    next_job: Callable[[], Job | None], on_end: Callable[[Ended], None], executor: Executor, *, jobs: int
) -> bool:
    """Run what `next_job` hands out, `jobs` at once, until it hands out None; returns False if that was interrupted.

    Both functions are called by one thread at a time. An interrupt is passed on to the runs, which end in order: they are waited for
    and told to `on_end` as well. A process that ends without a verdict counts as broken infrastructure.
    """
    lock = Lock()

    def work() -> None:
        while True:
            with lock:
                job = next_job()
            ended = executor.run(job) if job is not None else None
            if ended is None:
                return
            with lock:
                on_end(ended)

    told = "interrupted: the runs are healing faults, stopping processes and writing reports; press Ctrl-C again to leave at once"
    with interruptible(told), ThreadPoolExecutor(max_workers=jobs) as pool:
        workers = [pool.submit(work) for _ in range(jobs)]
        try:
            for worker in workers:
                worker.result()
        except BaseException as error:
            executor.interrupt()
            if not isinstance(error, KeyboardInterrupt):
                raise
            for worker in workers:
                worker.result()
            return False
    return True


@dataclass(slots=True)
class LocalProcesses:
    """Does each job in a process of this machine that is free, or in a further one. They keep their brokers from one job to the next."""

    settings: Settings
    room: int | None = None
    _processes: list[ServingProcess] = field(default_factory=list)
    _free: list[ServingProcess] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)
    _ending: bool = False

    def run(self, job: Job) -> Ended | None:
        """Run a job to its end; None if everything is ending."""
        begun = Begun.now()
        options = ["--reports", str(self.settings.reports), *self.settings.run_arguments(job.seed)]
        with self._lock:
            if self._ending:
                return None
            process = self._free_one()
            process.order(["run", *options, "--", str(job.loaded.path)])
        done = process.wait()
        with self._lock:
            if process.serves:
                self._free.append(process)
        return ended(
            job, done.code, done.output, done.errors, settings=self.settings, begun=begun, interrupted=self._ending
        )

    def _free_one(self) -> ServingProcess:
        while self._free:
            process = self._free.pop()
            if process.lives():
                return process
        return self._started()

    def _started(self) -> ServingProcess:
        # The pages' summary is the parent's to write: it knows all runs.
        environment = {name: value for name, value in os.environ.items() if name != "GITHUB_STEP_SUMMARY"}
        process = ServingProcess(PROGRAM, environment | self.settings.environment())
        self._processes.append(process)
        return process

    def interrupt(self) -> None:
        """Let no further run begin, and interrupt those that are under way."""
        with self._lock:
            self._ending = True
            for process in self._processes:
                process.interrupt()

    def close(self) -> None:
        """End the processes, and with them their brokers."""
        with self._lock:
            self._ending = True
            for process in self._processes:
                process.no_more()
            for process in self._processes:
                process.close()


@dataclass(frozen=True, slots=True)
class Begun:
    """When a run began, as people say it and by the clock that measures how long it takes."""

    at: datetime
    monotonic_s: float

    @classmethod
    def now(cls) -> Begun:
        """Begin now."""
        return cls(datetime.now().astimezone(), time.monotonic())


def ended(
    job: Job, code: int, output: str, errors: str, *, settings: Settings, begun: Begun, interrupted: bool
) -> Ended:
    """Tell how a run ended from what its process printed, and from its exit code if that is no verdict."""
    lines = output.splitlines()
    try:
        verdict = from_json(lines[-1] if lines else "")
    except HistoryError:
        said = [line.strip() for line in errors.splitlines() if line.strip()]
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        headline = f"the run's process {how} and gave no verdict" + (f": {said[-1]}" if said else "")
        verdict = no_verdict(job, headline, settings=settings, begun=begun, interrupted=interrupted)
        errors += f"{plain(str(job.loaded.path))}: {plain(headline)}\n"
    return Ended(job, verdict, output, errors, failed=code == ExitCode.INFRASTRUCTURE)


def no_verdict(job: Job, headline: str, *, settings: Settings, begun: Begun, interrupted: bool) -> RunVerdict:
    """Make the verdict of a run that gave none itself."""
    scenario = job.loaded.scenario
    return RunVerdict(
        scenario=scenario.name,
        description=scenario.description,
        file=str(job.loaded.path),
        outcome=Outcome.INTERRUPTED if interrupted else Outcome.INFRASTRUCTURE,
        headline=headline,
        seed=job.seed,
        replay=settings.replay(job.loaded, job.seed),
        started_at=begun.at.isoformat(timespec="seconds"),
        duration_s=time.monotonic() - begun.monotonic_s,
        versions={},
        variants=(),
    )
