"""What an expectation says: what was expected, what was seen, why it is not as expected, and what is not decided."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.checks.judge import judge
from harness.checks.rules.controls import Shown
from harness.checks.rules.expectations import too_few
from harness.checks.rules.observed import Observed
from harness.verdict.data import Counts, ExpectationResult, Fate, Place
from tests.unit.histories import MS, Story, scenario


def results(story: Story, expect: dict[str, Any] | None = None, **settings: Any) -> dict[str, ExpectationResult]:
    found = judge(story.history(), scenario(expect=expect or {}, **settings), name="x")
    return {each.path: each for each in found.expectations}


def words(result: ExpectationResult) -> tuple[str, str, str]:
    return result.expected, result.observed, result.explanation


def done(count: int = 1) -> Story:
    story = Story()
    for seq in range(count):
        story.sent(seq)
        story.process(seq)
    return story


# Why a count is not as expected.


def test_losses_are_explained_by_their_places() -> None:
    story = done()
    story.sent(1)
    assert words(results(story)["lost"]) == ("0", "1", "where they were: unknown 1")


def test_that_nothing_was_lost_is_explained_by_what_was_at_risk() -> None:
    assert words(results(done(), {"lost": 1})["lost"])[2] == "no fault met a message at risk"
    story = Story()
    story.sent(0)
    story.fault("purge", "other", family="topology")
    story.restart_broker(fault=1)
    story.process(0)
    why = words(results(story, {"lost": 1})["lost"])[2]
    assert why == "none of the messages at risk was lost (1 when `restart n1` struck)"


def test_what_may_have_been_lost_is_not_said_to_have_survived() -> None:
    story = Story()
    story.publish(0, confirms=False)
    for seq in (1, 2):
        story.sent(seq, by=2)
    story.fault("kill", "publisher-1")
    story.exited("publisher")
    for seq in (1, 2):
        story.process(seq, of=2)
    found = results(story, {"lost": 0}, queues={"tasks": {"max_length": 2, "overflow": "reject-publish"}})
    why = "1 copy is dropped or lost, and no division between these is as expected"
    assert words(found["lost"]) == ("0", "0 to 1", why)


def test_too_few_done_are_explained_by_those_that_were_lost() -> None:
    story = done()
    story.sent(1)
    assert words(results(story, {"processed": 2})["processed"])[2] == "1 of 2 published messages were lost"
    assert words(results(done(), {"processed": 2})["processed"])[2] == ""


def test_what_was_left_over_is_explained_and_what_was_not_is_not() -> None:
    story = Story()
    story.sent(0)
    story.find(0)
    found = results(story)
    assert words(found["stranded"])[2] == "they were still in a work queue when the drain ended"
    assert words(results(done(), {"stranded": 1})["stranded"])[2] == ""
    assert words(results(done())["lost"]) == ("0", "0", "")
    assert words(results(done())["phantom"]) == ("0", "0", "")


# Between what is shown and what is possible.


def in_doubt() -> Story:
    """One that expired, and one that may as well have been lost."""
    story = Story()
    story.publish(0, confirms=False)
    story.sent(1, by=2)
    story.now += 5000 * MS
    return story


TTL = {"queues": {"tasks": {"message_ttl": "1s"}}}


@pytest.mark.parametrize(
    ("expect", "path", "observed", "holds"),
    [
        ({"expired": 2}, "expired", "1 to 2", None),
        ({"expired": ">= 1"}, "expired", "1 to 2", True),
        ({"expired": 0}, "expired", "1 to 2", False),
        ({"expired": 2}, "lost", "0 to 1", None),
        ({"lost": 2}, "lost", "0 to 1", False),
        ({"lost": "<= 1"}, "lost", "0 to 1", True),
        ({"dropped": 0}, "dropped", "0", True),
    ],
)
def test_a_figure_that_is_not_known_exactly_is_held_by_its_bounds(
    expect: dict[str, Any], path: str, observed: str, holds: bool | None
) -> None:
    result = results(in_doubt(), expect, **TTL)[path]
    assert (result.observed, result.holds) == (observed, holds)


# The other expectations.


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (True, "in order"),
        (False, "out of order"),
        ({"kept": True, "ignore": "redelivered"}, "in order, redelivered ones left out"),
    ],
)
def test_an_order_is_said(order: object, expected: str) -> None:
    result = results(done(2), {"order": order})["order"]
    assert words(result) == (expected, "in order", "")


def test_taking_turns_is_said() -> None:
    assert results(done(), {"round_robin": True})["round_robin"].expected == "strictly in turn"
    assert results(done(), {"round_robin": False})["round_robin"].expected == "not in turn"


def test_hands_are_said() -> None:
    named = {"publishers": {"tasks": ["one", "two"], "messages": 2}}
    assert words(results(done(2), {"dealt": [["one"]]}, **named)["dealt"])[:2] == ("one", "one | two")
    story = Story()
    story.sent(0)
    assert words(results(story, {"dealt": [["one"]]}, **named)["dealt"])[:2] == ("one", "nothing")


@pytest.mark.parametrize(
    ("expect", "path", "observed"),
    [
        ({"recovery": "< 1s"}, "recovery", "nothing to measure"),
        ({"faster_after": {"scale": ">= 1"}}, "faster_after.scale", "too little work around it to tell"),
        ({"shares": {"worker": ">= 50%"}}, "shares.worker", "nothing was processed"),
        ({"fairness": "<= 2"}, "fairness", "nothing was processed"),
    ],
)
def test_what_could_not_be_measured_was_asked_for(expect: dict[str, Any], path: str, observed: str) -> None:
    story = Story()
    story.sent(0)
    result = results(story, expect)[path]
    assert (result.observed, result.holds, result.stated) == (observed, None, True)


def test_a_recovery_that_is_too_slow_names_the_slowest_fault() -> None:
    story = done()
    for fault, wait_ms in enumerate((20, 500, 20)):
        story.restart_broker(fault=fault, action=("restart", "kill", "restart")[fault])
        story.now += wait_ms * MS
        story.sent(1 + fault)
        story.process(1 + fault)
    assert words(results(story, {"recovery": "< 100ms"})["recovery"])[2] == "after `kill n1`"
    assert words(results(story, {"recovery": "< 10s"})["recovery"])[2] == ""


def test_how_often_an_error_is_expected_is_said() -> None:
    assert results(done(), {"errors": {"code": 406, "count": 2}})["errors.0"].expected == "406 (how often: 2)"
    assert results(done(), {"errors": {"code": 406, "text": "gone"}})["errors.0"].expected == "406 gone"


@pytest.mark.parametrize(("count", "more"), [(3, ""), (4, ", and 1 others")])
def test_up_to_three_errors_are_named(count: int, more: str) -> None:
    story = done()
    for number in range(count):
        story.error(320 + number, "r")
    assert results(story, {"errors": {"code": 406}})["errors.0"].observed == "320 r, 321 r, 322 r" + more


def test_a_service_that_was_back_at_once_is_not_the_slowest() -> None:
    story = done()
    for fault, (action, back_ms) in enumerate((("kill", 0), ("restart", 20))):
        tag = story.publish(1 + fault)
        story.restart_broker(fault=fault, action=action)
        story.now += (back_ms - 1) * MS
        story.deliver(1 + fault, done=True)
        story.confirm(tag)
    assert words(results(story, {"recovery": "< 10ms"})["recovery"])[2] == "after `restart n1`"


@pytest.mark.parametrize(
    ("order", "observed", "holds"),
    [(True, "2 out of order", False), ({"kept": True, "ignore": "redelivered"}, "in order", True)],
)
def test_what_was_delivered_again_may_be_left_out_of_an_order(order: object, observed: str, holds: bool) -> None:
    story = Story()
    for seq in range(3):
        story.sent(seq)
    story.deliver(0)
    story.process(1)
    story.process(2)
    story.process(0, to=2, redelivered=True)
    found = results(story, {"order": order, "unexplained_duplicates": 0})["order"]
    assert (found.observed, found.holds) == (observed, holds)


# Of what less was seen than asked for.


def short(expect: dict[str, Any], seen: int, own: int | None = None) -> frozenset[str]:
    """Some were lost, all of them at workers; of these a control's own settings may have prevented some."""
    shown = {} if own is None else {path: Shown(0, own) for path in ("lost", "lost_at.worker")}
    places = dict.fromkeys(Place, 0) | {Place.WORKER: seen}
    counts = Counts(fates=dict.fromkeys(Fate, 0) | {Fate.LOST: seen})
    observed = SimpleNamespace(counts=counts, lost_at=places, shown=shown)
    return too_few(scenario(expect=expect), cast("Observed", observed))


