"""Publishers and workers on hosts: who runs where, what holds nobody up, and what becomes of those on a machine that is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

import pytest
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from harness.effects import Becomes
from harness.engine import plan as planning
from harness.engine import processes as supervision
from harness.engine.counters import ActorCounters
from harness.engine.host import Gathered, HostLoad, HostLostError, Seen
from harness.engine.links import DirectLinks
from harness.engine.plan import RunSettings
from harness.engine.processes import Processes
from harness.errors import InfrastructureError
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
from harness.traffic.spec import PublisherSpec, Target, WorkerSpec
from tests.unit.histories import scenario

E = TypeVar("E", bound=Event)
SESSION = RunSettings(DirectLinks(Target((("127.0.0.1", 1),), "u", "p")), "token", 1, ("tasks",))


def wait_until(condition: Callable[[], bool]) -> None:
    Retrying(stop=stop_after_delay(30), wait=wait_fixed(0.001), retry=retry_if_result(lambda met: not met))(condition)


class FakeHost:
    """A machine whose processes do as the test says."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive: dict[str, Seen] = {}
        self.said: list[tuple[str, str]] = []
        self.earlier: dict[str, tuple[str, ...]] = {}
        self.lost = False
        self.may_start = threading.Event()
        self.may_start.set()
        self.starting = threading.Event()

    def _must_be_there(self) -> None:
        if self.lost:
            raise HostLostError(self.name, "the cable is cut")

    def start(self, process: str, spec: PublisherSpec | WorkerSpec, earlier: tuple[str, ...]) -> int:
        self._must_be_there()
        assert spec.log == ""
        self.starting.set()
        assert self.may_start.wait(30)
        self.earlier[process] = earlier
        self.alive[process] = Seen(None, ActorCounters(connected=True, consuming=True))
        return 4000 + len(self.earlier)

    def command(self, process: str, line: str) -> None:
        self._must_be_there()
        self.said.append((process, line))
        if line == "stop":
            self.end(process, 0)

    def freeze(self, process: str) -> ActorCounters | None:
        self._must_be_there()
        seen = self.alive[process]
        return seen.counters if seen.exit_code is None else None

    def thaw(self, process: str) -> None:
        self._must_be_there()
        self.said.append((process, "thawed"))

    def kill(self, process: str) -> None:
        self._must_be_there()
        self.end(process, -9)

    def look(self) -> dict[str, Seen]:
        self._must_be_there()
        return dict(self.alive)

    def last_error(self, process: str) -> str:
        return f"{process} says why"

    def load(self) -> HostLoad:
        self._must_be_there()
        return HostLoad(self.name, 1, 1.0, {})

    def gather(self) -> Gathered | None:
        self._must_be_there()
        return Gathered(self.name, 5, 6, 7)

    def close(self) -> None:
        """Nothing runs here."""

    def end(self, process: str, exit_code: int) -> None:
        self.alive[process] = replace(self.alive[process], exit_code=exit_code)

    def has_done(self, process: str, **counts: int) -> None:
        self.alive[process] = Seen(None, replace(ActorCounters(), **counts))  # type: ignore[arg-type]


