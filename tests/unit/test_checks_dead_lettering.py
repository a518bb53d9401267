"""What faults take of dead letters: dead-lettering at most once promises nothing, and the broker is not blamed for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import pytest

from harness.checks.judge import judge
from harness.checks.rules.dead_lettering import DeadLettering
from harness.checks.tally.message_table import tabulate
from harness.checks.tally.times import NEVER
from harness.events import BrokerLook
from harness.verdict.data import Place
from tests.unit.histories import MS, Story, queue_facts, scenario
from tests.unit.told_causes import cause, causes, then

BROKEN: Final = "none: durable, persistent and confirmed, and the broker did not keep it"
AT_MOST_ONCE: dict[str, object] = {"tasks": {"dead_letter": "second"}, "second": {}}
AT_LEAST_ONCE = (
    "queues.tasks.type: quorum and queues.tasks.overflow: reject-publish and "
    "queues.tasks.arguments.x-dead-letter-strategy: at-least-once"
)


def rejected(story: Story) -> Story:
    story.sent(0)
    story.reject(0, story.deliver(0))
    return story


def of_two() -> Story:
    return Story(queues=("tasks", "second"))


def test_what_a_kill_took_of_the_dead_letters_of_a_classic_queue_was_promised_nothing() -> None:
    story = rejected(of_two())
    later_ns = story.now + 60_000 * MS
    then(story, later_ns).restart_broker(action="kill")
    assert cause(story, scenario(queues=AT_MOST_ONCE)) == (Place.BROKER, "n1", 0, AT_LEAST_ONCE)


def test_what_had_died_long_before_a_node_stopped_in_order_was_written() -> None:
    story = rejected(of_two())
    story.now += 60_000 * MS
    story.restart_broker()
    assert cause(story, scenario(queues=AT_MOST_ONCE)) == (Place.BROKER, "n1", 0, BROKEN)


@pytest.mark.parametrize(("after_ms", "setting"), [(999, AT_LEAST_ONCE), (1100, BROKEN)])
def test_what_dies_shortly_before_a_node_stops_may_be_on_its_way(after_ms: int, setting: str) -> None:
    story = rejected(of_two())
    then(story, story.now + after_ms * MS).restart_broker()
    assert cause(story, scenario(queues=AT_MOST_ONCE))[3] == setting


@pytest.mark.parametrize(
    ("kind", "nodes", "lost"),
    [("quorum", ("n1",), True), ("classic", ("n1", "n2"), True), ("classic", ("n1",), False)],
)
def test_what_dies_shortly_after_a_restart_may_find_no_leader_or_no_way(
    kind: str, nodes: tuple[str, ...], *, lost: bool
) -> None:
    story = Story(queues=("tasks", "second"), nodes=nodes)
    story.sent(0)
    story.restart_broker()
    then(story, story.now + 1900 * MS)
    story.reject(0, story.deliver(0, connection=2), connection=2)
    queues = {"tasks": {"dead_letter": "second"}, "second": {"type": kind}}
    found = causes(story, scenario(queues=queues))
    expected = (Place.BROKER, "n1", 0, AT_LEAST_ONCE)
    assert (expected in found) is lost


def test_what_dies_long_after_a_restart_has_nothing_to_fear_of_it() -> None:
    story = of_two()
    story.sent(0)
    story.restart_broker()
    story.now += 2100 * MS
    story.reject(0, story.deliver(0, connection=2), connection=2)
    found = causes(story, scenario(queues=AT_MOST_ONCE))
    assert found == {(Place.UNKNOWN, "", None, "unknown: no fault of this run explains it"): 1}


def test_where_queues_dead_letter_at_least_once_the_broker_has_broken_its_promise() -> None:
    story = rejected(of_two())
    story.restart_broker(action="kill")
    arguments = {"x-dead-letter-strategy": "at-least-once"}
    queues = {
        "tasks": {"type": "quorum", "overflow": "reject-publish", "dead_letter": "second", "arguments": arguments},
        "second": {},
    }
    assert cause(story, scenario(queues=queues)) == (Place.BROKER, "n1", 0, BROKEN)


def test_only_the_settings_that_are_missing_are_named() -> None:
    story = rejected(of_two())
    story.restart_broker(action="kill")
    queues = {"tasks": {"type": "quorum", "dead_letter": "second"}, "second": {}}
    assert cause(story, scenario(queues=queues))[3] == AT_LEAST_ONCE.partition(" and ")[2]


@pytest.mark.parametrize(
    ("rabbitmq", "setting"),
    [("3.8.9", ""), ("3.9.29", ""), ("3.10.0", AT_LEAST_ONCE), ("4.0.5", AT_LEAST_ONCE), ("", AT_LEAST_ONCE)],
)
def test_a_version_that_can_dead_letter_only_at_most_once_is_named(rabbitmq: str, setting: str) -> None:
    story = rejected(Story(queues=("tasks", "second"), rabbitmq=rabbitmq))
    story.restart_broker(action="kill")
    found = judge(story.history(), scenario(queues=AT_MOST_ONCE), name="x")
    assert found.causes[0].setting == (setting or f"none: RabbitMQ {rabbitmq} dead-letters at most once")
    if setting:
        return
    assert found.causes[0].settings == ()
    assert found.causes[0].sentence.endswith("tasks dead-letters at most once, which promises nothing.")


def test_a_dead_letter_that_was_delivered_may_be_unwritten_when_it_comes_back() -> None:
    story = rejected(of_two())
    story.deliver(0, queue=1, died=True)
    story.restart_broker(action="kill")
    story.lose_connection("worker")
    assert cause(story, scenario(queues=AT_MOST_ONCE))[3] == AT_LEAST_ONCE


@pytest.mark.parametrize(("action", "more"), [("kill", f" and {AT_LEAST_ONCE}"), ("restart", "")])
def test_a_transient_dead_letter_needs_more_than_persistence_to_outlast_a_kill(action: str, more: str) -> None:
    story = of_two()
    story.confirm(story.publish(0, persistent=False))
    story.reject(0, story.deliver(0))
    story.restart_broker(action=action)
    assert cause(story, scenario(queues=AT_MOST_ONCE))[3] == f"publishers.persistent: true{more}"


def test_what_the_sentence_says_of_dead_letters() -> None:
    story = rejected(of_two())
    story.restart_broker(action="kill")
    (found,) = judge(story.history(), scenario(queues=AT_MOST_ONCE), name="x").causes
    assert found.sentence.startswith("1 message was lost as a dead letter of tasks when ")
    assert f"tasks dead-letters at most once, which promises nothing. Would have kept it: {AT_LEAST_ONCE}." in (
        found.sentence
    )


# In a cluster: where its source or its target may live.

TWO_QUEUES: dict[str, object] = {"tasks": {"dead_letter": "second"}, "second": {}}
QUORUM_SOURCE: dict[str, object] = {"tasks": {"type": "quorum", "dead_letter": "second"}, "second": {}}
NEVER_OVER = np.full(1, NEVER)


def in_cluster(queues: dict[str, object], *, homes: dict[str, str], kills: str = "n1") -> DeadLettering:
    story = Story(queues=("tasks", "second"), nodes=("n1", "n2"))
    facts = tuple(replace(queue_facts(name), node=node) for name, node in homes.items())
    story.event(BrokerLook, moment="before the traffic", queues=facts)
    story.sent(0)
    story.now = 10_000 * MS - MS
    story.fault("kill", kills, family="broker")
    history = story.history()
    return DeadLettering(tabulate(history, scenario(queues=queues)).topology, history.events)


def by(rules: DeadLettering, died_ms: int, latest_ms: int) -> int:
    """The fault that can have taken a dead letter of `tasks` in `second`; -1 for none."""
    _, fault = rules.taken("tasks", "second", np.array([died_ms * MS]), np.array([latest_ms * MS]), NEVER_OVER)
    return int(fault[0])


@pytest.mark.parametrize(
    ("homes", "stood", "about"),
    [
        ({"tasks": "n1", "second": "n1"}, 0, 0),
        ({"tasks": "n2", "second": "n1"}, 0, 0),
        ({"tasks": "n1", "second": "n2"}, -1, 0),
        ({"tasks": "n2", "second": "n2"}, -1, -1),
    ],
)
def test_a_kill_takes_what_lives_on_its_node_or_is_on_its_way_from_there(
    homes: dict[str, str], stood: int, about: int
) -> None:
    rules = in_cluster(TWO_QUEUES, homes=homes)
    assert by(rules, 1000, 999) == stood
    assert by(rules, 9_900, 10_500) == about


def test_a_quorum_queue_may_live_anywhere() -> None:
    rules = in_cluster(QUORUM_SOURCE, homes={"tasks": "n2", "second": "n2"})
    assert by(rules, 9_900, 10_500) == 0
    assert by(rules, 1000, 999) == -1


def test_a_queue_that_cannot_be_reached_yet_loses_what_dies_within_two_seconds_of_its_nodes_return() -> None:
    rules = in_cluster(TWO_QUEUES, homes={"tasks": "n2", "second": "n1"})  # the node is back at 10 002 ms
    assert by(rules, 12_002, 12_500) == 0
    assert by(rules, 12_003, 12_500) == -1


def test_what_surely_arrived_was_not_on_its_way() -> None:
    rules = in_cluster(QUORUM_SOURCE, homes={"tasks": "n1", "second": "n2"})
    assert by(rules, 10_000, 10_000) == 0
    assert by(rules, 10_000, 9_999) == -1


@pytest.mark.parametrize(("nodes", "fault"), [(("n1",), -1), (("n1", "n2"), 0)])
def test_a_node_that_stands_still_takes_dead_letters_only_where_others_go_on(
    nodes: tuple[str, ...], fault: int
) -> None:
    story = Story(queues=("tasks", "second"), nodes=nodes)
    story.sent(0)
    story.now = 10_000 * MS - MS
    story.fault("pause", "n1", family="broker")
    history = story.history()
    rules = DeadLettering(tabulate(history, scenario(queues=TWO_QUEUES)).topology, history.events)
    assert by(rules, 10_001, 10_500) == fault


def test_it_is_taken_from_when_it_died_or_from_when_the_fault_struck_what_stood_there() -> None:
    rules = in_cluster(TWO_QUEUES, homes={"tasks": "n1", "second": "n1"})
    died_ns, latest_ns = np.array([1000 * MS, 10_001 * MS]), np.array([999 * MS, 10_500 * MS])
    from_ns, _ = rules.taken("tasks", "second", died_ns, latest_ns, np.full(2, NEVER))
    assert from_ns.tolist() == [10_000 * MS, 10_001 * MS]


def test_what_stands_there_as_the_kill_strikes_is_taken_and_what_comes_then_is_not() -> None:
    rules = in_cluster(TWO_QUEUES, homes={"tasks": "n2", "second": "n1"})
    assert by(rules, 10_001, 10_000) == 0  # the moment of its strike
    assert by(rules, 10_002, 10_001) == -1


def test_what_had_left_before_the_kill_was_not_taken_by_it() -> None:
    rules = in_cluster(TWO_QUEUES, homes={"tasks": "n1", "second": "n1"})
    died_ns, latest_ns = np.array([1000 * MS] * 2), np.array([999 * MS] * 2)
    _, fault = rules.taken("tasks", "second", died_ns, latest_ns, np.array([9_999 * MS, 10_000 * MS]))
    assert fault.tolist() == [-1, 0]
