"""What a broker is asked for a look at it, in Erlang: one expression for all versions."""

from typing import Final

LOOK: Final = """
On = fun(M, F, A) -> [{N, rpc:call(N, M, F, A, 5000)} || N <- [node() | nodes()]] end,
Rows = fun(T) -> lists:append([if is_list(R) -> R; true -> error({N, R}) end || {N, R} <- On(ets, tab2list, [T])]) end,
Value = fun(K, L) -> proplists:get_value(K, L, undefined) end,
Named = fun(I) -> case lists:keyfind(<<"connection_name">>, 1, proplists:get_value(client_properties, I, [])) of
  {_, _, N} -> N; _ -> Value(name, I) end end,
ConsumerRows = [{C, Q} || {{_, W, _, Q}, C, _} <- [element(1, R) || R <- Rows(consumer_created)], W =:= V],
Channels = maps:from_list([{element(1, R), Value(connection, element(2, R))} || R <- Rows(channel_created)]),
Connections = maps:from_list([{element(1, R), Named(element(2, R))} || R <- Rows(connection_created),
  Value(vhost, element(2, R)) =:= V]),
Lives = fun(P) -> rpc:call(node(P), erlang, is_process_alive, [P]) =:= true end,
Consumers = [{Q, maps:get(maps:get(C, Channels, C), Connections, <<>>)} || {C, Q} <- ConsumerRows,
  maps:is_key(maps:get(C, Channels, C), Connections) orelse Lives(C)],
Count = fun(K, M) -> maps:get(K, M, 0) end,
Quorum = fun(P) -> case catch ra:leader_query(P, {rabbit_fifo, overview, []}, 5000) of
  {ok, {_, O}, {_, L} = Leader} ->
    Held = Count(num_discarded, O) + Count(num_discard_checked_out, O),
    Out = Count(num_checked_out, O) + Count(num_delayed_messages, O),
    Written = case catch ra:key_metrics(Leader) of #{last_index := I, last_applied := A} -> I =:= A; _ -> unknown end,
    {Count(num_messages, O) - Held - Out, Out, Held, Count(num_consumers, O), L, running, Written};
  _ -> {0, 0, 0, 0, element(2, P), down, unknown} end end,
Identity = fun(P) -> erlang:phash2({P, catch ra_directory:uid_of(quorum_queues, element(1, P))}) end,
Other = fun(Q, P) -> case catch rabbit_amqqueue:info(Q, [messages_ready, messages_unacknowledged, consumers, state]) of
  [{_, R}, {_, U}, {_, C}, {_, S}] when is_integer(R) -> {R, U, 0, C, node(P), S, true};
  _ -> {0, 0, 0, 0, if is_pid(P) -> node(P); true -> '' end, down, true} end end,
Ordered = lists:sort([{maps:get(Name, First, 1 bsl 30), Q} ||
  Q <- rabbit_amqqueue:list(V) ++ rabbit_amqqueue:list_down(V), {_, _, _, Name} <- [amqqueue:get_name(Q)]]),
Queues = [begin
  {_, _, _, Name} = amqqueue:get_name(Q), Type = amqqueue:get_type(Q), P = amqqueue:get_pid(Q),
  Policy = case rabbit_policy:effective_definition(Q) of D when is_list(D) -> D; _ -> [] end,
  {Name, Type, amqqueue:is_durable(Q), amqqueue:get_arguments(Q), Policy, rabbit_policy:name(Q), rabbit_policy:name_op(Q),
    case Type of rabbit_quorum_queue -> Quorum(P); _ -> Other(Q, P) end, Identity(P)}
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
Handled = [{N, [{K, lists:sum([Count(K, C) || C <- maps:values(M)])} || K <- [messages_received_total,
  messages_routed_total, messages_delivered_total, messages_delivered_consume_auto_ack_total,
  messages_delivered_consume_manual_ack_total, messages_delivered_get_auto_ack_total,
  messages_delivered_get_manual_ack_total]]}
  || {N, M} <- Counted],
{Queues, Exchanges, Bindings, maps:values(Connections), Consumers, Counters, On(erlang, system_info, [creation]),
  Acknowledged, Handled}
"""
"""Erlang, for the virtual host V; queues in the map First are asked first, in the order of its values. Connections, channels and consumers come from the tables that each node keeps of its own (a connection that
is busy is not asked): consumers first, as one that comes meanwhile would have no connection, and one whose connection has ended meanwhile is nobody's; counts from the queues themselves: from a quorum queue's leader, whose statistics are up to 5 s old, and which says from
4.0 on whether it has applied all that it has taken. From 3.8 to 4.3; labels of counters are maps from 4.3 on, and before 3.10 there are no counters."""
