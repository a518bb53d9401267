"""The oracle against a broker that lies: it names the messages that were lied about, calls the lie by its name, and names no others."""

from __future__ import annotations

import pytest

from tests.oracle.lies import BESIDE, SHAPES, named, tell, wrong
from tests.oracle.oracle import Oracle
from tests.oracle.simulator.lying import Lie

pytestmark = pytest.mark.seconds


def shape_of(lie: Lie, beside: str) -> str:
    """Every lie and every fault meets several shapes, not each of them."""
    shapes = list(SHAPES)
    return shapes[(list(Lie).index(lie) + list(BESIDE).index(beside)) % len(shapes)]


@pytest.mark.parametrize("beside", BESIDE)
@pytest.mark.parametrize("lie", Lie)
def test_the_oracle_names_what_was_lied_about_and_nothing_else(lie: Lie, beside: str) -> None:
    told = tell(lie, shape_of(lie, beside), beside)
    assert told.about
    assert not wrong(told, lie, named(Oracle(told.history, told.plan.scenario)))
