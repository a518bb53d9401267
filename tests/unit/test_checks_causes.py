"""Where lost messages were, what took them, and what would have kept them: the hard cases."""

from __future__ import annotations

import pytest

from harness.checks.judge import judge
from harness.events import MetadataFlushed, Phase, PhaseChanged
from harness.history.records import AckMode
from harness.verdict.data import Fate, Place
from tests.unit.histories import MS, Story, scenario
from tests.unit.told_causes import causes

MANUAL, CONFIRMS = "workers.acks: manual", "publishers.confirms: true"
DURABLE, PERSISTENT = "queues.tasks.durable: true", "publishers.persistent: true"

AUTOMATIC = scenario(workers={"count": 2, "acks": "automatic"})
EARLY = scenario(workers={"count": 2, "acks": "early"})
UNCONFIRMED = scenario(publishers={"messages": 10, "confirms": False})


# At a worker.


def test_what_the_second_of_two_killed_workers_held_is_joined_to_the_second_kill() -> None:
    story = Story()
    story.sent(0)
    story.sent(1)
    story.deliver(0)
    story.deliver(1, to=2)
    story.kill_worker(1, fault=0)
    story.kill_worker(2, fault=1)
    assert causes(story, AUTOMATIC) == {
        (Place.WORKER, "worker-1", 0, MANUAL): 1,
        (Place.WORKER, "worker-2", 1, MANUAL): 1,
    }


def test_what_a_worker_kept_over_a_lost_connection_was_lost_when_it_died() -> None:
    """With automatic acks a worker goes on with what it has when the broker goes; only its own end takes that."""
    story = Story()
    story.sent(0)
    story.deliver(0)
    story.restart_broker(fault=0)
    story.lose_connection("worker")
    story.kill_worker(fault=1)
    assert causes(story, AUTOMATIC) == {(Place.WORKER, "worker-1", 1, MANUAL): 1}


def test_what_may_have_died_unseen_may_have_been_pushed_to_a_killed_worker_before() -> None:
    """Workers ended so often that the queue may have given it up; the broker is not to blame for what its dead letter queue never had."""
    of = scenario(
        queues={"tasks": {"type": "quorum", "delivery_limit": 1, "dead_letter": "dead"}, "dead": {}},
        workers={"count": 3, "acks": "automatic"},
    )
    story = Story()
    for number in (1, 2, 3):
        story.consume(number, acks=AckMode.AUTOMATIC)
    story.sent(0)
    story.kill_worker(1, fault=0)
    story.now += 200 * MS
    story.restart_broker(fault=1)
    for number in (2, 3):
        story.lose_connection("worker", number)
    assert causes(story, of) == {(Place.WORKER, "", 0, MANUAL): 1}


def test_a_worker_that_crashes_by_script_has_no_fault_to_be_joined_to() -> None:
    story = Story()
    story.restart_broker(fault=0)
    story.sent(0)
    story.ack(story.deliver(0))
    story.exited("worker", exit_code=70, cause="crash")
    assert causes(story, EARLY) == {(Place.WORKER, "worker-1", None, MANUAL): 1}


def test_what_was_on_its_way_to_a_worker_when_the_broker_went_is_the_automatic_acks_fault() -> None:
    """The broker took it for acknowledged as it sent it: durable queue and persistent message do not help."""
    story = Story()
    story.process(0)
    story.sent(1)
    story.restart_broker()
    story.lose_connection("worker")
    assert causes(story, AUTOMATIC) == {(Place.WORKER, "worker-1", 0, MANUAL): 1}


def test_a_queue_that_the_restart_takes_is_to_blame_before_the_acks() -> None:
    story = Story()
    story.process(0)
    story.confirm(story.publish(1, persistent=False))
    story.restart_broker()
    story.lose_connection("worker")
    assert causes(story, AUTOMATIC) == {(Place.BROKER, "n1", 0, PERSISTENT): 1}


