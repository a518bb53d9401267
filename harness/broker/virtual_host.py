"""A virtual host for one variant on a broker that several use, one after the other: made, and removed with all that is in it.

Both are Erlang for all versions from 3.8 to 4.3, and take 0.03 to 0.3 s, where `rabbitmqctl add_vhost` alone takes more than a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from harness.broker.erlang import binary, evaluate
from harness.broker.flush import FLUSH
from harness.broker.protocol import Broker
from harness.errors import BrokerError

ASK_TIMEOUT_S: Final = 15.0
REMOVE_TIMEOUT_S: Final = 30.0
"""A virtual host with ten thousand queues takes its time."""

_PREPARE: Final = """
Nodes = [node() | nodes()],
Hash = fun(T) -> erlang:phash2(T, 1 bsl 32) end,
State = [
  {"virtual hosts", Hash(lists:sort(rabbit_vhost:list()))},
  {"users", Hash(lists:sort(rabbit_auth_backend_internal:list_users()))},
  {"permissions", Hash(lists:sort(rabbit_auth_backend_internal:list_permissions()))},
  {"policies", Hash({lists:sort(rabbit_policy:list()), lists:sort(rabbit_policy:list_op())})},
  {"parameters", Hash({lists:sort(rabbit_runtime_parameters:list()), lists:sort(rabbit_runtime_parameters:list_global())})},
  {"plugins", Hash(lists:sort(rabbit_plugins:active()))},
  {"feature flags", Hash(lists:sort(maps:keys(rabbit_feature_flags:list(enabled))))},
  {"settings", Hash([lists:sort(rpc:call(N, application, get_all_env, [rabbit], 5000)) || N <- lists:sort(Nodes)])}],
Running = length([N || N <- Nodes, rpc:call(N, rabbit, is_running, [], 5000) =:= true]),
Alarms = length(lists:append([rpc:call(N, rabbit_alarm, get_alarms, [], 5000) || N <- Nodes])),
Connections = length(rabbit_networking:connections()),
ok = case rabbit_vhost:add(V, <<"chaos">>) of ok -> ok; {ok, _} -> ok end,
ok = rabbit_auth_backend_internal:set_permissions(User, V, <<".*">>, <<".*">>, <<".*">>, <<"chaos">>),
"""
"""For the virtual host V and a user. What a broker is in is hashed before the virtual host is added: it is then as after its boot, or somebody left
something behind. Measured on 3.8.9, 3.10.8, 4.0.5 and 4.3.6: a kill or a restart changes none of it."""

_REMOVE: Final = """
Pids = rabbit_networking:connections(),
[(catch rabbit_networking:close_connection(P, <<"the run is over">>)) || P <- Pids],
Ended = [begin R = erlang:monitor(process, P), receive {'DOWN', R, _, _, _} -> true after 5000 -> false end end || P <- Pids],
ok = rabbit_vhost:delete(V, <<"chaos">>),
lists:all(fun(E) -> E end, Ended)
"""
"""Connections end first, so that nothing of them is left to be written to the log."""


@dataclass(frozen=True, slots=True)
class BrokerState:
    """What a broker was in when a virtual host was made on it."""

    running: int
    """Nodes that run."""
    alarms: int
    connections: int
    hashes: tuple[tuple[str, int], ...]
    """Of what one user could leave behind for the next one, by its name."""

    def problem(self, booted: BrokerState, nodes: int) -> str:
        """Say why it must not be used again, compared with how it was when it had booted; empty if it may be."""
        if self.running < nodes:
            return f"only {self.running} of its {nodes} nodes run"
        if self.alarms:
            return "a resource alarm is in force"
        if self.connections:
            return "clients are still connected"
        changed = [name for (name, now), (_, then) in zip(self.hashes, booted.hashes, strict=True) if now != then]
        return f"its {' and its '.join(changed)} changed" if changed else ""


def prepare(broker: Broker, virtual_host: str) -> BrokerState:
    """Make a virtual host that the broker's user may do everything in, have it on disk, and tell how the broker was before.

    Raises BrokerError.
    """
    user = binary(broker.endpoint().username)
    answer = evaluate(
        broker,
        f"V = {binary(virtual_host)}, User = {user}, {_PREPARE} {FLUSH}, {{Running, Alarms, Connections, State}}",
        timeout_s=ASK_TIMEOUT_S,
    )
    try:
        running, alarms, connections, hashes = answer
        named = tuple((bytes(name).decode(), int(number)) for name, number in hashes)
    except (TypeError, ValueError) as error:
        raise BrokerError(f"the broker's answer could not be understood: {error!r}") from error
    return BrokerState(running, alarms, connections, named)


def remove(broker: Broker, virtual_host: str) -> None:
    """End all connections, and remove a virtual host with what is in it. Raises BrokerError."""
    ended = evaluate(broker, f"V = {binary(virtual_host)}, {_REMOVE}", timeout_s=REMOVE_TIMEOUT_S)
    if ended != "true":
        raise BrokerError("clients could not be disconnected")
