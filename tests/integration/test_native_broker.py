"""The native backend: a broker of one's own that keeps what it must, can be struck, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pika
import psutil
import pytest

from harness.broker import install
from harness.broker.debian import codename
from harness.broker.flush import flush_metadata
from harness.broker.install import Installation, find_installation
from harness.broker.native import NativeBroker
from harness.broker.ports import HOST, LOW
from harness.broker.protocol import Broker, BrokerSettings, StopReport
from harness.broker.ready import amqp_answers, connection_parameters
from harness.broker.together import together
from harness.errors import BrokerError
from harness.ledger import TOKEN_VARIABLE, Ledger
from harness.leftovers import sweep
from tests.integration.backends import require
from tests.integration.stage import wait_until
from tests.required import lacking

pytestmark = pytest.mark.native

QUEUE = "tasks"
PERSISTENT, TRANSIENT = 2, 1
MESSAGES = 50

Make = Callable[..., NativeBroker]


@pytest.fixture(scope="module")
def installation() -> Installation:
    require("native")
    found = find_installation()
    assert found is not None
    return found


@pytest.fixture(scope="module")
def make_lasting(tmp_path_factory: pytest.TempPathFactory, installation: Installation) -> Iterator[Make]:
    yield from _maker(lambda: tmp_path_factory.mktemp("native"), installation)


@pytest.fixture
def make(tmp_path_factory: pytest.TempPathFactory, installation: Installation) -> Iterator[Make]:
    """Makes brokers that are not started yet; whatever is left of them goes at the end."""
    yield from _maker(lambda: tmp_path_factory.mktemp("native"), installation)


def _maker(place: Callable[[], Path], installation: Installation) -> Iterator[Make]:
    made: list[NativeBroker] = []
    books: list[Ledger] = []

    def make(*, of: Installation = installation, **settings: object) -> NativeBroker:
        directory = place()
        book = Ledger(directory.name)
        books.append(book)
        broker = NativeBroker(BrokerSettings(directory.name, directory, **settings), of, book)  # type: ignore[arg-type]
        made.append(broker)
        return broker

    yield make
    for broker in made:
        broker.destroy()
    for book in books:
        book.close()


@pytest.fixture(scope="module")
def lasting(make_lasting: Make) -> NativeBroker:
    broker = make_lasting()
    broker.start()
    return broker


@pytest.fixture
def broker(lasting: NativeBroker) -> Iterator[NativeBroker]:
    """A broker that runs; a test may stop, kill or freeze it."""
    yield lasting
    lasting.resume()
    lasting.start_node()


def publish(broker: Broker, *, durable: bool, delivery_mode: int, node: int = 0) -> None:
    """Publish with confirms into a fresh queue; what is not confirmed raises."""
    with pika.BlockingConnection(connection_parameters(broker.endpoint(node))) as connection:
        channel = connection.channel()
        channel.queue_delete(QUEUE)
        channel.queue_declare(QUEUE, durable=durable)
        channel.confirm_delivery()
        for number in range(MESSAGES):
            properties = pika.BasicProperties(delivery_mode=delivery_mode)
            channel.basic_publish("", QUEUE, f"task {number}".encode(), properties, mandatory=True)


def consume(broker: Broker, node: int = 0) -> list[str]:
    """Take everything out of the queue, in its order."""
    with pika.BlockingConnection(connection_parameters(broker.endpoint(node))) as connection:
        channel = connection.channel()
        bodies = []
        while (found := channel.basic_get(QUEUE, auto_ack=True))[0] is not None:
            bodies.append(found[2].decode())
    return bodies


ALL = [f"task {number}" for number in range(MESSAGES)]


ENDS_WITHIN_S = 30.0
"""A bound for what ends by itself."""


def left_of(broker: NativeBroker) -> list[psutil.Process]:
    """What is left of a node once its helpers, which end by themselves when it is gone, have had the time to."""
    deadline = time.monotonic() + ENDS_WITHIN_S
    while (left := of_this(broker)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return left


def of_this(broker: NativeBroker) -> list[psutil.Process]:
    """Every process that bears the mark of the broker's ledger."""
    token = broker._ledger.environment[TOKEN_VARIABLE]
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(TOKEN_VARIABLE) == token and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def listeners(broker: NativeBroker) -> set[tuple[str, int]]:
    return {
        (str(connection.laddr.ip), int(connection.laddr.port))
        for process in of_this(broker)
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }


