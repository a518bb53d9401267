"""What was declared is on disk before anything strikes: written by the broker when told to, else after a wait."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.broker.abilities import abilities
from harness.broker.flush import flush_metadata
from harness.broker.protocol import Broker, ControlResult
from harness.engine.facts import BrokerFacts
from harness.engine.variant import VariantRun, VariantSetting
from harness.errors import BrokerError
from harness.events import Event, MetadataFlushed, Note, Phase, PhaseChanged
from harness.faults.registry import actions
from harness.scenario.scenario import KILL_SETTLE_S, scenario_model
from harness.traffic.spec import Target
from tests.unit.broker_answers import ANSWERS


class Asked:
    """A broker of two nodes that notes what is asked of it, and may refuse it."""

    nodes = ("n1", "n2")

    def __init__(self, backend: str = "native", *, refuses: bool = False) -> None:
        self.name = backend
        self.abilities = abilities(backend, {})
        self.asked: list[str] = []
        self._refuses = refuses

    def alive(self, node: int = 0) -> bool:  # noqa: ARG002
        return True

    def control(self, *arguments: str, node: int = 0, timeout_s: float = 0.0) -> ControlResult:  # noqa: ARG002
        self.asked.append(arguments[0])
        if self._refuses:
            return ControlResult(1, "", "Error:\nno such\nfunction")
        return ControlResult(0, ANSWERS["4.0.5"], "")


def test_all_nodes_write_in_one_call() -> None:
    asked = Asked()
    flush_metadata(cast("Broker", asked))
    assert asked.asked == ["eval"]


def test_a_broker_that_did_not_write_says_why() -> None:
    with pytest.raises(BrokerError, match=r"^rabbitmqctl failed on n2: Error: no such function$"):
        flush_metadata(cast("Broker", Asked(refuses=True)))


def settled(
    broker: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any
) -> tuple[list[Event], list[float]]:
    """Settle; returns the events and how long was waited, in seconds."""
    monkeypatch.setenv("CHAOS_STATE_DIR", str(tmp_path))
    events: list[Event] = []
    waited: list[float] = []
    setting = VariantSetting(
        "guarantee", scenario_model(actions()).model_validate(TRAFFIC | changes), tmp_path, 1, "token"
    )
    variant = VariantRun(
        setting,
        lambda: (cast("Broker", broker), ""),
        lambda _logs, _target: (),
        listeners=[events.append],
    )
    monkeypatch.setattr("harness.engine.variant.time", SimpleNamespace(monotonic=lambda: 100.0, monotonic_ns=lambda: 1))
    monkeypatch.setattr(variant, "_wait_until", lambda deadline: waited.append(deadline - 100.0))
    target = Target((("127.0.0.1", 1),), "guest", "guest")
    variant._settle(BrokerFacts(cast("Broker", broker), target, setting.scenario.queues, variant="guarantee", own=True))
    return events, waited


TRAFFIC = {"name": "test", "publishers": {"messages": 10}, "workers": {"count": 1}}
KILLS = {"timeline": [{"after": {"confirmed": 1}, "kill": "broker"}]}
QUORUM = {"queues": {"tasks": {"type": "quorum"}}}


@pytest.mark.parametrize("needs", [KILLS, QUORUM])
def test_a_broker_that_can_be_told_writes_and_nothing_is_waited_for(
    needs: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events, waited = settled(Asked(), tmp_path, monkeypatch, **needs)
    assert waited == []
    assert [type(event) for event in events] == [PhaseChanged, MetadataFlushed]


def test_an_external_broker_is_given_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Asked("external")
    events, waited = settled(broker, tmp_path, monkeypatch, **QUORUM)
    assert waited == [KILL_SETTLE_S]
    assert broker.asked == []
    assert [event.phase for event in events if isinstance(event, PhaseChanged)] == [Phase.SETTLE]


def test_a_broker_that_could_not_write_is_given_time_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events, waited = settled(Asked(refuses=True), tmp_path, monkeypatch, **KILLS)
    assert waited == [KILL_SETTLE_S]
    (note,) = [event for event in events if isinstance(event, Note)]
    assert note.message == (
        "the queues were not written to disk: rabbitmqctl failed on n2: Error: no such function; waiting 5 s instead"
    )
    assert not [event for event in events if isinstance(event, MetadataFlushed)]


@pytest.mark.parametrize(("settle", "waits"), [("0s", []), ("2s", [2.0])])
def test_what_a_scenario_says_is_done_and_nothing_else(
    settle: str, waits: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = Asked()
    _, waited = settled(broker, tmp_path, monkeypatch, settle=settle, **KILLS)
    assert waited == waits
    assert broker.asked == []


def test_where_nothing_can_be_forgotten_nothing_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Asked()
    assert settled(broker, tmp_path, monkeypatch) == ([], [])
    assert broker.asked == []
