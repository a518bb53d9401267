"""Who did the work: figures by worker, who had each copy, fairness, turns and order."""

from __future__ import annotations

import pytest

from harness.checks.rules import distribution
from harness.checks.rules.distribution import (
    MOST_DELIVERIES,
    deliveries_each,
    fairness,
    had_by,
    out_of_order,
    strictly_in_turn,
    texts_processed,
    worker_figures,
)
from harness.checks.tally.message_table import MessageTable, tabulate
from harness.verdict.data import WorkerFigures
from tests.unit.histories import FOREIGN, MS, Story, scenario


def read(story: Story, **settings: object) -> MessageTable:
    return tabulate(story.history(), scenario(**settings))


def figures(story: Story) -> dict[str, WorkerFigures]:
    history = story.history()
    found = worker_figures(tabulate(history, scenario()), scenario(), history.events)
    return {each.actor: each for each in found}


def a_worker(number: int, processed: int) -> WorkerFigures:
    return WorkerFigures(
        actor=f"worker-{number}",
        group="worker",
        delivered=processed,
        processed=processed,
        redelivered=0,
        acked=processed,
        rejected=0,
        incarnations=1,
    )


# Figures.


def test_each_worker_has_its_own_figures_over_all_its_incarnations() -> None:
    story = Story()
    for seq in range(4):
        story.sent(seq)
    story.process(0)
    story.process(1, incarnation=2)
    story.process(2, to=2, redelivered=True)
    story.reject(3, story.deliver(3, to=2), to=2)
    found = figures(story)
    columns = {
        name: (each.delivered, each.processed, each.redelivered, each.acked, each.rejected, each.incarnations)
        for name, each in found.items()
    }
    assert columns == {"worker-1": (2, 2, 0, 2, 0, 2), "worker-2": (2, 1, 1, 1, 1, 1)}


def test_a_worker_of_no_group_and_one_that_nobody_saw_start_have_figures_too() -> None:
    story = Story()
    story.sent(0)
    story.process(0, to=2)
    history, made = story.history(), scenario(workers=[{"name": "other"}])
    for settings, group in ((scenario(), "worker"), (made, "")):
        (found,) = worker_figures(tabulate(history, settings), settings, ())
        assert (found.actor, found.group, found.processed, found.incarnations) == ("worker-2", group, 1, 0)


# Who had a copy.


def test_who_completed_a_copy_first_had_it_else_who_got_it_last() -> None:
    story = Story()
    for seq in range(4):
        story.sent(seq)
    story.process(0, to=2)
    story.deliver(0)
    story.deliver(1)
    story.deliver(2, to=2)
    story.deliver(2, redelivered=True)
    table = read(story)
    had, names = had_by(table, [a_worker(1, 0), a_worker(2, 1)])
    assert names == {0: "", 1: "worker-1", 2: "worker-2"}
    assert had(slice(0, 4)).tolist() == [2, 1, 1, 0]
    assert had(slice(0, 1)).tolist() == [2]
    assert had(slice(1, 3)).tolist() == [1, 1]


def test_the_first_copy_of_all_was_had_by_who_got_it_last_if_nobody_completed_it() -> None:
    story = Story()
    story.sent(0)
    story.deliver(0, to=2)
    story.deliver(7, of=FOREIGN)
    had, _ = had_by(read(story), [a_worker(1, 0), a_worker(2, 0)])
    assert had(slice(0, 1)).tolist() == [2]


# How often.


def test_copies_are_counted_by_how_often_they_were_delivered() -> None:
    story = Story()
    for seq in range(4):
        story.sent(seq)
    for seq, times in ((0, 1), (1, 1), (2, 3)):
        for _ in range(times):
            story.deliver(seq)
    assert deliveries_each(read(story)) == {0: 1, 1: 2, 3: 1}


@pytest.mark.parametrize("times", [20, 21, 25])
def test_beyond_twenty_deliveries_are_not_told_apart(times: int) -> None:
    story = Story()
    story.sent(0)
    for _ in range(times):
        story.deliver(0)
    assert deliveries_each(read(story)) == {MOST_DELIVERIES: 1} == {20: 1}


# Fairness.


@pytest.mark.parametrize(
    ("processed", "index"),
    [((5, 5), 1.0), ((3, 1), 0.8), ((4, 0), 0.5), ((2, 2, 2, 0), 0.75), ((5,), None), ((0, 0), None), ((), None)],
)
def test_fairness_is_jains_index(processed: tuple[int, ...], index: float | None) -> None:
    assert fairness([a_worker(number, each) for number, each in enumerate(processed, 1)]) == index


# Turns.


def dealt(*to: int) -> tuple[bool, str]:
    story = Story()
    for seq in range(len(to)):
        story.sent(seq)
    for seq, worker in enumerate(to):
        story.deliver(seq, to=worker)
    return strictly_in_turn(read(story))


@pytest.mark.parametrize(
    ("to", "in_turn"),
    [
        ((1, 2, 1, 2), True),
        ((2, 1, 2, 1), True),
        ((1, 2, 2, 1), False),
        ((1, 2, 1, 1), False),
        ((1, 1, 2, 2), False),
        ((1, 1), False),
    ],
)
def test_workers_in_turn_each_get_the_next(to: tuple[int, ...], in_turn: bool) -> None:
    assert dealt(*to) == (in_turn, " ".join(f"worker-{each}" for each in to))


