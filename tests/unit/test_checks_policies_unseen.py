"""Where a broker cannot be asked for its policies, one of them may have taken what is missing: no broker is accused, and no loss is asserted."""

from __future__ import annotations

from typing import Any

import pytest

from harness.checks.judge import judge
from harness.events import BrokerLook
from harness.history.records import AckMode
from harness.verdict.data import Fate, Outcome, VariantVerdict
from tests.unit.histories import Story, queue_facts, scenario

EXTERNAL = {"not_asked": "it is external"}
FACTS = {"queues": (queue_facts("tasks"),)}
POLICIES = "the policies of the broker, which may have dropped or expired messages (it is external)"
SAID = "may have been removed from tasks by a policy that nobody could look at, or may have been lost"
ACCUSED = ("This is what a fault of the broker itself looks like", "the broker broke its promise")


def verdict(told: Story, before: Any = EXTERNAL, after: Any = EXTERNAL, **changes: Any) -> VariantVerdict:
    """Of a run that looked at its broker twice."""
    told.event(BrokerLook, moment="before the traffic", **before)
    told.event(BrokerLook, moment="after the drain", **after)
    return judge(told.history(), scenario(queues={"tasks": {}}, **changes), name="guarantee")


def missing() -> Story:
    """Of two messages one was done."""
    told = Story()
    told.sent(0)
    told.sent(1)
    told.process(1)
    return told


def bounds(found: VariantVerdict, fate: Fate) -> tuple[int, int]:
    return found.counts.least(fate), found.counts.most(fate)


def said(found: VariantVerdict) -> str:
    return " ".join([*(each.sentence for each in found.causes), *(each.sentence for each in found.not_done)])


def test_what_nothing_explains_may_have_been_taken_by_a_policy() -> None:
    found = verdict(missing())
    assert bounds(found, Fate.LOST) == (0, 1)
    assert bounds(found, Fate.REMOVED) == (0, 1)
    assert said(found) == f"1 message {SAID}."
    assert POLICIES in found.not_looked_at


def test_the_run_is_violated_all_the_same_for_it_was_one_or_the_other() -> None:
    found = verdict(missing())
    assert found.outcome is Outcome.VIOLATED
    assert {each.path for each in found.expectations if each.holds is False} == {"lost", "removed"}


def test_it_is_undecided_where_one_of_the_two_is_expected() -> None:
    assert verdict(missing(), expect={"removed": ">= 0"}).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize(("before", "after"), [(FACTS, FACTS), (FACTS, EXTERNAL), (EXTERNAL, FACTS)])
def test_where_the_broker_was_asked_once_it_is_lost(before: dict[str, Any], after: dict[str, Any]) -> None:
    found = verdict(missing(), before, after)
    assert bounds(found, Fate.LOST) == (1, 1)
    assert POLICIES not in found.not_looked_at


def test_it_is_lost_where_the_run_is_not_known_to_have_looked() -> None:
    found = judge(missing().history(), scenario(), name="guarantee")
    assert bounds(found, Fate.LOST) == (1, 1)
    assert ACCUSED[0] in said(found)


def test_no_promise_is_called_broken() -> None:
    told = Story()
    told.sent(0)
    told.restart_broker()
    found = verdict(told)
    assert bounds(found, Fate.LOST) == (0, 1)
    assert SAID in said(found)
    assert not any(each in said(found) for each in ACCUSED)


def test_what_a_fault_explains_is_lost_by_it() -> None:
    told = Story()
    told.confirm(told.publish(0, persistent=False))
    told.restart_broker()
    found = verdict(told)
    assert bounds(found, Fate.LOST) == (1, 1)
    assert found.causes[0].setting == "publishers.persistent: true"


def test_what_was_at_a_worker_was_not_in_a_queue() -> None:
    told = Story()
    told.consume(acks=AckMode.AUTOMATIC)
    told.sent(0)
    told.deliver(0)
    told.kill_worker()
    assert bounds(verdict(told, workers={"count": 2, "acks": "automatic"}), Fate.LOST) == (1, 1)


def test_nor_was_what_was_done_on_another_body() -> None:
    told = Story()
    told.sent(0)
    tag = told.deliver(0, corrupt=True)
    told.complete(0, tag)
    told.ack(tag)
    assert bounds(verdict(told), Fate.LOST) == (1, 1)


def test_nor_what_a_worker_acknowledged_and_did_not_do() -> None:
    told = Story()
    told.sent(0)
    told.ack(told.deliver(0))
    found = verdict(told)
    assert bounds(found, Fate.LOST) == (1, 1)


def test_what_came_back_to_its_queue_may_have_been_taken_there() -> None:
    told = Story()
    told.sent(0)
    told.deliver(0)
    told.kill_worker()
    assert bounds(verdict(told), Fate.LOST) == (0, 1)


def test_of_consumers_that_were_seen_it_is_said_first() -> None:
    there = {"queues": (queue_facts("tasks", foreign_consumers=1),)} | EXTERNAL
    found = verdict(missing(), there, there)
    assert bounds(found, Fate.REMOVED)[1] == 1
    assert "not the run's" in said(found)


def test_nothing_is_said_of_policies_where_nothing_is_missing() -> None:
    told = Story()
    told.sent(0)
    told.process(0)
    found = verdict(told)
    assert found.outcome is Outcome.AS_EXPECTED
    assert found.not_done == ()
