"""Brokers that fall silent half-way, refuse, talk nonsense, or are none: what a command may meet at an address."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

import pika
from pika import amqp_object, spec

UNKNOWN_METHOD: Final = struct.pack(">BHII", 1, 0, 4, 0x00FF00FF) + b"\xce"
TORN_METHOD: Final = struct.pack(">BHII", 1, 0, 4, spec.Connection.Start.INDEX) + b"\xce"
HEARTBEAT: Final = struct.pack(">BHI", 8, 0, 0) + b"\xce"
DRIP_S: Final = 0.05
"""How long a server waits from one drop to the next."""

Method = type[amqp_object.Method]
Answers = Mapping[Method, tuple[amqp_object.Method, ...]]

GOOD: Final[Answers] = {
    spec.Connection.StartOk: (spec.Connection.Tune(channel_max=10, frame_max=131072, heartbeat=60),),
    spec.Connection.TuneOk: (),
    spec.Connection.Open: (spec.Connection.OpenOk(),),
    spec.Channel.Open: (spec.Channel.OpenOk(),),
    spec.Queue.Declare: (spec.Queue.DeclareOk("tasks", 0, 1),),
    spec.Confirm.Select: (spec.Confirm.SelectOk(),),
    spec.Basic.Qos: (spec.Basic.QosOk(),),
    spec.Basic.Publish: (spec.Basic.Ack(1),),
    spec.Channel.Close: (spec.Channel.CloseOk(),),
    spec.Connection.Close: (spec.Connection.CloseOk(),),
}


class Peer:
    """One client that has connected, as the server sees it."""

    def __init__(self, client: socket.socket, ending: threading.Event) -> None:
        self._client = client
        self._ending = ending
        self._received = b""
        self.garble: Callable[[bytes], bytes] = bytes
        """What becomes of all that is sent."""

    def send(self, data: bytes) -> None:
        self._client.sendall(self.garble(data))

    def send_method(self, method: amqp_object.Method, channel: int = 0) -> None:
        self.send(pika.frame.Method(channel, method).marshal())

    def greet(self, mechanisms: str = "PLAIN AMQPLAIN") -> None:
        """Take the client's protocol header, and answer it."""
        self._client.recv(8)
        able = {"publisher_confirms": True, "basic.nack": True, "consumer_cancel_notify": True}
        self.send_method(spec.Connection.Start(server_properties={"capabilities": able}, mechanisms=mechanisms))

    def serve(self, until: Method | None = None, answers: Answers = GOOD) -> int:
        """Answer until the client sends a method, whose channel is returned; 0 where it leaves before that."""
        while data := self._client.recv(65536):
            self._received += data
            while True:
                used, frame = pika.frame.decode_frame(self._received)
                if not used:
                    break
                self._received = self._received[used:]
                if not isinstance(frame, pika.frame.Method):
                    continue
                if until is not None and isinstance(frame.method, until):
                    return int(frame.channel_number)
                for answer in answers.get(type(frame.method), ()):
                    self.send_method(answer, frame.channel_number)
        return 0

    def stay(self) -> None:
        """Take whatever comes and answer nothing, until the client leaves."""
        while self._client.recv(65536):
            pass

    def repeat(self, data: bytes, every_s: float = DRIP_S) -> None:
        """Send something again and again, until the client leaves or the server ends."""
        while not self._ending.wait(every_s):
            self.send(data)

    def drip(self, data: bytes) -> None:
        """Send one byte after the other, each after a while."""
        for place in range(len(data)):
            self.send(data[place : place + 1])
            self._ending.wait(DRIP_S * 20)

    def reset(self) -> None:
        """End the connection with a reset, as a kernel does for a process that was killed."""
        self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


Serve = Callable[[Peer], None]


