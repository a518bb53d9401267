"""Drawn topologies and faults on a real broker: the judge and the oracle say the same of what was recorded.

DRAWN_RUNS says how many, DRAWN_FIRST_SEED from which seed on; a run that fails leaves its folder, and its scenario is in the message.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.broker.protocol import Broker
from harness.engine.run import run
from harness.faults.registry import actions
from harness.scenario.load import load
from harness.verdict.data import Outcome
from tests.integration.lent import lent
from tests.integration.test_cases import TOGETHER
from tests.oracle.judged import disagreements
from tests.oracle.oracle import Oracle
from tests.oracle.real import draw_real

pytestmark = pytest.mark.slow

FIRST = int(os.environ.get("DRAWN_FIRST_SEED", "0"))
SEEDS = range(FIRST, FIRST + int(os.environ.get("DRAWN_RUNS", "8")))


@pytest.mark.parametrize("backend", TOGETHER[:1])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_judge_agrees_with_the_oracle_on_a_real_run(
    seed: int, backend: str, started_broker: Callable[[str], Broker], tmp_path: Path
) -> None:
    text = draw_real(seed)
    path = tmp_path / "scenario.yaml"
    path.write_text(text)
    loaded = load(path, actions())
    broker = started_broker(backend)
    result = run(loaded, reports=tmp_path / "reports", seed=seed, make_broker=lent(broker, loaded.scenario))
    if result.verdict.outcome is Outcome.INFRASTRUCTURE:
        pytest.skip(f"the run failed: {result.verdict.headline}")
    (verdict,) = result.verdict.variants
    (variant,) = loaded.variants()
    wrong = disagreements(verdict, Oracle(result.histories[verdict.name], variant.scenario))
    assert not wrong, "\n".join((text, str(result.directory.path), *wrong[:20]))
