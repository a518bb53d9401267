"""A Dask actor that this command holds: what is asked of it is answered in bounded time, or its worker counts as lost."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any, cast

from distributed import Actor, Client, Future
from distributed.actor import BaseActorFuture

from harness.errors import InfrastructureError

CALL_TIMEOUT_S = 30.0
"""How long a worker may take to answer before it counts as lost."""
LOOK_S = 0.5
"""How often to look whether a worker that has not answered yet is still there: Dask would wait for one in its place."""
LOST = (OSError, RuntimeError, ValueError, KeyError, asyncio.CancelledError)
"""What Dask raises for an actor whose worker is gone, or does not answer; a TimeoutError is an OSError."""


class DaskWorkerLostError(InfrastructureError):
    """A Dask worker is gone, or does not answer."""

    def __init__(self, message: str, *, reason: str = "") -> None:
        self.reason = reason
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class DaskWorker:
    """A Dask worker."""

    name: str
    address: str

    def __str__(self) -> str:
        """Name it in a sentence."""
        return f"the Dask worker {self.name} ({self.address})"


class ActorHandle:
    """An actor on a Dask worker. When nobody holds it any more, this command's end included, Dask lets go of it."""

    def __init__(self, client: Client, worker: DaskWorker, kind: type) -> None:
        """Make it. Raises WorkerLostError."""
        self._future: Future[Any] = client.submit(
            kind, actor=True, workers=[worker.address], allow_other_workers=False, pure=False
        )
        try:
            self._actor = cast("Actor", self._future.result(CALL_TIMEOUT_S))
        except LOST as error:
            reason = str(error) or type(error).__name__
            raise DaskWorkerLostError(
                f"{worker} takes no runs: {reason}", reason=f"it takes no runs: {reason}"
            ) from error
        self._worker = worker

    def ask(self, method: str, *arguments: Any) -> Any:
        """Call a method and return its result. Raises WorkerLostError, never what Dask makes of it."""
        deadline = time.monotonic() + CALL_TIMEOUT_S
        try:
            answer: BaseActorFuture[Any] = getattr(self._actor, method)(*arguments)
            while True:
                try:
                    return answer.result(LOOK_S)
                except TimeoutError:
                    if self._future.status != "finished" or time.monotonic() > deadline:
                        raise
        except LOST as error:
            waited = isinstance(error, TimeoutError) and self._future.status == "finished"
            reason = f"no answer within {CALL_TIMEOUT_S:g} s" if waited else "it is gone"
            raise DaskWorkerLostError(
                f"{self._worker} was lost in the middle of the run: {reason}", reason=reason
            ) from error
