"""What runs on a machine of the engine for a run that is farmed out: a Dask actor that starts its supervisor and hands over what it left."""

from __future__ import annotations

import json
import os
import secrets
import selectors
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from distributed import get_worker

from harness.scale import run_supervisor
from harness.scale.run_supervisor import Ended

PROGRAM = (sys.executable, "-m", "harness")
SCENARIO = "scenario.yaml"
PIECE_BYTES = 8 << 20
NOT_PASSED_ON = ("GITHUB_STEP_SUMMARY", "GITHUB_ACTIONS", "CHAOS_SCHEDULER", "CHAOS_BROKER", "CHAOS_REPORTS")
"""Variables of the Dask worker that would change a run: what they mean is for whoever asked for it to say."""


@dataclass(frozen=True, slots=True)
class Order:
    """A run to be done elsewhere."""

    text: str
    """Of the scenario's file."""
    arguments: tuple[str, ...]
    """Of `chaos run`, without the file and the reports' folder."""
    environment: Mapping[str, str] = field(repr=False)
    """Variables, one of which may hold a password, beside those that the Dask worker has."""


@dataclass(frozen=True, slots=True)
class Done:
    """A run that has ended there, and what it printed."""

    code: int
    output: str
    errors: str
    size: int
    """Of the archive with what it left; bytes."""
    problem: str | None
    """Why there is no archive."""


class RemoteRun:
    """One run on this machine. Dask runs its methods one at a time, and none takes long.

    It ends with whoever holds it: Dask lets go of it then, its supervisor's standard input closes, and the supervisor ends the run.
    """

    def __init__(self) -> None:
        """Start nothing: Dask may make an actor again on a worker that comes back, and a run must not be repeated."""
        self._identity = secrets.token_hex(8)
        self._place = place()
        self._kept: _Kept | None = None

    def identity(self) -> str:
        """Tell this actor from one that Dask makes in its place."""
        return self._identity

    def start(self, identity: str, order: Order) -> str | None:
        """Start the run, of the actor that this is; returns what went wrong."""
        if identity != self._identity or self._kept is not None:
            return "it was restarted"
        try:
            self._kept = _start(self._place, order)
        except OSError as error:
            return f"{error.strerror or error}" + (f" ({error.filename})" if error.filename else "")
        weakref.finalize(self, self._kept.close)
        return None

    def poll(self, wait_s: float) -> Done | str | None:
        """Return how the run ended, None if it has not within `wait_s` seconds, or why that cannot be known."""
        kept = self._run
        with selectors.DefaultSelector() as selector:
            selector.register(kept.output, selectors.EVENT_READ)
            if not selector.select(wait_s):
                return None
        line = kept.output.readline()
        if not line:
            return "its supervisor ended before it"
        ended = Ended(**json.loads(line))
        try:
            output, errors = kept.read(run_supervisor.OUTPUT), kept.read(run_supervisor.ERRORS)
        except OSError as error:
            return f"what it printed cannot be read: {error}"
        return Done(ended.code, output, errors, ended.size, ended.problem)

    def interrupt(self) -> None:
        """Interrupt the run."""
        try:
            self._run.input.write(b"interrupt\n")
            self._run.input.flush()
        except BrokenPipeError:  # the supervisor is gone, which poll tells
            return

    def piece(self, offset: int) -> bytes:
        """Return some of what the run left, packed, from a byte on."""
        with (self._run.folder / run_supervisor.ARCHIVE).open("rb") as file:
            file.seek(offset)
            found = file.read(PIECE_BYTES)
        if not found:
            raise OSError(f"there is nothing at {offset}")
        return found

    @property
    def _run(self) -> _Kept:
        assert self._kept is not None  # noqa: S101 - it was started
        return self._kept


@dataclass(frozen=True, slots=True)
class _Kept:
    """A run's folder, and both ends of its supervisor."""

    folder: Path
    input: IO[bytes]
    output: IO[bytes]
    process: subprocess.Popen[bytes]
    """Kept as long as this is: subprocess complains about one that is dropped while it runs."""

    def read(self, name: str) -> str:
        return (self.folder / name).read_text(encoding="utf-8", errors="backslashreplace")

    def close(self) -> None:
        """Let the supervisor end."""
        try:
            self.input.close()
        except BrokenPipeError:
            return


def place() -> Path:
    """Return the folder that Dask keeps this worker's files in."""
    return Path(get_worker().local_directory)


def _start(where: Path, order: Order) -> _Kept:
    """Start a supervisor with a folder of its own. Raises OSError."""
    folder = Path(tempfile.mkdtemp(prefix="chaos-", dir=where))
    (folder / SCENARIO).write_text(order.text, encoding="utf-8")
    run = [*PROGRAM, "run", *order.arguments, "--reports", run_supervisor.REPORTS, "--", SCENARIO]
    environment = {name: value for name, value in os.environ.items() if name not in NOT_PASSED_ON}
    popen = subprocess.Popen(
        [sys.executable, "-m", run_supervisor.__name__, str(folder), *run],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment | dict(order.environment),
        start_new_session=True,
    )
    assert popen.stdin is not None  # noqa: S101 - a pipe
    assert popen.stdout is not None  # noqa: S101 - the same
    return _Kept(folder, popen.stdin, popen.stdout, popen)
