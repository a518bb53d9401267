"""What a publisher does with confirms, nacks, returns, a lost connection and a stop, and what its log says of it."""

from __future__ import annotations

import signal

import numpy as np
import pytest

from harness.broker.protocol import Broker
from harness.history.records import Kind
from harness.traffic.pace import CATCH_UP_S
from harness.traffic.publisher import UNCONFIRMED_WINDOW
from harness.traffic.spec import Route
from tests.integration.stage import Process, Stage, wait_until


def test_everything_is_published_once_confirmed_and_in_the_queue(stage: Stage) -> None:
    stage.declare()
    publisher = stage.publish(2000, window=100)
    everything = [(seq, 1) for seq in range(2000)]
    assert publisher.published() == everything
    assert publisher.confirmed() == set(everything)
    assert publisher.kinds()[-2:] == [Kind.EXHAUSTED, Kind.FINISHED]
    assert publisher.said == ""
    found = stage.left()
    assert sorted(found["seq"].tolist()) == list(range(2000))
    assert set(found["publisher"].tolist()) == {1}
    assert set(found["flags"].tolist()) == {0}


def test_it_waits_for_go_once_connected(stage: Stage) -> None:
    stage.declare()
    publisher = stage.publisher(messages=10, go=False)
    publisher.await_records(Kind.CONNECTED)
    assert publisher.of(Kind.CONNECTED)["arg"].tolist() == [100], "the window"
    assert publisher.published() == []
    publisher.say("go")
    assert publisher.wait() == 0
    assert len(publisher.confirmed()) == 10


def test_never_more_than_the_window_is_outstanding(stage: Stage) -> None:
    stage.declare()
    outstanding = most = 0
    for record in stage.publish(1000, window=7).records:
        match record["kind"]:
            case Kind.PUBLISHED:
                outstanding += 1
            case Kind.CONFIRMED:
                outstanding -= record["arg"]
        most = max(most, outstanding)
    assert most == 7


def test_a_rate_is_an_upper_bound(stage: Stage) -> None:
    stage.declare()
    rate = 400.0
    times = stage.publish(300, rate_per_s=rate, window=1000).of(Kind.PUBLISHED)["at_ns"].tolist()
    for first, at_first in enumerate(times):
        for later in range(first + 1, len(times)):
            allowed = rate * ((times[later] - at_first) / 1e9 + CATCH_UP_S) + 1
            assert later - first <= allowed
    assert (times[-1] - times[0]) / 1e9 >= (len(times) - 1) / rate - CATCH_UP_S


def test_texts_and_routes_are_taken_in_turn(stage: Stage) -> None:
    other = f"{stage.queue}-other"
    stage.declare()
    stage.declare(queue=other)
    routes = (Route("tasks", "", stage.queue), Route("other", "", other))
    stage.publish(5, texts=("First message.", "Second message.."), routes=routes)
    assert sorted(stage.left()["seq"].tolist()) == [0, 2, 4]
    assert sorted(stage.left([other])["seq"].tolist()) == [1, 3]


def test_what_a_restart_left_unsettled_is_republished_with_the_next_attempt(stage: Stage, broker: Broker) -> None:
    stage.declare()
    stage.settle()
    publisher = stage.publisher(messages=20_000, window=500)
    publisher.await_records(Kind.CONFIRMED, 20)
    # Frozen, the broker cannot confirm the window that fills: what is outstanding at the kill is known.
    broker.pause()
    wait_until(lambda: len(publisher.published()) - len(publisher.confirmed()) == 500, "a full window")
    broker.kill()
    broker.start_node()
    assert publisher.wait() == 0, publisher.said

    first = publisher.of(Kind.PUBLISHED)
    lost = {int(seq) for seq in first[first["connection"] == 1]["seq"]} - _confirmed_on(publisher, connection=1)
    assert len(lost) == 500
    assert {seq for seq, attempt in publisher.published() if attempt == 2} == lost
    assert {seq for seq, _ in publisher.confirmed()} == set(range(20_000))
    assert len(publisher.published()) == 20_000 + 500
    assert publisher.kinds().count(Kind.CONNECTION_LOST) == 1
    assert set(range(20_000)) == set(stage.left()["seq"].tolist())


def test_what_a_restart_left_unsettled_is_dropped_where_the_scenario_says_so(stage: Stage, broker: Broker) -> None:
    stage.declare()
    stage.settle()
    publisher = stage.publisher(messages=20_000, window=500, republish_unconfirmed=False)
    publisher.await_records(Kind.CONFIRMED, 20)
    broker.pause()
    wait_until(lambda: len(publisher.published()) - len(publisher.confirmed()) == 500, "a full window")
    broker.kill()
    broker.start_node()
    assert publisher.wait() == 0, publisher.said
    assert publisher.published() == [(seq, 1) for seq in range(20_000)]
    assert len(publisher.confirmed()) == 20_000 - 500
    assert publisher.kinds()[-2:] == [Kind.EXHAUSTED, Kind.FINISHED]


