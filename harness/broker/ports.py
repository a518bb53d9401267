"""Free ports on 127.0.0.1 for listeners that must come back on the same one.

Below 32768: a client that polls a port of the ephemeral range can connect to itself, and the broker then cannot have it.
"""

from __future__ import annotations

import random
import socket

from harness.errors import BrokerError

HOST = "127.0.0.1"
LOW, HIGH = 20000, 32000
ATTEMPTS = 200


def free_port() -> int:
    """Return a port that nothing listens on and nobody reserved; chosen at random, so that runs side by side do not meet."""
    reservation = Reservation()
    reservation.release()
    return reservation.port


class Reservation:
    """A port that is kept while its listener is down, so that no other harness takes it during a restart.

    The socket is bound and never listens. It was bound alone, which fails for a port that anybody else has, reserved or
    not; that it may be reused is said only then, and lets a listener with SO_REUSEADDR (epmd, Erlang's distribution and
    RabbitMQ set it) bind the same port beside it. A connection finds nobody there: it is refused as on any closed port.
    """

    def __init__(self) -> None:
        """Choose a port and reserve it. Raises BrokerError."""
        for _ in range(ATTEMPTS):
            self.port = random.SystemRandom().randrange(LOW, HIGH)
            self._socket = socket.socket()
            try:
                self._socket.bind((HOST, self.port))
            except OSError:
                self._socket.close()
                continue
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            return
        raise BrokerError(
            f"no free port found between {LOW} and {HIGH} on {HOST} in {ATTEMPTS} attempts; is something holding them all?"
        )

    def release(self) -> None:
        """Let the port go; safe to call any number of times."""
        self._socket.close()
