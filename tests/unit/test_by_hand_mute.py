"""A message by hand to a broker that falls silent, or talks nonsense, ends in one sentence, with the end of its connection in its log."""

from __future__ import annotations

from pathlib import Path

import pytest
from pika import spec

from harness.engine.by_hand import ManualPublisher
from harness.errors import BrokerError
from harness.history.read import read_log
from harness.history.records import Kind
from harness.traffic import closing, connection, errands, login
from harness.traffic.spec import Target
from tests.hostile_broker import HEARTBEAT, UNKNOWN_METHOD, Peer, mute_broker, serving

RUN = "run-0"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HANDSHAKE_TIMEOUT_S", 0.3)
    monkeypatch.setattr(login, "GREETING_S", 0.3)
    monkeypatch.setattr(closing, "CLOSE_TIMEOUT_S", 0.3)
    monkeypatch.setattr(errands, "ANSWER_TIMEOUT_S", 0.5)


def publish(port: int, logs: Path) -> None:
    hand = ManualPublisher(
        logs, Target((("127.0.0.1", port),), "guest", "guest"), token=RUN, number=2, queues=("tasks",)
    )
    try:
        hand.publish("tasks", "hello", 1)
    finally:
        hand.close()


@pytest.mark.parametrize("until", [None, spec.Connection.StartOk, spec.Connection.Open, spec.Channel.Open])
def test_a_broker_that_stalls_in_the_handshake_ends_it(
    until: type[spec.Connection.Open] | None, tmp_path: Path
) -> None:
    with mute_broker(until) as port, pytest.raises(BrokerError, match=r"^publishing by hand to 'tasks' failed: "):
        publish(port, tmp_path)


@pytest.mark.parametrize("then", [b"", HEARTBEAT, UNKNOWN_METHOD], ids=["silence", "heartbeats", "nonsense"])
def test_a_confirm_that_never_comes_ends_it_and_is_in_its_log(then: bytes, tmp_path: Path) -> None:
    def serve(peer: Peer) -> None:
        peer.greet()
        peer.serve(spec.Basic.Publish)
        if then:
            peer.repeat(then)
        peer.stay()

    with serving(serve) as port, pytest.raises(BrokerError, match=r"^publishing by hand to 'tasks' failed: "):
        publish(port, tmp_path)
    kinds = read_log(tmp_path / "hand.1.log").records["kind"].tolist()
    assert kinds == [Kind.CONNECTED, Kind.PUBLISHED, Kind.CONNECTION_LOST]
