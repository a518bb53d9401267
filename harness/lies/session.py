"""A client's connection as the liar sees it: messages instead of bytes, and tags that stay right whatever is dropped or put in.

Each message is shown to the liar at the points of its life (publish, confirm, return, delivery, ack), and passes unless the lie that it
chooses does something else with it. Messages that the parser gives in pieces (of several MiB) pass unseen, and their tags with them: no
such may be sent where lies are told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Final

from harness.frames.layout import ACK, DELIVER, GET_OK, METHOD, NACK, PUBLISH, REJECT, RETURN, MethodId
from harness.frames.methods import (
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
from harness.frames.parser import Content, MethodFrame, Opaque, Parser
from harness.frames.properties import message_id
from harness.lies.cases import Acked, Confirmed, Consumer, Delivery, Liar, Published, Returned
from harness.lies.tags import Tags, UnknownTagError
from harness.proxy.link import Link, Way
from harness.traffic import identity
from harness.traffic.identity import Identity

FRAME_MAX: Final = 131_072
"""Of what is put in; RabbitMQ's own default, and pika's."""
CONNECTION_FORCED: Final = 320
NO_ROUTE: Final = 312
MULTIPLE_AFTER_S: Final = 0.5
"""How long a forged confirm waits for one of the broker's that it can be put into."""


@dataclass(slots=True)
class _Channel:
    number: int
    confirms: bool = False
    deliveries: Tags = field(default_factory=Tags)
    """Sent by the broker."""
    publishes: Tags = field(default_factory=Tags)
    """Sent by the client."""
    published: dict[int, Identity | None] = field(default_factory=dict)
    """By the client's tag, what is not confirmed."""
    delivered: dict[int, Delivery] = field(default_factory=dict)
    """By the client's tag, what is not settled."""
    consumers: dict[str, Consumer] = field(default_factory=dict)
    asked: list[Consumer] = field(default_factory=list)
    """Consumers that wait for the broker's answer, in order."""
    held: list[Delivery] = field(default_factory=list)
    """Deliveries that wait for the next one."""
    never_confirmed: set[int] = field(default_factory=set)
    to_confirm: set[int] = field(default_factory=set)
    """Publishes (the client's tags) that a confirm of several is to cover."""


