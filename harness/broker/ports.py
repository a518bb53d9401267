"""Free ports on 127.0.0.1 for listeners that must come back on the same one.

Below 32768: a client that polls a port of the ephemeral range can connect to itself, and the broker then cannot have it.
"""

from __future__ import annotations

import random
import socket

from harness.errors import BrokerError

LOW, HIGH = 20000, 32000


def free_port() -> int:
    """Return a port that nothing listens on; chosen at random, so that runs side by side do not meet."""
    for _ in range(200):
        port = random.SystemRandom().randrange(LOW, HIGH)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise BrokerError(f"no free port found between {LOW} and {HIGH} on 127.0.0.1")
