"""What an exploration has come to: the controls that were caught, the schedules that held, and the one that did not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from harness.scenario.setting_paths import SettingPaths
from harness.search.draw import Step
from harness.search.trial_outcome import TrialOutcome, standing
from harness.verdict.data import Outcome, RunVerdict
from harness.verdict.words import plural

FAILURES: Final = 3
"""How many runs must fail with the same before no more are tried."""
_IN_PARTICULAR: Final = re.compile(r"[0-9]+|/\S*")
"""Of a failure: ports, times and paths, which differ between runs that fail for one reason."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A schedule that was run."""

    number: int
    """Of the schedule, from 1."""
    steps: tuple[Step, ...]
    verdict: RunVerdict

    @property
    def standing(self) -> TrialOutcome:
        """What the run proved."""
        return standing(self.verdict)


@dataclass(slots=True)
class Searched:
    """The schedules that were run for one variant."""

    variant: str
    ran: list[Ran] = field(default_factory=list)
    takes_away: SettingPaths | None = None
    """What a control takes away: only a loss that this would have prevented shows that the search can catch it. None for the guarantee."""

    def count(self, standing: TrialOutcome) -> int:
        """How many runs stand so."""
        return sum(each.standing is standing for each in self.ran)

    @property
    def found(self) -> Ran | None:
        """The schedule that broke it; of several the one with the fewest steps, then the lowest number."""
        broken = [each for each in self.ran if each.standing is TrialOutcome.BROKEN and self._shows(each.verdict)]
        return min(broken, key=lambda each: (len(each.steps), each.number), default=None)

    def _shows(self, verdict: RunVerdict) -> bool:
        causes = (cause for variant in verdict.variants for cause in variant.causes)
        return self.takes_away is None or any(self.takes_away.have_all_of_one(cause.settings) for cause in causes)


@dataclass(slots=True)
class Exploration:
    """A whole exploration."""

    scenario: str
    guarantee: Searched
    controls: list[Searched]
    """Those that take away what keeps messages."""
    shrunk: tuple[Step, ...] | None = None
    """The shortest timeline that was seen to break the guarantee; None where none did."""
    again: list[TrialOutcome] = field(default_factory=list)
    """How the guarantee stood when that one was run again."""
    cut_short: bool = False
    """Whether the budget was over before the shrinking was."""
    interrupted: bool = False
    failed: bool = False
    """Whether something beside the verdicts failed, such as the writing of a report."""

    @property
    def uncaught(self) -> tuple[str, ...]:
        """The controls that no schedule broke: the search has not been seen to catch these losses."""
        return tuple(control.variant for control in self.controls if control.found is None)

    @property
    def same_failure(self) -> str | None:
        """What all of the first runs failed with, where it is the same: then so would the rest. None while one may say something."""
        ran = [each for searched in (*self.controls, self.guarantee) for each in searched.ran]
        if len(ran) < FAILURES or any(each.standing is not TrialOutcome.FAILED for each in ran):
            return None
        failures = [_failure(each.verdict) for each in ran]
        return failures[0] if len({_IN_PARTICULAR.sub("", each) for each in failures}) == 1 else None

    @property
    def outcome(self) -> Outcome:
        """What it all comes to."""
        searched = (self.guarantee, *self.controls)
        if self.interrupted:
            return Outcome.INTERRUPTED
        if self.guarantee.found is not None:
            return Outcome.VIOLATED
        if self.failed or any(each.count(TrialOutcome.FAILED) for each in searched):
            return Outcome.INFRASTRUCTURE
        if self.uncaught or not self.guarantee.count(TrialOutcome.HELD):
            return Outcome.INCONCLUSIVE
        return Outcome.AS_EXPECTED

    @property
    def headline(self) -> str:
        """Say it in a sentence."""
        found, held = self.guarantee.found, self.guarantee.count(TrialOutcome.HELD)
        if found is not None:
            lost = f"schedule {found.number} of {self.scenario} breaks the guarantee: {found.verdict.headline}"
            if self.shrunk is None:
                return lost
            broken = self.again.count(TrialOutcome.BROKEN)
            repeated = f", and broke it in {broken} of {plural(len(self.again), 'run')} more" if self.again else ""
            over = "; not shrunk to the end, as the budget was over" if self.cut_short else ""
            return f"{lost} Shrunk from {plural(len(found.steps), 'step')} to {len(self.shrunk)}{repeated}{over}."
        if (failure := self.same_failure) is not None:
            return f"{self.scenario}: the first {FAILURES} schedules all failed, and no more were run: {failure}"
        said = f"{self.scenario}: the guarantee held in {held} of {plural(len(self.guarantee.ran), 'schedule')}"
        said += _rest(self.guarantee)
        if self.uncaught:
            return f"{said}; but no schedule was seen to catch the loss of {', '.join(self.uncaught)}"
        if self.controls:
            caught = (f"{each.variant} (schedule {each.found.number})" for each in self.controls if each.found)
            return f"{said}; the search caught the loss of {', '.join(caught)}"
        return f"{said}; no control that loses messages was run, so the search has not been seen to catch a loss"


def _failure(run: RunVerdict) -> str:
    return next((reason for variant in run.variants for reason in variant.reasons), run.headline)


def _rest(searched: Searched) -> str:
    rest = (
        (searched.count(TrialOutcome.NOT_TRIED), "met no message"),
        (searched.count(TrialOutcome.FAILED), "failed"),
        (searched.count(TrialOutcome.INTERRUPTED), "interrupted"),
    )
    told = [f"{count} {what}" for count, what in rest if count]
    return f" ({', '.join(told)})" if told else ""


def steps_in_words(steps: Sequence[Step]) -> str:
    """Say a timeline in a line: `after 200 processed kill worker any, back after 1s; ...`."""
    return "; ".join(_in_words(step) for step in steps) or "nothing at all"


def _in_words(step: Step) -> str:
    when = (
        f"at {step['at']}"
        if "at" in step
        else "after " + " and ".join(f"{n} {what}" for what, n in step["after"].items())
    )
    (name, what) = next((key, value) for key, value in step.items() if key not in ("at", "after"))
    return f"{when} {name} " + ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in what.items())
