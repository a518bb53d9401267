"""Several runs put together: which scenarios are as expected, which are not, and which could not make up their minds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.verdict.data import Outcome, RunVerdict, worst


@dataclass(frozen=True, slots=True)
class Repetitions:
    """One scenario's runs, in the order of their ends; at least one."""

    runs: tuple[RunVerdict, ...]

    @property
    def scenario(self) -> str:
        """The scenario's name."""
        return self.runs[0].scenario

    @property
    def outcome(self) -> Outcome:
        """The worst of the runs: no repetition makes good what another one showed."""
        return worst([run.outcome for run in self.runs])

    @property
    def worst_run(self) -> RunVerdict:
        """The first run with the worst outcome."""
        return next(run for run in self.runs if run.outcome is self.outcome)

    @property
    def differing(self) -> tuple[RunVerdict, ...]:
        """The runs that are not as expected, interrupted ones left out."""
        return tuple(run for run in self.runs if run.outcome not in (Outcome.AS_EXPECTED, Outcome.INTERRUPTED))

    @property
    def flaky(self) -> bool:
        """Whether its runs came to different verdicts. An interrupted run came to none."""
        return len({run.outcome for run in self.runs} - {Outcome.INTERRUPTED}) > 1

    @property
    def shares(self) -> str:
        """Its verdicts and how often each was reached, the worst first: `violated 1, as expected 4`."""
        counts = {outcome: sum(run.outcome is outcome for run in self.runs) for outcome in Outcome}
        found: list[str] = []
        while any(counts.values()):
            outcome = worst([each for each, count in counts.items() if count])
            found.append(f"{outcome.value} {counts.pop(outcome)}")
        return ", ".join(found)


def by_scenario(runs: Sequence[RunVerdict]) -> tuple[Repetitions, ...]:
    """Group runs by scenario (file and name), in the order of each one's first run."""
    groups: dict[tuple[str, str], list[RunVerdict]] = {}
    for run in runs:
        groups.setdefault((run.file, run.scenario), []).append(run)
    return tuple(Repetitions(tuple(group)) for group in groups.values())


def headline(scenarios: Sequence[Repetitions]) -> str:
    """Say in a sentence how several scenarios stand, e.g. `11 of 12 scenarios as expected, 1 violated; flaky: worker kill`."""
    total = len(scenarios)
    counts = {outcome: sum(each.outcome is outcome for each in scenarios) for outcome in Outcome}
    good = counts.pop(Outcome.AS_EXPECTED)
    noun = "scenario" if total == 1 else "scenarios"
    parts = [f"{good} of {total} {noun} as expected"]
    parts += [f"{count} {outcome.value}" for outcome, count in counts.items() if count]
    flaky = [each.scenario for each in scenarios if each.flaky]
    return ", ".join(parts) + (f"; flaky: {', '.join(flaky)}" if flaky else "")