def test_an_orderly_stop_in_the_traffic_loses_what_was_on_its_way_with_automatic_acks() -> None:
    story = Story()
    story.sent(0)
    story.process(0)
    story.sent(1)
    story.fault("stop", "worker-1", fault=3)
    story.finish("worker")
    story.exited("worker", exit_code=0, cause="fault", fault=3)
    assert causes(story, AUTOMATIC) == {(Place.WORKER, "worker-1", 3, MANUAL): 1}


@pytest.mark.parametrize(("after_ms", "place"), [(40, Place.WORKER), (2500, Place.UNKNOWN)])
def test_the_broker_pushes_to_a_worker_until_it_notices_its_end(after_ms: int, place: Place) -> None:
    story = Story()
    story.sent(0)
    story.process(0)
    story.kill_worker(fault=0)
    story.now += after_ms * MS
    story.sent(1)
    assert {(cause[0], cause[2]) for cause in causes(story, AUTOMATIC)} == {
        (place, 0 if place is Place.WORKER else None)
    }


def test_a_restart_that_can_take_it_comes_before_an_end_that_was_not_noticed() -> None:
    story = Story()
    story.sent(0)
    story.process(0)
    story.kill_worker(fault=0)
    story.confirm(story.publish(1, persistent=False))
    story.restart_broker(fault=1)
    assert causes(story, AUTOMATIC) == {(Place.BROKER, "n1", 1, PERSISTENT): 1}


def test_workers_that_end_behind_the_drain_take_nothing() -> None:
    story = Story()
    story.sent(0)
    story.process(0)
    story.sent(1)
    story.drained()
    story.finish("worker")
    story.exited("worker", exit_code=0, cause="stop")
    assert {cause[0] for cause in causes(story, AUTOMATIC)} == {Place.UNKNOWN}


def test_a_worker_with_manual_acks_that_acknowledged_before_it_was_done_is_no_setting() -> None:
    story = Story()
    story.sent(0)
    story.ack(story.deliver(0))
    story.kill_worker()
    assert {cause[0] for cause in causes(story)} == {Place.UNKNOWN}


def test_a_killed_worker_that_did_not_consume_from_the_queue_took_nothing() -> None:
    of = scenario(
        queues={"tasks": {}, "other": {}},
        workers=[{"name": "worker", "acks": "automatic"}, {"name": "else", "queue": "other", "acks": "automatic"}],
    )
    story = Story(queues=("tasks", "other"))
    story.sent(0)
    story.process(0)
    story.sent(1)
    story.rows[("worker", "else-1", 1, 1)] = [{"at_ns": story.tick(), "kind": 32, "connection": 1}]
    story.fault("kill", "else-1")
    assert {cause[0] for cause in causes(story, of)} == {Place.UNKNOWN}


# In the broker.


def test_a_purge_of_another_queue_is_not_to_blame() -> None:
    of = scenario(queues={"tasks": {}, "other": {}})
    story = Story(queues=("tasks", "other"))
    story.confirm(story.publish(0, persistent=False))
    story.fault("purge", "other", family="topology", fault=0)
    story.restart_broker(fault=1)
    assert causes(story, of) == {(Place.BROKER, "n1", 1, PERSISTENT): 1}


def removed_by(story: Story) -> list[int]:
    """How many messages each fault took, all of which are removed."""
    found = judge(story.history(), scenario(), name="x")
    assert found.counts.fates[Fate.REMOVED] == sum(fault.taken for fault in found.faults)
    return [fault.taken for fault in found.faults]


def test_the_first_fault_that_can_have_taken_it_is_to_blame() -> None:
    story = Story()
    story.sent(0)
    story.restart_broker(fault=0)
    story.fault("purge", "tasks", family="topology", fault=1)
    assert removed_by(story) == [0, 1]


