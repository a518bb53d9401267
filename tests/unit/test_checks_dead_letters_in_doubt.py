"""What became of dead letters where a fault, a cycle, or the end of an exchange or queue has a part in it."""

from __future__ import annotations

from typing import Any

import pytest

from harness.checks.judge import judge
from harness.events import BrokerLook
from harness.scenario.scenario import Scenario
from harness.verdict.data import Fate
from tests.unit.histories import MS, Story, queue_facts, scenario

FAN: dict[str, Any] = {
    "exchanges": {"all": {"type": "fanout"}},
    "bindings": [{"exchange": "all", "queue": "tasks"}, {"exchange": "all", "queue": "second"}],
}


def of_two() -> Story:
    return Story(queues=("tasks", "second"))


def told(story: Story, of: Scenario) -> dict[str, int]:
    """How many copies were not done: in which way and where, with a question mark if they may as well have been lost."""
    found = judge(story.history(), of, name="x")
    said = {f"{each.fate.value} {each.by}{'?' if each.possible else ''}": each.count for each in found.not_done}
    return said | {f"lost {cause.place.value}": cause.count for cause in found.causes}


def two_queues(second: dict[str, object], **tasks: object) -> Scenario:
    return scenario(queues={"tasks": {"dead_letter": "second", **tasks}, "second": second})


def rejected(story: Story, count: int = 1) -> Story:
    for seq in range(count):
        story.sent(seq)
        story.reject(seq, story.deliver(seq))
    return story


def rejected_after_a_restart(story: Story) -> Story:
    """Sent before it, and rejected so long after it that it has no part in what follows."""
    story.sent(0)
    story.restart_broker()
    story.now += 5000 * MS
    story.reject(0, story.deliver(0, connection=2), connection=2)
    return story


def done_dead(story: Story, *, queue: int) -> None:
    tag = story.deliver(0, queue=queue, died=True)
    story.complete(0, tag)
    story.ack(tag)


# At rest, when a node is killed.


@pytest.mark.parametrize(("killed_ms", "doubt"), [(500, "?"), (3000, "")])
def test_a_dead_letter_that_stood_there_at_the_kill_may_not_have_lived_to_expire(killed_ms: int, doubt: str) -> None:
    story = rejected(of_two())
    story.now += killed_ms * MS
    story.restart_broker(action="kill")
    story.now += 5000 * MS
    expected = {f"expired by the time to live of second{doubt}": 1}
    assert told(story, two_queues({"message_ttl": "1s"})) == expected


def test_what_outgrew_a_length_only_behind_the_kill_may_have_gone_with_it() -> None:
    story = rejected(of_two())
    story.now += 500 * MS
    story.restart_broker(action="kill")
    story.now += 5000 * MS
    story.sent(1)
    story.reject(1, story.deliver(1, connection=2), connection=2)
    story.find(1, queue=1, died=True)
    assert told(story, two_queues({"max_length": 1})) == {"dropped by the length limit of second?": 1}


def test_what_outgrew_a_length_before_the_kill_was_dropped() -> None:
    story = rejected(of_two(), 2)
    story.deliver(1, queue=1, died=True)
    story.now += 1500 * MS
    story.restart_broker(action="kill")
    story.find(1, queue=1, died=True)
    assert told(story, two_queues({"max_length": 1})) == {"dropped by the length limit of second": 1}


def test_a_purge_behind_the_kill_may_have_found_it_gone() -> None:
    story = rejected(of_two())
    story.now += 500 * MS
    story.restart_broker(action="kill")
    story.now += 500 * MS
    story.fault("purge", "second", family="topology", fault=1)
    assert told(story, two_queues({})) == {"removed from second by `purge second`?": 1}


# In a cycle.


def in_a_cycle(*, rejects: bool) -> Story:
    """A message dies in `tasks`, and is seen in `second`; that for `tasks` is not seen."""
    story = of_two()
    story.sent(0)
    if rejects:
        story.reject(0, story.deliver(0))
    story.now += 2000 * MS
    done_dead(story, queue=1)
    return story


CYCLE: dict[str, Any] = FAN | {
    "queues": {"tasks": {"message_ttl": "1s", "dead_letter": {"exchange": "all"}}, "second": {}}
}


def test_a_queue_that_dead_letters_into_itself_and_another_one_drops_its_own_copy() -> None:
    said = "dropped in a dead letter cycle: with no reject on the way, tasks led back to where they had died"
    assert told(in_a_cycle(rejects=False), scenario(**CYCLE)) == {said: 1}


