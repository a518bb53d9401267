"""One variant's run through its phases: provision, ready, declare, settle, traffic, heal, drain, collect, clean up."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness.broker.lent import LentBroker
from harness.broker.protocol import Broker
from harness.engine import plan as planning
from harness.engine.by_hand import ManualPublisher
from harness.engine.disk_reserve import DiskReserve
from harness.engine.drain import Drain
from harness.engine.facts import BrokerFacts
from harness.engine.host import Host
from harness.engine.links import DirectLinks, Links
from harness.engine.outbox import Outbox
from harness.engine.plan import RunSettings
from harness.engine.processes import Processes
from harness.engine.standby import Standby
from harness.engine.timeline import Timeline
from harness.engine.traffic import IDLE_POLL_S, Participants, Traffic
from harness.engine.watch import BrokerWatch
from harness.errors import BrokerError, InfrastructureError
from harness.events import (
    BrokerBooting,
    BrokerStarted,
    Drained,
    InfrastructureFailed,
    Listener,
    LogsKept,
    MetadataFlushed,
    Phase,
    PhaseChanged,
    Progress,
)
from harness.history.records import LogHeader
from harness.interrupts import shielded
from harness.scenario.scenario import Scenario
from harness.traffic import topology
from harness.traffic.collector import collect
from harness.traffic.log import EventLog
from harness.traffic.spec import Target
from harness.unforeseen import described

OUTLIVING = frozenset({"external", "compose"})
"""Backends whose broker may have been there before the run, and may go on after it."""
PROGRESS_EVERY_S = 0.2
HEAL_TIMEOUT_S = 120.0
PUBLISHER_FINISH_TIMEOUT_S = 120.0
"""How long publishers may take, after everything is healed, to send the rest and get it confirmed."""


@dataclass(frozen=True, slots=True)
class VariantSetting:
    """What one variant's run is made of."""

    name: str
    scenario: Scenario
    directory: Path
    """logs/, events.jsonl and broker/ go here."""
    seed: int
    token: str
    """Names the variant's run in message identities."""


