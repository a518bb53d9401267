"""What came out of a campaign, as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tools.mutants.campaign import End, Ended
from tools.mutants.equivalent import Equivalent


@dataclass(frozen=True, slots=True)
class Score:
    """What became of all mutants."""

    killed: int
    timed_out: int
    not_tried: int
    survivors: tuple[Ended, ...]
    """What no test noticed, covered or not, and no reason excuses."""
    equivalent: tuple[tuple[Ended, Equivalent], ...]
    """What no test noticed, for a reason."""
    refuted: tuple[tuple[Ended, Equivalent], ...]
    """What is listed as equivalent, and was killed all the same."""

    @property
    def rate(self) -> float:
        """How many of the mutants that are mistakes were killed, from 0 to 1."""
        killed = self.killed + self.timed_out
        return killed / (killed + len(self.survivors)) if killed + len(self.survivors) else 1.0


def score(ended: Sequence[Ended], entries: Sequence[Equivalent], sources: Mapping[str, str]) -> Score:
    """Sort out what became of the mutants."""
    excuses = {
        each.site: next((entry for entry in entries if entry.is_of(each.site, sources[each.site.file])), None)
        for each in ended
    }
    ends = Counter(each.end for each in ended)
    noticed = [each for each in ended if each.end in (End.KILLED, End.TIMED_OUT)]
    unnoticed = [each for each in ended if each.end in (End.SURVIVED, End.NOT_COVERED)]
    return Score(
        ends[End.KILLED],
        ends[End.TIMED_OUT],
        ends[End.NOT_TRIED],
        tuple(each for each in unnoticed if excuses[each.site] is None),
        tuple((each, entry) for each in unnoticed if (entry := excuses[each.site]) is not None),
        tuple((each, entry) for each in noticed if (entry := excuses[each.site]) is not None),
    )


def one_line(ended: Ended, sources: Mapping[str, str]) -> str:
    """Say which mutant it is and what became of it."""
    site = ended.site
    before = " ".join(site.before.split()) or "nothing"
    place = f"{site.file}:{site.line}"
    covered = f", {ended.tests} tests" if ended.tests else ""
    return f"{ended.end.value:11} {place} {before} -> {site.after or 'nothing'} in: {_line(ended, sources)}{covered}"


def report(found: Score, sources: Mapping[str, str]) -> Iterator[str]:
    """Return the lines of the report."""
    for title, group in (("Equivalent", found.equivalent), ("Listed as equivalent, and killed", found.refuted)):
        if group:
            yield f"\n{title}:"
            for ended, entry in group:
                yield f"  {one_line(ended, sources)}\n    {entry.reason}"
    if found.survivors:
        yield "\nSurvivors:"
        for ended in sorted(found.survivors, key=lambda each: (each.site.file, each.site.line)):
            site, line = ended.site, _line(ended, sources)
            yield f"  {site.file}:{site.line} {site.function or '(module)'}, {ended.end.value}, {ended.tests} tests"
            yield f"    - {line}"
            yield f"    + {_after(ended, sources)}"
    yield (
        f"\n{found.killed} killed, {found.timed_out} timed out, {len(found.survivors)} survived, "
        f"{len(found.equivalent)} equivalent, {found.not_tried} not tried: {found.rate:.1%} killed"
    )


def _line(ended: Ended, sources: Mapping[str, str]) -> str:
    return sources[ended.site.file].splitlines()[ended.site.line - 1].strip()


def _after(ended: Ended, sources: Mapping[str, str]) -> str:
    return ended.site.planted(sources[ended.site.file]).splitlines()[ended.site.line - 1].strip()