def test_what_was_rejected_comes_round() -> None:
    queues = {"tasks": {"dead_letter": {"exchange": "all"}}, "second": {}}
    assert told(in_a_cycle(rejects=True), scenario(**FAN | {"queues": queues})) == {"lost unknown": 1}


def test_a_reject_in_an_earlier_queue_does_not_prevent_a_cycle() -> None:
    story = Story(queues=("tasks", "delay", "second"))
    story.sent(0)
    story.reject(0, story.deliver(0))
    story.now += 2000 * MS
    done_dead(story, queue=2)
    queues = {
        "tasks": {"dead_letter": "delay"},
        "delay": {"message_ttl": "1s", "dead_letter": {"exchange": "all"}},
        "second": {},
    }
    bindings = [{"exchange": "all", "queue": "delay"}, {"exchange": "all", "queue": "second"}]
    found = told(story, scenario(queues=queues, exchanges=FAN["exchanges"], bindings=bindings))
    assert [each.partition(":")[0] for each in found] == ["dropped in a dead letter cycle"]


def test_a_branch_that_leads_back_through_another_queue_is_a_cycle() -> None:
    story = Story(queues=("tasks", "delay", "second"))
    story.sent(0)
    story.now += 2000 * MS
    done_dead(story, queue=2)
    queues = {
        "tasks": {"message_ttl": "1s", "dead_letter": {"exchange": "all"}},
        "delay": {"message_ttl": "10ms", "dead_letter": "tasks"},
        "second": {},
    }
    bindings = [{"exchange": "all", "queue": "delay"}, {"exchange": "all", "queue": "second"}]
    found = told(story, scenario(queues=queues, exchanges=FAN["exchanges"], bindings=bindings))
    assert [each.partition(":")[0] for each in found] == ["dropped in a dead letter cycle"]


# Where what it was sent to is gone.


def test_an_exchange_that_is_not_durable_leads_nowhere_once_its_broker_has_ended() -> None:
    story = rejected_after_a_restart(of_two())
    of = scenario(
        queues={"tasks": {"dead_letter": {"exchange": "all"}}, "second": {}},
        exchanges={"all": {"type": "fanout", "durable": False}},
        bindings=[{"exchange": "all", "queue": "second"}],
    )
    (found,) = judge(story.history(), of, name="x").not_done
    assert found.by == "as dead letters of tasks, whose dead letter target leads to no queue"
    assert (found.possible, found.settings) == (False, ("exchanges.all.durable: true",))


@pytest.mark.parametrize("target", ["all", "first"])
def test_an_alternate_exchange_that_is_not_durable_is_no_way_either(target: str) -> None:
    story = rejected_after_a_restart(of_two())
    first = {"type": "direct", "arguments": {"alternate-exchange": "all"}}
    of = scenario(
        queues={"tasks": {"dead_letter": {"exchange": target}}, "second": {}},
        exchanges={"first": first, "all": {"type": "fanout", "durable": False}},
        bindings=[{"exchange": "all", "queue": "second"}],
    )
    (found,) = judge(story.history(), of, name="x").not_done
    assert (found.fate, found.settings) == (Fate.DROPPED, ("exchanges.all.durable: true",))


def test_an_alternate_exchange_that_has_gone_takes_nothing_from_one_that_leads_on_by_itself() -> None:
    """The reject begins a copy for each queue, though nobody saw them."""
    first = {"type": "fanout", "arguments": {"alternate-exchange": "all"}}
    of = scenario(
        queues={"tasks": {"dead_letter": {"exchange": "first"}}, "second": {}, "third": {}},
        exchanges={"first": first, "all": {"type": "fanout", "durable": False}},
        bindings=[{"exchange": "first", "queue": name} for name in ("second", "third")],
    )
    story = rejected_after_a_restart(Story(queues=("tasks", "second", "third")))
    assert told(story, of) == {"lost unknown": 2}


@pytest.mark.parametrize("restarted", [True, False])
def test_what_is_held_for_an_exchange_that_has_gone_is_retained(*, restarted: bool) -> None:
    story = rejected(of_two())
    if restarted:
        story.restart_broker()
    facts = (queue_facts("tasks", held=1), queue_facts("second"))
    story.event(BrokerLook, moment="after the drain", queues=facts)
    at_least_once = {
        "type": "quorum",
        "overflow": "reject-publish",
        "dead_letter": {"exchange": "all"},
        "arguments": {"x-dead-letter-strategy": "at-least-once"},
    }
    of = scenario(
        queues={"tasks": at_least_once, "second": {}},
        exchanges={"all": {"type": "fanout", "durable": False}},
        bindings=[{"exchange": "all", "queue": "second"}],
    )
    (found,) = judge(story.history(), of, name="x").not_done
    assert found.fate is (Fate.RETAINED if restarted else Fate.IN_TRANSIT)
    assert found.settings == (("exchanges.all.durable: true",) if restarted else ())


