"""Why a copy was done again, to the very bounds: which delivery tells, and how far from a fault, a cancel or a lost ack it may be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from harness.checks.judge import judge
from harness.checks.rules.done_twice import Reason
from harness.checks.rules.duplicates import find_duplicates
from harness.checks.rules.endings import LAG_NS
from harness.checks.tally.message_table import tabulate
from harness.effects import HARMLESS, UNDECLARED, Becomes, Cuts, Effects, on_node, on_process
from harness.history.records import AckMode
from tests.unit.histories import MS, Story, scenario, strike

FAULT_MS, STRUCK_MS = 5000, 5001
CLUSTER = ("n1", "n2", "n3")


class Told(NamedTuple):
    """What is said of a copy that was done more than once."""

    seq: int
    reason: Reason
    actor: str = ""
    fault: int = -1
    times: int = 2


def told(story: Story, **settings: Any) -> list[Told]:
    history = story.history()
    table = tabulate(history, scenario(**settings))
    found = find_duplicates(table, history.events)
    columns = (found.copy, found.reason, found.session, found.fault, found.times)
    said = [
        Told(table.name(copy)[1], Reason(reason), "" if session < 0 else table.sessions[session].actor, fault, times)
        for copy, reason, session, fault, times in zip(*(each.tolist() for each in columns), strict=True)
    ]
    nothing = [each.seq for each in said if each.reason is Reason.NOTHING]
    assert [table.name(copy)[1] for copy in found.unexplained.tolist()] == nothing
    return said


def reason(story: Story, **settings: Any) -> Reason:
    (found,) = told(story, **settings)
    return found.reason


def at(story: Story, at_ms: int) -> Story:
    """What follows happens at a moment, and a millisecond after each other."""
    story.now = (at_ms - 1) * MS
    return story


def struck(
    story: Story, effects: Effects, *, fault: int = 0, at_ms: int = FAULT_MS, healed_ms: int | None = None
) -> None:
    """A step strikes a millisecond after it begins; the clock of the story stands still."""
    healed_ns = None if healed_ms is None else healed_ms * MS
    story.events += strike(effects, "n2", fault=fault, at_ns=at_ms * MS, healed_ns=healed_ns)


def twice(
    story: Story, first_ms: int, again_ms: int, *, acked_ms: int | None = None, again: int = 2, cancelled_ms: int = 0
) -> Story:
    """Worker-1 does a message, and may acknowledge it and be cancelled; then it is done again, by worker-2 if nothing else is said."""
    story.sent(0)
    steps: list[tuple[int, Callable[[], object]]] = [(first_ms, lambda: story.deliver(0, done=True))]
    if acked_ms is not None:
        steps.append((acked_ms, lambda: story.ack(1)))
    if cancelled_ms:
        steps.append((cancelled_ms, story.cancel))
    steps.append((again_ms, lambda: story.deliver(0, to=again, done=True)))
    for moment_ms, step in sorted(steps, key=lambda each: each[0]):
        at(story, moment_ms)
        step()
    return story


# Which of several deliveries tells why.


def redone(story: Story, *rounds: str) -> Story:
    """One worker after the other has the message, some seconds apart: each round says what becomes of it there."""
    story.sent(0)
    for worker, what in enumerate(rounds, 1):
        story.now += 3000 * MS
        tag = story.deliver(0, to=worker)
        if "done" in what:
            story.complete(0, tag, to=worker)
        if "requeued" in what:
            story.reject(0, tag, to=worker, requeue=True)
        if "lost" in what:
            story.lose_connection("worker", worker)
    return story


@pytest.mark.parametrize(
    ("rounds", "found"),
    [
        (("done requeued", "done"), Told(0, Reason.REQUEUED, "worker-1")),
        (("done lost", "done"), Told(0, Reason.CONNECTION, "worker-1")),
        (("done", "done"), Told(0, Reason.NOTHING, "worker-1")),
        # What came before the first time that it was done does not matter.
        (("", "done requeued", "done"), Told(0, Reason.REQUEUED, "worker-2")),
        (("lost", "done requeued", "done"), Told(0, Reason.REQUEUED, "worker-2")),
        # It has the reason of the delivery that followed, whatever came in between, ...
        (("done lost", "requeued", "done"), Told(0, Reason.CONNECTION, "worker-1")),
        (("done requeued", "lost", "done"), Told(0, Reason.REQUEUED, "worker-1")),
        # ... but none if any delivery until the next time that it was done has none.
        (("done requeued", "", "done"), Told(0, Reason.NOTHING, "worker-1")),
        (("done requeued", "requeued", "", "done"), Told(0, Reason.NOTHING, "worker-1")),
        (("done", "requeued", "done"), Told(0, Reason.NOTHING, "worker-1")),
        # The reason of the first repetition is given, unless one of the repetitions has no reason.
        (("done requeued", "done lost", "done"), Told(0, Reason.REQUEUED, "worker-1", times=3)),
        (("done lost", "done requeued", "done"), Told(0, Reason.CONNECTION, "worker-1", times=3)),
        (("done requeued", "done", "done"), Told(0, Reason.NOTHING, "worker-2", times=3)),
        (("done", "done requeued", "done", "done"), Told(0, Reason.NOTHING, "worker-1", times=4)),
        # What comes after the last time does not matter either.
        (("done requeued", "done", ""), Told(0, Reason.REQUEUED, "worker-1")),
    ],
)
def test_a_copy_has_the_reason_of_the_delivery_that_followed_its_first_completion(
    rounds: Sequence[str], found: Told
) -> None:
    assert told(redone(Story(), *rounds)) == [found]


def test_each_copy_has_its_own_reason() -> None:
    story = Story()
    for seq in range(4):
        story.sent(seq)
    for seq, requeue in ((0, False), (1, True), (2, False), (3, True)):
        tag = story.deliver(seq, done=True)
        if requeue:
            story.reject(seq, tag, requeue=True)
    for seq in range(4):
        story.deliver(seq, to=2, done=seq != 2)
    assert told(story) == [
        Told(0, Reason.NOTHING, "worker-1"),
        Told(1, Reason.REQUEUED, "worker-1"),
        Told(3, Reason.REQUEUED, "worker-1"),
    ]


def test_what_was_done_once_is_no_duplicate() -> None:
    assert told(redone(Story(), "lost", "done")) == []
    assert told(redone(Story(), "done lost", "")) == []


# Attempts are messages of their own.


def attempts(*done: int, count: int = 2) -> list[Told]:
    """A message that is published several times; its attempts are done in some order."""
    story = Story()
    story.sent(7)
    for attempt in range(1, count + 1):
        story.confirm(story.publish(0, attempt=attempt))
    for worker, attempt in enumerate(done, 1):
        story.process(0, attempt=attempt, to=worker)
    return told(story)


@pytest.mark.parametrize("done", [(1, 2), (2, 1), (1, 2, 3), (3, 1, 2), (2, 3, 1)])
def test_the_attempt_that_was_done_first_was_asked_for_and_each_other_one_was_published_again(
    done: tuple[int, ...],
) -> None:
    assert attempts(*done, count=3) == [Told(0, Reason.REPUBLISHED, times=len(done))]


@pytest.mark.parametrize(("done", "worker"), [((1, 1, 2), 1), ((2, 1, 1), 2), ((2, 2, 1), 1), ((1, 2, 2), 2)])
def test_of_an_attempt_that_was_done_twice_one_time_is_unexplained(done: tuple[int, ...], worker: int) -> None:
    assert attempts(*done) == [Told(0, Reason.NOTHING, f"worker-{worker}", times=3)]


@pytest.mark.parametrize("last", [2, (1 << 15) + 1, (1 << 16) - 1])
def test_the_last_attempt_of_a_message_is_not_the_first_one_of_the_next(last: int) -> None:
    story = Story()
    for seq in range(3):
        story.sent(seq)
        story.confirm(story.publish(seq, attempt=last))
    for seq in range(3):
        story.process(seq, attempt=1)
        story.process(seq, attempt=last, to=2)
    assert told(story) == [Told(seq, Reason.REPUBLISHED) for seq in range(3)]


# Connections that ended.


@pytest.mark.parametrize(("again_ms", "explained"), [(5000, True), (4999, False)])
def test_what_comes_back_within_a_lag_before_its_client_lost_the_connection_was_taken_back(
    again_ms: int, explained: bool
) -> None:
    story = twice(Story(), 100, again_ms)
    at(story, 6000)
    story.lose_connection("worker")
    assert told(story) == [Told(0, Reason.CONNECTION if explained else Reason.NOTHING, "worker-1")]


# Cancelled consumers.


@pytest.mark.parametrize(
    ("first_ms", "acked_ms", "again_ms", "explained"),
    [
        (100, None, 4000, True),
        (100, None, 3999, False),
        (6000, None, 7000, True),
        (6001, None, 7000, False),
        (100, 4000, 7000, True),
        (100, 3999, 7000, False),
        (5000, None, 5000, True),
    ],
)
def test_what_is_held_within_a_lag_of_a_cancel_comes_back(
    first_ms: int, acked_ms: int | None, again_ms: int, explained: bool
) -> None:
    assert LAG_NS == 1000 * MS
    story = twice(Story(), first_ms, again_ms, acked_ms=acked_ms, cancelled_ms=5000)
    assert told(story) == [Told(0, Reason.CANCELLED if explained else Reason.NOTHING, "worker-1")]


def test_a_cancel_gives_back_what_its_own_consumer_held() -> None:
    story = at(Story(), 5000)
    story.cancel(2)
    assert reason(twice(story, 5100, 7000)) is Reason.NOTHING
    assert reason(twice(story, 5100, 7000, again=3)) is Reason.NOTHING


def test_any_of_several_cancels_may_have_given_it_back() -> None:
    for cancelled_ms in (2000, 8000):
        story = twice(Story(), 4000, 6000, cancelled_ms=5000)
        at(story, cancelled_ms)
        story.cancel(2 if cancelled_ms == 2000 else 1)
        assert reason(story) is Reason.CANCELLED


# Nodes that were struck.


@pytest.mark.parametrize(("again_ms", "explained"), [(4999, False), (5000, True)])
def test_what_comes_back_before_a_kill_was_not_forgotten_by_it(again_ms: int, explained: bool) -> None:
    story = twice(Story(), 100, again_ms, acked_ms=4500)
    struck(story, on_node(Becomes.KILLED), healed_ms=5100)
    assert told(story) == [
        Told(0, Reason.UNWRITTEN, "worker-1", 0) if explained else Told(0, Reason.NOTHING, "worker-1")
    ]


@pytest.mark.parametrize(("nodes", "explained"), [(("n1",), False), (CLUSTER, True)])
def test_an_ack_that_was_not_written_brings_it_back_on_the_same_connection_in_a_cluster_only(
    nodes: tuple[str, ...], explained: bool
) -> None:
    story = twice(Story(nodes=nodes), 100, 7000, acked_ms=4500, again=1)
    struck(story, on_node(Becomes.KILLED), healed_ms=5100)
    assert (reason(story) is Reason.UNWRITTEN) == explained


@pytest.mark.parametrize(
    ("first_ms", "acked_ms", "again_ms", "explained"),
    [
        (100, None, 5000, True),
        (100, None, 4999, False),
        (6100, None, 7000, True),
        (6101, None, 7000, False),
        (100, 4000, 7000, True),
        (100, 3999, 7000, False),
    ],
)
@pytest.mark.parametrize("until_healed", [True, False])
def test_a_queue_of_a_cluster_takes_back_what_was_held_within_a_lag_of_the_stroke(
    first_ms: int, acked_ms: int | None, again_ms: int, explained: bool, until_healed: bool
) -> None:
    story = twice(Story(nodes=CLUSTER), first_ms, again_ms, acked_ms=acked_ms)
    effects = replace(on_node(Becomes.ISOLATED), cuts=Cuts.NOBODY, cuts_until_healed=until_healed)
    struck(story, effects, healed_ms=5100)
    assert told(story) == [Told(0, Reason.CLUSTER, "worker-1", 0) if explained else Told(0, Reason.NOTHING, "worker-1")]


@pytest.mark.parametrize(("until_healed", "explained"), [(True, True), (False, False)])
def test_a_node_that_never_came_back_may_cost_what_is_held_for_ever(until_healed: bool, explained: bool) -> None:
    story = twice(Story(nodes=CLUSTER), 60_000, 70_000)
    struck(story, replace(on_node(Becomes.ISOLATED), cuts=Cuts.NOBODY, cuts_until_healed=until_healed))
    assert (reason(story) is Reason.CLUSTER) == explained


def test_what_was_acknowledged_on_sending_is_not_held_by_a_cluster() -> None:
    story = Story(nodes=CLUSTER)
    story.consume(acks=AckMode.AUTOMATIC)
    struck(story, on_node(Becomes.ISOLATED), healed_ms=5100)
    assert reason(twice(story, 3999, 7000)) is Reason.NOTHING
    story = Story(nodes=CLUSTER)
    story.consume(acks=AckMode.AUTOMATIC)
    struck(story, on_node(Becomes.ISOLATED), healed_ms=5100)
    assert reason(twice(story, 4000, 7000)) is Reason.CLUSTER


@pytest.mark.parametrize("effects", [HARMLESS, on_process(Becomes.KILLED), on_node(Becomes.THAWED)])
def test_what_strikes_no_node_costs_a_cluster_nothing(effects: Effects) -> None:
    story = twice(Story(nodes=CLUSTER), 100, 7000)
    struck(story, effects, healed_ms=5100)
    assert reason(story) is Reason.NOTHING


def test_the_first_step_that_explains_it_is_named() -> None:
    story = twice(Story(nodes=CLUSTER), 100, 9000)
    struck(story, HARMLESS, fault=0, at_ms=2000, healed_ms=2100)
    struck(story, on_node(Becomes.ISOLATED), fault=1, at_ms=4000, healed_ms=4100)
    struck(story, on_node(Becomes.ISOLATED), fault=2, at_ms=6000, healed_ms=6100)
    struck(story, UNDECLARED, fault=3, at_ms=7000, healed_ms=7100)
    assert told(story) == [Told(0, Reason.CLUSTER, "worker-1", 1)]


def dead_letters(strategy: str) -> dict[str, Any]:
    arguments = {"x-dead-letter-strategy": strategy}
    tasks = {"type": "quorum", "dead_letter": "dead", "overflow": "reject-publish", "arguments": arguments}
    return {
        "queues": {"tasks": tasks, "dead": {}, "other": {}},
        "workers": [{"name": "worker", "queue": "tasks"}, {"name": "undertaker", "queue": "dead"}],
    }


@pytest.mark.parametrize(
    ("first_ms", "again_ms", "explained"),
    [(4000, 7000, True), (3999, 7000, False), (4500, 5000, True), (4500, 4999, False)],
)
def test_a_dead_letter_is_sent_again_if_it_was_sent_within_a_lag_of_the_stroke_or_later(
    first_ms: int, again_ms: int, explained: bool
) -> None:
    story = Story(queues=("tasks", "dead", "other"))
    story.sent(0)
    story.reject(0, story.deliver(0))
    at(story, first_ms)
    story.deliver(0, to=2, queue=1, died=True, done=True)
    story.ack(1, to=2)
    at(story, again_ms)
    story.deliver(0, to=3, queue=1, died=True, done=True)
    struck(story, replace(on_node(Becomes.STOPPED), cuts=Cuts.NOBODY), healed_ms=5100)
    expected = (Reason.AT_LEAST_ONCE, 0) if explained else (Reason.NOTHING, -1)
    (found,) = told(story, **dead_letters("at-least-once"))
    assert (found.reason, found.fault) == expected
    assert reason(story, **dead_letters("at-most-once")) is Reason.NOTHING


@pytest.mark.parametrize(
    ("published_ms", "first_ms", "explained"),
    [
        (100, 3999, False),
        (100, 4000, True),
        (100, 5500, True),
        (100, 7100, True),
        (100, 7101, False),
        (5001, 5500, True),
        (5002, 5500, False),
    ],
)
def test_a_dead_letter_that_was_sent_about_a_kill_comes_again_if_it_was_in_its_queue_before(
    published_ms: int, first_ms: int, explained: bool
) -> None:
    """The node is back at 5100 ms; two seconds later its queues know how far they had come."""
    story = at(Story(queues=("tasks", "dead")), published_ms)
    story.sent(0)
    story.reject(0, story.deliver(0))
    at(story, first_ms)
    story.deliver(0, to=2, queue=1, died=True, done=True)
    at(story, 7500)
    story.deliver(0, to=3, queue=1, died=True, done=True)
    struck(story, on_node(Becomes.KILLED), healed_ms=5100)
    queues = {"tasks": {"type": "quorum", "dead_letter": "dead"}, "dead": {}}
    expected = (Reason.DIED_AGAIN, 0) if explained else (Reason.NOTHING, -1)
    assert [(each.reason, each.fault) for each in told(story, queues=queues)] == [expected]


def test_a_dead_letter_is_not_sent_again_where_no_node_was_struck() -> None:
    story = Story(queues=("tasks", "dead", "other"))
    story.sent(0)
    story.reject(0, story.deliver(0))
    at(story, 4500)
    story.deliver(0, to=2, queue=1, died=True, done=True)
    at(story, 7000)
    story.deliver(0, to=3, queue=1, died=True, done=True)
    struck(story, HARMLESS, healed_ms=5100)
    assert reason(story, **dead_letters("at-least-once")) is Reason.NOTHING


@pytest.mark.parametrize(
    ("first_ms", "again_ms", "explained"),
    [(100, 5000, True), (100, 4999, False), (5100, 7000, True), (5101, 7000, False)],
)
def test_a_fault_that_declares_nothing_explains_what_came_back_while_it_was_in_force(
    first_ms: int, again_ms: int, explained: bool
) -> None:
    story = twice(Story(), first_ms, again_ms)
    struck(story, UNDECLARED, healed_ms=5100)
    assert told(story) == [
        Told(0, Reason.UNDECLARED, "worker-1", 0) if explained else Told(0, Reason.NOTHING, "worker-1")
    ]


def test_a_fault_that_declares_what_it_does_explains_nothing_else() -> None:
    story = twice(Story(), 100, 7000)
    struck(story, HARMLESS, healed_ms=5100)
    assert reason(story) is Reason.NOTHING


def test_a_delivery_that_belongs_nowhere_may_be_the_first_of_all() -> None:
    """In a fan-out, beside what a killed broker delivered again."""
    of = scenario(
        queues={"tasks": {}, "second": {}, "other": {}},
        exchanges={"all": {"type": "fanout"}},
        bindings=[{"exchange": "all", "queue": "tasks"}, {"exchange": "all", "queue": "second"}],
        publishers={"messages": 10, "exchange": "all"},
    )
    story = Story(queues=("tasks", "second", "other"), routes=("all/",))
    story.sent(0)
    story.process(0, queue=2)
    for queue in (0, 1):
        story.process(0, queue=queue)
    story.restart_broker(action="kill")
    story.lose_connection("worker")
    story.process(0, to=2, queue=0)
    found = judge(story.history(), of, name="x")
    assert (found.counts.misrouted, found.counts.duplicates) == (1, 1)