def test_without_confirms_what_was_on_its_way_is_lost_and_never_sent_again(stage: Stage, broker: Broker) -> None:
    stage.declare()
    stage.settle()
    publisher = stage.publisher(messages=30_000, confirms=False)
    publisher.await_records(Kind.PUBLISHED, 500)
    broker.pause()
    sent = 0

    def stalled() -> bool:
        nonlocal sent
        before, sent = sent, len(publisher.published())
        return before == sent

    wait_until(stalled, "the publisher to stall on a frozen broker")
    broker.kill()
    broker.start_node()
    assert publisher.wait() == 0, publisher.said
    assert publisher.published() == [(seq, 1) for seq in range(30_000)]
    assert len(publisher.of(Kind.CONFIRMED)) == 0
    found = set(stage.left()["seq"].tolist())
    lost = set(range(30_000)) - found
    on_first = {int(r["seq"]) for r in publisher.of(Kind.PUBLISHED) if r["connection"] == 1}
    assert lost
    assert lost <= on_first
    assert set(range(max(on_first) + 1, 30_000)) <= found


def test_a_frozen_broker_stops_a_publisher_without_confirms_at_its_window(stage: Stage, broker: Broker) -> None:
    stage.declare()
    publisher = stage.publisher(messages=100_000, confirms=False, go=False)
    publisher.await_records(Kind.CONNECTED)
    assert publisher.of(Kind.CONNECTED)["arg"].tolist() == [0]
    broker.pause()
    publisher.say("go")
    publisher.await_records(Kind.PUBLISHED, UNCONFIRMED_WINDOW)
    publisher.say("stop")  # read by the loop after the turn in which the window was filled
    broker.resume()
    assert publisher.wait() == 0
    assert len(publisher.published()) == UNCONFIRMED_WINDOW
    assert stage.ready() == UNCONFIRMED_WINDOW


def test_a_refused_message_rests_and_is_published_again(stage: Stage) -> None:
    stage.declare(max_length=5, overflow="reject-publish")
    publisher = stage.publisher(messages=50)
    publisher.await_records(Kind.NACKED)
    worker = stage.worker()
    assert publisher.wait() == 0, publisher.said
    assert {seq for seq, _ in publisher.confirmed()} == set(range(50))
    assert publisher.nacked()
    assert {(seq, attempt + 1) for seq, attempt in publisher.nacked()} <= set(publisher.published())
    wait_until(lambda: set(worker.processed()) == set(range(50)), "everything to be processed")


def test_a_refused_message_is_dropped_where_the_scenario_says_so(stage: Stage) -> None:
    stage.declare(max_length=5, overflow="reject-publish")
    publisher = stage.publish(50, republish_unconfirmed=False)
    assert publisher.nacked()
    assert publisher.nacked().isdisjoint(publisher.confirmed())
    assert publisher.nacked() | publisher.confirmed() == {(seq, 1) for seq in range(50)}
    assert {(seq, 1) for seq in stage.left()["seq"].tolist()} == publisher.confirmed()


def test_an_unroutable_mandatory_message_is_returned_and_then_confirmed(stage: Stage) -> None:
    publisher = stage.publish(20, mandatory=True, routes=(Route("nowhere", "", f"{stage.queue}-nowhere"),))
    returned = publisher.of(Kind.RETURNED)
    assert returned["seq"].tolist() == list(range(20))
    assert set(returned["arg"].tolist()) == {312}
    assert publisher.confirmed() == {(seq, 1) for seq in range(20)}
    kinds = publisher.kinds()
    assert kinds.index(Kind.RETURNED) < kinds.index(Kind.CONFIRMED)


def test_an_unroutable_message_is_confirmed_all_the_same(stage: Stage) -> None:
    publisher = stage.publish(20, routes=(Route("nowhere", "", f"{stage.queue}-nowhere"),))
    assert len(publisher.of(Kind.RETURNED)) == 0
    assert publisher.confirmed() == {(seq, 1) for seq in range(20)}


def test_a_missing_exchange_is_told_within_the_bound(stage: Stage) -> None:
    publisher = stage.publisher(
        messages=5, routes=(Route("x", f"{stage.queue}-x", ""),), target=stage.target(reconnect_timeout_s=1.0)
    )
    assert publisher.wait() == 1
    assert "404" in publisher.said
    assert len(publisher.said.strip().splitlines()) == 1
    closed = publisher.of(Kind.CHANNEL_CLOSED)
    assert set(closed["arg"].tolist()) == {404}


