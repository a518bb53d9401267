"""The agent of a machine by itself: what it hands over, whom it answers, and that nothing of it stays."""

from __future__ import annotations

import gc
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.history.records import Kind, LogHeader
from harness.history.shipping import PART_RECORDS, Cargo, unpack
from harness.scale import agent as agents
from harness.scale.agent import Agent
from harness.traffic.log import EventLog
from harness.traffic.spec import Target, WorkerSpec

HEADER = LogHeader("worker", "worker-1", 1, 1, 4242, ("tasks",))
SPEC = WorkerSpec(Target((("127.0.0.1", 1),), "u", "p"), "", "worker-1", 1, 1, "tasks", ("tasks",))


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Agent:
    monkeypatch.setattr(agents, "get_worker", lambda: SimpleNamespace(local_directory=str(tmp_path)))
    return Agent()


def folder_of(tmp_path: Path) -> Path:
    (folder,) = tmp_path.glob("chaos-*")
    return folder


def test_an_agent_that_was_made_anew_answers_nobody_who_means_the_old_one(agent: Agent) -> None:
    with pytest.raises(KeyError):
        agent.call("the old one", "look")
    assert agent.call(agent.identity(), "look") == ("done", {})


def test_what_fails_comes_back_as_a_sentence_and_not_as_the_loss_of_the_machine(agent: Agent, tmp_path: Path) -> None:
    shutil.rmtree(folder_of(tmp_path))
    outcome, sentence = agent.call(agent.identity(), "start", "worker-1.1", SPEC, ())
    assert outcome == "failed"
    assert "No such file or directory" in sentence


def test_logs_are_handed_over_in_parts(agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "PART_RECORDS", 4)
    log = EventLog(folder_of(tmp_path) / "worker-1.1.log", HEADER)
    for seq in range(10):
        log.write(Kind.DELIVERED, seq=seq)
    log.close()
    identity = agent.identity()
    assert agent.call(identity, "logs") == ("done", {"worker-1.1": Cargo(HEADER, 10, 0)})
    parts = [agent.call(identity, "part", "worker-1.1", first)[1] for first in range(0, 10, 4)]
    assert [unpack(part)["seq"].tolist() for part in parts] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert PART_RECORDS > 1000, "a round trip for each few records would take its time"


def test_its_folder_goes_when_it_is_closed(agent: Agent, tmp_path: Path) -> None:
    assert folder_of(tmp_path).is_dir()
    agent.call(agent.identity(), "close")
    assert list(tmp_path.glob("chaos-*")) == []


def test_its_folder_goes_when_nobody_holds_it_any_more(agent: Agent, tmp_path: Path) -> None:
    another = Agent()
    assert len(list(tmp_path.glob("chaos-*"))) == 2
    del another
    gc.collect()
    assert len(list(tmp_path.glob("chaos-*"))) == 1, agent


def test_a_broker_that_cannot_be_reached_is_named(agent: Agent) -> None:
    outcome, problem = agent.call(agent.identity(), "reach", (("127.0.0.1", 9),))
    assert outcome == "done"
    assert problem is not None
    assert problem.startswith("127.0.0.1:9: ")
