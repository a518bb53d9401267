"""The proxy on real sockets: what one side does, the other sees, as if nothing stood between."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import pytest
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from harness.errors import BrokerError
from harness.proxy.control import ProxyProcess
from harness.proxy.link import BUFFER_BYTES, Link, Way
from harness.proxy.loop import READABLE, Loop
from harness.proxy.proxy import Proxy
from tests.unit.passing_proxy import Passing

HOST: Final = "127.0.0.1"
PATIENCE_S: Final = 30.0
RESET: Final = struct.pack("ii", 1, 0)
LARGE: Final = 8 * 1024 * 1024


def wait_until(condition: object, what: str) -> None:
    def give_up(_state: object) -> None:
        raise AssertionError(f"timed out after {PATIENCE_S:g} s waiting for {what}")

    assert callable(condition)
    Retrying(
        stop=stop_after_delay(PATIENCE_S),
        wait=wait_fixed(0.002),
        retry=retry_if_result(lambda met: not met),
        retry_error_callback=give_up,
    )(condition)


def read_all(sock: socket.socket) -> bytes:
    """Read until the peer has ended what it sends."""
    found = bytearray()
    while data := sock.recv(65_536):
        found += data
    return bytes(found)


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    sock.close()


class Stand:
    """A broker that is a listening socket, and a proxy before it."""

    def __init__(self) -> None:
        self.conversations: list[Passing] = []
        self.loop = Loop()
        self.broker = self.listening(0)
        self.address = (HOST, int(self.broker.getsockname()[1]))
        self._proxy = Proxy(self.loop, self._converse)
        self.port = self._proxy.listen("worker-1", self.address)
        self._over, self._wake = os.pipe()
        self.loop.watch(self._over, READABLE, lambda _events: self.loop.stop())
        self._thread = threading.Thread(target=self.loop.run)
        self._thread.start()
        self._open: list[socket.socket] = []

    @staticmethod
    def listening(port: int) -> socket.socket:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((HOST, port))
        sock.listen()
        sock.settimeout(PATIENCE_S)
        return sock

    def _converse(self, name: str, link: Link) -> Passing:
        self.conversations.append(Passing(name, link))
        return self.conversations[-1]

    def connect(self) -> tuple[socket.socket, socket.socket]:
        """Connect a client; returns its socket and the broker's."""
        client = socket.create_connection((HOST, self.port), timeout=PATIENCE_S)
        client.sendall(b"?")
        while True:
            broker, _ = self.broker.accept()
            broker.settimeout(PATIENCE_S)
            self._open += [client, broker]
            # Others are clients that went at once, or the proxy that has looked whether the broker is there.
            with suppress(ConnectionResetError):
                if broker.recv(1):
                    return client, broker

    def refuses(self) -> bool:
        try:
            socket.create_connection((HOST, self.port), timeout=PATIENCE_S).close()
        except ConnectionRefusedError:
            return True
        return False

    def close(self) -> None:
        os.write(self._wake, b"x")
        self._thread.join()
        self.loop.close()
        for sock in (*self._open, self.broker):
            sock.close()
        os.close(self._wake)
        os.close(self._over)


@pytest.fixture
def stand() -> Iterator[Stand]:
    stand = Stand()
    yield stand
    stand.close()


def test_bytes_arrive_as_they_were_sent_in_both_directions(stand: Stand) -> None:
    client, broker = stand.connect()
    there, back = os.urandom(LARGE), os.urandom(LARGE)

    def write(sock: socket.socket, data: bytes) -> None:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)

    writers = [threading.Thread(target=write, args=each) for each in ((client, there), (broker, back))]
    received: dict[str, bytes] = {}
    readers = [
        threading.Thread(target=lambda: received.update(broker=read_all(broker))),
        threading.Thread(target=lambda: received.update(client=read_all(client))),
    ]
    for thread in (*writers, *readers):
        thread.start()
    for thread in (*writers, *readers):
        thread.join()
    assert received == {"broker": there, "client": back}


def test_a_listener_knows_whose_it_is(stand: Stand) -> None:
    stand.connect()
    assert [each.name for each in stand.conversations] == ["worker-1"]


def test_a_side_that_has_ended_what_it_sends_still_receives(stand: Stand) -> None:
    client, broker = stand.connect()
    client.sendall(b"all I have")
    client.shutdown(socket.SHUT_WR)
    assert read_all(broker) == b"all I have"
    broker.sendall(b"an answer")
    assert client.recv(100) == b"an answer"
    assert not stand.conversations[0].over
    broker.close()
    assert client.recv(100) == b""
    wait_until(lambda: stand.conversations[0].over, "the end of the link")


