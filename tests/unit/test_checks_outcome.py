"""What was at risk, what that makes of a run, and which verdict outranks which."""

from __future__ import annotations

from typing import Any

import pytest

from harness.checks.judge import judge
from harness.events import FaultMissed, InfrastructureFailed, TrafficStarted
from harness.verdict.data import Outcome, VariantVerdict
from tests.unit.histories import FOREIGN, MS, Story, scenario

AUTOMATIC: dict[str, Any] = {"workers": {"count": 2, "acks": "automatic"}}


def verdict(story: Story, *, end: bool = True, **settings: Any) -> VariantVerdict:
    return judge(story.history(end=end), scenario(**settings), name="x")


def risks(story: Story, **settings: Any) -> list[int | None]:
    return [fault.at_risk for fault in verdict(story, **settings).faults]


# What was at risk.


def test_a_worker_that_is_killed_risks_what_it_had_not_done_or_not_acknowledged() -> None:
    story = Story()
    for seq in range(3):
        story.sent(seq)
    story.process(0)
    story.complete(1, story.deliver(1))
    story.deliver(2)
    story.kill_worker()
    assert risks(story) == [2]


def test_another_worker_is_not_at_risk() -> None:
    story = Story()
    story.sent(0)
    story.deliver(0, to=2)
    story.kill_worker(1)
    assert risks(story) == [0]


def test_an_earlier_incarnation_is_not_at_risk() -> None:
    story = Story()
    story.sent(0)
    story.deliver(0)
    story.kill_worker(1, fault=0)
    story.process(0, to=2, redelivered=True)
    story.lose_connection("worker", incarnation=2, connection=9)
    story.kill_worker(1, fault=1, incarnation=2)
    assert risks(story) == [1, 0]


def test_a_publisher_that_is_killed_risks_what_was_not_settled() -> None:
    story = Story()
    story.sent(0)
    story.publish(1)
    story.confirm(story.publish(2), nack=True)
    story.fault("kill", "publisher-1")
    story.exited("publisher", fault=0)
    assert risks(story) == [1]


def test_a_publisher_without_confirms_risks_what_no_worker_had_got() -> None:
    story = Story()
    story.publish(0, confirms=False)
    story.process(0)
    story.publish(1, confirms=False)
    story.fault("kill", "publisher-1")
    story.exited("publisher", fault=0)
    assert risks(story, publishers={"messages": 2, "confirms": False}) == [1]


def test_the_broker_risks_all_that_is_not_done() -> None:
    story = Story()
    for seq in range(4):
        story.sent(seq)
    story.process(0)
    story.deliver(1)
    story.restart_broker()
    for seq in (1, 2, 3):
        story.process(seq, redelivered=True)
    assert risks(story) == [3]


def test_what_an_earlier_fault_took_is_not_at_risk_again() -> None:
    story = Story()
    story.confirm(story.publish(0, persistent=False))
    story.restart_broker(fault=0)
    story.restart_broker(fault=1)
    found = verdict(story)
    assert [fault.at_risk for fault in found.faults] == [1, 0]
    assert [fault.taken for fault in found.faults] == [1, 0]


def test_what_was_refused_is_not_at_risk() -> None:
    story = Story()
    story.confirm(story.publish(0), nack=True)
    story.restart_broker()
    assert risks(story) == [0]


def test_what_was_never_settled_is_at_risk_until_its_connection_is_lost() -> None:
    story = Story()
    story.publish(0)
    story.restart_broker(fault=0)
    story.lose_connection("publisher")
    story.restart_broker(fault=1)
    assert risks(story) == [1, 0]


def test_what_rests_in_a_queue_stays_at_risk() -> None:
    story = Story(queues=("tasks", "dead"))
    story.sent(0)
    story.restart_broker()
    story.find(0, queue=1)
    assert risks(story, queues={"tasks": {"dead_letter": "dead"}, "dead": {}}) == [1]


