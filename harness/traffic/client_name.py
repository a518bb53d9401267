"""The names of the two AMQP clients, on their own: the command line reads them each time it starts."""

from __future__ import annotations

from typing import Literal

ClientName = Literal["pika", "fast"]
"""`pika`: every message passes through pika's own code. `fast`: its frames are encoded and parsed in bulk, see wire.py."""
