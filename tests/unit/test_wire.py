"""What is encoded and parsed in bulk is, frame for frame, what pika makes and understands; the rest is left to pika."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pika
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pika import spec
from pika.exceptions import ShortStringTooLong
from pika.frame import Body, Header, Heartbeat, Method

from harness.frames.methods import encode_ack
from harness.traffic import wire
from tests.unit.pika_connection import CHANNEL, CONSUMER, Conversation

FRAME_MAX = 4096
FRAGMENT = FRAME_MAX - 8

short_texts = st.text(max_size=60)
bodies = st.one_of(
    st.binary(max_size=300),
    st.sampled_from((FRAGMENT - 1, FRAGMENT, FRAGMENT + 1, 2 * FRAGMENT, 3 * FRAGMENT + 5)).map(lambda n: b"\xce" * n),
)


class Bulk(Conversation):
    """A conversation whose deliveries or confirms are taken out before pika sees them."""

    def __init__(self, **settings: Any) -> None:
        self.bulk: wire.BulkProtocol
        self.in_bulk = 0

        def interpose(protocol: Any) -> wire.BulkProtocol:
            self.bulk = wire.BulkProtocol(protocol, self)
            return self.bulk

        super().__init__(interpose, **settings)

    @property
    def bytes_received(self) -> int:
        """pika's counter, by way of the connection that exists only after the protocol."""
        return int(self.connection.bytes_received)

    @bytes_received.setter
    def bytes_received(self, value: int) -> None:
        self.connection.bytes_received = value

    def watch_deliveries(self) -> None:
        self.bulk.watch_deliveries(self.channel, CONSUMER, self._counted(self.on_deliveries))

    def watch_confirms(self) -> None:
        self.bulk.watch_confirms(self.channel, self._counted(self.on_confirms))

    def _counted(self, callback: Callable[[list[Any]], None]) -> Callable[[list[Any]], None]:
        def counted(found: list[Any]) -> None:
            self.in_bulk += len(found)
            callback(found)

        return counted


# What is sent.


@given(
    exchange=short_texts,
    routing_key=short_texts,
    message_id=st.text(max_size=63),
    body=bodies,
    content_type=st.sampled_from(("text/plain", "application/octet-stream")),
    persistent=st.booleans(),
    mandatory=st.booleans(),
)
def test_a_publish_is_byte_for_byte_pikas(
    exchange: str,
    routing_key: str,
    message_id: str,
    body: bytes,
    content_type: str,
    persistent: bool,
    mandatory: bool,
) -> None:
    properties = pika.BasicProperties(content_type=content_type, delivery_mode=2 if persistent else 1)
    conversation = Conversation()
    encoder = wire.PublishEncoder(CHANNEL, conversation.connection.params.frame_max, properties, mandatory=mandatory)
    properties.message_id = message_id
    for _ in range(2):
        conversation.take_sent()
        conversation.channel.basic_publish(exchange, routing_key, body, properties, mandatory=mandatory)
        assert encoder.encode(exchange, routing_key, message_id, body) == conversation.take_sent()


def test_a_message_id_that_is_too_long_is_refused_as_by_pika() -> None:
    properties = pika.BasicProperties(content_type="text/plain", delivery_mode=2)
    encoder = wire.PublishEncoder(CHANNEL, FRAME_MAX, properties, mandatory=False)
    assert encoder.encode("", "tasks", "x" * 255, b"")
    with pytest.raises(struct.error):
        encoder.encode("", "tasks", "x" * 256, b"")
    properties.message_id = "x" * 256
    with pytest.raises(ShortStringTooLong):
        Conversation().channel.basic_publish("", "tasks", b"", properties)


@given(st.integers(0, 2**64 - 1), st.booleans())
def test_an_ack_is_byte_for_byte_pikas(tag: int, multiple: bool) -> None:
    assert encode_ack(CHANNEL, tag, multiple=multiple) == Method(CHANNEL, spec.Basic.Ack(tag, multiple)).marshal()


# What is received.

ids = st.one_of(st.none(), st.text(max_size=40))
plain_properties = st.builds(
    lambda message_id, mode: pika.BasicProperties(
        "application/octet-stream", delivery_mode=mode, message_id=message_id
    ),
    st.text(max_size=40),
    st.sampled_from((1, 2)),
)
any_properties = st.builds(
    lambda message_id, headers, priority, content_type: pika.BasicProperties(
        content_type=content_type, message_id=message_id, headers=headers, priority=priority
    ),
    ids,
    st.one_of(st.none(), st.dictionaries(st.sampled_from(("x-death", "x-delivery-count")), st.integers(0, 9))),
    st.one_of(st.none(), st.integers(0, 9)),
    st.one_of(st.none(), short_texts),
)


def content(channel: int, method: Any, properties: pika.BasicProperties, body: bytes) -> list[bytes]:
    fragments = [body[start : start + FRAGMENT] for start in range(0, len(body), FRAGMENT)]
    return [
        Method(channel, method).marshal(),
        Header(channel, len(body), properties).marshal(),
        *(Body(channel, fragment).marshal() for fragment in fragments),
    ]


