"""The transport sends what it is given, once a turn of the loop, and ends as pika expects it of a transport."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from pika.adapters.select_connection import IOLoop
from pika.adapters.utils.nbio_interface import AbstractStreamProtocol

from harness.traffic.transport import IOServices, Transport

PATIENCE_S = 60.0


class Socket:
    """One end of a connection that counts what is sent through it."""

    def __init__(self, inner: socket.socket) -> None:
        self.inner = inner
        self.sent: list[int] = []

    def send(self, data: memoryview) -> int:
        count = self.inner.send(data)
        self.sent.append(count)
        return count

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class Protocol(AbstractStreamProtocol):  # type: ignore[misc]
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.transport: Transport
        self.received: list[bytes] = []
        self.told: list[object] = []
        self.on_data: Callable[[bytes], None] = self.received.append
        self.on_made: Callable[[], None] = lambda: None

    def connection_made(self, transport: Transport) -> None:
        self.transport = transport
        self.on_made()

    def connection_lost(self, error: BaseException | None) -> None:
        self.told.append(error)

    def eof_received(self) -> bool:
        self.told.append("EOF")
        return False

    def data_received(self, data: bytes) -> None:
        self.on_data(data)


class Scene:
    """A protocol, its transport, and the peer at the other end."""

    def __init__(self) -> None:
        self.loop = IOLoop()
        ours, self.peer = socket.socketpair()
        ours.setblocking(False)
        self.socket = Socket(ours)
        self.protocol = Protocol()
        self.results: list[Any] = []
        self.services = IOServices(self.loop, lambda protocol: protocol)

    def link(self) -> Any:
        return self.services.create_streaming_connection(
            lambda: self.protocol,
            self.socket,  # type: ignore[arg-type]  # as good as one
            self.results.append,
        )

    def run_until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE_S

        def look() -> None:
            if condition() or time.monotonic() > deadline:
                self.loop.stop()
            else:
                self.loop.call_later(0.001, look)

        self.loop.call_later(0, look)
        self.loop.start()
        assert condition()

    def linked(self) -> Transport:
        self.link()
        self.run_until(lambda: self.results)
        return self.protocol.transport

    def peer_reads(self, count: int) -> bytes:
        self.peer.setblocking(False)
        got = bytearray()

        def enough() -> bool:
            with suppress(BlockingIOError):
                got.extend(self.peer.recv(1 << 20))
            return len(got) >= count

        self.run_until(enough)
        return bytes(got)

    def close(self) -> None:
        self.peer.close()
        self.socket.close()
        self.loop.close()


@pytest.fixture
def scene() -> Iterator[Scene]:
    scene = Scene()
    yield scene
    scene.close()


def test_pika_is_given_the_transport_and_its_own_protocol(scene: Scene) -> None:
    transport = scene.linked()
    assert scene.results == [(transport, scene.protocol)]
    assert transport.get_protocol() is scene.protocol


def test_what_is_written_in_one_turn_leaves_in_one_send(scene: Scene) -> None:
    transport = scene.linked()
    for number in range(100):
        transport.write(bytes([number]) * 3)
    assert transport.get_write_buffer_size() == 300
    assert scene.peer_reads(300) == bytes(number for number in range(100) for _ in range(3))
    assert scene.socket.sent == [300]
    assert transport.get_write_buffer_size() == 0


def test_what_is_written_while_reading_leaves_when_all_is_read(scene: Scene) -> None:
    transport = scene.linked()

    def echo(data: bytes) -> None:
        transport.write(data[:1])
        transport.write(data[1:])

    scene.protocol.on_data = echo
    scene.peer.send(b"hello")
    assert scene.peer_reads(5) == b"hello"
    assert scene.socket.sent == [5]


def test_more_than_the_socket_takes_arrives_in_order(scene: Scene) -> None:
    transport = scene.linked()
    scene.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    sent = [bytes([number]) * 100_000 for number in range(20)]
    transport.write(sent[0])
    scene.run_until(lambda: scene.socket.sent)
    assert 0 < transport.get_write_buffer_size() < len(sent[0])
    for chunk in sent[1:]:
        transport.write(chunk)
    assert scene.peer_reads(2_000_000) == b"".join(sent)
    assert transport.get_write_buffer_size() == 0
    count = len(scene.socket.sent)
    transport.write(b"more")
    assert scene.peer_reads(4) == b"more"
    assert len(scene.socket.sent) == count + 1


def test_the_end_of_the_stream_is_told_once(scene: Scene) -> None:
    scene.linked()
    scene.peer.close()
    scene.run_until(lambda: None in scene.protocol.told)
    assert scene.protocol.told == ["EOF", None]
    assert scene.socket.fileno() == -1


def test_what_the_protocol_raises_ends_the_connection(scene: Scene) -> None:
    scene.linked()
    error = ValueError("no AMQP")

    def complain(_data: bytes) -> None:
        raise error

    scene.protocol.on_data = complain
    scene.peer.send(b"garbage")
    scene.run_until(lambda: scene.protocol.told)
    assert scene.protocol.told == [error]
    assert scene.socket.fileno() == -1


def test_a_socket_that_breaks_is_told_with_its_error(scene: Scene) -> None:
    transport = scene.linked()
    scene.peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    transport.write(b"x" * 1_000_000)
    scene.run_until(lambda: scene.socket.sent)
    scene.peer.close()
    scene.run_until(lambda: scene.protocol.told)
    assert isinstance(scene.protocol.told[-1], OSError)
    assert scene.protocol.told.count(None) == 0


def test_an_abort_is_told_later_and_nothing_is_sent_after_it(scene: Scene) -> None:
    transport = scene.linked()
    transport.write(b"never")
    transport.abort()
    transport.abort()
    transport.write(b"neither")
    assert scene.protocol.told == []
    assert transport.get_write_buffer_size() == 0
    scene.run_until(lambda: scene.protocol.told)
    assert scene.protocol.told == [None]
    assert scene.socket.sent == []
    assert scene.peer.recv(10) == b""


def test_an_abort_outweighs_an_error_that_was_not_told_yet(scene: Scene) -> None:
    transport = scene.linked()

    def complain(_data: bytes) -> None:
        scene.loop.add_callback_threadsafe(transport.abort)
        raise ValueError("no AMQP")

    scene.protocol.on_data = complain
    scene.peer.send(b"garbage")
    scene.run_until(lambda: scene.protocol.told)
    assert scene.protocol.told == [None]


def test_a_link_can_be_called_off(scene: Scene) -> None:
    reference = scene.link()
    assert reference.cancel()
    assert not reference.cancel()
    assert scene.peer.recv(10) == b""
    scene.run_until(lambda: True)
    assert scene.results == []


def test_a_protocol_that_fails_at_once_is_reported_and_the_socket_closed(scene: Scene) -> None:
    error = RuntimeError("cannot begin")

    def fail() -> None:
        raise error

    scene.protocol.on_made = fail
    scene.link()
    scene.run_until(lambda: scene.results)
    assert scene.results == [error]
    assert scene.peer.recv(10) == b""


def test_there_is_no_empty_write(scene: Scene) -> None:
    with pytest.raises(ValueError, match="nothing to write"):
        scene.linked().write(b"")