def test_what_is_published_is_consumed(broker: NativeBroker) -> None:
    publish(broker, durable=True, delivery_mode=PERSISTENT)
    assert consume(broker) == ALL


def test_it_listens_on_the_loopback_alone_and_below_the_clients_ports(broker: NativeBroker) -> None:
    found = listeners(broker)
    assert (HOST, broker.endpoint().port) in found
    # epmd adds IPv6's loopback by itself.
    assert {address for address, _ in found} <= {HOST, "::1"}
    assert {port for _, port in found} & {5672, 4369, 25672} == set()
    assert all(LOW <= port < 32768 for _, port in found)


def test_a_clean_restart_keeps_what_is_durable_and_persistent(broker: NativeBroker) -> None:
    before = broker.endpoint()
    publish(broker, durable=True, delivery_mode=PERSISTENT)
    assert broker.stop() == StopReport(clean=True, exit_code=0)
    assert not broker.alive()
    assert not amqp_answers(before.host, before.port)
    broker.start_node()
    assert broker.endpoint() == before
    assert consume(broker) == ALL


def test_a_clean_restart_drops_what_is_transient(broker: NativeBroker) -> None:
    publish(broker, durable=True, delivery_mode=TRANSIENT)
    assert broker.stop().clean
    broker.start_node()
    assert consume(broker) == []


def test_a_kill_keeps_what_was_confirmed(broker: NativeBroker) -> None:
    publish(broker, durable=True, delivery_mode=PERSISTENT)
    flush_metadata(broker)
    before = set(of_this(broker))
    broker.kill()
    assert not broker.alive()
    left = set(of_this(broker)) & before
    assert {process.name() for process in left} <= {"epmd", "ld-linux-x86-64"}
    assert len(left) == 1
    broker.start_node()
    assert consume(broker) == ALL


def test_a_frozen_node_answers_nobody_until_it_is_thawed(broker: NativeBroker) -> None:
    endpoint = broker.endpoint()
    broker.pause()
    assert broker.alive()
    assert not amqp_answers(endpoint.host, endpoint.port, timeout_s=0.5)
    with pytest.raises(BrokerError, match=r"was not ready after 0\.5 s: .* does not answer the AMQP handshake"):
        broker.ready(timeout_s=0.5)
    broker.resume()
    broker.resume()
    broker.ready()


@pytest.mark.parametrize("strike", ["stop", "kill"])
def test_a_frozen_node_can_be_ended(broker: NativeBroker, strike: str) -> None:
    broker.pause()
    if strike == "stop":
        assert broker.stop().clean
    else:
        broker.kill()
    assert not broker.alive()
    broker.start_node()


def test_what_does_not_run_cannot_be_struck(broker: NativeBroker) -> None:
    broker.kill()
    for strike in (broker.kill, broker.stop, broker.pause):
        with pytest.raises(BrokerError, match="n1@localhost does not run"):
            strike()
    broker.resume()


def test_the_command_line_tool_works_on_it(broker: NativeBroker) -> None:
    publish(broker, durable=True, delivery_mode=PERSISTENT)
    answer = broker.control("list_queues", "name", "messages", "--formatter", "json")
    assert answer.exit_code == 0, answer.stderr
    assert json.loads(answer.stdout) == [{"name": QUEUE, "messages": MESSAGES}]
    assert broker.control("no_such_command").exit_code != 0


def test_the_command_line_tool_is_bounded_in_time(broker: NativeBroker) -> None:
    broker.pause()
    with pytest.raises(BrokerError, match="rabbitmqctl list_queues on n1@localhost did not answer within 2 s"):
        broker.control("list_queues", timeout_s=2)
    broker.resume()


def test_a_terminals_interrupt_does_not_reach_it(broker: NativeBroker) -> None:
    assert os.getsid(0) not in {os.getsid(process.pid) for process in of_this(broker)}


