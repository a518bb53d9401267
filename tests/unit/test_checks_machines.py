"""Verdicts of runs that were spread over machines, and of runs that lost one."""

from __future__ import annotations

from harness.checks.judge import judge
from harness.events import HostGathered, HostLost, InfrastructureFailed, ProcessStarted
from harness.verdict.data import Machine, Outcome, VariantVerdict
from tests.unit.histories import Story, V, scenario


def spread(*, lost: bool, corrupt: bool = False, failed: bool = True) -> VariantVerdict:
    """Two messages confirmed; one is done by the worker of machine `a`, the other by that of `b`, if it is still there."""
    story = Story()
    story.event(ProcessStarted, role="worker", actor="worker-1", incarnation=1, pid=1, host="a")
    story.event(ProcessStarted, role="worker", actor="worker-2", incarnation=1, pid=2, host="b")
    story.event(ProcessStarted, role="publisher", actor="publisher-1", incarnation=1, pid=3, host="a")
    story.sent(0)
    story.sent(1)
    tag = story.deliver(0, to=1, corrupt=corrupt)
    story.complete(0, tag, to=1)
    story.ack(tag, to=1)
    if lost:
        story.event(HostLost, host="b", actors=("worker-2",), reason="the cable is cut")
        if failed:
            story.event(InfrastructureFailed, message="the machine b was lost in the middle of the run")
    else:
        story.process(1, to=2)
        story.event(HostGathered, host="b", offset_ns=2_000_000_000, error_ns=300_000, records=2)
    story.event(HostGathered, host="a", offset_ns=-1_000_000, error_ns=100_000, records=6)
    return judge(story.history(end=not lost or not failed), scenario(), name=V)


def test_a_verdict_says_who_ran_where_and_how_well_the_clocks_are_known() -> None:
    found = spread(lost=False)
    assert found.outcome is Outcome.AS_EXPECTED
    assert found.machines == (
        Machine("a", ("worker-1", "publisher-1"), 6, -0.001, 0.0001),
        Machine("b", ("worker-2",), 2, 2.0, 0.0003),
    )


def test_messages_whose_records_are_gone_are_not_called_lost() -> None:
    found = spread(lost=True)
    assert found.outcome is Outcome.INFRASTRUCTURE
    assert found.headline == "Infrastructure: the machine b was lost in the middle of the run"
    assert "what worker-2 did and recorded on b is gone: nothing can be said of the messages" in found.reasons
    assert (found.causes, found.lost, found.loss_rate_below) == ((), (), None)
    lost = next(each for each in found.expectations if each.path == "lost")
    assert (lost.holds, lost.observed) == (None, "1, without what is gone")
    assert found.machines[1] == Machine("b", ("worker-2",), None, None, None, "the cable is cut")


def test_a_machine_that_was_lost_at_the_very_end_makes_no_run_as_expected() -> None:
    assert spread(lost=True, failed=False).outcome is Outcome.INFRASTRUCTURE


def test_a_body_that_was_seen_to_be_corrupt_is_a_violation_all_the_same() -> None:
    assert spread(lost=True, corrupt=True).outcome is Outcome.VIOLATED


def test_a_run_on_one_machine_names_none() -> None:
    story = Story()
    story.event(ProcessStarted, role="worker", actor="worker-1", incarnation=1, pid=1)
    story.sent(0)
    story.process(0)
    assert judge(story.history(), scenario(), name=V).machines == ()
