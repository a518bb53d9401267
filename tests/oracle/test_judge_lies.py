"""The judge against a broker that lies: it names the messages that were lied about, calls the lie by its name, and names no others."""

from __future__ import annotations

import pytest

from harness.checks.judge import judge
from harness.verdict.data import Outcome
from tests.oracle.lies import BESIDE, named_by, tell, wrong
from tests.oracle.simulator.lying import Lie
from tests.oracle.test_lies import shape_of

pytestmark = pytest.mark.seconds


@pytest.mark.parametrize("beside", BESIDE)
@pytest.mark.parametrize("lie", Lie)
def test_the_judge_names_what_was_lied_about_and_nothing_else(lie: Lie, beside: str) -> None:
    told = tell(lie, shape_of(lie, beside), beside)
    verdict = judge(told.history, told.plan.scenario, name=told.plan.scenario.name)
    assert not wrong(told, lie, named_by(verdict))


@pytest.mark.parametrize("lie", [each for each in Lie if each is not Lie.NACK_FORGED])
def test_no_lie_ends_green(lie: Lie) -> None:
    told = tell(lie, shape_of(lie, "nothing"), "nothing", seed=1)
    verdict = judge(told.history, told.plan.scenario, name=told.plan.scenario.name)
    assert told.about
    assert verdict.outcome is Outcome.VIOLATED


def test_a_nack_that_is_a_lie_is_seen_though_its_message_is_published_again() -> None:
    told = tell(Lie.NACK_FORGED, "plain", "nothing", unconfirmed="republish")
    verdict = judge(told.history, told.plan.scenario, name=told.plan.scenario.name)
    assert named_by(verdict) == {"done twice": told.about}
    assert told.about
