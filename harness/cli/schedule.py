"""What a night runs next: every scenario once, then again and again while a run still fits into the time that is left."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Schedule:
    """Hands out the numbers of scenarios, from 0. Times are seconds since the night began; the caller has the clock."""

    count: int
    budget_s: float
    _starts: list[int] = field(init=False)
    _longest_s: dict[int, float] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._starts = [0] * self.count

    def next(self, now_s: float) -> int | None:
        """Return the scenario that ran least, of those that should end within the budget; None when none does.

        The first run of each is due whatever the budget.
        """
        order = sorted(range(self.count), key=self._starts.__getitem__)
        for number in order:
            if not self._starts[number] or now_s + self._expected_s(number) <= self.budget_s:
                self._starts[number] += 1
                return number
        return None

    def ended(self, number: int, took_s: float) -> None:
        """Learn how long a run of a scenario takes."""
        self._longest_s[number] = max(took_s, self._longest_s.get(number, 0.0))

    def _expected_s(self, number: int) -> float:
        """Return the longest that a scenario has taken; of one that never ended yet, the longest that any has."""
        return self._longest_s.get(number, max(self._longest_s.values(), default=0.0))
