"""Having what was declared on disk: a node that is killed soon after a declaration may otherwise not know the queue any more."""

from __future__ import annotations

from harness.broker.protocol import Broker
from harness.errors import BrokerError

_FLUSH = (
    "ok = case mnesia:system_info(is_running) of yes -> mnesia:sync_log(); no -> ok end, "
    "[ok = dets:sync(Table) || Table <- dets:all()]."
)
"""The Erlang VM buffers the log of its schema database (durable classic queues were gone on 3.10, which keeps them there), and Ra writes
its registry of names, by which a quorum queue finds its own log, every 500 ms. What Khepri keeps is on disk when it answers."""


def flush_metadata(broker: Broker) -> None:
    """Have every node write what it knows of queues, exchanges and bindings; takes the ability CONTROL.

    Measured with queues that were 0.02 to 0.7 s old at a SIGKILL right after it, on 3.10.8 and 4.0.5: none was lost, where without it
    quorum queues came back broken and some classic ones were gone. Raises BrokerError if a node did not do it.
    """
    for node, name in enumerate(broker.nodes):
        done = broker.control("eval", _FLUSH, node=node)
        if done.exit_code != 0:
            said = (done.stderr or done.stdout).split()
            raise BrokerError(f"{name} did not write its queues to disk: {' '.join(said) or 'it said nothing'}")