def test_a_queue_that_is_not_durable_is_named_where_it_was_the_target() -> None:
    story = rejected_after_a_restart(of_two())
    (found,) = judge(story.history(), two_queues({"durable": False}), name="x").not_done
    assert found.settings == ("queues.second.durable: true",)


@pytest.mark.parametrize(
    ("there", "expected"), [(True, "lost unknown"), (False, "removed with their queue tasks, which expired")]
)
def test_what_cannot_have_expired_went_with_its_queue(*, there: bool, expected: str) -> None:
    counted: dict[str, Any] = {"dead_lettered": {"n1": {"classic/disabled/expired": 0}}, "node_started": {"n1": "once"}}
    story = of_two()
    story.event(BrokerLook, moment="before the traffic", **counted)
    story.sent(0)
    story.now += 5000 * MS
    left = (queue_facts("tasks"),) if there else ()
    story.event(BrokerLook, moment="after the drain", queues=(queue_facts("second"), *left), **counted)
    of = scenario(queues={"tasks": {"message_ttl": "1s", "arguments": {"x-expires": 1000}}, "second": {}})
    assert told(story, of) == {expected: 1}


# What the broker counted.


def sent_and_lost_its_connection(counted: int) -> Story:
    """A worker rejects two messages and loses its connection at once. The broker counts `counted` rejects."""
    node: dict[str, Any] = {"node_started": {"n1": "once"}}
    key = "classic/disabled/rejected"
    story = of_two()
    story.event(BrokerLook, moment="before the traffic", dead_lettered={"n1": {key: 0}}, **node)
    rejected(story, 2)
    story.lose_connection("worker")
    story.event(BrokerLook, moment="after the drain", dead_lettered={"n1": {key: counted}}, **node)
    return story


@pytest.mark.parametrize(("counted", "doubt"), [(2, ""), (1, "?")])
def test_rejects_that_the_broker_counted_arrived(counted: int, doubt: str) -> None:
    of = scenario(queues={"tasks": {}, "second": {}})
    expected = {f"dropped by a reject, and tasks has no dead letter target{doubt}": 2}
    assert told(sent_and_lost_its_connection(counted), of) == expected


@pytest.mark.parametrize("refuses", [False, True])
def test_of_two_limits_the_tighter_one_may_be_that_in_bytes(*, refuses: bool) -> None:
    story = of_two()
    for seq in range(3):
        story.publish(seq, confirms=False)
    story.deliver(1)
    story.deliver(2)
    story.finish("publisher")
    story.lose_connection("worker")
    story.find(1)
    story.find(2)
    limits = {"max_length": 50, "overflow": "reject-publish" if refuses else "drop-head"}
    queues = {"tasks": limits | {"arguments": {"x-max-length-bytes": 100}}, "second": {}}
    of = scenario(queues=queues, publishers={"messages": 10, "tasks": ["of one size", "of another"]})
    assert told(story, of) == {"dropped by the length limit of tasks?": 1}


def test_what_is_sent_to_a_queue_that_fills_within_a_second_may_be_refused() -> None:
    """It may come later than it was sent: behind what another publisher sends after it."""
    story = of_two()
    story.publish(0, confirms=False)
    for seq in range(2):
        story.publish(seq, by=2, confirms=False)
    for publisher in (1, 2):
        story.finish("publisher", publisher)
    for seq in range(2):
        story.process(seq, of=2)
    of = scenario(
        queues={"tasks": {"max_length": 2, "overflow": "reject-publish"}, "second": {}},
        publishers={"count": 2, "messages": 2, "confirms": False},
    )
    assert told(story, of) == {"dropped by the length limit of tasks": 1}


def test_what_is_not_known_to_have_come_did_not_surely_go_with_its_queue() -> None:
    story = of_two()
    story.publish(0, confirms=False)
    story.lose_connection("publisher")
    story.now += 5000 * MS
    story.event(BrokerLook, moment="after the drain", queues=(queue_facts("second"),))
    of = scenario(queues={"tasks": {"arguments": {"x-expires": 1000}}, "second": {}})
    assert told(story, of) == {"removed with their queue tasks, which expired?": 1}


