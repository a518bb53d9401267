"""The search of `chaos explore`: which schedule is run next, and what the runs came to."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

from harness.cli.options import say
from harness.cli.processes import Ended, Job
from harness.cli.settings import Settings
from harness.cli.several import Batch, write_made
from harness.cli.suite import show_ended
from harness.errors import ScenarioError
from harness.faults.registry import actions
from harness.scenario.derive import derive, named
from harness.scenario.expectations import BESIDE_DONE, Expectations
from harness.scenario.load import Loaded
from harness.scenario.resolve import canonical
from harness.scenario.scenario import GUARANTEE
from harness.scenario.setting_paths import SettingPaths
from harness.scenario.variants import Variant
from harness.search.draw import Step, draw_timeline
from harness.search.exploration import Exploration, Ran, Searched, steps_in_words
from harness.search.shrink import shorter
from harness.search.trial_outcome import TrialOutcome
from harness.verdict.data import Outcome

FOUND: Final = "found.yaml"
"""The scenario with the shortest schedule that broke the guarantee."""
CONTROL_SCHEDULES: Final = 12
"""How many schedules a control is given to lose a message."""
CONTROLS_SHARE: Final = 0.5
"""Of the budget, for the controls: the rest is the guarantee's."""
AGAIN: Final = 5
"""How often the shortest schedule is run again."""
DRAWS: Final = 100
"""How often to draw a schedule anew that cannot be, such as one that waits for more than there will be."""


@dataclass(frozen=True, slots=True)
class _Order:
    """A run to come, and what is told of it when it is over."""

    searched: Searched
    number: int
    steps: tuple[Step, ...]
    loaded: Loaded
    seed: int


