"""A stream is taken apart the same way wherever it is cut, within bounded memory, and what is decoded and encoded is what pika makes of it."""

from __future__ import annotations

from typing import Any

import pika
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pika import spec
from pika.frame import Body, Header, Heartbeat, Method

from harness.frames.layout import ACK, GREETING, NACK, REJECT, MethodId
from harness.frames.methods import (
    Consume,
    Deliver,
    Publish,
    Settlement,
    decode_consume,
    decode_consumer_tag,
    decode_deliver,
    decode_publish,
    decode_settlement,
    encode_connection_close,
    encode_content,
    encode_deliver,
    encode_return,
    encode_settlement,
)
from harness.frames.parser import Content, Item, Opaque, Parser
from harness.frames.properties import message_id, with_message_id

FRAME_MAX = 4096
FRAGMENT = FRAME_MAX - 8
MOST = 10_000
"""Bytes that the parsers here keep at most."""

short_texts = st.text(max_size=60)
tags = st.integers(0, 2**64 - 1)
bodies = st.one_of(
    st.binary(max_size=300),
    st.sampled_from((FRAGMENT - 1, FRAGMENT, FRAGMENT + 1, 3 * FRAGMENT)).map(lambda size: b"\xce" * size),
)
properties = st.builds(
    pika.BasicProperties,
    content_type=st.one_of(st.none(), short_texts),
    content_encoding=st.one_of(st.none(), short_texts),
    headers=st.one_of(st.none(), st.dictionaries(short_texts, st.one_of(st.integers(0, 9), short_texts), max_size=3)),
    delivery_mode=st.one_of(st.none(), st.sampled_from((1, 2))),
    priority=st.one_of(st.none(), st.integers(0, 9)),
    correlation_id=st.one_of(st.none(), short_texts),
    reply_to=st.one_of(st.none(), short_texts),
    expiration=st.one_of(st.none(), short_texts),
    message_id=st.one_of(st.none(), short_texts),
    timestamp=st.one_of(st.none(), st.integers(0, 2**32)),
    type=st.one_of(st.none(), short_texts),
)
content_methods = st.one_of(
    st.builds(spec.Basic.Publish, exchange=short_texts, routing_key=short_texts, mandatory=st.booleans()),
    st.builds(
        spec.Basic.Deliver,
        consumer_tag=short_texts,
        delivery_tag=tags,
        redelivered=st.booleans(),
        exchange=short_texts,
        routing_key=short_texts,
    ),
    st.builds(spec.Basic.Return, st.just(312), st.just("NO_ROUTE"), short_texts, short_texts),
)
plain_methods = st.one_of(
    st.builds(spec.Basic.Ack, tags, st.booleans()),
    st.just(spec.Channel.Close(406, "PRECONDITION_FAILED", 60, 80)),
    st.just(spec.Connection.Blocked("low on memory")),
)


def frames_of(channel: int, method: Any, with_properties: pika.BasicProperties, body: bytes) -> list[bytes]:
    fragments = [body[start : start + FRAGMENT] for start in range(0, len(body), FRAGMENT)]
    return [
        Method(channel, method).marshal(),
        Header(channel, len(body), with_properties).marshal(),
        *(Body(channel, fragment).marshal() for fragment in fragments),
    ]


messages = st.one_of(
    st.builds(frames_of, st.just(0), content_methods, properties, bodies),
    plain_methods.map(lambda method: [Method(0, method).marshal()]),
    st.just([Heartbeat().marshal()]),
)
"""Frames of one message each, on channel 0 for now."""


