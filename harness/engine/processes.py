"""Supervision of the publishers and workers: start, kill, freeze, stop, restart, and telling why each ended."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle
from typing import Literal

from harness.effects import Becomes
from harness.engine import plan as planning
from harness.engine.counters import ActorCounters, Totals
from harness.engine.host import Host, HostLoad, HostLostError, Seen
from harness.engine.plan import ActorPlan, RunSettings
from harness.engine.realtime import take_realtime_priority
from harness.events import (
    Event,
    HostGathered,
    HostLost,
    ProcessExited,
    ProcessPaused,
    ProcessResumed,
    ProcessStarted,
    Role,
)
from harness.faults.context import Holding
from harness.scenario.scenario import Scenario
from harness.scenario.traffic import Publishers, Workers
from harness.traffic.spec import CRASH_EXIT_CODE

STOP_GRACE_S = 15.0
"""How long an orderly stop may take before it is ended with SIGKILL (and said so)."""
STOP_POLL_S = 0.005

_FREEZING = (Becomes.FROZEN, Becomes.THAWED)

Cause = Literal["stop", "fault", "crash", "finished", "unexpected"]


@dataclass(slots=True)
class _Incarnation:
    number: int
    process: str
    """What its host calls it."""
    counters: ActorCounters = field(default_factory=ActorCounters)
    """As last seen."""
    paused: bool = False
    exit_code: int | None = None
    cause: Cause | None = None
    """Set before a wanted end; None means that nobody asked for it."""
    fault: int | None = None


@dataclass(slots=True)
class _Actor:
    plan: ActorPlan
    host: Host
    incarnations: list[_Incarnation] = field(default_factory=list)
    starting: bool = False
    """Whether its next incarnation is being made just now."""
    back_at: float | None = None
    """When to start the next incarnation after a crash on a poison message (time.monotonic)."""
    acting: threading.RLock = field(default_factory=threading.RLock)
    """Held by whoever starts, freezes or ends it: one at a time."""

    @property
    def current(self) -> _Incarnation | None:
        """The living incarnation, if there is one."""
        if self.incarnations and self.incarnations[-1].exit_code is None:
            return self.incarnations[-1]
        return None


class Processes:
    """All publishers and workers of one variant's run, spread evenly over its hosts. Faults call it from other threads.

    What takes its time (making a process, freezing it, waiting for its end) is done with the actor locked, and never with the
    registry locked: counters are read all the while.
    """

    def __init__(
        self,
        scenario: Scenario,
        session: RunSettings,
        hosts: Sequence[Host],
        *,
        emit: Callable[[Event], None],
        variant: str,
    ) -> None:
        """Prepare; nothing is started."""
        self._scenario = scenario
        self._session = session
        self._hosts = tuple(hosts)
        self._next_host: dict[Role, Callable[[], Host]] = {
            "publisher": cycle(self._hosts).__next__,
            "worker": cycle(reversed(self._hosts)).__next__,  # a single publisher and a single worker are apart
        }
        self._emit = emit
        self._variant = variant
        self._lock = threading.RLock()
        self._looking = {host: threading.Lock() for host in self._hosts}
        self._scaling = threading.Lock()
        self._threads = ThreadPoolExecutor(
            max_workers=max(4, len(self._hosts)), thread_name_prefix="processes", initializer=take_realtime_priority
        )
        self._coming_back: list[Future[None]] = []
        self._actors: dict[str, _Actor] = {}
        self._failures: list[str] = []
        self._lost: set[Host] = set()
        self._gathered: set[Host] = set()
        self._copies = {group.name: scenario.copies_each(group) for group in scenario.publishers}
        """By group of publishers."""
        self._released = False
        self._next_worker = 1
        self._published_enough: set[str] = set()
        """Groups of publishers whose time is over: those that come back only finish what was begun."""
        self.ending = False
        """Set when the run ends: nothing is restarted any more."""

    # Starting.

    def add(self, plans: tuple[ActorPlan, ...]) -> None:
        """Start the first incarnation of each plan."""
        with self._lock:
            added = [self._add(plan) for plan in plans]
        for actor in added:
            self._start(actor)

    def _add(self, plan: ActorPlan) -> _Actor:
        actor = self._actors[plan.actor] = _Actor(plan, self._next_host[plan.role](), starting=True)
        if plan.role == "worker":
            self._next_worker = max(self._next_worker, plan.number + 1)
        return actor

    def release(self) -> None:
        """Let the publishers publish; later incarnations are released at once."""
        with self._lock:
            self._released = True
            for actor in self._of("publisher"):
                self._command(actor, "go")

    def start(self, actor: str) -> None:
        """Start the next incarnation of an actor that ended; no error when it runs or the run is ending."""
        self._start(self._actors[actor])

    def _start(self, actor: _Actor) -> None:
        with actor.acting:
            with self._lock:
                actor.starting = actor.current is None and not self.ending
                actor.back_at = None
                if not actor.starting:
                    return
                earlier = tuple(past.process for past in actor.incarnations)
            number = len(earlier) + 1
            process = f"{actor.plan.actor}.{number}"
            try:
                spec = planning.spec(actor.plan, self._scenario, self._session, incarnation=number)
                pid = actor.host.start(process, spec, earlier)
            except BaseException:
                with self._lock:
                    actor.starting = False
                raise
            with self._lock:
                actor.incarnations.append(_Incarnation(number, process))
                actor.starting = False
                self._emit(
                    ProcessStarted(
                        at_ns=time.monotonic_ns(),
                        variant=self._variant,
                        role=actor.plan.role,
                        actor=actor.plan.actor,
                        incarnation=number,
                        pid=pid,
                        host=actor.host.name,
                    )
                )
                if actor.plan.role == "publisher" and self._released:
                    self._command(actor, "go")
                    if actor.plan.group.name in self._published_enough:
                        self._command(actor, "enough")

    # What faults do.

    def living(self, role: Role) -> tuple[str, ...]:
        """Names of the actors that run now, paused ones included."""
        with self._lock:
            return tuple(actor.plan.actor for actor in self._of(role) if actor.current is not None)

    def paused(self, role: Role) -> tuple[str, ...]:
        """Names of the living ones that are paused."""
        with self._lock:
            return tuple(each.plan.actor for each in self._of(role) if each.current is not None and each.current.paused)

    def kill(self, actor: str, fault: int) -> None:
        """SIGKILL; returns when the process is gone."""
        found = self._actors[actor]
        with found.acting:
            self._kill(found, fault)

    def strike_if_holding(self, actor: str, fault: int, becomes: Becomes) -> Holding | None:
        """Freeze, look, and strike it only if it holds something; else leave it as it was, and return None."""
        found = self._actors[actor]
        with found.acting:
            current = found.current
            if current is None or (becomes in _FREEZING and current.paused is (becomes is Becomes.FROZEN)):
                return None  # it has ended, or is already what it would become
            held = self._held_when_frozen(found, current)
            if not held:
                if not current.paused:
                    found.host.thaw(current.process)
                return None
            match becomes:
                case Becomes.KILLED:
                    self._kill(found, fault)
                case Becomes.FROZEN:
                    self._note_paused(found, current)
                case Becomes.THAWED:
                    self._thaw(found, current)
                case Becomes.STOPPED:
                    self._order_to_stop(found, current, "fault", fault)
                    if not current.paused:
                        found.host.thaw(current.process)
        return Holding(held, self._await_stop(found, current) if becomes is Becomes.STOPPED else None)

    def _held_when_frozen(self, actor: _Actor, current: _Incarnation) -> int:
        """Freeze it, unless it is, and return what it holds: deliveries not completed, or publishes not settled; 0 if it has ended."""
        if current.paused:
            self._look_at(actor.host)
            counters: ActorCounters | None = current.counters
        else:
            counters = actor.host.freeze(current.process)
        if counters is None:
            return 0
        return counters.unsettled if actor.plan.role == "publisher" else counters.uncompleted

    def _kill(self, actor: _Actor, fault: int | None = None) -> None:
        """Kill an actor that is locked; without a fault, its end keeps the cause that it was given before."""
        with self._lock:
            current = actor.current
            if current is None:
                return
            if fault is not None:
                current.cause, current.fault = "fault", fault
            current.cause = current.cause or "stop"
        try:
            actor.host.kill(current.process)
        except HostLostError as error:
            self._note_lost(actor.host, error)
            raise
        self._look_at(actor.host)

    def stop(self, actor: str, fault: int | None = None) -> int:
        """Stop in order; SIGKILL when the grace runs out. Returns the exit code, negative for a signal."""
        found = self._actors[actor]
        current = self._ask_to_stop(found, "stop" if fault is None else "fault", fault)
        return 0 if current is None else self._await_stop(found, current)

    def _ask_to_stop(self, actor: _Actor, cause: Cause, fault: int | None) -> _Incarnation | None:
        with actor.acting, self._lock:
            current = actor.current
            if current is not None:
                self._order_to_stop(actor, current, cause, fault)
            return current

    def _order_to_stop(self, actor: _Actor, current: _Incarnation, cause: Cause, fault: int | None) -> None:
        current.cause, current.fault = cause, fault
        self._command(actor, "stop")
        if current.paused:
            self._thaw(actor, current)

    def _await_stop(self, actor: _Actor, current: _Incarnation) -> int:
        deadline = time.monotonic() + STOP_GRACE_S
        while current.exit_code is None and time.monotonic() < deadline:
            time.sleep(STOP_POLL_S)
            self._look_at(actor.host)
        if current.exit_code is None:
            with actor.acting:
                self._kill(actor)
        assert current.exit_code is not None  # noqa: S101 - it was killed, and looked at
        return current.exit_code

    def pause(self, actor: str) -> None:
        """SIGSTOP; returns when it stands still."""
        found = self._actors[actor]
        with found.acting:
            current = found.current
            if current is None or current.paused or found.host.freeze(current.process) is None:
                return
            self._note_paused(found, current)

    def _note_paused(self, actor: _Actor, current: _Incarnation) -> None:
        current.paused = True
        name = actor.plan.actor
        self._emit(
            ProcessPaused(at_ns=time.monotonic_ns(), variant=self._variant, actor=name, incarnation=current.number)
        )

    def resume(self, actor: str) -> None:
        """SIGCONT; no error when it is not paused."""
        found = self._actors[actor]
        with found.acting:
            if found.current is not None and found.current.paused:
                self._thaw(found, found.current)

    def _thaw(self, actor: _Actor, current: _Incarnation) -> None:
        actor.host.thaw(current.process)
        current.paused = False
        self._emit(
            ProcessResumed(
                at_ns=time.monotonic_ns(),
                variant=self._variant,
                actor=actor.plan.actor,
                incarnation=current.number,
            )
        )

    def scale(self, group: str | None, to: int, fault: int) -> tuple[str, ...]:
        """Bring a group of workers to a number; returns the names started, or stopped in order."""
        with self._scaling:
            with self._lock:
                plan = next(workers for workers in self._scenario.workers if group is None or workers.name == group)
                alive = [
                    actor for actor in self._of("worker") if actor.plan.group is plan and actor.current is not None
                ]
                surplus, missing = alive[to:], self._actors_to_add(plan, to - len(alive))
            for actor in missing:
                self._start(actor)
            for actor in surplus:
                self.stop(actor.plan.actor, fault)
        return tuple(actor.plan.actor for actor in (*surplus, *missing))

    def _actors_to_add(self, group: Workers, missing: int) -> list[_Actor]:
        ended = [actor for actor in self._of("worker") if actor.plan.group is group and actor.current is None]
        chosen = ended[: max(0, missing)]
        taken = sum(actor.plan.group is group for actor in self._of("worker"))
        for offset in range(max(0, missing) - len(chosen)):
            name = f"{group.name}-{taken + offset + 1}"
            chosen.append(self._add(ActorPlan("worker", name, self._next_worker, group)))
        return chosen

    # What the engine's loop does.

    def poll(self) -> str | None:
        """Look at all, restart what crashed on purpose and is due. Returns a sentence when a process failed."""
        self._look()
        with self._lock:
            for actor in self._actors.values():
                if actor.back_at is not None and time.monotonic() >= actor.back_at and not self.ending:
                    actor.back_at = None
                    actor.starting = True
                    self._coming_back.append(self._threads.submit(self._start, actor))
            over = [start for start in self._coming_back if start.done()]
            self._coming_back = [start for start in self._coming_back if not start.done()]
            failure = self._failures[0] if self._failures else None
        for start in over:
            start.result()
        return failure

    def _look(self) -> None:
        """Look at all hosts, at once if there are several."""
        if len(self._hosts) == 1:
            self._look_at(self._hosts[0])
        else:
            list(self._threads.map(self._look_at, self._hosts))

    def _look_at(self, host: Host) -> None:
        with self._looking[host]:
            try:
                seen = host.look()
            except HostLostError as error:
                self._note_lost(host, error)
                raise
            with self._lock:
                for actor in self._actors.values():
                    if actor.host is host:
                        self._take_notice(actor, seen)

    def _note_lost(self, host: Host, error: HostLostError) -> None:
        """Tell once that a machine is gone, and who was on it."""
        with self._lock:
            if host in self._lost:
                return
            self._lost.add(host)
            there = tuple(name for name, actor in self._actors.items() if actor.host is host)
            self._emit(
                HostLost(
                    at_ns=time.monotonic_ns(), variant=self._variant, host=host.name, actors=there, reason=error.reason
                )
            )

    def _take_notice(self, actor: _Actor, seen: dict[str, Seen]) -> None:
        current = actor.current
        found = seen.get(current.process) if current is not None else None
        if current is None or found is None:
            return
        current.counters = found.counters
        if found.exit_code is not None:
            self._ended(actor, current, found.exit_code)

    def _ended(self, actor: _Actor, current: _Incarnation, exit_code: int) -> None:
        current.exit_code = exit_code
        if current.cause is None:
            current.cause = self._natural_cause(actor, exit_code)
        if current.cause == "crash" and isinstance(actor.plan.group, Workers):
            back_after = actor.plan.group.back_after
            actor.back_at = None if back_after is None else time.monotonic() + back_after
        if current.cause == "unexpected":
            said = actor.host.last_error(current.process)
            reason = f": {said}" if said else ""
            self._failures.append(f"{actor.plan.actor} exited unexpectedly with code {exit_code}{reason}")
        self._emit(
            ProcessExited(
                at_ns=time.monotonic_ns(),
                variant=self._variant,
                role=actor.plan.role,
                actor=actor.plan.actor,
                incarnation=current.number,
                exit_code=exit_code,
                cause=current.cause,
                fault=current.fault,
            )
        )

    @staticmethod
    def _natural_cause(actor: _Actor, exit_code: int) -> Cause:
        if exit_code == CRASH_EXIT_CODE and actor.plan.role == "worker":
            return "crash"
        if exit_code == 0 and actor.plan.role == "publisher":
            return "finished"
        return "unexpected"

    def loads(self) -> tuple[HostLoad, ...]:
        """Ask every host who took its processors so far, but for those that are lost."""
        found: list[HostLoad] = []
        for host in self._hosts:
            with suppress(HostLostError):
                found.append(host.load())
        return tuple(found)

    def totals(self) -> Totals:
        """Sum up what all were last seen to have done."""
        with self._lock:
            return Totals.of(
                (incarnation.counters, incarnation.exit_code is None, self._copies.get(actor.plan.group.name, 1.0))
                for actor in self._actors.values()
                for incarnation in actor.incarnations
            )

    def not_consuming(self) -> list[str]:
        """Name the living workers that were not seen to consume, and from where."""
        with self._lock:
            return [
                f"{actor.plan.actor} from {actor.plan.group.queue or self._scenario.first_queue}"
                for actor in self._of("worker")
                if isinstance(actor.plan.group, Workers)
                and actor.current is not None
                and not actor.current.counters.consuming
            ]

    def consumers(self) -> Counter[str]:
        """Count the consumers of the living workers that were last seen to consume, by queue."""
        with self._lock:
            return Counter(
                actor.plan.group.queue or self._scenario.first_queue
                for actor in self._of("worker")
                if isinstance(actor.plan.group, Workers)
                and actor.current is not None
                and actor.current.counters.consuming
            )

    def running(self) -> tuple[str, ...]:
        """Name the processes that run now, like `worker-2.1`: actor and incarnation."""
        with self._lock:
            return tuple(actor.current.process for actor in self._actors.values() if actor.current is not None)

    def not_connected(self) -> list[str]:
        """Name the living publishers that were not seen to be connected, and are not done."""
        with self._lock:
            return [
                actor.plan.actor
                for actor in self._of("publisher")
                if actor.current is not None and not actor.current.counters.connected
            ]

    def publishers_done(self) -> bool:
        """Whether no publisher runs or is just being started."""
        with self._lock:
            return all(actor.current is None and not actor.starting for actor in self._of("publisher"))

    def workers_expected(self) -> bool:
        """Whether any worker lives or is due to come back."""
        with self._lock:
            return any(
                actor.current is not None or actor.starting or actor.back_at is not None for actor in self._of("worker")
            )

    def resume_all(self) -> None:
        """Thaw everything that is frozen."""
        for actor in list(self._actors):
            self.resume(actor)

    def end_publishing(self, group: Publishers) -> None:
        """Have a group's publishers begin nothing new; each ends by itself once what it has sent is settled."""
        with self._lock:
            self._published_enough.add(group.name)
            for actor in self._of("publisher"):
                if actor.plan.group is group:
                    self._command(actor, "enough")

    def stop_all(self, role: Role) -> tuple[str, ...]:
        """Stop every actor of a role in order, all at once; returns the names that had to be killed."""
        self.ending = self.ending or role == "worker"
        with self._lock:
            actors = self._of(role)
        asked = [(actor, self._ask_to_stop(actor, "stop", None)) for actor in actors]
        return tuple(
            actor.plan.actor for actor, current in asked if current is not None and self._await_stop(actor, current) < 0
        )

    def kill_all(self) -> None:
        """End everything at once; for an interrupted or failed run. On a machine that is lost there is nothing left to end."""
        self.ending = True
        for actor in list(self._actors.values()):
            with actor.acting, suppress(HostLostError):
                if actor.host not in self._lost:
                    self._kill(actor)
        self._threads.shutdown(cancel_futures=True)

    def gather(self) -> None:
        """Bring what was recorded on other machines here, once; for when all have ended. What is lost was told before."""
        for host in self._hosts:
            if host in self._lost | self._gathered:
                continue
            self._gathered.add(host)
            try:
                gathered = host.gather()
            except HostLostError as error:
                self._note_lost(host, error)
                raise
            if gathered is not None:
                self._emit(
                    HostGathered(
                        at_ns=time.monotonic_ns(),
                        variant=self._variant,
                        host=gathered.host,
                        offset_ns=gathered.offset_ns,
                        error_ns=gathered.error_ns,
                        records=gathered.records,
                    )
                )

    def _of(self, role: Role) -> list[_Actor]:
        return [actor for actor in self._actors.values() if actor.plan.role == role]

    @staticmethod
    def _command(actor: _Actor, line: str) -> None:
        if actor.current is not None:
            actor.host.command(actor.current.process, line)
