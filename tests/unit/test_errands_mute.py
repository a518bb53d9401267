"""A broker that stalls, or talks nonsense, is an error in one sentence, after a bounded wait."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pika import spec

from harness.broker import outage
from harness.broker.outage import held_connection
from harness.broker.protocol import Endpoint
from harness.broker.ready import amqp_answers, check_login
from harness.errors import BrokerError
from harness.traffic import closing, connection, errands, login, topology
from harness.traffic.spec import Target
from harness.traffic.topology import QueueDeclaration
from harness.traffic.unreachable import Unreachable
from tests.hostile_broker import TORN_METHOD, UNKNOWN_METHOD, mute_broker

HANDSHAKE = [None, spec.Connection.StartOk, spec.Connection.Open]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (connection, "harness.broker.ready"):
        monkeypatch.setattr(f"{getattr(module, '__name__', module)}.HANDSHAKE_TIMEOUT_S", 0.3)
        monkeypatch.setattr(f"{getattr(module, '__name__', module)}.SOCKET_TIMEOUT_S", 0.3)
    monkeypatch.setattr(closing, "CLOSE_TIMEOUT_S", 0.3)
    monkeypatch.setattr(login, "GREETING_S", 0.3)
    monkeypatch.setattr(outage, "_LOOK_S", 0.3)


def target(port: int) -> Target:
    return Target((("127.0.0.1", port),), "guest", "guest")


ERRANDS: list[tuple[str, Callable[[Target], object]]] = [
    ("declaring the topology", lambda at: topology.declare(at, [], [QueueDeclaration("tasks")], [])),
    ("deleting the scenario's queues", lambda at: topology.delete(at, ["tasks"], [])),
    ("asking for exchanges", lambda at: topology.absent_exchanges(at, ["x"])),
    ("declaring queue 'tasks' again", lambda at: topology.redeclare(at, QueueDeclaration("tasks"))),
    ("purging queue 'tasks'", lambda at: topology.purge(at, "tasks")),
    ("asking for the depth of queues", lambda at: topology.counts(at, ["tasks"])),
    ("the readiness check (a confirmed publish and a consume of it)", topology.round_trip),
]


@pytest.mark.parametrize("until", HANDSHAKE)
@pytest.mark.parametrize(("doing", "errand"), ERRANDS, ids=lambda value: value if isinstance(value, str) else "")
def test_a_handshake_that_stalls_ends_the_errand(
    doing: str, errand: Callable[[Target], object], until: type[spec.Method] | None
) -> None:
    with mute_broker(until) as port, pytest.raises(BrokerError) as raised:
        errand(target(port))
    silent, stalled = "does not answer the AMQP handshake", "did not finish the handshake in time"
    assert str(raised.value).startswith(f"{doing} failed: ")
    assert f"127.0.0.1:{port} " in str(raised.value)
    assert (stalled if until else silent) in str(raised.value)
    assert "is the broker frozen or busy" in str(raised.value)


@pytest.mark.parametrize("then", [UNKNOWN_METHOD, TORN_METHOD], ids=["unknown", "torn"])
@pytest.mark.parametrize("until", [None, spec.Connection.StartOk, spec.Queue.Declare, spec.Connection.Close])
def test_nonsense_ends_the_errand(until: type[spec.Method] | None, then: bytes) -> None:
    with mute_broker(until, then) as port:
        if until is spec.Connection.Close:  # by then the errand is done
            topology.declare(target(port), [], [QueueDeclaration("tasks")], [])
            return
        with pytest.raises(BrokerError, match=r"^declaring .* failed: "):
            topology.declare(target(port), [], [QueueDeclaration("tasks")], [])


@pytest.mark.seconds
def test_a_broker_that_falls_silent_ends_the_errand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errands, "HEARTBEAT_S", 1)
    with (
        mute_broker(spec.Queue.Declare) as port,
        pytest.raises(BrokerError, match=r"^declaring queue 'tasks' failed: "),
    ):
        topology.declare(target(port), [], [QueueDeclaration("tasks")], [])


def test_a_close_that_is_not_answered_is_let_go_of() -> None:
    with mute_broker(spec.Channel.Close) as port:
        topology.declare(target(port), [], [QueueDeclaration("tasks")], [])
    with mute_broker(spec.Connection.Close) as port:
        assert topology.counts(target(port), ["tasks"]) == {"tasks": topology.Counts(0, 1)}


@pytest.mark.parametrize("until", HANDSHAKE)
def test_a_login_that_stalls_is_not_one(until: type[spec.Method] | None) -> None:
    with mute_broker(until) as port, pytest.raises(Unreachable):
        check_login(Endpoint("127.0.0.1", port), 0.5)


@pytest.mark.parametrize("then", [UNKNOWN_METHOD, TORN_METHOD, b"HTTP/1.1 400 Bad Request\r\n"])
def test_nonsense_is_no_broker(then: bytes) -> None:
    with mute_broker(None, then) as port:
        assert not amqp_answers("127.0.0.1", port, timeout_s=0.3)
        with pytest.raises(Unreachable):
            check_login(Endpoint("127.0.0.1", port), 0.5)


@pytest.mark.parametrize("until", HANDSHAKE)
def test_a_broker_that_cannot_be_connected_to_counts_as_down(until: type[spec.Method] | None) -> None:
    with mute_broker(until) as port, held_connection(Endpoint("127.0.0.1", port)) as held:
        assert held.broke(0.3)


def test_nonsense_breaks_a_held_connection() -> None:
    nonsense = mute_broker(spec.Connection.Open, UNKNOWN_METHOD)
    with nonsense as port, held_connection(Endpoint("127.0.0.1", port)) as held:
        assert held.broke(5)
