"""Where publishers and workers run: a machine that starts, watches, freezes and kills them."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import psutil

from harness.engine.counters import ActorCounters
from harness.engine.standby import Standby, close_pipe
from harness.errors import InfrastructureError
from harness.interrupts import shielded
from harness.traffic.spec import Acks, PublisherSpec, WorkerSpec, write_spec

if TYPE_CHECKING:
    from harness.engine.live_log import LiveLog

FREEZE_TIMEOUT_S = 2.0
HERE = ""
"""The name of the machine that the harness itself runs on."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a process: how it ended, None while it runs, and what it has done so far."""

    exit_code: int | None
    counters: ActorCounters


@dataclass(frozen=True, slots=True)
class HostLoad:
    """Who took a machine's processors so far; in processor seconds."""

    machine: str
    """Tells whether two hosts are one machine."""
    processors: int
    machine_s: float
    """All that ran on the machine."""
    processes_s: dict[str, float]
    """Each process that runs now."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """What was brought from another machine, and how its clock (time.monotonic_ns) stood to this one's."""

    host: str
    offset_ns: int
    """What its clock showed more than this machine's when the run began; taken off the times of its records."""
    error_ns: int
    """By how much the times of its records may still be wrong at most."""
    records: int


class HostLostError(InfrastructureError):
    """A machine does not answer any more; what ran and what was recorded there is gone."""

    def __init__(self, host: str, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the machine {host} was lost in the middle of the run: {reason}")


class Host(Protocol):
    """A machine's publishers and workers, each process named like `worker-2.1`: actor and incarnation.

    Any thread may call it. Everything raises HostLostError once the machine cannot be reached any more.
    """

    @property
    def name(self) -> str:
        """The machine's name; `HERE` for the harness's own."""

    def start(self, process: str, spec: PublisherSpec | WorkerSpec, earlier: tuple[str, ...]) -> int:
        """Start a process and return its number; `earlier` are the actor's processes that ended.

        The spec's log, and where a publisher takes up its work, are filled in: both lie on the machine.
        """

    def command(self, process: str, line: str) -> None:
        """Write a command to a process; no error when it has just ended."""

    def freeze(self, process: str) -> ActorCounters | None:
        """SIGSTOP, and wait until it stands still: returns what it has done, None if it had ended."""

    def thaw(self, process: str) -> None:
        """SIGCONT."""

    def kill(self, process: str) -> None:
        """SIGKILL; returns when the process is gone."""

    def look(self) -> dict[str, Seen]:
        """Look at every process that was not yet seen to have ended; its last look shows all it did."""

    def last_error(self, process: str) -> str:
        """Return the last line that a process wrote to its standard error."""

    def load(self) -> HostLoad:
        """Tell who took the processors so far."""

    def gather(self) -> Gathered | None:
        """Bring what the processes recorded to the run's directory, for when all have ended; None where it lies there already."""

    def close(self) -> None:
        """End what still runs and release everything."""


@dataclass(slots=True)
class _Running:
    popen: subprocess.Popen[bytes]
    log: LiveLog
    errors: Path
    reading: threading.Lock = field(default_factory=threading.Lock)
    over: bool = False
    """Whether a look has shown its end."""

    def counters(self) -> ActorCounters:
        with self.reading:
            return replace(self.log.advance())


class LocalHost:
    """Processes on this machine."""

    name = HERE

    def __init__(self, logs: Path, standby: Standby | None = None) -> None:
        """Their logs go to the folder `logs`, which is made; `standby` starts them."""
        self._logs = logs
        self._logs.mkdir(parents=True, exist_ok=True)
        self._standby = standby if standby is not None else Standby()
        self._running: dict[str, _Running] = {}

    def start(self, process: str, spec: PublisherSpec | WorkerSpec, earlier: tuple[str, ...]) -> int:
        """Start a process; see Host."""
        # A command imports these while its broker boots.
        from harness.engine.live_log import LiveLog  # noqa: PLC0415
        from harness.engine.resume import given_back, resume_point  # noqa: PLC0415

        log = self._logs / f"{process}.log"
        spec = replace(spec, log=str(log))
        role = "worker"
        past = [self._logs / f"{name}.log" for name in earlier]
        if isinstance(spec, PublisherSpec):
            role = "publisher"
            point = resume_point(past, confirms=spec.confirms)
            spec = replace(spec, start=point.start, republish=point.republish, origin_ns=point.origin_ns)
        elif any(failure.attempts is not None for failure in spec.failures):
            spec = replace(spec, attempted=given_back(past))
        spec_path = self._logs / f"{process}.json"
        write_spec(spec, spec_path)
        errors = self._logs / f"{process}.stderr"
        with shielded():
            popen = self._standby.take(errors)
            self._running[process] = _Running(popen, LiveLog(log, settles=_settles(spec)), errors)
        self.command(process, f"{role} {spec_path}")
        return popen.pid

    def command(self, process: str, line: str) -> None:
        """Write a command; see Host."""
        pipe = self._running[process].popen.stdin
        assert pipe is not None  # noqa: S101 - every traffic process has a pipe
        # A path may hold bytes that are not UTF-8.
        written = os.fsencode(f"{line}\n")
        try:
            pipe.write(written)
            pipe.flush()
        except (BrokenPipeError, ValueError):
            # It has just ended; the next look will tell.
            return

    def freeze(self, process: str) -> ActorCounters | None:
        """Freeze and count; see Host."""
        running = self._running[process]
        running.popen.send_signal(signal.SIGSTOP)
        if not _frozen(running.popen.pid):
            return None
        return running.counters()

    def thaw(self, process: str) -> None:
        """SIGCONT."""
        self._running[process].popen.send_signal(signal.SIGCONT)

    def kill(self, process: str) -> None:
        """SIGKILL, and wait; see Host."""
        popen = self._running[process].popen
        popen.kill()
        popen.wait()

    def look(self) -> dict[str, Seen]:
        """Look at every process; see Host."""
        return {name: self._look(running) for name, running in list(self._running.items()) if not running.over}

    @staticmethod
    def _look(running: _Running) -> Seen:
        exit_code = running.popen.poll()
        if exit_code is None:
            return Seen(None, running.counters())
        with running.reading:
            if not running.over:
                running.over = True
                close_pipe(running.popen)
                running.log.close()
            return Seen(exit_code, running.log.counters)

    def last_error(self, process: str) -> str:
        """Return the last line of its standard error."""
        said = self._running[process].errors.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return said[-1] if said else ""

    def load(self) -> HostLoad:
        """Tell who took the processors so far."""
        taken: dict[str, float] = {}
        for name, running in list(self._running.items()):
            if running.over:
                continue
            try:
                times = psutil.Process(running.popen.pid).cpu_times()
            except psutil.Error:  # it ended meanwhile
                continue
            taken[name] = times.user + times.system
        return HostLoad(machine_id(), psutil.cpu_count() or 1, machine_s(), taken)

    def gather(self) -> Gathered | None:
        """Do nothing: the logs are where they belong."""
        return None

    def close(self) -> None:
        """Kill what still runs."""
        for running in self._running.values():
            running.popen.kill()
        for running in self._running.values():
            running.popen.wait()
            self._look(running)


def machine_id() -> str:
    """Tell this machine, and its present boot, from every other."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def machine_s() -> float:
    """Return how many processor seconds the machine has worked since it was started."""
    times = psutil.cpu_times()._asdict()
    idle = ("idle", "iowait", "guest", "guest_nice")  # what guests take is in user and nice already
    return float(sum(seconds for kind, seconds in times.items() if kind not in idle))


def _settles(spec: PublisherSpec | WorkerSpec) -> bool:
    """Whether what a process does is settled later: confirms for a publisher, manual acks for a worker."""
    return spec.confirms if isinstance(spec, PublisherSpec) else spec.acks is Acks.MANUAL


def _frozen(pid: int) -> bool:
    """Wait until the kernel has stopped every thread of a process, so that its log stands still; False if it ended."""
    deadline = time.monotonic() + FREEZE_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                return False
            if os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG) is not None:
                return True
        except ChildProcessError:  # it ended, and another thread has taken notice already
            return False
        time.sleep(0.0002)
    raise InfrastructureError(f"process {pid} did not stop within {FREEZE_TIMEOUT_S:g} s of SIGSTOP")
