"""Each way in which there is no broker at an address has a sentence of its own, after a bounded wait."""

from __future__ import annotations

import time

import pytest
from pika import spec

from harness.broker import ready
from harness.broker.address import parse_url
from harness.broker.external import ExternalBroker
from harness.broker.outage import held_connection
from harness.broker.protocol import BrokerSettings
from harness.broker.ready import amqp_answers, check_login, wait_until_ready
from harness.errors import BrokerError
from harness.traffic import closing, connection, console, errands, login
from harness.traffic.greeting import greet
from harness.traffic.spec import Target
from harness.traffic.unreachable import Obstacle, Unreachable
from tests.hostile_broker import HEARTBEAT, MODES, Mode, Peer, hostile_broker, mute_broker, serving

HANG_S = 30.0
"""A bound for what hangs: nothing that is tried takes a tenth of it."""
NO_BROKER = [mode for mode in MODES if not mode.logged_in]
BROKER_AT_FIRST = [mode for mode in MODES if mode.logged_in]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (connection, ready):
        monkeypatch.setattr(module, "HANDSHAKE_TIMEOUT_S", 0.5)
        monkeypatch.setattr(module, "SOCKET_TIMEOUT_S", 0.5)
    for module in (login, ready):
        monkeypatch.setattr(module, "GREETING_S", 0.5)
    monkeypatch.setattr(closing, "CLOSE_TIMEOUT_S", 0.3)
    monkeypatch.setattr(errands, "HEARTBEAT_S", 1)
    monkeypatch.setattr(console, "ANSWER_TIMEOUT_S", 2.0)


def name(mode: Mode) -> str:
    return mode.name


def target(url: str) -> Target:
    at = parse_url(url)
    return Target(((at.host, at.port),), at.username, at.password, at.virtual_host, at.tls)


@pytest.mark.parametrize("mode", NO_BROKER, ids=name)
def test_a_check_says_what_is_in_the_way_and_whether_waiting_may_help(mode: Mode) -> None:
    began = time.monotonic()
    with hostile_broker(mode) as url, pytest.raises(Unreachable, match=mode.says) as raised:
        check_login(parse_url(url), 2.0)
    assert raised.value.lasting is mode.lasting
    assert time.monotonic() - began < HANG_S


@pytest.mark.parametrize("mode", NO_BROKER, ids=name)
def test_a_message_by_hand_is_told_the_same(mode: Mode) -> None:
    with hostile_broker(mode) as url, pytest.raises(BrokerError, match=mode.says) as raised:
        console.publish_text(target(url), "hello", queue="tasks", durable=True, persistent=True)
    assert str(raised.value).startswith("publishing to queue 'tasks' failed: ")


@pytest.mark.parametrize("mode", BROKER_AT_FIRST, ids=name)
def test_what_fails_after_the_login_names_what_was_asked_and_what_came(mode: Mode) -> None:
    with hostile_broker(mode) as url:
        check_login(parse_url(url), 2.0)
        with pytest.raises(BrokerError, match=mode.says):
            console.publish_text(target(url), "hello", queue="tasks", durable=True, persistent=True)


def test_the_modes_meet_every_obstacle_that_a_machine_alone_can_have() -> None:
    met: set[Obstacle] = set()
    for mode in NO_BROKER:
        with hostile_broker(mode) as url, pytest.raises(Unreachable) as raised:
            check_login(parse_url(url), 1.0)
        met.add(raised.value.obstacle)
    assert met == set(Obstacle) - {Obstacle.NOT_RESOLVED, Obstacle.NO_ROUTE, Obstacle.CERTIFICATE}
    assert len({mode.name for mode in MODES}) == len(MODES) >= 40


def test_one_deadline_holds_whatever_is_dripped() -> None:
    began = time.monotonic()

    def drip(peer: Peer) -> None:
        peer.drip(b"\x01\x00\x00\x00\x00\x10\x00" + bytes(4096))

    with serving(drip) as port, pytest.raises(Unreachable, match="did not finish its greeting"):
        greet("127.0.0.1", port, within_s=1.0)
    assert time.monotonic() - began < HANG_S


def test_an_answer_that_never_comes_ends_the_errand_though_heartbeats_do() -> None:
    def beat(peer: Peer) -> None:
        peer.greet()
        peer.serve(spec.Queue.Declare)
        peer.repeat(HEARTBEAT)

    with serving(beat) as port, pytest.raises(BrokerError, match=r"did not answer within 2 s; is it frozen or busy\?$"):
        console.publish_text(target(f"amqp://127.0.0.1:{port}/"), "hello", queue="tasks", durable=True, persistent=True)


def external(url: str, said: list[str], tmp_path_factory: pytest.TempPathFactory) -> ExternalBroker:
    settings = BrokerSettings("run", tmp_path_factory.mktemp("run"), start_timeout_s=1.5)
    return ExternalBroker(settings, url, {}, say=said.append)


@pytest.mark.parametrize("mode", [mode for mode in NO_BROKER if mode.lasting], ids=name)
def test_an_external_broker_is_not_waited_for_where_waiting_does_not_help(
    mode: Mode, tmp_path_factory: pytest.TempPathFactory
) -> None:
    said: list[str] = []
    with hostile_broker(mode) as url, pytest.raises(Unreachable, match=mode.says):
        external(url, said, tmp_path_factory).start()
    assert said == []


@pytest.mark.parametrize("mode", [mode for mode in NO_BROKER if not mode.lasting], ids=name)
def test_an_external_broker_that_may_be_booting_is_waited_for_with_a_word(
    mode: Mode, tmp_path_factory: pytest.TempPathFactory
) -> None:
    said: list[str] = []
    with hostile_broker(mode) as url, pytest.raises(BrokerError, match=rf"was not ready after 1\.5 s: .*{mode.says}"):
        external(url, said, tmp_path_factory).start()
    assert len(said) <= 1
    assert all(line.endswith("waiting up to 1.5 s, in case it is booting") for line in said)


def test_a_broker_of_ones_own_may_refuse_anything_while_it_boots() -> None:
    refusing = next(mode for mode in MODES if mode.name == "wrong password")
    said: list[str] = []
    with (
        hostile_broker(refusing) as url,
        pytest.raises(BrokerError, match=r"was not ready after 1 s: .*refuses the login"),
    ):
        wait_until_ready(parse_url(url), 1.0, on_wait=said.append)
    assert len(said) == 1


def test_one_look_without_an_answer_is_no_outage() -> None:
    looks: list[None] = []

    def busy_once(peer: Peer) -> None:
        looks.append(None)
        if len(looks) == 2:  # the first is the connection that is held
            peer.stay()
        peer.greet()
        peer.serve()

    with serving(busy_once) as port, held_connection(parse_url(f"amqp://127.0.0.1:{port}/")) as held:
        assert not held.broke(3.0)
    assert len(looks) > 2


def test_silence_that_goes_on_is_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.broker.outage._LOOK_S", 0.1)
    looks: list[None] = []

    def frozen(peer: Peer) -> None:
        looks.append(None)
        if len(looks) > 1:
            peer.stay()
        peer.greet()
        peer.serve()

    with serving(frozen) as port, held_connection(parse_url(f"amqp://127.0.0.1:{port}/")) as held:
        assert held.broke(HANG_S)


def test_a_broker_that_greets_answers_with_whatever_comes_after() -> None:
    with mute_broker(spec.Connection.StartOk) as port:
        assert amqp_answers("127.0.0.1", port, timeout_s=HANG_S)