class Stage:
    """Two machines, two publishers and three workers."""

    def __init__(self, **changes: object) -> None:
        self.hosts = (FakeHost("one"), FakeHost("two"))
        self.events: list[Event] = []
        self.scenario: Scenario = scenario(
            **{"publishers": {"count": 2, "messages": 10}, "workers": {"count": 3}, **changes}
        )
        self.processes = Processes(self.scenario, SESSION, self.hosts, emit=self.events.append, variant="guarantee")
        self.processes.add(planning.workers(self.scenario))
        self.processes.add(planning.publishers(self.scenario))
        assert self.processes.poll() is None

    def host_of(self, process: str) -> FakeHost:
        return next(host for host in self.hosts if process in host.alive)

    def of_kind(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.processes.kill_all()


def test_publishers_and_workers_are_spread_evenly_and_the_events_say_where(stage: Stage) -> None:
    where = {event.actor: event.host for event in stage.of_kind(ProcessStarted)}
    assert where == {
        "worker-1": "two",
        "worker-2": "one",
        "worker-3": "two",
        "publisher-1": "one",
        "publisher-2": "two",
    }


def test_what_comes_back_comes_back_where_its_log_is(stage: Stage) -> None:
    stage.processes.kill("publisher-2", 0)
    stage.processes.start("publisher-2")
    assert stage.hosts[1].earlier["publisher-2.2"] == ("publisher-2.1",)


def test_counters_of_all_machines_add_up_and_what_a_dead_one_held_is_gone(stage: Stage) -> None:
    stage.host_of("worker-1.1").has_done("worker-1.1", processed=5, in_flight=2)
    stage.host_of("worker-2.1").has_done("worker-2.1", processed=7, in_flight=3)
    stage.processes.poll()
    assert (stage.processes.totals().processed, stage.processes.totals().in_flight) == (12, 5)
    stage.processes.kill("worker-2", 0)
    assert (stage.processes.totals().processed, stage.processes.totals().in_flight) == (12, 2)


def test_a_process_that_takes_its_time_to_start_holds_up_nobody_who_counts(stage: Stage) -> None:
    """A step strikes by its counter while another starts a publisher again."""
    one = stage.hosts[0]
    stage.processes.kill("publisher-1", 0)
    stage.processes.kill("publisher-2", 0)
    one.may_start.clear()
    one.starting.clear()
    start = threading.Thread(target=stage.processes.start, args=("publisher-1",))
    start.start()
    assert one.starting.wait(30)
    try:
        one.has_done("worker-2.1", processed=3)
        assert stage.processes.poll() is None
        assert stage.processes.totals().processed == 3
        assert not stage.processes.publishers_done(), "one is just being started"
    finally:
        one.may_start.set()
        start.join()
    assert stage.processes.living("publisher") == ("publisher-1",)


def test_one_that_is_being_started_when_all_are_killed_is_killed_too(stage: Stage) -> None:
    one = stage.hosts[0]
    stage.processes.kill("publisher-1", 0)
    one.may_start.clear()
    one.starting.clear()
    start = threading.Thread(target=stage.processes.start, args=("publisher-1",))
    start.start()
    assert one.starting.wait(30)
    kill = threading.Thread(target=stage.processes.kill_all)
    kill.start()
    one.may_start.set()
    start.join()
    kill.join()
    stage.processes.start("publisher-1")
    assert one.alive["publisher-1.2"].exit_code == -9
    assert "publisher-1.3" not in one.alive


ROLES: dict[str, Role] = {"worker-1": "worker", "publisher-1": "publisher"}
HOLDERS = [
    ("worker-1", {"uncompleted": 4}),
    ("publisher-1", {"unsettled": 4}),
]


@pytest.mark.parametrize(("actor", "held"), HOLDERS)
def test_a_holder_is_killed(stage: Stage, actor: str, held: dict[str, int]) -> None:
    stage.host_of(f"{actor}.1").has_done(f"{actor}.1", **held)
    assert stage.processes.strike_if_holding(actor, 3, Becomes.KILLED) == Holding(4)
    (exited,) = stage.of_kind(ProcessExited)
    assert (exited.actor, exited.exit_code, exited.cause, exited.fault) == (actor, -9, "fault", 3)


@pytest.mark.parametrize(("actor", "held"), HOLDERS)
def test_a_holder_is_asked_to_stop_before_it_goes_on(stage: Stage, actor: str, held: dict[str, int]) -> None:
    host = stage.host_of(f"{actor}.1")
    host.has_done(f"{actor}.1", **held)
    assert stage.processes.strike_if_holding(actor, 3, Becomes.STOPPED) == Holding(4, exit_code=0)
    assert host.said[-2:] == [(f"{actor}.1", "stop"), (f"{actor}.1", "thawed")]
    (exited,) = stage.of_kind(ProcessExited)
    assert (exited.actor, exited.cause, exited.fault) == (actor, "fault", 3)


@pytest.mark.parametrize(("actor", "held"), HOLDERS)
def test_a_holder_stays_frozen_until_one_that_is_paused_and_holds_something_is_resumed(
    stage: Stage, actor: str, held: dict[str, int]
) -> None:
    host, role = stage.host_of(f"{actor}.1"), ROLES[actor]
    host.has_done(f"{actor}.1", **held)
    assert stage.processes.strike_if_holding(actor, 3, Becomes.THAWED) is None  # it runs
    assert stage.processes.strike_if_holding(actor, 3, Becomes.FROZEN) == Holding(4)
    assert stage.processes.paused(role) == (actor,)
    assert (f"{actor}.1", "thawed") not in host.said
    assert stage.processes.strike_if_holding(actor, 3, Becomes.FROZEN) is None  # it is frozen already
    assert stage.processes.strike_if_holding(actor, 3, Becomes.THAWED) == Holding(4)
    assert (f"{actor}.1", "thawed") in host.said
    assert [event.actor for event in stage.of_kind(ProcessPaused)] == [actor]
    assert [event.actor for event in stage.of_kind(ProcessResumed)] == [actor]


@pytest.mark.parametrize("becomes", [Becomes.KILLED, Becomes.STOPPED, Becomes.FROZEN])
def test_one_that_holds_nothing_is_thawed_and_goes_on(stage: Stage, becomes: Becomes) -> None:
    assert stage.processes.strike_if_holding("worker-2", 3, becomes) is None
    assert stage.hosts[0].said == [("worker-2.1", "thawed")]
    assert stage.processes.paused("worker") == ()
    assert stage.of_kind(ProcessExited) == []


def test_a_paused_one_that_holds_something_can_be_killed(stage: Stage) -> None:
    stage.host_of("worker-1.1").has_done("worker-1.1", uncompleted=2)
    stage.processes.pause("worker-1")
    assert stage.processes.strike_if_holding("worker-1", 3, Becomes.KILLED) == Holding(2)
    assert stage.processes.living("worker") == ("worker-2", "worker-3")


def test_one_that_ends_unasked_is_named_with_its_last_words(stage: Stage) -> None:
    stage.host_of("worker-3.1").end("worker-3.1", 1)
    assert stage.processes.poll() == "worker-3 exited unexpectedly with code 1: worker-3.1 says why"


def test_one_that_crashed_on_a_poison_message_comes_back_by_itself() -> None:
    made = Stage(workers={"count": 1, "back_after": "0s"})
    host = made.host_of("worker-1.1")
    host.end("worker-1.1", 70)
    try:
        assert made.processes.poll() is None
        wait_until(lambda: made.processes.poll() is None and made.processes.living("worker") == ("worker-1",))
        assert "worker-1.2" in host.alive
    finally:
        made.processes.kill_all()


def test_a_failure_to_bring_one_back_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Stage(workers={"count": 1, "back_after": "0s"})
    host = made.host_of("worker-1.1")

    def no_room(*_: object) -> int:
        raise InfrastructureError("no room")

    monkeypatch.setattr(host, "start", no_room)
    host.end("worker-1.1", 70)

    def comes_out() -> bool:
        try:
            made.processes.poll()
        except InfrastructureError as error:
            return str(error) == "no room"
        return False

    wait_until(comes_out)
    made.processes.kill_all()


def test_all_stop_in_order_and_one_that_does_not_is_killed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "STOP_GRACE_S", 0.05)
    deaf = stage.host_of("worker-2.1")
    monkeypatch.setattr(deaf, "command", lambda *_: None)
    assert stage.processes.stop_all("worker") == ("worker-2",)
    ends = {event.actor: (event.exit_code, event.cause) for event in stage.of_kind(ProcessExited)}
    assert ends == {"worker-1": (0, "stop"), "worker-2": (-9, "stop"), "worker-3": (0, "stop")}


