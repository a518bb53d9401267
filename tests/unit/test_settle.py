"""What was declared is on disk before anything strikes: written by the broker when told to, else after a wait."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.broker.abilities import abilities
from harness.broker.flush import flush_metadata
from harness.broker.protocol import Broker, ControlResult
from harness.engine.variant import VariantRun, VariantSetting
from harness.errors import BrokerError
from harness.events import Event, MetadataFlushed, Note, Phase, PhaseChanged
from harness.faults.registry import actions
from harness.scenario.scenario import KILL_SETTLE_S, scenario_model


class Asked:
    """A broker of two nodes that notes what is asked of it; the node `failing` refuses."""

    nodes = ("n1", "n2")

    def __init__(self, backend: str = "native", failing: int | None = None) -> None:
        self.abilities = abilities(backend, {})
        self.asked: list[int] = []
        self._failing = failing

    def control(self, *arguments: str, node: int = 0) -> ControlResult:
        assert arguments[0] == "eval"
        self.asked.append(node)
        return (
            ControlResult(1, "", "Error:\nno such\nfunction") if node == self._failing else ControlResult(0, "ok", "")
        )


def test_every_node_writes() -> None:
    asked = Asked()
    flush_metadata(cast("Broker", asked))
    assert asked.asked == [0, 1]


def test_a_node_that_did_not_write_is_told() -> None:
    with pytest.raises(BrokerError, match=r"^n2 did not write its queues to disk: Error: no such function$"):
        flush_metadata(cast("Broker", Asked(failing=1)))


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
    variant._settle(cast("Broker", broker))
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
    events, waited = settled(Asked(failing=0), tmp_path, monkeypatch, **KILLS)
    assert waited == [KILL_SETTLE_S]
    (note,) = [event for event in events if isinstance(event, Note)]
    assert note.message == "n1 did not write its queues to disk: Error: no such function; waiting 5 s instead"
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