def test_its_log_tells_of_all_its_starts(broker: NativeBroker) -> None:
    def starts() -> int:
        return broker.logs()["n1@localhost"].count("Server startup complete")

    wait_until(lambda: starts() > 0, "the line that ends a start")
    before = starts()
    broker.stop()
    broker.start_node()
    wait_until(lambda: starts() == before + 1, "the line that ends the next start")


def test_it_tells_its_versions(broker: NativeBroker, installation: Installation) -> None:
    with pika.BlockingConnection(connection_parameters(broker.endpoint())) as connection:
        told = connection._impl.server_properties
    assert told["version"] == broker.versions().rabbitmq == installation.version
    assert told["platform"] == f"Erlang/OTP {broker.versions().erlang}"


def test_several_run_side_by_side(make: Make) -> None:
    first, second = make(), make()
    starts = [threading.Thread(target=one.start) for one in (first, second)]
    for start in starts:
        start.start()
    for start in starts:
        start.join()
    publish(first, durable=True, delivery_mode=PERSISTENT)
    publish(second, durable=False, delivery_mode=TRANSIENT)
    assert listeners(first) & listeners(second) == set()
    first.destroy()
    assert consume(second) == ALL


def test_nothing_is_left_after_the_end(make: Make) -> None:
    broker = make(permit=("transient_nonexcl_queues",), config={"heartbeat": "5"})
    broker.start()
    publish(broker, durable=True, delivery_mode=PERSISTENT)
    ports = {port for _, port in listeners(broker)}
    data = data_of(broker)
    assert data.is_dir()
    assert len(ports) == 3
    broker.destroy()
    broker.destroy()
    assert left_of(broker) == []
    assert not data.exists()
    for port in ports:
        with socket.socket() as probe:
            assert probe.connect_ex((HOST, port)) != 0
    assert "Starting RabbitMQ" in broker.logs()["n1@localhost"]


def data_of(broker: NativeBroker) -> Path:
    (home,) = {process.environ()["HOME"] for process in of_this(broker)}
    return Path(home)


def test_what_was_never_started_can_be_destroyed(make: Make) -> None:
    broker = make()
    broker.destroy()
    assert broker.logs() == {}


def test_a_plugins_listener_is_a_private_one(make: Make) -> None:
    broker = make(plugins=("rabbitmq_management", "rabbitmq_mqtt"))
    broker.start()
    found = listeners(broker)
    assert {address for address, _ in found} <= {HOST, "::1"}
    assert {port for _, port in found} & {15672, 1883} == set()
    assert len({port for address, port in found if address == HOST}) == 5


def test_three_nodes_form_a_cluster(make: Make) -> None:
    broker = make(nodes=3)
    broker.start()
    assert broker.nodes == ("n1@localhost", "n2@localhost", "n3@localhost")
    publish(broker, durable=True, delivery_mode=PERSISTENT, node=0)
    assert consume(broker, node=2) == ALL
    broker.kill(1)
    broker.start_node(1)
    broker.ready(1)
    assert [broker.alive(node) for node in range(3)] == [True, True, True]


@pytest.mark.slow
def test_three_nodes_that_are_killed_at_once_come_back_with_what_they_had(make: Make) -> None:
    """Each waits for the others when it boots: none comes back that is waited for before the next is started."""
    broker = make(nodes=3, start_timeout_s=120.0)
    broker.start()
    publish(broker, durable=True, delivery_mode=PERSISTENT)
    flush_metadata(broker)
    together(broker.kill, range(3))
    assert [broker.alive(node) for node in range(3)] == [False, False, False]
    together(broker.start_node, range(3))
    assert consume(broker, node=2) == ALL


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"config": {"no_such.key": "1"}}, "You've tried to set no_such.key, but there is no setting with that name"),
        ({"config": {"heartbeat": "soon"}}, 'heartbeat; "soon" cannot be converted'),
        ({"config": {"listeners.tcp.2": "5672"}}, "listeners.tcp.2 is chosen by the harness"),
        ({"plugins": ("rabbitmq_nothing",)}, "has no plugin rabbitmq_nothing"),
    ],
)
def test_a_boot_that_fails_is_told_in_one_sentence(make: Make, settings: dict[str, object], said: str) -> None:
    broker = make(**settings)
    with pytest.raises(BrokerError) as told:
        broker.start()
    assert said in str(told.value)
    assert "\n" not in str(told.value)
    assert left_of(broker) == []


