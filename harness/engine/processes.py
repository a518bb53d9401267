"""Supervision of the publisher and worker processes: start, kill, freeze, stop, restart, and telling why each ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from harness.engine import plan as planning
from harness.engine.counters import LiveLog, Totals
from harness.engine.plan import ActorPlan, Session
from harness.engine.resume import resume_point
from harness.errors import InfrastructureError
from harness.events import Event, ProcessExited, ProcessPaused, ProcessResumed, ProcessStarted, Role
from harness.interrupts import shielded
from harness.ledger import Ledger
from harness.scenario.scenario import Scenario
from harness.scenario.traffic import Publishers, Workers
from harness.traffic.spec import CRASH_EXIT_CODE, write_spec

STOP_GRACE_S = 15.0
"""How long an orderly stop may take before it is ended with SIGKILL (and said so)."""
FREEZE_TIMEOUT_S = 2.0

Cause = Literal["stop", "fault", "crash", "finished", "unexpected"]


@dataclass(slots=True)
class _Incarnation:
    number: int
    process: subprocess.Popen[bytes]
    log: LiveLog
    errors: Path
    paused: bool = False
    exit_code: int | None = None
    cause: Cause | None = None
    """Set before a wanted end; None means that nobody asked for it."""
    fault: int | None = None


@dataclass(slots=True)
class _Actor:
    plan: ActorPlan
    incarnations: list[_Incarnation]
    back_at: float | None = None
    """When to start the next incarnation after a crash on a poison message (time.monotonic)."""
    wanted: bool = True
    """Whether it shall be there at the end: False once scaled down or killed for good."""

    @property
    def current(self) -> _Incarnation | None:
        """The living incarnation, if there is one."""
        if self.incarnations and self.incarnations[-1].exit_code is None:
            return self.incarnations[-1]
        return None


class Processes:
    """All publishers and workers of one variant's run. Faults call it from other threads; one lock guards it."""

    def __init__(
        self,
        scenario: Scenario,
        session: Session,
        directory: Path,
        *,
        ledger: Ledger,
        emit: Callable[[Event], None],
        variant: str,
    ) -> None:
        """Prepare; nothing is started. Logs go to `directory`/logs."""
        self._scenario = scenario
        self._session = session
        self._logs = directory / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        self._ledger = ledger
        self._emit = emit
        self._variant = variant
        self._lock = threading.RLock()
        self._actors: dict[str, _Actor] = {}
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
            for plan in plans:
                self._actors[plan.actor] = _Actor(plan, [])
                if plan.role == "worker":
                    self._next_worker = max(self._next_worker, plan.number + 1)
            for plan in plans:
                self._start(self._actors[plan.actor])

    def release(self) -> None:
        """Let the publishers publish; later incarnations are released at once."""
        with self._lock:
            self._released = True
            for actor in self._of("publisher"):
                self._command(actor.current, b"go\n")

    def start(self, actor: str) -> None:
        """Start the next incarnation of an actor that ended; no error when it runs or the run is ending."""
        with self._lock:
            if self._actors[actor].current is None and not self.ending:
                self._start(self._actors[actor])

    def _start(self, actor: _Actor) -> None:
        plan, number = actor.plan, len(actor.incarnations) + 1
        log = self._logs / f"{plan.actor}.{number}.log"
        spec_path = self._logs / f"{plan.actor}.{number}.json"
        if plan.role == "publisher":
            earlier = [self._logs / f"{plan.actor}.{past.number}.log" for past in actor.incarnations]
            point = resume_point(earlier, confirms=plan.settles)
            write_spec(
                planning.publisher_spec(
                    plan,
                    self._scenario,
                    self._session,
                    log=log,
                    incarnation=number,
                    start=point.start,
                    republish=point.republish,
                ),
                spec_path,
            )
        else:
            write_spec(
                planning.worker_spec(plan, self._scenario, self._session, log=log, incarnation=number), spec_path
            )
        errors = self._logs / f"{plan.actor}.{number}.stderr"
        with errors.open("wb") as stderr, shielded():
            process = subprocess.Popen(
                [sys.executable, "-m", f"harness.traffic.{plan.role}", str(spec_path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
            )
            actor.incarnations.append(_Incarnation(number, process, LiveLog(log, settles=plan.settles), errors))
            self._ledger.add_process(process.pid)
        actor.back_at = None
        actor.wanted = True
        self._emit(
            ProcessStarted(
                at_ns=time.monotonic_ns(),
                variant=self._variant,
                role=plan.role,
                actor=plan.actor,
                incarnation=number,
                pid=process.pid,
            )
        )
        if plan.role == "publisher" and self._released:
            self._command(actor.current, b"go\n")
            if plan.group.name in self._published_enough:
                self._command(actor.current, b"enough\n")

    # What faults do.

    def living(self, role: Role) -> tuple[str, ...]:
        """Names of the actors that run now, paused ones included."""
        with self._lock:
            return tuple(actor.plan.actor for actor in self._of(role) if actor.current is not None)

    def kill(self, actor: str, fault: int) -> None:
        """SIGKILL; returns when the process is gone."""
        with self._lock:
            self._kill(self._actors[actor], fault)

    def kill_if_holding(self, actor: str, fault: int) -> int | None:
        """Freeze, look, and SIGKILL only if it holds something unsettled; else thaw it and return None."""
        with self._lock:
            found = self._actors[actor]
            current = found.current
            if current is None or current.paused:
                return None
            current.process.send_signal(signal.SIGSTOP)
            if not _frozen(current.process.pid):
                return None
            counters = current.log.advance()
            held = counters.unsettled if found.plan.role == "publisher" else counters.uncompleted
            if held:
                self._kill(found, fault)
                return held
            current.process.send_signal(signal.SIGCONT)
            return None

    def _kill(self, actor: _Actor, fault: int) -> None:
        current = actor.current
        if current is None:
            return
        current.cause, current.fault = "fault", fault
        actor.wanted = False
        current.process.kill()
        current.process.wait()
        self._reap(actor, current)

    def stop(self, actor: str, fault: int | None = None) -> int:
        """Stop in order; SIGKILL when the grace runs out. Returns the exit code, negative for a signal."""
        with self._lock:
            found = self._actors[actor]
            current = found.current
            if current is None:
                return 0
            self._ask_to_stop(found, current, "stop" if fault is None else "fault", fault)
        return self._await_stop(found, current)

    def _ask_to_stop(self, actor: _Actor, current: _Incarnation, cause: Cause, fault: int | None) -> None:
        current.cause, current.fault = cause, fault
        actor.wanted = False
        if current.paused:
            self._thaw(actor, current)
        self._command(current, b"stop\n")

    def _await_stop(self, actor: _Actor, current: _Incarnation) -> int:
        try:
            current.process.wait(STOP_GRACE_S)
        except subprocess.TimeoutExpired:
            current.process.kill()
            current.process.wait()
        with self._lock:
            self._reap(actor, current)
        return current.process.returncode

    def pause(self, actor: str) -> None:
        """SIGSTOP."""
        with self._lock:
            current = self._actors[actor].current
            if current is None or current.paused:
                return
            current.process.send_signal(signal.SIGSTOP)
            current.paused = True
            self._emit(
                ProcessPaused(at_ns=time.monotonic_ns(), variant=self._variant, actor=actor, incarnation=current.number)
            )

    def resume(self, actor: str) -> None:
        """SIGCONT; no error when it is not paused."""
        with self._lock:
            found = self._actors[actor]
            if found.current is not None and found.current.paused:
                self._thaw(found, found.current)

    def _thaw(self, actor: _Actor, current: _Incarnation) -> None:
        current.process.send_signal(signal.SIGCONT)
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
        with self._lock:
            plan = next(workers for workers in self._scenario.workers if group is None or workers.name == group)
            alive = [actor for actor in self._of("worker") if actor.plan.group is plan and actor.current is not None]
            surplus = alive[to:]
            changed = [actor.plan.actor for actor in surplus]
            missing = to - len(alive)
            for actor in self._actors_to_add(plan, missing):
                self._start(actor)
                changed.append(actor.plan.actor)
        for actor in surplus:
            self.stop(actor.plan.actor, fault)
        return tuple(changed)

    def _actors_to_add(self, group: Workers, missing: int) -> list[_Actor]:
        ended = [actor for actor in self._of("worker") if actor.plan.group is group and actor.current is None]
        chosen = ended[: max(0, missing)]
        taken = sum(actor.plan.group is group for actor in self._of("worker"))
        for offset in range(max(0, missing) - len(chosen)):
            plan = ActorPlan("worker", f"{group.name}-{taken + offset + 1}", self._next_worker, group)
            self._next_worker += 1
            self._actors[plan.actor] = _Actor(plan, [])
            chosen.append(self._actors[plan.actor])
        return chosen

    # What the engine's loop does.

    def poll(self) -> str | None:
        """Reap what ended, restart what crashed on purpose and is due. Returns a sentence when a process failed."""
        with self._lock:
            for actor in self._actors.values():
                current = actor.current
                if current is not None and current.process.poll() is not None:
                    self._reap(actor, current)
                    if current.cause == "unexpected":
                        return self._failure(actor, current)
                if actor.back_at is not None and time.monotonic() >= actor.back_at and not self.ending:
                    self._start(actor)
            return None

    def _reap(self, actor: _Actor, current: _Incarnation) -> None:
        if current.exit_code is not None:
            return
        current.exit_code = current.process.returncode
        if current.cause is None:
            current.cause = self._natural_cause(actor, current)
        if current.cause == "crash" and isinstance(actor.plan.group, Workers):
            back_after = actor.plan.group.back_after
            actor.back_at = None if back_after is None else time.monotonic() + back_after
        if current.process.stdin is not None:
            _close_pipe(current.process)
        current.log.close()
        self._emit(
            ProcessExited(
                at_ns=time.monotonic_ns(),
                variant=self._variant,
                role=actor.plan.role,
                actor=actor.plan.actor,
                incarnation=current.number,
                exit_code=current.exit_code,
                cause=current.cause,
                fault=current.fault,
            )
        )

    @staticmethod
    def _natural_cause(actor: _Actor, current: _Incarnation) -> Cause:
        if current.exit_code == CRASH_EXIT_CODE and actor.plan.role == "worker":
            return "crash"
        if current.exit_code == 0 and actor.plan.role == "publisher":
            return "finished"
        return "unexpected"

    @staticmethod
    def _failure(actor: _Actor, current: _Incarnation) -> str:
        said = current.errors.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        reason = f": {said[-1]}" if said else ""
        return f"{actor.plan.actor} ended with exit code {current.exit_code}, and nobody had killed it{reason}"

    def living_pids(self) -> dict[str, int]:
        """Return the process numbers of all that run now, by their names."""
        with self._lock:
            alive = ((actor.plan.actor, actor.current) for actor in self._actors.values())
            return {name: current.process.pid for name, current in alive if current is not None}

    def totals(self) -> Totals:
        """Read what is new in the living processes' logs, and sum the counters up."""
        with self._lock:
            totals = Totals()
            for actor in self._actors.values():
                for incarnation in actor.incarnations:
                    alive = incarnation.exit_code is None
                    counters = incarnation.log.advance() if alive else incarnation.log.counters
                    totals = replace(
                        totals,
                        published=totals.published + counters.published,
                        confirmed=totals.confirmed + counters.confirmed,
                        delivered=totals.delivered + counters.delivered,
                        processed=totals.processed + counters.processed,
                        acked=totals.acked + counters.acked,
                        in_flight=totals.in_flight + (counters.in_flight if alive else 0),
                        last_processed_ns=max(totals.last_processed_ns, counters.last_processed_ns),
                    )
            return totals

    def consuming(self) -> bool:
        """Whether every living worker consumes."""
        with self._lock:
            return all(
                actor.current.log.advance().consuming for actor in self._of("worker") if actor.current is not None
            )

    def connected(self) -> bool:
        """Whether every living publisher is connected, or already done."""
        with self._lock:
            return all(
                actor.current.log.advance().connected for actor in self._of("publisher") if actor.current is not None
            )

    def publishers_done(self) -> bool:
        """Whether no publisher runs, and none that was killed is still to come back by itself."""
        with self._lock:
            return all(actor.current is None for actor in self._of("publisher"))

    def workers_expected(self) -> bool:
        """Whether any worker lives or is due to come back."""
        with self._lock:
            return any(actor.current is not None or actor.back_at is not None for actor in self._of("worker"))

    def resume_all(self) -> None:
        """Thaw everything that is frozen."""
        with self._lock:
            for actor in self._actors.values():
                if actor.current is not None and actor.current.paused:
                    self._thaw(actor, actor.current)

    def end_publishing(self, group: Publishers) -> None:
        """Have a group's publishers begin nothing new; each ends by itself once what it has sent is settled."""
        with self._lock:
            self._published_enough.add(group.name)
            for actor in self._of("publisher"):
                if actor.plan.group is group:
                    self._command(actor.current, b"enough\n")

    def stop_all(self, role: Role) -> tuple[str, ...]:
        """Stop every actor of a role in order, all at once; returns the names that had to be killed."""
        self.ending = self.ending or role == "worker"
        with self._lock:
            running = [(actor, actor.current) for actor in self._of(role) if actor.current is not None]
            for actor, current in running:
                self._ask_to_stop(actor, current, "stop", None)
        return tuple(actor.plan.actor for actor, current in running if self._await_stop(actor, current) < 0)

    def kill_all(self) -> None:
        """End everything at once; for an interrupted or failed run."""
        self.ending = True
        with self._lock:
            for actor in self._actors.values():
                current = actor.current
                if current is not None:
                    current.cause = current.cause or "stop"
                    current.process.kill()
            for actor in self._actors.values():
                current = actor.current
                if current is not None:
                    current.process.wait()
                    self._reap(actor, current)

    def _of(self, role: Role) -> list[_Actor]:
        return [actor for actor in self._actors.values() if actor.plan.role == role]

    @staticmethod
    def _command(current: _Incarnation | None, line: bytes) -> None:
        if current is None or current.process.stdin is None:
            return
        try:
            current.process.stdin.write(line)
            current.process.stdin.flush()
        except (BrokenPipeError, ValueError):
            # The process has just ended; poll() will find it and tell why.
            return


def _close_pipe(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None  # noqa: S101 - every traffic process has a pipe
    try:
        process.stdin.close()
    except BrokenPipeError:
        return


def _frozen(pid: int) -> bool:
    """Wait until the kernel has stopped every thread of a process, so that its log stands still; False if it ended."""
    deadline = time.monotonic() + FREEZE_TIMEOUT_S
    while time.monotonic() < deadline:
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return False
        if os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG) is not None:
            return True
        time.sleep(0.0002)
    raise InfrastructureError(f"process {pid} did not stop within {FREEZE_TIMEOUT_S:g} s of SIGSTOP")