def test_a_blocked_publisher_waits_and_goes_on(stage: Stage, broker: Broker) -> None:
    stage.declare()
    publisher = stage.publisher(rate_per_s=500.0)
    publisher.await_records(Kind.CONFIRMED, 10)
    assert broker.control("set_vm_memory_high_watermark", "0").exit_code == 0
    try:
        publisher.await_records(Kind.BLOCKED)
        at_block = len(publisher.published())
    finally:
        assert broker.control("set_vm_memory_high_watermark", "0.6").exit_code == 0
    publisher.await_records(Kind.UNBLOCKED)
    wait_until(lambda: len(publisher.published()) > at_block + 10, "publishes after the block")
    assert publisher.stop() == 0, publisher.said
    records = publisher.records
    kinds = records["kind"].tolist()
    assert Kind.PUBLISHED not in kinds[kinds.index(Kind.BLOCKED) : kinds.index(Kind.UNBLOCKED)]
    assert publisher.confirmed() == set(publisher.published())


def test_a_publisher_with_a_schedule_catches_up_with_what_a_lost_connection_kept_it_from_sending(
    stage: Stage, broker: Broker
) -> None:
    stage.declare()
    stage.settle()
    publisher = stage.publisher(rate_per_s=200.0, catch_up=True, window=50)

    def first() -> np.ndarray:
        """Return the first publish of each message."""
        published = publisher.of(Kind.PUBLISHED)
        found: np.ndarray = published[published["attempt"] == 1]
        return found

    def late_s() -> np.ndarray:
        sent = first()
        late: np.ndarray = (sent["at_ns"] - sent["at_ns"][0]) / 1e9 - sent["seq"] / 200.0
        return late

    publisher.await_records(Kind.CONFIRMED, 10)
    broker.pause(0)
    wait_until(lambda: len(publisher.published()) - len(publisher.confirmed()) >= 50, "a full window")
    at_outage = len(first())
    broker.kill(0)
    broker.start_node(0)
    wait_until(lambda: len(first()) > at_outage + 50 and late_s()[-1] < 0.1, "a publisher that is back on schedule")
    assert publisher.stop() == 0, publisher.said
    assert first()["seq"].tolist() == list(range(len(first())))
    assert late_s().min() > -0.001
    assert late_s().max() == pytest.approx(float(np.diff(first()["at_ns"]).max()) / 1e9, rel=0.2), "the outage"


def test_what_the_broker_refuses_is_sent_again_before_the_next_message_is_due(stage: Stage) -> None:
    stage.declare(max_length=1, overflow="reject-publish")
    stage.publish(1)
    publisher = stage.publisher(rate_per_s=0.01, catch_up=True)
    publisher.await_records(Kind.NACKED, 3)
    sent = publisher.of(Kind.PUBLISHED)
    assert set(sent["seq"].tolist()) == {0}
    assert sent["at_ns"][2] - sent["at_ns"][0] < 90e9, "the next message is due after 100 s"
    publisher.kill()


@pytest.mark.parametrize("how", ["stop", "SIGTERM"])
def test_a_stop_sends_no_more_and_waits_for_what_is_outstanding(stage: Stage, how: str) -> None:
    stage.declare()
    publisher = stage.publisher(window=500)
    publisher.await_records(Kind.CONFIRMED, 5)
    publisher.popen.send_signal(signal.SIGINT)  # a terminal's Ctrl-C is the engine's business
    if how == "stop":
        publisher.say("stop")
    else:
        publisher.popen.send_signal(signal.SIGTERM)
    assert publisher.wait() == 0, publisher.said
    assert publisher.confirmed() == set(publisher.published())
    assert publisher.kinds()[-1] == Kind.FINISHED
    assert Kind.EXHAUSTED not in publisher.kinds()
    assert stage.ready() == len(publisher.published())


def test_it_dies_with_the_engine(stage: Stage) -> None:
    stage.declare()
    publisher = stage.publisher()
    publisher.await_records(Kind.CONFIRMED)
    publisher.hang_up()
    assert publisher.wait() == 1
    assert Kind.FINISHED not in publisher.kinds()


def test_it_takes_up_where_an_earlier_incarnation_was_killed(stage: Stage) -> None:
    stage.declare()
    publisher = stage.publish(20, start=10, republish=((3, 2), (7, 4)), incarnation=2)
    assert publisher.published() == [(3, 2), (7, 4), *((seq, 1) for seq in range(10, 20))]


def test_no_service_is_told_in_one_sentence_without_the_password(stage: Stage) -> None:
    publisher = stage.publisher(target=stage.target(password="s3cr3t-w0rd", reconnect_timeout_s=1.0))  # noqa: S106 - wrong
    assert publisher.wait() == 1
    assert publisher.said.startswith("no service from 127.0.0.1:")
    assert len(publisher.said.strip().splitlines()) == 1
    assert "s3cr3t-w0rd" not in publisher.said
    assert set(publisher.kinds()) == {Kind.CONNECT_FAILED}


def _confirmed_on(publisher: Process, *, connection: int) -> set[int]:
    confirmed = publisher.of(Kind.CONFIRMED)
    tags = {
        tag
        for record in confirmed[confirmed["connection"] == connection]
        for tag in range(record["tag"], record["tag"] + record["arg"])
    }
    published = publisher.of(Kind.PUBLISHED)
    return {int(r["seq"]) for r in published[published["connection"] == connection] if r["tag"] in tags}