@pytest.mark.parametrize(
    ("lost", "seen", "is_short"),
    [
        (">= 1", 0, True),
        (">= 1", 1, False),
        ("> 1", 1, True),
        ("> 1", 2, False),
        (3, 2, True),
        (3, 3, False),
        (3, 4, False),
        ("2..5", 1, True),
        ("2..5", 6, False),
        ("<= 1", 0, False),
        ("<= 1", 2, False),
        (0, 1, False),
    ],
)
def test_a_count_is_short_if_only_more_of_it_could_have_been_enough(lost: object, seen: int, is_short: bool) -> None:
    assert short({"lost": lost}, seen) == ({"lost"} if is_short else set())
    assert short({"lost_at": {"worker": lost}}, seen) == ({"lost_at.worker"} if is_short else set())
    assert short({"lost_at": {"broker": lost}}, 0) == short({"lost_at": {"broker": lost}}, seen)


@pytest.mark.parametrize(
    ("lost", "seen", "own", "is_short"),
    [
        (">= 2", 3, 2, False),
        (">= 2", 3, 1, True),
        (">= 2", 1, 1, True),
        (3, 3, 2, True),
        (3, 4, 3, False),
        ("<= 5", 3, 0, False),
    ],
)
def test_what_a_control_s_own_settings_cost_is_short_where_more_would_have_shown_it(
    lost: object, seen: int, own: int, is_short: bool
) -> None:
    assert short({"lost": lost}, seen, own) == ({"lost"} if is_short else set())
    assert short({"lost_at": {"worker": lost}}, seen, own) == ({"lost_at.worker"} if is_short else set())


def test_what_nobody_asked_for_is_not_short() -> None:
    assert short({}, 0) == set()
