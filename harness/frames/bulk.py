"""Deliveries and confirms taken out of received bytes in bulk, by one loop without a call for each frame.

Only those of the plain form are: a delivery whose body is in one frame, and no frame of another channel in between. Whatever else stands
there ends the run: it is for a parser that takes everything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from harness.frames.layout import (
    ACK,
    BASIC,
    DELIVER,
    FRAME_BODY,
    FRAME_END,
    FRAME_HEADER,
    FRAME_METHOD,
    HEADER,
    METHOD,
    NACK,
    OVERHEAD,
    SETTLEMENT,
    SETTLEMENT_PAYLOAD,
    START,
    TAG,
    unpack_header,
    unpack_method,
    unpack_settlement_rest,
    unpack_start,
    unpack_tag,
)

Delivery = tuple[int, bool, str | bytes | None, Mapping[str, Any] | None, bytes, bytes]
"""Delivery tag, the redelivered bit, message_id and headers of the properties, body, and the destination: the exchange and routing key that
it was published to, as two short strings."""
Confirm = tuple[int, bool, bool]
"""Delivery tag, the multiple bit, and whether it is a nack."""
Decode = Callable[[bytes], tuple[str | bytes | None, Mapping[str, Any] | None] | None]
"""Decodes property flags and properties: message_id and headers, None where they are malformed."""

_PLAIN: Final = 1 << 15 | 1 << 12 | 1 << 7
"""The flags of content_type, delivery_mode and message_id: what the publishers of this package set."""


def take_deliveries(  # noqa: PLR0912 - a call a part would cost as much as the part
    data: bytes, position: int, found: list[Delivery], *, channel: int, consumer: bytes, decode: Decode
) -> tuple[int, int]:
    """Add the deliveries to a consumer that lie one after the other from `position` on.

    `consumer` is its tag as a short string: what begins the method of its deliveries. Returns where they end, and the least size of what
    follows if that may be one more that is not complete (0: it is something else).
    """
    end = len(data)
    tag_at = METHOD.size + len(consumer)
    least = tag_at + TAG.size + 2 - START.size
    while end - position >= METHOD.size:
        kind, number, size, method = unpack_method(data, position)
        if kind != FRAME_METHOD or number != channel or method != DELIVER or size < least:
            break
        header = position + size + OVERHEAD
        if end < header + HEADER.size:
            return position, _lacking(data, position, channel, consumer)
        tag, bits = unpack_tag(data, position + tag_at)
        sent_to = at = position + tag_at + TAG.size
        at += data[at] + 1  # the exchange; the routing key ends the method
        if at >= header or at + data[at] + 2 != header or data[header - 1] != FRAME_END:
            break
        kind, number, size, basic, body_size, flags = unpack_header(data, header)
        if kind != FRAME_HEADER or number != channel or basic != BASIC:
            break
        if not data.startswith(consumer, position + METHOD.size):
            break
        body = header + size + OVERHEAD
        after = body + body_size + (OVERHEAD if body_size else 0)
        if end < after:
            return position, _lacking(data, position, channel, consumer)
        if body_size:
            kind, number, size = unpack_start(data, body)
            if kind != FRAME_BODY or number != channel or size != body_size:
                break  # in several frames, or others in between
        if data[body - 1] != FRAME_END or data[after - 1] != FRAME_END:
            break
        message_id: str | bytes | None
        if flags == _PLAIN:
            at = header + HEADER.size
            at += data[at] + 2  # content_type and delivery_mode
            if at >= body or at + data[at] + 2 != body:
                break
            try:
                message_id, headers = data[at + 1 : body - 1].decode(), None
            except UnicodeDecodeError:
                break
        else:
            decoded = decode(data[header + HEADER.size - 2 : body - 1])
            if decoded is None:
                break
            message_id, headers = decoded
        found.append(
            (tag, bits & 1 == 1, message_id, headers, data[body + START.size : after - 1], data[sent_to : header - 1])
        )
        position = after
    return position, 0


def take_confirms(data: bytes, position: int, found: list[Confirm], *, channel: int) -> tuple[int, int]:
    """Add the confirms that lie one after the other from `position` on; returns the same as `take_deliveries`."""
    end = len(data)
    while end - position >= METHOD.size:
        kind, number, size, method = unpack_method(data, position)
        if kind != FRAME_METHOD or number != channel or method not in (ACK, NACK) or size != SETTLEMENT_PAYLOAD:
            break
        if end - position < SETTLEMENT.size:
            return position, SETTLEMENT.size
        tag, bits, marker = unpack_settlement_rest(data, position + METHOD.size)
        if marker != FRAME_END:
            break
        found.append((tag, bits & 1 == 1, method == NACK))
        position += SETTLEMENT.size
    return position, 0


def _lacking(data: bytes, position: int, channel: int, consumer: bytes) -> int:
    """Return the least size of a delivery that is not complete; 0 if it is not of the plain form, as far as it goes."""
    at, body_size = position, 0
    for expected in (FRAME_METHOD, FRAME_HEADER, FRAME_BODY):
        if len(data) < at + START.size:
            return at + START.size - position
        kind, number, size = unpack_start(data, at)
        if kind != expected or number != channel or (kind == FRAME_BODY and size != body_size):
            return 0
        after: int = at + size + OVERHEAD
        if len(data) < after:
            return after - position
        malformed = data[after - 1] != FRAME_END
        if kind == FRAME_METHOD:
            malformed |= not data.startswith(consumer, at + METHOD.size)
        elif kind == FRAME_HEADER:
            malformed |= size < HEADER.size - START.size
        if malformed:
            return 0
        if kind == FRAME_HEADER:
            body_size = unpack_header(data, at)[4]
        at = after
    return 0
