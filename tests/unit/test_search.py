from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.broker.abilities import ALL
from harness.errors import UsageError
from harness.faults.registry import actions
from harness.faults.topology import Purge
from harness.report.explored import exploration_markdown, write_exploration
from harness.scenario.load import Loaded, load
from harness.scenario.scenario import scenario_model
from harness.search.draw import Step, draw_timeline
from harness.search.exploration import Exploration, Ran, Searched, steps_in_words
from harness.search.shrink import TRIES, Try, shorter
from harness.search.trial_outcome import TrialOutcome, standing
from harness.verdict.data import Fate, Outcome, RunVerdict
from tests.unit import report_samples as samples

SHIPPED = [load(path, actions()) for path in sorted(Path("scenarios").glob("*.yaml"))]
KILL = next(one for one in SHIPPED if one.path.stem == "worker_kill")
ABLE = frozenset(str(ability) for ability in ALL)
HARMFUL = {"purge", "declare", "publish"}
"""What takes or adds messages whatever acks and durability do."""


def kinds(steps: tuple[Step, ...]) -> set[str]:
    return {key for step in steps for key in step} - {"at", "after"}


def drawn(one: Loaded, seed: int, *, able: frozenset[str] = ABLE, most: int = 4) -> tuple[Step, ...]:
    return draw_timeline(one.scenario, actions(), able, Random(seed), most_steps=most)


@given(st.integers(0, 2**32), st.sampled_from(SHIPPED), st.integers(1, 8))
def test_a_drawn_timeline_is_one_that_a_scenario_can_have(seed: int, one: Loaded, most: int) -> None:
    steps = drawn(one, seed, most=most)
    assert 1 <= len(steps) <= most
    model = scenario_model(actions())
    plain = one.scenario.model_dump(mode="json", by_alias=True) | {"timeline": list(steps), "controls": {}}
    assert len(model.model_validate(plain).timeline) == len(steps)
    assert not kinds(steps) & HARMFUL
    assert drawn(one, seed, most=most) == steps


def test_every_fault_that_heals_is_drawn_sooner_or_later() -> None:
    found = set().union(*(kinds(drawn(KILL, seed)) for seed in range(200)))
    assert found == set(actions()) - HARMFUL - {"resume"}
    targets = {
        key
        for seed in range(200)
        for step in drawn(KILL, seed)
        for what in [step.get("kill", {})]
        for key in [*what, *what.values()]
    }
    assert {"broker", "worker", "publisher", "holding deliveries", "holding unconfirmed", "any"} <= targets


def test_what_cannot_be_done_to_the_broker_is_not_drawn() -> None:
    for seed in range(100):
        for step in drawn(KILL, seed, able=frozenset()):
            assert "close" not in step
            assert "broker" not in str(step)


def test_what_comes_back_is_said_of_all_that_is_struck() -> None:
    for seed in range(200):
        for step in drawn(KILL, seed):
            for name in ("kill", "stop"):
                assert "back_after" in step.get(name, {"back_after": ""})


def test_with_nobody_to_strike_that_is_said() -> None:
    with pytest.raises(UsageError, match="no fault can be drawn"):
        draw_timeline(KILL.scenario, {"purge": Purge}, ABLE, Random(1), most_steps=2)


def test_publishers_that_go_by_time_are_struck_by_time() -> None:
    group = KILL.scenario.publishers[0].model_copy(update={"messages": None, "duration": 5.0})
    endless = replace(KILL, scenario=KILL.scenario.model_copy(update={"publishers": (group,)}))
    assert all("at" in step for seed in range(50) for step in drawn(endless, seed))


ONE, TWO, THREE = (
    {"at": "1s", "kill": {"worker": "any", "back_after": "1s"}},
    {"after": {"published": 20}, "scale": {"to": 5}},
    {"after": {"confirmed": 30}, "close": {"connections": "all", "times": 2}},
)


def test_each_shorter_timeline_is_tried_before_any_is_tried_again() -> None:
    tries = list(shorter((ONE, TWO, THREE)))
    assert tries[:4] == [Try((), 0), Try((TWO, THREE), 0), Try((ONE, THREE), 0), Try((ONE, TWO), 0)]
    assert tries[4:8] == [replace(each, number=1) for each in tries[:4]]
    assert len(tries) == 4 * TRIES
    assert list(shorter((ONE,))) == [Try((), number) for number in range(TRIES)]


def test_a_timeline_is_said_in_words() -> None:
    assert steps_in_words((ONE, TWO)) == "at 1s kill worker any, back after 1s; after 20 published scale to 5"
    assert steps_in_words(()) == "nothing at all"


def run(outcome: Outcome, **changes: object) -> RunVerdict:
    made = (samples.failing(3) if outcome is Outcome.VIOLATED else samples.passing()).run
    return replace(made, outcome=outcome, variants=(replace(made.variants[0], **changes), *made.variants[1:]))  # type: ignore[arg-type]


