"""Runs on the workers of a Dask engine, one at a time on each, and none of them ever twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Condition
from typing import Any, Protocol, cast

from harness.errors import InfrastructureError
from harness.scale.actor_handle import DaskWorker, DaskWorkerLostError
from harness.scale.packing import most_bytes
from harness.scale.remote_run import Done, Order

POLL_S = 0.5
"""How long one look at a run waits for its end; an interrupt reaches it that late."""


class Asked(Protocol):
    """An errand on a Dask worker."""

    def ask(self, method: str, *arguments: Any) -> Any:
        """Call one of its methods. Raises WorkerLostError."""


class Farm:
    """Hands runs to the Dask workers that are free. Safe to use from several threads."""

    def __init__(self, workers: Sequence[DaskWorker], send: Callable[[DaskWorker], Asked]) -> None:
        """Use these workers, each until it is lost. `send` puts an errand on one; it raises WorkerLostError."""
        self._send = send
        self._free = list(workers)
        self._living = set(self._free)
        self._changed = Condition()
        self._ending = False

    @property
    def living(self) -> int:
        """How many workers have not been lost."""
        return len(self._living)

    @property
    def ending(self) -> bool:
        """Whether the runs were interrupted."""
        return self._ending

    def run(self, order: Order, archive: Path) -> Done | None:
        """Do a run on a free worker, once there is one, and bring what it left into a file; None if everything is ending.

        Raises WorkerLostError where its worker is lost before the run's end, or none is left; InfrastructureError where the run
        could not be started there.
        """
        with self._worker() as worker:
            return None if worker is None else self._run_on(worker, order, archive)

    def interrupt(self) -> None:
        """Let no further run begin, and interrupt those that are under way."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()

    @contextmanager
    def _worker(self) -> Iterator[DaskWorker | None]:
        with self._changed:
            self._changed.wait_for(lambda: self._free or self._ending or not self._living)
            if not self._ending and not self._living:
                raise DaskWorkerLostError("all Dask workers were lost, so this run was not begun")
            worker = None if self._ending else self._free.pop()
        try:
            yield worker
        finally:
            with self._changed:
                if worker in self._living:
                    self._free.append(worker)
                self._changed.notify_all()

    def _run_on(self, worker: DaskWorker, order: Order, archive: Path) -> Done:
        try:
            errand = self._send(worker)
            problem = errand.ask("start", errand.ask("identity"), order)
            told, seen = False, None
            while problem is None and seen is None:
                seen = cast("Done | str | None", errand.ask("poll", POLL_S))
                if self._ending and not told:
                    errand.ask("interrupt")
                    told = True
        except DaskWorkerLostError:
            self._living.discard(worker)
            raise
        if not isinstance(seen, Done):
            raise InfrastructureError(f"{worker} could not do the run: {problem or seen}")
        return replace(seen, problem=seen.problem or self._fetch(worker, errand, seen.size, archive))

    def _fetch(self, worker: DaskWorker, errand: Asked, size: int, archive: Path) -> str | None:
        """Bring what a run left here; returns what went wrong, which takes nothing from the run's verdict."""
        try:
            if size > (most := most_bytes(archive.parent)):
                return f"what the run left has {size:,} bytes packed, more than {most:,}, half of what is free on the disk of {archive.parent}"
            with archive.open("wb") as file:
                while file.tell() < size:
                    piece = cast("bytes", errand.ask("piece", file.tell()))
                    if not piece:
                        return f"{worker} has only {file.tell():,} of the {size:,} bytes that the run left"
                    file.write(piece)
        except DaskWorkerLostError:
            self._living.discard(worker)
            return f"{worker} was lost before what the run left was fetched"
        except OSError as error:
            return f"{archive} cannot be written: {error.strerror or error}"
        return None
