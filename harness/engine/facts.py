"""Broker facts: what the broker itself says of the run's virtual host, taken twice, in one call each, beside other work."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from harness.broker.connection_log import others
from harness.broker.erlang import Term, binary, evaluate
from harness.broker.flush import FLUSH
from harness.broker.protocol import Ability, Broker
from harness.engine.background import Background
from harness.engine.look import LOOK
from harness.errors import BrokerError
from harness.events import BindingFacts, BrokerLook, OthersConnected, QueueFacts
from harness.scenario.topology import ArgumentValue, Queue
from harness.traffic import topology
from harness.traffic.spec import Target

ASK_TIMEOUT_S = 20.0
"""How long one node may take to answer."""

Moment = Literal["before the traffic", "after the drain"]

_EVERYWHERE = "amq."
"""What the names of the exchanges begin with that every virtual host has."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a look is of."""

    broker: Broker
    target: Target
    queues: dict[str, Queue]
    """Of the scenario: what is looked at where only AMQP can be asked."""
    variant: str
    own: bool
    """Whether the run made the virtual host, or the broker, and nobody else is meant to be there."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A look, and what only the run itself has a use for."""

    look: BrokerLook
    own_connections: tuple[str, ...] = ()
    """The names of the run's own client connections that the broker has."""
    unwritten: frozenset[str] = frozenset()
    """Quorum queues whose leader has taken messages or acknowledgements that are not in its counts yet."""
    may_be_unwritten: frozenset[str] = frozenset()
    """Quorum queues whose leader does not say that (before RabbitMQ 4.0)."""


class BrokerFacts:
    """Takes the looks of one variant's run. A look that cannot be taken says why; none raises BrokerError."""

    def __init__(self, broker: Broker, target: Target, queues: dict[str, Queue], *, variant: str, own: bool) -> None:
        """`own`: the run made the virtual host, or the broker, and nobody else is meant to be there."""
        self._asked = _Asked(broker, target, queues, variant, own)
        self._beginning: Background | None = None
        self._first: Taken | None = None

    @property
    def can_ask(self) -> bool:
        """Whether rabbitmqctl can be run; else a look is what AMQP says."""
        return Ability.CONTROL in self._asked.broker.abilities

    def flush(self) -> None:
        """Write what was declared to disk, and look before the traffic in the same call. Raises BrokerError if it was not written."""
        self._first = _ask(self._asked, "before the traffic", first=f"{FLUSH}, ")

    def begin(self) -> None:
        """Begin the look before the traffic, beside other work, unless it was taken with the flush; for when no worker consumes yet."""
        if self._first is None and self.can_ask:
            self._beginning = Background(self._begin, "facts")
        elif self._first is None:
            self._begin()

    def _begin(self) -> None:
        self._first = self.take("before the traffic", {})

    def first(self) -> BrokerLook:
        """Return the look before the traffic, once it is taken."""
        if self._beginning is not None:
            self._beginning.wait()
        assert self._first is not None  # noqa: S101 - begun before
        return self._first.look

    def take(self, moment: Moment, own_consumers: Mapping[str, int], order: Sequence[str] = ()) -> Taken:
        """Look now. `own_consumers` are those of the run by queue, for where only AMQP can be asked; queues in `order` are asked first."""
        asked = self._asked
        why = f"rabbitmqctl cannot be run on an {asked.broker.name} broker"
        if self.can_ask:
            try:
                return _ask(asked, moment, order=order)
            except BrokerError as error:
                why = str(error)
        return Taken(_by_amqp(asked, moment, why, own_consumers))

    def others(self, logs: Mapping[str, str]) -> OthersConnected:
        """Return who else the logs of the broker's nodes name."""
        asked, not_read = self._asked, ""
        names: tuple[str, ...] = ()
        if logs:
            try:
                names = others(logs, mark=asked.target.client_name, virtual_host=asked.target.virtual_host)
            except BrokerError as error:
                not_read = str(error)
        else:
            not_read = f"the log of an {asked.broker.name} broker cannot be read"
        return OthersConnected(at_ns=time.monotonic_ns(), variant=asked.variant, connections=names, not_read=not_read)

    def close(self) -> None:
        """Wait for what still runs, for when the broker is gone: rabbitmqctl then ends at once."""
        if self._beginning is not None:
            self._beginning.wait(ASK_TIMEOUT_S)


def _ask(asked: _Asked, moment: Moment, *, first: str = "", order: Sequence[str] = ()) -> Taken:
    """Take a look, after another expression. Raises BrokerError."""
    numbered = ", ".join(f"{binary(name)} => {number}" for number, name in enumerate(order))
    given = f"V = {binary(asked.target.virtual_host)}, First = #{{{numbered}}}, "
    answer = evaluate(asked.broker, first + given + LOOK, timeout_s=ASK_TIMEOUT_S)
    try:
        return _taken(asked, moment, answer)
    except (ValueError, TypeError, AttributeError) as error:
        raise BrokerError(f"the broker's answer could not be understood: {error!r}") from error


