"""How a connection's bytes come and go: pika's I/O services with a transport that writes once a turn of the loop.

pika's own transport sends every frame by itself, three for a message, and the many small segments cost the broker half
as much again. `pika.adapters.utils.nbio_interface` is where pika lets this be replaced; encrypted connections keep its own.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

from pika.adapters.select_connection import IOLoop
from pika.adapters.utils.nbio_interface import AbstractIOReference, AbstractStreamProtocol, AbstractStreamTransport
from pika.adapters.utils.selector_ioloop_adapter import SelectorIOServicesAdapter

READ_BYTES = 64 * 1024
"""Most bytes in one read of the socket, for a protocol that parses them in bulk."""
READ_BYTES_FOR_PIKA = 16 * 1024
"""The same for pika, which moves the rest of what was read once for each frame."""

_Linked = tuple[AbstractStreamTransport, AbstractStreamProtocol]
_AGAIN = (BlockingIOError, InterruptedError)


class IOServices(SelectorIOServicesAdapter):  # type: ignore[misc]  # pika is published without types
    """pika's I/O services for one connection."""

    def __init__(
        self, loop: IOLoop, interpose: Callable[[AbstractStreamProtocol], AbstractStreamProtocol] | None = None
    ) -> None:
        """Prepare; `interpose` puts a protocol that parses in bulk between the transport and pika's."""
        super().__init__(loop)
        self._interpose = interpose
        self.read_bytes = READ_BYTES_FOR_PIKA if interpose is None else READ_BYTES
        """Most bytes in one read of the socket."""

    def create_streaming_connection(
        self,
        protocol_factory: Callable[[], AbstractStreamProtocol],
        sock: socket.socket,
        on_done: Callable[[_Linked | BaseException], None],
        ssl_context: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
    ) -> AbstractIOReference:
        """Link a connected socket with a protocol: see AbstractIOServices."""
        made: list[AbstractStreamProtocol] = []

        def factory() -> AbstractStreamProtocol:
            made.append(protocol_factory())
            return made[0] if self._interpose is None else self._interpose(made[0])

        def done(result: _Linked | BaseException) -> None:
            # pika knows the connection by the protocol that it has made.
            on_done(result if isinstance(result, BaseException) else (result[0], made[0]))

        if ssl_context is not None:
            return super().create_streaming_connection(factory, sock, done, ssl_context, server_hostname)
        return _Link(self, sock, factory, done)


class _Link(AbstractIOReference):  # type: ignore[misc]  # pika is published without types
    """A link that is made in the loop's next turn, unless it is cancelled before."""

    def __init__(
        self,
        services: IOServices,
        sock: socket.socket,
        factory: Callable[[], AbstractStreamProtocol],
        on_done: Callable[[_Linked | BaseException], None],
    ) -> None:
        self._services = services
        self._socket = sock
        self._factory = factory
        self._on_done = on_done
        self._pending = True
        services.add_callback_threadsafe(self._make)

    def cancel(self) -> bool:
        """Close the socket without a callback; False if it is too late for that."""
        pending, self._pending = self._pending, False
        if pending:
            self._socket.close()
        return pending

    def _make(self) -> None:
        if not self._pending:
            return
        self._pending = False
        protocol = self._factory()
        transport = Transport(self._services, self._socket, protocol)
        try:
            protocol.connection_made(transport)
        except Exception as error:  # whatever it is, pika reports it as a failed attempt
            transport.discard()
            self._on_done(error)
        else:
            self._on_done((transport, protocol))


class Transport(AbstractStreamTransport):  # type: ignore[misc]  # pika is published without types
    """Bytes in and out of one plain socket, which it owns.

    What is written in one turn of the loop leaves in one send: at the end of the callback if the socket was being read, else
    in the next turn.
    """

    def __init__(self, services: IOServices, sock: socket.socket, protocol: AbstractStreamProtocol) -> None:
        """Begin to read."""
        self._services = services
        self._socket = sock
        self._protocol = protocol
        self._written: list[bytes] = []
        """What waits to be joined and sent."""
        self._written_bytes = 0
        self._sending = memoryview(b"")
        """What is left of the last join."""
        self._reading = False
        self._flush_due = False
        """Whether a flush is scheduled, or waits for the socket to take more."""
        self._open = True
        self._error: BaseException | None = None
        services.set_reader(sock.fileno(), self._on_readable)

    def get_protocol(self) -> AbstractStreamProtocol:
        """Return the protocol linked to this transport."""
        return self._protocol

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait to be sent."""
        return self._written_bytes + len(self._sending)

    def write(self, data: bytes) -> None:
        """Send in this turn of the loop or the next. Raises ValueError for no data."""
        if not data:
            raise ValueError("there is nothing to write")
        if not self._open:
            return
        self._written.append(data)
        self._written_bytes += len(data)
        if not self._flush_due and not self._reading:
            self._flush_due = True
            self._services.call_later(0, self._flush)

    def abort(self) -> None:
        """Close at once; the protocol's `connection_lost` is called from the loop."""
        self._end(None)

    def discard(self) -> None:
        """Close without telling the protocol."""
        self._stop()
        self._socket.close()

    def _on_readable(self) -> None:
        self._reading = True
        try:
            self._read()
        except Exception as error:  # the socket's, or whatever the protocol raises: it ends the connection
            self._end(error)
        finally:
            self._reading = False
        if self._written and not self._flush_due:
            self._flush()

    def _read(self) -> None:
        try:
            data = self._socket.recv(self._services.read_bytes)
        except _AGAIN:
            return
        if not data:
            self._protocol.eof_received()
            self._end(None)
            return
        self._protocol.data_received(data)

    def _flush(self) -> None:
        if not self._open:
            return
        try:
            while self._written or self._sending:
                if not self._sending:
                    self._sending = memoryview(b"".join(self._written))
                    self._written.clear()
                    self._written_bytes = 0
                self._sending = self._sending[self._socket.send(self._sending) :]
        except _AGAIN:
            self._flush_due = True
            self._services.set_writer(self._socket.fileno(), self._flush)
        except OSError as error:
            self._end(error)
        else:
            self._flush_due = False
            self._services.remove_writer(self._socket.fileno())

    def _stop(self) -> None:
        self._open = False
        self._services.remove_reader(self._socket.fileno())
        self._services.remove_writer(self._socket.fileno())
        self._written.clear()
        self._written_bytes = 0
        self._sending = memoryview(b"")

    def _end(self, error: BaseException | None) -> None:
        """Stop; what pika asks for itself (None) outweighs an error that is about to be told."""
        if self._open:
            self._stop()
            self._error = error
            self._services.add_callback_threadsafe(self._tell)
        elif error is None:
            self._error = None

    def _tell(self) -> None:
        try:
            self._protocol.connection_lost(self._error)
        finally:
            # What has been sent still arrives, where a plain close may make the kernel throw it away.
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