@contextmanager
def serving(serve: Serve) -> Iterator[int]:
    """Serve each client on a port, which is given; what is left of them is closed at the end."""
    server = socket.create_server(("127.0.0.1", 0))
    clients: list[socket.socket] = []
    ending = threading.Event()

    def one(client: socket.socket) -> None:
        with suppress(OSError), client:
            serve(Peer(client, ending))

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = server.accept()
                clients.append(client)
                threading.Thread(target=one, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield server.getsockname()[1]
    finally:
        ending.set()
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        for client in clients:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
            client.close()


@contextmanager
def mute_broker(until: Method | None = None, then: bytes = b"") -> Iterator[int]:
    """Serve on a port, which is given, until the client sends a method (None: until it connects); then send some bytes and no more."""
    with serving(_mute(until, then)) as port:
        yield port


def _mute(until: Method | None, then: bytes = b"") -> Serve:
    def serve(peer: Peer) -> None:
        if until is not None:
            peer.greet()
            peer.serve(until)
        peer.send(then)
        peer.stay()

    return serve


def _says(*data: bytes, drop: bool = False) -> Serve:
    """Answer the protocol header with bytes, then stay, or end the connection."""

    def serve(peer: Peer) -> None:
        for each in data:
            peer.send(each)
        if not drop:
            peer.stay()

    return serve


def _closes(until: Method, method: amqp_object.Method | None, *, on_channel: bool = False) -> Serve:
    """Answer a method with another one (None: with the end of the connection)."""

    def serve(peer: Peer) -> None:
        peer.greet()
        channel = peer.serve(until)
        if method is not None:
            peer.send_method(method, channel if on_channel else 0)
            peer.serve()

    return serve


def _answers(changed: Answers) -> Serve:
    def serve(peer: Peer) -> None:
        peer.greet()
        peer.serve(answers={**GOOD, **changed})

    return serve


def _repeats(data: bytes, until: Method | None = None, every_s: float = DRIP_S) -> Serve:
    def serve(peer: Peer) -> None:
        if until is not None:
            peer.greet()
            peer.serve(until)
        peer.repeat(data, every_s)

    return serve


def _resets(peer: Peer) -> None:
    peer.reset()


def _drips(peer: Peer) -> None:
    peer.drip(pika.frame.Method(0, spec.Connection.Start(server_properties={})).marshal())


def _offers_no_password(peer: Peer) -> None:
    peer.greet("EXTERNAL")
    peer.stay()


def _refuses_after_open(peer: Peer) -> None:
    peer.greet()
    peer.serve(spec.Connection.Open)
    peer.send_method(spec.Connection.OpenOk())
    peer.send_method(_close(320, "CONNECTION_FORCED - node is being drained"))
    peer.serve()


def _close(code: int, text: str) -> spec.Connection.Close:
    return spec.Connection.Close(code, text, 0, 0)


def _channel_close(code: int, text: str) -> spec.Channel.Close:
    return spec.Channel.Close(code, text, 50, 10)


@dataclass(frozen=True, slots=True)
class Mode:
    """One way to be no good."""

    name: str
    serve: Serve | None
    """None: nothing serves."""
    says: str
    """A pattern of what people are told of it."""
    lasting: bool = False
    """Whether it can be seen that waiting does not help."""
    scheme: str = "amqp"
    host: str = "127.0.0.1"
    logged_in: bool = False
    """Whether it is a broker until a connection is open, so that only what is asked of it then fails."""
    works: bool = False
    """Whether `chaos work` can wait for messages there."""
    soon: bool = False
    """Whether it ends what is asked of it at once, though waiting might have helped."""


FROZEN = "did not finish the handshake in time; is the broker frozen or busy"
OTHER = "not AMQP; "
UNREADABLE = "what is no AMQP 0-9-1"
MODES: Final = (
    Mode("nothing listens", None, "refuses connections: nothing listens there"),
    Mode("unknown host", None, "is unknown", lasting=True, host="no-such-host.invalid"),
    Mode("closes at once", _says(drop=True), "closed the connection without a word"),
    Mode("resets at once", _resets, "closed the connection without a word"),
    Mode("silent", _says(), "does not answer the AMQP handshake"),
    Mode("drips a greeting", _drips, "did not finish its greeting"),
    Mode("drips zeros", _repeats(b"\0"), UNREADABLE, lasting=True),
    Mode("endless heartbeats", _repeats(HEARTBEAT, every_s=0.001), UNREADABLE, lasting=True),
    Mode("endless zeros", _repeats(bytes(65536), every_s=0.001), UNREADABLE, lasting=True),
    Mode("SMTP", _says(b"220 mail.example ESMTP Postfix\r\n"), f"speaks SMTP or FTP, {OTHER}", lasting=True),
    Mode("HTTP", _says(b"HTTP/1.1 400 Bad Request\r\n\r\n", drop=True), f"speaks HTTP, {OTHER}", lasting=True),
    Mode("Redis", _says(b"-ERR unknown command 'AMQP'\r\n"), f"speaks the protocol of Redis, {OTHER}", lasting=True),
    Mode("SSH", _says(b"SSH-2.0-OpenSSH_9.2\r\n"), f"speaks SSH, {OTHER}", lasting=True),
    Mode("TLS on a plain port", _says(b"\x15\x03\x01\x00\x02\x02\x46", drop=True), "speaks TLS", lasting=True),
    Mode("plain on a TLS port", _mute(spec.Connection.Close), "does not speak TLS", lasting=True, scheme="amqps"),
    Mode("SMTP on a TLS port", _says(b"220 ESMTP\r\n"), "does not speak TLS", lasting=True, scheme="amqps"),
    Mode("silent on a TLS port", _says(), "does not answer the TLS handshake", scheme="amqps"),
    Mode("AMQP 1.0", _says(b"AMQP\x00\x01\x00\x00", drop=True), r"answers with AMQP 1\.0", lasting=True),
    Mode("AMQP 1.0 with SASL", _says(b"AMQP\x03\x01\x00\x00", drop=True), r"answers with AMQP 1\.0", lasting=True),
    Mode("AMQP 0-8", _says(b"AMQP\x01\x01\x08\x00", drop=True), "answers with AMQP 0-8", lasting=True),
    Mode("AMQP 0-9", _says(b"AMQP\x01\x01\x00\x09", drop=True), "answers with AMQP 0-9,", lasting=True),
    Mode("unknown method", _mute(None, UNKNOWN_METHOD), UNREADABLE, lasting=True),
    Mode("torn method", _mute(None, TORN_METHOD), UNREADABLE, lasting=True),
    Mode("huge frame", _says(b"\x01\x00\x00\xff\xff\xff\xff"), UNREADABLE, lasting=True),
    Mode("noise", _says(bytes(range(128, 256)) * 4), UNREADABLE, lasting=True),
    Mode("no login by password", _offers_no_password, "offers no login by password", lasting=True),
    Mode(
        "wrong password",
        _closes(spec.Connection.StartOk, _close(403, "ACCESS_REFUSED - Login was refused")),
        "refuses the login of user 'guest'",
        lasting=True,
    ),
    Mode("closes during the login", _closes(spec.Connection.StartOk, None), "closed the connection during the login"),
    Mode("unknown method during the login", _mute(spec.Connection.StartOk, UNKNOWN_METHOD), UNREADABLE, lasting=True),
    Mode(
        "missing virtual host",
        _closes(spec.Connection.Open, _close(530, "NOT_ALLOWED - vhost / not found")),
        "does not let user 'guest' into the virtual host '/'",
        lasting=True,
    ),
    Mode("closes instead of opening", _closes(spec.Connection.Open, None), "closed the connection during the login"),
    Mode(
        "forced out during the login",
        _closes(spec.Connection.Open, _close(320, "CONNECTION_FORCED - shutting down")),
        "closed the connection during the login: 320 CONNECTION_FORCED",
    ),
    Mode("stalls after the greeting", _mute(spec.Connection.StartOk), FROZEN),
    Mode("stalls before it opens", _mute(spec.Connection.Open), FROZEN),
    Mode("heartbeats instead of opening", _repeats(HEARTBEAT, spec.Connection.Open), FROZEN),
    Mode(
        "frames of eight bytes",
        _answers({spec.Connection.StartOk: (spec.Connection.Tune(channel_max=10, frame_max=8, heartbeat=60),)}),
        UNREADABLE,
        lasting=True,
    ),
    Mode("refuses after open", _refuses_after_open, "320 CONNECTION_FORCED", logged_in=True, soon=True),
    Mode(
        "refuses channels", _closes(spec.Channel.Open, _close(504, "CHANNEL_ERROR")), "504", logged_in=True, soon=True
    ),
    Mode("stalls at the channel", _mute(spec.Channel.Open), "failed: ", logged_in=True),
    Mode("stalls at the queue", _mute(spec.Queue.Declare), "failed: ", logged_in=True),
    Mode(
        "heartbeats instead of an answer",
        _repeats(HEARTBEAT, spec.Queue.Declare),
        "did not answer within",
        logged_in=True,
    ),
    Mode(
        "refuses the queue",
        _closes(spec.Queue.Declare, _channel_close(403, "ACCESS_REFUSED - no access"), on_channel=True),
        "403 ACCESS_REFUSED",
        logged_in=True,
        soon=True,
    ),
    Mode(
        "refuses messages",
        _answers({spec.Basic.Publish: (spec.Basic.Nack(1),)}),
        "did not take",
        logged_in=True,
        works=True,
    ),
    Mode(
        "unknown method at the queue", _mute(spec.Queue.Declare, UNKNOWN_METHOD), "failed: ", logged_in=True, soon=True
    ),
    Mode(
        "answers with another method", _answers({spec.Queue.Declare: (spec.Basic.QosOk(),)}), "failed: ", logged_in=True
    ),
    Mode("closes at the queue", _closes(spec.Queue.Declare, None), "failed: ", logged_in=True, soon=True),
)


def garbling(garble: Callable[[bytes], bytes]) -> Mode:
    """Make a broker that is good for a publish, but for what becomes of its bytes."""

    def serve(peer: Peer) -> None:
        peer.garble = garble
        peer.greet()
        peer.serve()

    return Mode("garbles", serve, "", works=True)


@contextmanager
def hostile_broker(mode: Mode) -> Iterator[str]:
    """Serve in a mode, and give its address."""
    if mode.serve is None:
        with socket.socket() as bound:  # bound and never listening: refused, and nobody else gets the port
            bound.bind(("127.0.0.1", 0))
            yield f"{mode.scheme}://{mode.host}:{bound.getsockname()[1]}/"
        return
    with serving(mode.serve) as port:
        yield f"{mode.scheme}://{mode.host}:{port}/"
