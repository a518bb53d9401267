"""A real Dask engine on 127.0.0.1: a scheduler and workers, each a process of its own, ended with SIGKILL."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from tests.integration.stage import wait_until

DASK = str(Path(sys.executable).with_name("dask"))
HERE = ("--host", "127.0.0.1", "--no-dashboard")
LATE_S = 5000
IN_ANOTHER_TIME = ("unshare", "--time", "--monotonic", str(LATE_S), "--boottime", str(LATE_S), "--fork", "--kill-child")
"""Runs a command where time.monotonic() shows 5000 s more, as on another machine that was started earlier."""


def another_time_can_be_had() -> bool:
    """Whether this machine lets us make a time namespace."""
    return subprocess.run([*IN_ANOTHER_TIME, "true"], capture_output=True, check=False).returncode == 0


class DaskEngine:
    """A scheduler; workers as they are added."""

    def __init__(self, folder: Path) -> None:
        """Start the scheduler."""
        self.folder = folder
        self._about = folder / "scheduler.json"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._start("scheduler", [DASK, "scheduler", *HERE, "--port", "0", "--scheduler-file", str(self._about)])
        wait_until(lambda: self._about.exists() and self._about.read_text().strip().endswith("}"), "the scheduler")
        self.address: str = json.loads(self._about.read_text())["address"]

    def add(self, name: str, *, within: Sequence[str] = ()) -> None:
        """Start a worker; returns when the scheduler knows it."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        options = ("--nthreads", "1", "--no-nanny", "--name", name, "--local-directory", str(folder))
        self._start(name, [*within, DASK, "worker", self.address, *HERE, *options])
        wait_until(lambda: b"Registered to" in (self.folder / f"{name}.out").read_bytes(), f"the Dask worker {name}")

    def _start(self, name: str, command: list[str]) -> None:
        out: IO[bytes]
        with (self.folder / f"{name}.out").open("wb") as out:
            self._processes[name] = subprocess.Popen(
                command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True
            )

    def kill(self, name: str) -> None:
        """SIGKILL a worker: the machine is gone."""
        process = self._processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def leftovers(self) -> list[str]:
        """What agents have left on the workers' disks."""
        return [str(path) for path in self.folder.glob("*/dask-scratch-space/*/chaos-*")]

    def close(self) -> None:
        """End everything."""
        for name in reversed(list(self._processes)):
            self.kill(name)
