"""When messages were due by their publishers' rates, how long their work took from then on, and which were not sent in time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.checks.judge import judge
from harness.checks.rules.schedule import TOLERANCE_S, schedules
from harness.checks.tally.message_table import tabulate
from harness.checks.tally.times import NEVER
from harness.events import HostLost, PublishingEnded
from harness.verdict.data import VariantVerdict
from harness.verdict.times import Schedule
from tests.unit.histories import MS, Story, scenario

RATE = {"rate": {"per_second": 100, "catch_up": True}}


def publish_at(story: Story, seq: int, at_ms: int, *, by: int = 1, attempt: int = 1) -> None:
    story.now = (at_ms - 1) * MS
    story.publish(seq, by=by, attempt=attempt)


def judged(story: Story, **changes: Any) -> VariantVerdict:
    publishers = changes.pop("publishers", {"messages": 7} | RATE)
    return judge(story.history(), scenario(publishers=publishers, **changes), name="x")


def kept(story: Story, **changes: Any) -> Schedule:
    found = judged(story, **changes).schedule
    assert found is not None
    return found


def outage() -> Story:
    """Seven messages, due each 10 ms from 1 s on; the first three are sent in time, the others at 2 s."""
    story = Story()
    for seq in range(7):
        publish_at(story, seq, 1000 + 10 * seq if seq < 3 else 2000)
    for seq in range(7):
        story.process(seq)
    return story


def test_a_message_is_due_so_many_intervals_after_its_publishers_first_one() -> None:
    story = Story()
    publish_at(story, 0, 1000)
    publish_at(story, 1, 1300)
    publish_at(story, 0, 1400, by=2)
    publish_at(story, 3, 1500, by=2)
    seen = tabulate(story.history(), scenario(publishers={"count": 2, "messages": 4, "rate": 4}))
    found = schedules(seen, scenario(publishers={"count": 2, "messages": 4, "rate": 4}))
    assert found is not None
    assert (found.due[slice(0, 6)] // MS).tolist() == [1000, 1250, 1400, 1650, 1900, 2150]
    assert (found.due[np.array([5, 0, 3])] // MS).tolist() == [2150, 1000, 1650]
    assert (found.due[slice(3, 5)] // MS).tolist() == [1650, 1900]


@given(st.integers(0, 9), st.integers(0, 9))
def test_a_slice_of_due_times_is_part_of_all(begin: int, length: int) -> None:
    story = Story()
    for by, count in ((1, 2), (2, 5), (3, 2)):
        for seq in range(count):
            publish_at(story, seq, 1000 * by + seq, by=by)
    asked = scenario(publishers={"count": 3, "messages": 5, "rate": 3})
    found = schedules(tabulate(story.history(), asked), asked)
    assert found is not None
    whole = found.due[slice(0, 9)].tolist()
    assert found.due[slice(begin, begin + length)].tolist() == whole[begin : begin + length]


def test_without_a_rate_nothing_is_due() -> None:
    found = judged(outage(), publishers={"messages": 7})
    assert (found.schedule, found.completion_due_latency, found.completion_due_latency_detail) == (None, None, None)


def test_of_publishers_without_a_rate_no_message_is_due() -> None:
    story = Story()
    for by in (1, 2):
        for seq in range(3):
            story.publish(seq, by=by)
    asked = scenario(
        publishers=[{"name": "publisher", "messages": 3}, {"name": "paced", "messages": 3, "rate": 10}],
    )
    history = story.history()
    seen = tabulate(history, asked)
    found = schedules(seen, asked)
    assert found is not None
    assert (found.due[slice(0, 6)] == NEVER).tolist() == [True] * 6, "the names of this history are publisher-1 and -2"
    assert judge(history, asked, name="x").schedule == Schedule(0, 0, 0.0, TOLERANCE_S, 3)


def test_the_latency_from_when_messages_were_due_counts_the_outage_that_kept_them_from_being_sent() -> None:
    found = judged(outage())
    assert found.completion_latency is not None
    assert found.completion_due_latency is not None
    assert found.completion_due_latency.count == found.completion_latency.count == 7
    assert (found.completion_latency.p50, found.completion_due_latency.p50) == (0.02, 0.981)
    assert found.completion_due_latency.max == found.completion_latency.max == 1.002
    steps = found.completion_due_latency_detail
    assert steps is not None
    assert steps.steps[-1].begin_s + steps.step_s < 2, "by when they were due"


def test_what_was_sent_long_after_it_was_due_was_not_sent_in_time() -> None:
    found = kept(outage())
    assert (found.sent, found.late, found.most_late_s, found.never_sent) == (7, 4, 0.97, 0)


@pytest.mark.parametrize(("late_ms", "late"), [(250, 0), (251, 1)])
def test_a_quarter_of_a_second_is_in_time(late_ms: int, late: int) -> None:
    story = Story()
    publish_at(story, 0, 1000)
    publish_at(story, 1, 1010 + late_ms)
    assert (TOLERANCE_S, kept(story).late) == (0.25, late)


def test_only_the_first_attempt_of_a_message_is_late_or_in_time() -> None:
    story = Story()
    publish_at(story, 0, 1000)
    publish_at(story, 1, 1010)
    publish_at(story, 1, 3000, attempt=2)
    assert kept(story).late == 0


def test_what_a_publisher_had_to_send_and_did_not_was_never_sent() -> None:
    story = Story()
    publish_at(story, 0, 1000)
    assert kept(story, publishers={"count": 2, "messages": 10} | RATE).never_sent == 19


def test_of_publishers_that_go_by_time_what_was_due_well_before_its_end_should_have_been_sent() -> None:
    story = Story()
    for seq in range(5):
        publish_at(story, seq, 1000 + 10 * seq)
    by_time = {"publishers": {"duration": "2s"} | RATE}
    assert kept(story, **by_time).never_sent is None, "nobody knows when it ended"
    story.now = 2249 * MS
    story.event(PublishingEnded, group="publisher")
    assert kept(story, **by_time).never_sent == 100 - 5
    both = {"publishers": {"count": 2, "duration": "2s"} | RATE}
    assert kept(story, **both).never_sent == 100 - 5, "the schedule of the second one never began"


def test_a_run_that_lost_a_machine_says_nothing_of_its_schedules() -> None:
    story = outage()
    story.event(HostLost, host="there", actors=("publisher-1",), reason="gone")
    assert judged(story).schedule is None


def test_a_latency_from_due_may_be_expected() -> None:
    expect = {"latency": {"completion": {"max": "< 200ms"}, "completion_due": {"max": "< 200ms", "p50": "< 5s"}}}
    found = {each.path: each.holds for each in judged(outage(), expect=expect).expectations if "latency" in each.path}
    assert found["latency.completion_due.max"] is False
    assert found["latency.completion_due.p50"] is True