def test_a_port_that_was_taken_meanwhile_is_exchanged(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    broker = make()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        provision = broker._provision

        def taken_meanwhile() -> None:
            provision()
            if other.getsockname()[1] == 0:
                other.bind((HOST, broker.endpoint().port))
                other.listen()

        monkeypatch.setattr(broker, "_provision", taken_meanwhile)
        broker.start()
        assert broker.endpoint().port != other.getsockname()[1]
        publish(broker, durable=True, delivery_mode=PERSISTENT)


def test_a_node_that_was_damaged_says_so_and_leaves_the_broker_usable(make: Make) -> None:
    broker = make()
    broker.start()
    broker.kill()
    (data,) = data_of(broker).glob("n1/data")
    shutil.rmtree(data)
    data.write_text("no folder")
    with pytest.raises(BrokerError, match=r"ended with exit code \d+ instead of answering: Failed to create"):
        broker.start_node()
    data.unlink()
    broker.start_node()
    assert broker.alive()


OWNER = """
import sys
from pathlib import Path
from harness.broker.install import find_installation
from harness.broker.native import NativeBroker
from harness.broker.protocol import BrokerSettings
from harness.ledger import TOKEN_VARIABLE, Ledger

book = Ledger("killed")
broker = NativeBroker(BrokerSettings("killed", Path(sys.argv[1])), find_installation(), book)
broker.start()
print(book.environment[TOKEN_VARIABLE], broker.endpoint().port, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("frozen", [pytest.param(False, marks=pytest.mark.slow), True])
def test_what_a_killed_harness_left_is_swept(
    tmp_path: Path, installation: Installation, frozen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert installation
    monkeypatch.setenv("CHAOS_STATE_DIR", str(tmp_path / "state"))
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    token, port = owner.stdout.readline().split()

    def left() -> list[psutil.Process]:
        return [process for process in psutil.process_iter() if _token(process) == token and process.pid != owner.pid]

    assert amqp_answers(HOST, int(port))
    (home,) = {Path(process.environ()["HOME"]) for process in left()}
    if frozen:
        for process in left():
            process.suspend()
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    # What is not frozen may end by itself once its node did, before the sweep comes to it; the node may not.
    before = {
        f"process {process.pid} ({process.name()})" for process in left() if frozen or process.name() == "beam.smp"
    }
    assert len(before) >= (2 if frozen else 1)
    removed = set(sweep().removed)
    wait_until(lambda: left() == [], "every process to be gone")
    assert not home.exists()
    assert removed >= {*before, f"directory {home}"}
    assert sweep() == ((), ())


def _token(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(TOKEN_VARIABLE) if process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.Error:
        return None


def test_an_unpacked_rabbitmq_runs_beside_the_systems_own(
    make: Make, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("apt-get") is None:
        lacking("apt-get, with which packages are fetched on Debian and Ubuntu")
    monkeypatch.setenv("CHAOS_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
    said: list[str] = []
    unpacked = install.install(said.append, suite=codename())
    assert unpacked.suite
    assert len(said) == 1
    assert install.install(said.append, suite=unpacked.suite) == unpacked
    assert len(said) == 1
    broker = make(of=unpacked)
    broker.start()
    programs = {argument for process in of_this(broker) for argument in process.cmdline()}
    assert any(argument.startswith(str(unpacked.erlang)) for argument in programs)
    assert not any(argument.startswith("/usr/lib/erlang") for argument in programs)
    publish(broker, durable=True, delivery_mode=PERSISTENT)
    flush_metadata(broker)
    broker.kill()
    broker.start_node()
    assert consume(broker) == ALL
    assert broker.stop() == StopReport(clean=True, exit_code=0)