@pytest.mark.parametrize("who", ["client", "broker"])
def test_a_reset_is_passed_on_after_what_was_sent_before_it(stand: Stand, who: str) -> None:
    client, broker = stand.connect()
    mine, other = (client, broker) if who == "client" else (broker, client)
    mine.sendall(b"the last words")
    assert other.recv(100, socket.MSG_PEEK) == b"the last words"
    reset(mine)
    assert other.recv(100) == b"the last words"
    with pytest.raises(ConnectionResetError):
        other.recv(100)
    wait_until(lambda: stand.conversations[0].over, "the end of the link")


def test_what_a_broker_sent_before_it_reset_the_connection_arrives_though_nobody_takes_what_is_sent_to_it(
    stand: Stand,
) -> None:
    """A broker that shuts down says so, and ends with a reset because it has not read everything."""
    client, broker = stand.connect()
    stopped = threading.Event()

    def chatter() -> None:
        with suppress(OSError):
            while not stopped.is_set():
                client.send(b"ack")

    thread = threading.Thread(target=chatter)
    thread.start()
    broker.sendall(b"shutting down")
    reset(broker)
    received = b""
    with suppress(ConnectionResetError):
        while data := client.recv(100):
            received += data
    stopped.set()
    thread.join()
    assert received == b"shutting down"


def test_clients_are_refused_while_the_broker_is_down_and_find_it_at_the_same_port_afterwards(stand: Stand) -> None:
    client, broker = stand.connect()
    stand.broker.close()
    broker.close()
    assert client.recv(100) == b""
    assert stand.refuses()
    client.close()
    stand.broker = stand.listening(stand.address[1])
    wait_until(lambda: not stand.refuses(), "the proxy to listen again")
    client, broker = stand.connect()
    client.sendall(b"hello again")
    assert broker.recv(100) == b"hello again"


def test_a_broker_that_is_found_gone_by_a_client_is_not_offered_to_the_next(stand: Stand) -> None:
    stand.broker.close()
    with pytest.raises(ConnectionResetError):
        read_all(socket.create_connection((HOST, stand.port), timeout=PATIENCE_S))
    assert stand.refuses()


def test_a_client_that_does_not_read_holds_up_a_broker_that_writes(stand: Stand) -> None:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    client.connect((HOST, stand.port))
    broker, _ = stand.broker.accept()
    broker.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
    broker.settimeout(0.5)
    taken = 0
    with suppress(TimeoutError):
        while True:
            taken += broker.send(b"x" * 1000)
    # Four buffers of the kernel, each twice what was asked for, and one read.
    assert taken < 500_000
    client.close()
    broker.close()


def test_clients_that_go_at_once_do_no_harm(stand: Stand) -> None:
    for _ in range(50):
        reset(socket.create_connection((HOST, stand.port), timeout=PATIENCE_S))
    client, broker = stand.connect()
    broker.sendall(b"welcome")
    assert client.recv(100) == b"welcome"


def test_something_can_be_put_in_between_in_either_direction(stand: Stand) -> None:
    client, broker = stand.connect()
    client.sendall(b"a")
    assert broker.recv(100) == b"a"
    link = stand.conversations[0].link
    stand.loop.call_later(0, lambda: link.send(Way.TO_CLIENT, b"put in"))
    client.sendall(b"b")  # wakes the loop
    assert client.recv(100) == b"put in"


# Its process.


@pytest.fixture
def process() -> Iterator[ProxyProcess]:
    started: list[int] = []
    process = ProxyProcess("tests.unit.passing_proxy", {}, started.append)
    assert len(started) == 1
    yield process
    process.close()


def test_a_proxys_process_listens_for_each_client_at_a_port_of_its_own(process: ProxyProcess) -> None:
    broker = Stand.listening(0)
    address = (HOST, int(broker.getsockname()[1]))
    ports = [process.listen(name, address) for name in ("worker-1", "worker-2")]
    assert len(set(ports)) == 2
    for port in ports:
        client = socket.create_connection((HOST, port), timeout=PATIENCE_S)
        accepted, _ = broker.accept()
        client.sendall(b"hello")
        assert accepted.recv(100) == b"hello"
        client.close()
        accepted.close()
    broker.close()
    assert process.failure() is None


def test_a_proxys_process_ends_with_whoever_commands_it() -> None:
    process = ProxyProcess("tests.unit.passing_proxy", {}, lambda _pid: None)
    port = process.listen("worker-1", (HOST, 1))
    process.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, port))


def test_a_proxys_process_that_has_died_says_so() -> None:
    process = ProxyProcess("tests.unit.no_such_proxy", {}, lambda _pid: None)
    with pytest.raises(
        BrokerError, match="the proxy between worker-1 and the broker cannot listen: its process has ended"
    ):
        process.listen("worker-1", (HOST, 1))
    wait_until(process.failure, "the end of the process")
    assert process.failure() == "the proxy between clients and broker exited unexpectedly with code 1"
    process.close()