def on_channel(frame: bytes, channel: int) -> bytes:
    """Move a frame to a channel; heartbeats have none."""
    return frame if frame[0] == 8 else frame[:1] + channel.to_bytes(2) + frame[3:]


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Frames of three channels, with those of others between the frames of a content."""
    waiting = [
        [on_channel(frame, channel) for message in draw(st.lists(messages, max_size=4)) for frame in message]
        for channel in (1, 2, 3)
    ]
    stream = b""
    while any(waiting):
        chosen = draw(st.sampled_from([each for each in waiting if each]))
        stream += chosen.pop(0)
    return stream


def cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted(place % (len(stream) + 1) for place in cuts)
    return [stream[start:end] for start, end in zip([0, *places], [*places, len(stream)], strict=True)]


def parsed(pieces: list[bytes], *, most_kept: int = MOST) -> tuple[list[Item], Parser]:
    parser = Parser(from_client=False, most_kept=most_kept)
    return [item for piece in pieces for item in parser.feed(piece)], parser


def whole(items: list[Item]) -> list[Item]:
    """Return what was not given in pieces, which may be cut anywhere."""
    return [item for item in items if not isinstance(item, Opaque)]


@given(streams(), st.lists(st.integers(0, 10**6), max_size=12))
def test_a_stream_gives_the_same_messages_wherever_it_is_cut(stream: bytes, cuts: list[int]) -> None:
    at_once, _ = parsed([stream])
    in_pieces, parser = parsed(cut(stream, cuts))
    assert whole(in_pieces) == whole(at_once)
    assert parser.broken == ""
    assert parser.kept == 0


@given(st.lists(messages, max_size=5))
def test_a_stream_gives_the_same_messages_byte_by_byte(sent: list[list[bytes]]) -> None:
    stream = b"".join(on_channel(frame, 1) for message in sent for frame in message)
    at_once, _ = parsed([stream])
    in_pieces, _ = parsed([bytes([byte]) for byte in stream])
    assert whole(in_pieces) == whole(at_once)
    assert b"".join(item.raw for item in in_pieces) == stream


@given(st.integers(1, 9), content_methods, properties, bodies)
def test_a_content_is_what_pika_sent(
    channel: int, method: Any, with_properties: pika.BasicProperties, body: bytes
) -> None:
    frames = frames_of(channel, method, with_properties, body)
    ((item,), _) = parsed([b"".join(frames)], most_kept=10**6)
    assert isinstance(item, Content)
    assert (item.channel, item.method, item.body, item.raw) == (channel, method.INDEX, body, b"".join(frames))
    assert type(method)().decode(item.arguments).__dict__ == method.__dict__
    assert message_id(item.header) == with_properties.message_id


@given(streams(), st.lists(st.integers(0, 10**6), max_size=12))
def test_no_byte_is_lost_whatever_follows_garbage(stream: bytes, cuts: list[int]) -> None:
    garbage = b"\x07this is no frame"
    items, parser = parsed(cut(stream + garbage + stream, cuts))
    assert sorted(b"".join(item.raw for item in items)) == sorted(stream + garbage + stream)
    assert parser.broken == f"a frame of type 7 at byte {len(stream)} is no AMQP 0-9-1"
    assert parser.kept == 0


@pytest.mark.parametrize(
    ("frames", "says"),
    [
        ([Body(1, b"x").marshal()], "a body that no content awaits on channel 1 at byte 8"),
        ([Header(1, 1, pika.BasicProperties()).marshal()], "a header that no content awaits on channel 1 at byte 8"),
        ([Method(1, spec.Basic.Ack(1)).marshal()[:-1] + b"\0"], "a frame that ends with 0x00 at byte 8"),
        ([b"\1\0\1\0\0\0\1\0\xce"], "a method frame without a method at byte 8"),
        (
            [
                *frames_of(1, spec.Basic.Publish(), pika.BasicProperties(), b"xx")[:2],
                Method(1, spec.Basic.Ack(1)).marshal(),
            ],
            "a method in the middle of a content on channel 1 at byte 47",
        ),
        ([b"\1\0\1\xff\xff\xff\xff"], "a frame of type 1 with 4294967295 bytes at byte 8"),
    ],
)
def test_what_is_no_amqp_is_called_by_its_name(frames: list[bytes], says: str) -> None:
    parser = Parser(from_client=True, most_kept=MOST)
    stream = GREETING + b"".join(frames)
    items = parser.feed(stream)
    assert parser.broken == f"{says} is no AMQP 0-9-1"
    assert b"".join(item.raw for item in items) == stream


@pytest.mark.parametrize("greeting", [b"GET / HTTP/1.1\r\n", b"AMQP\0\1\0\0", b"\x16\3\1\2\0\1\0\1\xfc\3\3"])
def test_another_protocol_is_not_taken_for_amqp(greeting: bytes) -> None:
    parser = Parser(from_client=True)
    parser.feed(greeting[:3])
    parser.feed(greeting[3:])
    assert parser.broken == f"a greeting {greeting[:8]!r} at byte 0 is no AMQP 0-9-1"


@pytest.mark.parametrize(
    "frame_size", [1000, 50_000], ids=["in small frames", "in frames that are too large themselves"]
)
def test_a_content_that_is_too_large_goes_by_in_pieces_and_in_bounded_memory(frame_size: int) -> None:
    size = 1_000_000
    frames = [
        Method(1, spec.Basic.Deliver("me", 7, False, "", "tasks")).marshal(),
        Header(1, size, pika.BasicProperties()).marshal(),
        *(Body(1, b"x" * frame_size).marshal() for _ in range(size // frame_size)),
    ]
    after = b"".join(frames_of(1, spec.Basic.Deliver("me", 8, False, "", "tasks"), pika.BasicProperties(), b"small"))
    stream = b"".join(frames) + after
    parser = Parser(from_client=False, most_kept=MOST)
    items: list[Item] = []
    for start in range(0, len(stream), 3000):
        items += parser.feed(stream[start : start + 3000])
        assert parser.kept <= MOST + 3000
    assert b"".join(item.raw for item in items) == stream
    *pieces, last = items
    assert isinstance(last, Content)
    assert decode_deliver(last.arguments).delivery_tag == 8
    ends = [piece.ends for piece in pieces if isinstance(piece, Opaque)]
    assert len(ends) == len(pieces)
    assert (ends.index(True), ends[-1]) == (len(ends) - 1, True)


def test_contents_of_many_channels_together_are_kept_within_the_bound() -> None:
    parser = Parser(from_client=False, most_kept=MOST)
    for channel in range(1, 200):
        for frame in frames_of(channel, spec.Basic.Publish(), pika.BasicProperties(), b"x" * 900)[:2]:
            parser.feed(frame)
        parser.feed(Body(channel, b"x" * 500).marshal())
        assert parser.kept <= MOST
    assert parser.broken == ""


# Methods.


@given(st.integers(1, 9), st.sampled_from((ACK, NACK, REJECT)), tags, st.booleans(), st.booleans())
def test_settlements_are_those_of_pika(channel: int, method: int, tag: int, multiple: bool, requeue: bool) -> None:
    if method == ACK:
        pikas, mine = spec.Basic.Ack(tag, multiple), Settlement(ACK, tag, multiple=multiple)
    elif method == NACK:
        pikas, mine = spec.Basic.Nack(tag, multiple, requeue), Settlement(NACK, tag, multiple=multiple, requeue=requeue)
    else:
        pikas, mine = spec.Basic.Reject(tag, requeue), Settlement(REJECT, tag, requeue=requeue)
    assert encode_settlement(channel, mine) == Method(channel, pikas).marshal()
    assert decode_settlement(method, b"".join(pikas.encode())) == mine


@given(short_texts, tags, st.booleans(), short_texts, short_texts, properties, bodies)
def test_deliveries_are_those_of_pika(
    consumer: str,
    tag: int,
    redelivered: bool,
    exchange: str,
    key: str,
    with_properties: pika.BasicProperties,
    body: bytes,
) -> None:
    pikas = spec.Basic.Deliver(consumer, tag, redelivered, exchange, key)
    frames = frames_of(3, pikas, with_properties, body)
    mine = Deliver(consumer, tag, redelivered, exchange, key)
    ((item,), _) = parsed([b"".join(frames)], most_kept=10**6)
    assert isinstance(item, Content)
    assert decode_deliver(item.arguments) == mine
    encoded = encode_deliver(3, mine) + encode_content(3, item.header, item.body, frame_max=FRAME_MAX)
    assert encoded == b"".join(frames)


@given(short_texts, short_texts, st.booleans())
def test_publishes_and_consumers_are_those_of_pika(one: str, other: str, flag: bool) -> None:
    publish = spec.Basic.Publish(exchange=one, routing_key=other, mandatory=flag)
    assert decode_publish(b"".join(publish.encode())) == Publish(one, other, flag)
    consume = spec.Basic.Consume(queue=one, consumer_tag=other, no_ack=flag)
    assert decode_consume(b"".join(consume.encode())) == Consume(one, other, flag)
    assert decode_consumer_tag(b"".join(spec.Basic.ConsumeOk(other).encode())) == other
    assert decode_consumer_tag(b"".join(spec.Basic.Cancel(other).encode())) == other


@given(short_texts, short_texts)
def test_a_return_is_that_of_pika(exchange: str, key: str) -> None:
    pikas = Method(3, spec.Basic.Return(312, "NO_ROUTE", exchange, key)).marshal()
    assert encode_return(3, 312, "NO_ROUTE", Publish(exchange, key, mandatory=True)) == pikas


def test_a_close_is_that_of_pika() -> None:
    pikas = Method(0, spec.Connection.Close(320, "CONNECTION_FORCED - bye", 0, 0)).marshal()
    assert encode_connection_close(320, "CONNECTION_FORCED - bye") == pikas


def test_the_methods_have_the_numbers_that_pika_gives_them() -> None:
    for method in MethodId:
        assert method.name.replace("_OK", "OK") == spec.methods[method].NAME.upper().replace(".", "_")


@given(st.sampled_from((decode_publish, decode_deliver, decode_consume, decode_consumer_tag)), st.binary(max_size=40))
def test_arguments_that_are_too_short_or_no_text_are_refused(decode: Any, arguments: bytes) -> None:
    try:
        decode(arguments)
    except ValueError:
        return
    assert arguments


def test_a_settlement_of_the_wrong_size_is_refused() -> None:
    with pytest.raises(ValueError, match="too short"):
        decode_settlement(ACK, b"\0\0")


def test_a_consumer_tag_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 255 bytes, not 256"):
        encode_deliver(1, Deliver("x" * 256, 1, False, "", ""))


# Properties.


def header_of(with_properties: pika.BasicProperties) -> bytes:
    return bytes(Header(1, 5, with_properties).marshal()[7:-1])


@given(properties, st.one_of(st.none(), short_texts))
def test_a_message_id_is_replaced_and_nothing_else(with_properties: pika.BasicProperties, text: str | None) -> None:
    changed = with_message_id(header_of(with_properties), text)
    with_properties.message_id = text
    assert changed == header_of(with_properties)
    assert message_id(changed) == text


@given(st.binary(max_size=30))
def test_properties_that_are_malformed_are_refused_or_read(encoded: bytes) -> None:
    header = bytes(12) + encoded
    try:
        found = message_id(header)
    except ValueError:
        return
    assert found is None or found.encode() in encoded
