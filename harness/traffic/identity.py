"""The identity that every message carries: publisher, sequence number, attempt, and a checksum of its body.

It travels in the `message_id` property, so that bodies stay exactly what the scenario says, and a run's token keeps
messages of another run from being taken for this one's. Format: `token.publisher.seq.attempt.crc32`, numbers in
decimal, CRC-32 in hex.
"""

from __future__ import annotations

from typing import NamedTuple
from zlib import crc32

from harness.history.records import FOREIGN, FOREIGN_BYTES, ForeignMessage

_MAX_SEQ = 2**32 - 1
_MAX_ATTEMPT = 2**16 - 1


class Identity(NamedTuple):
    """Who a message is. `checksum` is the CRC-32 of the body as it was published."""

    publisher: int
    seq: int
    attempt: int
    checksum: int

    def intact(self, body: bytes) -> bool:
        """Whether `body` is the one that was published."""
        return crc32(body) == self.checksum


def encode(token: str, publisher: int, seq: int, attempt: int, body: bytes) -> str:
    """Make the message_id of a message."""
    return f"{token}.{publisher}.{seq}.{attempt}.{crc32(body):x}"


def decode(token: str, message_id: str | bytes | None) -> Identity | None:
    """Read a message_id; None where it is not one of the run that `token` names, or bytes that are no text."""
    if not isinstance(message_id, str):
        return None
    parts = message_id.split(".")
    if len(parts) != 5 or parts[0] != token:
        return None
    try:
        publisher, seq, attempt, checksum = int(parts[1]), int(parts[2]), int(parts[3]), int(parts[4], 16)
    except ValueError:
        return None
    if not (0 < publisher < FOREIGN and 0 <= seq <= _MAX_SEQ and 0 < attempt <= _MAX_ATTEMPT):
        return None  # nothing of this run: a record could not hold it
    return Identity(publisher, seq, attempt, checksum)


def foreign(
    message_id: str | bytes | None, exchange: str | bytes, routing_key: str | bytes, body: bytes
) -> ForeignMessage:
    """Describe a delivery whose message_id is not one of the run. Of each text, what is not UTF-8 is escaped."""
    return ForeignMessage(
        _text(message_id or ""), _text(exchange), _text(routing_key), len(body), _printable(body[:FOREIGN_BYTES])
    )


def _text(value: str | bytes) -> str:
    return _printable(value) if isinstance(value, bytes) else value


def _printable(octets: bytes) -> str:
    """Escape what is not printable ASCII, and the backslash."""
    return octets.decode("latin-1").encode("unicode_escape").decode("ascii")