def test_a_run_says_something_only_if_a_message_was_in_reach_and_the_drain_ended() -> None:
    whole = run(Outcome.AS_EXPECTED).variants[0]
    assert any(fault.at_risk for fault in whole.faults)
    assert standing(run(Outcome.VIOLATED)) is TrialOutcome.BROKEN
    assert standing(run(Outcome.INFRASTRUCTURE)) is TrialOutcome.FAILED
    assert standing(run(Outcome.INTERRUPTED)) is TrialOutcome.INTERRUPTED
    for outcome in (Outcome.AS_EXPECTED, Outcome.INCONCLUSIVE):
        assert standing(run(outcome)) is TrialOutcome.HELD
        missed = tuple(replace(fault, at_risk=0) for fault in whole.faults)
        assert standing(run(outcome, faults=missed)) is TrialOutcome.NOT_TRIED
        assert standing(run(outcome, drained=False)) is TrialOutcome.NOT_TRIED
        counts = replace(whole.counts, fates={**whole.counts.fates, Fate.STRANDED: 1})
        assert standing(run(outcome, counts=counts)) is TrialOutcome.NOT_TRIED


def test_a_run_without_a_variant_says_nothing() -> None:
    assert standing(replace(run(Outcome.INCONCLUSIVE), variants=())) is TrialOutcome.NOT_TRIED


def searched(name: str, *outcomes: Outcome, steps: tuple[Step, ...] = (ONE, TWO)) -> Searched:
    return Searched(name, [Ran(number, steps, run(outcome)) for number, outcome in enumerate(outcomes, start=1)])


GOOD, BAD, BROKE = Outcome.AS_EXPECTED, Outcome.VIOLATED, Outcome.INFRASTRUCTURE


def explored(guarantee: Searched, *controls: Searched) -> Exploration:
    return Exploration("worker kill", guarantee, list(controls))


@pytest.mark.parametrize(
    ("exploration", "outcome", "said"),
    [
        (
            lambda: explored(searched("guarantee", GOOD, GOOD), searched("automatic acks", GOOD, BAD)),
            Outcome.AS_EXPECTED,
            "worker kill: the guarantee held in 2 of 2 schedules; the search caught the loss of automatic acks (schedule 2)",
        ),
        (
            lambda: explored(searched("guarantee", GOOD), searched("automatic acks", GOOD), searched("early", BAD)),
            Outcome.INCONCLUSIVE,
            "worker kill: the guarantee held in 1 of 1 schedule; but no schedule was seen to catch the loss of automatic acks",
        ),
        (
            lambda: explored(searched("guarantee", GOOD)),
            Outcome.AS_EXPECTED,
            "worker kill: the guarantee held in 1 of 1 schedule; no control that loses messages was run, so the search has not been "
            "seen to catch a loss",
        ),
        (
            lambda: explored(searched("guarantee", GOOD, BROKE), searched("early", BAD)),
            Outcome.INFRASTRUCTURE,
            "worker kill: the guarantee held in 1 of 2 schedules (1 failed); the search caught the loss of early (schedule 1)",
        ),
        (
            lambda: explored(searched("guarantee")),
            Outcome.INCONCLUSIVE,
            "worker kill: the guarantee held in 0 of 0 schedules",
        ),
        (
            lambda: explored(searched("guarantee", GOOD, BROKE, BAD)),
            Outcome.VIOLATED,
            "schedule 3 of worker kill breaks the guarantee: 23 tasks: 20 done, 3 lost at worker-1",
        ),
    ],
)
def test_what_an_exploration_comes_to(exploration: Callable[[], Exploration], outcome: Outcome, said: str) -> None:
    made = exploration()
    assert made.outcome is outcome
    assert made.headline.startswith(said)


def test_what_was_interrupted_or_could_not_be_written_is_no_success() -> None:
    made = explored(searched("guarantee", GOOD), searched("early", BAD))
    assert replace(made, failed=True).outcome is Outcome.INFRASTRUCTURE
    assert replace(made, interrupted=True).outcome is Outcome.INTERRUPTED


def test_the_shortest_schedule_that_broke_it_is_shrunk() -> None:
    long, short = Ran(1, (ONE, TWO, THREE), run(BAD)), Ran(2, (ONE,), run(BAD))
    assert Searched("guarantee", [long, short, Ran(3, (TWO,), run(BAD))]).found == short


def test_the_summary_tells_the_finding_and_every_schedule(tmp_path: Path) -> None:
    made = explored(searched("guarantee", GOOD, BAD), searched("<script>", BAD))
    made.shrunk, made.again = (ONE,), [TrialOutcome.BROKEN, TrialOutcome.HELD]
    page = tmp_path / "page.md"
    written = write_exploration(made, tmp_path, {"GITHUB_STEP_SUMMARY": str(page)})
    lines = written.read_text().splitlines()
    assert page.read_text() == written.read_text()
    assert lines[0] == "## ❌ exploration of worker kill: violated"
    assert lines[2].endswith("Shrunk from 2 steps to 1, and broke it in 1 of 2 runs more.**")
    assert lines[4] == "- at 1s kill worker any, back after 1s"
    assert [line[:16] for line in lines if line.startswith(("| 1", "| 2"))] == [
        "| 1 | ✅ held | a",
        "| 2 | ❌ broken |",
        "| 1 | ❌ broken |",
    ]
    assert "<script>" not in written.read_text()
    assert len(exploration_markdown(made, limit=600).encode()) <= 600
