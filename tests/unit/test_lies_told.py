"""Each lie on the wire: what the client sees, and what the broker sees, frame by frame."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pika
import pytest
from pika import spec
from pika.frame import Body, Header, Method, decode_frame

from harness.lies.liar import Liar
from harness.lies.registry import lies
from harness.lies.session import Session
from harness.lies.told import Order, read_told
from harness.proxy.link import Way
from harness.proxy.loop import Timer
from harness.traffic import identity

TOKEN = "r1"  # noqa: S105 - a name, not a secret
CHANNEL = 1
BODY = b"the work"


class Clock:
    """A loop in which time passes when it is told to."""

    def __init__(self) -> None:
        self.due: list[Callable[[], None]] = []

    def call_later(self, _seconds: float, callback: Callable[[], None]) -> Any:
        timer = Timer(callback)
        self.due.append(timer.fire)
        return timer

    def pass_by(self) -> None:
        due, self.due = self.due, []
        for each in due:
            each()


class Wires:
    """Keeps what is sent in each direction."""

    def __init__(self) -> None:
        self.sent = (bytearray(), bytearray())

    def send(self, way: Way, data: bytes | memoryview) -> None:
        self.sent[way].extend(data)

    def take(self, way: Way) -> list[Any]:
        """Return what was sent, as pika decodes it: methods, and contents as (method, properties, body)."""
        found: list[Any] = []
        data = bytes(self.sent[way])
        self.sent[way].clear()
        while data:
            consumed, frame = decode_frame(data)
            data = data[consumed:]
            if isinstance(frame, Method):
                found.append(frame.method)
            elif isinstance(frame, Header):
                found[-1] = (found[-1], frame.properties, b"")
            elif isinstance(frame, Body):
                method, properties, body = found[-1]
                found[-1] = (method, properties, body + frame.fragment)
        return found


class Client:
    """One client's connection through the liar."""

    def __init__(self, name: str, liar: Liar) -> None:
        self.wires = Wires()
        self.session = Session(name, self.wires, liar)  # type: ignore[arg-type]
        self._deliveries = 0
        self.session.received(Way.TO_BROKER, memoryview(b"AMQP\x00\x00\x09\x01"))
        self.wires.sent[Way.TO_BROKER].clear()

    def says(self, *methods: Any) -> list[Any]:
        """Let the client send methods; returns what the broker gets."""
        for method in methods:
            self.session.received(Way.TO_BROKER, memoryview(framed(method)))
        return self.broker_gets()

    def hears(self, *methods: Any) -> list[Any]:
        """Let the broker send methods; returns what the client gets."""
        for method in methods:
            self.session.received(Way.TO_CLIENT, memoryview(framed(method)))
        return self.client_gets()

    def broker_gets(self) -> list[Any]:
        return self.wires.take(Way.TO_BROKER)

    def client_gets(self) -> list[Any]:
        return self.wires.take(Way.TO_CLIENT)

    def consumes(self, queue: str, *, automatic_acks: bool = False) -> Client:
        self.says(spec.Basic.Consume(queue=queue, consumer_tag=f"{self.session.name}.1", no_ack=automatic_acks))
        self.hears(spec.Basic.ConsumeOk(f"{self.session.name}.1"))
        return self

    def confirms(self) -> Client:
        self.says(spec.Confirm.Select())
        self.hears(spec.Confirm.SelectOk())
        return self

    def delivered(self, seq: int, *, redelivered: bool = False) -> list[Any]:
        """Let the broker deliver a message; returns what the client gets."""
        self._deliveries += 1
        method = spec.Basic.Deliver(f"{self.session.name}.1", self._deliveries, redelivered, "", "tasks")
        return self.hears((method, properties(seq), BODY))

    def published(self, seq: int) -> list[Any]:
        """Let the client publish a message; returns what the broker gets."""
        return self.says((spec.Basic.Publish(routing_key="tasks"), properties(seq), BODY))


