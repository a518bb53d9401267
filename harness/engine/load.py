"""Who takes the machines' processors while the publishers publish."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import psutil

from harness.engine.background import Background
from harness.engine.host import HostLoad, machine_id, machine_s
from harness.engine.realtime import take_realtime_priority
from harness.events import LoadMeasured

EVERY_S = 0.25
COSTS_AT_MOST = 0.02
"""Share of its time that the looking may take, where there are many processes."""


@dataclass(slots=True)
class _Taken:
    """Processor seconds at the first look and at the last one."""

    first: float
    last: float
    processors: int = 0


class LoadMeter:
    """Looks at the hosts from its making on, on a thread of its own, and sums up what each process took until it is asked."""

    def __init__(self, hosts: Callable[[], Sequence[HostLoad]]) -> None:
        """`hosts` asks each host who took its processors so far."""
        self._hosts = hosts
        self._processes: dict[tuple[str, str], _Taken] = {}
        self._machines: dict[str, _Taken] = {}
        self._over = threading.Event()
        self._began = time.monotonic()
        self._harness_s = time.process_time()
        self.look(from_zero=False)
        self._looking = Background(self._go_on, "load")

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
        self._looking.wait()
        self.look()
        span_s = time.monotonic() - self._began
        actors: dict[str, float] = {}
        for (_, process), taken in self._processes.items():
            actor = process.rpartition(".")[0]
            actors[actor] = actors.get(actor, 0.0) + taken.last - taken.first
        machines = self._machines.values()
        return LoadMeasured(
            at_ns=time.monotonic_ns(),
            variant=variant,
            span_s=span_s,
            processors=sum(each.processors for each in machines),
            machine_s=sum(each.last - each.first for each in machines),
            harness_s=time.process_time() - self._harness_s,
            actors_s=actors,
            busiest_machine=min(1.0, max((each.last - each.first) / each.processors for each in machines) / span_s),
        )

    def _go_on(self) -> None:
        take_realtime_priority()
        rest_s = EVERY_S
        while not self._over.wait(rest_s):
            began = time.monotonic()
            self.look()
            rest_s = max(EVERY_S, (time.monotonic() - began) / COSTS_AT_MOST)

    def look(self, *, from_zero: bool = True) -> None:
        """Look once, as the thread does four times a second; a process that appears later took nothing before."""
        here = HostLoad(machine_id(), psutil.cpu_count() or 1, machine_s(), {})
        for host in (here, *self._hosts()):
            machine = self._machines.setdefault(host.machine, _Taken(host.machine_s, 0.0, host.processors))
            machine.last = host.machine_s
            for process, seconds in host.processes_s.items():
                first = 0.0 if from_zero else seconds
                self._processes.setdefault((host.machine, process), _Taken(first, seconds)).last = seconds