class Search:
    """One exploration of a scenario."""

    def __init__(
        self, loaded: Loaded, settings: Settings, batch: Batch, folder: Path, *, seed: int, most_steps: int
    ) -> None:
        """Take a scenario, and the batch that does the runs; the scenarios of the schedules are written to `folder`."""
        self._loaded, self._settings, self._batch, self._folder = loaded, settings, batch, folder
        self._seed, self._most_steps = seed, most_steps
        self._variants = {variant.name: variant for variant in loaded.variants()}
        self._exploration = Exploration(
            loaded.scenario.name,
            Searched(GUARANTEE),
            [
                Searched(name, takes_away=SettingPaths(variant.settings, variant.scenario))
                for name, variant in self._variants.items()
                if _loses(variant)
            ],
        )
        self._longest_s = 0.0
        self._budget_s = math.inf

    def run(self, budget_s: float, *, controls: bool) -> Exploration:
        """Search each control until it is caught, then the guarantee for the rest of the time; shrink what is found there.

        No run begins that is expected to end after `budget_s` seconds, but for the first schedule of each control and of the guarantee.
        """
        exploration = self._exploration
        self._budget_s = budget_s
        if not controls:
            exploration.controls.clear()
        whole = self._do(self._of_controls()) and self._do(self._of_guarantee())
        if whole and exploration.guarantee.found is not None:
            whole = self._shrink(exploration.guarantee.found)
        exploration.interrupted = not whole
        exploration.failed = Outcome.INFRASTRUCTURE in self._batch.ending
        return exploration

    def _of_controls(self) -> Iterator[_Order]:
        for number in range(1, CONTROL_SCHEDULES + 1):
            for searched in self._exploration.controls:
                if searched.found is None and self._goes_on(number, CONTROLS_SHARE):
                    yield self._drawn(searched, number)

    def _of_guarantee(self) -> Iterator[_Order]:
        searched, number = self._exploration.guarantee, 1
        while searched.found is None and self._goes_on(number):
            yield self._drawn(searched, number)
            number += 1

    def _goes_on(self, number: int = 2, share: float = 1.0) -> bool:
        """Whether a run has a chance to say something, and fits into a share of the budget unless it is the first of its kind."""
        in_time = number == 1 or self._batch.elapsed_s + self._longest_s <= share * self._budget_s
        return in_time and self._exploration.same_failure is None

    def _shrink(self, found: Ran) -> bool:
        """Leave out steps while what is left breaks the guarantee, then run that again; returns False if that was interrupted."""
        exploration = self._exploration
        exploration.shrunk = found.steps
        while exploration.shrunk:
            if not self._goes_on():
                exploration.cut_short = True
                break
            tried = Searched(GUARANTEE)
            if not self._do(self._shorter(tried, exploration.shrunk, found.verdict.seed)):
                return False
            if tried.found is None:
                exploration.cut_short = not self._goes_on()
                break
            exploration.shrunk = tried.found.steps
            say(f"shrunk to {steps_in_words(exploration.shrunk)}")
        again = Searched(GUARANTEE)
        whole = self._do(self._again(again, exploration.shrunk, found.verdict.seed))
        exploration.again = [each.standing for each in again.ran]
        return whole

    def _shorter(self, tried: Searched, steps: tuple[Step, ...], seed: int) -> Iterator[_Order]:
        for number, one in enumerate(shorter(steps), start=1):
            if tried.found is not None or not self._goes_on():
                return
            name = f"{len(steps)} steps, shortened {number}"
            yield _Order(tried, number, one.steps, self._made(GUARANTEE, one.steps, name), seed + one.number)

    def _again(self, again: Searched, steps: tuple[Step, ...], seed: int) -> Iterator[_Order]:
        loaded = self._made(GUARANTEE, steps, "found", path=self._folder / FOUND)
        for number in range(1, AGAIN + 1):
            if not self._goes_on():
                return
            yield _Order(again, number, steps, loaded, seed + number)

    def _do(self, orders: Iterator[_Order]) -> bool:
        """Run what is ordered; returns False if that was interrupted."""
        under_way: dict[tuple[Path, int], _Order] = {}

        def next_job() -> Job | None:
            order = next(orders, None)
            if order is None:
                return None
            under_way[order.loaded.path, order.seed] = order
            return Job(order.loaded, order.seed)

        def on_end(ended: Ended) -> None:
            order = under_way.pop((ended.job.loaded.path, ended.job.seed))
            ran = Ran(order.number, order.steps, ended.verdict)
            order.searched.ran.append(ran)
            self._longest_s = max(self._longest_s, ended.verdict.duration_s)
            if ran.standing is TrialOutcome.FAILED or self._settings.json_output:
                show_ended(ended, self._settings)

        return self._batch.run(next_job, on_end)

    def _drawn(self, searched: Searched, number: int) -> _Order:
        """Draw a schedule by its number: the same one whatever was run before it, and for every variant."""
        able = self._settings.option.abilities(self._loaded.scenario.broker)
        random = Random(f"{self._seed} {number}")  # noqa: S311 - a schedule, not a secret
        for attempt in range(DRAWS):
            steps = draw_timeline(self._loaded.scenario, actions(), able, random, most_steps=self._most_steps)
            try:
                loaded = self._made(searched.variant, steps, f"schedule {number}")
            except ScenarioError:
                if attempt == DRAWS - 1:
                    raise
            else:
                return _Order(searched, number, steps, loaded, self._seed + number)
        raise AssertionError("the last attempt raises")

    def _made(self, variant: str, steps: tuple[Step, ...], what: str, *, path: Path | None = None) -> Loaded:
        """Make the scenario of a schedule, and write it down. Raises ScenarioError."""
        scenario = self._variants[variant].scenario
        parts = (what,) if variant == GUARANTEE else (variant, what)
        data: dict[str, Any] = canonical(scenario) | {
            "name": named(self._loaded.scenario.name, parts),
            "description": f"Drawn by chaos explore with seed {self._seed}: {steps_in_words(steps)}.",
            "timeline": list(steps),
            "expect": _allowed(scenario.expect, self._loaded.scenario.expect),
            "controls": {},
        }
        file = self._folder / "schedules" / f"{', '.join(parts).replace(' ', '-').replace(',', '')}.yaml"
        made = derive(
            data,
            path or file,
            source=self._loaded.path,
            origin=f"{self._loaded.path}, {what}",
            actions=actions(),
            abilities=self._settings.option.abilities,
        )
        write_made(made)
        return made


def _allowed(*expectations: Expectations) -> dict[str, str]:
    """Allow what a scenario, or its control, says becomes of messages beside being done; how many is a matter of the timeline that it had."""
    stated = {(name, getattr(each, name)) for each in expectations for name in BESIDE_DONE}
    some = {name for name, count in stated if count is not None and str(count).strip("= ") != "0"}
    return {name: ">= 0" for name in BESIDE_DONE if name in some}


def _loses(variant: Variant) -> bool:
    """Whether a control says that messages must be lost, by a timeline that is not its own."""
    lost = variant.expect.lost
    return lost is not None and lost.least >= 1 and "timeline" not in {path.split(".")[0] for path in variant.settings}
