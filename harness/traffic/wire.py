"""The bytes of the hot path: publishes and acks encoded at once, deliveries and confirms parsed in bulk.

pika builds three objects for a message and passes through some fifty Python calls at either end. Here a publish is one
join of ready-made pieces, and what a read of the socket brought is taken apart in one loop. Only two kinds of input
are, both on the one channel that is watched: basic.deliver with its header and a body in one frame, and
basic.ack and basic.nack. Every other frame goes to pika unchanged and in its place, also one of these kinds that is
not of the plain form (a body in several frames, frames of another channel in between, malformed ones): pika assembles,
dispatches and complains as it always does. A frame that is not complete waits for the rest.

Layout of the frames: AMQP 0-9-1 specification, 2.3 and 4.2.
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

Delivery = tuple[int, bool, str | bytes | None, Mapping[str, Any] | None, bytes, bytes]
"""Delivery tag, the redelivered bit, message_id and headers of the properties as pika decodes them, body, and the destination: what it was
published to, as `destination` encodes it."""
Confirm = tuple[int, bool, bool]
"""Delivery tag, the multiple bit, and whether it is a nack."""

_BASIC = spec.Basic.INDEX << 16
_PROPERTIES = spec.BasicProperties
_PLAIN = _PROPERTIES.FLAG_CONTENT_TYPE | _PROPERTIES.FLAG_DELIVERY_MODE | _PROPERTIES.FLAG_MESSAGE_ID
"""The properties that the publishers of this package set."""
_KINDS = (spec.FRAME_METHOD, spec.FRAME_HEADER, spec.FRAME_BODY, spec.FRAME_HEARTBEAT)
_FRAME_METHOD, _FRAME_HEADER, _FRAME_BODY, _FRAME_END = *_KINDS[:3], spec.FRAME_END
_DELIVER, _ACK, _NACK = spec.Basic.Deliver.INDEX, spec.Basic.Ack.INDEX, spec.Basic.Nack.INDEX
_END = bytes([_FRAME_END])
_OVERHEAD = spec.FRAME_HEADER_SIZE + spec.FRAME_END_SIZE

_START = Struct(">BHI")
"""Type, channel, size of what follows without the end marker."""
_METHOD = Struct(">BHII")
"""The same, class and method."""
_HEADER = Struct(">BHIIQH")
"""The same of a header: class and weight, size of the body, property flags."""
_TAG = Struct(">QB")
"""Delivery tag and bits."""
_SETTLEMENT = Struct(">BHIIQBB")
"""A whole basic.ack or basic.nack."""
_SETTLEMENT_SIZE = 13
_SETTLEMENT_REST = Struct(">QBB")
"""What follows class and method in it."""


def ack(channel_number: int, tag: int, *, multiple: bool) -> bytes:
    """Encode basic.ack."""
    return _SETTLEMENT.pack(_FRAME_METHOD, channel_number, _SETTLEMENT_SIZE, _ACK, tag, multiple, _FRAME_END)


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
        self._fragment = frame_max - _OVERHEAD
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
            _FRAME_HEADER, channel, self._constant_size + len(name), _BASIC, size, self._before, len(name)
        )
        if 0 < size <= self._fragment:
            start = _START.pack(_FRAME_BODY, channel, size)
            return b"".join((method, head, name, self._after, _END, start, body, _END))
        pieces = [method, head, name, self._after, _END]
        for first in range(0, size, self._fragment):
            fragment = body[first : first + self._fragment]
            pieces += (_START.pack(_FRAME_BODY, channel, len(fragment)), fragment, _END)
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
        if len(data) - position < _START.size:
            return position, _START.size
        kind, number, size = _START.unpack_from(data, position)
        if kind not in _KINDS:
            self._lost = True
            self._pika.data_received(data[position:])
            return len(data), 0
        end = position + size + _OVERHEAD
        if end > len(data):
            return position, end - position
        if number == self._channel:
            self._follow(kind, data[position + _START.size : end - 1])
        self._pika.data_received(data[position:end])
        return end, 0

    def _follow(self, kind: int, payload: bytes) -> None:
        """Keep in mind whether pika waits for the rest of a content: until then, everything is pika's."""
        complete = False
        if kind == _FRAME_METHOD:
            self._assembling |= spec.has_content(int.from_bytes(payload[:4]))
        elif kind == _FRAME_HEADER:
            self._body_size = int.from_bytes(payload[4:12])
            complete = self._body_size == 0
        elif kind == _FRAME_BODY:
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
        if channel is None or not channel.is_open or self._assembling or len(data) - position < _METHOD.size:
            return position, 0
        kind, number, _, method = _METHOD.unpack_from(data, position)
        if kind != _FRAME_METHOD or number != self._channel:
            return position, 0
        if method == _DELIVER and self._on_deliveries is not None and self._consumer_tag in channel.consumer_tags:
            deliveries: list[Delivery] = []
            end, lacking = self._parse_deliveries(data, position, deliveries)
            if deliveries:
                self._count(end - position)
                self._on_deliveries(deliveries)
            return end, lacking
        if method in (_ACK, _NACK) and self._on_confirms is not None:
            confirms: list[Confirm] = []
            end, lacking = self._parse_confirms(data, position, confirms)
            if confirms:
                self._count(end - position)
                self._on_confirms(confirms)
            return end, lacking
        return position, 0

    def _count(self, size: int) -> None:
        """Tell pika of bytes that it does not see: a connection without any is dead to its heartbeat checker."""
        self._connection.bytes_received += size

    def _parse_deliveries(self, data: bytes, position: int, found: list[Delivery]) -> tuple[int, int]:  # noqa: PLR0912 - a call a part would cost as much as the part
        """Add the deliveries that lie one behind the other from `position` on; returns the same as `_take`."""
        channel, consumer, end = self._channel, self._consumer, len(data)
        tag_at = _METHOD.size + len(consumer)
        least = tag_at + _TAG.size + 2 - _START.size
        while end - position >= _METHOD.size:
            kind, number, size, method = _METHOD.unpack_from(data, position)
            if kind != _FRAME_METHOD or number != channel or method != _DELIVER or size < least:
                break
            header = position + size + _OVERHEAD
            if end < header + _HEADER.size:
                return position, self._lacking(data, position)
            tag, bits = _TAG.unpack_from(data, position + tag_at)
            sent_to = at = position + tag_at + _TAG.size
            at += data[at] + 1  # the exchange; the routing key ends the method
            if at >= header or at + data[at] + 2 != header or data[header - 1] != _FRAME_END:
                break
            kind, number, size, basic, body_size, flags = _HEADER.unpack_from(data, header)
            if kind != _FRAME_HEADER or number != channel or basic != _BASIC:
                break
            if not data.startswith(consumer, position + _METHOD.size):
                break
            body = header + size + _OVERHEAD
            after = body + body_size + (_OVERHEAD if body_size else 0)
            if end < after:
                return position, self._lacking(data, position)
            if body_size:
                kind, number, size = _START.unpack_from(data, body)
                if kind != _FRAME_BODY or number != channel or size != body_size:
                    break  # in several frames, or others in between
            if data[body - 1] != _FRAME_END or data[after - 1] != _FRAME_END:
                break
            message_id: str | bytes | None
            if flags == _PLAIN:
                at = header + _HEADER.size
                at += data[at] + 2  # content_type and delivery_mode
                if at >= body or at + data[at] + 2 != body:
                    break
                try:
                    message_id, headers = data[at + 1 : body - 1].decode(), None
                except UnicodeDecodeError:
                    break
            else:
                properties = _decoded(data[header + _HEADER.size - 2 : body - 1])
                if properties is None:
                    break
                message_id, headers = properties.message_id, properties.headers
            found.append(
                (
                    tag,
                    bits & 1 == 1,
                    message_id,
                    headers,
                    data[body + _START.size : after - 1],
                    data[sent_to : header - 1],
                )
            )
            position = after
        return position, 0

    def _lacking(self, data: bytes, position: int) -> int:
        """Return the least size of a delivery that is not complete; 0 if it is not of the plain form, as far as it goes."""
        at, body_size = position, 0
        for expected in (_FRAME_METHOD, _FRAME_HEADER, _FRAME_BODY):
            if len(data) < at + _START.size:
                return at + _START.size - position
            kind, number, size = _START.unpack_from(data, at)
            if kind != expected or number != self._channel or (kind == _FRAME_BODY and size != body_size):
                return 0
            after: int = at + size + _OVERHEAD
            if len(data) < after:
                return after - position
            malformed = data[after - 1] != _FRAME_END
            if kind == _FRAME_METHOD:
                malformed |= not data.startswith(self._consumer, at + _METHOD.size)
            elif kind == _FRAME_HEADER:
                malformed |= size < _HEADER.size - _START.size
            if malformed:
                return 0
            if kind == _FRAME_HEADER:
                body_size = _HEADER.unpack_from(data, at)[4]
            at = after
        return 0

    def _parse_confirms(self, data: bytes, position: int, found: list[Confirm]) -> tuple[int, int]:
        """Add the confirms that lie one behind the other from `position` on; returns the same as `_take`."""
        channel, end = self._channel, len(data)
        while end - position >= _METHOD.size:
            kind, number, size, method = _METHOD.unpack_from(data, position)
            if kind != _FRAME_METHOD or number != channel or method not in (_ACK, _NACK) or size != _SETTLEMENT_SIZE:
                break
            if end - position < _SETTLEMENT.size:
                return position, _SETTLEMENT.size
            tag, bits, marker = _SETTLEMENT_REST.unpack_from(data, position + _METHOD.size)
            if marker != _FRAME_END:
                break
            found.append((tag, bits & 1 == 1, method == _NACK))
            position += _SETTLEMENT.size
        return position, 0


def _decoded(encoded: bytes) -> pika.BasicProperties | None:
    """Decode properties as pika does; None if it cannot, so that it is pika that says so."""
    try:
        return pika.BasicProperties().decode(encoded)
    except Exception:  # whatever it is, pika decodes the frame again and raises it
        return None
