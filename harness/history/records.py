"""The log format: one fixed-size record for every event, in one append-only file for each process.

A file is a header of `HEADER_BYTES` (a JSON object padded with zeros: see `LogHeader`) and then records of
`RECORD_BYTES` each, little endian:

    offset  size  field        meaning
    0       8     at_ns        time.monotonic_ns() when it happened
    8       4     seq          sequence number of the message in its publisher, from 0
    12      4     tag          delivery tag (of the publish, or of the delivery); first tag of a range
    16      4     arg          tags in the range, or an AMQP reply code (see `Kind`)
    20      2     publisher    number of the message's publisher, from 1; 0 where there is none; FOREIGN if unknown
    22      2     attempt      1 for the first publish of a message, 2 for its first republish, ...
    24      2     queue        index into the run's list of queues or routes (see `LogHeader.names`)
    26      2     connection   counts the process's connections from 1; delivery tags are scoped by it
    28      1     flags        see `Flag`
    29      2     (zero)
    31      1     kind         see `Kind`; written last, so that a record whose kind is not 0 is complete

The file is a shared mapping over blocks allocated ahead, filled with zeros: a SIGKILL of the writer cannot lose or
tear a completed record, and the reader stops at the first kind of 0. This module is imported by the traffic
processes, so it needs the standard library only.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag

FORMAT_VERSION = 1
HEADER_BYTES = 4096
RECORD_BYTES = 32
RECORD = struct.Struct("<qIIIHHHHBHB")
FOREIGN = 0xFFFF
"""The publisher number of a delivery that carries no identity of this run."""

assert RECORD.size == RECORD_BYTES  # noqa: S101 - a wrong layout must never write a log

COLUMNS = (
    ("at_ns", "<i8", 0),
    ("seq", "<u4", 8),
    ("tag", "<u4", 12),
    ("arg", "<u4", 16),
    ("publisher", "<u2", 20),
    ("attempt", "<u2", 22),
    ("queue", "<u2", 24),
    ("connection", "<u2", 26),
    ("flags", "u1", 28),
    ("kind", "u1", 31),
)
"""Name, numpy type and offset of each column, for readers."""


class Kind(IntEnum):
    """What a record says. Values are part of the format and never reused."""

    NONE = 0
    """Not written: the end of the log."""

    # Publishers.
    PUBLISHED = 1
    """Recorded before the send, so it is an intent: seq, attempt, tag (0 without confirms), queue = route index."""
    CONFIRMED = 2
    """basic.ack from the broker for the tags [tag, tag + arg)."""
    NACKED = 3
    """basic.nack from the broker for the tags [tag, tag + arg)."""
    RETURNED = 4
    """basic.return (unroutable and mandatory): seq, attempt; arg is the reply code (312)."""
    EXHAUSTED = 5
    """The publisher has nothing more to send and nothing unsettled."""

    # Both.
    CONNECTED = 16
    """The connection `connection` is open and, for a publisher, its channel is in confirm mode if asked."""
    CONNECTION_LOST = 17
    """It is gone; arg is the reply code (0 if the socket broke). What was unsettled is indeterminate."""
    BLOCKED = 18
    """connection.blocked: the broker takes no publishes."""
    UNBLOCKED = 19
    """connection.unblocked."""
    CHANNEL_CLOSED = 20
    """The broker closed the channel; arg is the reply code (e.g. 406). A new connection number follows."""
    CONNECT_FAILED = 21
    """An attempt to connect failed; arg is the reply code (0 if refused)."""
    FINISHED = 22
    """The process ends by itself, in order, all its settlements sent."""

    # Workers.
    CONSUMING = 32
    """basic.consume-ok."""
    DELIVERED = 33
    """basic.deliver received: publisher, seq, attempt, tag, queue, flags."""
    COMPLETED = 34
    """The work of a delivery is done: publisher, seq, attempt, tag, queue. Only now it counts as processed."""
    ACKED = 35
    """basic.ack for the tags [tag, tag + arg), recorded before the send: an intent."""
    REJECTED = 36
    """basic.reject/nack for a delivery, recorded before the send: publisher, seq, attempt, tag; REQUEUE in flags."""
    CRASHING = 37
    """About to die on a poison message, as the scenario says: publisher, seq, attempt, tag."""
    CANCELLED = 38
    """The broker cancelled the consumer (e.g. its queue was deleted)."""

    # The collector, after the drain.
    FOUND = 48
    """Still in a queue when the drain ended: publisher, seq, attempt, queue, flags."""


class Flag(IntFlag):
    """Properties of a record; meaning as in AMQP unless said otherwise."""

    NONE = 0
    REDELIVERED = 1
    """The delivery's redelivered bit: a hint, not `seen before`."""
    CORRUPT = 2
    """Body and checksum disagree."""
    PERSISTENT = 4
    MANDATORY = 8
    REQUEUE = 16
    DONE = 32
    """On DELIVERED: the work was completed in the same instant (no work to do), no COMPLETED record follows."""
    DEAD_LETTERED = 64
    """The delivery carries an x-death header."""


@dataclass(frozen=True, slots=True)
class LogHeader:
    """Who wrote a log. `names` translates the `queue` column: queues for workers, routes for publishers."""

    role: str
    """`publisher`, `worker` or `collector`."""
    actor: str
    number: int
    """The publisher's number as in message identities, or the worker's, from 1."""
    incarnation: int
    pid: int
    names: tuple[str, ...]
    version: int = FORMAT_VERSION