def test_a_machine_that_is_lost_is_told_of_once_with_all_that_ran_there(stage: Stage) -> None:
    stage.hosts[1].lost = True
    with pytest.raises(HostLostError, match="the machine two was lost in the middle of the run: the cable is cut"):
        stage.processes.poll()
    with pytest.raises(HostLostError):
        stage.processes.kill("worker-1", 0)
    (told,) = stage.of_kind(HostLost)
    assert (told.host, told.actors) == ("two", ("worker-1", "worker-3", "publisher-2"))
    assert [load.machine for load in stage.processes.loads()] == ["one"]


def test_what_runs_elsewhere_is_ended_and_gathered_all_the_same(stage: Stage) -> None:
    stage.hosts[1].lost = True
    stage.processes.kill_all()
    stage.processes.gather()
    stage.processes.gather()
    assert {seen.exit_code for seen in stage.hosts[0].alive.values()} == {-9}
    assert [event.host for event in stage.of_kind(HostGathered)] == ["one"]


def test_a_machine_that_is_lost_with_the_records_just_before_they_are_brought_here_is_told_of(stage: Stage) -> None:
    stage.processes.kill_all()
    stage.hosts[0].lost = True
    with pytest.raises(HostLostError):
        stage.processes.gather()
    assert [event.host for event in stage.of_kind(HostLost)] == ["one"]
