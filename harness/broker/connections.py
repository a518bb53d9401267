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

    It does the same as `rabbitmqctl close_all_connections` (source: that command in RabbitMQ 3.8 to 4.3), but asks the broker's Erlang VM
    directly. rabbitmqctl starts a VM of its own, and clients reconnect before that is up. Clients see `why` as the reason. Raises BrokerError.
    """
    closed: int = evaluate(broker, f"V = {binary(virtual_host)}, Why = {binary(why)}, {_CLOSE}")
    return closed