def test_where_a_queue_leads_is_known_of_what_workers_publish_to_it_as_well() -> None:
    story = Story(queues=("tasks", "second"), routes=("second",))
    story.sent(0)
    story.find(0, queue=1)
    of = scenario(queues={"tasks": {}, "second": {"message_ttl": "1s", "dead_letter": "tasks"}})
    assert judge(story.history(), of, name="x").counts.fates[Fate.IN_TRANSIT] == 1


def test_a_look_that_finds_no_queue_has_looked() -> None:
    story = of_two()
    story.sent(0)
    story.now += 5000 * MS
    story.event(BrokerLook, moment="after the drain")
    of = scenario(queues={"tasks": {"arguments": {"x-expires": 1000}}, "second": {}})
    assert told(story, of) == {"removed with their queue tasks, which expired": 1}


# About the end of a node that takes their target.


FLEETING: dict[str, object] = {"durable": False}
NOWHERE = "dropped as dead letters of tasks, whose dead letter target leads to no queue"


@pytest.mark.parametrize(("before_ms", "said"), [(100, {f"{NOWHERE}?": 1}), (3000, {"lost broker": 1})])
def test_a_reject_right_before_a_kill_need_not_have_arrived(before_ms: int, said: dict[str, int]) -> None:
    """Then the message came back to its queue and expired there, when its target had gone."""
    story = rejected(of_two())
    story.now += before_ms * MS
    story.restart_broker(action="kill")
    story.lose_connection("worker")
    story.now += 5000 * MS
    assert told(story, two_queues(FLEETING, message_ttl="4s")) == said


def test_an_early_ack_right_before_a_kill_need_not_have_arrived() -> None:
    story = Story()
    story.sent(0)
    story.ack(story.deliver(0))
    story.restart_broker(action="kill")
    story.lose_connection("worker")
    story.now += 5000 * MS
    of = scenario(queues={"tasks": {"message_ttl": "4s"}}, workers={"acks": "early"})
    assert told(story, of) == {"expired by the time to live of tasks?": 1}
    of = scenario(workers={"acks": "early"})
    assert told(story, of) == {"lost worker": 1}


@pytest.mark.parametrize(
    ("counted", "said"), [(0, {"lost worker": 1}), (1, {"dropped by the delivery limit of tasks": 1})]
)
def test_what_would_have_reached_its_delivery_limit_then_is_held_against_the_counters(
    counted: int, said: dict[str, int]
) -> None:
    story, node = Story(), {"node_started": {"n1": "once"}, "queues": (queue_facts("tasks"),)}
    key = "quorum/disabled/delivery_limit"
    story.event(BrokerLook, moment="before the traffic", dead_lettered={"n1": {key: 0}}, **node)
    story.sent(0)
    story.ack(story.deliver(0))
    story.lose_connection("worker")
    story.event(BrokerLook, moment="after the drain", dead_lettered={"n1": {key: counted}}, **node)
    limited = {"tasks": {"type": "quorum", "delivery_limit": 0}}
    assert told(story, scenario(queues=limited, workers={"acks": "early"})) == said


@pytest.mark.parametrize(("before_ms", "said"), [(100, {f"{NOWHERE}?": 1}), (3000, {"lost broker": 1})])
def test_what_expired_right_before_a_kill_may_have_found_its_target_gone(before_ms: int, said: dict[str, int]) -> None:
    story = of_two()
    story.sent(0)
    story.now += (1000 + before_ms) * MS
    story.restart_broker(action="kill")
    story.now += 5000 * MS
    assert told(story, two_queues(FLEETING, message_ttl="1s")) == said


@pytest.mark.parametrize(
    ("before_ms", "said"), [(100, {f"{NOWHERE}?": 2}), (3000, {f"{NOWHERE}?": 1, "lost broker": 1})]
)
def test_what_outgrew_a_length_long_before_a_kill_found_its_target(before_ms: int, said: dict[str, int]) -> None:
    """The first of three had surely gone when the second was confirmed; the second, when one came after the kill."""
    story = of_two()
    story.sent(0)
    story.sent(1)
    story.now += before_ms * MS
    story.restart_broker(action="kill")
    story.confirm(story.publish(2, connection=2), connection=2)
    story.find(2)
    assert told(story, two_queues(FLEETING, max_length=1)) == said


def test_what_comes_about_a_purge_may_outgrow_its_queue_later() -> None:
    """The purge may have taken the one that made the other one too many."""
    story = of_two()
    story.sent(0)
    story.sent(1)
    story.fault("purge", "tasks", family="topology")
    story.now += 3000 * MS
    story.restart_broker(action="kill", fault=1)
    story.confirm(story.publish(2, connection=2), connection=2)
    story.find(2)
    found = told(story, two_queues(FLEETING, max_length=1))
    assert "lost broker" not in found
