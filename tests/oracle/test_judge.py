"""The judge against the oracle, on drawn topologies and faults: the same counts by fate and queue, the same messages, the same causes."""

from __future__ import annotations

import pytest

from harness.checks.judge import judge
from tests.oracle.draw import draw
from tests.oracle.judged import disagreements
from tests.oracle.oracle import Oracle
from tests.oracle.seeds import CASES
from tests.oracle.simulator.run import Simulation
from tests.oracle.story import setting


@pytest.mark.seconds
@pytest.mark.parametrize(("shape", "seed"), CASES)
def test_the_judge_agrees_with_the_oracle(shape: str, seed: int) -> None:
    plan = draw(shape, seed)
    history = Simulation(plan).play()
    verdict = judge(history, plan.scenario, name=plan.scenario.name)
    wrong = disagreements(verdict, Oracle(history, plan.scenario))
    assert not wrong, "\n".join((setting(plan), *wrong[:20]))