def test_closed_connections_risk_what_is_held_or_unsettled_and_not_what_waits() -> None:
    story = Story()
    for seq in range(3):
        story.sent(seq)
    story.deliver(0)
    story.publish(3)
    story.fault("close", "n1", family="connection")
    for role in ("publisher", "worker"):
        story.lose_connection(role)
    assert risks(story) == [2]


def test_closed_connections_risk_what_their_clients_had_in_hand_when_they_lost_them() -> None:
    story = Story()
    story.publish(0, confirms=False)
    story.fault("close", "n1", family="connection")
    story.process(0)
    story.publish(1, confirms=False)
    story.publish(2, confirms=False)
    story.lose_connection("publisher")
    assert risks(story, publishers={"messages": 3, "confirms": False}) == [2]


def test_the_sentence_counts_every_closing_of_a_step_that_closes_several_times() -> None:
    story = Story()
    story.process(0)
    story.fault("close", "n1", family="connection", fault=0, times=4)
    story.kill_worker(1, fault=1)
    assert "across 4 closings of all connections and 1 worker kill" in verdict(story).headline


def test_a_closing_that_met_no_connection_any_more_put_nothing_at_risk() -> None:
    story = Story()
    story.publish(0, confirms=False)
    story.fault("close", "n1", family="connection")
    story.process(0)
    assert risks(story, publishers={"messages": 1, "confirms": False}) == [0]


def test_a_worker_that_is_killed_beside_a_closing_is_not_in_its_reach() -> None:
    story = Story()
    story.sent(0)
    story.deliver(0)
    story.fault("close", "n1", family="connection", fault=0)
    story.kill_worker(1, fault=1)
    assert risks(story) == [0, 1]


def test_a_purge_risks_what_waits() -> None:
    story = Story()
    story.sent(0)
    story.sent(1)
    tag = story.deliver(0)
    story.fault("purge", "tasks", family="topology")
    story.complete(0, tag)
    assert risks(story) == [1]


def test_what_a_fault_took_unseen_was_at_risk() -> None:
    """Nothing shows that a message was on its way to the worker but its loss."""
    story = Story()
    story.sent(0)
    story.process(0)
    story.sent(1)
    story.kill_worker()
    found = verdict(story, expect={"lost": ">= 1"}, **AUTOMATIC)
    assert (found.faults[0].at_risk, found.faults[0].taken) == (1, 1)
    assert found.outcome is Outcome.AS_EXPECTED


@pytest.mark.parametrize("action", ["scale", "declare", "publish", "resume"])
def test_some_actions_put_nothing_at_risk_and_prove_nothing_the_less(action: str) -> None:
    story = Story()
    story.sent(0)
    story.process(0)
    story.fault(action, "tasks", family="topology")
    found = verdict(story)
    assert [fault.at_risk for fault in found.faults] == [None]
    assert found.outcome is Outcome.AS_EXPECTED


# What outranks what.


def harmless() -> Story:
    """A kill that met nothing."""
    story = Story()
    story.sent(0)
    story.process(0)
    story.kill_worker()
    return story


@pytest.mark.parametrize(
    ("expect", "outcome"),
    [
        ({}, Outcome.INCONCLUSIVE),
        ({"lost": ">= 1"}, Outcome.INCONCLUSIVE),
        ({"lost": "1..5"}, Outcome.INCONCLUSIVE),
        ({"lost": 300}, Outcome.INCONCLUSIVE),
        ({"lost_at": {"worker": ">= 1"}}, Outcome.INCONCLUSIVE),
        ({"redelivered": ">= 1"}, Outcome.INCONCLUSIVE),
        ({"lost": ">= 1", "processed": 0}, Outcome.VIOLATED),
        ({"processed": ">= 2"}, Outcome.VIOLATED),
        ({"redelivered": ">= 1", "duplicates": "> 0"}, Outcome.INCONCLUSIVE),
    ],
)
def test_what_only_a_fault_brings_about_had_no_chance_where_nothing_was_at_risk(
    expect: dict[str, Any], outcome: Outcome
) -> None:
    assert verdict(harmless(), expect=expect).outcome is outcome


