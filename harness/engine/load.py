"""Who takes the machine's processors while the publishers publish."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

import psutil

from harness.events import LoadMeasured

EVERY_S = 0.25
COSTS_AT_MOST = 0.02
"""Share of its time that the looking may take, where there are many processes."""


class LoadMeter:
    """Looks at the processes from its making on, on a thread of its own, and sums up what each took until it is asked."""

    def __init__(self, living: Callable[[], Mapping[str, int]]) -> None:
        """`living` names the processes that run now, with their process numbers."""
        self._living = living
        self._taken: dict[tuple[str, int], float] = {}
        self._over = threading.Event()
        self._began = time.monotonic()
        self._machine_s, self._harness_s = _machine_s(), time.process_time()
        self._before: dict[tuple[str, int], float] = {}
        self.look()
        self._before = dict(self._taken)
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        """Return itself; leaving ends the looking."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the looking."""
        self._over.set()

    @property
    def over(self) -> bool:
        """Whether it has been asked."""
        return self._over.is_set()

    def measured(self, variant: str) -> LoadMeasured:
        """End the looking, and say what was seen."""
        self._over.set()
        self._thread.join()
        self.look()
        actors: dict[str, float] = {}
        for (actor, pid), seconds in self._taken.items():
            actors[actor] = actors.get(actor, 0.0) + seconds - self._before.get((actor, pid), 0.0)
        return LoadMeasured(
            at_ns=time.monotonic_ns(),
            variant=variant,
            span_s=time.monotonic() - self._began,
            processors=psutil.cpu_count() or 1,
            machine_s=_machine_s() - self._machine_s,
            harness_s=time.process_time() - self._harness_s,
            actors_s=actors,
        )

    def _go_on(self) -> None:
        rest_s = EVERY_S
        while not self._over.wait(rest_s):
            began = time.monotonic()
            self.look()
            rest_s = max(EVERY_S, (time.monotonic() - began) / COSTS_AT_MOST)

    def look(self) -> None:
        """Look once; the thread does so four times a second."""
        for actor, pid in self._living().items():
            try:
                times = psutil.Process(pid).cpu_times()
            except psutil.Error:  # it ended meanwhile
                continue
            self._taken[actor, pid] = times.user + times.system


def _machine_s() -> float:
    times = psutil.cpu_times()._asdict()
    idle = ("idle", "iowait", "guest", "guest_nice")  # what guests take is in user and nice already
    return float(sum(seconds for kind, seconds in times.items() if kind not in idle))
