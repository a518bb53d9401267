"""The judge against a broker that drops confirmed messages where it also throws away by its settings: its counters say how many it threw away."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from tests.oracle.draw import draw
from tests.oracle.seeds import SEEDS
from tests.oracle.simulator.broker import BrokerPlan
from tests.oracle.simulator.lying import Lie, LyingBroker
from tests.oracle.simulator.run import Simulation
from tests.oracle.simulator.world import NEVER
from tests.oracle.test_judge_bounds import mistakes

pytestmark = pytest.mark.nightly


@pytest.mark.parametrize("lie", [Lie.DROP_BEFORE, Lie.DROP_AFTER])
@pytest.mark.parametrize("seed", SEEDS[:10])
def test_the_truth_of_a_run_in_which_messages_vanish_is_within_the_figures(seed: int, lie: Lie) -> None:
    plan = draw(seed, faults=False)
    if any("x-expires" in queue.arguments for queue in plan.scenario.queues.values()):
        plan = draw(
            seed, faults=False, shape="limits"
        )  # what is gone with its queue cannot be told from what was gone before
    # Without the broker's counters an honest one leaves the same history: what vanished has expired.
    plan = replace(plan, foreign_consumers=(), broker=BrokerPlan())
    wrong = mistakes(plan, Simulation(plan, partial(LyingBroker, lie=lie, when=((0, NEVER),))))
    assert not wrong, "\n".join(wrong)