def test_a_purge_does_not_take_what_a_worker_holds() -> None:
    story = Story()
    story.sent(0)
    story.deliver(0)
    story.fault("purge", "tasks", family="topology", fault=0)
    assert {cause[0] for cause in causes(story)} == {Place.UNKNOWN}
    story = Story()
    story.sent(0)
    story.deliver(0)
    story.lose_connection("worker")
    story.fault("purge", "tasks", family="topology", fault=0)
    assert removed_by(story) == [1]


def test_what_became_of_an_earlier_attempt_does_not_explain_the_loss_of_a_later_one() -> None:
    """A worker had the first attempt when the queue went; the second one was published into nothing."""
    of = scenario(queues={"tasks": {"durable": False}})
    story = Story()
    story.publish(0)
    story.deliver(0)
    story.restart_broker(fault=0)
    story.lose_connection("worker")
    story.lose_connection("publisher")
    story.now += 5000 * MS
    story.confirm(story.publish(0, attempt=2, connection=2), connection=2)
    assert causes(story, of) == {(Place.EXCHANGE, "", 0, DURABLE): 1}


def test_what_was_sent_after_the_fault_was_not_taken_by_it() -> None:
    story = Story()
    story.restart_broker()
    story.sent(0)
    assert {cause[:3] for cause in causes(story)} == {(Place.UNKNOWN, "", None)}


def test_a_delivery_that_was_given_back_is_in_the_broker_again() -> None:
    story = Story()
    story.confirm(story.publish(0, persistent=False))
    story.deliver(0)
    story.kill_worker(fault=0)
    story.restart_broker(fault=1)
    assert causes(story) == {(Place.BROKER, "n1", 1, PERSISTENT): 1}


def test_transient_messages_survive_in_a_quorum_queue() -> None:
    story = Story()
    story.confirm(story.publish(0, persistent=False))
    story.restart_broker()
    (cause,) = causes(story, scenario(queues={"tasks": {"type": "quorum"}}))
    assert cause[0] is Place.BROKER
    assert cause[3].startswith("none: ")


@pytest.mark.parametrize("kind", ["quorum", "classic"])
def test_a_kill_right_after_the_declaration_is_told_from_a_broken_promise(kind: str) -> None:
    def told(wait_s: int, *, flushed: bool = False) -> str:
        story = Story()
        story.event(PhaseChanged, phase=Phase.DECLARE)
        if flushed:
            story.event(MetadataFlushed)
        story.now += wait_s * 1000 * MS
        story.sent(0)
        story.restart_broker(action="kill")
        ((_, _, _, setting),) = causes(story, scenario(queues={"tasks": {"type": kind}}))
        return setting

    assert told(1) == "settle: 5s"
    assert told(6).startswith("none: ")
    assert told(1, flushed=True).startswith("none: ")


def test_a_worker_that_is_restarted_is_not_the_broker() -> None:
    story = Story()
    story.confirm(story.publish(0, persistent=False))
    story.deliver(0)
    story.fault("restart", "worker-1")
    story.exited("worker", exit_code=0)
    assert {cause[0] for cause in causes(story)} == {Place.UNKNOWN}


# On the way from a publisher.


def test_what_was_not_written_when_its_publisher_was_killed() -> None:
    story = Story()
    story.publish(0, confirms=False)
    story.process(0)
    story.publish(1, confirms=False)
    story.fault("kill", "publisher-1", fault=0)
    story.exited("publisher", fault=0)
    story.restart_broker(fault=1, action="kill")
    assert causes(story, UNCONFIRMED) == {(Place.PUBLISHER, "publisher-1", 0, CONFIRMS): 1}


def test_a_publisher_that_ended_in_order_had_sent_everything() -> None:
    story = Story()
    story.publish(0, confirms=False)
    story.finish("publisher")
    story.restart_broker(action="kill")
    assert causes(story, UNCONFIRMED) == {(Place.BROKER, "n1", 0, CONFIRMS): 1}


