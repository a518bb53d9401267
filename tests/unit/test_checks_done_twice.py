"""What is done more than once has a reason that an honest broker may have; else it is unexplained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from harness.checks.judge import judge
from harness.effects import UNDECLARED, Becomes, Cuts, Effects, on_node, on_process
from harness.events import ProcessExited
from harness.history.records import AckMode, Kind
from harness.verdict.data import DoneTwice, DuplicateCause, VariantVerdict
from tests.unit.histories import MS, Story, scenario, strike

SECOND = 1000 * MS
TIMED_OUT = (
    "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 20000 ms. "
    "This timeout value can be configured, see consumers doc guide to learn more"
)


def verdict(story: Story, **changes: Any) -> VariantVerdict:
    return judge(story.history(), scenario(**changes), name="guarantee")


def cause(story: Story, **changes: Any) -> DuplicateCause:
    """The one cause of the one copy that was done twice."""
    found = verdict(story, **changes)
    assert found.counts.duplicates == 1
    (cause,) = found.duplicate_causes
    assert cause.count == 1
    assert (cause.reason is DoneTwice.UNEXPLAINED) == (found.counts.unexplained_duplicates == 1)
    return cause


def held(story: Story | None = None, *, acked: bool = False, done: bool = True) -> Story:
    """A message that worker-1 has, and has done."""
    story = story or Story()
    story.sent(0)
    tag = story.deliver(0)
    if done:
        story.complete(0, tag)
    if acked:
        story.ack(tag)
    return story


def again(story: Story, *, redelivered: bool = True) -> Story:
    """It is done again, by worker-2."""
    story.process(0, to=2, redelivered=redelivered)
    return story


def struck(story: Story, effects: Effects, *targets: str, lasts_ns: int = MS) -> None:
    """A step strikes, and is healed some time later."""
    at_ns = story.tick()
    story.now += lasts_ns
    story.events += strike(effects, *targets, at_ns=at_ns, healed_ns=story.tick())


# Reasons that an honest broker may have, and how each ceases to be one.


def test_the_redelivered_mark_explains_nothing() -> None:
    assert cause(again(held(acked=True))).reason is DoneTwice.UNEXPLAINED
    assert cause(again(held())).reason is DoneTwice.UNEXPLAINED


def test_what_nothing_explains_is_said_and_named() -> None:
    found = verdict(again(held(acked=True), redelivered=False))
    assert [(each.kind, each.message.seq) for each in found.anomalies] == [("duplicate", 0)]
    (said,) = found.duplicate_causes
    assert said.sentence == "1 task was done twice: nothing of this run explains it."


def test_a_message_that_was_published_again_is_a_message_of_its_own() -> None:
    story = held(acked=True)
    story.confirm(story.publish(0, attempt=2))
    story.process(0, to=2, attempt=2)
    found = cause(story)
    assert (found.reason, found.settings) == (DoneTwice.REPUBLISHED, ("publishers.unconfirmed: drop",))
    assert found.sentence == (
        "1 task was done twice: published again, as the first attempt was not confirmed. Would have prevented it, and may have "
        "lost it instead: publishers.unconfirmed: drop."
    )


def test_one_attempt_that_is_delivered_twice_is_not_explained_by_another_attempt() -> None:
    story = held(acked=True)
    story.confirm(story.publish(0, attempt=2))
    story.process(0, to=2, attempt=2)
    story.process(0, to=2, attempt=2)
    found = verdict(story)
    assert (found.counts.duplicates, found.counts.unexplained_duplicates) == (1, 1)
    assert found.duplicate_causes[0].sentence == "1 task was done more than once: nothing of this run explains it."


def test_what_a_worker_requeued_comes_back() -> None:
    story = held()
    story.reject(0, 1, requeue=True)
    assert cause(again(story)).sentence == "1 task was done twice: worker-1 requeued it."


def test_a_requeue_is_not_joined_to_a_fault_that_struck_beside_it() -> None:
    story = held()
    story.fault("purge", "other", family="topology", fault=0)
    story.fault("purge", "other", family="topology", fault=1)
    story.reject(0, 1, requeue=True)
    assert cause(again(story)).fault is None


@pytest.mark.parametrize("died", [True, False])
def test_what_a_worker_rejected_comes_back_as_a_dead_letter_only(died: bool) -> None:
    queues = {"tasks": {"dead_letter": "second"}, "second": {"message_ttl": "1s", "dead_letter": "tasks"}}
    story = held(Story(queues=("tasks", "second")))
    story.reject(0, 1)
    story.now += 2 * SECOND
    tag = story.deliver(0, to=2, died=died)
    story.complete(0, tag, to=2)
    story.ack(tag, to=2)
    assert (cause(story, queues=queues).reason is DoneTwice.DIED) == died


def test_what_comes_back_at_the_moment_of_its_requeue_comes_back_by_it() -> None:
    story = held()
    story.reject(0, 1, requeue=True)
    story.now -= MS
    assert cause(again(story)).reason is DoneTwice.REQUEUED


def test_a_requeue_is_the_doing_of_the_worker_that_requeued_it() -> None:
    story = held()
    story.reject(0, 1, requeue=True)
    story.deliver(0, to=2)
    story.lose_connection("worker", 2)
    story.complete(0, story.deliver(0, to=3), to=3)
    assert cause(story).sentence == "1 task was done twice: worker-1 requeued it."


def test_a_requeue_explains_one_delivery_and_no_more() -> None:
    story = held()
    story.reject(0, 1, requeue=True)
    again(story)
    story.process(0, to=3)
    assert verdict(story).counts.unexplained_duplicates == 1


def test_what_comes_before_its_requeue_is_not_explained_by_it() -> None:
    story = held()
    again(story)
    story.reject(0, 1, requeue=True)
    assert cause(story).reason is DoneTwice.UNEXPLAINED


def test_what_a_worker_held_when_it_lost_its_connection_comes_back() -> None:
    story = held()
    story.lose_connection("worker")
    found = cause(again(story))
    assert (found.reason, found.actor, found.fault) == (DoneTwice.CONNECTION, "worker-1", None)
    assert found.settings == ("workers.acks: early",)
    assert found.sentence == (
        "1 task was done twice: worker-1 lost its connection before the broker had its acknowledgement. Would have prevented it, and may "
        "have lost it instead: workers.acks: early."
    )


def test_the_connection_that_was_lost_is_told_of_and_not_another_one_of_the_same_worker() -> None:
    story = held()
    story.lose_connection("worker")
    story.lose_connection("worker", connection=0, kind=Kind.CONNECT_FAILED)
    tag = story.deliver(0, connection=2, redelivered=True)
    story.complete(0, tag, connection=2)
    story.ack(tag, connection=2)
    story.finish("worker", connection=2)
    story.exited("worker", exit_code=0, cause="stop")
    assert "worker-1 lost its connection before" in cause(story).sentence


def test_what_a_killed_worker_held_comes_back_and_the_kill_is_named() -> None:
    story = held()
    story.now += 5 * SECOND
    story.kill_worker()
    found = cause(again(story))
    assert (found.reason, found.actor, found.fault) == (DoneTwice.CONNECTION, "worker-1", 0)
    assert "worker-1 died when `kill worker-1` struck at 5.0 s before" in found.sentence


def test_what_a_worker_had_not_begun_when_it_was_stopped_comes_back() -> None:
    story = held()
    story.finish("worker")
    story.exited("worker", exit_code=0, cause="stop")
    assert cause(again(story)).sentence.startswith("1 task was done twice: worker-1 stopped before")


@pytest.mark.parametrize(("before_the_end_s", "explained"), [(0.1, True), (3, False)])
def test_an_ack_that_was_sent_long_before_the_connection_was_lost_had_arrived(
    before_the_end_s: float, explained: bool
) -> None:
    story = held(acked=True)
    story.now += round(before_the_end_s * SECOND)
    story.lose_connection("worker")
    assert (cause(again(story)).reason is DoneTwice.CONNECTION) == explained


@pytest.mark.parametrize(("prefetch", "explained"), [(2, True), (1, False), (0, True)])
def test_an_ack_that_made_room_for_another_delivery_had_arrived(prefetch: int, explained: bool) -> None:
    story = Story()
    story.sent(1)
    story.consume(prefetch=prefetch)
    held(story, acked=True)
    story.deliver(1)
    story.lose_connection("worker")
    again(story)
    assert (verdict(story).counts.unexplained_duplicates == 0) == explained


@pytest.mark.parametrize("end", ["lost", "killed", "closed by a step"])
def test_the_end_of_a_connection_explains_nothing_before_it(end: str) -> None:
    story = held()
    again(story)
    story.now += 3 * SECOND
    if end == "killed":
        story.kill_worker()
    else:
        if end == "closed by a step":
            story.fault("close", "n1", family="connection")
        story.lose_connection("worker")
    assert cause(story).reason is DoneTwice.UNEXPLAINED


@pytest.mark.parametrize("end", ["kill of the node", "closing of all connections", "by itself"])
def test_the_end_of_a_connection_does_not_explain_a_second_delivery_on_the_same_one(end: str) -> None:
    """What was held on a connection that ended comes back over another one."""
    story = Story(queues=("tasks",))
    story.sent(0)
    if end != "by itself":
        node = on_node(Becomes.KILLED if end == "kill of the node" else Becomes.UNCHANGED)
        struck(story, replace(node, cuts=Cuts.EVERYONE), "n1", lasts_ns=100 * MS)
        story.now -= 100 * MS
    for _ in range(2):
        tag = story.deliver(0)
        story.complete(0, tag)
        story.ack(tag)
    story.now += 200 * MS
    story.lose_connection("worker")
    assert cause(story).reason is DoneTwice.UNEXPLAINED


@pytest.mark.parametrize("lived_on", [True, False])
def test_a_connection_that_brought_a_younger_message_had_not_ended_before_that(lived_on: bool) -> None:
    """All connections are closed at some moment of a step that takes a while."""
    story = Story()
    struck(story, replace(on_node(Becomes.UNCHANGED), cuts=Cuts.EVERYONE), "n1", lasts_ns=100 * MS)
    story.now -= 100 * MS
    again(held(story, acked=True))
    if lived_on:
        story.sent(1)
        story.process(1)
    story.now += 200 * MS
    story.lose_connection("worker")
    assert (cause(story).reason is DoneTwice.UNEXPLAINED) == lived_on


def test_the_end_of_another_connection_explains_nothing() -> None:
    story = held(acked=True)
    story.kill_worker(2)
    story.process(0, to=3, redelivered=True)
    assert cause(story).reason is DoneTwice.UNEXPLAINED


def test_the_end_of_a_connection_explains_one_delivery_and_no_more() -> None:
    story = held()
    story.lose_connection("worker")
    again(story)
    story.process(0, to=3, redelivered=True)
    assert verdict(story).counts.unexplained_duplicates == 1


def test_a_client_hears_of_the_end_of_its_connection_after_the_broker() -> None:
    """A step closes all connections: another worker has the message before worker-1 knows."""
    story = held()
    story.fault("close", "n1", family="connection")
    again(story)
    story.now += SECOND // 2
    story.lose_connection("worker")
    found = cause(story)
    assert (found.reason, found.fault) == (DoneTwice.CONNECTION, 0)


@pytest.mark.parametrize("lived_on", [False, True])
def test_a_step_that_a_connection_outlived_has_not_ended_it(lived_on: bool) -> None:
    """What was delivered long after the step was over shows that the connection lived on."""
    story = Story()
    story.sent(1)
    held(story)
    struck(story, on_node(Becomes.FROZEN), "n1")
    story.now += 2 * SECOND
    again(story)
    story.now += 5 * SECOND
    if lived_on:
        story.deliver(1)
    story.now += SECOND
    story.lose_connection("worker")
    assert (cause(story).reason is DoneTwice.CONNECTION) == (not lived_on)


def test_a_step_before_a_connection_began_has_not_ended_it() -> None:
    story = Story()
    story.fault("close", "n1", family="connection")
    story.now += 2 * SECOND
    story.consume()
    held(story)
    again(story)
    story.now += 9 * SECOND
    story.lose_connection("worker")
    assert cause(story).reason is DoneTwice.UNEXPLAINED


def test_a_frozen_worker_records_late_what_it_was_sent_early() -> None:
    """The broker gives its connection up, and another worker has the message; then it is thawed, reads what it was sent, and does it."""
    story = Story()
    story.sent(0)
    struck(story, on_process(Becomes.FROZEN), "worker-1", lasts_ns=60 * SECOND)
    at_ns = story.now
    story.now -= 30 * SECOND
    story.process(0, to=2)
    story.now = at_ns
    story.complete(0, story.deliver(0))
    story.lose_connection("worker")
    found = cause(story)
    assert (found.reason, found.actor, found.fault) == (DoneTwice.CONNECTION, "worker-1", 0)


def test_a_closed_channel_is_told_with_code_reason_and_settings() -> None:
    story = Story()
    story.consume(prefetch=80)
    held(story, done=False)
    story.close_channel(code=406, reason=TIMED_OUT)
    again(story)
    story.complete(0, 1)
    found = cause(story)
    assert (found.reason, found.actor) == (DoneTwice.CHANNEL, "worker-1")
    assert found.settings == ("workers.prefetch: 1", "a longer consumer_timeout")
    assert found.sentence == (
        "1 task was done twice: the broker closed worker-1's channel (406, acknowledgement timed out after 20 s) while it held it. Would "
        "have prevented it: workers.prefetch: 1, or a longer consumer_timeout."
    )


def of_all(workers: int, end: Callable[[Story, int], None]) -> DuplicateCause:
    """What was done twice when the connections of several workers ended alike, each with a message in hand."""
    story = Story()
    for number in range(1, workers + 1):
        story.consume(number, prefetch=5)
        story.sent(number)
        story.complete(number, story.deliver(number, to=number), to=number)
    for number in range(1, workers + 1):
        end(story, number)
    for number in range(1, workers + 1):
        story.process(number, to=9)
    (cause,) = verdict(story).duplicate_causes
    assert cause.count == workers
    return cause


def test_several_that_lost_their_connections_alike_are_one_reason() -> None:
    found = of_all(2, lambda story, number: story.lose_connection("worker", number, code=320, reason="shutdown"))
    assert found.actor == "worker-1 and worker-2"
    assert found.sentence == (
        "2 tasks were done twice: worker-1 and worker-2 lost their connections (320, shutdown) before the broker had their "
        "acknowledgements. Would have prevented it, and may have lost them instead: workers.acks: early."
    )


def test_of_many_whose_channels_were_closed_alike_three_are_named() -> None:
    found = of_all(5, lambda story, number: story.close_channel(number, code=406, reason=TIMED_OUT))
    assert found.sentence == (
        "5 tasks were done twice: the broker closed the channels of worker-1, worker-2, worker-3 and 2 others "
        "(406, acknowledgement timed out after 20 s) while they held them. Would have prevented it: workers.prefetch: 1, or a "
        "longer consumer_timeout."
    )


def test_connections_that_ended_in_different_ways_are_different_reasons() -> None:
    story = Story()
    for number, code in ((1, 404), (2, 406)):
        story.sent(number)
        story.complete(number, story.deliver(number, to=number), to=number)
        story.close_channel(number, code=code, reason="NO")
        story.process(number, to=9)
    assert [each.actor for each in verdict(story).duplicate_causes] == ["worker-1", "worker-2"]


def test_a_setting_that_is_in_force_is_not_named() -> None:
    story = Story()
    story.consume(prefetch=1)
    held(story)
    story.close_channel(code=406, reason=TIMED_OUT)
    assert cause(again(story)).settings == ("a longer consumer_timeout",)


def test_a_channel_that_is_closed_for_something_else_has_no_setting() -> None:
    story = held()
    story.close_channel(code=404, reason="NOT_FOUND - no queue 'tasks' in vhost '/'")
    found = cause(again(story))
    assert found.settings == ()
    assert "closed worker-1's channel (404, NOT_FOUND - no queue 'tasks' in vhost '/') while" in found.sentence


@pytest.mark.parametrize(("after_s", "explained"), [(0, True), (5, True), (-3, False)])
def test_a_cancelled_consumer_gives_back_what_it_held(after_s: float, explained: bool) -> None:
    """As 4.3 does to quorum queues when the consumer timeout is over."""
    story = held()
    story.now += 10 * SECOND
    cancelled_ns = story.now
    story.cancel()
    story.now = cancelled_ns + round(after_s * SECOND)
    again(story)
    found = cause(story)
    assert (found.reason is DoneTwice.CANCELLED) == explained


def test_an_ack_long_before_a_consumer_was_cancelled_had_arrived() -> None:
    story = held(acked=True)
    story.now += 3 * SECOND
    story.cancel()
    assert cause(again(story)).reason is DoneTwice.UNEXPLAINED


@pytest.mark.parametrize(
    ("before_s", "action", "explained"), [(0.1, "kill", True), (3, "kill", False), (0.1, "restart", False)]
)
def test_a_killed_node_may_not_have_written_the_last_acks(before_s: float, action: str, explained: bool) -> None:
    """Of a connection that is not known to have ended, as of a worker that is on another node."""
    story = held(acked=True)
    story.now += round(before_s * SECOND)
    story.restart_broker(action=action)
    found = cause(again(story))
    assert (found.reason is DoneTwice.UNWRITTEN) == explained
    if explained:
        assert "the broker had not written the acknowledgement to disk when `kill n1` struck" in found.sentence


def test_automatic_acks_are_acks_at_the_delivery() -> None:
    story = Story()
    story.consume(acks=AckMode.AUTOMATIC)
    held(story)
    story.lose_connection("worker")
    assert cause(again(story)).reason is DoneTwice.UNEXPLAINED
    story = Story()
    story.consume(acks=AckMode.AUTOMATIC)
    held(story)
    story.restart_broker(action="kill")
    assert cause(again(story)).reason is DoneTwice.UNWRITTEN


@pytest.mark.parametrize("becomes", [Becomes.KILLED, Becomes.STOPPED, Becomes.FROZEN, Becomes.ISOLATED])
def test_in_a_cluster_a_node_that_is_struck_costs_what_is_held(becomes: Becomes) -> None:
    for nodes, explained in ((("n1", "n2", "n3"), True), (("n1", "n2"), True), (("n1",), False)):
        story = held(Story(nodes=nodes))
        story.now += 5 * SECOND
        struck(story, on_node(becomes), "n2")
        assert (cause(again(story)).reason is DoneTwice.CLUSTER) == explained


def test_in_a_cluster_what_was_acknowledged_long_before_a_node_was_struck_stays_away() -> None:
    story = held(Story(nodes=("n1", "n2", "n3")), acked=True)
    story.now += 3 * SECOND
    struck(story, on_node(Becomes.STOPPED), "n2")
    assert cause(again(story)).reason is DoneTwice.UNEXPLAINED


AT_LEAST_ONCE: dict[str, Any] = {
    "queues": {
        "tasks": {
            "type": "quorum",
            "dead_letter": "dead",
            "overflow": "reject-publish",
            "arguments": {"x-dead-letter-strategy": "at-least-once"},
        },
        "dead": {},
    },
    "workers": [{"name": "worker", "queue": "tasks"}, {"name": "undertaker", "queue": "dead"}],
}


@pytest.mark.parametrize(("strategy", "explained"), [("at-least-once", True), ("at-most-once", False)])
def test_dead_letters_that_are_sent_at_least_once_come_twice_after_a_node_was_struck(
    strategy: str, explained: bool
) -> None:
    story = Story(queues=("tasks", "dead"))
    story.sent(0)
    story.reject(0, story.deliver(0))
    tag = story.deliver(0, to=2, queue=1, died=True)
    story.complete(0, tag, to=2)
    story.ack(tag, to=2)
    struck(story, on_node(Becomes.STOPPED), "n1")
    story.complete(0, story.deliver(0, to=3, queue=1, died=True), to=3)
    queues = AT_LEAST_ONCE["queues"] | {
        "tasks": AT_LEAST_ONCE["queues"]["tasks"] | {"arguments": {"x-dead-letter-strategy": strategy}}
    }
    found = cause(story, **(AT_LEAST_ONCE | {"queues": queues}))
    assert (found.reason is DoneTwice.AT_LEAST_ONCE) == explained
    if explained:
        assert found.settings == ("queues.tasks.arguments.x-dead-letter-strategy: at-most-once",)


def test_a_fault_that_declares_nothing_may_bring_anything_back() -> None:
    story = held(acked=True)
    story.now += 9 * SECOND
    struck(story, UNDECLARED, "n1")
    story.now += 9 * SECOND
    found = cause(again(story))
    assert (found.reason, found.fault) == (DoneTwice.UNDECLARED, 0)
    assert "declares no effects" in found.sentence


def test_copies_of_one_reason_are_one_sentence() -> None:
    story = Story()
    for seq in range(3):
        story.sent(seq)
        story.complete(seq, story.deliver(seq))
    story.kill_worker()
    for seq in range(3):
        story.process(seq, to=2, redelivered=True)
    (found,) = verdict(story).duplicate_causes
    assert found.count == 3
    assert found.sentence.startswith(
        "3 tasks were done twice: worker-1 died when `kill worker-1` struck at 0.0 s before"
    )


@pytest.mark.parametrize(
    "lie",
    [lambda story, to: story.process(0, to=to), lambda story, to: story.process(0, to=to, redelivered=True)],
    ids=["unmarked", "marked"],
)
@pytest.mark.parametrize("beside", ["nothing", "close", "kill", "restart", "purge"])
@pytest.mark.parametrize("when", ["a second before", "long after"])
def test_a_copy_that_is_delivered_twice_by_a_lie_is_found_beside_any_fault(
    when: str, beside: str, lie: Callable[[Story, int], None]
) -> None:
    story = Story()
    for seq in range(9):
        story.sent(seq)
    if when == "a second before":
        story.process(0)
        lie(story, 2)
        story.now += SECOND + MS
    story.deliver(8, to=3)
    match beside:
        case "close":
            story.fault("close", "n1", family="connection")
        case "kill":
            story.fault("kill", "worker-1")
            story.event(
                ProcessExited, role="worker", actor="worker-1", incarnation=1, exit_code=-9, cause="fault", fault=0
            )
        case "restart":
            story.restart_broker()
        case "purge":
            story.fault("purge", "tasks", family="topology")
    if beside in ("close", "restart"):
        for number in (1, 2, 3):
            story.lose_connection("worker", number)
    if when == "long after":
        story.now += 5 * SECOND
        story.process(0, to=4)
        lie(story, 5)
    story.now += 5 * SECOND
    assert verdict(story).counts.unexplained_duplicates == 1
