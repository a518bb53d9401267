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
    24      2     queue        index into the log's table of queues or routes (see `LogHeader.names`)
    26      2     connection   counts the process's connections from 1; delivery tags are scoped by it
    28      1     flags        see `Flag`
    29      2     death        index into the log's table of deaths (see `Table`), from 1; 0 for what never died
    31      1     kind         see `Kind`; written last, so that a record whose kind is not 0 is complete

Texts that are not known when the file is created (a queue of somebody else, how a message died, why a channel was closed) are
entries of the log's tables. An entry is a record of kind DEFINED and, right after it, its UTF-8 text in records of kind TEXT:
`TEXT_BYTES` of it each, from offset 8 on, padded with zeros; nothing but the time and the kind of these means what it means elsewhere.
An entry is defined before the first record that names it. Entries are a chain, so that they are found without a look at all records:
the last four bytes of the header hold the place of the last whole one (counted from 1, 0 for none), and each holds that of the one
before it. The header is written once the entry is whole, so the chain leaves out what a killed writer has begun.

The file is a shared mapping over blocks allocated ahead, filled with zeros: a SIGKILL of the writer cannot lose or
tear a completed record, and the reader stops at the first kind of 0. This module is imported by the traffic
processes, so it needs the standard library only.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import NamedTuple

FORMAT_VERSION = 2
"""Version 1 had neither deaths nor tables: offset 29 was 0, and CONNECTED and CONSUMING did not say how their client worked."""
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
    ("death", "<u2", 29),
    ("kind", "u1", 31),
)
"""Name, numpy type and offset of each column, for readers."""


class Kind(IntEnum):
    """What a record says. Values are part of the format and never reused."""

    NONE = 0
    """Not written: the end of the log."""

    # Publishers.
    PUBLISHED = 1
    """Recorded before the send, so it is an intent: seq, attempt, tag (0 without confirms), queue = route index; arg = how many x-death
    entries it carried: more than 0 where a delivery was published again with its headers."""
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
    """The connection `connection` is open and, for a publisher, its channel is in confirm mode if asked: arg is its window of
    unconfirmed publishes, 0 without confirms."""
    CONNECTION_LOST = 17
    """It is gone; arg is the reply code (0 if the socket broke), queue the index in `Table.REASONS` of what the broker said (0: nothing).
    What was unsettled is indeterminate."""
    BLOCKED = 18
    """connection.blocked: the broker takes no publishes."""
    UNBLOCKED = 19
    """connection.unblocked."""
    CHANNEL_CLOSED = 20
    """The broker closed the channel; arg is the reply code (e.g. 406), queue as for CONNECTION_LOST. A new connection number follows."""
    CONNECT_FAILED = 21
    """An attempt to connect failed; arg is the reply code (0 if refused), queue as for CONNECTION_LOST."""
    FINISHED = 22
    """The process ends by itself, in order, all its settlements sent."""

    # Workers.
    CONSUMING = 32
    """basic.consume-ok: queue; attempt is the worker's `AckMode`, arg its prefetch (0: unlimited)."""
    DELIVERED = 33
    """basic.deliver received: publisher, seq, attempt, tag, queue, flags, death; arg is x-delivery-count (0 without one)."""
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
    FAILED = 39
    """The work of a delivery failed, and there was no way to tell the broker, which takes it for acknowledged: as COMPLETED."""

    # The collector, after the drain.
    FOUND = 48
    """Still in a queue when the drain ended: publisher, seq, attempt, queue, flags, death; arg is x-delivery-count."""

    # The log's tables.
    DEFINED = 64
    """A new entry of a table: queue is the `Table`, tag its index, arg the number of bytes of its text, which follows; seq is the place of
    the entry before it, of any table, counted from 1 (0: none)."""
    TEXT = 65
    """A part of the text of the entry before it."""


OF_MESSAGES = (
    Kind.PUBLISHED,
    Kind.RETURNED,
    Kind.DELIVERED,
    Kind.COMPLETED,
    Kind.REJECTED,
    Kind.CRASHING,
    Kind.FAILED,
    Kind.FOUND,
)
"""The kinds of record that name a message."""
RANGES = (Kind.CONFIRMED, Kind.NACKED, Kind.ACKED)
"""Those that settle the tags [tag, tag + arg) of their connection."""


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
    """The delivery carries an x-death header that its publish did not carry."""


class AckMode(IntEnum):
    """When a worker's deliveries are acknowledged. Values are part of the format."""

    UNKNOWN = 0
    """A log of version 1, which does not say."""
    MANUAL = 1
    AUTOMATIC = 2
    EARLY = 3


