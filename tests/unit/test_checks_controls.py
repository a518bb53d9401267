"""A control is shown by the losses that a setting would have prevented which it takes away, and by no others."""

from __future__ import annotations

from typing import Any

import pytest

from harness.checks.judge import judge
from harness.verdict.data import ExpectationResult, Fate, Outcome, VariantVerdict
from tests.unit.histories import MS, Story, scenario

AUTOMATIC: dict[str, Any] = {"workers": {"count": 2, "acks": "automatic"}}


def control(
    story: Story, *paths: str, expect: dict[str, Any], before: dict[str, Any] | None = None, **sections: Any
) -> VariantVerdict:
    """Judge a control that sets some paths; the sections are those of the scenario that it makes of the one `before`."""
    return judge(
        story.history(),
        scenario(**sections, expect=expect),
        name="a control",
        settings=dict.fromkeys(paths, "x"),
        before=None if before is None else scenario(**before),
    )


def held(verdict: VariantVerdict, path: str) -> ExpectationResult:
    (found,) = (result for result in verdict.expectations if result.path == path)
    return found


def lost_at_a_worker() -> Story:
    """One of two messages is at worker-1 when it is killed, acknowledged by the broker on sending."""
    story = Story()
    story.sent(0)
    story.sent(1)
    story.process(0, to=2)
    story.deliver(1)
    story.kill_worker()
    return story


@pytest.mark.parametrize("path", ["workers.acks", "workers.0.acks", "workers.worker.acks", "workers", "workers.0"])
def test_a_loss_shows_a_control_that_takes_its_remedy_away(path: str) -> None:
    verdict = control(lost_at_a_worker(), path, expect={"lost": ">= 1", "lost_at": {"worker": 1}}, **AUTOMATIC)
    assert verdict.outcome is Outcome.AS_EXPECTED
    assert verdict.causes[0].settings == (("workers.acks",),)


@pytest.mark.parametrize("path", ["publishers.persistent", "workers.prefetch", "queues.tasks.durable"])
def test_a_loss_for_another_reason_does_not(path: str) -> None:
    verdict = control(lost_at_a_worker(), path, expect={"lost": ">= 1"}, **AUTOMATIC)
    assert verdict.outcome is Outcome.VIOLATED
    assert held(verdict, "lost").observed == "1, of which 0 for want of what the control takes away"


def test_a_place_where_messages_are_lost_is_asked_of_the_control_s_own_losses_too() -> None:
    verdict = control(
        lost_at_a_worker(), "publishers.persistent", expect={"lost": ">= 0", "lost_at": {"worker": ">= 1"}}, **AUTOMATIC
    )
    assert held(verdict, "lost").holds
    assert held(verdict, "lost_at.worker").holds is False


def test_an_exact_number_is_of_all_losses_and_asks_for_as_many_of_its_own() -> None:
    story = lost_at_a_worker()
    assert control(story, "workers.acks", expect={"lost": 1}, **AUTOMATIC).outcome is Outcome.AS_EXPECTED
    assert held(control(story, "workers.acks", expect={"lost": 2}, **AUTOMATIC), "lost").observed == "1"


def test_the_guarantee_is_shown_by_any_loss() -> None:
    made = scenario(expect={"lost": ">= 1"}, **AUTOMATIC)
    assert judge(lost_at_a_worker().history(), made, name="guarantee").outcome is Outcome.AS_EXPECTED


def test_a_control_that_expects_no_loss_is_not_asked_why_there_is_none() -> None:
    story = Story()
    story.sent(0)
    story.process(0)
    assert control(story, "workers.prefetch", expect={"lost": 0, "processed": 1}).outcome is Outcome.AS_EXPECTED


