"""What a run started, written down so that a harness that is killed leaves nothing after the next start or `chaos clean`.

One JSON file a run in the user's state directory (CHAOS_STATE_DIR overrides it), written before or at once after a thing is
started. What slips through that gap is found by a token in the environment, which every process of the run inherits.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import platformdirs
import psutil

from harness.errors import InfrastructureError
from harness.process_mark import ProcessMark

TOKEN_VARIABLE = "CHAOS_LEDGER"  # noqa: S105 - a name, not a secret
SWEEP_ROUNDS = 5
"""How often to look again for processes that were born while their parents were being killed."""
DEATH_TIMEOUT_S = 5.0
DEATH_POLL_S = 0.05


def state_directory() -> Path:
    """Return (and make) the directory of the ledgers. Raises InfrastructureError."""
    chosen = os.environ.get("CHAOS_STATE_DIR")
    try:
        path = Path(chosen) if chosen else platformdirs.user_state_path("chaos-harness")
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:
        raise InfrastructureError(
            f"the folder that notes what a run started cannot be made ({error}); name another one in CHAOS_STATE_DIR"
        ) from error
    return path


def owner_label() -> str:
    """Name this process, for labels of containers, volumes and networks: `pid:start time` and where they are counted."""
    return str(ProcessMark.of(os.getpid()))


def owner_alive(label: str) -> bool:
    """Whether the process that a label names lives, as far as can be told from here; a label that is none names nobody."""
    try:
        return ProcessMark.parse(label).may_live()
    except ValueError:
        return False


class Ledger:
    """One run's list of what it started, owned by this process. Safe to use from several threads."""

    def __init__(self, run_id: str) -> None:
        """Open the run's ledger. Raises InfrastructureError when it cannot be written."""
        self.run_id = run_id
        self._path = state_directory() / f"{run_id}.json"
        self._owner = owner_label()
        self._token = secrets.token_hex(8)
        self._processes: list[ProcessMark] = []
        self._directories: list[str] = []
        self._lock = Lock()
        self._write()

    @property
    def environment(self) -> dict[str, str]:
        """What to put into the environment of every process of the run, so that a sweep knows it and its children."""
        return {TOKEN_VARIABLE: self._token}

    def add_process(self, pid: int) -> None:
        """Write down a process that this run started, or whose end is the run's to see to."""
        with self._lock:
            self._processes.append(ProcessMark.of(pid))
            self._write()

    def add_directory(self, path: Path) -> None:
        """Write down a directory that is the run's to remove; best before it is made."""
        with self._lock:
            self._directories.append(str(path.absolute()))
            self._write()

    def close(self) -> None:
        """Forget the run: everything it started is gone."""
        with self._lock:
            self._path.unlink(missing_ok=True)

    def _write(self) -> None:
        data = {
            "owner": self._owner,
            "token": self._token,
            "processes": [str(mark) for mark in self._processes],
            "directories": self._directories,
        }
        temporary = self._path.with_suffix(".tmp")
        try:
            temporary.write_text(json.dumps(data), encoding="utf-8")
            temporary.replace(self._path)
        except OSError as error:
            raise InfrastructureError(
                f"{self._path} cannot be written ({error.strerror}), and nothing is started that a killed run could leave "
                "behind unnoticed; make room there, or name another folder in CHAOS_STATE_DIR"
            ) from error


@dataclass(frozen=True, slots=True)
class StaleRun:
    """A run whose harness is dead and whose ledger still lies there."""

    path: Path
    token: str
    processes: tuple[ProcessMark, ...]
    directories: tuple[Path, ...]

    @property
    def run_id(self) -> str:
        """The run's name."""
        return self.path.stem


def stale() -> tuple[StaleRun, ...]:
    """Find the runs whose owner is dead. A file that is no ledger is left alone."""
    found = (_read(path) for path in sorted(state_directory().glob("*.json")))
    return tuple(run for run in found if run is not None)


def _read(path: Path) -> StaleRun | None:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if ProcessMark.parse(data["owner"]).may_live():
            return None
        return StaleRun(
            path,
            str(data.get("token", "")),
            tuple(ProcessMark.parse(mark) for mark in data["processes"]),
            tuple(Path(directory) for directory in data["directories"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def sweep() -> tuple[str, ...]:
    """Remove what dead harnesses left; returns one line for each thing removed. Never touches a living owner's run.

    Two sweeps at once do one after the other. What cannot be removed stays written down for the next one.
    """
    removed: list[str] = []
    with _one_at_a_time():
        for run in stale():
            removed += _end_processes(run)
            for directory in run.directories:
                if directory.is_dir() and not directory.is_symlink():
                    shutil.rmtree(directory, ignore_errors=True)
                    if not directory.exists():
                        removed.append(f"directory {directory}")
            if not any(directory.is_dir() for directory in run.directories) and not _living(run):
                run.path.with_suffix(".tmp").unlink(missing_ok=True)
                run.path.unlink(missing_ok=True)
    return tuple(removed)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    with (state_directory() / "sweep.lock").open("w") as lock:
        # Let go by the kernel, however this process ends.
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _end_processes(run: StaleRun) -> list[str]:
    ended: list[str] = []
    for _ in range(SWEEP_ROUNDS):
        living = _living(run)
        if not living:
            break
        for process in living:
            try:
                name = process.name()
                # Ends a frozen process as well: SIGKILL waits for no SIGCONT.
                process.kill()
            except psutil.Error:
                continue
            ended.append(f"process {process.pid} ({name})")
        deadline = time.monotonic() + DEATH_TIMEOUT_S
        # Zombies count as ended: an orphan waits for the system's first process to take notice, which may take its time.
        while any(_runs(process) for process in living) and time.monotonic() < deadline:
            psutil.wait_procs(living, timeout=DEATH_POLL_S)
    return ended


def _living(run: StaleRun) -> tuple[psutil.Process, ...]:
    """Return the run's processes that still live: those written down, their children, and the bearers of its token."""
    found: dict[int, psutil.Process] = {}
    for mark in run.processes:
        root = mark.process()
        if root is None:
            continue
        found[root.pid] = root
        try:
            found |= {child.pid: child for child in root.children(recursive=True)}
        except psutil.Error:
            continue
    ours = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for process in psutil.process_iter():
        if process.pid not in ours and run.token and _token_of(process) == run.token:
            found[process.pid] = process
    return tuple(process for process in found.values() if _runs(process))


def _token_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(TOKEN_VARIABLE)
    except (psutil.Error, OSError):
        return None


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