class Table(IntEnum):
    """The tables of texts that grow while a log is written. Values are part of the format."""

    NAMES = 0
    """Queues (or routes): continues `LogHeader.names`."""
    DEATHS = 1
    """How a message died before it came here, as JSON: see `Death`. Indexes count from 1."""
    REASONS = 2
    """What the broker said when it closed a channel or connection, or refused one. Indexes count from 1."""
    IDENTITIES = 3
    """What is known of a delivery that is not of this run, as JSON: see `ForeignMessage`. Indexes count from 0, and stand in the
    delivery's seq."""


FIRST_INDEX = {Table.NAMES: 0, Table.DEATHS: 1, Table.REASONS: 1, Table.IDENTITIES: 0}
"""By table, the index of its first entry."""
MOST_ENTRIES = {Table.NAMES: 1 << 15, Table.DEATHS: 4096, Table.REASONS: 100, Table.IDENTITIES: 101}
"""By table, how many entries are made: the last one is for all others, whose text is `OTHERS` (of deaths, the first queue; of identities,
the message_id)."""
OTHERS = "(others)"
TEXT_OFFSET, TEXT_BYTES = 8, 23
LAST_ENTRY = struct.Struct("<I")
LAST_ENTRY_OFFSET = HEADER_BYTES - LAST_ENTRY.size
"""Where the header holds the place of the last entry. In version 1, which had none, the JSON object may reach to the end of the header."""


class Death(NamedTuple):
    """How a message came to a queue by dead-lettering, as its headers say when it is delivered.

    Written as a JSON array of these fields. What the publish itself carried is in it too: see PUBLISHED. Source: RabbitMQ's guide to dead
    lettering, and measurements on 3.8.9 to 4.3.6.
    """

    first_queue: str
    """Where it died first: x-first-death-queue."""
    path: tuple[tuple[str, str, int], ...]
    """Queue, reason and count of each entry of x-death, the one that was longest not updated first. Of a queue and reason there is one
    entry, which comes to the end whenever the message dies there again. Counts beyond `MOST_DEATHS` are written as that, and of the
    entries no more than the last `MOST_DEATHS`."""

    @property
    def text(self) -> str:
        """The entry of `Table.DEATHS`."""
        return json.dumps(self)

    @classmethod
    def read(cls, text: str) -> Death:
        """Read an entry. Raises ValueError, also for what is no such array."""
        if text == OTHERS:
            return cls(OTHERS, ())
        first_queue, path = json.loads(text)
        read = cls(first_queue, tuple((queue, reason, count) for queue, reason, count in path))
        if not isinstance(first_queue, str) or not all(map(_is_step, read.path)):
            raise ValueError("it is not a death")
        return read


def _is_step(step: tuple[object, object, object]) -> bool:
    queue, reason, count = step
    return isinstance(queue, str) and isinstance(reason, str) and type(count) is int and 0 <= count <= MOST_DEATHS


MOST_DEATHS = 99
NEVER_DIED = Death("", ())
"""What the index 0 stands for."""


class ForeignMessage(NamedTuple):
    """What is known of a delivery that does not carry an identity of this run. Written as a JSON array of these fields."""

    message_id: str
    exchange: str
    routing_key: str
    size: int
    """Of the body, in bytes."""
    begins: str
    """The first `FOREIGN_BYTES` of the body, those that are not printable ASCII escaped as in Python."""

    @property
    def text(self) -> str:
        """The entry of `Table.IDENTITIES`."""
        return json.dumps(self)

    @classmethod
    def read(cls, text: str) -> ForeignMessage:
        """Read an entry. Raises ValueError, also for what is no such array."""
        if text == OTHERS:
            return cls(OTHERS, "", "", 0, "")
        message_id, exchange, routing_key, size, begins = json.loads(text)
        if type(size) is not int or not all(
            isinstance(each, str) for each in (message_id, exchange, routing_key, begins)
        ):
            raise ValueError("it is not a foreign message")
        return cls(message_id, exchange, routing_key, size, begins)


FOREIGN_BYTES = 40


@dataclass(frozen=True, slots=True)
class LogHeader:
    """Who wrote a log. `names` translates the `queue` column: queues for workers, routes for publishers.

    Names that do not fit into the header are entries of `Table.NAMES`.
    """

    role: str
    """`publisher`, `worker` or `collector`."""
    actor: str
    number: int
    """The publisher's number as in message identities, or the worker's, from 1."""
    incarnation: int
    pid: int
    names: tuple[str, ...]
    version: int = FORMAT_VERSION