class Session:
    """One connection."""

    def __init__(self, name: str, link: Link, liar: Liar) -> None:
        """Begin; `name` is the client's."""
        self.name = name
        self.link = link
        self.liar = liar
        self._parsers = (Parser(from_client=True), Parser(from_client=False))
        self._clear = [True, True]
        """By way, whether something else may be sent next."""
        self._held: tuple[list[bytes], list[bytes]] = ([], [])
        """By way, what waits until it is clear."""
        self._channels: dict[int, _Channel] = {}
        self.publishes = 0
        """How many its client has sent."""
        self.over = False
        liar.opened(self)

    # Conversation.

    def received(self, way: Way, data: memoryview) -> None:
        """Take what was received; see Conversation."""
        for item in self._parsers[way].feed(data):
            if isinstance(item, Opaque):
                self.link.send(way, item.raw)
                self._clear[way] = item.ends
                self._send_held(way)
            else:
                self._take(way, item)

    def ended(self) -> None:
        """Forget it; see Conversation."""
        self.over = True
        self.liar.closed(self)

    # What the lies do.

    def deliver(self, delivery: Delivery, *, body: bytes | None = None, redelivered: bool | None = None) -> None:
        """Send a delivery to the client, with a tag of its own; with another body or mark where one is given."""
        channel = self._channels.get(delivery.channel)
        if channel is None:
            return
        tag = channel.deliveries.receive(delivery.broker_tag)
        marked = delivery.method.redelivered if redelivered is None else redelivered
        method = delivery.method._replace(consumer_tag=delivery.consumer.tag, delivery_tag=tag, redelivered=marked)
        if delivery.consumer.automatic_acks:
            channel.deliveries.forget(received=tag)
        else:
            channel.delivered[tag] = delivery
        content = encode_content(
            channel.number, delivery.header, delivery.body if body is None else body, frame_max=FRAME_MAX
        )
        self._put(Way.TO_CLIENT, encode_deliver(channel.number, method) + content)

    def acknowledge(self, delivery: Delivery) -> None:
        """Acknowledge a delivery to the broker, which its client knows nothing of."""
        channel = self._channels.get(delivery.channel)
        if channel is not None and delivery.broker_tag is not None and not delivery.consumer.automatic_acks:
            self._settle(channel, Settlement(ACK, 0), [delivery.broker_tag])

    def publish(self, published: Published) -> None:
        """Send a publish to the broker."""
        channel = self._channels[published.channel]
        if channel.confirms:
            channel.publishes.receive(published.client_tag)
        self._put(Way.TO_BROKER, published.content.raw)

    def confirm(self, message: Published | Confirmed, *, nack: bool = False) -> None:
        """Confirm (or refuse) a publish by itself."""
        self._confirm(self._channels[message.channel], [message.client_tag], nack=nack)

    def confirm_with_others(self, published: Published) -> None:
        """Confirm a publish within the next confirm, as one of several; after a while by itself."""
        channel, tag = self._channels[published.channel], published.client_tag
        channel.to_confirm.add(tag)

        def alone() -> None:
            if tag in channel.to_confirm:
                channel.to_confirm.discard(tag)
                self._confirm(channel, [tag], nack=False)

        self.liar.later(MULTIPLE_AFTER_S, alone)

    def consumers(self) -> list[tuple[int, Consumer]]:
        """Return its consumers, with their channels."""
        return [(channel.number, each) for channel in self._channels.values() for each in channel.consumers.values()]

    def never_confirm(self, confirmed: Confirmed) -> None:
        """Let a publisher wait for a confirm."""
        self._channels[confirmed.channel].never_confirmed.add(confirmed.client_tag)

    def waits_in_vain(self) -> bool:
        """Whether its client waits for no confirms but those that never come."""
        return all(channel.published.keys() <= channel.never_confirmed for channel in self._channels.values())

    def give_back(self, message: Published | Returned) -> None:
        """Return a message to its publisher: pass on that the broker has returned it, or say so."""
        content = message.content
        raw = content.raw
        if isinstance(message, Published):
            method = encode_return(message.channel, NO_ROUTE, "NO_ROUTE", decode_publish(content.arguments))
            raw = method + encode_content(message.channel, content.header, content.body, frame_max=FRAME_MAX)
        self._put(Way.TO_CLIENT, raw)

    def hold_back(self, delivery: Delivery) -> None:
        """Send a delivery after the next one on its channel, or during the drain if there is none."""
        channel = self._channels[delivery.channel]
        channel.held.append(delivery)
        self.liar.at_the_drain(partial(self._let_go, channel))

    def close(self, text: str) -> None:
        """Close the connection as a broker does that is told to."""
        self._put(Way.TO_CLIENT, encode_connection_close(CONNECTION_FORCED, text))

    # Items.

    def _take(self, way: Way, item: MethodFrame | Content) -> None:
        channel = self._channels.get(item.channel)
        if channel is None:
            channel = self._channels[item.channel] = _Channel(item.channel)
        try:
            taken = self._from_client(channel, item) if way is Way.TO_BROKER else self._from_broker(channel, item)
        except ValueError:  # no such method: for whoever gets it to complain
            taken = False
        if not taken:
            self._put(way, item.raw)

    def _from_client(self, channel: _Channel, item: MethodFrame | Content) -> bool:
        """Take what a client sends; returns whether it is taken care of."""
        match item:
            case Content(method=method) if method == PUBLISH:
                self._on_publish(channel, item)
                return True
            case MethodFrame(method=method, arguments=arguments):
                if method in (ACK, NACK, REJECT):
                    self._on_settlement(channel, decode_settlement(method, arguments))
                    return True
                if method == MethodId.BASIC_CONSUME:
                    consume = decode_consume(arguments)
                    channel.asked.append(Consumer(consume.consumer_tag, consume.queue, consume.automatic_acks))
                elif method == MethodId.BASIC_CANCEL:
                    channel.consumers.pop(decode_consumer_tag(arguments), None)
                elif method == MethodId.CONFIRM_SELECT:
                    channel.confirms = True
                elif method == MethodId.CONNECTION_CLOSE:
                    self.liar.left(self)
                elif method in (MethodId.CHANNEL_CLOSE, MethodId.CHANNEL_CLOSE_OK):
                    self._channels.pop(channel.number, None)
        return False

    def _from_broker(self, channel: _Channel, item: MethodFrame | Content) -> bool:
        """Take what the broker sends; returns whether it is taken care of."""
        match item:
            case Content(method=method) if method == DELIVER:
                self._on_delivery(channel, item)
                return True
            case Content(method=method) if method == RETURN:
                return self.liar.consider(Returned(self, channel.number, item, self._who(item.header)))
            case Content(method=method) if method == GET_OK:
                self._on_got(channel, item)
                return True
            case MethodFrame(method=method, arguments=arguments):
                if method in (ACK, NACK):
                    self._on_confirm(channel, decode_settlement(method, arguments))
                    return True
                if method == MethodId.BASIC_CONSUME_OK and channel.asked:
                    consumer = channel.asked.pop(0)
                    consumer.tag = decode_consumer_tag(arguments)
                    channel.consumers[consumer.tag] = consumer
                elif method == MethodId.BASIC_CANCEL:
                    channel.consumers.pop(decode_consumer_tag(arguments), None)
                elif method in (MethodId.CHANNEL_CLOSE, MethodId.CHANNEL_CLOSE_OK):
                    self._channels.pop(channel.number, None)
        return False

    def _on_publish(self, channel: _Channel, content: Content) -> None:
        who = self._who(content.header)
        self.publishes += 1
        tag = 0
        if channel.confirms:
            tag = channel.publishes.send()
            channel.published[tag] = who
        published = Published(self, channel.number, content, who, tag)
        if not self.liar.consider(published):
            self.publish(published)

    def _on_confirm(self, channel: _Channel, settlement: Settlement) -> None:
        try:
            settled = channel.publishes.settle(settlement.delivery_tag, multiple=settlement.multiple)
        except UnknownTagError:
            return  # of a publish that was put in, or of none: the client knows nothing of it
        nack = settlement.method == NACK
        tags = [tag for _, tag in settled if tag is not None]
        passing = [
            tag
            for tag in tags
            if not self.liar.consider(Confirmed(self, channel.number, channel.published.get(tag), tag, nack))
        ]
        if passing:
            self._confirm(channel, passing, nack=nack)

    def _confirm(self, channel: _Channel, tags: list[int], *, nack: bool) -> None:
        forged = [tag for tag in channel.to_confirm if tag < max(tags)]
        if not nack and forged and channel.publishes.are_all([*tags, *forged]):
            tags = [*tags, *forged]
            channel.to_confirm.difference_update(forged)
        for tag in tags:
            channel.published.pop(tag, None)
        method = NACK if nack else ACK
        for each in channel.publishes.passed_on(tags):
            frame = encode_settlement(channel.number, Settlement(method, each.tag, multiple=each.multiple))
            self._put(Way.TO_CLIENT, frame)

    def _on_delivery(self, channel: _Channel, content: Content) -> None:
        method = decode_deliver(content.arguments)
        consumer = channel.consumers.get(method.consumer_tag)
        if consumer is None:
            consumer = Consumer(method.consumer_tag, "", automatic_acks=False)
        broker_tag = channel.deliveries.send()
        if consumer.automatic_acks:
            channel.deliveries.forget(sent=broker_tag)
        delivery = Delivery(
            self, channel.number, consumer, method, content.header, content.body, self._who(content.header), broker_tag
        )
        if not self.liar.consider(delivery):
            self.deliver(delivery)
            self._let_go(channel)

    def _let_go(self, channel: _Channel) -> None:
        held, channel.held = channel.held, []
        for each in held:
            self.deliver(each)

    def _on_got(self, channel: _Channel, content: Content) -> None:
        """Pass the answer to basic.get, whose tags are counted with those of deliveries; no lie is told about it."""
        tag = channel.deliveries.receive(channel.deliveries.send())
        at = METHOD.size
        self._put(Way.TO_CLIENT, content.raw[:at] + tag.to_bytes(8) + content.raw[at + 8 :])

    def _on_settlement(self, channel: _Channel, settlement: Settlement) -> None:
        try:
            settled = channel.deliveries.settle(settlement.delivery_tag, multiple=settlement.multiple)
        except UnknownTagError:
            self._put(Way.TO_BROKER, encode_settlement(channel.number, settlement._replace(delivery_tag=2**63)))
            return
        passing: list[int] = []
        for client_tag, broker_tag in settled:
            delivery = channel.delivered.pop(client_tag, None)
            if broker_tag is None:
                continue
            if (
                settlement.method == ACK
                and delivery is not None
                and self.liar.consider(Acked(self, channel.number, delivery))
            ):
                continue
            passing.append(broker_tag)
        self._settle(channel, settlement, passing)

    def _settle(self, channel: _Channel, settlement: Settlement, broker_tags: list[int]) -> None:
        for each in channel.deliveries.passed_on(broker_tags):
            method = NACK if settlement.method == REJECT and each.multiple else settlement.method
            frame = encode_settlement(
                channel.number, Settlement(method, each.tag, multiple=each.multiple, requeue=settlement.requeue)
            )
            self._put(Way.TO_BROKER, frame)

    # Sending.

    def _put(self, way: Way, raw: bytes) -> None:
        """Send, but not into the middle of what is passed on in pieces."""
        if self._clear[way]:
            self.link.send(way, raw)
        else:
            self._held[way].append(raw)

    def _send_held(self, way: Way) -> None:
        while self._clear[way] and self._held[way]:
            self.link.send(way, self._held[way].pop(0))

    def _who(self, header: bytes) -> Identity | None:
        return identity.decode(self.liar.token, message_id(header))
