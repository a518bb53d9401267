"""A run's time is divided without a gap, and what the harness does not decide is no share of it."""

from __future__ import annotations

import pytest

from benchmarks.turnaround import OWN, PARTS, WHOLE, parts, table, with_sums
from harness.events import Drained, Event, Phase, PhaseChanged, TrafficStarted, VariantFinished, VariantStarted

S = 1_000_000_000


def variant(name: str, began_s: int) -> list[Event]:
    """A variant of one second for each part, but for the scenario's own time of ten."""
    at = began_s * S

    def entered(after_s: int, phase: Phase) -> Event:
        return PhaseChanged(at_ns=at + after_s * S, variant=name, phase=phase)

    return [
        VariantStarted(at_ns=at, variant=name, scenario="x", index=0, total=2),
        entered(1, Phase.PROVISION),
        entered(2, Phase.READY),
        entered(3, Phase.DECLARE),
        entered(4, Phase.SETTLE),
        entered(5, Phase.TRAFFIC),
        TrafficStarted(at_ns=at + 6 * S, variant=name),
        entered(16, Phase.HEAL),
        entered(17, Phase.DRAIN),
        Drained(at_ns=at + 18 * S, variant=name, complete=True, reason=""),
        entered(19, Phase.CLEAN_UP),
        entered(20, Phase.CHECK),
        VariantFinished(at_ns=at + 21 * S, variant=name, verdict="as expected", headline=""),
    ]


def test_each_second_of_a_run_belongs_to_one_part() -> None:
    spent = parts([variant("guarantee", 10), variant("control", 31)], began_ns=7 * S, ended_ns=57 * S)
    assert sum(spent.values()) == 50
    assert spent["start of the command"] == 3 + 1 + 1
    assert (spent["broker's boot"], spent["the scenario's own time"], spent["judging"]) == (4, 20, 2)
    assert spent["reports, Parquet, trend, end of the command"] == 5


def test_the_harnesss_share_is_all_that_it_decides() -> None:
    sums = with_sums(dict.fromkeys(PARTS, 1.0) | {"the scenario's own time": 10.0})
    assert sums[WHOLE] == pytest.approx(len(PARTS) + 9)
    assert sums[OWN] == pytest.approx(len(PARTS) - 5)


def test_the_table_has_the_medians_of_each_backend() -> None:
    rounds = [with_sums(dict.fromkeys(PARTS, value)) for value in (1.0, 2.0, 9.0)]
    lines = table({"native": rounds, "container": rounds[:1]}).splitlines()
    assert lines[0] == "| seconds | native | container |"
    assert "| drain | 2.00 | 1.00 |" in lines