def test_another_attempt_that_arrived_does_not_prove_that_the_first_did() -> None:
    story = Story()
    story.publish(0, confirms=False)
    story.publish(1, confirms=False)
    story.lose_connection("publisher")
    story.fault("close", "n1", family="connection", fault=0)
    story.publish(1, attempt=2, confirms=False, connection=2)
    story.process(1, attempt=2)
    ((place, *_),) = causes(story, UNCONFIRMED)
    assert place is Place.PUBLISHER


def test_what_was_sent_long_before_a_kill_was_in_its_queue() -> None:
    def told(wait_ms: int) -> Place:
        story = Story()
        story.publish(0, confirms=False, persistent=False)
        story.now += wait_ms * MS
        story.restart_broker(action="kill")
        story.lose_connection("publisher")
        ((place, *_),) = causes(story, UNCONFIRMED)
        return place

    assert told(10) is Place.PUBLISHER
    assert told(3000) is Place.BROKER


def test_all_that_was_missing_is_named_of_what_was_on_its_way() -> None:
    of = scenario(queues={"tasks": {"durable": False}}, publishers={"messages": 2, "confirms": False})
    story = Story()
    story.publish(0, confirms=False, persistent=False)
    story.restart_broker(action="kill")
    story.lose_connection("publisher")
    assert causes(story, of) == {(Place.PUBLISHER, "publisher-1", 0, f"{CONFIRMS} and {DURABLE} and {PERSISTENT}"): 1}


def test_a_million_lost_messages_are_told_by_their_groups() -> None:
    story = Story()
    for seq in range(3000):
        story.confirm(story.publish(seq, persistent=False))
    story.restart_broker()
    found = judge(story.history(), scenario(publishers={"messages": 3000}), name="x")
    assert [cause.count for cause in found.causes] == [3000]
    assert len(found.lost) == 1000
    assert found.headline == "3,000 tasks: 0 done, 3,000 lost at n1 by `restart n1`"
    assert found.causes[0].sentence == (
        "3,000 messages were lost in a queue at n1 when `restart n1` struck at 6.0 s. Would have kept them: "
        "publishers.persistent: true."
    )


@pytest.mark.parametrize(
    ("action", "family", "lost_ms", "said"),
    [("close", "connection", 2400, "`close n1` struck at 2.4 s"), ("close", "connection", None, "struck at 3.0 s"),
     ("restart", "broker", 100, "`restart n1` struck at 0.1 s")],
)  # fmt: skip
def test_a_slow_step_is_said_to_have_struck_when_it_was_seen_to(
    action: str, family: str, lost_ms: int | None, said: str
) -> None:
    """Not when it began to: what closes connections, or stops a node in order, may take seconds for it."""
    story = Story()
    story.publish(0, confirms=False)
    story.fault(action, "n1", family=family, lasts_ms=3000)
    over_ns, story.now = story.now, (lost_ms or 5000) * MS
    story.lose_connection("publisher")
    story.now = max(over_ns, story.now)
    (found,) = judge(story.history(), UNCONFIRMED, name="x").causes
    assert said in found.sentence


def test_what_died_meanwhile_does_not_tell_when_a_slow_step_struck() -> None:
    story = Story()
    story.publish(0, confirms=False)
    story.fault("close", "n1", family="connection", lasts_ms=3000)
    over_ns, story.now = story.now, 1000 * MS
    story.consume()
    story.exited("worker", exit_code=1, cause="crash")
    story.now = 2400 * MS
    story.lose_connection("publisher")
    story.now = over_ns
    (found,) = judge(story.history(), UNCONFIRMED, name="x").causes
    assert "`close n1` struck at 2.4 s" in found.sentence


def test_an_unknown_cause_is_said_to_be_alarming() -> None:
    story = Story()
    story.sent(0)
    found = judge(story.history(), scenario(), name="x")
    assert found.headline == "1 task: 0 done, 1 lost with no cause found"
    assert found.causes[0].sentence == (
        "1 message was lost with no fault of this run to explain it. This is what a fault of the broker itself looks like."
    )