def test_a_loss_at_one_group_of_workers_does_not_show_a_control_of_another_group() -> None:
    groups: dict[str, Any] = {
        "workers": [{"name": "worker", "acks": "automatic"}, {"name": "other", "acks": "automatic"}]
    }
    story = lost_at_a_worker()
    assert control(story, "workers.worker.acks", expect={"lost": 1}, **groups).outcome is Outcome.AS_EXPECTED
    assert control(story, "workers.other.acks", expect={"lost": 1}, **groups).outcome is Outcome.VIOLATED
    assert control(story, "workers.1.acks", expect={"lost": 1}, **groups).outcome is Outcome.VIOLATED


def gone_with_a_restart(*, persistent: bool = False, confirms: bool = True) -> Story:
    story = Story()
    for seq in range(2):
        tag = story.publish(seq, persistent=persistent, confirms=confirms)
        if confirms:
            story.confirm(tag)
    story.process(0)
    story.restart_broker()
    return story


@pytest.mark.parametrize(
    ("path", "outcome"),
    [
        ("publishers.persistent", Outcome.AS_EXPECTED),
        ("publishers.publisher.persistent", Outcome.AS_EXPECTED),
        ("queues.tasks.type", Outcome.AS_EXPECTED),
        ("queues.tasks.arguments", Outcome.AS_EXPECTED),
        ("queues.tasks.durable", Outcome.VIOLATED),
        ("publishers.confirms", Outcome.VIOLATED),
    ],
)
def test_transient_messages_are_kept_by_their_mark_or_by_a_quorum_queue(path: str, outcome: Outcome) -> None:
    assert control(gone_with_a_restart(), path, expect={"lost": 1}).outcome is outcome


def test_of_a_remedy_that_takes_two_settings_a_control_takes_both_away() -> None:
    queues: dict[str, Any] = {"queues": {"tasks": {"durable": False}}}
    story = gone_with_a_restart()
    both = "publishers.persistent", "queues.tasks.durable"
    assert held(control(story, *both, expect={"lost": ">= 1"}, **queues), "lost").holds
    for one in both:
        assert held(control(story, one, expect={"lost": ">= 1"}, **queues), "lost").holds is False


def test_a_loss_at_one_group_of_publishers_does_not_show_a_control_of_another_group() -> None:
    groups: dict[str, Any] = {"publishers": [{"name": "publisher", "messages": 2}, {"name": "other", "messages": 2}]}
    story = gone_with_a_restart()
    assert (
        control(story, "publishers.publisher.persistent", expect={"lost": 1}, **groups).outcome is Outcome.AS_EXPECTED
    )
    assert control(story, "publishers.other.persistent", expect={"lost": 1}, **groups).outcome is Outcome.VIOLATED


def test_what_a_step_of_the_control_s_own_timeline_took_shows_it() -> None:
    story = gone_with_a_restart()
    for path in ("timeline", "timeline.0", "timeline.0.restart.broker"):
        assert control(story, path, expect={"lost": 1}).outcome is Outcome.AS_EXPECTED
    assert control(story, "timeline.1", expect={"lost": 1}).outcome is Outcome.VIOLATED


def test_a_broken_promise_shows_no_control() -> None:
    story = gone_with_a_restart(persistent=True)
    for path in ("timeline", "publishers.persistent", "queues.tasks.type"):
        assert control(story, path, expect={"lost": 1}).outcome is Outcome.VIOLATED


def rejected() -> Story:
    """A message is rejected, and its queue has no dead letter target."""
    story = Story()
    story.sent(0)
    story.reject(0, story.deliver(0))
    return story


@pytest.mark.parametrize(
    ("path", "outcome"),
    [("queues.tasks.dead_letter", Outcome.AS_EXPECTED), ("queues.tasks.max_length", Outcome.VIOLATED)],
)
def test_what_was_dropped_shows_a_control_that_takes_its_remedy_away(path: str, outcome: Outcome) -> None:
    verdict = control(rejected(), path, expect={"dropped": 1}, workers={"fails": {"every": 1, "by": "reject"}})
    assert verdict.outcome is outcome


def full(overflow: str) -> dict[str, Any]:
    return {"queues": {"tasks": {"max_length": 1, "overflow": overflow}}}


