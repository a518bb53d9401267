"""The proxy before a real broker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from harness.broker.protocol import Broker
from harness.proxy.control import ProxyProcess
from harness.traffic import topology
from harness.traffic.errands import channel as open_channel
from harness.traffic.spec import Target
from tests.integration.stage import Stage, wait_until

MESSAGES = 60_000


@pytest.fixture
def through(stage: Stage) -> Iterator[Callable[[str], Target]]:
    """Gives a client a way to the broker through a proxy that passes everything on."""
    process = ProxyProcess("tests.unit.passing_proxy", {}, lambda _pid: None)

    def target(name: str) -> Target:
        direct = stage.target()
        (broker,) = direct.addresses
        return replace(direct, addresses=(("127.0.0.1", process.listen(name, broker)),))

    yield target
    process.close()


def taken_by_a_frozen_consumer(stage: Stage, target: Target) -> int:
    """Consume with automatic acks and read nothing; returns how many messages have left the queue for good."""
    stage.publish(MESSAGES, window=1000)
    before = stage.ready()
    counts: list[int | None] = [before]
    with open_channel(target, "consuming") as channel:
        channel.basic_consume(stage.queue, lambda *_: None, auto_ack=True)

        def stands_still() -> bool:
            counts.append(stage.ready())
            return counts[-1] == counts[-2] != before

        wait_until(stands_still, "the consumer's buffers to be full")
    topology.purge(stage.target(), stage.queue)
    assert before is not None
    assert counts[-1] is not None
    return before - counts[-1]


@pytest.mark.parametrize("stage", ["fast"], indirect=True)
def test_a_frozen_consumer_takes_hardly_more_through_the_proxy_than_directly(
    stage: Stage, through: Callable[[str], Target]
) -> None:
    """What waits in the proxy is gone for the broker: it must not look like a loss that automatic acks alone do not cause."""
    stage.declare()
    proxied = through("worker-1")
    # How far a kernel's buffers grow depends on who ran when: on a loaded machine one try says little, or nothing.
    tries = []
    for _ in range(5):
        directly = taken_by_a_frozen_consumer(stage, stage.target())
        by_proxy = taken_by_a_frozen_consumer(stage, proxied)
        assert directly > 0
        if directly == MESSAGES:
            continue  # the kernel's buffers had room for all
        tries.append(by_proxy / directly)
        if tries[-1] < 1.3:
            break
    assert tries, "the kernel's buffers had room for all messages each time"
    assert min(tries) < 1.3, tries


def test_clients_notice_nothing_of_a_proxy_over_a_restart_of_the_broker(
    stage: Stage, through: Callable[[str], Target], broker: Broker
) -> None:
    stage.declare()
    worker = stage.worker(target=through("worker"))
    publisher = stage.publisher(target=through("publisher"), messages=3000, rate_per_s=1000.0)
    wait_until(lambda: len(worker.processed()) > 500, "the worker to have processed some")
    broker.stop()
    broker.start_node()
    assert publisher.wait() == 0, publisher.said
    wait_until(lambda: set(worker.processed()) == set(range(3000)), "the worker to have processed all")
    worker.say("stop")
    assert worker.wait() == 0, worker.said
    assert stage.ready() == 0
