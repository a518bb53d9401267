"""Layout of frames and methods. Source: AMQP 0-9-1 specification, 2.3 and 4.2, and its protocol definition."""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import Final

GREETING: Final = b"AMQP\x00\x00\x09\x01"
"""What a client sends first."""


class FrameType(IntEnum):
    """The first byte of a frame."""

    METHOD = 1
    HEADER = 2
    BODY = 3
    HEARTBEAT = 8


class MethodId(IntEnum):
    """Class and method numbers in one: class << 16 | method. Those that somebody here looks at."""

    CONNECTION_TUNE_OK = 10 << 16 | 31
    CONNECTION_CLOSE = 10 << 16 | 50
    CONNECTION_CLOSE_OK = 10 << 16 | 51
    CHANNEL_OPEN = 20 << 16 | 10
    CHANNEL_CLOSE = 20 << 16 | 40
    CHANNEL_CLOSE_OK = 20 << 16 | 41
    BASIC_CONSUME = 60 << 16 | 20
    BASIC_CONSUME_OK = 60 << 16 | 21
    BASIC_CANCEL = 60 << 16 | 30
    BASIC_PUBLISH = 60 << 16 | 40
    BASIC_RETURN = 60 << 16 | 50
    BASIC_DELIVER = 60 << 16 | 60
    BASIC_GET_OK = 60 << 16 | 71
    BASIC_ACK = 60 << 16 | 80
    BASIC_REJECT = 60 << 16 | 90
    BASIC_NACK = 60 << 16 | 120
    CONFIRM_SELECT = 85 << 16 | 10


BASIC: Final = 60 << 16
"""Class and weight in the header of a content."""

# Plain numbers for what is done for every message: an enum's member costs more than the rest of a comparison.
FRAME_METHOD, FRAME_HEADER, FRAME_BODY, FRAME_HEARTBEAT = FRAME_TYPES = tuple(int(each) for each in FrameType)
FRAME_END: Final = 0xCE
PUBLISH, RETURN, DELIVER, GET_OK = CONTENT_METHODS = (
    int(MethodId.BASIC_PUBLISH),
    int(MethodId.BASIC_RETURN),
    int(MethodId.BASIC_DELIVER),
    int(MethodId.BASIC_GET_OK),
)
"""The methods that a content follows."""
ACK, NACK, REJECT = int(MethodId.BASIC_ACK), int(MethodId.BASIC_NACK), int(MethodId.BASIC_REJECT)

END: Final = bytes([FRAME_END])
START_SIZE: Final = 7
OVERHEAD: Final = START_SIZE + 1
"""What a frame has beside its payload: its start, and the end marker."""

START: Final = Struct(">BHI")
"""Type, channel, size of what follows without the end marker."""
METHOD: Final = Struct(">BHII")
"""The same, class and method."""
HEADER: Final = Struct(">BHIIQH")
"""The same of a header: class and weight, size of the body, property flags."""
TAG: Final = Struct(">QB")
"""Delivery tag and bits."""
SETTLEMENT: Final = Struct(">BHIIQBB")
"""A whole basic.ack, basic.nack or basic.reject: start, class and method, delivery tag, bits, end marker."""
SETTLEMENT_PAYLOAD: Final = 13
SETTLEMENT_REST: Final = Struct(">QBB")
"""What follows class and method in it."""

# Called for every message: an imported name makes Python look its methods up anew at each call.
unpack_start, unpack_method, unpack_header = START.unpack_from, METHOD.unpack_from, HEADER.unpack_from
unpack_tag, unpack_settlement_rest = TAG.unpack_from, SETTLEMENT_REST.unpack_from
pack_start = START.pack