def _taken(asked: _Asked, moment: Moment, answer: Term) -> Taken:
    queues, _, _, connections, *_ = answer
    written = {_text(name): state for name, *_, (*_, state), _ in queues}
    mark = asked.target.client_name
    return Taken(
        look=_look(asked, moment, answer),
        own_connections=tuple(name for name in map(_text, connections) if _ours(name, mark)),
        unwritten=frozenset(name for name, state in written.items() if state == "false"),
        may_be_unwritten=frozenset(name for name, state in written.items() if state == "unknown"),
    )


def _look(asked: _Asked, moment: Moment, answer: Term) -> BrokerLook:
    queues, exchanges, bindings, connections, consumers, counters, creations, acknowledged, handled = answer
    mark = asked.target.client_name
    foreign = tuple(sorted(name for name in map(_text, connections) if not _ours(name, mark)))
    taken = Counter(_text(queue) for queue, name in consumers if not _ours(_text(name), mark))
    named = {_text(name): (_text(type_), alternate) for name, type_, alternate in exchanges}
    return BrokerLook(
        at_ns=time.monotonic_ns(),
        variant=asked.variant,
        moment=moment,
        own_virtual_host=asked.own and not foreign,
        queues=tuple(sorted(_queues(queues, taken), key=lambda queue: queue.name)),
        exchanges={name: type_ for name, (type_, _) in named.items() if name and not name.startswith(_EVERYWHERE)},
        alternate_exchanges={name: _text(to) for name, (_, to) in named.items() if isinstance(to, bytes)},
        bindings=tuple(
            BindingFacts(
                exchange=_text(exchange),
                destination=_text(destination),
                to_exchange=kind == "exchange",
                routing_key=_text(key),
                arguments=_arguments(arguments),
            )
            for exchange, destination, kind, key, arguments in bindings
        ),
        foreign_connections=foreign,
        dead_lettered={node: _counters(found) for node, found in counters},
        acknowledged=dict(acknowledged),
        handled={node: {_short(name): count for name, count in counts} for node, counts in handled},
        node_started={node: str(creation) for node, creation in creations},
    )


def _ours(name: str, mark: str) -> bool:
    return bool(mark) and (name == mark or name.startswith(f"{mark}/"))


def _queues(queues: Sequence[Term], foreign_consumers: Counter[str]) -> Iterable[QueueFacts]:
    found: dict[str, QueueFacts] = {}
    for name, type_, durable, arguments, policy, policy_name, operator_name, counts, identity in queues:
        ready, unacknowledged, held, consumers, node, state, _ = counts
        facts = QueueFacts(
            name=_text(name),
            type=_type(type_),
            durable=durable == "true",
            arguments=_arguments(arguments),
            policy={_text(key): _value(value) for key, value in policy},
            policy_name=_text(policy_name) if policy_name != "none" else "",
            operator_policy_name=_text(operator_name) if operator_name != "none" else "",
            consumers=consumers,
            foreign_consumers=foreign_consumers[_text(name)],
            ready=ready,
            unacknowledged=unacknowledged,
            held=held,
            node=node,
            state=_text(state),
            identity=str(identity),
        )
        found.setdefault(facts.name, facts)  # one that is down is named twice on some versions
    return found.values()


def _counters(found: Sequence[Term]) -> dict[str, int]:
    return {
        f"{_type(type_)}/{strategy}/{reason.removeprefix('messages_dead_lettered_').removesuffix('_total')}": count
        for type_, strategy, counts in found
        for reason, count in counts
    }


def _short(counter: str) -> str:
    return counter.removesuffix("_total").removeprefix("messages_").removeprefix("delivered_")


def _type(module: str) -> str:
    return module.removeprefix("rabbit_").removesuffix("_queue")


def _arguments(table: Sequence[Term]) -> dict[str, ArgumentValue]:
    return {_text(name): _value(value) for name, _, value in table}


def _value(value: Term) -> ArgumentValue:
    """Return a value as scenarios write them; what they cannot write as text."""
    match value:
        case "true" | "false":
            return bool(value == "true")
        case int() | float():
            return value
        case _:
            return _text(value)


def _text(value: Term) -> str:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)


def _by_amqp(asked: _Asked, moment: Moment, why: str, own_consumers: Mapping[str, int]) -> BrokerLook:
    """Look by passive declares, where nothing else can be asked: how much is ready, and how many consumers there are."""
    look = BrokerLook(at_ns=time.monotonic_ns(), variant=asked.variant, moment=moment, not_asked=why)
    try:
        counts = topology.counts(asked.target, tuple(asked.queues))
    except BrokerError as error:
        return replace(look, not_asked=f"{why}; {error}")
    queues = tuple(
        QueueFacts(
            name=name,
            type=asked.queues[name].type,
            durable=asked.queues[name].durable,
            arguments={},
            policy={},
            policy_name="",
            operator_policy_name="",
            consumers=count.consumers,
            foreign_consumers=max(0, count.consumers - own_consumers.get(name, 0)),
            ready=count.ready,
            unacknowledged=0,
            held=0,
            node="",
            state="",
        )
        for name, count in counts.items()
        if count is not None
    )
    return replace(look, queues=queues)
