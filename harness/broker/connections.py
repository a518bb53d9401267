"""Closing client connections from the broker's side."""

from __future__ import annotations

from typing import Final

from harness.broker.erlang import binary, evaluate
from harness.broker.protocol import Broker

_CLOSE: Final = """
Pids = [hd([E || E <- tuple_to_list(C), is_pid(E)]) || C <- rabbit_connection_tracking:list(V)],
[(catch rabbit_networking:close_connection(P, Why)) || P <- Pids],
length(Pids)
"""


def close_connections(broker: Broker, virtual_host: str, why: str) -> int:
    """Close every connection to a virtual host, on all nodes, and return how many there were; takes the ability CONTROL.

    It is what `rabbitmqctl close_all_connections` does (source: its ctl command of RabbitMQ 3.8 to 4.3), without an Erlang VM of its own,
    whose start takes longer than a connection that was closed takes to be back. `why` is what the clients are told. Raises BrokerError.
    """
    closed: int = evaluate(broker, f"V = {binary(virtual_host)}, Why = {binary(why)}, {_CLOSE}")
    return closed
