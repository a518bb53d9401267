"""The judge against the truth: what really became of the copies is within the figures of the verdict, also where a broker drops messages."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from harness.checks.judge import judge
from tests.oracle.bounds import outside
from tests.oracle.draw import draw
from tests.oracle.oracle import Oracle
from tests.oracle.seeds import SEEDS
from tests.oracle.simulator.lying import Lie, LyingBroker
from tests.oracle.simulator.run import Plan, Simulation
from tests.oracle.simulator.world import NEVER
from tests.oracle.story import setting

pytestmark = pytest.mark.slow


def mistakes(plan: Plan, simulation: Simulation) -> list[str]:
    history = simulation.play()
    verdict = judge(history, plan.scenario, name=plan.scenario.name)
    wrong = outside(verdict, Oracle(history, plan.scenario), simulation)
    return [setting(plan), verdict.headline, *wrong] if wrong else []


@pytest.mark.parametrize("seed", SEEDS)
def test_the_truth_of_an_honest_run_is_within_the_figures(seed: int) -> None:
    plan = draw(seed)
    wrong = mistakes(plan, Simulation(plan))
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("lie", [Lie.DROP_BEFORE, Lie.DROP_AFTER])
@pytest.mark.parametrize("seed", SEEDS[:30])
def test_the_truth_of_a_run_in_which_messages_vanish_is_within_the_figures(seed: int, lie: Lie) -> None:
    plan = replace(draw(seed, faults=False), foreign_consumers=())
    if any("x-expires" in queue.arguments for queue in plan.scenario.queues.values()):
        plan = draw(
            seed, faults=False, shape="limits"
        )  # what is gone with its queue cannot be told from what was gone before
    wrong = mistakes(plan, Simulation(plan, partial(LyingBroker, lie=lie, when=((0, NEVER),))))
    assert not wrong, "\n".join(wrong)
