"""A host that is another machine: what the engine asks of it goes to the agent there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import numpy as np
from distributed import Actor, Future
from distributed.actor import BaseActorFuture

from harness.engine.counters import ActorCounters
from harness.engine.host import Gathered, HostLoad, HostLostError, Seen
from harness.errors import InfrastructureError
from harness.history.records import LogHeader
from harness.history.shipping import PART_RECORDS, unpack, write_log
from harness.scale.agent import Answer, Method
from harness.scale.clock import Reading, error_ns, read_clock, to_here
from harness.traffic.spec import PublisherSpec, WorkerSpec

CALL_TIMEOUT_S = 30.0
"""How long a machine may take to answer before it counts as lost."""
LOOK_AGAIN_S = 0.5
"""How often to ask, while an answer is waited for, whether the machine is still there."""
_LOST = (OSError, RuntimeError, ValueError, KeyError, asyncio.CancelledError)
"""What Dask raises for an actor whose worker is gone, or does not answer."""


class RemoteHost:
    """Publishers and workers on another machine; see harness.engine.host.Host."""

    def __init__(self, name: str, placed: Future[Any], logs: Path) -> None:
        """Wait for the agent that was placed there, and look at its clock. Raises HostLostError.

        `logs` is where its processes' logs come to lie in the end.
        """
        self.name = name
        self._placed = placed
        try:
            self._agent: Actor = placed.result(CALL_TIMEOUT_S)
        except _LOST as error:
            raise HostLostError(name, f"it takes no publishers and workers: {error or type(error).__name__}") from error
        self._target = logs
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
        logs = cast("dict[str, tuple[LogHeader, int]]", self._call("logs"))
        for process, (header, count) in logs.items():
            write_log(self._target / f"{process}.log", header, self._parts(process, count, readings))
        records = sum(count for _, count in logs.values())
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
        deadline = time.monotonic() + CALL_TIMEOUT_S
        try:
            future: BaseActorFuture[Any] = getattr(self._agent, method)(*arguments)
            while True:
                try:
                    return future.result(LOOK_AGAIN_S)
                except TimeoutError:
                    # A call that was under way when its worker died may never come back.
                    if self._placed.status != "finished" or time.monotonic() > deadline:
                        raise
        except _LOST as error:
            waited = isinstance(error, TimeoutError) and self._placed.status == "finished"
            reason = f"no answer within {CALL_TIMEOUT_S:g} s" if waited else "its Dask worker is gone"
            raise HostLostError(self.name, reason) from error

    def _call(self, method: Method, *arguments: Any) -> Any:
        outcome, result = cast("Answer", self._answer("call", method, *arguments))
        if outcome == "failed":
            raise InfrastructureError(f"on the machine {self.name}: {result}")
        return result
