"""Who else connected to a broker is known from its log, in the words of every version."""

from __future__ import annotations

import pytest

from harness.broker.connection_log import others
from harness.errors import BrokerError

MARK = "chaos-1f2e3d-0"

IN_3_8 = """\
2026-11-30 06:18:24.000 [info] <0.870.0> connection <0.870.0> (172.17.0.1:1 -> 172.17.0.5:5672 - earlier): user 'guest' authenticated and granted access to vhost '/'
2026-11-30 06:18:25.486 [info] <0.873.0> accepting AMQP connection <0.873.0> (172.17.0.1:54142 -> 172.17.0.5:5672)
2026-11-30 06:18:25.509 [warning] <0.873.0> closing AMQP connection <0.873.0> (172.17.0.1:54142 -> 172.17.0.5:5672):
client unexpectedly closed TCP connection
2026-11-30 06:18:25.690 [info] <0.884.0> connection <0.884.0> (172.17.0.1:54158 -> 172.17.0.5:5672 - chaos-1f2e3d-0): user 'guest' authenticated and granted access to vhost '/'
2026-11-30 06:18:26.086 [info] <0.934.0> Connection <0.934.0> (172.17.0.1:54194 -> 172.17.0.5:5672) has a client-provided name: mine
2026-11-30 06:18:26.088 [info] <0.934.0> connection <0.934.0> (172.17.0.1:54194 -> 172.17.0.5:5672 - mine): user 'guest' authenticated and granted access to vhost '/'
2026-11-30 06:18:26.089 [info] <0.935.0> connection <0.935.0> (172.17.0.1:54195 -> 172.17.0.5:5672): user 'guest' authenticated and granted access to vhost '/'
2026-11-30 06:18:26.090 [info] <0.936.0> connection <0.936.0> (172.17.0.1:54196 -> 172.17.0.5:5672): user 'guest' authenticated and granted access to vhost 'other'
"""
IN_4_0 = """\
2026-11-30 13:30:18.009145+00:00 [info] <0.706.0> connection 172.17.0.1:60478 -> 172.17.0.4:5672 - chaos: user 'guest' authenticated and granted access to vhost '/'
2026-11-30 13:30:18.028340+00:00 [info] <0.717.0> connection 172.17.0.1:60484 -> 172.17.0.4:5672 - chaos-1f2e3d-0: user 'guest' authenticated and granted access to vhost '/'
2026-11-30 13:30:18.128340+00:00 [info] <0.718.0> connection 172.17.0.1:60485 -> 172.17.0.4:5672 - chaos-1f2e3d-0/worker-1.1: user 'guest' authenticated and granted access to vhost '/'
2026-11-30 13:30:18.228340+00:00 [info] <0.719.0> connection 172.17.0.1:60486 -> 172.17.0.4:5672 - chaos: user 'guest' authenticated and granted access to vhost '/'
2026-11-30 13:30:21.187251+00:00 [info] <0.831.0> accepting AMQP connection 172.17.0.1:60536 -> 172.17.0.4:5672
2026-11-30 13:30:21.195688+00:00 [info] <0.831.0> connection 172.17.0.1:60536 -> 172.17.0.4:5672: user 'guest' authenticated and granted access to vhost '/'
2026-11-30 13:30:21.226280+00:00 [info] <0.831.0> closing AMQP connection (172.17.0.1:60536 -> 172.17.0.4:5672, vhost: '/', user: 'guest', duration: '40ms')
2026-11-30 13:30:22.195688+00:00 [info] <0.832.0> connection 172.17.0.1:60537 -> 172.17.0.4:5672 - chaos-1f2e3d-01: user 'a's' authenticated and granted access to vhost '/'
"""


def test_clients_of_3_8_that_are_not_the_runs_are_named() -> None:
    assert others({"n1": IN_3_8}, mark=MARK, virtual_host="/") == ("172.17.0.1:54195 -> 172.17.0.5:5672", "mine")


def test_clients_of_4_0_that_are_not_the_runs_are_named() -> None:
    assert others({"n1": IN_4_0}, mark=MARK, virtual_host="/") == (
        "172.17.0.1:60536 -> 172.17.0.4:5672",
        "chaos-1f2e3d-01",
    )


def test_a_client_of_another_node_counts_from_the_runs_first_one_on() -> None:
    before, after = (
        f"2026-11-30 13:30:{second}+00:00 [info] <0.1.0> connection 1.1.1.1:{port} -> 2.2.2.2:5672: "
        "user 'u' authenticated and granted access to vhost '/'"
        for second, port in (("17.000000", 1), ("19.000000", 2))
    )
    logs = {"n1": IN_4_0.splitlines()[1], "n2": f"{before}\n{after}\n"}
    assert others(logs, mark=MARK, virtual_host="/") == ("1.1.1.1:2 -> 2.2.2.2:5672",)


@pytest.mark.parametrize("text", ["", IN_4_0.replace(MARK, "chaos-another")])
def test_a_log_without_the_runs_own_clients_says_nothing_of_others(text: str) -> None:
    with pytest.raises(BrokerError, match="does not name the clients that connect"):
        others({"n1": text}, mark=MARK, virtual_host="/")
