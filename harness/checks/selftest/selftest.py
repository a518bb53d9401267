"""The checks tested on the user's own machine and history: every planted fault must be found."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from harness.checks.judge import judge
from harness.checks.selftest.planted import KINDS
from harness.checks.selftest.recorded import recorded
from harness.history.history import History
from harness.scenario.scenario import Scenario

__all__ = ["SelfTest", "SelfTestRow", "recorded", "selftest"]


@dataclass(frozen=True, slots=True)
class SelfTestRow:
    """One planted fault, and whether the judge found it."""

    kind: str
    what: str
    found: bool


@dataclass(frozen=True, slots=True)
class SelfTest:
    """All of them."""

    rows: tuple[SelfTestRow, ...]

    @property
    def missed(self) -> int:
        """How many were not found."""
        return sum(not row.found for row in self.rows)


def selftest(history: History, scenario: Scenario, *, seed: int, rounds: int) -> SelfTest:
    """Plant each kind of fault `rounds` times, judge, and compare. Raises HistoryError for a history with nothing to plant in."""
    before = judge(history, scenario, name="before")
    rows = []
    for kind, plant in KINDS.items():
        for turn in range(rounds):
            planted = plant(history, Random(f"{seed}/{kind}/{turn}"))  # noqa: S311 - reproducible on purpose
            after = judge(planted.history, scenario, name="after")
            rows.append(SelfTestRow(kind, planted.what, planted.found(before, after)))
    return SelfTest(tuple(rows))
