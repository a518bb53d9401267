"""Broker facts: what the broker itself says of the run's virtual host, taken twice, in one call each, beside other work."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from harness.broker.erlang import Term, binary, evaluate
from harness.broker.flush import FLUSH
from harness.broker.protocol import Ability, Broker
from harness.engine.background import Background
from harness.errors import BrokerError
from harness.events import BindingFacts, BrokerLook, QueueFacts
from harness.scenario.topology import ArgumentValue, Queue
from harness.traffic import topology
from harness.traffic.spec import Target

ASK_TIMEOUT_S = 20.0
"""How long one node may take to answer."""

Moment = Literal["before the traffic", "after the drain"]

_LOOK = """
On = fun(M, F, A) -> [{N, rpc:call(N, M, F, A, 5000)} || N <- [node() | nodes()]] end,
Rows = fun(T) -> lists:append([if is_list(R) -> R; true -> error({N, R}) end || {N, R} <- On(ets, tab2list, [T])]) end,
Value = fun(K, L) -> proplists:get_value(K, L, undefined) end,
Named = fun(I) -> case lists:keyfind(<<"connection_name">>, 1, proplists:get_value(client_properties, I, [])) of
  {_, _, N} -> N; _ -> Value(name, I) end end,
Connections = maps:from_list([{element(1, R), Named(element(2, R))} || R <- Rows(connection_created),
  Value(vhost, element(2, R)) =:= V]),
Channels = maps:from_list([{element(1, R), Value(connection, element(2, R))} || R <- Rows(channel_created)]),
Consumers = [{Q, maps:get(maps:get(C, Channels, C), Connections, <<>>)} ||
  {{_, W, _, Q}, C, _} <- [element(1, R) || R <- Rows(consumer_created)], W =:= V],
Count = fun(K, M) -> maps:get(K, M, 0) end,
Quorum = fun(P) -> case catch ra:leader_query(P, {rabbit_fifo, overview, []}, 5000) of
  {ok, {_, O}, {_, L} = Leader} ->
    Held = Count(num_discarded, O) + Count(num_discard_checked_out, O),
    Out = Count(num_checked_out, O) + Count(num_delayed_messages, O),
    Written = case catch ra:key_metrics(Leader) of #{last_index := I, last_applied := A} -> I =:= A; _ -> unknown end,
    {Count(num_messages, O) - Held - Out, Out, Held, Count(num_consumers, O), L, running, Written};
  _ -> {0, 0, 0, 0, element(2, P), down, unknown} end end,
Other = fun(Q, P) -> case catch rabbit_amqqueue:info(Q, [messages_ready, messages_unacknowledged, consumers, state]) of
  [{_, R}, {_, U}, {_, C}, {_, S}] when is_integer(R) -> {R, U, 0, C, node(P), S, true};
  _ -> {0, 0, 0, 0, if is_pid(P) -> node(P); true -> '' end, down, true} end end,
Ordered = lists:sort([{maps:get(Name, First, 1 bsl 30), Q} ||
  Q <- rabbit_amqqueue:list(V) ++ rabbit_amqqueue:list_down(V), {_, _, _, Name} <- [amqqueue:get_name(Q)]]),
Queues = [begin
  {_, _, _, Name} = amqqueue:get_name(Q), Type = amqqueue:get_type(Q), P = amqqueue:get_pid(Q),
  Policy = case rabbit_policy:effective_definition(Q) of D when is_list(D) -> D; _ -> [] end,
  {Name, Type, amqqueue:is_durable(Q), amqqueue:get_arguments(Q), Policy, rabbit_policy:name(Q), rabbit_policy:name_op(Q),
    case Type of rabbit_quorum_queue -> Quorum(P); _ -> Other(Q, P) end}
  end || {_, Q} <- Ordered],
Exchanges = [begin
  [{_, {_, _, _, Name}}, {_, Type}] = rabbit_exchange:info(X, [name, type]),
  {Name, Type, rabbit_policy:get_arg(<<"alternate-exchange">>, <<"alternate-exchange">>, X)}
  end || X <- rabbit_exchange:list(V)],
