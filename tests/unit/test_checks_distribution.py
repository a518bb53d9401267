"""Who did the work: figures by worker, who had each copy, fairness, turns and order."""

from __future__ import annotations

import pytest

from harness.checks.rules.distribution import (
    MOST_DELIVERIES,
    deliveries_each,
    fairness,
    had_by,
    out_of_order,
    strictly_in_turn,
    worker_figures,
)
from harness.checks.tally.message_table import MessageTable, tabulate
from harness.verdict.data import WorkerFigures
from tests.unit.histories import FOREIGN, Story, scenario


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
    [((1, 2, 1, 2), True), ((2, 1, 2, 1), True), ((1, 2, 2, 1), False), ((1, 1, 2, 2), False), ((1, 1), False)],
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
    story = Story(queues=("tasks", "second"))
    for seq in sorted(order):
        story.confirm(story.publish(seq, route=(routes or {}).get(seq, 0)))
    for seq in order:
        story.process(seq, queue=(routes or {}).get(seq, 0))
    return out_of_order(read(story, queues={"tasks": {}, "second": {}}))


def test_what_is_done_before_an_earlier_one_is_out_of_order() -> None:
    assert done_in(0, 1, 2, 3) == 0
    assert done_in(3, 0, 1, 2) == 1
    assert done_in(1, 2, 3, 0) == 3
    assert done_in(0, 2, 1, 3) == 1


def test_each_route_has_an_order_of_its_own() -> None:
    assert done_in(1, 3, 0, 2, routes={1: 1, 3: 1}) == 0
    assert done_in(3, 1, 0, 2, routes={1: 1, 3: 1}) == 1
