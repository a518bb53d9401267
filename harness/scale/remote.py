"""A host that is another machine: what the engine asks of it goes to the agent there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import numpy as np
from distributed import Client

from harness.engine.counters import ActorCounters
from harness.engine.host import Gathered, HostLoad, HostLostError, Seen
from harness.errors import InfrastructureError
from harness.history.shipping import PART_RECORDS, Cargo, unpack, write_log
from harness.scale.actor_handle import ActorHandle, DaskWorker, DaskWorkerLostError
from harness.scale.agent import Agent, Answer, Method
from harness.scale.clock import Reading, error_ns, read_clock, to_here
from harness.traffic.spec import PublisherSpec, WorkerSpec


class RemoteHost:
    """Publishers and workers on another machine; see harness.engine.host.Host."""

    def __init__(self, client: Client, worker: DaskWorker, logs: Path) -> None:
        """Place an agent there, and look at its clock. Raises HostLostError.

        `logs` is where its processes' logs come to lie in the end.
        """
        self.name = worker.name
        self._target = logs
        with self._or_lost():
            self._agent = ActorHandle(client, worker, Agent)
            self._identity = self._agent.ask("identity")
        self._first_reading = self._clock()

    # What the engine asks.

    def start(self, process: str, spec: PublisherSpec | WorkerSpec, earlier: tuple[str, ...]) -> int:
        """Start a process."""
        return cast("int", self._call("start", process, spec, earlier))

    def command(self, process: str, line: str) -> None:
        """Write a command."""
        self._call("command", process, line)

    def freeze(self, process: str) -> ActorCounters | None:
        """Freeze and count."""
        return cast("ActorCounters | None", self._call("freeze", process))

    def thaw(self, process: str) -> None:
        """SIGCONT."""
        self._call("thaw", process)

    def kill(self, process: str) -> None:
        """SIGKILL, and wait."""
        self._call("kill", process)

    def look(self) -> dict[str, Seen]:
        """Look at every process."""
        return cast("dict[str, Seen]", self._call("look"))

    def last_error(self, process: str) -> str:
        """Return the last line of its standard error."""
        return cast("str", self._call("last_error", process))

    def load(self) -> HostLoad:
        """Tell who took the processors so far."""
        return cast("HostLoad", self._call("load"))

    def gather(self) -> Gathered | None:
        """Bring the logs here, with the times of this machine's clock."""
        readings = (self._first_reading, self._clock())
        logs = cast("dict[str, Cargo]", self._call("logs"))
        for process, cargo in logs.items():
            write_log(self._target / f"{process}.log", cargo, self._parts(process, cargo.records, readings))
        records = sum(cargo.records for cargo in logs.values())
        return Gathered(self.name, self._first_reading.offset_ns, error_ns(readings), records)

    def close(self) -> None:
        """End what still runs there; on a machine that is lost, the agent's end has ended it."""
        with suppress(HostLostError):
            self._call("close")

    # What a spread asks before.

    def machine(self) -> str:
        """Tell the machine from every other."""
        return cast("str", self._answer("machine"))

    def reach(self, addresses: tuple[tuple[str, int], ...]) -> str | None:
        """Return why the machine does not reach the broker, None if it does."""
        return cast("str | None", self._call("reach", addresses))

    def _parts(self, process: str, count: int, readings: tuple[Reading, ...]) -> Iterator[np.ndarray]:
        for first in range(0, count, PART_RECORDS):
            records = unpack(cast("bytes", self._call("part", process, first)))
            records["at_ns"] = to_here(records["at_ns"], readings)
            yield records

    def _clock(self) -> Reading:
        return read_clock(lambda: cast("int", self._answer("clock")))

    def _answer(self, method: str, *arguments: Any) -> Any:
        with self._or_lost():
            return self._agent.ask(method, *arguments)

    @contextmanager
    def _or_lost(self) -> Iterator[None]:
        try:
            yield
        except DaskWorkerLostError as error:
            raise HostLostError(self.name, error.reason) from error

    def _call(self, method: Method, *arguments: Any) -> Any:
        outcome, result = cast("Answer", self._answer("call", self._identity, method, *arguments))
        if outcome == "failed":
            raise InfrastructureError(f"on the machine {self.name}: {result}")
        return result
