"""A broker that speaks AMQP up to a point, and then falls silent or talks nonsense."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import pika
from pika import spec

UNKNOWN_METHOD: Final = struct.pack(">BHII", 1, 0, 4, 0x00FF00FF) + b"\xce"
TORN_METHOD: Final = struct.pack(">BHII", 1, 0, 4, spec.Connection.Start.INDEX) + b"\xce"

_ANSWERS: Final = {
    spec.Connection.StartOk: (spec.Connection.Tune(channel_max=10, frame_max=131072, heartbeat=60),),
    spec.Connection.TuneOk: (),
    spec.Connection.Open: (spec.Connection.OpenOk(),),
    spec.Channel.Open: (spec.Channel.OpenOk(),),
    spec.Queue.Declare: (spec.Queue.DeclareOk("tasks", 0, 1),),
    spec.Channel.Close: (spec.Channel.CloseOk(),),
    spec.Connection.Close: (spec.Connection.CloseOk(),),
}


@contextmanager
def mute_broker(until: type[spec.Method] | None = None, then: bytes = b"") -> Iterator[int]:
    """Serve on a port, which is given, until the client sends a method (None: until it connects); then send some bytes and no more."""
    server = socket.create_server(("127.0.0.1", 0))
    clients: list[socket.socket] = []

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = server.accept()
                clients.append(client)
                threading.Thread(target=_serve, args=(client, until, then), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield server.getsockname()[1]
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        for client in clients:
            client.close()


def _serve(client: socket.socket, until: type[spec.Method] | None, then: bytes) -> None:
    with suppress(OSError):
        client.recv(8)
        if until is None:
            client.sendall(then)
            return
        client.sendall(pika.frame.Method(0, spec.Connection.Start(server_properties={})).marshal())
        received = b""
        while data := client.recv(65536):
            received += data
            while True:
                used, frame = pika.frame.decode_frame(received)
                if not used:
                    break
                received = received[used:]
                if not isinstance(frame, pika.frame.Method):
                    continue
                if isinstance(frame.method, until):
                    client.sendall(then)
                    return
                for answer in _ANSWERS[type(frame.method)]:
                    client.sendall(pika.frame.Method(frame.channel_number, answer).marshal())