Bindings = [{Value(source_name, B), Value(destination_name, B), Value(destination_kind, B), Value(routing_key, B),
  Value(arguments, B)} || B <- rabbit_binding:info_all(V), Value(source_name, B) =/= <<>>],
Counted = [{N, M} || {N, M} <- On(rabbit_global_counters, overview, []), is_map(M)],
Counters = [{N, [{Value(queue_type, L), Value(dead_letter_strategy, L), maps:to_list(C)} || {K, C} <- maps:to_list(M),
  L <- [if is_map(K) -> maps:to_list(K); true -> K end], Value(dead_letter_strategy, L) =/= undefined]}
  || {N, M} <- Counted],
Acknowledged = [{N, lists:sum([Count(messages_acknowledged_total, C) || C <- maps:values(M)])} || {N, M} <- Counted],
{Queues, Exchanges, Bindings, maps:values(Connections), Consumers, Counters, On(erlang, system_info, [creation]),
  Acknowledged}
"""
"""Erlang, for the virtual host V; queues in the map First are asked first, in the order of its values. Connections, channels and consumers come from the tables that each node keeps of its own (a connection that
is busy is not asked), counts from the queues themselves: from a quorum queue's leader, whose statistics are up to 5 s old, and which says from
4.0 on whether it has applied all that it has taken. From 3.8 to 4.3; labels of counters are maps from 4.3 on, and before 3.10 there are no counters."""

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
    """Whether the broker was started by the run, for itself alone."""


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
        """`own`: the broker was started by the run, for itself alone."""
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

    def close(self) -> None:
        """Wait for what still runs, for when the broker is gone: rabbitmqctl then ends at once."""
        if self._beginning is not None:
            self._beginning.wait(ASK_TIMEOUT_S)


def _ask(asked: _Asked, moment: Moment, *, first: str = "", order: Sequence[str] = ()) -> Taken:
    """Take a look, after another expression. Raises BrokerError."""
    numbered = ", ".join(f"{binary(name)} => {number}" for number, name in enumerate(order))
    given = f"V = {binary(asked.target.virtual_host)}, First = #{{{numbered}}}, "
    answer = evaluate(asked.broker, first + given + _LOOK, timeout_s=ASK_TIMEOUT_S)
    try:
        return _taken(asked, moment, answer)
    except (ValueError, TypeError, AttributeError) as error:
        raise BrokerError(f"the broker's answer could not be understood: {error!r}") from error


def _taken(asked: _Asked, moment: Moment, answer: Term) -> Taken:
    queues, _, _, connections, *_ = answer
    written = {_text(name): state for name, *_, (*_, state) in queues}
    mark = asked.target.client_name
    return Taken(
        look=_look(asked, moment, answer),
        own_connections=tuple(name for name in map(_text, connections) if _ours(name, mark)),
        unwritten=frozenset(name for name, state in written.items() if state == "false"),
        may_be_unwritten=frozenset(name for name, state in written.items() if state == "unknown"),
    )


def _look(asked: _Asked, moment: Moment, answer: Term) -> BrokerLook:
    queues, exchanges, bindings, connections, consumers, counters, creations, acknowledged = answer
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
        node_started={node: str(creation) for node, creation in creations},
    )


def _ours(name: str, mark: str) -> bool:
    return bool(mark) and (name == mark or name.startswith(f"{mark}/"))


def _queues(queues: Sequence[Term], foreign_consumers: Counter[str]) -> Iterable[QueueFacts]:
    found: dict[str, QueueFacts] = {}
    for name, type_, durable, arguments, policy, policy_name, operator_name, counts in queues:
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
        )
        found.setdefault(facts.name, facts)  # one that is down is named twice on some versions
    return found.values()


def _counters(found: Sequence[Term]) -> dict[str, int]:
    return {
        f"{_type(type_)}/{strategy}/{reason.removeprefix('messages_dead_lettered_').removesuffix('_total')}": count
        for type_, strategy, counts in found
        for reason, count in counts
    }


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
