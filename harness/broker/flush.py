"""Making a broker write what was declared to disk: a node that is killed soon after a declaration may otherwise lose the queue."""

from __future__ import annotations

from harness.broker.erlang import evaluate
from harness.broker.protocol import Broker

FLUSH = (
    "[begin "
    "ok = case rpc:call(N, mnesia, system_info, [is_running]) of yes -> rpc:call(N, mnesia, sync_log, []); no -> ok end, "
    "[ok = rpc:call(N, dets, sync, [Table]) || Table <- rpc:call(N, dets, all, [])] "
    "end || N <- [node() | nodes()]]"
)
"""An Erlang expression that makes every node of the cluster write. The Erlang VM buffers the log of its schema database (durable classic
queues were gone on 3.10, which keeps them there), and Ra writes its registry of names, by which a quorum queue finds its own log, every
500 ms. What Khepri keeps is on disk when it answers."""


def flush_metadata(broker: Broker) -> None:
    """Make every node write what it knows of queues, exchanges and bindings, in one call; takes the ability CONTROL.

    Measured with queues that were 0.02 to 0.7 s old at a SIGKILL right after it, on 3.10.8 and 4.0.5: none was lost, where without it
    quorum queues came back broken and some classic ones were gone. Raises BrokerError if a node did not do it.
    """
    evaluate(broker, f"{FLUSH}, flushed")
