"""Where a broker cannot be asked for its policies, the messages tell where their deaths led: that is no misrouting, and nothing was dropped."""

from __future__ import annotations

from typing import Any

import pytest

from harness.checks.judge import judge
from harness.checks.tally.lives import DeathPath
from harness.events import BrokerLook
from harness.verdict.data import VariantVerdict
from tests.unit.histories import Story, queue_facts, scenario

EXTERNAL = {"not_asked": "it is external"}
REJECTED: DeathPath = (("tasks", "rejected", 1),)
TASKS, DEAD, ASIDE = range(3)


def story() -> Story:
    """With a queue that has workers, and two more."""
    return Story(queues=("tasks", "dead", "aside"))


def rejected(told: Story, number: int) -> None:
    """A message is rejected by its worker."""
    told.sent(number)
    told.reject(number, told.deliver(number))


def verdict(told: Story, *, before: dict[str, Any] = EXTERNAL, after: dict[str, Any] = EXTERNAL, **changes: Any) -> Any:
    """Of a run that looked at its broker twice."""
    told.event(BrokerLook, moment="before the traffic", **before)
    told.event(BrokerLook, moment="after the drain", **after)
    workers = changes.pop("workers", {"count": 2, "queue": "tasks"})
    queues = {"tasks": {}, "dead": {}, "aside": {}} | changes.pop("queues", {})
    made = scenario(queues=queues, publishers={"messages": 10, "to": "tasks"}, workers=workers, **changes)
    return judge(told.history(), made, name="guarantee")


def fates(found: VariantVerdict) -> dict[str, int]:
    return {fate.value: count for fate, count in found.counts.fates.items() if count}


def test_what_was_found_as_a_dead_letter_was_not_dropped_and_not_misrouted() -> None:
    told = story()
    rejected(told, 0)
    told.find(0, queue=DEAD, path=REJECTED)
    found = verdict(told)
    assert fates(found) == {"dead-lettered": 1}
    assert found.counts.misrouted == 0
    assert found.not_done == ()


def test_what_was_delivered_as_a_dead_letter_was_done() -> None:
    told = story()
    rejected(told, 0)
    tag = told.deliver(0, to=2, queue=DEAD, path=REJECTED)
    told.complete(0, tag, to=2)
    told.ack(tag, to=2)
    groups = [{"name": "worker", "queue": "tasks"}, {"name": "other", "queue": "dead"}]
    found = verdict(told, workers=groups)
    assert fates(found) == {"processed": 1}
    assert found.counts.misrouted == 0


def test_a_chain_of_deaths_is_learned_one_by_one() -> None:
    told = story()
    rejected(told, 0)
    told.find(0, queue=ASIDE, path=(*REJECTED, ("dead", "expired", 1)))
    rejected(told, 1)
    told.find(1, queue=DEAD, path=REJECTED)
    found = verdict(told)
    assert found.counts.misrouted == 0
    assert fates(found) == {"dead-lettered": 2}


def test_the_deaths_on_the_way_tell_as_much() -> None:
    told = story()
    for number in range(2):
        rejected(told, number)
        told.find(number, queue=ASIDE, path=(*REJECTED, ("dead", "expired", 1)))
    found = verdict(told)
    assert found.counts.misrouted == 0
    assert fates(found) == {"dead-lettered": 2}


def test_of_deaths_that_came_round_the_last_two_followed_each_other() -> None:
    told = story()
    rejected(told, 0)
    told.find(0, queue=DEAD, path=(("aside", "expired", 1), ("tasks", "rejected", 2)), first="tasks")
    rejected(told, 1)
    told.find(1, queue=ASIDE, path=REJECTED)
    found = verdict(told)
    assert found.counts.misrouted == 0
    assert sum(fates(found).values()) == 2
    assert "dropped" not in fates(found)


def test_each_death_may_lead_to_one_of_several_queues() -> None:
    told = story()
    for number, queue in enumerate((DEAD, ASIDE)):
        rejected(told, number)
        told.find(number, queue=queue, path=REJECTED)
    found = verdict(told)
    assert fates(found) == {"dead-lettered": 2}
    assert found.counts.copies == 2
    assert found.counts.misrouted == 0


def test_or_into_several_at_once() -> None:
    told = story()
    rejected(told, 0)
    for queue in (DEAD, ASIDE):
        told.find(0, queue=queue, path=REJECTED)
    found = verdict(told)
    assert fates(found) == {"dead-lettered": 2}
    assert found.counts.copies == 2
    assert found.counts.misrouted == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"before": {"queues": (queue_facts("tasks"), queue_facts("dead"), queue_facts("aside"))}},
        {"after": {"queues": (queue_facts("tasks"), queue_facts("dead"), queue_facts("aside"))}},
        {"queues": {"tasks": {"dead_letter": "aside"}}},
    ],
)
def test_nothing_is_learned_where_the_broker_could_be_asked_or_the_scenario_says_it(changes: dict[str, Any]) -> None:
    told = story()
    rejected(told, 0)
    told.find(0, queue=DEAD, path=REJECTED)
    assert verdict(told, **changes).counts.misrouted == 1


def test_nor_from_what_came_without_a_death_or_with_those_of_an_earlier_life() -> None:
    told = story()
    rejected(told, 0)
    told.find(0, queue=DEAD)
    assert verdict(told).counts.misrouted == 1
    told = story()
    told.confirm(told.publish(0, carried=1))
    told.reject(0, told.deliver(0))
    told.find(0, queue=DEAD, path=REJECTED)
    assert verdict(told).counts.misrouted == 1


def test_nor_from_a_death_elsewhere_or_a_queue_that_the_run_did_not_declare() -> None:
    told = Story(queues=("tasks", "dead", "aside", "theirs"))
    rejected(told, 0)
    told.find(0, queue=DEAD, path=(("theirs", "rejected", 1),))
    rejected(told, 1)
    told.find(1, queue=3, path=REJECTED)
    assert verdict(told).counts.misrouted == 2
