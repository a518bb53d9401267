"""The bytes of the hot path: publishes and acks encoded at once, deliveries and confirms parsed in bulk.

pika builds three objects for a message and passes through some fifty Python calls at either end. Here a publish is one
join of ready-made pieces, and what a read of the socket brought is taken apart in one loop. Only two kinds of input
are, both on the one channel that is watched: basic.deliver with its header and a body in one frame, and
basic.ack and basic.nack. Every other frame goes to pika unchanged and in its place, also one of these kinds that is
not of the plain form (a body in several frames, frames of another channel in between, malformed ones): pika assembles,
dispatches and complains as it always does. A frame that is not complete waits for the rest.

Layout and bulk parsing of the frames: harness.frames.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from struct import Struct
from typing import Any

import pika
from pika import spec
from pika.adapters.utils.nbio_interface import AbstractStreamProtocol, AbstractStreamTransport
from pika.channel import Channel
from pika.data import decode_short_string
from pika.frame import Method

from harness.frames.bulk import Confirm, Delivery, take_confirms, take_deliveries
from harness.frames.layout import (
    ACK,
    BASIC,
    DELIVER,
    END,
    FRAME_BODY,
    FRAME_HEADER,
    FRAME_METHOD,
    FRAME_TYPES,
    METHOD,
    NACK,
    OVERHEAD,
    START,
    pack_start,
    unpack_method,
    unpack_start,
)


def destination(exchange: str | bytes, routing_key: str | bytes) -> bytes:
    """Encode what a message was published to as basic.deliver does, as two short strings."""
    parts = (part if isinstance(part, bytes) else part.encode() for part in (exchange, routing_key))
    return b"".join(bytes([len(part)]) + part for part in parts)


def exchange_and_key(encoded: bytes) -> tuple[str | bytes, str | bytes]:
    """Decode a destination as pika does: what is not UTF-8 stays bytes."""
    exchange, end = decode_short_string(encoded, 0)
    return exchange, decode_short_string(encoded, end)[0]


class PublishEncoder:
    """Encodes publishes on one channel whose properties differ by the message_id only."""

    def __init__(
        self, channel_number: int, frame_max: int, properties: pika.BasicProperties, *, mandatory: bool
    ) -> None:
        """Encode what never changes. `frame_max` is the negotiated one, in bytes."""
        self._channel_number = channel_number
        self._fragment = frame_max - OVERHEAD
        self._mandatory = mandatory
        self._methods: dict[tuple[str, str], bytes] = {}
        marker = "marker-of-the-place"
        properties = pika.BasicProperties(**{**vars(properties), "message_id": marker})
        before, _, self._after = b"".join(properties.encode()).rpartition(bytes([len(marker)]) + marker.encode())
        self._head = Struct(f">BHIIQ{len(before)}sB")
        self._before = before
        self._constant_size = 12 + len(before) + 1 + len(self._after)

    def encode(self, exchange: str, routing_key: str, message_id: str, body: bytes) -> bytes:
        """Encode a publish: a method, a header and as many body frames as it takes.

        Raises struct.error for a message_id of more than 255 bytes.
        """
        method = self._methods.get((exchange, routing_key)) or self._method(exchange, routing_key)
        name = message_id.encode()
        channel, size = self._channel_number, len(body)
        head = self._head.pack(
            FRAME_HEADER, channel, self._constant_size + len(name), BASIC, size, self._before, len(name)
        )
        if 0 < size <= self._fragment:
            start = pack_start(FRAME_BODY, channel, size)
            return b"".join((method, head, name, self._after, END, start, body, END))
        pieces = [method, head, name, self._after, END]
        for first in range(0, size, self._fragment):
            fragment = body[first : first + self._fragment]
            pieces += (pack_start(FRAME_BODY, channel, len(fragment)), fragment, END)
        return b"".join(pieces)

    def _method(self, exchange: str, routing_key: str) -> bytes:
        publish = spec.Basic.Publish(exchange=exchange, routing_key=routing_key, mandatory=self._mandatory)
        encoded: bytes = Method(self._channel_number, publish).marshal()
        self._methods[exchange, routing_key] = encoded
        return encoded


class BulkProtocol(AbstractStreamProtocol):  # type: ignore[misc]  # pika is published without types
    """Stands between the transport and pika's protocol, and takes what is watched out of what is received."""

    def __init__(self, protocol: AbstractStreamProtocol, connection: pika.SelectConnection) -> None:
        """Prepare; the connection is the one behind pika's protocol."""
        self._pika = protocol
        self._connection = connection
        self._transport: AbstractStreamTransport | None = None
        self._watched: Channel | None = None
        self._channel = 0
        """The number of the channel that is watched."""
        self._consumer_tag = ""
        self._consumer = b""
        """The consumer tag as a short string: what begins the method of its deliveries."""
        self._on_deliveries: Callable[[list[Delivery]], None] | None = None
        self._on_confirms: Callable[[list[Confirm]], None] | None = None
        self._held = bytearray()
        """The beginning of a frame or delivery that is not complete."""
        self._wanted = 0
        """How many bytes of it there must be before another look is worth it."""
        self._assembling = False
        self._body_size = self._body_seen = 0
        """Of the content that pika assembles on the watched channel, in bytes."""
        self._lost = False
        """Whether what came is no AMQP frame: pika gets everything from there on."""

    def connection_made(self, transport: AbstractStreamTransport) -> None:
        """Tell pika, and keep the transport for writing."""
        self._transport = transport
        self._pika.connection_made(transport)

    def connection_lost(self, error: BaseException | None) -> None:
        """Tell pika."""
        self._pika.connection_lost(error)

    def eof_received(self) -> bool | None:
        """Tell pika."""
        keep_open: bool | None = self._pika.eof_received()
        return keep_open

    def write(self, data: bytes) -> None:
        """Send encoded frames, behind what pika has sent."""
        assert self._transport is not None  # noqa: S101 - there is a channel
        self._transport.write(data)

    def watch_confirms(self, channel: Channel, on_confirms: Callable[[list[Confirm]], None]) -> None:
        """Give the confirms of a channel in bulk to a callback instead of pika's, as long as it is open."""
        self._watched, self._channel, self._on_confirms = channel, channel.channel_number, on_confirms

    def watch_deliveries(
        self, channel: Channel, consumer_tag: str, on_deliveries: Callable[[list[Delivery]], None]
    ) -> None:
        """Give the deliveries to a consumer in bulk to a callback instead of pika's, as long as it is there."""
        tag = consumer_tag.encode()
        self._watched, self._channel, self._on_deliveries = channel, channel.channel_number, on_deliveries
        self._consumer_tag, self._consumer = consumer_tag, bytes([len(tag)]) + tag

    def watch_nothing(self) -> None:
        """Leave everything to pika from the next frame on: to be called before a consumer is cancelled."""
        self._watched = None

    def data_received(self, data: bytes) -> None:
        """Take what is watched, give pika the rest. Raises what pika raises."""
        if self._lost:
            self._pika.data_received(data)
            return
        if self._held:
            self._held += data
            if len(self._held) < self._wanted:
                return
            data = bytes(self._held)
            self._held.clear()
        position = lacking = 0
        while position < len(data) and not lacking:
            position, lacking = self._take(data, position)
            if position < len(data) and not lacking:
                position, lacking = self._hand_on(data, position)
        self._held += data[position:]
        self._wanted = lacking

    def _hand_on(self, data: bytes, position: int) -> tuple[int, int]:
        """Give pika the frame at `position`; returns where the next one begins, and the size of this one if it is not complete."""
        if len(data) - position < START.size:
            return position, START.size
        kind, number, size = unpack_start(data, position)
        if kind not in FRAME_TYPES:
            self._lost = True
            self._pika.data_received(data[position:])
            return len(data), 0
        end = position + size + OVERHEAD
        if end > len(data):
            return position, end - position
        if number == self._channel:
            self._follow(kind, data[position + START.size : end - 1])
        self._pika.data_received(data[position:end])
        return end, 0

    def _follow(self, kind: int, payload: bytes) -> None:
        """Keep in mind whether pika waits for the rest of a content: until then, everything is pika's."""
        complete = False
        if kind == FRAME_METHOD:
            self._assembling |= spec.has_content(int.from_bytes(payload[:4]))
        elif kind == FRAME_HEADER:
            self._body_size = int.from_bytes(payload[4:12])
            complete = self._body_size == 0
        elif kind == FRAME_BODY:
            self._body_seen += len(payload)
            complete = self._body_seen == self._body_size
        if complete:
            self._assembling = False
            self._body_seen = 0

    def _take(self, data: bytes, position: int) -> tuple[int, int]:
        """Take what is watched from `position` on.

        Returns where it ends, and the least size of what follows if that may be something watched that is not complete
        (0: what follows is pika's).
        """
        channel = self._watched
        if channel is None or not channel.is_open or self._assembling or len(data) - position < METHOD.size:
            return position, 0
        kind, number, _, method = unpack_method(data, position)
        if kind != FRAME_METHOD or number != self._channel:
            return position, 0
        if method == DELIVER and self._on_deliveries is not None and self._consumer_tag in channel.consumer_tags:
            deliveries: list[Delivery] = []
            end, lacking = take_deliveries(
                data, position, deliveries, channel=number, consumer=self._consumer, decode=_decoded
            )
            if deliveries:
                self._count(end - position)
                self._on_deliveries(deliveries)
            return end, lacking
        if method in (ACK, NACK) and self._on_confirms is not None:
            confirms: list[Confirm] = []
            end, lacking = take_confirms(data, position, confirms, channel=number)
            if confirms:
                self._count(end - position)
                self._on_confirms(confirms)
            return end, lacking
        return position, 0

    def _count(self, size: int) -> None:
        """Tell pika of bytes that it does not see: a connection without any is dead to its heartbeat checker."""
        self._connection.bytes_received += size


def _decoded(encoded: bytes) -> tuple[str | bytes | None, Mapping[str, Any] | None] | None:
    """Decode properties as pika does; None if it cannot, so that it is pika that says so."""
    try:
        properties = pika.BasicProperties().decode(encoded)
    except Exception:  # whatever it is, pika decodes the frame again and raises it
        return None
    return properties.message_id, properties.headers
