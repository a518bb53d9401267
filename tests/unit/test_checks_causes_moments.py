"""Which of several faults and ends of workers took a lost message: what came before what, and by how much."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pytest

from harness.checks.judge import judge
from harness.checks.rules.evidence import Cause, Causes
from harness.checks.rules.remedies import NO_CAUSE
from harness.history.records import AckMode
from harness.verdict.data import Place
from tests.unit.histories import FOREIGN, MS, Story, scenario
from tests.unit.told_causes import Found, cause, causes, then

MANUAL, CONFIRMS = "workers.acks: manual", "publishers.confirms: true"
DURABLE, PERSISTENT = "queues.tasks.durable: true", "publishers.persistent: true"
REACHABLE = "publishers.mandatory: true (or queues.tasks.type: quorum)"
UNKNOWN: Final = (Place.UNKNOWN, "", None, "unknown: no fault of this run explains it")

AUTOMATIC = scenario(workers={"count": 2, "acks": "automatic"})
UNCONFIRMED = scenario(publishers={"messages": 10, "confirms": False})
FLEETING = scenario(queues={"tasks": {"durable": False}})


def transient(story: Story, seq: int = 0) -> None:
    story.confirm(story.publish(seq, persistent=False))


# In its queue.


def test_a_restart_takes_what_came_at_the_very_moment_of_its_strike() -> None:
    story = Story()
    story.restart_broker()
    story.now -= 2 * MS
    transient(story)
    assert cause(story) == (Place.BROKER, "n1", 0, PERSISTENT)


@pytest.mark.parametrize(
    ("later_ms", "found"), [(-1, (Place.BROKER, "n1", 0, PERSISTENT)), (0, UNKNOWN)], ids=["just before", "then"]
)
def test_a_restart_that_begins_when_it_was_overtaken_did_not_take_it(later_ms: int, found: Found) -> None:
    story = Story()
    transient(story)
    story.sent(1)
    story.process(1)  # delivered 3 ms before the next moment
    story.now += (later_ms - 3) * MS
    story.restart_broker()
    assert cause(story) == found


def test_a_restart_takes_what_a_worker_holds() -> None:
    """A fault that declares nothing is to blame only where no other can be."""
    story = Story()
    transient(story)
    story.deliver(0)
    story.restart_broker()
    story.fault("something", "somewhere", fault=1)
    story.lose_connection("worker")
    assert cause(story) == (Place.BROKER, "n1", 0, PERSISTENT)


def test_a_fault_that_declares_nothing_is_to_blame_where_no_other_can_be() -> None:
    story = Story()
    story.sent(0)
    story.restart_broker()
    story.fault("something", "somewhere", fault=1)
    assert cause(story) == (Place.BROKER, "tasks", 1, "unknown: the fault declares no effects")


def test_a_queue_that_went_at_the_very_moment_of_the_publish_took_it_along() -> None:
    story = Story()
    story.restart_broker()
    story.now -= 2 * MS
    story.sent(0)
    assert cause(story, FLEETING) == (Place.BROKER, "n1", 0, DURABLE)


# On its way to a worker that needs no acks.


def test_what_was_sent_just_before_and_just_after_the_broker_must_have_noticed_an_end() -> None:
    story = Story()
    story.sent(0)
    story.process(0)
    story.kill_worker()
    story.now += 1900 * MS
    story.sent(1)
    story.now += 200 * MS
    story.sent(2)
    assert causes(story, AUTOMATIC) == {(Place.WORKER, "worker-1", 0, MANUAL): 1, UNKNOWN: 1}


def test_a_worker_that_acknowledges_by_hand_took_nothing_that_it_never_got() -> None:
    story = Story()
    story.sent(0)
    story.process(0)
    story.sent(1)
    story.kill_worker()
    assert cause(story) == UNKNOWN


def test_a_node_that_ends_sends_nothing_more_to_the_workers_that_it_cuts_off() -> None:
    story = Story()
    story.sent(0)
    story.process(0)
    story.restart_broker()
    story.lose_connection("worker")
    story.sent(1)
    assert cause(story, AUTOMATIC) == UNKNOWN


def test_a_worker_that_was_killed_long_after_a_restart_did_not_end_with_its_node() -> None:
    story = Story()
    story.restart_broker(fault=5)
    story.sent(0)
    story.process(0)
    story.kill_worker(fault=0)
    story.sent(1)
    assert cause(story, AUTOMATIC) == (Place.WORKER, "worker-1", 0, MANUAL)


def test_what_may_have_been_on_its_way_to_several_workers_names_none() -> None:
    story = Story()
    for seq in range(2):
        story.sent(seq)
        story.process(seq, to=1 + seq)
    story.sent(2)
    for worker in (1, 2):
        story.kill_worker(worker, fault=worker)
    assert cause(story, AUTOMATIC) == (Place.WORKER, "", 1, MANUAL)


@pytest.mark.parametrize(
    ("earlier_ms", "found"),
    [(0, (Place.BROKER, "n1", 0, PERSISTENT)), (1, (Place.WORKER, "worker-1", None, MANUAL))],
    ids=["then", "just before"],
)
def test_a_worker_that_ends_before_a_restart_begins_takes_what_was_on_its_way_to_it(
    earlier_ms: int, found: Found
) -> None:
    story = Story()
    story.sent(0)
    story.process(0)
    transient(story, 1)
    story.now += 10 * MS
    begins = story.now + MS
    story.restart_broker()
    story.now = begins - (1 + earlier_ms) * MS
    story.lose_connection("worker")
    story.now += 10 * MS
    assert cause(story, AUTOMATIC) == found


@pytest.mark.parametrize(("after_ms", "found"), [(2000, (Place.WORKER, "worker-1", None, MANUAL)), (2001, UNKNOWN)])
def test_the_broker_has_noticed_an_end_after_two_seconds(after_ms: int, found: Found) -> None:
    story = Story()
    story.sent(0)
    story.process(0)
    story.lose_connection("worker")
    story.now += (after_ms - 1) * MS
    story.sent(1)
    assert cause(story, AUTOMATIC) == found


def test_the_broker_may_not_have_noticed_an_end_a_nanosecond_ago() -> None:
    story = Story()
    story.sent(0)
    story.process(0)
    story.lose_connection("worker")
    then(story, story.now + 1).sent(1)
    assert cause(story, AUTOMATIC) == (Place.WORKER, "worker-1", None, MANUAL)


def test_what_may_have_been_on_its_way_to_a_worker_that_has_ended_or_one_that_just_ends_names_none() -> None:
    story = Story()
    for seq in range(2):
        story.sent(seq)
        story.process(seq, to=1 + seq)
    story.kill_worker(1, fault=0)
    story.now += 500 * MS
    story.lose_connection("worker", 2)
    then(story, story.now).sent(2)
    assert cause(story, AUTOMATIC) == (Place.WORKER, "", 0, MANUAL)


def test_messages_on_either_side_of_that_moment_are_told_apart() -> None:
    story = Story()
    story.sent(0)
    story.process(0)
    story.lose_connection("worker")
    for seq, pause_ms in ((1, 1900), (2, 200)):
        story.now += pause_ms * MS
        story.sent(seq)
    assert causes(story, AUTOMATIC) == {(Place.WORKER, "worker-1", None, MANUAL): 1, UNKNOWN: 1}


def test_a_worker_that_ends_at_the_very_moment_of_the_publish_may_have_been_sent_it() -> None:
    story = Story()
    story.sent(0)
    story.process(0)
    story.lose_connection("worker")
    story.now -= MS
    story.sent(1)
    assert cause(story, AUTOMATIC) == (Place.WORKER, "worker-1", None, MANUAL)


def test_a_worker_that_ends_with_the_drain_was_sent_nothing() -> None:
    story = Story()
    story.sent(0)
    story.process(0)
    story.sent(1)
    story.drained()
    story.now -= MS
    story.lose_connection("worker")
    assert cause(story, AUTOMATIC) == UNKNOWN


def test_what_came_back_from_a_worker_of_the_queue_was_not_pushed_to_another() -> None:
    story = Story()
    story.consume(1, acks=AckMode.MANUAL)
    story.consume(2, acks=AckMode.AUTOMATIC)
    story.sent(0)
    story.deliver(0)
    story.lose_connection("worker")
    story.kill_worker(2)
    assert cause(story) == UNKNOWN


# The fault that ended a connection.


def held(story: Story) -> None:
    story.sent(0)
    story.deliver(0)


@pytest.mark.parametrize(("later_ms", "fault"), [(-1, None), (0, 0), (1, 0)])
def test_a_connection_is_joined_to_a_fault_that_had_begun(later_ms: int, fault: int | None) -> None:
    story = Story()
    held(story)
    story.now += 10 * MS
    begins = story.now + MS
    story.restart_broker()
    story.now = begins + (later_ms - 1) * MS
    story.lose_connection("worker")
    story.now += 10 * MS
    assert cause(story, AUTOMATIC) == (Place.WORKER, "worker-1", fault, MANUAL)


def test_a_connection_is_not_joined_to_a_fault_that_cuts_nobody_off() -> None:
    story = Story()
    held(story)
    story.fault("purge", "tasks", family="topology")
    story.lose_connection("worker")
    assert cause(story, AUTOMATIC) == (Place.WORKER, "worker-1", None, MANUAL)


def test_a_connection_that_was_lost_before_its_process_was_killed_is_joined_to_what_cut_it() -> None:
    story = Story()
    story.sent(0)
    story.process(0)
    story.sent(1)
    story.restart_broker(fault=0)
    story.lose_connection("worker")
    story.kill_worker(fault=1)
    assert cause(story, AUTOMATIC) == (Place.WORKER, "worker-1", 0, MANUAL)


def test_the_first_connection_of_the_run_may_be_a_workers() -> None:
    story = Story()
    story.deliver(9, of=FOREIGN, to=3)
    held(story)
    story.lose_connection("worker")
    found = causes(story, AUTOMATIC)
    assert found == {(Place.WORKER, "worker-1", None, MANUAL): 1}
    story = Story()
    story.deliver(9, of=FOREIGN)
    held(story)
    story.kill_worker()
    assert cause(story, AUTOMATIC) == (Place.WORKER, "worker-1", 0, MANUAL)


# In a queue that nobody saw it in.

MOVED: dict[str, object] = {"tasks": {"message_ttl": "4s", "dead_letter": "second"}, "second": {}}
BROKEN: Final = "none: durable, persistent and confirmed, and the broker did not keep it"


@pytest.mark.parametrize(("restarts", "fault"), [("before", 0), ("before and after", 1)])
def test_the_broker_is_blamed_for_a_fault_after_a_copy_moved_on_rather_than_for_one_before(
    restarts: str, fault: int
) -> None:
    story = Story(queues=("tasks", "second"))
    story.sent(0)
    story.restart_broker(fault=0)
    story.now += 9000 * MS
    if restarts == "before and after":
        story.restart_broker(fault=1)
    assert cause(story, scenario(queues=MOVED)) == (Place.BROKER, "n1", fault, BROKEN)


# On its way from a publisher.


@pytest.mark.parametrize(("before_ms", "place"), [(999, Place.PUBLISHER), (1000, Place.BROKER)])
def test_what_was_sent_a_second_before_a_node_ended_was_in_its_queue(before_ms: int, place: Place) -> None:
    story = Story()
    story.publish(0, confirms=False, persistent=False)
    story.now += (before_ms - 1) * MS
    story.restart_broker(action="kill")
    story.lose_connection("publisher")
    assert cause(story, UNCONFIRMED)[0] is place


def test_what_was_sent_longer_and_shorter_before_the_end_of_a_node_is_told_apart() -> None:
    story = Story()
    for seq, pause_ms in ((0, 200), (1, 900)):
        story.publish(seq, confirms=False, persistent=False)
        story.now += pause_ms * MS
    story.restart_broker(action="kill")
    story.lose_connection("publisher")
    assert {found[0]: count for found, count in causes(story, UNCONFIRMED).items()} == {
        Place.BROKER: 1,
        Place.PUBLISHER: 1,
    }


@pytest.mark.parametrize(("killed", "found"), [(True, (Place.PUBLISHER, "publisher-1", 0, CONFIRMS)), (False, UNKNOWN)])
def test_what_never_reached_its_queue_did_not_expire_in_it_and_get_lost_behind(killed: bool, found: Found) -> None:
    of = scenario(
        queues={"tasks": {"message_ttl": "1s", "dead_letter": "second"}, "second": {}},
        publishers={"messages": 10, "confirms": False},
    )
    story = Story(queues=("tasks", "second"))
    story.publish(0, confirms=False)
    if killed:
        story.fault("kill", "publisher-1")
        story.exited("publisher", fault=0)
    story.now += 9000 * MS
    assert cause(story, of) == found


# To no queue.


@pytest.mark.parametrize(
    ("mandatory", "setting"), [(False, "publishers.mandatory: true (or a binding)"), (True, "a binding")]
)
def test_what_no_queue_is_bound_for_would_have_been_returned_where_it_was_mandatory(
    mandatory: bool, setting: str
) -> None:
    publishers = {"messages": 1, "exchange": "nowhere", "confirms": False, "mandatory": mandatory}
    story = Story(queues=("nowhere/",))
    story.publish(0, confirms=False, mandatory=mandatory)
    story.lose_connection("publisher")  # before it could read the return
    of = scenario(exchanges={"nowhere": {}}, publishers=publishers)
    assert cause(story, of) == (Place.EXCHANGE, "", None, setting)


# To a queue whose home is away.


@pytest.mark.parametrize(
    ("at_ms", "away"), [(-2, False), (-1, True), (0, True), (1, True), (2001, True), (2002, False)]
)
def test_what_is_sent_while_the_home_of_its_queue_is_away_is_unroutable(at_ms: int, away: bool) -> None:
    story = Story(nodes=("n1", "n2"))
    story.now += 5000 * MS
    story.restart_broker()  # begins 1 ms before it strikes and is over 1 ms after
    story.now += (at_ms - 2) * MS
    story.sent(0)
    story.now += 5000 * MS
    found = cause(story)
    assert found == (Place.EXCHANGE, "", 0, REACHABLE) if away else found[0] is not Place.EXCHANGE


def test_what_is_sent_before_and_after_the_home_can_be_reached_again_is_told_apart() -> None:
    story = Story(nodes=("n1", "n2"))
    story.restart_broker()
    for seq, pause_ms in ((0, 1900), (1, 200)):
        story.now += pause_ms * MS
        story.sent(seq)
    story.now += 5000 * MS
    assert causes(story) == {(Place.EXCHANGE, "", 0, REACHABLE): 1, UNKNOWN: 1}


@pytest.mark.parametrize("kind", ["quorum", "classic"])
@pytest.mark.parametrize("action", ["kill", "pause"])
@pytest.mark.parametrize(("confirms", "later_ms", "by"), [(False, 0, 0), (True, 0, None), (False, 2010, None)])
def test_a_channel_keeps_what_has_no_confirm_while_the_leader_of_its_queue_is_away(
    kind: str, action: str, *, confirms: bool, later_ms: int, by: int | None
) -> None:
    """That its publisher closed in order says nothing of it then."""
    story = Story(nodes=("n1", "n2", "n3"))
    story.restart_broker(action=action)
    story.now += later_ms * MS
    tag = story.publish(0, confirms=confirms)
    if confirms:
        story.confirm(tag)
    story.finish("publisher")
    of = scenario(queues={"tasks": {"type": kind}})
    lost_by_kill = cause(story, of) == (Place.PUBLISHER, "publisher-1", 0, CONFIRMS)
    assert lost_by_kill == (by == 0 and kind == "quorum")


@pytest.mark.parametrize(
    ("kind", "confirms", "later_ms", "overtaken", "lost_by_closing"),
    [
        ("quorum", False, 900, False, True),
        ("quorum", False, 1100, False, False),
        ("quorum", False, 900, True, False),
        ("quorum", True, 900, False, False),
        ("classic", False, 900, False, False),
    ],
)
def test_the_last_messages_without_confirms_may_be_lost_between_a_channel_and_a_quorum_queue(
    kind: str, *, confirms: bool, later_ms: int, overtaken: bool, lost_by_closing: bool
) -> None:
    story = Story()
    tag = story.publish(0, confirms=confirms)
    if confirms:
        story.confirm(tag)
    if overtaken:
        story.publish(1, confirms=confirms)
        story.process(1)
    story.now += later_ms * MS
    story.finish("publisher")
    story.now += 5000 * MS
    of = scenario(queues={"tasks": {"type": kind}})
    assert (cause(story, of) == (Place.PUBLISHER, "publisher-1", None, CONFIRMS)) == lost_by_closing


# At the exchange.

FANNED_OUT: dict[str, Any] = {
    "exchanges": {"all": {"type": "fanout"}},
    "bindings": [{"exchange": "all", "queue": "tasks"}, {"exchange": "all", "queue": "second"}],
}


@pytest.mark.parametrize(
    ("route", "mandatory", "expected"),
    [
        ("tasks", False, REACHABLE),
        ("all/", False, "queues.tasks.type: quorum"),
        ("all/", True, "queues.tasks.type: quorum"),
    ],
)
def test_mandatory_is_named_only_where_nothing_took_the_message_and_it_was_not_set(
    route: str, mandatory: bool, expected: str
) -> None:
    story = Story(queues=("tasks", "second"), routes=(route,), nodes=("n1", "n2"))
    story.restart_broker()
    story.confirm(story.publish(0, mandatory=mandatory))
    story.process(0, queue=1) if route == "all/" else None
    assert cause(story, scenario(queues={"tasks": {}, "second": {}}, **FANNED_OUT))[3] == expected


def test_what_is_mandatory_and_did_not_come_back_was_in_its_queue() -> None:
    story = Story(nodes=("n1", "n2"))
    story.restart_broker()
    story.confirm(story.publish(0, mandatory=True))
    assert cause(story)[0] is not Place.EXCHANGE


def test_an_exchange_that_is_not_durable_goes_with_its_broker() -> None:
    story = Story(queues=("tasks", "second"), routes=("all/",))
    story.publish(0, confirms=False)
    story.process(0)
    story.restart_broker()
    story.publish(1, confirms=False)
    story.finish("publisher")
    passing = FANNED_OUT | {"exchanges": {"all": {"type": "fanout", "durable": False}}}
    found = causes(story, scenario(queues={"tasks": {}, "second": {}}, **passing))
    assert found[Place.EXCHANGE, "", 0, "exchanges.all.durable: true"] == 2


@pytest.mark.parametrize(
    ("settings", "nodes", "away"),
    [
        ({"queues": {"tasks": {"durable": False}}}, 1, "the queue having gone"),
        ({"exchanges": {"to": {"durable": False}}}, 1, "the exchange having gone"),
        (
            {"queues": {"tasks": {"durable": False}}, "exchanges": {"to": {"durable": False}}},
            1,
            "the exchange and the queue having gone",
        ),
        ({}, 2, "the queue's home node being down"),
    ],
)
def test_the_sentence_says_which_was_away(settings: dict[str, Any], nodes: int, away: str) -> None:
    story = Story(routes=("to/key",), nodes=("n1", "n2")[:nodes])
    story.restart_broker()
    story.sent(0)
    story.now += 5000 * MS
    of = scenario(**{
        "queues": {"tasks": {}},
        "exchanges": {"to": {}},
        "bindings": [{"exchange": "to", "queue": "tasks", "routing_key": "key"}],
    } | settings)  # fmt: skip
    (found,) = judge(story.history(), of, name="x").causes
    assert f"where no queue was there to take them, {away}, when" in found.sentence


def test_what_one_setting_would_have_kept_in_several_queues_is_told_in_one_sentence() -> None:
    story = Story(queues=("tasks", "second"), routes=("all/",))
    transient(story)
    story.restart_broker()
    (found,) = judge(story.history(), scenario(queues={"tasks": {}, "second": {}}, **FANNED_OUT), name="x").causes
    assert (found.count, found.setting) == (2, PERSISTENT)
    assert found.settings == (("publishers.persistent",),)


# Messages sent between two moments share one decision; those on either side of a moment do not.


def test_what_is_sent_when_its_queue_goes_and_right_after_is_told_apart() -> None:
    story = Story()
    story.restart_broker()
    struck_ns = story.now - MS
    for seq in range(2):
        then(story, struck_ns + seq).sent(seq)
    assert causes(story, FLEETING) == {(Place.BROKER, "n1", 0, DURABLE): 1, (Place.EXCHANGE, "", 0, DURABLE): 1}


def test_what_is_sent_right_before_the_home_of_its_queue_goes_and_then_is_told_apart() -> None:
    story = Story(nodes=("n1", "n2"))
    story.restart_broker()
    begins_ns = story.now - 2 * MS
    for seq in range(2):
        then(story, begins_ns - 1 + seq).publish(seq, persistent=False, confirms=False)
    story.now += 5000 * MS
    story.finish("publisher")
    assert causes(story, UNCONFIRMED) == {
        (Place.BROKER, "n1", 0, PERSISTENT): 1,
        (Place.EXCHANGE, "", 0, REACHABLE): 1,
    }


def test_what_is_sent_when_the_home_of_its_queue_can_last_be_away_and_right_after_is_told_apart() -> None:
    story = Story(nodes=("n1", "n2"))
    story.restart_broker()
    over_ns = story.now
    for seq in range(2):
        then(story, over_ns + 2000 * MS + seq).sent(seq)
    story.now += 5000 * MS
    assert causes(story) == {(Place.EXCHANGE, "", 0, REACHABLE): 1, UNKNOWN: 1}


def test_what_was_sent_there_at_these_moments_is_told_apart_where_it_seems_to_have_expired_later() -> None:
    story = Story(queues=("tasks", "second"), nodes=("n1", "n2"))
    story.restart_broker()
    over_ns = story.now
    for seq in range(2):
        then(story, over_ns + 2000 * MS + seq).sent(seq)
    story.now += 5000 * MS
    assert causes(story, scenario(queues=MOVED)) == {(Place.EXCHANGE, "", 0, REACHABLE): 1, UNKNOWN: 1}


def test_what_was_last_sent_out_a_second_after_a_restart_strikes_and_right_after_that_is_told_apart() -> None:
    story = Story()
    for seq in range(2):
        transient(story, seq)
    story.restart_broker()
    struck_ns = story.now - MS
    for seq in range(2):
        then(story, struck_ns + 1000 * MS + seq).deliver(seq)
    story.lose_connection("worker")
    assert causes(story) == {(Place.BROKER, "n1", 0, PERSISTENT): 1, UNKNOWN: 1}


def test_what_is_overtaken_when_a_restart_begins_and_right_after_is_told_apart() -> None:
    story = Story()
    for seq in (0, 1):
        transient(story, seq)
        story.sent(seq + 2)
    story.now += 1000 * MS
    story.restart_broker()
    begins_ns = story.now - 2 * MS
    for seq in (0, 1):
        then(story, begins_ns + seq).deliver(seq + 2, done=True)
    story.now += 5 * MS
    story.ack(1, 2)
    assert causes(story) == {UNKNOWN: 1, (Place.BROKER, "n1", 0, PERSISTENT): 1}


# Together.


def test_the_causes_of_a_place_are_added_up() -> None:
    at_worker, in_queue = (Cause(place, "", None, NO_CAUSE) for place in (Place.WORKER, Place.BROKER))
    found = Causes(np.arange(3), np.array([0, 1, 1]), (at_worker, in_queue)).by_place()
    assert found == {
        Place.WORKER: 1,
        Place.BROKER: 2,
        Place.PUBLISHER: 0,
        Place.EXCHANGE: 0,
        Place.UNKNOWN: 0,
    }
