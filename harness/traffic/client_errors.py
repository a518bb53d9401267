"""What the AMQP client raises: more than its exception hierarchy says."""

from __future__ import annotations

import struct

from pika.adapters.utils.connection_workflow import AMQPConnectorException, AMQPConnectorStackTimeout
from pika.exceptions import AMQPError, ChannelError

CLIENT_ERRORS = (AMQPError, ChannelError, AMQPConnectorException, OSError, struct.error, LookupError, UnicodeError)
"""Whatever a call of pika raises when the other side is gone, silent or talks nonsense. A handshake that stalls ends in an
AMQPConnectorStackTimeout, which is neither an AMQPError nor an OSError; a frame that cannot be decoded in a struct.error, a KeyError or a
UnicodeDecodeError."""


def reply_code(reason: BaseException) -> int:
    """Return the AMQP reply code of an error, 0 where there is none (the socket broke)."""
    code = getattr(reason, "reply_code", 0)
    return code if isinstance(code, int) and 0 <= code <= 0xFFFF else 0


def reply_text(reason: BaseException) -> str:
    """Return what an error says in a line: its reply code and text, else its words, else its kind."""
    if isinstance(reason, AMQPConnectorStackTimeout):
        return "the handshake was not answered in time; is the broker frozen or busy?"
    code, text = reply_code(reason), getattr(reason, "reply_text", "") or str(reason) or type(reason).__name__
    return f"{code} {text}" if code else str(text)
