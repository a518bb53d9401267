"""Publishers and workers that are started before there is anything for them to do: while a broker boots, the harness only waits."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock

from harness.interrupts import shielded

MOST = 8
"""Processes that wait at most: more of them would be in the way of the broker's boot."""


class Standby:
    """Starts processes that are told on their standard input what to be. Any thread may call it."""

    def __init__(self, started: Callable[[int], None] = lambda _pid: None) -> None:
        """Start nothing yet; `started` is told of each process before anything can interrupt."""
        self._started = started
        self._waiting: list[tuple[subprocess.Popen[bytes], Path]] = []
        self._lock = Lock()

    def fill(self, folder: Path, processes: int) -> None:
        """Have so many processes wait, MOST at most; what they say goes to the folder, which is made."""
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(1, min(processes, MOST) + 1):
            errors = folder / f"standby-{number}.stderr"
            with shielded():
                self._waiting.append((self._start(errors), errors))

    def take(self, errors: Path) -> subprocess.Popen[bytes]:
        """Give one that waits, or start one; its standard error goes to `errors`. Whoever takes it sees to its end."""
        with self._lock:
            while self._waiting:
                process, said = self._waiting.pop(0)
                if process.poll() is None:
                    said.rename(errors)
                    return process
                _end(process, said)
        return self._start(errors)

    def close(self) -> None:
        """End those that nobody took."""
        with self._lock:
            while self._waiting:
                _end(*self._waiting.pop())

    def _start(self, errors: Path) -> subprocess.Popen[bytes]:
        with errors.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "harness.traffic.process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
            )
        self._started(process.pid)
        return process


def _end(process: subprocess.Popen[bytes], said: Path) -> None:
    process.kill()
    process.wait()
    close_pipe(process)
    said.unlink(missing_ok=True)


def close_pipe(process: subprocess.Popen[bytes]) -> None:
    """Close the pipe to a process that has ended."""
    assert process.stdin is not None  # noqa: S101 - every traffic process has a pipe
    with suppress(BrokenPipeError):
        process.stdin.close()