@pytest.mark.parametrize(
    "path", ["queues.tasks.overflow", "queues.tasks.max_length", "queues.tasks.arguments.x-overflow"]
)
def test_what_a_full_queue_dropped_shows_a_control_of_its_length_or_of_what_it_does_then(path: str) -> None:
    story = Story()
    for seq in range(3):
        story.sent(seq)
    story.process(2)
    verdict = control(story, path, expect={"dropped": ">= 1"}, **full("drop-head"))
    assert verdict.counts.fates
    assert held(verdict, "dropped").holds
    assert (
        held(
            control(story, "queues.tasks.message_ttl", expect={"dropped": ">= 1"}, **full("drop-head")), "dropped"
        ).holds
        is False
    )


@pytest.mark.parametrize(
    ("lost", "holds", "observed"),
    [
        (">= 1", True, "1 to 3"),
        (3, None, "1 to 3, of which 1 to 3 for want of what the control takes away"),
        (">= 3", None, "1 to 3, of which 1 to 3 for want of what the control takes away"),
        (">= 4", False, "1 to 3"),
    ],
)
def test_what_is_only_possibly_of_another_fate_may_be_a_loss_that_shows_the_control(
    lost: object, holds: bool | None, observed: str
) -> None:
    """One message dies with worker-1, one is rejected; two that waited too long may as well have been lost."""
    story = lost_at_a_worker()
    story.sent(0, by=2)
    story.reject(0, story.deliver(0, to=2, of=2), to=2, of=2)
    story.publish(2, confirms=False)
    story.sent(1, by=2)
    story.now += 5000 * MS
    expired = {"queues": {"tasks": {"message_ttl": "1s"}}}
    verdict = control(story, "workers.acks", expect={"lost": lost}, **AUTOMATIC, **expired)
    assert (verdict.counts.fates[Fate.DROPPED], verdict.counts.possible) == (1, {Fate.EXPIRED: 2})
    assert (held(verdict, "lost").holds, held(verdict, "lost").observed) == (holds, observed)


def test_a_control_that_is_not_shown_where_nothing_was_at_risk_is_inconclusive() -> None:
    story = Story()
    story.sent(0)
    story.process(0)
    story.kill_worker()
    verdict = control(story, "workers.acks", expect={"lost": ">= 1"}, **AUTOMATIC)
    assert verdict.outcome is Outcome.INCONCLUSIVE


# What the scenario has itself.


@pytest.mark.parametrize(("acks", "holds"), [("manual", True), ("early", False), ("automatic", False)])
@pytest.mark.parametrize("path", ["workers.acks", "workers"])
def test_a_control_takes_away_only_what_the_scenario_had(acks: str, path: str, holds: bool) -> None:
    before = {"workers": {"count": 2, "acks": acks}}
    found = control(
        lost_at_a_worker(), path, expect={"lost": ">= 1", "lost_at": {"worker": ">= 1"}}, before=before, **AUTOMATIC
    )
    assert held(found, "lost").holds is holds
    assert held(found, "lost_at.worker").holds is holds


@pytest.mark.parametrize(("first", "other", "holds"), [("manual", "early", True), ("early", "manual", False)])
def test_of_several_groups_the_one_counts_where_it_was_lost(first: str, other: str, holds: bool) -> None:
    made, before = (
        {"workers": [{"name": "worker", "acks": one}, {"name": "other", "acks": two}]}
        for one, two in (("automatic", "automatic"), (first, other))
    )
    found = control(lost_at_a_worker(), "workers.acks", expect={"lost": 1}, before=before, **made)
    assert held(found, "lost").holds is holds


def test_of_a_group_that_the_scenario_does_not_have_any_may_be_meant() -> None:
    made = {"workers": [{"name": "worker", "acks": "automatic"}]}
    for acks, holds in (("manual", True), ("early", False)):
        before = {"workers": [{"name": "hand", "acks": acks}]}
        assert held(
            control(lost_at_a_worker(), "workers", expect={"lost": 1}, before=before, **made), "lost"
        ).holds is (holds)


