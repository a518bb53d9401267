"""Methods in words: those that tell what becomes of a message, decoded and encoded.

Decoding raises ValueError for arguments that are no such method. Encoding raises it for a short string of more than 255 bytes.
"""

from __future__ import annotations

from struct import Struct, error
from typing import Final, NamedTuple

from harness.frames.layout import (
    ACK,
    DELIVER,
    END,
    FRAME_BODY,
    FRAME_END,
    FRAME_HEADER,
    FRAME_METHOD,
    METHOD,
    NACK,
    OVERHEAD,
    REJECT,
    RETURN,
    SETTLEMENT,
    SETTLEMENT_PAYLOAD,
    START,
    TAG,
    MethodId,
)

_MULTIPLE, _REQUEUE_OF_NACK, _REQUEUE_OF_REJECT = 1, 2, 1
_CLOSE_ANSWER: Final = Struct(">HH")
_SHORT: Final = Struct(">H")


class Publish(NamedTuple):
    """basic.publish."""

    exchange: str
    routing_key: str
    mandatory: bool


class Deliver(NamedTuple):
    """basic.deliver."""

    consumer_tag: str
    delivery_tag: int
    redelivered: bool
    exchange: str
    routing_key: str


class Settlement(NamedTuple):
    """basic.ack, basic.nack and basic.reject, of a delivery or a publish."""

    method: int
    delivery_tag: int
    multiple: bool = False
    requeue: bool = False


class Consume(NamedTuple):
    """basic.consume."""

    queue: str
    consumer_tag: str
    """Empty where the broker is to name it."""
    automatic_acks: bool


class _Reader:
    """Reads arguments from their beginning."""

    def __init__(self, arguments: bytes) -> None:
        self._arguments = arguments
        self._at = 0

    def short_string(self) -> str:
        try:
            begin = self._at + 1
            self._at = begin + self._arguments[self._at]
        except IndexError:
            raise ValueError("the arguments of a method are too short") from None
        return self._slice(begin).decode()

    def number(self, size: int) -> int:
        begin, self._at = self._at, self._at + size
        return int.from_bytes(self._slice(begin))

    def _slice(self, begin: int) -> bytes:
        if self._at > len(self._arguments):
            raise ValueError("the arguments of a method are too short")
        return self._arguments[begin : self._at]


def decode_publish(arguments: bytes) -> Publish:
    """Decode basic.publish."""
    reader = _Reader(arguments)
    reader.number(2)
    exchange, routing_key = reader.short_string(), reader.short_string()
    return Publish(exchange, routing_key, mandatory=bool(reader.number(1) & 1))


def decode_deliver(arguments: bytes) -> Deliver:
    """Decode basic.deliver."""
    reader = _Reader(arguments)
    consumer_tag = reader.short_string()
    tag, bits = reader.number(8), reader.number(1)
    return Deliver(consumer_tag, tag, bool(bits & 1), reader.short_string(), reader.short_string())


def decode_settlement(method: int, arguments: bytes) -> Settlement:
    """Decode basic.ack, basic.nack or basic.reject."""
    try:
        tag, bits = TAG.unpack(arguments)
    except error:
        raise ValueError("the arguments of a method are too short") from None
    if method == REJECT:
        return Settlement(method, tag, requeue=bool(bits & _REQUEUE_OF_REJECT))
    requeue = method == NACK and bool(bits & _REQUEUE_OF_NACK)
    return Settlement(method, tag, multiple=bool(bits & _MULTIPLE), requeue=requeue)


def decode_consume(arguments: bytes) -> Consume:
    """Decode basic.consume."""
    reader = _Reader(arguments)
    reader.number(2)
    queue, tag = reader.short_string(), reader.short_string()
    return Consume(queue, tag, automatic_acks=bool(reader.number(1) & 2))


def decode_consumer_tag(arguments: bytes) -> str:
    """Decode the consumer tag that basic.consume-ok and basic.cancel begin with."""
    return _Reader(arguments).short_string()


def encode_ack(channel: int, tag: int, *, multiple: bool) -> bytes:
    """Encode a frame of basic.ack."""
    return SETTLEMENT.pack(FRAME_METHOD, channel, SETTLEMENT_PAYLOAD, ACK, tag, multiple, FRAME_END)


def encode_settlement(channel: int, settlement: Settlement) -> bytes:
    """Encode a frame of basic.ack, basic.nack or basic.reject."""
    bits = int(settlement.multiple)
    if settlement.method == NACK:
        bits |= _REQUEUE_OF_NACK * settlement.requeue
    elif settlement.method == REJECT:
        bits = _REQUEUE_OF_REJECT * settlement.requeue
    return SETTLEMENT.pack(
        FRAME_METHOD, channel, SETTLEMENT_PAYLOAD, settlement.method, settlement.delivery_tag, bits, FRAME_END
    )


def encode_deliver(channel: int, deliver: Deliver) -> bytes:
    """Encode a frame of basic.deliver; its header and body follow (`encode_content`)."""
    tag = TAG.pack(deliver.delivery_tag, deliver.redelivered)
    strings = _short_string(deliver.exchange) + _short_string(deliver.routing_key)
    return _method_frame(channel, DELIVER, _short_string(deliver.consumer_tag) + tag + strings)


def encode_return(channel: int, code: int, text: str, publish: Publish) -> bytes:
    """Encode a frame of basic.return for a publish; its header and body follow (`encode_content`)."""
    strings = _short_string(text) + _short_string(publish.exchange) + _short_string(publish.routing_key)
    return _method_frame(channel, RETURN, _SHORT.pack(code) + strings)


def encode_connection_close(code: int, text: str) -> bytes:
    """Encode a frame of connection.close that blames no method."""
    arguments = _SHORT.pack(code) + _short_string(text) + _CLOSE_ANSWER.pack(0, 0)
    return _method_frame(0, MethodId.CONNECTION_CLOSE, arguments)


def encode_content(channel: int, header: bytes, body: bytes, *, frame_max: int) -> bytes:
    """Encode the header frame (`header` is its payload, but for the size of the body) and the body frames of a content."""
    header = header[:4] + len(body).to_bytes(8) + header[12:]
    pieces = [START.pack(FRAME_HEADER, channel, len(header)), header, END]
    fragment = frame_max - OVERHEAD
    for first in range(0, len(body), fragment):
        part = body[first : first + fragment]
        pieces += (START.pack(FRAME_BODY, channel, len(part)), part, END)
    return b"".join(pieces)


def _method_frame(channel: int, method: int, arguments: bytes) -> bytes:
    return METHOD.pack(FRAME_METHOD, channel, len(arguments) + 4, method) + arguments + END


def _short_string(text: str) -> bytes:
    encoded = text.encode()
    if len(encoded) > 255:
        raise ValueError(f"a short string has at most 255 bytes, not {len(encoded)}")
    return bytes([len(encoded)]) + encoded
