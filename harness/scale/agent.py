"""What runs on a machine of the engine: a Dask actor that keeps the publishers and workers of one variant's run."""

from __future__ import annotations

import secrets
import shutil
import socket
import tempfile
import time
import weakref
from pathlib import Path
from typing import Any, Literal

from distributed import get_worker

from harness.engine.host import LocalHost, machine_id
from harness.errors import ChaosError
from harness.history.read import Log, read_log
from harness.history.shipping import PART_RECORDS, Cargo, pack

REACH_TIMEOUT_S = 5.0

Method = Literal[
    "start", "command", "freeze", "thaw", "kill", "look", "last_error", "load", "reach", "logs", "part", "close"
]
Answer = tuple[Literal["done", "failed"], Any]
"""What a call came to: its result, or one sentence. So what Dask itself raises is always the loss of the machine."""


class Agent:
    """Publishers and workers on this machine. Dask runs its methods one at a time.

    It ends with whoever holds it: when the command that made it is gone, Dask lets go of it, and what it started is killed.
    """

    def __init__(self) -> None:
        """Make a folder for the logs where Dask keeps its own files."""
        self._folder = Path(tempfile.mkdtemp(prefix="chaos-", dir=get_worker().local_directory))
        self._host = LocalHost(self._folder)
        self._identity = secrets.token_hex(8)
        self._logs: dict[str, Log] = {}
        self._end = weakref.finalize(self, _end, self._host, self._folder)

    def identity(self) -> str:
        """Tell this actor from one that Dask makes in its place, which knows of nothing."""
        return self._identity

    def clock(self) -> int:
        """Return this machine's time.monotonic_ns()."""
        return time.monotonic_ns()

    def machine(self) -> str:
        """Tell this machine from every other."""
        return machine_id()

    def call(self, identity: str, method: Method, *arguments: Any) -> Answer:
        """Call a method of this, or of the host that it keeps. Raises KeyError, which no method does, where another was meant."""
        if identity != self._identity:
            raise KeyError(identity)
        owner = self if method in ("reach", "logs", "part", "close") else self._host
        try:
            return "done", getattr(owner, method)(*arguments)
        except ChaosError as error:
            return "failed", str(error)
        except OSError as error:
            place = f" ({error.filename})" if error.filename else ""
            return "failed", f"{error.strerror or error}{place}"

    def reach(self, addresses: tuple[tuple[str, int], ...]) -> str | None:
        """Connect to each address of the broker; returns what went wrong with the first that cannot be reached."""
        for host, port in addresses:
            try:
                socket.create_connection((host, port), REACH_TIMEOUT_S).close()
            except OSError as error:
                return f"{host}:{port}: {error.strerror or error}"
        return None

    def logs(self) -> dict[str, Cargo]:
        """Return what each process's log is; for when all have ended."""
        begun = (path for path in sorted(self._folder.glob("*.log")) if path.stat().st_size)
        self._logs = {path.stem: read_log(path) for path in begun}
        return {process: Cargo(log.header, len(log.records), log.texts.last) for process, log in self._logs.items()}

    def part(self, process: str, first: int) -> bytes:
        """Return a part of a process's records, from number `first` on, as Parquet."""
        log = self._logs[process]
        packed = pack(log.records[first : first + PART_RECORDS])
        log.release()
        return packed

    def close(self) -> None:
        """Kill what still runs and remove what was written."""
        self._logs = {}
        self._end()


def _end(host: LocalHost, folder: Path) -> None:
    host.close()
    shutil.rmtree(folder, ignore_errors=True)
