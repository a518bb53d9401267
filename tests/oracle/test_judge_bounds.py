"""The judge against the truth: what really became of the copies is within the figures of the verdict."""

from __future__ import annotations

import pytest

from harness.checks.judge import judge
from tests.oracle.bounds import outside
from tests.oracle.draw import draw
from tests.oracle.oracle import Oracle
from tests.oracle.seeds import CASES
from tests.oracle.simulator.run import Plan, Simulation
from tests.oracle.story import setting

pytestmark = pytest.mark.seconds


def mistakes(plan: Plan, simulation: Simulation) -> list[str]:
    history = simulation.play()
    verdict = judge(history, plan.scenario, name=plan.scenario.name)
    wrong = outside(verdict, Oracle(history, plan.scenario), simulation)
    return [setting(plan), verdict.headline, *wrong] if wrong else []


@pytest.mark.parametrize(("shape", "seed"), CASES)
def test_the_truth_of_an_honest_run_is_within_the_figures(shape: str, seed: int) -> None:
    plan = draw(shape, seed)
    wrong = mistakes(plan, Simulation(plan))
    assert not wrong, "\n".join(wrong)