def test_too_much_loss_is_violated_even_where_another_fault_met_nothing() -> None:
    story = Story()
    story.sent(0)
    story.process(0)
    story.kill_worker(fault=0)
    story.sent(1)
    assert verdict(story).outcome is Outcome.VIOLATED


def test_doubts_that_are_no_matter_of_risk_do_not_excuse_a_control() -> None:
    story = Story()
    story.sent(0)
    story.find(0)
    assert verdict(story, expect={"lost": ">= 1"}).outcome is Outcome.VIOLATED


def test_a_step_that_never_struck_makes_a_run_inconclusive() -> None:
    story = Story()
    story.sent(0)
    story.process(0)
    story.event(FaultMissed, fault=2, action="kill", reason="no worker held anything")
    found = verdict(story, expect={"lost": ">= 1"})
    assert found.outcome is Outcome.INCONCLUSIVE
    assert found.reasons == ("step 3 (kill) never struck: no worker held anything",)


def test_a_drain_that_did_not_finish_is_inconclusive_unless_what_may_be_left_is_said() -> None:
    def outcome(**expect: Any) -> Outcome:
        story = Story()
        story.sent(0)
        story.process(0)
        story.drained(complete=False)
        return verdict(story, expect=expect).outcome

    assert outcome() is Outcome.INCONCLUSIVE
    assert outcome(stranded=0) is Outcome.AS_EXPECTED


def test_stranded_messages_are_violated_only_where_the_scenario_speaks_of_them() -> None:
    def outcome(**expect: Any) -> Outcome:
        story = Story()
        story.sent(0)
        story.find(0)
        return verdict(story, expect=expect).outcome

    assert outcome() is Outcome.INCONCLUSIVE
    assert outcome(stranded=0) is Outcome.VIOLATED
    assert outcome(stranded=1) is Outcome.AS_EXPECTED


def failed() -> Story:
    story = Story()
    story.sent(0)
    story.event(InfrastructureFailed, message="the broker did not come back")
    return story


def test_a_failure_outranks_what_is_missing() -> None:
    found = verdict(failed())
    assert (found.outcome, found.reasons) == (Outcome.INFRASTRUCTURE, ("the broker did not come back",))


def test_what_is_there_and_must_not_be_outranks_a_failure() -> None:
    story = failed()
    story.process(3, of=FOREIGN)
    found = verdict(story)
    assert found.outcome is Outcome.VIOLATED
    assert found.reasons == ("phantom: expected 0, observed 1", "the broker did not come back")


@pytest.mark.parametrize(("wrong", "outcome"), [(False, Outcome.INTERRUPTED), (True, Outcome.VIOLATED)])
def test_an_interrupted_run_is_judged_by_what_is_there(wrong: bool, outcome: Outcome) -> None:
    story = Story()
    story.sent(0)
    if wrong:
        story.process(3, of=FOREIGN)
    assert verdict(story, end=False).outcome is outcome


@pytest.mark.parametrize(
    ("expect", "holds"), [({}, True), ({"phantom": 0}, True), ({"nacked": 0}, None), ({"nacked": 1}, None)]
)
def test_what_the_scenario_says_itself_of_a_run_that_was_interrupted_is_not_yet_decided(
    expect: dict[str, int], holds: bool | None
) -> None:
    """Unless it is of what must never be; and what is expected of every run is not called in doubt for it."""
    story = Story()
    story.sent(0)
    story.process(0)
    found = {each.path: (each.holds, each.stated) for each in verdict(story, end=False, expect=expect).expectations}
    for path in expect or found:
        assert found[path] == (holds, bool(expect))