@pytest.mark.parametrize(
    ("path", "before", "holds"),
    [
        ("publishers.persistent", {"publishers": {"messages": 2}}, True),
        ("publishers.persistent", {"publishers": {"messages": 2, "persistent": False}}, False),
        ("queues.tasks", {"queues": {"tasks": {}}}, False),
        ("queues.tasks.type", {"queues": {"tasks": {"type": "quorum"}}}, True),
    ],
)
def test_messages_that_a_restart_took_show_a_control_if_they_had_been_kept(
    path: str, before: dict[str, Any], holds: bool
) -> None:
    found = control(gone_with_a_restart(), path, expect={"lost": 1}, before=before)
    assert held(found, "lost").holds is holds


@pytest.mark.parametrize(("durable", "holds"), [(True, True), (False, False)])
def test_a_queue_must_have_been_durable(durable: bool, holds: bool) -> None:
    story = gone_with_a_restart(persistent=True)
    queues: dict[str, Any] = {"queues": {"tasks": {"durable": False}}}
    before = {"queues": {"tasks": {"durable": durable}}}
    assert held(control(story, "queues.tasks", expect={"lost": 1}, before=before, **queues), "lost").holds is holds


@pytest.mark.parametrize(
    ("persistent", "durable", "holds"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_of_a_remedy_that_takes_two_settings_the_scenario_must_have_had_both(
    persistent: bool, durable: bool, holds: bool
) -> None:
    queues: dict[str, Any] = {"queues": {"tasks": {"durable": False}}}
    before = {"publishers": {"messages": 2, "persistent": persistent}, "queues": {"tasks": {"durable": durable}}}
    both = "publishers.persistent", "queues.tasks.durable"
    found = control(gone_with_a_restart(), *both, expect={"lost": 1}, before=before, **queues)
    assert held(found, "lost").holds is holds


@pytest.mark.parametrize(
    ("before", "holds"),
    [({"dead_letter": "tasks2"}, True), ({}, False)],
)
def test_a_dead_letter_target_must_have_been_there(before: dict[str, Any], holds: bool) -> None:
    workers: dict[str, Any] = {"workers": {"fails": {"every": 1, "by": "reject"}, "queue": "tasks"}}
    made = {"queues": {"tasks": {}, "tasks2": {}}, "publishers": {"messages": 1, "to": "tasks"}, **workers}
    found = control(
        rejected(),
        "queues.tasks",
        expect={"dropped": 1},
        before={**made, "queues": {"tasks": before, "tasks2": {}}},
        **made,
    )
    assert held(found, "dropped").holds is holds


@pytest.mark.parametrize(
    ("path", "before", "holds"),
    [
        ("queues.tasks.max_length", {}, True),
        ("queues.tasks.max_length", {"max_length": 2}, True),
        ("queues.tasks.max_length", {"max_length": 1, "overflow": "reject-publish"}, False),
        ("queues.tasks.overflow", {"max_length": 1, "overflow": "reject-publish"}, True),
        ("queues.tasks.overflow", {"max_length": 1}, False),
        ("queues.tasks", {"max_length": 1}, False),
    ],
)
def test_a_limit_must_have_been_looser_or_have_refused(path: str, before: dict[str, Any], holds: bool) -> None:
    story = Story()
    for seq in range(3):
        story.sent(seq)
    story.process(2)
    was = {"queues": {"tasks": before}}
    found = control(story, path, expect={"dropped": ">= 1"}, before=was, **full("drop-head"))
    assert held(found, "dropped").holds is holds


def test_what_a_step_of_the_control_took_shows_it_whatever_the_scenario_has() -> None:
    before = {"publishers": {"messages": 2, "persistent": False}}
    found = control(gone_with_a_restart(), "timeline", expect={"lost": 1}, before=before)
    assert held(found, "lost").holds
