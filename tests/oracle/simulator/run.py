"""Runs a scenario in virtual time: traffic, faults, drain, and what the collector finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from harness.events import (
    BrokerStarted,
    Drained,
    Event,
    FaultArmed,
    FaultHealed,
    FaultInjected,
    FaultMissed,
    Note,
    Phase,
    PhaseChanged,
    ProcessExited,
    ProcessStarted,
    TrafficStarted,
)
from harness.history.history import History
from harness.history.records import FOREIGN, AckMode, Death, Flag, Kind
from harness.scenario.scenario import Scenario
from harness.scenario.traffic import Publishers, RandomWork, Workers
from tests.oracle.simulator.broker import Broker, BrokerPlan, Link
from tests.oracle.simulator.faults import Fault, strike
from tests.oracle.simulator.publisher import Publisher, PublisherSettings
from tests.oracle.simulator.queues import SimQueue
from tests.oracle.simulator.recorder import Recorder
from tests.oracle.simulator.republisher import Onward, Republisher
from tests.oracle.simulator.truth import Instance, Truth
from tests.oracle.simulator.worker import Worker, WorkerSettings
from tests.oracle.simulator.world import MS, US, S, World

VARIANT = "guarantee"
START_NS = 1 * S + 10 * MS
"""When publishers are released."""


@dataclass(frozen=True)
class Plan:
    """A scenario, and what is not written in it."""

    scenario: Scenario
    seed: int
    faults: tuple[Fault, ...] = ()
    broker: BrokerPlan = field(default_factory=BrokerPlan)
    foreign_consumers: tuple[str, ...] = ()
    """Queues that another program consumes from."""
    drain_ns: int = 400 * MS
    onward: Mapping[str, Onward] = field(default_factory=dict)
    """Groups of workers that publish what they get once more, to where."""


@dataclass
class Simulation:
    """One run. `play` makes the history; `truth` is known then."""

    plan: Plan
    make_broker: Callable[[World, Scenario, BrokerPlan, Truth], Broker] = Broker
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.world = World(self.plan.seed)
        self.scenario = self.plan.scenario
        self.truth = Truth()
        self.broker = self.make_broker(self.world, self.scenario, self.plan.broker, self.truth)
        self.queue_names = tuple(self.scenario.queues)
        self.publishers = list(self._publishers())
        self.workers = list(self._workers())

    # Who takes part.

    def _publishers(self) -> Sequence[Publisher]:
        found: list[Publisher] = []
        for group in self.scenario.publishers:
            for actor in group.actors:
                settings = _publisher_settings(group, self.scenario)
                found.append(Publisher(self.world, self.broker, actor, len(found) + 1, settings))
        return found

    def _workers(self) -> Sequence[Worker]:
        found: list[Worker] = []
        for group in self.scenario.workers:
            for actor in group.actors:
                settings = _worker_settings(group, self.scenario)
                common = (self.world, self.broker, actor, len(found) + 1, settings, self.queue_names)
                onward = self.plan.onward.get(group.name)
                if onward is None:
                    worker = Worker(*common)
                else:
                    number = len(self.publishers) + len(found) + 1
                    worker = Republisher(*common, onward=onward, publisher=number)
                worker.crashed = self._crashed
                found.append(worker)
        return found

    def actor(self, name: str) -> Publisher | Worker:
        return next(actor for actor in self.actors if actor.name == name)

    @property
    def actors(self) -> list[Publisher | Worker]:
        return [*self.publishers, *self.workers]

    # Events.

    def event(self, kind: type[Event], **fields: object) -> None:
        self.events.append(kind(at_ns=self.world.now, variant=VARIANT, **fields))

    def _phase(self, phase: Phase) -> None:
        self.event(PhaseChanged, phase=phase)

    def start(self, actor: Publisher | Worker) -> None:
        actor.start()
        role = "publisher" if isinstance(actor, Publisher) else "worker"
        self.event(ProcessStarted, role=role, actor=actor.name, incarnation=actor.incarnation, pid=1)

    def kill(self, actor: Publisher | Worker, fault: int | None) -> None:
        if actor.alive and not (isinstance(actor, Publisher) and actor.done):
            actor.kill()
            self._exited(actor, -9, "fault", fault)

    def stop(self, worker: Worker, fault: int, then: Callable[[], None]) -> None:
        """Stop a worker in order: it ends once it has worked off what it holds."""
        worker.stop()
        incarnation = worker.incarnation

        def look() -> None:
            if worker.alive and worker.incarnation == incarnation and worker.holds:
                self.world.after(2 * MS, look)
            elif worker.alive and worker.incarnation == incarnation:
                worker.finish()
                self._exited(worker, 0, "stop", fault)
                then()

        self.world.after(2 * MS, look)

    def _crashed(self, worker: Worker) -> None:
        worker.kill()
        self._exited(worker, 70, "crash", None)
        self.world.after(worker.settings.back_after_ns, lambda: self.start(worker))

    def _exited(self, actor: Publisher | Worker, code: int, cause: str, fault: int | None = None) -> None:
        role = "publisher" if isinstance(actor, Publisher) else "worker"
        self.event(
            ProcessExited,
            role=role,
            actor=actor.name,
            incarnation=actor.incarnation,
            exit_code=code,
            cause=cause,
            fault=fault,
        )

    # Phases.

    def play(self) -> History:
        """Run it all, and return what the harness would have recorded."""
        world, plan = self.world, self.plan
        world.run(1 * S)
        self.event(
            BrokerStarted,
            backend="simulated",
            reason="",
            endpoint="",
            nodes=self.broker.nodes,
            rabbitmq=plan.broker.version,
            erlang="27",
        )
        for queue in plan.foreign_consumers:
            _Foreign(self.broker, queue)
        self.events.append(self.broker.look("before the traffic", VARIANT))
        self._phase(Phase.TRAFFIC)
        if not self.scenario.backlog_first:
            for worker in self.workers:
                self.start(worker)
        world.run(world.now + 10 * MS)
        self.event(TrafficStarted)
        for publisher in self.publishers:
            self.start(publisher)
        self._plan_faults()
        last = world.now + max((fault.over_ns for fault in plan.faults), default=0)
        deadline = world.now + 20 * S
        while world.now < deadline and not (all(each.done for each in self.publishers) and world.now > last):
            world.run(world.now + 5 * MS)
        for worker in self.workers if self.scenario.backlog_first else ():
            self.start(worker)
        self._phase(Phase.HEAL)
        for publisher in self.publishers:
            if publisher.alive:
                self._exited(publisher, 0, "finished")
        return self._end()

    def _plan_faults(self) -> None:
        shown = [fault for fault in self.plan.faults if fault.shown]
        for fault in self.plan.faults:
            number = shown.index(fault) if fault.shown else None
            self.world.after(fault.at_ns, partial(self._strike, number, fault))

    def _strike(self, number: int | None, fault: Fault) -> None:
        if number is None:
            strike(self, 0, fault)
            return
        if not self._there(fault.target):
            self.event(FaultMissed, fault=number, action=fault.action, reason=f"{fault.target} is not there")
            return
        self.event(FaultArmed, fault=number, action=fault.action)
        began = self.world.now
        targets, detail, taken = strike(self, number, fault)
        self.events.append(
            FaultInjected(
                at_ns=began,
                variant=VARIANT,
                fault=number,
                action=fault.action,
                title=f"{fault.action} {fault.target}",
                family=fault.family,
                colour="#000000",
                targets=targets,
                struck_at_ns=self.world.now,
                healable=fault.heal_ns is not None,
                detail=detail,
                taken=taken,
                clean=True if fault.action in ("restart", "stop") else None,
                effects=fault.effects,
                noun=(fault.action, f"{fault.action}s"),
            )
        )

    def _there(self, target: str) -> bool:
        return all(actor.alive for actor in self.actors if actor.name == target)

    def healed(self, number: int, fault: Fault) -> None:
        self.event(FaultHealed, fault=number, action=fault.action)

    def _end(self) -> History:
        world = self.world
        self._phase(Phase.DRAIN)
        deadline = world.now + self.plan.drain_ns
        quiet = 0
        while world.now < deadline and quiet < 2:  # what an automatic ack has settled may be on its way to a worker
            world.run(world.now + 5 * MS)
            quiet = quiet + 1 if self._empty() else 0
        complete = self._empty()
        self._let_arrive()
        self.events.append(self.broker.look("after the drain", VARIANT))
        self.event(Drained, complete=complete, reason="simulated")
        for worker in self.workers:
            worker.stop()
        bound = world.now + 5 * S
        world.run(world.now + 5 * MS)
        while world.now < bound and any(worker.alive and worker.holds for worker in self.workers):
            world.run(world.now + 5 * MS)
        world.run(world.now + 5 * MS)
        for worker in self.workers:
            if worker.alive:
                worker.finish()
                self._exited(worker, 0, "stop")
        world.run(world.now + 5 * MS)
        self._let_arrive()
        self._phase(Phase.CHECK)
        collector = self._collect()
        for queue in self.broker.queues.values():
            if not queue.exists:
                self.event(Note, message=f"queue {queue.name} is not there any more")
        logs = [recorder.log() for actor in self.actors for recorder in actor.logs]
        logs += [sent.log() for worker in self.workers if isinstance(worker, Republisher) for sent in worker.sent]
        events = tuple(sorted(self.events, key=lambda event: event.at_ns))
        return History((*logs, collector.log()), events)

    def _let_arrive(self) -> None:
        """Wait for the dead letters that are between two queues, where nobody who asks the broker sees them."""
        while self.broker.under_way:
            self.world.step()

    def _empty(self) -> bool:
        """Whether nothing can come any more to a queue that somebody consumes from."""
        if self.world.now < self.broker.led_ns or any(worker.alive and worker.holds for worker in self.workers):
            return False
        return not any(
            (queue.ready or any(each.unsettled for each in queue.holders) or queue.held)
            for queue in self.broker.queues.values()
            if queue.exists and self.leads_to_work(queue)
        )

    def leads_to_work(self, queue: SimQueue) -> bool:
        """Whether a worker consumes from it, or what waits in it comes to one by itself."""
        waiting, seen = [queue.name], set()
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            if any(worker.settings.queue == name for worker in self.workers):
                return True
            settings = self.broker.queues[name].settings
            if settings.target is not None and settings.ttl_ns is not None:
                keys = {settings.target_key} if settings.target_key is not None else self._keys()
                waiting += [each for key in keys for each in self.broker.bound(settings.target, key, ())]
        return False

    def _keys(self) -> set[str]:
        return {key for publisher in self.publishers for _, _, key in publisher.settings.routes}

    def role_of(self, queue: SimQueue) -> str:
        """What it is called when a copy is found there."""
        if any(worker.settings.queue == queue.name for worker in self.workers):
            return "stranded"
        if self.leads_to_work(queue):
            return "in transit"
        targets = {
            target
            for other in self.broker.queues.values()
            if other.settings.target is not None
            for key in ({other.settings.target_key} if other.settings.target_key is not None else self._keys())
            for target in self.broker.bound(other.settings.target, key, ())
        }
        return "dead-lettered" if queue.name in targets else "stranded"

    def _collect(self) -> Recorder:
        collector = Recorder(self.world, "collector", "collector", 0, 1, self.queue_names)
        for queue in self.broker.queues.values():
            if not queue.exists:
                continue
            left = [each for _, _, each in queue.ready] + [
                each for holder in queue.holders for each in holder.unsettled.values()
            ]
            for instance in left:
                self._found(collector, queue, instance)
            for instance in queue.held:
                self.truth.of(instance.copy).at_rest.append((queue.name, "retained"))
        return collector

    def _found(self, collector: Recorder, queue: SimQueue, instance: Instance) -> None:
        path = tuple(reversed(instance.deaths))
        death = collector.death(Death(instance.first_death, path) if path else None)
        flags = (Flag.DEAD_LETTERED if death else 0) | (Flag.CORRUPT if instance.corrupt else 0)
        flags |= Flag.REDELIVERED if instance.redelivered else 0
        ours = instance.copy.publisher != FOREIGN
        collector.write(
            Kind.FOUND,
            seq=instance.copy.seq,
            publisher=instance.copy.publisher,
            attempt=instance.attempt if ours else 0,
            queue=collector.name(queue.name),
            flags=flags,
            death=death,
            arg=instance.delivery_count,
        )
        self.truth.of(instance.copy).at_rest.append((queue.name, self.role_of(queue)))


class _Foreign:
    """Another program that consumes from one of the queues and acknowledges everything."""

    def __init__(self, broker: Broker, queue: str) -> None:
        self.broker, self.queue = broker, queue
        link = broker.connect("10.0.0.9:40000 -> 127.0.0.1:5672", 0, lambda: None, foreign=True)
        assert link is not None
        self.link: Link = link
        self.consumer = broker.consume(link, queue, self, prefetch=10, automatic=False)

    def send(self, instance: Instance, tag: int, *, redelivered: bool, count: int) -> None:  # noqa: ARG002
        consumer, queue = self.consumer, self.broker.queues[self.queue]
        if consumer is not None:
            self.broker.world.after(300 * US, lambda: queue.ack(consumer, range(tag, tag + 1)))

    def cancelled(self, queue: str) -> None:
        """It does not mind."""


def _publisher_settings(group: Publishers, scenario: Scenario) -> PublisherSettings:
    if group.exchange is not None:
        routes = ((f"{group.exchange}/{group.routing_key}", group.exchange, group.routing_key),)
    else:
        to = (group.to,) if isinstance(group.to, str) else (group.to or (scenario.first_queue,))
        routes = tuple((queue, "", queue) for queue in to)  # type: ignore[assignment]
    gap = 200 * US if group.rate_per_s is None else round(S / group.rate_per_s)
    return PublisherSettings(
        messages=group.messages_each or 0,
        routes=routes,
        window=group.window,
        gap_ns=gap,
        persistent=group.persistent,
        mandatory=group.mandatory,
        again=group.unconfirmed == "republish",
    )


def _worker_settings(group: Workers, scenario: Scenario) -> WorkerSettings:
    work = group.work
    if isinstance(work, RandomWork):
        span = (round(work.random[0] * S), round(work.random[1] * S))
    else:
        assert isinstance(work, float | int)
        span = (round(work * S), round(work * S))
    fails = group.fails if isinstance(group.fails, tuple) else (group.fails,)
    return WorkerSettings(
        queue=group.queue or scenario.first_queue,
        acks={"manual": AckMode.MANUAL, "automatic": AckMode.AUTOMATIC, "early": AckMode.EARLY}[group.acks],
        prefetch=0 if group.acks == "automatic" else group.prefetch,
        work_ns=span,
        every=fails[0].every or 0 if fails else 0,
        fails=fails[0].by if fails else "reject",
        first_delivery_only=fails[0].first_delivery_only if fails else False,
    )
