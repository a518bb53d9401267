"""The properties in the header of a content: the message_id read and replaced, without decoding the others."""

from __future__ import annotations

from typing import Final

_PROPERTIES_AT: Final = 14
"""Where they begin in a header's payload: after class, weight, size of the body and property flags."""
_MESSAGE_ID: Final = 1 << 7
_SHORT, _TABLE, _OCTET = "short string", "table", "octet"
_BEFORE: Final = (
    (1 << 15, _SHORT),  # content_type
    (1 << 14, _SHORT),  # content_encoding
    (1 << 13, _TABLE),  # headers
    (1 << 12, _OCTET),  # delivery_mode
    (1 << 11, _OCTET),  # priority
    (1 << 10, _SHORT),  # correlation_id
    (1 << 9, _SHORT),  # reply_to
    (1 << 8, _SHORT),  # expiration
)
"""What stands before the message_id, by its flag. Source: AMQP 0-9-1 specification, class basic."""


def message_id(header: bytes) -> str | None:
    """Return the message_id of a header's payload; None without one. Raises ValueError for a malformed one."""
    flags = int.from_bytes(header[12:_PROPERTIES_AT])
    if not flags & _MESSAGE_ID:
        return None
    at = _message_id_at(header, flags)
    return header[at + 1 : at + 1 + header[at]].decode()


def with_message_id(header: bytes, text: str | None) -> bytes:
    """Return a header's payload with another message_id, or without one. Raises ValueError for a malformed one."""
    flags = int.from_bytes(header[12:_PROPERTIES_AT])
    at = _message_id_at(header, flags)
    after = header[at + 1 + header[at] :] if flags & _MESSAGE_ID else header[at:]
    encoded = b"" if text is None else bytes([len(text.encode())]) + text.encode()
    flags = flags & ~_MESSAGE_ID if text is None else flags | _MESSAGE_ID
    return header[:12] + flags.to_bytes(2) + header[_PROPERTIES_AT:at] + encoded + after


def _message_id_at(header: bytes, flags: int) -> int:
    at = _PROPERTIES_AT
    try:
        for flag, kind in _BEFORE:
            if not flags & flag:
                continue
            if kind == _SHORT:
                at += 1 + header[at]
            elif kind == _TABLE:
                at += 4 + int.from_bytes(header[at : at + 4])
            else:
                at += 1
        if flags & _MESSAGE_ID and at + 1 + header[at] > len(header):
            raise ValueError("the properties of a message are too short")
    except IndexError:
        raise ValueError("the properties of a message are too short") from None
    return at
