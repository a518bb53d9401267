"""A real connection of pika with nobody at the other end: bytes go in and come out by hand, and time stands still."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from typing import Any

import pika
from pika import spec
from pika.adapters.utils import nbio_interface
from pika.channel import Channel
from pika.frame import Method

from harness.traffic import wire

CHANNEL = 1
CONSUMER = "worker-1.1.1"


class _Reference(nbio_interface.AbstractTimerReference, nbio_interface.AbstractIOReference):  # type: ignore[misc]
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> bool:
        self.cancelled = True
        return True


class _Transport(nbio_interface.AbstractStreamTransport):  # type: ignore[misc]
    def __init__(self, services: Services) -> None:
        self._services = services

    def abort(self) -> None:
        self._services.aborted = True
        self._services.add_callback_threadsafe(lambda: self.get_protocol().connection_lost(None))

    def get_protocol(self) -> Any:
        return self._services.protocol

    def write(self, data: bytes) -> None:
        self._services.sent.append(data)

    def get_write_buffer_size(self) -> int:
        return 0


class Services(nbio_interface.AbstractIOServices):  # type: ignore[misc]
    """I/O services that connect at once and call back when `turn` is called; timers run by `ring` only."""

    def __init__(self, interpose: Callable[[Any], Any]) -> None:
        self.sent: list[bytes] = []
        self.aborted = False
        self.protocol: Any = None
        self._interpose = interpose
        self._callbacks: deque[Callable[[], None]] = deque()
        self._timers: list[tuple[float, Callable[[], None], _Reference]] = []

    def get_native_ioloop(self) -> Services:
        return self

    def close(self) -> None:
        pass

    def run(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def add_callback_threadsafe(self, callback: Callable[[], None]) -> None:
        self._callbacks.append(callback)

    def call_later(self, delay: float, callback: Callable[[], None]) -> _Reference:
        reference = _Reference()
        if delay == 0:
            self._callbacks.append(lambda: None if reference.cancelled else callback())
        else:
            self._timers.append((delay, callback, reference))
        return reference

    def getaddrinfo(self, *, on_done: Callable[[Any], None], **_: Any) -> _Reference:
        address = ("127.0.0.1", 9)
        self._callbacks.append(lambda: on_done([(socket.AF_INET, socket.SOCK_STREAM, 6, "", address)]))
        return _Reference()

    def connect_socket(self, _socket: Any, _address: Any, *, on_done: Callable[[Any], None]) -> _Reference:
        self._callbacks.append(lambda: on_done(None))
        return _Reference()

    def create_streaming_connection(
        self, protocol_factory: Callable[[], Any], sock: socket.socket, on_done: Callable[[Any], None], **_: Any
    ) -> _Reference:
        sock.close()
        made = protocol_factory()
        self.protocol = self._interpose(made)
        transport = _Transport(self)
        self.protocol.connection_made(transport)
        self._callbacks.append(lambda: on_done((transport, made)))
        return _Reference()

    def turn(self) -> None:
        """Call back until there is nothing more to do."""
        while self._callbacks:
            self._callbacks.popleft()()

    def ring(self, delay: float) -> None:
        """Run the timers that were set for just so long."""
        due = [timer for timer in self._timers if timer[0] == delay]
        self._timers = [timer for timer in self._timers if timer[0] != delay]
        for _, callback, reference in due:
            if not reference.cancelled:
                callback()


class Conversation:
    """An open connection with an open channel. `heard` is what pika told, in order."""

    def __init__(self, interpose: Callable[[Any], Any] = lambda protocol: protocol, *, heartbeat: int = 60) -> None:
        self.heard: list[tuple[Any, ...]] = []
        self.services = Services(interpose)
        self.connection = pika.SelectConnection(
            pika.ConnectionParameters("127.0.0.1", heartbeat=heartbeat),
            on_close_callback=lambda _connection, reason: self.heard.append(("closed", repr(reason))),
            custom_ioloop=self.services,
        )
        self.services.turn()
        capabilities = {"publisher_confirms": True, "basic.nack": True, "consumer_cancel_notify": True}
        self.receive(0, spec.Connection.Start(server_properties={"capabilities": capabilities}, mechanisms="PLAIN"))
        self.receive(0, spec.Connection.Tune(channel_max=2047, frame_max=4096, heartbeat=heartbeat))
        self.receive(0, spec.Connection.OpenOk())
        for kind in ("blocked", "unblocked"):
            add = getattr(self.connection, f"add_on_connection_{kind}_callback")
            add(lambda _connection, frame, kind=kind: self.heard.append((kind, frame.method.NAME)))
        self.channel: Channel = self.connection.channel(CHANNEL, on_open_callback=lambda _channel: None)
        self.receive(CHANNEL, spec.Channel.OpenOk())
        self.channel.add_on_close_callback(lambda _channel, reason: self.heard.append(("channel", repr(reason))))
        self.channel.add_on_cancel_callback(lambda frame: self.heard.append(("cancel", frame.method.consumer_tag)))
        self.channel.add_on_flow_callback(lambda active: self.heard.append(("flow", active)))
        self.channel.add_on_return_callback(
            lambda _channel, method, properties, body: self.heard.append(
                ("return", method.reply_code, properties.message_id, body)
            )
        )

    def receive(self, channel: int, method: Any) -> None:
        """Let a method arrive."""
        self.services.protocol.data_received(Method(channel, method).marshal())
        self.services.turn()

    def confirm(self) -> None:
        """Switch confirms on."""
        self.channel.confirm_delivery(self._on_settled, callback=lambda _frame: None)
        self.receive(CHANNEL, spec.Confirm.SelectOk())

    def consume(self) -> None:
        """Start a consumer."""
        self.channel.basic_consume("tasks", self._on_delivery, consumer_tag=CONSUMER, callback=lambda _frame: None)
        self.receive(CHANNEL, spec.Basic.ConsumeOk(CONSUMER))

    def feed(self, pieces: list[bytes]) -> None:
        """Let bytes arrive piece by piece; an error ends the connection, as a transport sees to."""
        for piece in pieces:
            if self.services.aborted:
                break
            try:
                self.services.protocol.data_received(piece)
            except Exception as error:
                self.heard.append(("error", repr(error)))
                break
            self.services.turn()

    def take_sent(self) -> bytes:
        """Return what was written since the last time."""
        sent = b"".join(self.services.sent)
        self.services.sent.clear()
        return sent

    def _on_settled(self, frame: Any) -> None:
        self.on_confirms(
            [(frame.method.delivery_tag, frame.method.multiple, isinstance(frame.method, spec.Basic.Nack))]
        )

    def on_confirms(self, confirms: list[tuple[int, bool, bool]]) -> None:
        """Hear confirms."""
        self.heard += (("confirm", *confirm) for confirm in confirms)

    def _on_delivery(self, _channel: Channel, method: Any, properties: Any, body: bytes) -> None:
        sent_to = wire.destination(method.exchange, method.routing_key)
        assert wire.exchange_and_key(sent_to) == (method.exchange, method.routing_key)
        who, headers = properties.message_id, properties.headers
        self.on_deliveries([(method.delivery_tag, method.redelivered, who, headers, body, sent_to)])

    def on_deliveries(self, deliveries: list[Any]) -> None:
        """Hear deliveries."""
        self.heard += (("delivery", *delivery) for delivery in deliveries)
