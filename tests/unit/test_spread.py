"""What is asked of an engine's machines before anything runs there, and what becomes of a machine that stops answering."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from harness.engine.host import HostLostError, machine_id
from harness.errors import InfrastructureError
from harness.scale import actor_handle
from harness.scale.actor_handle import DaskWorker
from harness.scale.agent import Agent, Answer
from harness.scale.connect import Engine
from harness.scale.remote import RemoteHost
from harness.scale.spread import Spread
from harness.traffic.spec import Target

TARGET = Target((("127.0.0.1", 5672),), "user", "secret")
AFAR = Target((("broker.example", 5672),), "user", "secret")


@dataclass
class Later:
    """An answer of Dask's to come: a value, an error, or nothing at all."""

    value: Any = None

    def result(self, timeout: float) -> Any:
        if self.value is TimeoutError:
            time.sleep(min(timeout, 0.001))
            raise TimeoutError
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


@dataclass
class FakeAgent:
    """An agent as it is called through Dask."""

    machine_name: str = field(default_factory=machine_id)
    answers: dict[str, Answer | Exception | type[TimeoutError]] = field(default_factory=dict)
    called: list[str] = field(default_factory=list)

    def identity(self) -> Later:
        return Later("this one")

    def clock(self) -> Later:
        return Later(time.monotonic_ns())

    def machine(self) -> Later:
        return Later(self.machine_name)

    def call(self, identity: str, method: str, *_: object) -> Later:
        assert identity == "this one"
        self.called.append(method)
        return Later(self.answers.get(method, ("done", None)))


@dataclass
class Placed:
    """The future of an agent."""

    agent: FakeAgent
    status: str = "finished"

    def result(self, _timeout: float) -> FakeAgent:
        return self.agent


@dataclass
class FakeClient:
    """A client of an engine whose workers are there, or not."""

    agents: dict[str, FakeAgent]
    gone: frozenset[str] = frozenset()
    status: str = "finished"

    def scheduler_info(self, n_workers: int) -> dict[str, dict[str, None]]:
        assert n_workers == -1, "all of them"
        return {"workers": dict.fromkeys(set(self.agents) - self.gone)}

    def submit(self, what: type[Agent], **options: Any) -> Placed:
        assert what is Agent
        assert (options["actor"], options["allow_other_workers"], options["pure"]) == (True, False, False)
        (address,) = options["workers"]
        return Placed(self.agents[address], self.status)


def spread(client: FakeClient) -> Spread:
    return Spread(Engine(cast("Any", client), {address.removeprefix("tcp://"): address for address in client.agents}))


def host(agent: FakeAgent, tmp_path: Path, status: str = "finished") -> RemoteHost:
    client = FakeClient({"tcp://one": agent}, status=status)
    return RemoteHost(cast("Any", client), DaskWorker("one", "tcp://one"), tmp_path)


def test_every_machine_gets_an_agent_and_is_asked_whether_it_reaches_the_broker(tmp_path: Path) -> None:
    client = FakeClient({"tcp://a": FakeAgent(), "tcp://b": FakeAgent()})
    hosts = spread(client).hosts(tmp_path / "logs", TARGET)
    assert [each.name for each in hosts] == ["a", "b"]
    assert [agent.called for agent in client.agents.values()] == [["reach"], ["reach"]]
    assert (tmp_path / "logs").is_dir()


def test_a_machine_that_does_not_reach_the_broker_is_named_and_nothing_is_left_on_the_others(tmp_path: Path) -> None:
    client = FakeClient({"tcp://a": FakeAgent(), "tcp://b": FakeAgent(answers={"reach": ("done", "x:1: refused")})})
    with pytest.raises(InfrastructureError, match="the Dask worker b does not reach the broker at x:1: refused"):
        spread(client).hosts(tmp_path, TARGET)
    assert [agent.called for agent in client.agents.values()] == [["reach", "close"], ["reach", "close"]]


def test_another_machine_is_not_sent_to_a_broker_on_this_ones_loopback(tmp_path: Path) -> None:
    agent = FakeAgent(machine_name="elsewhere")
    with pytest.raises(InfrastructureError, match=r"name a broker that all reach with --broker amqp://"):
        spread(FakeClient({"tcp://a": agent})).hosts(tmp_path, TARGET)
    assert agent.called == ["close"], "something else may listen on that port there"
    (reached,) = spread(FakeClient({"tcp://a": agent})).hosts(tmp_path, AFAR)
    assert reached.name == "a"


def test_a_worker_that_has_gone_since_is_left_out_and_none_at_all_is_told(tmp_path: Path) -> None:
    agents = {"tcp://a": FakeAgent(), "tcp://b": FakeAgent()}
    hosts = spread(FakeClient(agents, frozenset({"tcp://b"}))).hosts(tmp_path, TARGET)
    assert [each.name for each in hosts] == ["a"]
    with pytest.raises(InfrastructureError, match="no Dask worker is left"):
        spread(FakeClient(agents, frozenset(agents))).hosts(tmp_path, TARGET)


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        (OSError("Unable to contact Actor's worker"), "finished", "it is gone"),
        (RuntimeError("Worker holding Actor was lost."), "error", "it is gone"),
        (TimeoutError, "error", "it is gone"),
        (TimeoutError, "finished", r"no answer within 0\.02 s"),
    ],
)
def test_a_machine_that_stops_answering_is_lost(
    answer: Exception | type[TimeoutError],
    status: str,
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(actor_handle, "CALL_TIMEOUT_S", 0.02)
    found = host(FakeAgent(answers={"look": answer}), tmp_path, status)
    with pytest.raises(HostLostError, match=f"the machine one was lost in the middle of the run: {reason}"):
        found.look()


def test_what_fails_on_a_machine_that_is_there_is_no_loss_of_it(tmp_path: Path) -> None:
    found = host(FakeAgent(answers={"start": ("failed", "No space left on device (/x)")}), tmp_path)
    with pytest.raises(InfrastructureError, match=r"^on the machine one: No space left on device \(/x\)$") as told:
        found.start("worker-1.1", cast("Any", None), ())
    assert not isinstance(told.value, HostLostError)


def test_a_machine_that_is_lost_is_closed_without_complaint(tmp_path: Path) -> None:
    close: Callable[[], None] = host(FakeAgent(answers={"close": OSError("gone")}), tmp_path).close
    close()