def properties(seq: int, publisher: int = 1) -> pika.BasicProperties:
    text = identity.encode(TOKEN, publisher, seq, 1, BODY)
    return pika.BasicProperties("text/plain", delivery_mode=2, message_id=text)


def framed(method: Any) -> bytes:
    if not isinstance(method, tuple):
        channel = 0 if isinstance(method, spec.Connection.Close) else CHANNEL
        return bytes(Method(channel, method).marshal())
    method, with_properties, body = method
    header, content = Header(CHANNEL, len(body), with_properties).marshal(), Body(CHANNEL, body).marshal()
    return bytes(Method(CHANNEL, method).marshal() + header + content)


class Stand:
    """A liar with some orders."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.told_path = folder / "told.jsonl"
        self.clients: list[Client] = []

    def orders(self, *orders: Order) -> Stand:
        self.liar = Liar(
            self.clock,  # type: ignore[arg-type]
            token=TOKEN,
            publishers=["publisher-1"],
            together=[["tasks"], ["other"], ["copy-a", "copy-b"]],
            orders=orders,
            told=self.told_path,
        )
        return self

    def tells(self, lie: str, seq: int, queue: str = "tasks") -> Stand:
        return self.orders(Order(lie, 1, seq, seq, queue if lies()[lie].of_copies else "", "before"))

    def client(self, name: str) -> Client:
        return Client(name, self.liar)

    @property
    def told(self) -> list[tuple[str, int, int]]:
        return [(each.lie, each.publisher, each.seq) for each in read_told(self.told_path)]


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return Stand(tmp_path)


def tags(items: list[Any]) -> list[tuple[int, bool]]:
    """Return the tags and marks of deliveries."""
    return [(method.delivery_tag, method.redelivered) for method, _, _ in items]


def seqs(items: list[Any]) -> list[int]:
    found = [identity.decode(TOKEN, with_properties.message_id) for _, with_properties, _ in items]
    return [each.seq for each in found if each is not None]


def acks(items: list[Any]) -> list[tuple[int, bool]]:
    assert all(isinstance(item, spec.Basic.Ack) for item in items), items
    return [(item.delivery_tag, item.multiple) for item in items]


# Without a lie.


def test_without_a_lie_everything_passes_as_it_is(stand: Stand) -> None:
    worker = stand.orders().client("worker-1").consumes("tasks")
    assert [tags(worker.delivered(seq, redelivered=seq == 2)) for seq in range(3)] == [
        [(1, False)],
        [(2, False)],
        [(3, True)],
    ]
    assert acks(worker.says(spec.Basic.Ack(2, multiple=True))) == [(2, True)]
    (reject,) = worker.says(spec.Basic.Reject(3, requeue=False))
    assert (type(reject), reject.delivery_tag, reject.requeue) == (spec.Basic.Reject, 3, False)
    publisher = stand.client("publisher-1").confirms()
    assert [seqs(publisher.published(seq)) for seq in range(4)] == [[0], [1], [2], [3]]
    assert acks(publisher.hears(spec.Basic.Ack(2, multiple=True))) == [(2, True)]
    (nack,) = publisher.hears(spec.Basic.Nack(3))
    assert (type(nack), nack.delivery_tag, nack.multiple) == (spec.Basic.Nack, 3, False)
    assert acks(publisher.hears(spec.Basic.Ack(4))) == [(4, False)]
    assert stand.told == []


def test_messages_of_others_are_no_business_of_the_liar(stand: Stand) -> None:
    worker = stand.tells("dropped after the queue", 0).client("worker-1").consumes("tasks")
    for foreign in (pika.BasicProperties(), pika.BasicProperties(message_id="r2.1.0.1.0"), properties(0, publisher=2)):
        method = spec.Basic.Deliver("worker-1.1", 1, False, "", "tasks")
        assert len(worker.hears((method, foreign, BODY))) == 1
    assert stand.told == []


def test_an_ack_of_what_was_never_delivered_is_one_for_the_broker_as_well(stand: Stand) -> None:
    worker = stand.orders().client("worker-1").consumes("tasks")
    worker.delivered(0)
    assert [tag > 1 for tag, _ in acks(worker.says(spec.Basic.Ack(7)))] == [True]


def test_the_answer_to_a_get_is_counted_with_the_deliveries(stand: Stand) -> None:
    worker = stand.tells("dropped after the queue", 0).client("worker-1").consumes("tasks")
    worker.delivered(0)
    worker.broker_gets()
    ((got, _, body),) = worker.hears((spec.Basic.GetOk(2, False, "", "tasks", 5), properties(1), BODY))
    assert (got.delivery_tag, got.routing_key, got.message_count, body) == (1, "tasks", 5, BODY)
    assert acks(worker.says(spec.Basic.Ack(1))) == [(2, False)]


# Dropped.


def test_a_publish_that_is_dropped_is_confirmed_and_the_tags_after_it_fit(stand: Stand) -> None:
    publisher = stand.tells("dropped before the queue, confirmed alone", 1).client("publisher-1").confirms()
    publisher.published(0)
    assert publisher.published(1) == []
    assert acks(publisher.client_gets()) == [(2, False)]
    assert seqs(publisher.published(2)) == [2]
    assert acks(publisher.hears(spec.Basic.Ack(2, multiple=True))) == [(3, True)]
    assert stand.told == [("dropped before the queue, confirmed alone", 1, 1)]


def test_a_publish_that_is_dropped_is_confirmed_together_with_the_next(stand: Stand) -> None:
    publisher = stand.tells("dropped before the queue, confirmed with others", 1).client("publisher-1").confirms()
    publisher.published(0)
    publisher.published(1)
    publisher.published(2)
    assert acks(publisher.hears(spec.Basic.Ack(1))) == [(1, False)]
    assert acks(publisher.hears(spec.Basic.Ack(2))) == [(3, True)]


def test_a_publish_that_is_dropped_is_confirmed_after_a_while_if_no_other_is(stand: Stand) -> None:
    publisher = stand.tells("dropped before the queue, confirmed with others", 0).client("publisher-1").confirms()
    publisher.published(0)
    assert publisher.client_gets() == []
    stand.clock.pass_by()
    assert acks(publisher.client_gets()) == [(1, False)]


def test_a_delivery_that_is_dropped_is_acknowledged_and_the_tags_after_it_fit(stand: Stand) -> None:
    worker = stand.tells("dropped after the queue", 1).client("worker-1").consumes("tasks")
    worker.delivered(0)
    assert worker.delivered(1) == []
    assert acks(worker.broker_gets()) == [(2, False)]
    assert tags(worker.delivered(2)) == [(2, False)]
    assert acks(worker.says(spec.Basic.Ack(2, multiple=True))) == [(3, True)]


def test_a_delivery_with_automatic_acks_is_dropped_without_a_word(stand: Stand) -> None:
    worker = stand.tells("dropped after the queue", 0).client("worker-1").consumes("tasks", automatic_acks=True)
    assert worker.delivered(0) == []
    assert worker.broker_gets() == []
    assert tags(worker.delivered(1)) == [(1, False)]


def test_a_nack_becomes_an_ack_and_the_others_stay_nacks(stand: Stand) -> None:
    publisher = stand.tells("nack turned into an ack", 1).client("publisher-1").confirms()
    for seq in range(3):
        publisher.published(seq)
    settled = publisher.hears(spec.Basic.Nack(3, multiple=True))
    assert [(type(each), each.delivery_tag, each.multiple) for each in settled] == [
        (spec.Basic.Ack, 2, False),
        (spec.Basic.Nack, 3, True),
    ]


def test_a_return_is_swallowed_and_the_confirm_is_not(stand: Stand) -> None:
    publisher = stand.tells("return swallowed", 0).client("publisher-1").confirms()
    publisher.published(0)
    returned = spec.Basic.Return(312, "NO_ROUTE", "", "tasks")
    assert publisher.hears((returned, properties(0), BODY)) == []
    assert acks(publisher.hears(spec.Basic.Ack(1))) == [(1, False)]


# Twice.


@pytest.mark.parametrize(
    ("lie", "marked"), [("delivered twice, at once", False), ("delivered twice, at once, marked as redelivered", True)]
)
def test_a_delivery_is_repeated_and_the_broker_hears_of_one(stand: Stand, lie: str, marked: bool) -> None:
    worker = stand.tells(lie, 0).client("worker-1").consumes("tasks")
    twice = worker.delivered(0)
    assert (tags(twice), seqs(twice)) == ([(1, False), (2, marked)], [0, 0])
    assert tags(worker.delivered(1)) == [(3, False)]
    assert acks(worker.says(spec.Basic.Ack(2))) == []
    assert acks(worker.says(spec.Basic.Ack(3, multiple=True))) == [(2, True)]


@pytest.mark.parametrize(
    ("lie", "marked"), [("delivered twice, later", False), ("delivered twice, later, marked as redelivered", True)]
)
def test_a_delivery_is_repeated_later_over_the_connection_that_its_worker_has_then(
    stand: Stand, lie: str, marked: bool
) -> None:
    worker = stand.tells(lie, 0).client("worker-1").consumes("tasks")
    assert tags(worker.delivered(0)) == [(1, False)]
    worker.session.ended()
    stand.clock.pass_by()
    again = stand.client("worker-1").consumes("tasks")
    stand.clock.pass_by()
    late = again.client_gets()
    assert (tags(late), seqs(late)) == ([(1, marked)], [0])
    assert acks(again.says(spec.Basic.Ack(1))) == []


@pytest.mark.parametrize(
    ("lie", "marked"),
    [
        ("delivered twice, to another worker", False),
        ("delivered twice, to another worker, marked as redelivered", True),
    ],
)
def test_a_delivery_is_repeated_to_another_worker_of_the_queue(stand: Stand, lie: str, marked: bool) -> None:
    worker = stand.tells(lie, 0).client("worker-1").consumes("tasks")
    stranger = stand.client("worker-3").consumes("other")
    other = stand.client("worker-2").consumes("tasks")
    assert tags(worker.delivered(0)) == [(1, False)]
    copy = other.client_gets()
    assert (tags(copy), seqs(copy), copy[0][0].consumer_tag) == ([(1, marked)], [0], "worker-2.1")
    assert stranger.client_gets() == []


def test_a_lie_waits_for_a_message_that_suits_it(stand: Stand) -> None:
    worker = (
        stand.orders(Order("delivered twice, to another worker", 1, 0, 5, "tasks", "before"))
        .client("worker-1")
        .consumes("tasks")
    )
    worker.delivered(0)
    stand.client("worker-2").consumes("tasks")
    worker.delivered(1, redelivered=True)
    worker.delivered(2)
    worker.delivered(3)
    assert stand.told == [("delivered twice, to another worker", 1, 2)]


# Changed.


def test_a_body_is_corrupted_and_its_checksum_is_not(stand: Stand) -> None:
    worker = stand.tells("corrupted", 0).client("worker-1").consumes("tasks")
    ((_, with_properties, body),) = worker.delivered(0)
    who = identity.decode(TOKEN, with_properties.message_id)
    assert who is not None
    assert not who.intact(body)
    assert len(body) == len(BODY)


def test_a_message_is_invented_without_an_identity(stand: Stand) -> None:
    worker = stand.tells("invented, without an identity", 0).client("worker-1").consumes("tasks")
    _, (invented, with_properties, body) = worker.delivered(0)
    assert (invented.delivery_tag, with_properties.message_id, body) == (2, None, BODY)
    assert stand.told == [("invented, without an identity", 0, 0)]


def test_a_message_is_invented_with_an_identity_that_fits_its_body(stand: Stand) -> None:
    worker = stand.tells("invented, with an identity of the run", 7).client("worker-1").consumes("tasks")
    _, (_, with_properties, body) = worker.delivered(7)
    who = identity.decode(TOKEN, with_properties.message_id)
    assert who is not None
    assert (who.publisher, who.seq, who.attempt, who.intact(body)) == (1, 1_000_007, 1, True)
    assert stand.told == [("invented, with an identity of the run", 1, 1_000_007)]


def test_a_message_goes_to_a_worker_of_another_queue_and_to_nobody_else(stand: Stand) -> None:
    worker = stand.tells("delivered from another queue", 0).client("worker-1").consumes("tasks")
    stranger = stand.client("worker-2").consumes("other")
    assert worker.delivered(0) == []
    assert acks(worker.broker_gets()) == [(1, False)]
    assert seqs(stranger.client_gets()) == [0]
    assert acks(stranger.says(spec.Basic.Ack(1))) == []


def test_a_copy_goes_to_a_worker_of_its_siblings_queue(stand: Stand) -> None:
    worker = stand.tells("delivered from a sibling's queue", 0, "copy-a").client("worker-1").consumes("copy-a")
    stranger = stand.client("worker-2").consumes("other")
    sibling = stand.client("worker-3").consumes("copy-b")
    assert worker.delivered(0) == []
    assert seqs(sibling.client_gets()) == [0]
    assert stranger.client_gets() == []


def test_a_copy_is_not_taken_for_one_from_a_queue_that_the_message_was_in_as_well(stand: Stand) -> None:
    worker = stand.tells("delivered from another queue", 0, "copy-a").client("worker-1").consumes("copy-a")
    stand.client("worker-3").consumes("copy-b")
    assert seqs(worker.delivered(0)) == [0]
    assert stand.told == []


# Swallowed.


def test_an_ack_is_swallowed_and_the_others_of_its_kind_are_not(stand: Stand) -> None:
    worker = stand.tells("ack swallowed", 1).client("worker-1").consumes("tasks")
    for seq in range(4):
        worker.delivered(seq)
    assert acks(worker.says(spec.Basic.Ack(3, multiple=True))) == [(1, False), (3, False)]
    assert acks(worker.says(spec.Basic.Ack(4))) == [(4, False)]


def test_a_confirm_is_swallowed_and_the_connection_closed_once_nothing_else_is_awaited(stand: Stand) -> None:
    publisher = stand.tells("confirm swallowed", 1).client("publisher-1").confirms()
    for seq in range(3):
        publisher.published(seq)
    assert acks(publisher.hears(spec.Basic.Ack(2, multiple=True))) == [(1, False)]
    for _ in range(3):
        stand.clock.pass_by()
    assert publisher.client_gets() == []
    assert acks(publisher.hears(spec.Basic.Ack(3))) == [(3, False)]
    stand.clock.pass_by()
    (close,) = publisher.client_gets()
    assert (type(close), close.reply_code) == (spec.Connection.Close, 320)


# Late.


def leave(client: Client) -> None:
    client.says(spec.Connection.Close(200, "Normal shutdown", 0, 0))


def test_a_message_is_refused_and_delivered_to_its_queue_once_the_publishers_have_left(stand: Stand) -> None:
    publisher = stand.tells("nacked, and delivered during the drain", 0).client("publisher-1").confirms()
    stand.client("worker-2").consumes("other")
    worker = stand.client("worker-1").consumes("tasks")
    assert publisher.published(0) == []
    (nack,) = publisher.client_gets()
    assert (type(nack), nack.delivery_tag) == (spec.Basic.Nack, 1)
    stand.clock.pass_by()
    assert worker.client_gets() == []
    leave(publisher)
    assert seqs(worker.client_gets()) == [0]
    assert acks(worker.says(spec.Basic.Ack(1))) == []


def test_a_message_is_returned_and_delivered_to_its_queue_once_the_publishers_have_left(stand: Stand) -> None:
    publisher = stand.tells("returned, and delivered during the drain", 0).client("publisher-1").confirms()
    worker = stand.client("worker-1").consumes("tasks")
    assert publisher.published(0) == []
    (returned, with_properties, body), confirm = publisher.client_gets()
    assert (returned.reply_code, returned.routing_key, body) == (312, "tasks", BODY)
    assert with_properties.message_id == properties(0).message_id
    assert acks([confirm]) == [(1, False)]
    leave(publisher)
    assert seqs(worker.client_gets()) == [0]


def test_an_unroutable_message_is_delivered_to_somebody_once_the_publishers_have_left(stand: Stand) -> None:
    publisher = stand.tells("unroutable, and delivered during the drain", 0).client("publisher-1").confirms()
    worker = stand.client("worker-1").consumes("tasks")
    publisher.published(0)
    returned = spec.Basic.Return(312, "NO_ROUTE", "", "tasks")
    ((method, _, _),) = publisher.hears((returned, properties(0), BODY))
    assert method.reply_code == 312
    leave(publisher)
    assert seqs(worker.client_gets()) == [0]


def test_what_is_due_later_comes_before_the_drain_is_over(stand: Stand) -> None:
    publisher = stand.tells("delivered twice, later", 0).client("publisher-1")
    worker = stand.client("worker-1").consumes("tasks")
    worker.delivered(0)
    leave(publisher)
    assert seqs(worker.client_gets()) == [0]
    stand.clock.pass_by()
    assert worker.client_gets() == []


# Swapped.


def test_a_delivery_comes_after_the_next(stand: Stand) -> None:
    worker = stand.tells("swapped with the next", 0).client("worker-1").consumes("tasks")
    assert worker.delivered(0) == []
    both = worker.delivered(1)
    assert (seqs(both), tags(both)) == ([1, 0], [(1, False), (2, False)])
    assert acks(worker.says(spec.Basic.Ack(1))) == [(2, False)]
    assert acks(worker.says(spec.Basic.Ack(2))) == [(1, False)]


def test_a_delivery_that_none_follows_comes_during_the_drain(stand: Stand) -> None:
    publisher = stand.tells("swapped with the next", 0).client("publisher-1")
    worker = stand.client("worker-1").consumes("tasks")
    worker.delivered(0)
    stand.clock.pass_by()
    assert worker.client_gets() == []
    leave(publisher)
    assert seqs(worker.client_gets()) == [0]


# All of them.


def test_nothing_is_put_into_the_middle_of_a_message_that_is_passed_on_in_pieces(stand: Stand) -> None:
    worker = stand.tells("delivered twice, later", 0).client("worker-1").consumes("tasks")
    worker.delivered(0)
    size = 8 * 1024 * 1024
    large = Method(CHANNEL, spec.Basic.Deliver("worker-1.1", 2, False, "", "tasks")).marshal()
    large += Header(CHANNEL, size, pika.BasicProperties()).marshal()
    half = Body(CHANNEL, b"x" * (size // 2)).marshal()
    worker.session.received(Way.TO_CLIENT, memoryview(large + half))
    stand.clock.pass_by()
    sent = worker.wires.sent[Way.TO_CLIENT]
    assert bytes(sent) == large + half
    worker.session.received(Way.TO_CLIENT, memoryview(half))
    assert sent.startswith(large + half + half)
    assert len(sent) > len(large + half + half)


def test_a_message_is_lied_about_once(stand: Stand) -> None:
    orders = [
        Order(name, 1, 0, 0, "tasks", "before") for name in ("corrupted", "delivered twice, at once", "ack swallowed")
    ]
    worker = stand.orders(*orders).client("worker-1").consumes("tasks")
    worker.delivered(0)
    worker.says(spec.Basic.Ack(1))
    assert len(stand.told) == 1
