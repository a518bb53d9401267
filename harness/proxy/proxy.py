"""The listeners, and whether the broker behind each is there: while it is not, nobody listens, and clients are refused as they would be by it."""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

from harness.broker.ports import ATTEMPTS, HIGH, HOST, LOW
from harness.proxy.link import BUFFER_BYTES, Conversation, Link
from harness.proxy.loop import READABLE, WRITABLE, Loop, Timer

BACKLOG: Final = 128
LOOK_AGAIN_S: Final = 0.02
"""How often to look whether a broker that was gone is back."""
AGAIN_S: Final = 0.1
"""How long to wait where a socket cannot listen, or accept a connection (too many open files)."""


Address = tuple[str, int]

Converse = Callable[[str, Link], Conversation]
"""Makes what happens to the bytes of a connection: for the name of its client, and the link."""


class Proxy:
    """All listeners and links of one proxy."""

    def __init__(self, loop: Loop, converse: Converse) -> None:
        """Prepare; listens to nothing yet."""
        self._loop = loop
        self._converse = converse
        self._brokers: dict[Address, _Broker] = {}

    def listen(self, name: str, broker: Address) -> int:
        """Listen for a client, which has a listener of its own for each broker; returns the port. Raises OSError where none can be had."""
        known = self._brokers.get(broker)
        if known is None:
            known = self._brokers[broker] = _Broker(self._loop, broker)
        return known.add(partial(self._converse, name))


class _Broker:
    """A broker's address, and the listeners that lead to it."""

    def __init__(self, loop: Loop, address: Address) -> None:
        self._loop = loop
        self._address = address
        self._listeners: list[_Listener] = []
        self._looking = False
        self._due: Timer | None = None
        """The next look, while the broker is gone."""
        self._there = True
        self._waiting: list[Callable[[], None]] = []
        """What is to be done once it is known whether the broker is there."""

    def add(self, converse: Callable[[Link], Conversation]) -> int:
        listener = _Listener(self._loop, self, self._address, converse)
        self._listeners.append(listener)
        if self._there:
            listener.begin()
        return listener.port

    def refused(self) -> None:
        """The broker has refused a connection."""
        self._set(there=False)
        self._look_later()

    def gone(self, then: Callable[[], None]) -> None:
        """The broker has ended a connection: look whether it takes others, before the client knows and asks for one."""
        self._waiting.append(then)
        self._look()

    def _look(self) -> None:
        if self._looking:
            return
        self._looking = True
        sock = socket.socket()
        sock.setblocking(False)
        code = sock.connect_ex(self._address)
        if code in (0, errno.EINPROGRESS):
            self._loop.watch(sock.fileno(), WRITABLE, partial(self._looked, sock))
        else:
            self._loop.call_later(0, partial(self._looked, sock, 0, code))

    def _looked(self, sock: socket.socket, _events: int, code: int | None = None) -> None:
        self._loop.forget(sock.fileno())
        if code is None:
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        sock.close()
        self._looking = False
        self._set(there=code == 0)
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each()
        if not self._there:
            self._look_later()

    def _look_later(self) -> None:
        if self._due is not None:
            self._due.cancel()
        self._due = self._loop.call_later(LOOK_AGAIN_S, self._look)

    def _set(self, *, there: bool) -> None:
        if there == self._there:
            return
        self._there = there
        for listener in self._listeners:
            if there:
                listener.begin()
            else:
                listener.pause()


class _Listener:
    """One listening socket. It stays bound while it does not listen, so that nobody else takes its port."""

    def __init__(self, loop: Loop, broker: _Broker, address: Address, converse: Callable[[Link], Conversation]) -> None:
        self._loop = loop
        self._broker = broker
        self._address = address
        self._converse = converse
        self._links: set[Link] = set()
        self._wanted = False
        """Whether it is to listen."""
        self._socket = socket.socket()
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)  # of what it accepts as well
        self.port = _bound(self._socket)
        # Only now: it was bound alone, and may listen again beside connections that it accepted before. They inherit it.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

    def begin(self) -> None:
        """Listen; where that cannot be done just now, later."""
        self._wanted = True
        try:
            self._socket.listen(BACKLOG)
        except OSError:
            self._loop.call_later(AGAIN_S, self._begin_again)
        else:
            self._loop.watch(self._socket.fileno(), READABLE, self._on_client)

    def pause(self) -> None:
        """Refuse connections."""
        self._wanted = False
        self._loop.forget(self._socket.fileno())
        with suppress(OSError):  # it did not listen
            self._socket.shutdown(socket.SHUT_RD)  # Linux: ends listening, and keeps the port

    def _begin_again(self) -> None:
        if self._wanted:
            self.begin()

    def _on_client(self, _events: int) -> None:
        try:
            client, _ = self._socket.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                self._loop.forget(self._socket.fileno())
                self._loop.call_later(AGAIN_S, self._begin_again)
            return  # else the client was gone before it was accepted
        try:
            link = Link(
                self._loop,
                client,
                self._address,
                converse=self._converse,
                on_refused=self._broker.refused,
                on_broker_gone=self._broker.gone,
                on_closed=self._links.discard,
            )
        except OSError:
            client.close()
        else:
            self._links.add(link)


def _bound(sock: socket.socket) -> int:
    """Bind a socket to a free port below the ephemeral range; returns the port. Raises OSError."""
    for attempt in range(ATTEMPTS):
        port = random.SystemRandom().randrange(LOW, HIGH)
        try:
            sock.bind((HOST, port))
        except OSError:
            if attempt == ATTEMPTS - 1:
                sock.close()
                raise
        else:
            return port
    raise AssertionError("the last attempt returns or raises")
