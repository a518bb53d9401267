"""One connection through the proxy: two sockets, and what happens to the bytes between them.

A way is read only while nothing of it waits to be sent, so that whoever does not read holds up whoever writes, as without a proxy. The
kernel's buffers are small where the broker is near: else a frozen consumer with automatic acks would take tens of thousands of messages out
of a queue that the broker alone would have kept (measured: 11,350 directly, 11,850 with these, up to 60,000 with the kernel's own).

An end in order (FIN) and a reset (RST) are passed on as they came, after what came before them.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum
from functools import partial
from typing import Final, Protocol

from harness.proxy.loop import BROKEN, READABLE, WRITABLE, Loop

BUFFER_BYTES: Final = 32 * 1024
"""Of the kernel's buffers on the way from the broker to a client: what it receives from the one, and sends to the other."""
READ_BYTES: Final = 64 * 1024
"""Most bytes in one read of a socket."""
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing resets the connection."""
_AGAIN: Final = (errno.EAGAIN, errno.EINTR)


class Way(IntEnum):
    """A direction of a connection."""

    TO_BROKER = 0
    TO_CLIENT = 1

    @property
    def back(self) -> Way:
        """The other direction."""
        return Way(1 - self)


class Conversation(Protocol):
    """What happens to the bytes of one connection. It is called by the loop, and never to be held up."""

    def received(self, way: Way, data: memoryview) -> None:
        """Take what was received; whatever is to be forwarded is sent by `Link.send`. The memory is used again afterwards."""

    def ended(self) -> None:
        """Forget the connection: both of its sides are closed."""


class _End:
    """One of the two sockets."""

    def __init__(self, sock: socket.socket, way: Way) -> None:
        self.socket = sock
        self.way = way
        """The direction of what is sent by it."""
        self.waiting = bytearray()
        """What is to be sent and was not taken yet."""
        self.read_out = False
        """Whether nothing comes from it any more."""
        self.finishing = False
        """Whether it is to be ended once nothing is waiting."""
        self.resetting = False
        """Whether that end is a reset."""
        self.ended = False
        """Whether that was done."""

    @property
    def gone(self) -> bool:
        """Whether the socket is closed."""
        return self.socket.fileno() < 0


class Link:
    """A client's connection and the one to the broker that belongs to it."""

    def __init__(
        self,
        loop: Loop,
        client: socket.socket,
        address: tuple[str, int],
        *,
        converse: Callable[[Link], Conversation],
        on_refused: Callable[[], None],
        on_broker_gone: Callable[[Callable[[], None]], None],
        on_closed: Callable[[Link], None],
    ) -> None:
        """Connect to the broker at `address` for a client that was accepted; `converse` makes what happens to the bytes.

        `on_refused` is called where the broker takes no connection. `on_broker_gone` is called when it has ended this one before the
        client did, with what then lets the client know. Raises OSError.
        """
        self._loop = loop
        self._on_refused = on_refused
        self._on_broker_gone = on_broker_gone
        self._on_closed = on_closed
        self._buffer = memoryview(bytearray(READ_BYTES))
        self._connected = False
        self._closed = False
        broker = socket.socket()
        broker.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        for each in (client, broker):
            each.setblocking(False)
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # By the direction of what each of them sends.
        self._ends = (_End(broker, Way.TO_BROKER), _End(client, Way.TO_CLIENT))
        self._conversation = converse(self)
        self._dial(address)

    def send(self, way: Way, data: bytes | memoryview) -> None:
        """Send, now or as soon as the socket takes it; no error on a connection that has ended."""
        end = self._ends[way]
        if self._closed or end.finishing or end.ended:
            return
        view = memoryview(data)
        if not end.waiting and self._connected:
            view = view[self._sent(end, view) :]
        if view:
            end.waiting += view
            self._watch()

    def reset(self) -> None:
        """Break the connection off on both sides."""
        for end in self._ends:
            self._abandon(end)
        self._close()

    # The way to the broker.

    def _dial(self, address: tuple[str, int]) -> None:
        end = self._ends[Way.TO_BROKER]
        code = end.socket.connect_ex(address)
        if code in (0, errno.EINPROGRESS):
            self._loop.watch(end.socket.fileno(), WRITABLE, self._on_dialled)
        else:
            self._loop.call_later(0, self._refuse)

    def _on_dialled(self, _events: int) -> None:
        if self._ends[Way.TO_BROKER].socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._refuse()
        else:
            self._connected = True
            self._watch()

    def _refuse(self) -> None:
        if not self._closed:
            self._on_refused()
            self.reset()

    # Events.

    def _watch(self) -> None:
        """Ask for what is to be waited for now."""
        if self._closed or not self._connected:
            return
        for end in self._ends:
            if end.gone:
                continue
            events = 0 if end.read_out or self._ends[end.way.back].waiting else READABLE
            if end.waiting:
                events |= WRITABLE
            if events:
                self._loop.watch(end.socket.fileno(), events, partial(self._on_events, end))
            else:  # that both sides have ended would be reported all the while
                self._loop.forget(end.socket.fileno())

    def _on_events(self, end: _End, events: int) -> None:
        if events & WRITABLE and not end.gone:
            self._flush(end)
        if events & READABLE and not end.gone:
            self._read(end)
        if events & BROKEN and not end.gone:
            self._on_reset(end)
        self._watch()

    def _read(self, end: _End) -> bool:
        """Take what has come, once; returns whether there may be more."""
        try:
            size = end.socket.recv_into(self._buffer)
        except OSError as error:
            if error.errno not in _AGAIN:
                self._on_end(end, reset=True)
            return False
        if size:
            self._conversation.received(end.way.back, self._buffer[:size])
        else:
            self._on_end(end, reset=False)
        return size > 0

    def _on_reset(self, end: _End) -> None:
        """A peer has reset its connection: take what it sent before, without waiting for whoever is to get it."""
        while not (self._closed or end.read_out) and self._read(end):
            pass
        self._on_end(end, reset=True)

    def _on_end(self, end: _End, *, reset: bool) -> None:
        """Nothing more comes from a side: pass that on."""
        if self._closed or end.gone:
            return
        end.read_out = True
        if reset:
            self._abandon(end)
        other = self._ends[end.way.back]
        pass_on = partial(self._pass_on, other, reset=reset)
        if end.way is Way.TO_BROKER and not other.read_out:
            self._on_broker_gone(pass_on)
        else:
            pass_on()

    def _pass_on(self, other: _End, *, reset: bool) -> None:
        if self._closed:
            return
        other.finishing = True
        other.resetting |= reset
        self._flush(other)
        self._watch()

    # Sending.

    def _sent(self, end: _End, data: bytearray | memoryview) -> int:
        """Send what the socket takes; returns how much."""
        try:
            return end.socket.send(data)
        except OSError as error:
            if error.errno in _AGAIN:
                return 0
            # Not now: whoever sends may be in the middle of something with this link.
            self._loop.call_later(0, partial(self._on_reset, end))
            return len(data)

    def _flush(self, end: _End) -> None:
        if end.waiting:
            del end.waiting[: self._sent(end, end.waiting)]
        if end.finishing and not end.waiting and not end.gone:
            if end.resetting:
                self._abandon(end)
            else:
                self._finish(end)
        if all(each.ended and each.read_out for each in self._ends):
            self._close()

    def _finish(self, end: _End) -> None:
        """End what is sent by a socket in order."""
        end.ended = True
        try:
            end.socket.shutdown(socket.SHUT_WR)
        except OSError:  # its peer has reset it meanwhile
            self._abandon(end)

    def _abandon(self, end: _End) -> None:
        """Close a socket with a reset."""
        end.ended = end.read_out = True
        end.waiting.clear()
        if end.gone:
            return
        self._loop.forget(end.socket.fileno())
        with suppress(OSError):
            end.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        end.socket.close()

    def _close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for end in self._ends:
            if not end.gone:
                self._loop.forget(end.socket.fileno())
                end.socket.close()
        self._conversation.ended()
        self._on_closed(self)
