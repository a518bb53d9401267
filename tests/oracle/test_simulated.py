"""The oracle against the truth: whatever an honest broker does, no copy is called lost that is not, and none that is lost is missed."""

from __future__ import annotations

import pytest

from tests.oracle.agreement import differences
from tests.oracle.draw import draw
from tests.oracle.oracle import Oracle
from tests.oracle.seeds import CASES
from tests.oracle.simulator.run import Simulation
from tests.oracle.story import setting


@pytest.mark.seconds
@pytest.mark.parametrize(("shape", "seed"), CASES)
def test_the_oracle_says_of_every_copy_what_became_of_it(shape: str, seed: int) -> None:
    plan = draw(shape, seed)
    simulation = Simulation(plan)
    oracle = Oracle(simulation.play(), plan.scenario)
    wrong = differences(simulation, oracle)
    assert not wrong, "\n".join((setting(plan), *wrong[:20]))
