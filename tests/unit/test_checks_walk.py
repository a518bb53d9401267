"""Where missing copies are followed to: what can have taken each, from where it was last known to be, and whether that is certain."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pytest

from harness.checks.rules.taken import Reason, Taken
from harness.checks.rules.walk import what_took
from harness.checks.tally.message_table import tabulate
from harness.events import BrokerLook, QueueFacts
from harness.history.records import AckMode
from tests.unit.histories import MS, Story, queue_facts, scenario

SECOND = 1000 * MS
PLAIN: dict[str, object] = {}
TTL: dict[str, object] = {"message_ttl": "1s"}
TRANSIENT = {"persistent": False}


def taken(story: Story, *missing: int, facts: Iterable[QueueFacts] | None = None, **queues: object) -> Taken:
    """What took some messages; `facts` is what the broker said of its queues after the drain, None if nobody asked it."""
    if facts is not None:
        story.event(BrokerLook, moment="after the drain", queues=tuple(facts))
    history = story.history()
    declared = {name: queues.get(name, {}) for name in story.queues}
    table = tabulate(history, scenario(queues=declared, publishers={"messages": 10}))
    return what_took(np.array(missing or (0,)), table, history.events)


def ends(story: Story, *missing: int, **queues: Any) -> list[str]:
    """Reason and queue of each, with a question mark if it may as well have been lost."""
    found = taken(story, *missing, **queues)
    return [
        f"{Reason(reason).name} {story.queues[queue]}{'?' if possible else ''}"
        for reason, queue, possible in zip(found.reason, found.queue, found.possible, strict=True)
    ]


def stories(*more: str) -> Story:
    return Story(queues=("tasks", *more))


def later(story: Story, seconds: float) -> None:
    story.now += round(seconds * 1000) * MS


def unconfirmed(story: Story, seq: int = 0) -> None:
    """Sent without confirms, and known to have arrived by the end in order."""
    story.publish(seq, confirms=False)
    story.finish("publisher")


# A time to live.


@pytest.mark.parametrize(("rest_ms", "end"), [(1000, "TTL tasks"), (999, "NONE tasks")])
def test_a_copy_expires_when_its_time_is_over(rest_ms: int, end: str) -> None:
    story = stories()
    story.sent(0)  # published at 3 ms
    story.now = (2 + rest_ms) * MS
    assert ends(story, tasks=TTL) == [end]


def test_what_is_not_known_to_have_arrived_expired_possibly() -> None:
    story = stories()
    story.publish(0, confirms=False)
    story.sent(1, by=2)
    later(story, 5)
    assert ends(story, tasks=TTL) == ["TTL tasks?"]


def test_what_arrived_before_the_end_of_its_connection_expired() -> None:
    story = stories()
    unconfirmed(story)
    later(story, 5)
    assert ends(story, tasks=TTL) == ["TTL tasks"]


@pytest.mark.parametrize(
    ("after_s", "end"), [(0.5, "TTL tasks?"), (1.5, "TTL tasks?"), (2.5, "TTL tasks")], ids=["before", "near", "after"]
)
def test_a_node_that_ends_may_take_what_was_never_confirmed_nor_written(after_s: float, end: str) -> None:
    """It expires a second after it came, which can have been a second after its publish."""
    story = stories()
    unconfirmed(story)
    later(story, after_s)
    story.restart_broker()
    later(story, 9)
    assert ends(story, tasks=TTL) == [end]


def test_a_node_that_ended_before_took_nothing_and_a_confirmed_message_outlasts_it() -> None:
    story = stories()
    story.restart_broker()
    unconfirmed(story)
    later(story, 9)
    assert ends(story, tasks=TTL) == ["TTL tasks"]
    story = stories()
    story.sent(0)
    story.restart_broker()
    later(story, 9)
    assert ends(story, tasks=TTL) == ["TTL tasks"]


def test_a_fault_that_ends_no_node_takes_nothing_unwritten() -> None:
    story = stories()
    unconfirmed(story)
    story.kill_worker()
    later(story, 9)
    assert ends(story, tasks=TTL) == ["TTL tasks"]


def test_a_restart_takes_the_transient_messages_of_a_classic_queue() -> None:
    story = stories()
    story.sent(0)
    story.confirm(story.publish(1, **TRANSIENT))
    later(story, 0.5)
    story.restart_broker()
    later(story, 9)
    assert ends(story, 0, 1, tasks=TTL) == ["TTL tasks", "NONE tasks"]


@pytest.mark.parametrize("before", [True, False])
def test_a_restart_before_it_came_or_after_it_expired_took_nothing(before: bool) -> None:
    story = stories()
    if before:
        story.restart_broker()
    story.confirm(story.publish(0, **TRANSIENT))
    if not before:
        later(story, 1.5)
        story.restart_broker()
    later(story, 9)
    assert ends(story, tasks=TTL) == ["TTL tasks"]


def test_a_restart_at_the_very_moment_at_which_it_came_may_have_taken_it() -> None:
    story = stories()
    story.restart_broker()  # it strikes 1 ms before its healing
    story.now -= 2 * MS
    story.confirm(story.publish(0, **TRANSIENT))
    unconfirmed(story, 1)
    later(story, 9)
    assert ends(story, 0, tasks=TTL) == ["NONE tasks"]
    story = stories()
    story.restart_broker()
    story.now -= 2 * MS
    unconfirmed(story)
    later(story, 9)
    assert ends(story, 0, tasks=TTL) == ["TTL tasks?"]


def test_either_a_restart_or_a_purge_may_have_taken_it_before_it_expired() -> None:
    """What came by its confirm expired within the span of its coming; both faults fall into that."""
    for fault in ("restart", "purge"):
        story = stories()
        tag = story.publish(0, **TRANSIENT)
        later(story, 1.5)
        if fault == "restart":
            story.restart_broker()
        else:
            story.fault("purge", "tasks", family="topology")
        later(story, 0.5)
        story.confirm(tag)
        later(story, 9)
        assert ends(story, tasks=TTL) == ["TTL tasks?"], fault


def test_the_first_of_several_restarts_takes_it() -> None:
    story = stories()
    story.confirm(story.publish(0, **TRANSIENT))
    later(story, 0.5)
    story.restart_broker()
    later(story, 9)
    story.restart_broker(fault=1)
    assert ends(story, tasks=TTL) == ["NONE tasks"]


# What came out later.


def overtaken() -> Story:
    story = stories()
    story.sent(0)
    story.sent(1)
    story.process(1)
    later(story, 9)
    return story


def test_what_came_out_of_its_queue_later_shows_that_it_was_gone() -> None:
    assert ends(overtaken(), tasks=TTL) == ["NONE tasks"]
    assert (taken(overtaken()).overtaken_ns // MS).tolist() == [7]


def test_what_came_out_later_says_nothing_of_what_was_given_back() -> None:
    story = stories()
    story.sent(0)
    tag = story.deliver(0)
    story.sent(1)
    story.process(1)
    story.reject(0, tag, requeue=True)
    later(story, 9)
    assert ends(story, tasks=TTL) == ["TTL tasks"]


def test_what_came_out_later_says_nothing_of_a_dead_letter() -> None:
    story = stories("second")
    story.consume(queue=1)
    story.sent(0)
    story.reject(0, story.deliver(0, to=2), to=2)
    story.confirm(story.publish(1, route=1))
    story.process(1, queue=1)
    later(story, 9)
    assert ends(story, tasks={"dead_letter": "second"}, second=TTL) == ["TTL second"]


# A worker that needs no acks.


def pushing(story: Story, *, acks: AckMode = AckMode.AUTOMATIC, queue: int = 0) -> None:
    story.consume(acks=acks, queue=queue)


@pytest.mark.parametrize(
    ("acks", "queue", "end"),
    [
        (AckMode.AUTOMATIC, 0, "TTL tasks?"),
        (AckMode.MANUAL, 0, "TTL tasks"),
        (AckMode.AUTOMATIC, 1, "TTL tasks"),
    ],
)
def test_what_may_have_been_on_its_way_to_a_worker_without_acks_expired_possibly(
    acks: AckMode, queue: int, end: str
) -> None:
    story = stories("second")
    pushing(story, acks=acks, queue=queue)
    story.sent(0)
    story.kill_worker()
    later(story, 9)
    assert ends(story, tasks=TTL) == [end]


@pytest.mark.parametrize(("before_s", "end"), [(1.9, "TTL tasks?"), (2.1, "TTL tasks")])
def test_the_broker_goes_on_pushing_to_a_worker_until_it_notices_its_end(before_s: float, end: str) -> None:
    story = stories()
    pushing(story)
    story.kill_worker()
    later(story, before_s)
    story.sent(0)
    later(story, 9)
    assert ends(story, tasks=TTL) == [end]


@pytest.mark.parametrize(("after_s", "end"), [(1.9, "TTL tasks?"), (2.1, "TTL tasks")])
def test_a_worker_that_ends_long_after_it_expired_was_not_sent_it(after_s: float, end: str) -> None:
    story = stories()
    pushing(story)
    story.sent(0)
    later(story, after_s)
    story.kill_worker()
    later(story, 9)
    assert ends(story, tasks=TTL) == [end]


def test_a_worker_that_ends_after_the_drain_was_sent_nothing() -> None:
    story = stories()
    pushing(story)
    story.sent(0)
    later(story, 9)
    story.drained()
    story.kill_worker()
    assert ends(story, tasks=TTL) == ["TTL tasks"]


def test_a_worker_that_ends_two_seconds_before_it_came_or_with_the_drain() -> None:
    """The broker may just have noticed the one; the other was sent nothing, as the queues were empty."""
    story = stories()
    pushing(story)
    story.lose_connection("worker")
    story.now += 1999 * MS
    story.sent(0)
    later(story, 9)
    assert ends(story, tasks=TTL) == ["TTL tasks?"]
    story = stories()
    pushing(story)
    story.sent(0)
    later(story, 1.2)
    story.drained()
    story.now -= MS
    story.lose_connection("worker")
    assert ends(story, tasks=TTL) == ["TTL tasks"]


# A purge.


@pytest.mark.parametrize(
    ("queue", "after_s", "end"),
    [("tasks", 0.5, "PURGED tasks"), ("tasks", 1.5, "TTL tasks"), ("second", 0.5, "TTL tasks")],
)
def test_a_purge_takes_what_waits_in_its_queue_then(queue: str, after_s: float, end: str) -> None:
    story = stories("second")
    story.sent(0)
    later(story, after_s)
    story.fault("purge", queue, family="topology")
    later(story, 9)
    assert ends(story, tasks=TTL) == [end]


def test_the_first_purge_after_it_came_takes_it() -> None:
    story = stories()
    story.fault("purge", "tasks", family="topology", fault=0)
    story.sent(0)
    story.fault("purge", "tasks", family="topology", fault=1)
    story.fault("purge", "tasks", family="topology", fault=2)
    found = taken(story)
    assert (Reason(found.reason[0]), found.fault.tolist(), found.possible.tolist()) == (Reason.PURGED, [1], [False])


def test_what_is_not_known_to_have_arrived_was_purged_possibly() -> None:
    story = stories()
    story.publish(0, confirms=False)
    story.fault("purge", "tasks", family="topology")
    assert ends(story) == ["PURGED tasks?"]


def test_a_purge_after_a_restart_that_took_it_took_nothing() -> None:
    story = stories()
    story.confirm(story.publish(0, **TRANSIENT))
    story.restart_broker()
    story.fault("purge", "tasks", family="topology", fault=1)
    assert ends(story) == ["NONE tasks"]


def test_a_purge_at_the_very_moment_of_another_fault_may_have_been_first() -> None:
    story = stories()
    story.confirm(story.publish(0, **TRANSIENT))
    story.restart_broker()
    story.now -= 3 * MS
    story.fault("purge", "tasks", family="topology", fault=1)
    assert ends(story) == ["PURGED tasks"]


@pytest.mark.parametrize(("back_first", "end"), [(True, "PURGED tasks"), (False, "NONE tasks")])
def test_a_purge_does_not_reach_what_a_worker_holds(back_first: bool, end: str) -> None:
    story = stories()
    story.sent(0)
    story.deliver(0)
    steps: list[Callable[[], None]] = [
        lambda: story.lose_connection("worker"),
        lambda: story.fault("purge", "tasks", family="topology"),
    ]
    for step in steps if back_first else reversed(steps):
        step()
    assert ends(story) == [end]


def test_a_purge_at_the_very_moment_at_which_it_came_may_have_taken_it() -> None:
    story = stories()
    story.fault("purge", "tasks", family="topology")
    story.now -= 2 * MS
    story.sent(0)
    assert ends(story) == ["PURGED tasks"]


def test_of_two_purges_at_once_the_first_took_it() -> None:
    story = stories()
    story.sent(0)
    for fault in (3, 4):
        story.fault("purge", "tasks", family="topology", fault=fault)
        story.now -= 3 * MS
    assert taken(story).fault.tolist() == [3]


def test_what_no_fault_took_names_none() -> None:
    story = stories("second")
    story.sent(0)
    story.sent(1)
    found = taken(story, 0, 1, facts=[queue_facts("second")])
    assert found.fault.tolist() == [-1, -1]


def test_the_last_delivery_of_each_says_whether_it_was_back() -> None:
    story = stories()
    story.sent(0)
    story.sent(1)
    story.deliver(0)
    story.deliver(1, to=2)
    story.lose_connection("worker", 1)
    story.fault("purge", "tasks", family="topology")
    story.lose_connection("worker", 2)
    assert ends(story, 0, 1) == ["PURGED tasks", "NONE tasks"]


def test_a_purge_takes_what_was_requeued() -> None:
    story = stories()
    story.sent(0)
    story.reject(0, story.deliver(0), requeue=True)
    story.fault("purge", "tasks", family="topology")
    story.lose_connection("worker")
    assert ends(story) == ["PURGED tasks"]


# A queue that is gone.


def test_what_stood_in_a_queue_that_is_gone_went_with_it() -> None:
    story = stories("second")
    story.sent(0)
    assert ends(story, facts=[queue_facts("second")]) == ["QUEUE_GONE tasks"]


def test_what_stood_in_a_queue_that_is_there_did_not_go() -> None:
    story = stories()
    story.sent(0)
    assert ends(story, facts=[queue_facts("tasks")]) == ["NONE tasks"]


def test_a_queue_that_does_not_outlast_a_node_was_deleted_where_no_fault_struck() -> None:
    story = stories("second")
    story.sent(0)
    assert ends(story, facts=[queue_facts("second")], tasks={"durable": False}) == ["QUEUE_GONE tasks"]


def test_a_queue_that_does_not_outlast_a_node_went_with_it_and_nobody_deleted_it() -> None:
    story = stories("second")
    story.sent(0)
    story.restart_broker()
    assert ends(story, facts=[queue_facts("second")], tasks={"durable": False}) == ["NONE tasks"]
    story = stories("second")
    story.sent(0)
    story.kill_worker()
    assert ends(story, facts=[queue_facts("second")], tasks={"durable": False}) == ["QUEUE_GONE tasks"]


def test_one_fault_of_several_that_ends_the_node_is_enough() -> None:
    story = stories("second")
    story.sent(0)
    story.kill_worker()
    story.restart_broker(fault=1)
    assert ends(story, facts=[queue_facts("second")], tasks={"durable": False}) == ["NONE tasks"]


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        (PLAIN, ["NONE tasks", "QUEUE_GONE tasks"]),
        ({"arguments": {"x-expires": 1000}}, ["QUEUE_GONE tasks?", "QUEUE_GONE tasks"]),
    ],
)
def test_a_queue_that_expires_may_have_been_gone_when_a_fault_struck(
    settings: dict[str, object], found: list[str]
) -> None:
    story = stories("second")
    story.confirm(story.publish(0, **TRANSIENT))
    story.sent(1)
    later(story, 5)
    story.restart_broker()
    assert ends(story, 0, 1, facts=[queue_facts("second")], tasks=settings) == found


def test_what_was_purged_before_its_queue_went_was_purged() -> None:
    story = stories("second")
    story.sent(0)
    story.fault("purge", "tasks", family="topology")
    story.sent(1)
    assert ends(story, 0, 1, facts=[queue_facts("second")]) == ["PURGED tasks", "QUEUE_GONE tasks"]


# A queue that goes while its own limits take what is in it.

LEADING = {"message_ttl": "300ms", "dead_letter": "second", "arguments": {"x-expires": 5000}}


def expiring(*, mandatory: bool = False) -> Story:
    """A queue expires after five seconds at the earliest: the first message was sent long before, the last one long after."""
    story = stories("second")
    for seq, at_ms in enumerate((100, 4900, 5500)):
        story.now = at_ms * MS
        story.confirm(story.publish(seq, mandatory=mandatory))
    later(story, 5)
    return story


def looked(story: Story, count: int, *, after: bool, key: str = "classic/at_most_once/expired") -> None:
    there = (queue_facts("second"),) if after else (queue_facts("tasks"), queue_facts("second"))
    story.event(
        BrokerLook,
        moment="after the drain" if after else "before the traffic",
        queues=there,
        dead_lettered={"n1": {key: count}},
        node_started={"n1": "once"},
    )


def test_what_can_have_expired_only_after_its_queue_had_may_have_gone_with_it_or_found_none() -> None:
    story = expiring()
    assert ends(story, 0, 1, 2, facts=[queue_facts("second")], tasks=LEADING) == [
        "NONE second",  # it left its queue in time
        "QUEUE_GONE tasks?",
        "QUEUE_GONE tasks?",
    ]


def test_what_was_not_counted_as_expired_went_with_its_queue() -> None:
    story = Story(queues=("tasks", "second"))
    looked(story, 0, after=False)
    for seq, at_ms in enumerate((4800, 4900, 5500)):
        story.now = at_ms * MS
        story.sent(seq)
    later(story, 5)
    looked(story, 0, after=True)
    assert ends(story, 0, 1, 2, tasks=LEADING) == ["QUEUE_GONE tasks", "QUEUE_GONE tasks", "QUEUE_GONE tasks?"]


def test_what_was_seen_to_have_expired_is_no_reason_for_others_to_have() -> None:
    """Of a plain story, too: as many were counted as were delivered from where they expired to."""
    story = Story(queues=("tasks", "second"))
    looked(story, 0, after=False)
    story.now = 100 * MS
    story.sent(0)
    story.now = 4900 * MS
    story.sent(1)
    tag = story.deliver(0, queue=1, died=True)
    story.complete(0, tag)
    story.ack(tag)
    later(story, 5)
    looked(story, 1, after=True)
    assert ends(story, 1, tasks=LEADING) == ["QUEUE_GONE tasks"]


def test_a_dead_letter_that_vanished_long_before_its_queue_did_not_go_with_it() -> None:
    story = Story(queues=("tasks", "second"))
    looked(story, 0, after=False)
    for seq, at_ms in enumerate((100, 4900)):
        story.now = at_ms * MS
        story.sent(seq)
    later(story, 5)
    looked(story, 1, after=True)
    assert ends(story, 0, 1, tasks=LEADING) == ["NONE second", "QUEUE_GONE tasks"]


def test_what_is_mandatory_may_have_found_one_of_its_two_queues_gone() -> None:
    """It does not come back, for the other one took it."""
    story = Story(queues=("tasks", "second"), routes=("fan/",))
    for seq, at_ms in enumerate((100, 5500)):
        story.now = at_ms * MS
        story.confirm(story.publish(seq, mandatory=True))
    later(story, 5)
    story.event(BrokerLook, moment="after the drain", queues=(queue_facts("second"),))
    of = scenario(
        queues={"tasks": {"arguments": {"x-expires": 5000}}, "second": {}},
        exchanges={"fan": {"type": "fanout"}},
        bindings=[{"exchange": "fan", "queue": name} for name in ("tasks", "second")],
        publishers={"messages": 2, "exchange": "fan", "mandatory": True},
        workers={"queue": "tasks"},
    )
    history = story.history()
    table = tabulate(history, of)
    missing = np.flatnonzero(table.published_to(np.arange(table.total)) == table.queues.index("tasks"))
    found = what_took(missing, table, history.events)
    assert [Reason(each).name for each in found.reason] == ["QUEUE_GONE", "QUEUE_GONE"]
    assert found.possible.tolist() == [False, True]


def test_what_is_mandatory_and_did_not_come_back_was_in_its_queue() -> None:
    story = expiring(mandatory=True)
    story.publish(3, mandatory=True)
    story.returned(3)
    story.confirm(4)
    assert ends(story, 1, 2, facts=[queue_facts("second")], tasks={"arguments": {"x-expires": 5000}}) == [
        "QUEUE_GONE tasks",
        "QUEUE_GONE tasks",
    ]


def test_what_expires_for_good_may_have_gone_with_its_queue_instead() -> None:
    found = taken(
        expiring(),
        0,
        1,
        facts=[queue_facts("second")],
        tasks={each: LEADING[each] for each in ("message_ttl", "arguments")},
    )
    assert [Reason(each).name for each in found.reason] == ["TTL", "TTL"]
    assert found.possible.tolist() == [False, True]
    assert [Reason(each).name for each in found.instead] == ["NONE", "QUEUE_GONE"]


@pytest.mark.parametrize(
    ("seq", "source", "instead"),
    [
        (0, {}, None),
        (1, {}, Reason.NO_TARGET),
        (
            1,
            {"type": "quorum", "overflow": "reject-publish", "arguments": {"x-dead-letter-strategy": "at-least-once"}},
            None,
        ),
    ],
)
def test_a_dead_letter_that_came_late_may_have_found_no_queue(
    seq: int, source: dict[str, object], instead: Reason | None
) -> None:
    story = stories("second")
    for number, at_ms in enumerate((100, 4500)):
        story.now = at_ms * MS
        story.sent(number)
        story.reject(number, story.deliver(number))
    later(story, 5)
    queues = {"tasks": {"dead_letter": "second"} | source, "second": {"arguments": {"x-expires": 5000}}}
    found = taken(story, seq, facts=[queue_facts("tasks")], **queues)
    assert Reason(found.reason[0]) is Reason.QUEUE_GONE
    assert found.possible[0] == (instead is not None)
    assert Reason(found.instead[0]) is (instead or Reason.NONE)


# Somebody else's consumers.


def test_somebody_elses_consumer_took_what_nothing_else_did() -> None:
    story = stories("second")
    story.sent(0)
    story.fault("purge", "tasks", family="topology")
    story.sent(1)
    facts = [queue_facts("tasks", foreign_consumers=1), queue_facts("second")]
    assert ends(story, 0, 1, facts=facts) == ["PURGED tasks", "TAKEN tasks"]


def test_what_others_may_have_taken_and_did_not_is_lost_for_certain() -> None:
    """A dead letter stood where a stranger consumed, a kill may have taken it, and the stranger acknowledged nothing."""
    story = stories("second")
    looks = {"dead_lettered": {"n1": {"classic/at_most_once/rejected": 0}}, "acknowledged": {"n1": 0}}
    there = {
        "queues": (queue_facts("tasks"), queue_facts("second", foreign_consumers=1)),
        "node_started": {"n1": "once"},
    }
    story.event(BrokerLook, moment="before the traffic", **there, **looks)
    story.sent(0)
    story.reject(0, story.deliver(0))
    story.restart_broker(action="kill")
    story.event(BrokerLook, moment="after the drain", **there, **looks)
    assert ends(story, tasks={"dead_letter": "second"}) == ["NONE second"]


def test_a_queue_that_is_gone_took_what_its_strangers_and_a_restart_left() -> None:
    story = stories("second")
    story.confirm(story.publish(0, **TRANSIENT))
    story.sent(1)
    story.restart_broker()
    story.event(BrokerLook, moment="before the traffic", queues=(queue_facts("tasks", foreign_consumers=1),))
    assert ends(story, 0, 1, facts=[queue_facts("second")]) == ["TAKEN tasks?", "QUEUE_GONE tasks"]


# A queue that cannot be reached.


def clustered() -> Story:
    return Story(nodes=("n1", "n2"))


@pytest.mark.parametrize(
    ("at_ms", "end"),
    [
        (-1002, "TTL tasks"),
        (-1001, "TTL tasks?"),
        (-1, "TTL tasks?"),
        (0, "NONE tasks"),
        (1, "NONE tasks"),
        (2, "TTL tasks?"),
        (2001, "TTL tasks?"),
        (2002, "TTL tasks"),
    ],
)
def test_what_is_sent_while_the_home_of_its_queue_is_away_goes_nowhere(at_ms: int, end: str) -> None:
    story = clustered()
    story.sent(1)
    later(story, 5)
    story.restart_broker()  # begins 1 ms before it strikes and is over 1 ms after
    story.now += (at_ms - 2) * MS
    story.sent(0)
    later(story, 9)
    assert ends(story, facts=[queue_facts("tasks")], tasks=TTL) == [end]


def test_what_is_sent_while_another_node_is_away_arrives() -> None:
    story = clustered()
    story.fault("restart", "n2", family="broker")
    story.now -= 2 * MS
    story.sent(0)
    later(story, 9)
    assert ends(story, facts=[queue_facts("tasks")], tasks=TTL) == ["TTL tasks"]


def test_a_queue_whose_home_nobody_knows_may_be_away() -> None:
    story = clustered()
    story.restart_broker()
    story.now -= 2 * MS
    story.sent(0)
    later(story, 9)
    assert ends(story, tasks=TTL) == ["TTL tasks?"]


def test_each_time_that_the_home_was_away_counts() -> None:
    story = clustered()
    for fault in range(2):
        story.restart_broker(fault=fault)
        story.now -= 2 * MS
        story.sent(fault)
        later(story, 9)
    assert ends(story, 0, 1, facts=[queue_facts("tasks")], tasks=TTL) == ["NONE tasks", "NONE tasks"]


def test_a_reject_does_not_ask_whether_its_queue_could_be_reached() -> None:
    story = clustered()
    story.restart_broker()
    story.now -= 2 * MS
    story.sent(0)
    story.reject(0, story.deliver(0), requeue=True)
    later(story, 9)
    assert ends(story, facts=[queue_facts("tasks")], tasks=TTL) == ["TTL tasks"]


def test_what_is_sent_at_the_very_moment_at_which_its_queue_went_may_have_been_in_it() -> None:
    story = stories("second")
    story.restart_broker()
    story.now -= 2 * MS
    story.sent(0)
    story.reject(0, story.deliver(0))
    tasks = {"dead_letter": "second"}
    assert ends(story, tasks=tasks, second={"durable": False}) == ["NO_TARGET tasks"]
    story = stories("second")
    story.sent(0)
    story.restart_broker()
    story.now -= 3 * MS
    tag = story.deliver(0)
    story.reject(0, tag)  # when the restart struck
    assert ends(story, tasks=tasks, second={"durable": False}) == ["NONE second"]


def test_a_queue_is_gone_from_the_first_end_of_its_node_on() -> None:
    story = stories("second")
    story.sent(0)
    story.restart_broker()
    story.reject(0, story.deliver(0))
    story.restart_broker(fault=1)
    assert ends(story, tasks={"dead_letter": "second"}, second={"durable": False}) == ["NO_TARGET tasks"]


def test_what_is_sent_to_a_queue_that_went_with_its_node_goes_nowhere() -> None:
    story = stories()
    story.kill_worker()
    story.sent(0)
    story.restart_broker(fault=1)
    story.sent(1)
    later(story, 9)
    assert ends(story, 0, 1, tasks=TTL | {"durable": False}) == ["NONE tasks", "NONE tasks"]
    story = stories()
    story.kill_worker()
    story.sent(0)
    later(story, 9)
    assert ends(story, tasks=TTL | {"durable": False}) == ["TTL tasks"]


def test_a_dead_letter_finds_no_target_that_went_with_its_node() -> None:
    story = stories("second")
    story.sent(0)
    story.restart_broker()
    story.reject(0, story.deliver(0))
    tasks = {"dead_letter": "second"}
    assert ends(story, tasks=tasks, second={"durable": False}) == ["NO_TARGET tasks"]


# A reject.


@pytest.mark.parametrize(("after_ms", "end"), [(999, "REJECTED tasks?"), (1000, "REJECTED tasks")])
def test_a_reject_shortly_before_its_connection_was_lost_may_have_been_lost(after_ms: int, end: str) -> None:
    story = stories()
    story.sent(0)
    story.reject(0, story.deliver(0))
    story.now += (after_ms - 1) * MS
    story.lose_connection("worker")
    assert ends(story) == [end]


def test_a_reject_on_a_connection_that_was_not_lost_is_shown() -> None:
    story = stories()
    story.sent(0)
    story.reject(0, story.deliver(0))
    story.finish("worker")
    assert ends(story) == ["REJECTED tasks"]


def test_what_was_acknowledged_or_needed_no_ack_did_not_come_back() -> None:
    story = stories()
    for seq in range(3):
        story.sent(seq)
    story.ack(story.deliver(0))
    story.consume(2, acks=AckMode.AUTOMATIC)
    story.deliver(1, to=2)
    story.deliver(2, to=3)
    later(story, 9)
    assert ends(story, 0, 1, 2, tasks=TTL) == ["NONE tasks", "NONE tasks", "TTL tasks"]


# Where a death leads to.


def test_what_would_die_again_in_a_queue_without_a_reject_in_between_is_a_cycle() -> None:
    story = stories("second")
    story.sent(0)
    later(story, 5)
    both = {"tasks": TTL | {"dead_letter": "second"}, "second": TTL | {"dead_letter": "tasks"}}
    assert ends(story, **both) == ["CYCLE second"]


def test_a_reject_begins_a_new_round() -> None:
    def story() -> Story:
        story = stories("second")
        story.sent(0)
        story.reject(0, story.deliver(0))
        later(story, 5)
        return story

    second = TTL | {"dead_letter": "tasks"}
    assert ends(story(), tasks={"dead_letter": "second"}, second=second) == ["NONE tasks"]
    assert ends(story(), tasks=TTL | {"dead_letter": "second"}, second=second) == ["CYCLE tasks"]


LIMITED: dict[str, object] = {"type": "quorum", "delivery_limit": 1, "dead_letter": "second"}


def test_a_delivery_limit_begins_no_new_round() -> None:
    story = stories("second")
    story.sent(0)
    for _ in range(2):
        story.reject(0, story.deliver(0), requeue=True)
    later(story, 5)
    assert ends(story, tasks=LIMITED, second=TTL | {"dead_letter": "tasks"}) == ["CYCLE second"]


def test_only_those_over_the_limit_died_of_it() -> None:
    story = stories()
    for seq in range(2):
        story.sent(seq)
    for seq in (0, 1, 1):
        story.reject(seq, story.deliver(seq), requeue=True)
    limited = {"type": "quorum", "delivery_limit": 1}
    assert ends(story, 0, 1, tasks=limited) == ["NONE tasks", "DELIVERY_LIMIT tasks"]


AT_LEAST_ONCE = {
    "type": "quorum",
    "overflow": "reject-publish",
    "dead_letter": "second",
    "arguments": {"x-dead-letter-strategy": "at-least-once"},
}


@pytest.mark.parametrize(
    ("settings", "target", "held", "end"),
    [
        (AT_LEAST_ONCE, {"max_length": 3, "overflow": "reject-publish"}, 1, "HELD tasks"),
        (AT_LEAST_ONCE, {"max_length": 3}, 1, "UNCONFIRMED tasks"),
        (AT_LEAST_ONCE, {"overflow": "reject-publish"}, 1, "UNCONFIRMED tasks"),
        (AT_LEAST_ONCE, {}, 1, "UNCONFIRMED tasks"),
        (AT_LEAST_ONCE, {}, 0, "NONE second"),
        ({"type": "quorum", "dead_letter": "second"}, {}, 1, "NONE second"),
    ],
)
def test_the_broker_holds_what_its_target_refuses_or_has_not_confirmed(
    settings: dict[str, object], target: dict[str, object], held: int, end: str
) -> None:
    story = stories("second")
    story.sent(0)
    story.reject(0, story.deliver(0))
    facts = [queue_facts("tasks", held=held), queue_facts("second")]
    assert ends(story, facts=facts, tasks=settings, second=target) == [end]


@pytest.mark.parametrize(("left_since", "ends_of_first"), [(0, "NONE second"), (1, "UNCONFIRMED tasks?")])
def test_the_latest_are_held_and_no_more_than_the_broker_held(left_since: int, ends_of_first: str) -> None:
    story = stories("second")
    for seq in range(3):
        story.sent(seq)
        story.reject(seq, story.deliver(seq))
    facts = [queue_facts("tasks", left_since, held=2), queue_facts("second")]
    found = ends(story, 0, 1, 2, facts=facts, tasks=AT_LEAST_ONCE)
    assert sorted(found) == sorted([ends_of_first, "UNCONFIRMED tasks", "UNCONFIRMED tasks"])
    assert left_since or found[0] == ends_of_first


def test_a_death_that_leads_to_no_queue_ends_there() -> None:
    story = stories()
    story.sent(0)
    story.reject(0, story.deliver(0))
    assert ends(story, tasks={"dead_letter": {"exchange": "", "routing_key": "nowhere"}}) == ["NO_TARGET tasks"]


def divided(story: Story, **queues: Mapping[str, object]) -> list[str]:
    """What took the copy of the only message that nobody saw in `second`: `tasks` dead-letters into that and `third`."""
    story.queues = ("tasks", "second", "third")
    declared = {name: dict(queues.get(name, {})) for name in story.queues}
    declared["tasks"]["dead_letter"] = {"exchange": "fan"}
    of = scenario(
        queues=declared,
        exchanges={"fan": {"type": "fanout"}},
        bindings=[{"exchange": "fan", "queue": name} for name in ("second", "third")],
        publishers={"messages": 1, "to": "tasks"},
        workers={"queue": "tasks"},
    )
    history = story.history()
    table = tabulate(history, of)
    slots = table.copies.lives[int(table.route[np.arange(1)][0])].slots
    begins_in = [slots[slot].begins_in for slot in table.copies.slots(np.arange(table.total)).tolist()]
    found = what_took(np.array([begins_in.index("second")]), table, history.events)
    return [f"{Reason(found.reason[0]).name} {story.queues[found.queue[0]]}"]


def test_a_copy_that_comes_round_to_where_it_died_before_it_was_divided_is_a_cycle() -> None:
    story = stories("second", "third")
    story.sent(0)
    later(story, 2)
    story.process(0, to=2, queue=2)
    later(story, 9)
    assert divided(story, tasks=TTL, second=TTL | {"dead_letter": "tasks"}) == ["CYCLE second"]


def test_what_one_of_two_targets_has_not_confirmed_is_held() -> None:
    story = stories("second", "third")
    story.sent(0)
    story.reject(0, story.deliver(0))
    story.process(0, to=2, queue=2)
    facts = (queue_facts("tasks", held=1), queue_facts("second"), queue_facts("third"))
    story.event(BrokerLook, moment="after the drain", queues=facts)
    assert divided(story, tasks=AT_LEAST_ONCE) == ["UNCONFIRMED tasks"]


def test_a_dead_letter_expires_as_long_after_its_last_delivery_as_it_may_stand() -> None:
    def story() -> Story:
        story = stories("second")
        story.sent(0)
        story.reject(0, story.deliver(0))
        later(story, 5)
        story.deliver(0, queue=1, died=True)
        story.lose_connection("worker")
        return story

    short, long = story(), story()
    later(short, 0.5)
    later(long, 1.5)
    queues = {"tasks": {"dead_letter": "second"}, "second": TTL}
    assert ends(short, **queues) == ["NONE second"]
    assert ends(long, **queues) == ["TTL second"]


# Deliveries that nobody saw.


def ended_workers(*numbers: int) -> Story:
    story = stories("second")
    for number in numbers:
        story.consume(number)
    story.sent(0)
    for number in numbers:
        story.kill_worker(number, fault=number)
    return story


def quorum(limit: int, **more: object) -> dict[str, object]:
    return {"type": "quorum", "delivery_limit": limit, **more}


@pytest.mark.parametrize(
    ("limit", "end"), [(1, "DELIVERY_LIMIT tasks?"), (2, "NONE tasks")], ids=["more than it allows", "as it allows"]
)
def test_a_quorum_queue_may_give_up_on_what_it_sent_to_workers_that_ended(limit: int, end: str) -> None:
    assert ends(ended_workers(1, 2), tasks=quorum(limit)) == [end]


def test_a_queue_without_a_limit_does_not_give_up() -> None:
    assert ends(ended_workers(1, 2), tasks=PLAIN) == ["NONE tasks"]


def test_without_workers_that_ended_nothing_was_given_up() -> None:
    assert ends(ended_workers(), tasks=quorum(0)) == ["NONE tasks"]


def test_workers_of_another_queue_were_not_sent_it() -> None:
    story = stories("second")
    story.consume(1, queue=1)
    story.sent(0)
    story.kill_worker(1)
    assert ends(story, tasks=quorum(0)) == ["NONE tasks"]


def test_publishers_that_ended_were_not_sent_it() -> None:
    story = stories()
    story.sent(0)
    story.lose_connection("publisher")
    assert ends(story, tasks=quorum(0)) == ["NONE tasks"]


def test_workers_that_ended_after_the_drain_were_not_sent_it() -> None:
    story = stories()
    story.consume(1)
    story.sent(0)
    story.drained()
    story.kill_worker(1)
    assert ends(story, tasks=quorum(0)) == ["NONE tasks"]


def test_a_worker_that_ends_with_the_drain_was_not_sent_it() -> None:
    story = stories()
    story.consume(1)
    story.sent(0)
    story.drained()
    story.now -= MS
    story.lose_connection("worker")
    assert ends(story, tasks=quorum(0)) == ["NONE tasks"]


@pytest.mark.parametrize(("before_s", "end"), [(0.9, "DELIVERY_LIMIT tasks?"), (1.1, "NONE tasks")])
def test_workers_that_ended_long_before_it_came_were_not_sent_it(before_s: float, end: str) -> None:
    story = stories()
    story.consume(1)
    story.kill_worker(1)
    later(story, before_s)
    story.sent(0)
    assert ends(story, tasks=quorum(0)) == [end]


@pytest.mark.parametrize(("limit", "end"), [(2, "DELIVERY_LIMIT tasks?"), (3, "NONE tasks")])
def test_a_delivery_that_was_seen_counts_beside_those_that_were_not(limit: int, end: str) -> None:
    story = stories()
    for worker in (1, 2):
        story.consume(worker)
    story.sent(0)
    story.deliver(0)
    for worker in (1, 2):
        story.kill_worker(worker, fault=worker)
    assert ends(story, tasks=quorum(limit)) == [end]


def test_what_was_delivered_from_an_earlier_queue_alone_does_not_reach_the_limit_of_a_later_one() -> None:
    story = stories("second")
    story.sent(0)
    story.reject(0, story.deliver(0, count=2))
    queues = {"tasks": quorum(20, dead_letter="second"), "second": quorum(0)}
    assert ends(story, **queues) == ["NONE second"]


def test_a_worker_that_ends_exactly_a_second_before_it_came_may_have_been_sent_it() -> None:
    story = stories()
    story.consume(1)
    story.kill_worker(1)
    story.now += 999 * MS
    story.sent(0)
    assert ends(story, tasks=quorum(0)) == ["DELIVERY_LIMIT tasks?"]


def test_each_copy_counts_its_own_deliveries() -> None:
    story = stories()
    story.consume(2)
    for seq in range(3):
        story.sent(seq)
    story.reject(1, story.deliver(1), requeue=True)
    story.kill_worker(2)
    assert ends(story, 0, 1, 2, tasks=quorum(1)) == ["NONE tasks", "DELIVERY_LIMIT tasks?", "NONE tasks"]


def test_what_was_seen_often_enough_needs_an_unseen_delivery_to_be_given_up() -> None:
    story = stories()
    story.sent(0)
    for _ in range(2):
        story.reject(0, story.deliver(0), requeue=True)
    assert ends(story, tasks=quorum(2)) == ["NONE tasks"]


def counted(story: Story, count: int) -> Story:
    key, nodes = "quorum/disabled/delivery_limit", {"n1": "once"}
    story.event(BrokerLook, moment="before the traffic", dead_lettered={"n1": {key: 0}}, node_started=nodes)
    there = (queue_facts("tasks"),)
    counts = {"n1": {key: count}}
    story.event(BrokerLook, moment="after the drain", queues=there, dead_lettered=counts, node_started=nodes)
    return story


def test_the_counters_say_how_many_were_given_up() -> None:
    assert ends(counted(ended_workers(1), 0), tasks=quorum(0)) == ["NONE tasks"]
    assert ends(counted(ended_workers(1), 1), tasks=quorum(0)) == ["DELIVERY_LIMIT tasks"]


def test_of_several_only_those_are_given_up_that_nothing_else_took_and_that_came_in_time() -> None:
    story = stories()
    story.consume(1)
    story.sent(0)
    story.fault("purge", "tasks", family="topology")
    story.sent(1)
    story.kill_worker(1, fault=1)
    later(story, 2)
    story.sent(2)
    found = ends(story, 0, 1, 2, tasks=quorum(0))
    assert found == ["PURGED tasks", "DELIVERY_LIMIT tasks?", "NONE tasks"]


def test_what_came_back_to_a_queue_that_is_gone_and_was_not_given_up_went_with_it() -> None:
    """Its ack was lost with the connection of its worker, and the broker counted that it gave up on nothing."""
    key, nodes = "quorum/disabled/delivery_limit", {"n1": "once"}
    story = stories("second")
    looks = {"dead_lettered": {"n1": {key: 0}}, "node_started": nodes}
    story.event(BrokerLook, moment="before the traffic", queues=(queue_facts("tasks"),), **looks)
    story.sent(0)
    story.ack(story.deliver(0))
    story.lose_connection("worker")
    story.event(BrokerLook, moment="after the drain", queues=(queue_facts("second"),), **looks)
    assert ends(story, tasks=quorum(0)) == ["QUEUE_GONE tasks?"]


def test_what_may_have_been_given_up_goes_where_its_death_leads() -> None:
    queues = {"tasks": quorum(1, dead_letter="second"), "second": TTL | {"dead_letter": "tasks"}}
    story = ended_workers(1, 2)
    later(story, 9)
    assert ends(story, **queues) == ["CYCLE second?"]
    story = ended_workers(1, 2)
    later(story, 9)
    assert ends(story, tasks=quorum(1, dead_letter="second"), second=TTL) == ["TTL second?"]


# A length limit.


@pytest.mark.parametrize(("came", "end"), [(2, "LENGTH tasks"), (1, "NONE tasks")])
def test_as_many_as_fit_must_have_come_after_it(came: int, end: str) -> None:
    story = stories()
    for seq in range(1 + came):
        story.sent(seq)
    assert ends(story, tasks={"max_length": 2}) == [end]


def test_of_a_length_in_bytes_one_after_it_may_be_enough() -> None:
    def story(came: int) -> Story:
        story = stories()
        for seq in range(1 + came):
            story.sent(seq)
        return story

    in_bytes = {"type": "quorum", "arguments": {"x-max-length-bytes": 1000}}  # it does not count bodies alone
    assert ends(story(1), tasks=in_bytes) == ["LENGTH tasks?"]
    assert ends(story(0), tasks=in_bytes) == ["NONE tasks"]


def test_a_length_in_bytes_may_refuse_what_comes_to_an_empty_queue() -> None:
    story = stories()
    unconfirmed(story)
    in_bytes = {"type": "quorum", "overflow": "reject-publish", "arguments": {"x-max-length-bytes": 1}}
    assert ends(story, tasks=in_bytes) == ["LENGTH tasks?"]


def test_what_a_full_queue_dropped_may_have_expired_instead() -> None:
    """Three came after it before its time was over, and the broker counted that none was dropped."""
    story = stories()
    for seq in range(3):
        story.sent(seq)
    later(story, 9)
    counts = {"classic/disabled/maxlen": 0, "classic/disabled/expired": 2}
    nodes: dict[str, Any] = {"node_started": {"n1": "once"}}
    story.event(BrokerLook, moment="before the traffic", dead_lettered={"n1": dict.fromkeys(counts, 0)}, **nodes)
    there = (queue_facts("tasks"),)
    story.event(BrokerLook, moment="after the drain", queues=there, dead_lettered={"n1": counts}, **nodes)
    limits = {"max_length": 1, "message_ttl": "1s"}
    assert ends(story, 0, 1, 2, tasks=limits) == ["TTL tasks", "NONE tasks", "TTL tasks"]


def test_what_comes_back_takes_room_as_well() -> None:
    story = stories()
    story.sent(1)
    tag = story.deliver(1)
    story.sent(0)
    story.reject(1, tag, requeue=True)
    assert ends(story, tasks={"max_length": 1}) == ["LENGTH tasks?"]


def test_what_comes_back_at_the_very_end_or_at_the_very_beginning_takes_room() -> None:
    story = stories()
    story.sent(1)
    tag = story.deliver(1)
    story.sent(0)
    story.reject(1, tag, requeue=True)
    story.now -= MS
    assert ends(story, tasks={"max_length": 1}) == ["LENGTH tasks?"]
    story = stories()
    story.sent(1)
    story.reject(1, story.deliver(1), requeue=True)
    story.now -= MS
    story.sent(0)
    assert ends(story, tasks={"max_length": 1}) == ["LENGTH tasks?"]


def test_what_came_back_before_it_came_took_no_room_from_it() -> None:
    story = stories()
    story.sent(1)
    story.reject(1, story.deliver(1), requeue=True)
    story.sent(0)
    assert ends(story, tasks={"max_length": 1}) == ["NONE tasks"]


def test_a_length_takes_only_what_had_not_expired_before() -> None:
    story = stories()
    story.sent(0)
    later(story, 1.5)
    story.sent(1)
    later(story, 9)
    assert ends(story, 0, 1, tasks={"max_length": 1, "message_ttl": "1s"}) == ["TTL tasks", "TTL tasks"]


@pytest.mark.parametrize(
    ("kind", "waiting", "end"),
    [
        ("classic", 2, "LENGTH second"),
        ("classic", 1, "NONE second"),
        ("quorum", 3, "LENGTH second"),  # it refuses from one message over its limit on
        ("quorum", 2, "NONE second"),
    ],
)
def test_a_full_queue_refuses_dead_letters_and_nobody_hears_of_it(kind: str, waiting: int, end: str) -> None:
    story = stories("second")
    for seq in range(1, 1 + waiting):
        story.confirm(story.publish(seq, route=1))
    story.sent(0)
    story.reject(0, story.deliver(0))
    second = {"type": kind, "max_length": 2, "overflow": "reject-publish"}
    assert ends(story, tasks={"dead_letter": "second"}, second=second) == [end]


@pytest.mark.parametrize(("overtaken_ms", "end"), [(100, "PURGED tasks"), (99, "NONE tasks")])
def test_a_purge_can_have_taken_what_was_overtaken_as_it_began(overtaken_ms: int, end: str) -> None:
    story = stories()
    story.now = 0
    story.sent(0)
    story.sent(1)
    story.now = 99 * MS
    story.fault("purge", "tasks", family="topology", lasts_ms=50)  # from 100 ms on
    story.now = (overtaken_ms - 1) * MS
    story.process(1)
    assert ends(story) == [end]


@pytest.mark.parametrize(
    ("confirms", "killed", "end"),
    [(False, False, "LENGTH tasks"), (False, True, "LENGTH tasks?"), (True, False, "NONE tasks")],
)
def test_a_full_queue_refuses_what_is_sent_without_confirms(*, confirms: bool, killed: bool, end: str) -> None:
    """What was on its way when its publisher was killed may never have come to the queue."""
    story = stories()
    for seq in (1, 2):
        story.sent(seq, by=2)
    tag = story.publish(0, confirms=confirms)
    if confirms:
        story.confirm(tag)
    if killed:
        story.fault("kill", "publisher-1")
        story.exited("publisher")
    else:
        story.finish("publisher")
    refusing = {"max_length": 2, "overflow": "reject-publish"}
    assert ends(story, tasks=refusing) == [end]


@pytest.mark.parametrize(
    ("before", "after", "end"), [(11, 8, "LENGTH tasks"), (11, 7, "NONE tasks"), (10, 8, "NONE tasks")]
)
def test_a_quorum_queue_that_was_full_refuses_until_it_is_down_to_four_fifths(
    before: int, after: int, end: str
) -> None:
    story = stories()
    for seq in range(1, before + 1):
        story.sent(seq, by=2)
    for seq in range(1, before - after + 1):
        story.process(seq, of=2)
    story.now += 2000 * MS
    story.publish(0, confirms=False)
    story.finish("publisher")
    assert ends(story, tasks={"type": "quorum", "max_length": 10, "overflow": "reject-publish"}) == [end]


@pytest.mark.parametrize(
    ("filled", "end"), [("at rest", "LENGTH tasks"), ("given back", "LENGTH tasks"), ("delivered", "NONE tasks")]
)
@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_a_queue_is_full_of_what_rests_there_and_of_what_came_back_to_it(filled: str, kind: str, end: str) -> None:
    story = stories()
    for seq in (1, 2, 3):
        story.publish(seq, confirms=False)
    if filled == "at rest":
        for seq in (1, 2, 3):
            story.find(seq)
    else:
        for seq in (1, 2, 3):
            story.deliver(seq)
        if filled == "given back":
            story.lose_connection("worker")
            story.kill_worker()
        story.now += 2000 * MS
    story.publish(0, confirms=False)
    story.finish("publisher")
    story.now += 2000 * MS
    if filled != "at rest":
        for seq in (1, 2, 3):
            story.process(seq, to=2)
    assert ends(story, tasks={"type": kind, "max_length": 2, "overflow": "reject-publish"}) == [end]


def test_what_is_delivered_again_as_another_comes_leaves_it_room() -> None:
    story = stories()
    for seq in (1, 2):
        story.publish(seq, confirms=False)
        story.deliver(seq)
    story.lose_connection("worker")
    story.now += 2000 * MS
    came_ns = story.now
    for worker, seq in ((2, 1), (3, 2)):
        story.now = came_ns
        story.process(seq, to=worker)
    story.now = came_ns
    story.publish(0, confirms=False)
    story.finish("publisher")
    assert ends(story, tasks={"max_length": 2, "overflow": "reject-publish"}) == ["NONE tasks"]


@pytest.mark.parametrize(
    ("settings", "restarted", "end"),
    [
        ({}, True, "RECOVERY tasks?"),
        ({}, False, "NONE tasks"),
        ({"max_length": 3}, True, "NONE tasks"),
        ({"type": "quorum"}, True, "NONE tasks"),
    ],
    ids=["more than it has room for came back", "its node was there", "there was room", "quorum queues do not"],
)
def test_a_queue_that_refuses_drops_its_head_when_its_node_comes_back(
    settings: dict[str, Any], *, restarted: bool, end: str
) -> None:
    story = stories()
    story.sent(0)
    story.deliver(0)
    for seq in (1, 2):
        story.sent(seq)
    if restarted:
        story.restart_broker()
        story.lose_connection("worker")
    story.now += 2000 * MS
    for seq in (1, 2):
        story.process(seq, to=2)
    refuses = {"max_length": 2, "overflow": "reject-publish"} | settings
    assert ends(story, tasks=refuses) == [end]


@pytest.mark.parametrize(("restarted", "end"), [(True, "LENGTH tasks?"), (False, "NONE tasks")])
def test_a_queue_may_have_been_full_of_what_a_restart_took(*, restarted: bool, end: str) -> None:
    story = stories()
    for seq in range(3):
        story.publish(seq, confirms=False, persistent=False)
    story.finish("publisher")
    if restarted:
        story.restart_broker()
    found = ends(story, tasks={"max_length": 2, "overflow": "reject-publish"})
    assert found[-1] == end


@pytest.mark.parametrize(("restarted", "end"), [(False, "LENGTH tasks"), (True, "LENGTH tasks?")])
def test_a_refusal_is_doubtful_where_a_fault_can_have_taken_what_was_not_refused(restarted: bool, end: str) -> None:
    story = stories()
    for seq in (1, 2):
        story.sent(seq, by=2)
    unconfirmed(story)
    later(story, 9)
    if restarted:
        story.restart_broker()
    assert ends(story, tasks={"max_length": 2, "overflow": "reject-publish"}) == [end]


@pytest.mark.parametrize(
    ("kind", "closed_after_s", "end"),
    [
        ("classic", 0, "LENGTH tasks"),
        ("quorum", 0, "LENGTH tasks?"),  # it may not have come to the leader before its channel closed
        ("quorum", 2, "LENGTH tasks"),
    ],
)
def test_what_was_refused_was_not_purged_where_all_that_the_purge_took_is_known(
    kind: str, closed_after_s: float, end: str
) -> None:
    story = stories()
    filled = (1, 2, 3)[: 3 if kind == "quorum" else 2]
    for seq in filled:
        story.sent(seq, by=2)
    story.publish(0, confirms=False)
    later(story, closed_after_s)
    story.finish("publisher")
    later(story, 1)
    story.fault("purge", "tasks", family="topology", taken=len(filled))
    numbers = range(len(filled) + 1)
    found = ends(story, *numbers, tasks={"type": kind, "max_length": 2, "overflow": "reject-publish"})
    assert found == [end] + ["PURGED tasks"] * len(filled)


def test_what_is_refused_is_not_dead_lettered() -> None:
    story = stories("second")
    for seq in (1, 2):
        story.sent(seq, by=2)
    unconfirmed(story)
    refusing = {"max_length": 2, "overflow": "reject-publish", "dead_letter": "second"}
    assert ends(story, tasks=refusing) == ["LENGTH tasks"]


def test_what_expires_in_a_queue_that_refuses_is_dead_lettered() -> None:
    story = stories("second")
    story.sent(0)
    later(story, 5)
    refusing = {"max_length": 2, "overflow": "reject-publish", "dead_letter": "second", "message_ttl": "1s"}
    assert ends(story, tasks=refusing) == ["NONE second"]


def test_what_was_gone_before_its_time_was_up_did_not_expire_whatever_the_broker_counted() -> None:
    story = stories()
    for seq in range(2):
        story.sent(seq)
    counts = {"classic/disabled/maxlen": 0, "classic/disabled/expired": 2}
    nodes: dict[str, Any] = {"node_started": {"n1": "once"}}
    story.event(BrokerLook, moment="before the traffic", dead_lettered={"n1": dict.fromkeys(counts, 0)}, **nodes)
    there = (queue_facts("tasks"),)
    story.event(BrokerLook, moment="after the drain", queues=there, dead_lettered={"n1": counts}, **nodes)
    assert ends(story, tasks={"max_length": 1, "message_ttl": "9s"}) == ["NONE tasks"]


def test_a_restart_long_after_its_time_was_up_did_not_take_it_however_late_in_the_machines_life() -> None:
    story = stories()
    later(story, 1000)
    story.confirm(story.publish(0, **TRANSIENT))
    later(story, 5)
    story.restart_broker()
    assert ends(story, tasks=TTL) == ["TTL tasks"]


# Where and since when.


def test_what_nothing_took_stands_where_it_was_last_seen() -> None:
    story = stories("second")
    story.sent(0)  # at 3 ms
    story.sent(1)
    story.deliver(1)  # at 7 ms
    story.sent(2)
    story.reject(2, story.deliver(2))  # at 11 ms
    found = taken(story, 0, 1, 2, tasks={"dead_letter": "second"})
    assert (found.since_ns // MS).tolist() == [3, 5, 11]
    assert found.queue.tolist() == [0, 0, 1]


def test_what_was_acknowledged_stood_where_it_was_delivered_since_then() -> None:
    story = stories()
    story.sent(0)
    story.ack(story.deliver(0))  # at 5 ms
    found = taken(story)
    assert (found.since_ns // MS).tolist() == [5]
    assert found.queue.tolist() == [0]


def test_what_reached_no_queue_stands_nowhere_since_it_was_sent() -> None:
    story = Story(queues=("nowhere/",))
    story.sent(0)  # at 3 ms
    history = story.history()
    of = scenario(exchanges={"nowhere": {}}, publishers={"messages": 1, "exchange": "nowhere"})
    found = what_took(np.array([0]), tabulate(history, of), history.events)
    assert (found.since_ns // MS).tolist() == [3]
    assert found.queue.tolist() == [-1]


def test_the_first_record_of_the_table_is_a_delivery_like_any_other() -> None:
    story = stories("second")
    story.sent(0)
    story.reject(0, story.deliver(0))
    story.reject(0, story.deliver(0, queue=1, died=True))
    assert ends(story, tasks={"dead_letter": "second"}) == ["REJECTED second"]
    story = stories("second")
    story.sent(0)
    story.deliver(0, queue=1, died=True)
    assert ends(story, tasks=TTL | {"dead_letter": "second"}) == ["NONE second"]
