"""The judge against a broker that drops confirmed messages where it also throws away by its settings: its counters say how many it threw away."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from tests.oracle.draw import draw
from tests.oracle.seeds import CASES
from tests.oracle.simulator.broker import BrokerPlan
from tests.oracle.simulator.lying import Lie, LyingBroker
from tests.oracle.simulator.run import Simulation
from tests.oracle.simulator.world import NEVER
from tests.oracle.test_judge_bounds import mistakes

pytestmark = pytest.mark.seconds

NOT_COUNTED = {"expiring"}
"""Shapes in which an honest broker leaves the same history: no counter tells what went with its queue."""


@pytest.mark.parametrize("lie", [Lie.DROP_BEFORE, Lie.DROP_AFTER])
@pytest.mark.parametrize(("shape", "seed"), [case for case in CASES if case.values[0] not in NOT_COUNTED])
def test_the_truth_of_a_run_in_which_messages_vanish_is_within_the_figures(shape: str, seed: int, lie: Lie) -> None:
    plan = replace(draw(shape, seed, faults=False), foreign_consumers=(), broker=BrokerPlan())
    wrong = mistakes(plan, Simulation(plan, partial(LyingBroker, lie=lie, when=((0, NEVER),))))
    assert not wrong, "\n".join(wrong)
