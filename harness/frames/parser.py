"""One direction of a connection taken apart: bytes in, methods and whole contents out, wherever the stream was cut.

A content is given as one item once its last body frame is there: its method, its header and its body, however many frames that took, and
whatever frames of other channels lay between. What is kept for that is bounded: a content (or a single frame) that is larger is given in
pieces, as it comes, and nobody looks into it. Bytes that are no AMQP 0-9-1 end the parsing: `broken` says why and where, and all that
follows is given as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from harness.frames.layout import (
    CONTENT_METHODS,
    FRAME_BODY,
    FRAME_END,
    FRAME_HEADER,
    FRAME_HEARTBEAT,
    FRAME_METHOD,
    FRAME_TYPES,
    GREETING,
    METHOD,
    OVERHEAD,
    START_SIZE,
    unpack_method,
    unpack_start,
)

MOST_KEPT: Final = 4 * 1024 * 1024
"""Most bytes that are kept of contents that are not complete, of all channels together; also of one frame."""
_HEADER_PAYLOAD: Final = 14
"""The least: class, weight, size of the body, property flags."""


class MethodFrame(NamedTuple):
    """A method that no content follows."""

    channel: int
    method: int
    """Class and method: see MethodId."""
    arguments: bytes
    raw: bytes
    """All of it as it came, to be sent on."""


class Content(NamedTuple):
    """A method with its content."""

    channel: int
    method: int
    arguments: bytes
    header: bytes
    """Payload of the header frame: class, weight, size of the body, property flags, properties."""
    body: bytes
    raw: bytes
    """All of its frames as they came, without those of other channels between them."""


class Opaque(NamedTuple):
    """Bytes that nobody looks into: the greeting, a heartbeat, a piece of something large, or what follows garbage."""

    raw: bytes
    ends: bool
    """Whether a frame, and a content on its channel, ends with it, so that something else may be sent next."""


Item = MethodFrame | Content | Opaque


class _GarbageError(Exception):
    """What comes is no AMQP 0-9-1."""


@dataclass(slots=True)
class _Begun:
    """A content that is not complete."""

    method: int
    arguments: bytes
    raw: list[bytes]
    kept: int
    header: bytes = b""
    size: int = -1
    """Of the body; -1 before the header."""
    body: list[bytes] = field(default_factory=list)
    seen: int = 0
    in_pieces: bool = False


class Parser:
    """Takes what is sent in one direction apart."""

    def __init__(self, *, from_client: bool, most_kept: int = MOST_KEPT) -> None:
        """`from_client` tells that the stream begins with the protocol's greeting."""
        self.broken = ""
        """Why what came is no AMQP 0-9-1, and at which byte; empty while it is."""
        self._most_kept = most_kept
        self._greeting = from_client
        self._held = bytearray()
        """The beginning of a frame that is not complete."""
        self._wanted = 0
        """How many bytes of it there must be before another look is worth it."""
        self._begun: dict[int, _Begun] = {}
        self._kept = 0
        """Bytes in `_begun`."""
        self._passing = 0
        """Bytes that are left of a frame that is given in pieces, its end marker included."""
        self._passing_ends = True
        self._position = 0
        """Bytes of the stream before what is held."""

    @property
    def kept(self) -> int:
        """How many bytes are kept for what is not complete."""
        return len(self._held) + self._kept

    def feed(self, data: bytes | memoryview) -> list[Item]:
        """Take what was received; returns what is complete with it, in order."""
        if self.broken:
            return [Opaque(bytes(data), True)]
        if self._held:
            self._held += data
            if len(self._held) < self._wanted:
                return []
            data = bytes(self._held)
            self._held.clear()
        elif not isinstance(data, bytes):
            data = bytes(data)
        found: list[Item] = []
        position = 0
        try:
            while position < len(data) and (end := self._take(data, position, found)) > position:
                position = end
        except _GarbageError as error:
            self.broken = f"{error} at byte {self._position + position} is no AMQP 0-9-1"
            found += (Opaque(b"".join(begun.raw), False) for begun in self._begun.values() if begun.raw)
            self._begun.clear()
            found.append(Opaque(data[position:], True))
            return found
        self._held += data[position:]
        self._position += position
        return found

    def _take(self, data: bytes, position: int, found: list[Item]) -> int:
        """Take the frame at `position`; returns where the next one begins, `position` if it is not complete."""
        if self._passing:
            return self._pass(data, position, found)
        left = len(data) - position
        if self._greeting:
            return self._greet(data, position, found)
        if left < START_SIZE:
            self._wanted = START_SIZE
            return position
        kind, channel, size = unpack_start(data, position)
        if kind not in FRAME_TYPES:
            raise _GarbageError(f"a frame of type {kind}")
        end: int = position + size + OVERHEAD
        if size > self._most_kept:
            return self._begin_passing(data, position, found)
        if end > len(data):
            self._wanted = size + OVERHEAD
            return position
        if data[end - 1] != FRAME_END:
            raise _GarbageError(f"a frame that ends with {data[end - 1]:#04x}")
        self._frame(kind, channel, data[position:end], found)
        return end

    def _greet(self, data: bytes, position: int, found: list[Item]) -> int:
        """Take the first bytes that a client sends."""
        if len(data) - position < len(GREETING):
            self._wanted = len(GREETING)
            return position
        end = position + len(GREETING)
        if data[position:end] != GREETING:
            raise _GarbageError(f"a greeting {data[position:end]!r}")
        self._greeting = False
        found.append(Opaque(data[position:end], True))
        return end

    def _frame(self, kind: int, channel: int, raw: bytes, found: list[Item]) -> None:
        """Take a complete frame."""
        if kind == FRAME_METHOD:
            self._method(channel, raw, found)
        elif kind == FRAME_HEARTBEAT:
            found.append(Opaque(raw, True))
        elif kind == FRAME_HEADER:
            self._header(channel, raw, found)
        else:
            self._body(channel, raw, found)

    def _method(self, channel: int, raw: bytes, found: list[Item]) -> None:
        if len(raw) < METHOD.size + 1:
            raise _GarbageError("a method frame without a method")
        if channel in self._begun:
            raise _GarbageError(f"a method in the middle of a content on channel {channel}")
        method = unpack_method(raw)[3]
        arguments = raw[METHOD.size : -1]
        if method in CONTENT_METHODS:
            self._begun[channel] = _Begun(method, arguments, [raw], len(raw))
            self._kept += len(raw)
        else:
            found.append(MethodFrame(channel, method, arguments, raw))

    def _header(self, channel: int, raw: bytes, found: list[Item]) -> None:
        begun = self._begun.get(channel)
        if begun is None or begun.size >= 0:
            raise _GarbageError(f"a header that no content awaits on channel {channel}")
        if len(raw) < _HEADER_PAYLOAD + OVERHEAD:
            raise _GarbageError("a header that is too short")
        begun.header = raw[START_SIZE:-1]
        begun.size = int.from_bytes(begun.header[4:12])
        self._add(channel, begun, raw, found)

    def _body(self, channel: int, raw: bytes, found: list[Item]) -> None:
        begun = self._begun.get(channel)
        part = len(raw) - OVERHEAD
        if begun is None or begun.size < 0 or begun.seen + part > begun.size:
            raise _GarbageError(f"a body that no content awaits on channel {channel}")
        begun.seen += part
        if not begun.in_pieces:
            begun.body.append(raw[START_SIZE:-1])
        self._add(channel, begun, raw, found)

    def _add(self, channel: int, begun: _Begun, raw: bytes, found: list[Item]) -> None:
        """Add a frame to a content; give it if it is complete, or give it up if it is too large to be kept."""
        complete = begun.seen == begun.size
        if complete:
            del self._begun[channel]
            self._kept -= begun.kept
        if begun.in_pieces:
            found.append(Opaque(raw, complete))
            return
        begun.raw.append(raw)
        if complete:
            body = begun.body[0] if len(begun.body) == 1 else b"".join(begun.body)
            found.append(Content(channel, begun.method, begun.arguments, begun.header, body, b"".join(begun.raw)))
            return
        begun.kept += len(raw)
        self._kept += len(raw)
        if self._kept > self._most_kept or begun.size > self._most_kept:
            self._give_up(begun, found)

    def _give_up(self, begun: _Begun, found: list[Item]) -> None:
        """Give what is kept of a content, and the rest of it as it comes."""
        found.append(Opaque(b"".join(begun.raw), False))
        self._kept -= begun.kept
        begun.kept, begun.in_pieces = 0, True
        begun.raw.clear()
        begun.body.clear()

    def _begin_passing(self, data: bytes, position: int, found: list[Item]) -> int:
        """Begin a frame that is too large to be kept: only a body is that large."""
        kind, channel, size = unpack_start(data, position)
        begun = self._begun.get(channel)
        if kind != FRAME_BODY or begun is None or begun.size < 0 or begun.seen + size > begun.size:
            raise _GarbageError(f"a frame of type {kind} with {size} bytes")
        begun.seen += size
        if not begun.in_pieces:
            self._give_up(begun, found)
        self._passing_ends = begun.seen == begun.size
        if self._passing_ends:
            del self._begun[channel]
        self._passing = size + OVERHEAD
        return self._pass(data, position, found)

    def _pass(self, data: bytes, position: int, found: list[Item]) -> int:
        """Give a piece of a large frame."""
        end = min(len(data), position + self._passing)
        self._passing -= end - position
        if not self._passing and data[end - 1] != FRAME_END:
            raise _GarbageError(f"a frame that ends with {data[end - 1]:#04x}")
        found.append(Opaque(data[position:end], not self._passing and self._passing_ends))
        return end
