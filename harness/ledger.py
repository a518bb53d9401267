"""What a run started, written down so that a harness that is killed leaves nothing after the next start or `chaos clean`.

One JSON file a run in the user's state directory (CHAOS_STATE_DIR overrides it). A process is known by its pid and its start time,
so that a number that was given to another process since is never touched.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import platformdirs
import psutil

START_TIME_TOLERANCE_S = 0.02
"""psutil derives start times from clock ticks of 10 ms."""


def state_directory() -> Path:
    """Return (and make) the directory of the ledgers."""
    chosen = os.environ.get("CHAOS_STATE_DIR")
    path = Path(chosen) if chosen else platformdirs.user_state_path("chaos-harness")
    path.mkdir(parents=True, exist_ok=True)
    return path


@dataclass(frozen=True, slots=True)
class ProcessMark:
    """A process that cannot be mistaken for a later one with its number."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> ProcessMark:
        """Mark a living process; one that is already gone gets a mark that matches nothing."""
        try:
            return cls(pid, psutil.Process(pid).create_time())
        except psutil.NoSuchProcess:
            return cls(pid, 0.0)

    @classmethod
    def parse(cls, text: str) -> ProcessMark:
        """Read what `str` gives. Raises ValueError."""
        pid, _, started = text.partition(":")
        return cls(int(pid), float(started))

    def __str__(self) -> str:
        """Format as `pid:start time`."""
        return f"{self.pid}:{self.started}"

    def process(self) -> psutil.Process | None:
        """Return the process if it still lives and is the one that was marked."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) <= START_TIME_TOLERANCE_S
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return None


def owner_label() -> str:
    """Name this process for labels of containers, volumes and networks."""
    return str(ProcessMark.of(os.getpid()))


def owner_alive(label: str) -> bool:
    """Whether the process that a label names lives; a label that cannot be read names nobody."""
    try:
        return ProcessMark.parse(label).process() is not None
    except ValueError:
        return False


class Ledger:
    """One run's list of what it started. Safe to use from several threads."""

    def __init__(self, run_id: str) -> None:
        """Open the run's ledger, owned by this process."""
        self.run_id = run_id
        self._path = state_directory() / f"{run_id}.json"
        self._processes: list[ProcessMark] = []
        self._directories: list[str] = []
        self._lock = Lock()
        self._write()

    def add_process(self, pid: int) -> None:
        """Write down a process that this run started."""
        with self._lock:
            self._processes.append(ProcessMark.of(pid))
            self._write()

    def add_directory(self, path: Path) -> None:
        """Write down a directory that is the run's to remove."""
        with self._lock:
            self._directories.append(str(path))
            self._write()

    def close(self) -> None:
        """Forget the run: everything it started is gone."""
        self._path.unlink(missing_ok=True)

    def _write(self) -> None:
        data = {
            "owner": owner_label(),
            "processes": [str(mark) for mark in self._processes],
            "directories": self._directories,
        }
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text(json.dumps(data), encoding="utf-8")
        temporary.replace(self._path)


@dataclass(frozen=True, slots=True)
class StaleRun:
    """A run whose harness is dead and whose ledger still lies there."""

    path: Path
    processes: tuple[ProcessMark, ...]
    directories: tuple[Path, ...]


def stale() -> Iterator[StaleRun]:
    """Find the runs whose owner is dead. A ledger that cannot be read is skipped: it is being written, or is no ledger."""
    for path in sorted(state_directory().glob("*.json")):
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if owner_alive(data["owner"]):
                continue
            yield StaleRun(
                path,
                tuple(ProcessMark.parse(mark) for mark in data["processes"]),
                tuple(Path(directory) for directory in data["directories"]),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue


def sweep() -> tuple[str, ...]:
    """Remove what dead harnesses left; returns one line for each thing removed. Never touches a living owner's run."""
    removed: list[str] = []
    for run in stale():
        for mark in run.processes:
            removed += _end(mark)
        for directory in run.directories:
            if directory.is_dir():
                shutil.rmtree(directory, ignore_errors=True)
                removed.append(f"directory {directory}")
        run.path.unlink(missing_ok=True)
    return tuple(removed)


def _end(mark: ProcessMark) -> list[str]:
    root = mark.process()
    if root is None:
        return []
    family = [*root.children(recursive=True), root]
    ended = []
    for process in family:
        try:
            name = process.name()
            process.kill()
            ended.append(f"process {process.pid} ({name})")
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(family, timeout=5)
    return ended