@st.composite
def deliveries(draw: st.DrawFn) -> list[bytes]:
    method = spec.Basic.Deliver(
        consumer_tag=draw(st.sampled_from((CONSUMER, CONSUMER, CONSUMER, "another"))),
        delivery_tag=draw(st.integers(1, 2**64 - 1)),
        redelivered=draw(st.booleans()),
        exchange=draw(short_texts),
        routing_key=draw(short_texts),
    )
    channel = draw(st.sampled_from((CHANNEL, CHANNEL, CHANNEL, CHANNEL, 2)))
    frames = content(channel, method, draw(st.one_of(plain_properties, any_properties)), draw(bodies))
    if draw(st.integers(0, 9)) == 0:
        frames.insert(draw(st.integers(0, len(frames))), Heartbeat().marshal())
    return frames


@st.composite
def returns(draw: st.DrawFn) -> list[bytes]:
    method = spec.Basic.Return(312, "NO_ROUTE", draw(short_texts), draw(short_texts))
    return content(CHANNEL, method, draw(plain_properties), draw(bodies))


confirms = st.one_of(
    st.builds(spec.Basic.Ack, st.integers(0, 2**64 - 1), st.booleans()),
    st.builds(spec.Basic.Nack, st.integers(0, 2**64 - 1), st.booleans(), st.booleans()),
).map(lambda method: [Method(CHANNEL, method).marshal()])

others = st.one_of(
    st.just([Heartbeat().marshal()]),
    st.sampled_from(
        (
            (0, spec.Connection.Blocked("low on memory")),
            (0, spec.Connection.Unblocked()),
            (CHANNEL, spec.Channel.Flow(active=False)),
            (CHANNEL, spec.Basic.Cancel(CONSUMER)),
            (CHANNEL, spec.Basic.Cancel("another")),
            (CHANNEL, spec.Channel.Close(406, "PRECONDITION_FAILED", 60, 80)),
            (0, spec.Connection.Close(320, "CONNECTION_FORCED", 0, 0)),
        )
    ).map(lambda sent: [Method(*sent).marshal()]),
    returns(),
)