@pytest.mark.parametrize(("count", "more"), [(12, ""), (13, " ...")])
def test_the_first_dozen_is_shown(count: int, more: str) -> None:
    assert dealt(*((1, 2) * 7)[:count])[1] == " ".join(["worker-1 worker-2"] * 6) + more


def test_of_nothing_delivered_nobody_had_a_turn() -> None:
    story = Story()
    story.sent(0)
    story.deliver(0, of=FOREIGN)
    assert strictly_in_turn(read(story)) == (False, "nothing was delivered")


# Order.


def done_in(*order: int, routes: dict[int, int] | None = None) -> int:
    story = Story(queues=("tasks", "second", "third"))
    for seq in sorted(order):
        story.confirm(story.publish(seq, route=(routes or {}).get(seq, 0)))
    for seq in order:
        story.process(seq, queue=(routes or {}).get(seq, 0))
    return out_of_order(read(story, queues={"tasks": {}, "second": {}, "third": {}}))


def test_what_is_done_before_an_earlier_one_is_out_of_order() -> None:
    assert done_in(0, 1, 2, 3) == 0
    assert done_in(3, 0, 1, 2) == 1
    assert done_in(1, 2, 3, 0) == 3
    assert done_in(0, 2, 1, 3) == 1


def test_each_route_has_an_order_of_its_own() -> None:
    assert done_in(1, 3, 0, 2, routes={1: 1, 3: 1}) == 0
    assert done_in(3, 1, 0, 2, routes={1: 1, 3: 1}) == 1


def test_one_of_three_routes_is_not_held_against_the_others() -> None:
    assert done_in(2, 1, 0, routes={1: 1, 2: 2}) == 0


def test_what_is_done_at_the_same_moment_is_in_order() -> None:
    story = Story()
    for seq in range(2):
        story.sent(seq)
    story.deliver(0, done=True)
    story.now -= MS
    story.deliver(1, to=2, done=True)
    assert out_of_order(read(story)) == 0


def test_each_publisher_has_an_order_of_its_own() -> None:
    story = Story()
    for by in (1, 2):
        for seq in range(2):
            story.sent(seq, by=by)
    for of in (2, 1):
        for seq in range(2):
            story.process(seq, of=of)
    assert out_of_order(read(story)) == 0


@pytest.mark.parametrize(
    ("order", "count"), [((0, 1, 2, 3), 0), ((0, 2, 3, 1), 2), ((1, 2, 3, 0), 3), ((0, 1, 3, 2), 1), ((3, 0, 1, 2), 1)]
)
@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_an_order_goes_beyond_what_is_looked_at_at_once(
    order: tuple[int, ...], count: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distribution, "AT_ONCE", at_once)
    assert done_in(*order) == count
    assert done_in(*(2 * each for each in order), 1, 3, routes={1: 1, 3: 1}) == count


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize(
    ("disturbance", "left"),
    [("none", 1), ("published again", 0), ("delivered before", 0), ("marked as redelivered", 0), ("never done", 0)],
)
def test_what_was_disturbed_may_be_left_out_of_the_order(which: int, disturbance: str, left: int) -> None:
    """Of two messages the second one is done first."""
    story = Story()
    for seq in range(2):
        story.sent(seq)
    if disturbance == "published again":
        story.confirm(story.publish(which, attempt=2))
    if disturbance == "delivered before":
        story.deliver(which, to=2)
    for seq in (1, 0):
        mine = seq == which
        story.deliver(
            seq,
            redelivered=mine and disturbance == "marked as redelivered",
            done=not (mine and disturbance == "never done"),
        )
    table = read(story)
    assert out_of_order(table) == (0 if disturbance == "never done" else 1)
    assert out_of_order(table, undisturbed=True) == left


# Texts.


def some_done() -> Story:
    """Worker-1 does the third message, worker-2 the second and worker-1 the first one; the fourth is not done."""
    story = Story()
    for seq in range(5):
        story.sent(seq)
    for seq, worker in ((2, 1), (1, 2), (0, 1)):
        story.process(seq, to=worker)
    story.deliver(3)
    story.process(4, of=FOREIGN)
    return story


NAMED = {"messages": 5, "tasks": ["one", "two", "three"]}


@pytest.mark.parametrize(
    ("publishers", "third", "second", "first"),
    [
        (NAMED, "three", "two", "one"),
        ({"messages": 5, "tasks": ["one", "two"]}, "one", "two", "one"),
        ({"messages": 5}, "#2", "#1", "#0"),
        ([{"name": "other"} | NAMED], "#2", "#1", "#0"),
    ],
)
def test_the_texts_of_workers_are_those_that_they_completed_in_that_order(
    publishers: object, third: str, second: str, first: str
) -> None:
    made = scenario(publishers=publishers)
    table = tabulate(some_done().history(), made)
    assert texts_processed(["worker-1"], table, made) == (third, first)
    assert texts_processed(["worker-2"], table, made) == (second,)
    assert texts_processed(["worker-2", "worker-1"], table, made) == (third, second, first)
    assert texts_processed(["worker-3", "publisher-1"], table, made) == ()
    assert texts_processed([], table, made) == ()
