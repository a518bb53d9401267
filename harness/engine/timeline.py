"""The timeline: fires each step when its trigger is met, and heals what heals by itself.

Injections and healings block (a broker's restart takes seconds), so each runs in a thread of its own; the engine's loop goes on
and calls `advance`.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

from harness.broker.protocol import Broker
from harness.effects import Becomes
from harness.engine.counters import Totals
from harness.engine.processes import Processes
from harness.engine.realtime import take_realtime_priority
from harness.errors import InfrastructureError
from harness.events import ErrorObserved, Event, FaultArmed, FaultHealed, FaultInjected, FaultMissed
from harness.faults.base import Fault, Injection
from harness.faults.context import FaultContext, NoTargetError
from harness.scenario.scenario import Scenario
from harness.scenario.timeline import Step
from harness.traffic.spec import Target
from harness.unforeseen import where

_Done = TypeVar("_Done")


@dataclass(slots=True)
class _Step:
    index: int
    step: Step
    fault: Fault
    context: FaultContext
    injecting: Future[Injection] | None = None
    injection: Injection | None = None
    struck_at: float = 0.0
    """When its injection was over (time.monotonic)."""
    heal_at: float | None = None
    """When it heals by itself (time.monotonic)."""
    healing: Future[None] | None = None
    thawed: set[str] = field(default_factory=set)
    """Which of the targets that it froze another step has thawed."""
    over: bool = False

    @property
    def title(self) -> str:
        """What an error says of it."""
        return f"step {self.index + 1} ({self.fault.name})"


class Timeline:
    """All steps of one variant's run."""

    def __init__(
        self,
        scenario: Scenario,
        *,
        broker: Broker,
        processes: Processes,
        target: Target,
        publish: Callable[[str, str, int], None],
        seed: int,
        emit: Callable[[Event], None],
        variant: str,
    ) -> None:
        """Prepare; `seed` makes every random choice of a step, independent of the other steps."""
        self._emit = emit
        self._variant = variant
        self._broker = broker
        self._ending = threading.Event()
        self._pool = ThreadPoolExecutor(
            max_workers=max(4, 2 * len(scenario.timeline)),
            thread_name_prefix="fault",
            initializer=take_realtime_priority,
        )
        self._steps = [
            self._prepare(index, step, scenario, broker, processes, target, publish, seed)
            for index, step in enumerate(scenario.timeline)
        ]
        self.broker_down = False
        """Whether a step has the broker down or frozen at the moment."""

    def _prepare(
        self,
        index: int,
        step: Step,
        scenario: Scenario,
        broker: Broker,
        processes: Processes,
        target: Target,
        publish: Callable[[str, str, int], None],
        seed: int,
    ) -> _Step:
        fault = step.action
        assert isinstance(fault, Fault)  # noqa: S101 - the registry holds nothing else
        context = FaultContext(
            fault=index,
            broker=broker,
            actors=processes,
            target=target,
            queues=scenario.queues,
            random=Random(f"{seed}/{index}"),  # noqa: S311 - reproducible on purpose
            error_observed=self._error_observed,
            publish=publish,
            wait=self._wait,
            nodes_struck=self._nodes_struck,
            over=self._ending.is_set,
        )
        return _Step(index, step, fault, context)

    def _nodes_struck(self) -> dict[str, Becomes]:
        """Return the nodes that steps have down or frozen, as far as they have struck."""
        struck: dict[str, Becomes] = {}
        for step, injection in sorted(
            ((step, step.injection) for step in self._steps if step.injection is not None),
            key=lambda each: each[0].struck_at,
        ):
            becomes = step.fault.effects().node
            if becomes is Becomes.THAWED or (step.over and becomes is not Becomes.UNCHANGED):
                struck = {name: state for name, state in struck.items() if name not in injection.targets}
            elif becomes is not Becomes.UNCHANGED:
                struck |= dict.fromkeys(injection.targets, becomes)
        return struck

    def _wait(self, seconds: float) -> None:
        self._ending.wait(seconds)

    def _error_observed(self, code: int, text: str, where: str) -> None:
        self._emit(ErrorObserved(at_ns=time.monotonic_ns(), variant=self._variant, code=code, text=text, where=where))

    @property
    def finished(self) -> bool:
        """Whether every step has struck and healed, or was missed. What heals only at the end counts as healed."""
        return all(step.over or (step.injection is not None and _waits_for_the_end(step)) for step in self._steps)

    @property
    def unfinished(self) -> tuple[str, ...]:
        """Name the steps that have not struck, or not healed though they heal by themselves."""
        return tuple(
            f"step {step.index + 1} ({step.fault.title()}) had not {'struck' if step.injection is None else 'healed'}"
            for step in self._steps
            if not step.over and not (step.injection is not None and _waits_for_the_end(step))
        )

    @property
    def progress_pending(self) -> bool:
        """Whether a step still waits for progress, so that counters must be read often."""
        return any(step.injecting is None and step.step.after is not None for step in self._steps)

    @property
    def active(self) -> bool:
        """Whether a step is striking or healing just now."""
        return any(
            not step.over
            and step.injecting is not None
            and not (step.injection is not None and _waits_for_the_end(step))
            for step in self._steps
        )

    @property
    def clock_pending(self) -> bool:
        """Whether a step still waits for its time."""
        return any(step.injecting is None and step.step.at is not None for step in self._steps)

    def until_due_s(self, elapsed_s: float) -> float:
        """How long it is until the next step is due by its time; infinity if none waits for its time.

        One that is due already and has to wait for another is worth a look each millisecond.
        """
        waiting = (step.step.at for step in self._steps if step.injecting is None and not step.over)
        return min((max(0.001, at - elapsed_s) for at in waiting if at is not None), default=math.inf)

    def advance(self, totals: Totals, elapsed_s: float) -> None:
        """Fire what is due, take up what has struck or healed. Raises what an injection or healing raised."""
        for step in self._steps:
            if step.over:
                continue
            if step.injecting is None:
                if _due(step.step, totals, elapsed_s) and not self._must_wait(step):
                    self._fire(step)
            elif step.injection is None:
                if step.injecting.done():
                    self._struck(step)
            elif step.healing is not None:
                if step.healing.done():
                    self._healed(step)
            elif step.heal_at is not None and time.monotonic() >= step.heal_at:
                step.healing = self._pool.submit(self._heal, step, step.injection)
        self.broker_down = any(_holds_broker(step) for step in self._steps)

    def _must_wait(self, step: _Step) -> bool:
        """Whether another step has the broker in its hands and will let go by itself.

        Two faults never act on it at once, and what needs its answer waits for it.
        """
        others = [
            other
            for other in self._steps
            if other is not step and _claims_broker(other) and _in_force(other) and not _waits_for_the_end(other)
        ]
        alone = step.fault.asks_broker and len(self._broker.nodes) == 1
        return bool(others) if _claims_broker(step) else alone and any(_strikes_node(other) for other in others)

    def _fire(self, step: _Step) -> None:
        at_ns = time.monotonic_ns()
        step.injecting = self._pool.submit(self._inject, step, at_ns)
        self._emit(FaultArmed(at_ns=at_ns, variant=self._variant, fault=step.index, action=step.fault.name))

    def _inject(self, step: _Step, at_ns: int) -> Injection:
        with where(step.title):
            injection = step.fault.inject(step.context)
        self._emit(
            FaultInjected(
                at_ns=at_ns,
                variant=self._variant,
                fault=step.index,
                action=step.fault.name,
                title=injection.title,
                family=step.fault.struck_family(),
                colour=step.fault.colour,
                targets=injection.targets,
                struck_at_ns=time.monotonic_ns(),
                healable=injection.healable,
                detail=injection.detail,
                clean=injection.clean,
                times=injection.times,
                effects=step.fault.effects(),
                noun=step.fault.noun(injection.targets),
                taken=injection.taken,
            )
        )
        return injection

    def _heal(self, step: _Step, injection: Injection) -> None:
        with where(f"{step.title}, healing"):
            step.fault.heal(step.context, injection)

    def _struck(self, step: _Step) -> None:
        assert step.injecting is not None  # noqa: S101 - it has just been seen to be done
        try:
            injection = step.injecting.result()
        except NoTargetError as error:
            self._missed(step, str(error))
            return
        step.injection, step.struck_at = injection, time.monotonic()
        if not injection.healable:
            self._over(step)
            if step.fault.effects().thaws:
                self._thawed(set(injection.targets))
        elif injection.heal_after_s is not None:
            step.heal_at = time.monotonic() + injection.heal_after_s

    def _thawed(self, targets: set[str]) -> None:
        """End the steps that had frozen what is thawed now, each once all of its targets are."""
        for step in self._steps:
            if step.injection is None or step.over or step.healing is not None or not step.fault.effects().freezes:
                continue
            step.thawed |= targets & set(step.injection.targets)
            if step.thawed == set(step.injection.targets):
                self._over(step)

    def _healed(self, step: _Step) -> None:
        assert step.healing is not None  # noqa: S101 - it has just been seen to be done
        step.healing.result()
        self._over(step)

    def _over(self, step: _Step) -> None:
        step.over = True
        self._emit(
            FaultHealed(at_ns=time.monotonic_ns(), variant=self._variant, fault=step.index, action=step.fault.name)
        )

    def _missed(self, step: _Step, reason: str) -> None:
        step.over = True
        self._emit(
            FaultMissed(
                at_ns=time.monotonic_ns(),
                variant=self._variant,
                fault=step.index,
                action=step.fault.name,
                reason=reason,
            )
        )

    def end(self) -> None:
        """Let nothing new strike: steps that never fired are missed, searches for a target give up."""
        self._ending.set()
        for step in self._steps:
            if step.injecting is None and not step.over:
                self._missed(step, f"its trigger ({step.step.trigger}) was not met before the traffic ended")

    def heal(self, timeout_s: float) -> list[BaseException]:
        """End, and revert what is still in force; bounded. Returns the errors met, so that one does not hide another.

        The last step heals first. All begin to heal before any is waited for, but for one whose targets another one has: nodes of a cluster
        that steps of their own took down wait for each other.
        """
        self.end()
        errors: list[BaseException] = []
        deadline = time.monotonic() + timeout_s
        begun: list[_Step] = []
        for step in reversed(self._steps):
            injection = self._injected(step, deadline, errors)
            if injection is None:
                continue
            for earlier in begun:
                if earlier.injection is not None and set(earlier.injection.targets) & set(injection.targets):
                    self._finish(earlier, deadline, errors)
            if injection.healable and step.healing is None:
                step.healing = self._pool.submit(self._heal, step, injection)
            begun.append(step)
        for step in begun:
            self._finish(step, deadline, errors)
        self.broker_down = False
        return errors

    def _injected(self, step: _Step, deadline: float, errors: list[BaseException]) -> Injection | None:
        """Wait for the injection of a step that is in force; None if there is nothing to heal."""
        if step.over or step.injecting is None:
            return None
        try:
            step.injection = step.injection or _in_time(step, step.injecting, deadline)
        except NoTargetError as error:
            self._missed(step, str(error))
        except Exception as error:
            step.over = True
            errors.append(error)
        return step.injection

    def _finish(self, step: _Step, deadline: float, errors: list[BaseException]) -> None:
        if step.over:
            return
        try:
            if step.healing is not None:
                _in_time(step, step.healing, deadline)
            self._over(step)
        except Exception as error:
            step.over = True
            errors.append(error)

    def close(self) -> None:
        """Release the threads."""
        self._ending.set()
        self._pool.shutdown(wait=False, cancel_futures=True)


def _in_time(step: _Step, work: Future[_Done], deadline: float) -> _Done:
    """Wait for what a step does. Raises its error, and InfrastructureError where it has not ended by the deadline (time.monotonic)."""
    if not wait([work], timeout=max(0.0, deadline - time.monotonic())).done:
        raise InfrastructureError(f"{step.title} did not end in time, and may still be in force")
    return work.result()


def _due(step: Step, totals: Totals, elapsed_s: float) -> bool:
    if step.at is not None:
        return elapsed_s >= step.at
    return step.after is not None and totals.reached(step.after.thresholds())


def _waits_for_the_end(step: _Step) -> bool:
    return step.injection is not None and step.injection.healable and step.injection.heal_after_s is None


def _claims_broker(step: _Step) -> bool:
    return step.fault.effects().claims_broker


def _strikes_node(step: _Step) -> bool:
    return step.fault.effects().strikes_node


def _in_force(step: _Step) -> bool:
    return step.injecting is not None and not step.over


def _holds_broker(step: _Step) -> bool:
    return _claims_broker(step) and _in_force(step)