@st.composite
def streams(draw: st.DrawFn, frequent: st.SearchStrategy[list[bytes]]) -> list[bytes]:
    """Frames of all kinds, mostly those of one; torn, changed or followed by garbage now and then; cut anywhere."""
    messages = draw(st.lists(st.one_of(frequent, frequent, frequent, others), max_size=12))
    stream = bytearray(b"".join(frame for message in messages for frame in message))
    match draw(st.sampled_from(("", "", "", "changed", "garbage", "missing"))):
        case "changed" if stream:
            stream[draw(st.integers(0, len(stream) - 1))] = draw(st.integers(0, 255))
        case "garbage":
            place = draw(st.integers(0, len(stream)))
            stream[place:place] = draw(st.binary(min_size=1, max_size=40))
        case "missing" if stream:
            place = draw(st.integers(0, len(stream) - 1))
            del stream[place : place + draw(st.integers(1, 20))]
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    pieces = [bytes(stream[start:end]) for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    return [piece for piece in pieces if piece]


def same(pieces: list[bytes], prepare: Callable[[Conversation], None], watch: Callable[[Bulk], None]) -> Bulk:
    plain, bulk = Conversation(), Bulk()
    for conversation in (plain, bulk):
        prepare(conversation)
        conversation.take_sent()
    watch(bulk)
    plain.feed(pieces)
    bulk.feed(pieces)
    assert bulk.heard == plain.heard
    assert bulk.take_sent() == plain.take_sent()
    assert bulk.services.aborted == plain.services.aborted
    return bulk


@given(streams(deliveries()))
def test_deliveries_are_what_pika_makes_of_them_however_they_arrive(pieces: list[bytes]) -> None:
    same(pieces, Conversation.consume, Bulk.watch_deliveries)


@given(streams(confirms))
def test_confirms_are_what_pika_makes_of_them_however_they_arrive(pieces: list[bytes]) -> None:
    same(pieces, Conversation.confirm, Bulk.watch_confirms)


def delivery(tag: int, body: bytes = b"x" * 256) -> bytes:
    method = spec.Basic.Deliver(CONSUMER, tag, redelivered=False, exchange="", routing_key="tasks")
    properties = pika.BasicProperties("application/octet-stream", delivery_mode=2, message_id=f"r1.1.{tag}.1.abc")
    return b"".join(content(CHANNEL, method, properties, body))


def test_a_delivery_is_understood_whatever_byte_it_is_cut_at() -> None:
    stream = delivery(1) + delivery(2, b"") + Heartbeat().marshal() + delivery(3)
    before = Bulk()
    before.consume()
    cuts = [[stream[:cut], stream[cut:]] for cut in range(1, len(stream))]
    for pieces in (*cuts, [bytes([byte]) for byte in stream]):
        bulk = same(pieces, Conversation.consume, Bulk.watch_deliveries)
        assert bulk.in_bulk == 3
        assert bulk.bytes_received == before.bytes_received + len(stream)


def test_whatever_byte_of_a_delivery_is_wrong_pika_says_so() -> None:
    stream = delivery(1)
    for place in range(len(stream)):
        for wrong in (0, 1, 0xCE, 0xFF):
            changed = stream[:place] + bytes([wrong]) + stream[place + 1 :]
            same([changed, delivery(2)], Conversation.consume, Bulk.watch_deliveries)


def test_a_delivery_in_several_frames_or_with_others_in_between_goes_by_way_of_pika() -> None:
    long = delivery(2, b"y" * (FRAGMENT + 1))
    torn = delivery(3)
    header_end = len(torn) - 256 - 8
    torn = torn[:header_end] + Heartbeat().marshal() + torn[header_end:]
    bulk = same([delivery(1) + long + torn + delivery(4)], Conversation.consume, Bulk.watch_deliveries)
    assert bulk.in_bulk == 2
    assert [tag for what, tag, *_ in bulk.heard if what == "delivery"] == [1, 2, 3, 4]


def test_once_nothing_is_watched_pika_gives_back_what_a_cancelled_consumer_still_gets() -> None:
    bulk = Bulk()
    bulk.consume()
    bulk.watch_deliveries()
    bulk.feed([delivery(1)])
    bulk.bulk.watch_nothing()
    bulk.channel.basic_cancel(CONSUMER, callback=lambda _frame: None)
    bulk.take_sent()
    bulk.feed([delivery(2)])
    assert [tag for what, tag, *_ in bulk.heard if what == "delivery"] == [1]
    assert bulk.take_sent() == Method(CHANNEL, spec.Basic.Reject(2)).marshal()


@pytest.mark.parametrize("traffic", [True, False], ids=["with deliveries", "silent"])
def test_deliveries_that_pika_never_sees_keep_the_connection_alive(traffic: bool) -> None:
    heartbeat = 10
    bulk = Bulk(heartbeat=heartbeat)
    bulk.consume()
    bulk.watch_deliveries()
    for _ in range(3):
        if traffic:
            bulk.feed([delivery(1)])
        bulk.services.ring(heartbeat + 5)  # when pika looks whether anything has come
        bulk.services.turn()
    assert (bulk.in_bulk == 3) is traffic
    assert bulk.connection.is_open is traffic


def test_pika_still_has_what_is_used_of_it() -> None:
    """A failure here means that pika has changed: see the docstrings of harness/traffic/wire.py and transport.py."""
    connection = Conversation().connection
    assert isinstance(connection.bytes_received, int)
    assert connection.params.frame_max == FRAME_MAX
    assert spec.methods[spec.Basic.Deliver.INDEX] is spec.Basic.Deliver


# What it costs.


def instructions(call: Callable[[], object]) -> int:
    """How many of Python's instructions a call takes: the same on any machine, however busy it is."""
    count = 0

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


MESSAGES = 100


def test_a_delivery_taken_in_bulk_costs_a_fifth_of_pikas_instructions() -> None:
    stream = b"".join(delivery(tag) for tag in range(1, MESSAGES + 1))
    plain, bulk = Conversation(), Bulk()
    for conversation in (plain, bulk):
        conversation.consume()
    bulk.watch_deliveries()
    cost = instructions(lambda: bulk.services.protocol.data_received(stream))
    assert bulk.in_bulk == MESSAGES
    assert cost < instructions(lambda: plain.services.protocol.data_received(stream)) / 5
    assert cost / MESSAGES < 400


def test_a_confirm_taken_in_bulk_costs_an_eighth_of_pikas_instructions() -> None:
    stream = b"".join(Method(CHANNEL, spec.Basic.Ack(tag)).marshal() for tag in range(1, MESSAGES + 1))
    plain, bulk = Conversation(), Bulk()
    for conversation in (plain, bulk):
        conversation.confirm()
    bulk.watch_confirms()
    cost = instructions(lambda: bulk.services.protocol.data_received(stream))
    assert bulk.in_bulk == MESSAGES
    assert cost < instructions(lambda: plain.services.protocol.data_received(stream)) / 8


def test_an_encoded_publish_costs_an_eighth_of_pikas_instructions() -> None:
    properties = pika.BasicProperties("text/plain", delivery_mode=2)
    channel = Conversation().channel
    encoder = wire.PublishEncoder(CHANNEL, FRAME_MAX, properties, mandatory=False)
    encoder.encode("", "tasks", "r1.1.0.1.abc", b"")
    properties.message_id = "r1.1.1.1.abc"
    cost = instructions(lambda: encoder.encode("", "tasks", "r1.1.1.1.abc", b"x" * 256))
    assert cost < instructions(lambda: channel.basic_publish("", "tasks", b"x" * 256, properties)) / 8
