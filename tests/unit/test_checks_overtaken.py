"""By when a copy had surely left its queue: every consumer that may have been sent it has received something later."""

from __future__ import annotations

import numpy as np

from harness.checks.rules.overtaken import Overtaken
from harness.checks.tally.message_table import tabulate
from harness.checks.tally.times import NEVER
from harness.history.records import Kind
from harness.scenario.scenario import Scenario
from tests.unit.histories import MS, Story, scenario

PLAIN = scenario(queues={"tasks": {}, "second": {}})
ONE_AT_A_TIME = scenario(queues={"tasks": {"arguments": {"x-single-active-consumer": True}}, "second": {}})


def a_story() -> Story:
    story = Story(queues=("tasks", "second"))
    story.now = 0
    return story


def since_ms(story: Story, *sure_ms: int, of: Scenario = PLAIN, queue: str = "tasks") -> list[int]:
    """By when copies that stood in the queue by some times (milliseconds) had left; NEVER where nothing shows it."""
    sure_ns = np.array([each if each == NEVER else each * MS for each in sure_ms], dtype=np.int64)
    found = Overtaken(queue, tabulate(story.history(), of)).since_ns(sure_ns)
    return [at if at == NEVER else at // MS for at in found.tolist()]


def test_a_copy_had_left_when_the_only_consumer_received_a_later_one() -> None:
    story = a_story()
    story.consume()
    story.publish(0)  # at 2 ms
    story.publish(1)  # at 3 ms
    story.deliver(0)
    story.deliver(1)  # at 5 ms
    assert since_ms(story, 1, 2, 3, NEVER) == [4, 5, NEVER, NEVER]


def test_what_is_delivered_out_of_order_overtakes_from_then_on() -> None:
    story = a_story()
    story.consume()
    for seq in range(3):
        story.publish(seq)  # at 2, 3 and 4 ms
    story.deliver(2)  # at 5 ms
    story.deliver(0)
    assert since_ms(story, 1, 3) == [5, 5]


def test_every_consumer_must_have_received_a_later_one() -> None:
    story = a_story()
    story.consume(1)
    story.consume(2)
    story.publish(0)
    story.publish(1)
    story.publish(2)
    story.deliver(1)  # at 6 ms
    assert since_ms(story, 3) == [NEVER]
    story.deliver(2, to=2)  # at 8 ms, after the end of the drain
    assert since_ms(story, 3) == [8]


def test_a_consumer_that_began_after_all_others_had_passed_it_decides_nothing() -> None:
    story = a_story()
    story.consume(1)
    story.publish(0)
    story.publish(1)
    story.deliver(1)  # at 4 ms
    story.consume(2)
    assert since_ms(story, 2) == [4]


def test_an_attempt_to_connect_that_failed_is_no_consumer() -> None:
    story = a_story()
    story.consume()
    story.publish(0)  # at 2 ms
    story.publish(1)
    story.deliver(1)  # at 4 ms
    story.lose_connection("worker")
    story.lose_connection("worker", kind=Kind.CONNECT_FAILED, connection=0)
    assert since_ms(story, 2) == [4]


def test_a_consumer_that_began_before_may_have_been_sent_it() -> None:
    story = a_story()
    story.consume(1)
    story.publish(0)
    story.publish(1)
    story.consume(2)
    story.deliver(1)  # at 5 ms
    assert since_ms(story, 2) == [NEVER]
    story.publish(2)
    story.deliver(2, to=2)  # at 8 ms, after the end of the drain
    assert since_ms(story, 2) == [8]


def test_a_consumer_that_was_over_before_the_copy_came_decides_nothing() -> None:
    story = a_story()
    story.consume(1)
    story.consume(2)
    story.lose_connection("worker", 2)  # at 3 ms
    story.publish(0)
    story.publish(1)
    story.deliver(1)  # at 6 ms
    assert since_ms(story, 2, 3, 4) == [NEVER, 6, 6]


def test_a_connection_that_ended_before_anything_later_came_proves_nothing() -> None:
    story = a_story()
    story.consume(1)
    story.publish(0)
    story.publish(1)
    story.lose_connection("worker")
    story.consume(1, connection=2)
    story.deliver(1, connection=2)
    assert since_ms(story, 2) == [NEVER]


def test_a_single_active_consumer_decides_alone() -> None:
    story = a_story()
    story.consume(1)
    story.consume(2)
    story.publish(0)  # at 3 ms
    story.publish(1)
    story.deliver(1, to=2)  # at 5 ms
    assert since_ms(story, 3, of=ONE_AT_A_TIME) == [5]
    assert since_ms(story, 3) == [NEVER]


def test_another_queue_and_what_died_on_its_way_show_nothing() -> None:
    story = a_story()
    story.consume(1)
    story.publish(0)
    story.publish(1)
    story.publish(2, route=1)
    story.deliver(1, died=True)
    story.deliver(2, queue=1)
    assert since_ms(story, 2) == [NEVER]


def test_a_queue_without_consumers_shows_nothing() -> None:
    story = a_story()
    story.publish(0)
    story.consume(1)
    assert since_ms(story, 1, queue="second") == [NEVER]


def test_consumers_that_were_all_over_before_the_copy_came_show_nothing() -> None:
    story = a_story()
    story.consume(1)
    story.lose_connection("worker")
    story.publish(0)
    assert since_ms(story, 3) == [NEVER]


def test_consumers_of_another_queue_decide_nothing() -> None:
    story = a_story()
    story.consume(1)
    story.consume(2, queue=1)
    story.publish(0)
    story.publish(1)
    story.deliver(1)  # at 5 ms
    assert since_ms(story, 3) == [5]


def test_a_consumer_that_begins_at_the_moment_of_the_last_pass_decides_nothing() -> None:
    story = a_story()
    story.consume(1)
    story.publish(0)
    story.publish(1)
    story.deliver(1)  # at 4 ms
    story.now -= MS
    story.consume(2)  # at 4 ms
    assert since_ms(story, 2) == [4]


def test_a_run_without_any_connection_shows_nothing() -> None:
    assert since_ms(a_story(), 1) == [NEVER]