def test_a_history_of_nothing_at_all() -> None:
    story = Story()
    story.events.clear()
    found = verdict(story, end=False)
    assert found.outcome is Outcome.INTERRUPTED
    assert found.counts.published == 0
    assert (found.loss_rate_below, found.duration_s) == (None, 0.0)


def test_publishers_that_wrote_nothing_and_no_workers() -> None:
    story = Story()
    story.rows[("publisher", "publisher-1", 1, 1)] = []
    story.rows[("publisher", "publisher-2", 2, 1)] = []
    story.sent(0, by=3)
    found = verdict(story)
    assert found.counts.published == 1
    assert found.by_publisher["publisher-3"][next(iter(found.by_publisher["publisher-3"]))] == 0
    assert set(found.by_publisher) == {"publisher-1", "publisher-2", "publisher-3"}


def test_the_duration_is_that_of_the_run() -> None:
    story = Story()
    story.now += 4998 * MS
    assert verdict(story).duration_s == pytest.approx(5.0, abs=0.01)


# The reasons, in words.


def test_what_is_left_in_a_delay_queue_makes_a_run_inconclusive_unless_it_may_be() -> None:
    def found(**expect: Any) -> VariantVerdict:
        story = Story(queues=("delay", "tasks"))
        story.sent(0)
        story.find(0)
        story.drained(complete=False)
        queues = {"delay": {"message_ttl": "1h", "dead_letter": "tasks"}, "tasks": {}}
        return verdict(story, queues=queues, workers={"queue": "tasks"}, expect=expect)

    assert found().outcome is Outcome.INCONCLUSIVE
    assert found().reasons == ("1 message still in a delay or retry queue when the drain ended",)
    assert found(in_transit=1).outcome is Outcome.AS_EXPECTED


def test_a_drain_that_did_not_finish_is_no_reason_of_its_own_where_something_is_left() -> None:
    story = Story()
    story.sent(0)
    story.find(0)
    story.drained(complete=False)
    assert verdict(story).reasons == ("1 message still in a work queue when the drain ended",)


def test_what_is_not_decided_is_a_reason() -> None:
    story = Story()
    story.sent(0)
    story.process(0)
    assert verdict(story, expect={"recovery": "< 1s"}).reasons == ("recovery: nothing to measure",)


def test_traffic_that_never_began_is_a_reason() -> None:
    story = Story()
    story.events = [event for event in story.events if not isinstance(event, TrafficStarted)]
    assert verdict(story).reasons == ("nothing was published", "the traffic never began")


# A run that was cut short.


def cut_short(story: Story, *, failed: bool) -> VariantVerdict:
    """Two messages were confirmed and one was done when the run was interrupted, or its broker failed."""
    story.sent(0)
    story.sent(1)
    story.process(0)
    story.restart_broker(action="kill")
    if failed:
        story.event(InfrastructureFailed, message="the broker does not answer")
        story.drained()
    return judge(story.history(end=False), scenario(), name="x")


@pytest.mark.parametrize("failed", [False, True])
def test_of_a_run_that_was_cut_short_nothing_is_called_lost(failed: bool) -> None:
    """What was not done may be in a queue that nobody has looked into."""
    found = cut_short(Story(), failed=failed)
    assert found.outcome is (Outcome.INFRASTRUCTURE if failed else Outcome.INTERRUPTED)
    assert (found.causes, found.lost, found.not_done) == ((), (), ())
    (lost,) = (each for each in found.expectations if each.path == "lost")
    assert (lost.observed, lost.holds, lost.explanation) == ("up to 1", None, "")


def test_what_must_never_be_is_wrong_in_a_run_that_was_cut_short_too() -> None:
    story = Story()
    story.process(7, of=FOREIGN)
    found = cut_short(story, failed=True)
    assert found.outcome is Outcome.VIOLATED
    assert {each.path: each.holds for each in found.expectations if each.path in ("phantom", "lost")} == {
        "phantom": False,
        "lost": None,
    }
