"""What waits in each queue over time, and the backlog of all copies."""

from __future__ import annotations

from harness.checks.tally.topology import RunTopology
from harness.history.records import AckMode
from harness.history.series import series
from harness.report.depths import copies_by_route, depths
from tests.unit.histories import MS, Story, scenario

FANOUT = {
    "queues": {"a": {}, "b": {}},
    "exchanges": {"ex": {"type": "fanout"}},
    "bindings": [{"exchange": "ex", "queue": "a"}, {"exchange": "ex", "queue": "b"}],
    "publishers": {"messages": 10, "exchange": "ex", "routing_key": "k"},
    "workers": [{"name": "worker", "queue": "a"}],
}


def waiting(story: Story, **settings: object) -> dict[str, list[int]]:
    """By queue, the depths of all buckets, each once as long as it stays."""
    history = story.history()
    topology = RunTopology(scenario(**settings), history.events)
    data = series(history)
    assert data is not None
    found = depths(history, topology, data)
    assert all(len(depth) == len(data.begin_s) for depth in found.values())
    return {
        queue: [at for at, last in zip(depth, [-1, *depth], strict=False) if at != last]
        for queue, depth in found.items()
    }


def backlog(story: Story, **settings: object) -> list[int]:
    history = story.history()
    copies = copies_by_route(RunTopology(scenario(**settings), history.events), history)
    data = series(history, copies=copies)
    assert data is not None
    return [int(data.backlog.max()), int(data.backlog[-1])]


def test_a_message_waits_from_its_publish_to_its_delivery() -> None:
    story = Story()
    for seq in range(5):
        story.sent(seq)
    story.now += 100 * MS
    for seq in range(3):
        story.process(seq)
    assert waiting(story) == {"tasks": [5, 2]}


def test_what_a_killed_worker_held_waits_again() -> None:
    story = Story()
    story.consume(acks=AckMode.MANUAL)
    for seq in range(5):
        story.sent(seq)
    tags = [story.deliver(seq) for seq in range(5)]
    story.complete(0, tags[0])
    story.ack(tags[0])
    story.now += 100 * MS
    story.kill_worker()
    story.now += 100 * MS
    for seq in range(1, 5):
        story.process(seq, to=2, redelivered=True)
    assert waiting(story) == {"tasks": [0, 4, 0]}


def test_what_the_broker_takes_for_acknowledged_never_waits_again() -> None:
    story = Story()
    story.consume(acks=AckMode.AUTOMATIC)
    for seq in range(5):
        story.sent(seq)
        story.deliver(seq)
    story.now += 100 * MS
    story.kill_worker()
    assert waiting(story) == {"tasks": [0]}


def test_a_queue_holds_no_more_than_its_limit() -> None:
    story = Story()
    for seq in range(20):
        story.sent(seq)
    story.now += 100 * MS
    for seq in range(16, 20):
        story.process(seq)
    assert waiting(story, queues={"tasks": {"max_length": 4}}) == {"tasks": [4, 0]}


def test_a_message_moves_on_from_a_delay_queue_when_its_time_is_over() -> None:
    story = Story(queues=("tasks", "parking"))
    for seq in range(4):
        story.confirm(story.publish(seq, route=1))
    story.now += 600 * MS
    for seq in range(4):
        story.deliver(seq, died=True)
    queues = {"tasks": {}, "parking": {"message_ttl": "400ms", "dead_letter": "tasks"}}
    assert waiting(story, queues=queues, publishers={"messages": 4, "to": "parking"}) == {
        "tasks": [0, 4, 0],
        "parking": [4, 0],
    }


def test_a_rejected_message_waits_in_the_dead_letter_queue_and_a_requeued_one_in_its_own() -> None:
    story = Story(queues=("tasks", "dead"))
    for seq in range(3):
        story.sent(seq)
    tags = [story.deliver(seq) for seq in range(3)]
    story.reject(0, tags[0])
    story.reject(1, tags[1], requeue=True)
    assert waiting(story, queues={"tasks": {"dead_letter": "dead"}, "dead": {}}) == {"tasks": [1], "dead": [1]}


def test_a_publish_that_never_came_to_a_queue_does_not_wait_there() -> None:
    story = Story()
    for seq in range(3):
        story.publish(seq)
    story.confirm(1)
    story.lose_connection("publisher")
    story.confirm(story.publish(1, attempt=2, connection=2), connection=2)
    story.now += 100 * MS
    story.process(0)
    story.process(2)
    assert waiting(story) == {"tasks": [3, 1]}, "the third was not confirmed, and delivered all the same"


def test_a_message_waits_in_each_queue_that_its_exchange_routes_it_to() -> None:
    story = Story(queues=("a", "b"), routes=("ex/k",))
    for seq in range(6):
        story.sent(seq)
    story.now += 100 * MS
    for seq in range(6):
        story.deliver(seq)
    assert waiting(story, **FANOUT) == {"a": [6, 0], "b": [6]}


def test_backlog_counts_each_copy_and_a_second_completion_of_one_is_not_the_other() -> None:
    story = Story(queues=("a", "b"), routes=("ex/k",))
    for seq in range(6):
        story.sent(seq)
    story.now += 100 * MS
    for seq in range(4):
        story.process(seq)
        story.process(seq, redelivered=True)
    assert backlog(story, **FANOUT) == [12, 8]
    for seq in range(5):
        story.process(seq, queue=1, to=2)
    assert backlog(story, **FANOUT) == [12, 3]


def test_a_copy_that_died_into_the_queue_of_its_sibling_is_another_one() -> None:
    story = Story(queues=("a", "b"), routes=("ex/k",))
    story.sent(0)
    tag = story.deliver(0)
    story.reject(0, tag)
    story.process(0, queue=1, to=2)
    tag = story.deliver(0, queue=1, to=2, died=True)
    story.complete(0, tag, to=2)
    assert backlog(story, **FANOUT)[1] == 0


def test_a_queue_that_nothing_touched_is_empty_and_dead_letters_come_through_any_number_of_queues() -> None:
    story = Story()
    for seq in range(5):
        story.sent(seq)
    story.now += 3000 * MS
    story.sent(5)
    found = waiting(
        story,
        queues={
            "tasks": {"dead_letter": "second", "message_ttl": "1s"},
            "second": {"dead_letter": "third", "message_ttl": "1s"},
            "third": {},
            "untouched": {},
        },
    )
    assert found["untouched"] == [0]
    assert found["third"][-1] == 5
