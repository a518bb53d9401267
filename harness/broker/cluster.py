"""Waiting until several nodes are one cluster; the same for every backend that forms one."""

from __future__ import annotations

from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from harness.broker.protocol import Broker
from harness.errors import BrokerError

_POLL_S = 0.2


def wait_until_formed(broker: Broker, timeout_s: float) -> None:
    """Wait until the first node sees all nodes running; nothing to wait for with one. Raises BrokerError."""
    names = broker.nodes
    if len(names) < 2:
        return

    @retry(
        stop=stop_after_delay(timeout_s),
        wait=wait_fixed(_POLL_S),
        retry=retry_if_result(lambda formed: not formed),
        retry_error_callback=lambda _state: False,
    )
    def formed() -> bool:
        result = broker.control("cluster_status", "--formatter", "json")
        # Each node is named among the members and again among the running ones.
        return result.exit_code == 0 and all(result.stdout.count(f'"{name}"') > 1 for name in names)

    if not formed():
        raise BrokerError(f"the nodes {', '.join(names)} formed no cluster within {timeout_s:g} s")