class VariantRun:
    """Runs one variant and leaves its logs and events behind. It judges nothing."""

    def __init__(
        self,
        setting: VariantSetting,
        make_broker: Callable[[], tuple[Broker, str]],
        make_hosts: Callable[[Path, Target], tuple[Host, ...]],
        *,
        listeners: Sequence[Listener],
        standby: Standby | None = None,
        make_links: Callable[[VariantSetting, Target], Links] | None = None,
    ) -> None:
        """Prepare; `make_broker` returns a broker that is not started yet, and why this one.

        `make_links` gives the ways from publishers and workers to the broker, which are direct without it. `make_hosts` gives the machines for publishers and workers: for a folder of logs, and a broker that they must reach. What starts
        them on this machine, `standby`, is filled while the broker boots.
        """
        self._setting = setting
        self._scenario = setting.scenario
        self._make_broker = make_broker
        self._make_hosts = make_hosts
        self._standby = standby
        self._make_links = make_links
        self._links: Links | None = None
        self._outbox = Outbox(setting.name, listeners)
        self._phase = Phase.PROVISION
        self._phase_began_ns = 0
        self._broker: Broker | None = None
        self._hosts: tuple[Host, ...] = ()
        self._cast: Participants | None = None
        self._last_progress = 0.0
        self._watch: BrokerWatch | None = None
        self._facts: BrokerFacts | None = None
        self._room = DiskReserve()
        self._take_away: Callable[[], None] = lambda: None
        self.cleaned_up = True
        """False once something could not be undone."""

    def execute(self) -> None:
        """Run every phase. Whatever fails becomes an event; KeyboardInterrupt is passed on, cleaned up."""
        try:
            self._run()
        except Exception as error:
            self._retire("its last variant failed")
            self._outbox.emit(
                InfrastructureFailed(at_ns=_now(), variant=self._setting.name, message=self._described(error))
            )
        except BaseException:
            self._retire("its last variant was interrupted")
            raise
        finally:
            with shielded():
                self._clean_up()

    # Phases.

    def _run(self) -> None:
        broker = self._provision()
        target = self._target(broker)
        self._enter(Phase.DECLARE)
        self._remember_what_was_there(broker, target)
        topology.declare(target, *planning.declarations(self._scenario))
        facts = self._facts = BrokerFacts(
            broker,
            target,
            self._scenario.queues,
            variant=self._setting.name,
            own=broker.name not in OUTLIVING,
        )
        self._settle(facts)
        facts.begin()
        self._traffic(broker, target, facts)
        self._heal()
        self._drain(target, facts)
        self._collect(target)

    def _provision(self) -> Broker:
        self._enter(Phase.PROVISION)
        self._room.take(self._setting.directory)
        broker, reason = self._make_broker()
        self._broker = broker
        if self._standby is not None:
            planned = (*planning.publishers(self._scenario), *planning.workers(self._scenario))
            self._standby.fill(self._setting.directory / "logs", len(planned))
        runs = broker.borrow() if isinstance(broker, LentBroker) else broker.name == "external"
        if not runs:
            self._outbox.emit(
                BrokerBooting(at_ns=_now(), variant=self._setting.name, backend=broker.name, reason=reason)
            )
        broker.start()
        self._enter(Phase.READY)
        topology.round_trip(self._target(broker))
        versions = broker.versions()
        self._outbox.emit(
            BrokerStarted(
                at_ns=_now(),
                variant=self._setting.name,
                backend=broker.name,
                reason=f"{reason}; {broker.origin}" if isinstance(broker, LentBroker) else reason,
                endpoint=str(broker.endpoint()),
                nodes=broker.nodes,
                rabbitmq=versions.rabbitmq,
                erlang=versions.erlang,
                image=versions.image,
                image_digest=versions.image_digest,
            )
        )
        return broker

    def _remember_what_was_there(self, broker: Broker, target: Target) -> None:
        """On a broker that outlives the run: what the scenario adds to it is taken away again, and nothing else."""
        if broker.name not in OUTLIVING:
            return
        there = topology.ready_messages(target, tuple(self._scenario.queues))
        for name, count in there.items():
            if count:
                self._outbox.note(f"queue {name} was there before, with {count:,} messages")
        added = tuple(name for name, count in there.items() if count is None)
        exchanges = topology.absent_exchanges(target, tuple(self._scenario.exchanges))
        self._take_away = lambda: topology.delete(target, added, exchanges)

    def _settle(self, facts: BrokerFacts) -> None:
        """Get what was declared to disk before anything strikes: written by the broker where it can be asked to, else given time."""
        wait_s = self._scenario.settle_s
        if not wait_s:
            return
        self._enter(Phase.SETTLE)
        if self._scenario.settle is None and facts.can_ask:
            try:
                facts.flush()
            except BrokerError as error:
                self._outbox.note(f"the queues were not written to disk: {error}; waiting {wait_s:g} s instead")
            else:
                self._outbox.emit(MetadataFlushed(at_ns=_now(), variant=self._setting.name))
                return
        self._wait_until(time.monotonic() + wait_s)

    def _target(self, broker: Broker) -> Target:
        endpoints = [broker.endpoint(node) for node in range(max(1, len(broker.nodes)))]
        first = endpoints[0]
        return Target(
            addresses=tuple((endpoint.host, endpoint.port) for endpoint in endpoints),
            username=first.username,
            password=first.password,
            virtual_host=first.virtual_host,
            tls=first.tls,
            client_name=f"chaos-{self._setting.token}",
        )

    def _traffic(self, broker: Broker, target: Target, facts: BrokerFacts) -> None:
        self._enter(Phase.TRAFFIC)
        setting, scenario = self._setting, self._scenario
        logs, queue_names = setting.directory / "logs", tuple(scenario.queues)
        self._hosts = self._make_hosts(logs, target)
        links = self._links = DirectLinks(target) if self._make_links is None else self._make_links(setting, target)
        processes = Processes(
            scenario,
            RunSettings(links, setting.token, setting.seed, queue_names),
            self._hosts,
            emit=self._outbox.put,
            variant=setting.name,
        )
        number = len(planning.publishers(scenario)) + 1
        hand = ManualPublisher(logs, target, token=setting.token, number=number, queues=queue_names)
        timeline = Timeline(
            scenario,
            broker=broker,
            processes=processes,
            target=target,
            publish=hand.publish,
            seed=setting.seed,
            emit=self._outbox.put,
            variant=setting.name,
        )
        cast = self._cast = Participants(processes, timeline, hand)
        self._watch = BrokerWatch(broker, timeline)
        Traffic(
            scenario,
            cast,
            outbox=self._outbox,
            variant=setting.name,
            housekeep=self._housekeep,
            before_release=lambda: self._outbox.emit(facts.first()),
        ).run()

    @property
    def _actors(self) -> Participants:
        assert self._cast is not None  # noqa: S101 - the traffic phase made it
        return self._cast

    def _heal(self) -> None:
        self._enter(Phase.HEAL)
        processes = self._actors.processes
        errors = self._actors.timeline.heal(HEAL_TIMEOUT_S)
        processes.resume_all()
        self._outbox.pump()
        if errors:
            raise InfrastructureError("; ".join(self._described(error) for error in errors))
        deadline = time.monotonic() + PUBLISHER_FINISH_TIMEOUT_S
        while not processes.publishers_done() and time.monotonic() < deadline:
            self._housekeep()
            time.sleep(IDLE_POLL_S)
        for actor in processes.stop_all("publisher"):
            self._outbox.note(f"{actor} did not stop in time and was ended with SIGKILL")

    def _drain(self, target: Target, facts: BrokerFacts) -> None:
        self._enter(Phase.DRAIN)
        processes = self._actors.processes
        result = Drain(self._scenario, processes, facts, target, self._housekeep).run()
        self._outbox.emit(
            Drained(at_ns=_now(), variant=self._setting.name, complete=result.complete, reason=result.reason)
        )
        self._outbox.emit(result.look or facts.take("after the drain", processes.consumers()).look)
        for actor in processes.stop_all("worker"):
            self._outbox.note(f"{actor} did not stop in time and was ended with SIGKILL")
        self._outbox.pump()

    def _collect(self, target: Target) -> None:
        self._actors.processes.gather()
        self._outbox.pump()
        header = LogHeader("collector", "collector", 0, 1, os.getpid(), tuple(self._scenario.queues))
        log = EventLog(self._setting.directory / "logs" / "collector.log", header)
        try:
            left = collect(
                target, tuple(self._scenario.queues), log, self._setting.token, single_active=self._single_active
            )
        finally:
            log.close()
        for name, found in left.items():
            match found.state:
                case "read":
                    continue
                case "missing":
                    self._outbox.note(f"queue {name} is not there any more")
                case state:
                    self._outbox.note(
                        f"queue {name} was not looked at, as a consumer that is not the run's has it for itself ({state}); "
                        f"it says that {found.messages:,} messages are ready"
                    )

    @property
    def _single_active(self) -> frozenset[str]:
        topology = self._scenario.topology
        return frozenset(name for name in topology.queues if topology.policy(name).single_active_consumer)

    # Housekeeping.

    def _housekeep(self) -> None:
        """What must go on in every phase with processes: events, failures, progress, a watch on the broker."""
        self._outbox.pump()
        broken = self._links.failure() if self._links is not None else None
        failure = broken or self._actors.processes.poll()
        if failure is not None:
            self._outbox.pump()
            raise InfrastructureError(failure)
        now = time.monotonic()
        if now - self._last_progress >= PROGRESS_EVERY_S:
            self._last_progress = now
            self._progress()
        if self._watch is not None:
            self._watch.check()

    def _progress(self) -> None:
        totals = self._actors.totals()
        self._outbox.emit(
            Progress(
                at_ns=_now(),
                variant=self._setting.name,
                phase=self._phase,
                published=totals.published,
                confirmed=totals.confirmed,
                delivered=totals.delivered,
                processed=totals.processed,
                acked=totals.acked,
                backlog=totals.backlog,
                in_flight=totals.in_flight,
                expected_messages=self._scenario.expected_messages,
                expected_copies=self._scenario.expected_copies,
            )
        )

    def _wait_until(self, deadline: float) -> None:
        while time.monotonic() < deadline:
            self._outbox.pump()
            time.sleep(min(IDLE_POLL_S, max(0.0, deadline - time.monotonic())))

    def _enter(self, phase: Phase) -> None:
        self._phase = phase
        self._phase_began_ns = _now()
        self._outbox.emit(PhaseChanged(at_ns=self._phase_began_ns, variant=self._setting.name, phase=phase))

    def _clean_up(self) -> None:
        """Undo everything, whatever happened; what cannot be undone is said."""
        problems: list[str] = []
        cast = self._cast
        undos: tuple[Callable[[], object], ...] = (
            partial(self._enter, Phase.CLEAN_UP),
            *(() if cast is None else (cast.timeline.close, cast.processes.kill_all, cast.processes.gather)),
            *(host.close for host in self._hosts),
            *(() if self._standby is None else (self._standby.close,)),
            *(() if self._links is None else (self._links.close,)),
            self._room.give_up,
            self._take_away,
            *(() if self._broker is None else (partial(self._keep_logs, self._broker),)),
            *(() if self._broker is None else (partial(self._let_go, self._broker, problems),)),
            *(() if self._facts is None else (self._facts.close,)),
            *(() if cast is None else (cast.hand.close, self._tell_of_logs)),
        )
        for undo in undos:
            try:
                undo()
            except Exception as error:  # one step of the clean-up that fails keeps none of the others from being done
                problems.append(self._described(error))
        self.cleaned_up = not problems
        for problem in problems:
            self._outbox.note(f"clean-up: {problem}; `chaos clean` removes what is left")
        self._outbox.pump()

    def _tell_of_logs(self) -> None:
        from harness.history.history import logs_kept  # noqa: PLC0415 - it takes time to import, and is wanted late

        kept = logs_kept(self._setting.directory)
        self._outbox.emit(LogsKept(at_ns=_now(), variant=self._setting.name, records=kept))

    def _let_go(self, broker: Broker, problems: Sequence[str]) -> None:
        """End the broker, or give it back: not to be used again if something of this variant may still act on it."""
        if problems:
            self._retire("its last variant could not be cleaned up")
        broker.destroy()

    def _retire(self, why: str) -> None:
        if isinstance(self._broker, LentBroker):
            self._broker.retire(why)

    def _described(self, error: BaseException) -> str:
        return described(error, self._setting.directory)

    def _keep_logs(self, broker: Broker) -> None:
        folder = self._setting.directory / "broker"
        folder.mkdir(parents=True, exist_ok=True)
        logs = broker.logs()
        for node, log in logs.items():
            (folder / f"{node}.log").write_text(log, encoding="utf-8")
        if self._facts is not None:
            self._outbox.emit(self._facts.others(logs))


def _now() -> int:
    return time.monotonic_ns()
