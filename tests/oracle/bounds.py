"""Whether what a verdict counts can be the truth: an uncertain figure is an interval [shown, shown + possible]."""

from __future__ import annotations

from collections import Counter

from harness.verdict.data import Fate, VariantVerdict
from tests.oracle.agreement import name_of, taken_for_branched, unseen
from tests.oracle.judged import FATES
from tests.oracle.lives import Name
from tests.oracle.oracle import Oracle
from tests.oracle.simulator.run import Simulation
from tests.oracle.simulator.truth import CopyTruth

OF_TRUTH = FATES | {"foreign": Fate.REMOVED}


def outside(verdict: VariantVerdict, oracle: Oracle, simulation: Simulation) -> list[str]:
    """Fates whose true number is not within the verdict's interval; a sentence each.

    `possible` are those of a fate that may as well have been lost: they count to the interval of what was lost, from above.
    """
    judged, possible = verdict.counts.fates, verdict.counts.possible
    low, high = _true(oracle, simulation)
    found = []
    for fate in Fate:
        least, most = judged.get(fate, 0) - possible.get(fate, 0), judged.get(fate, 0)
        if fate is Fate.LOST:
            least, most = judged.get(fate, 0), judged.get(fate, 0) + sum(possible.values())
        if most < low[fate] or least > high[fate]:
            found.append(f"{fate}: {least} to {most} by the verdict, {low[fate]} to {high[fate]} in truth")
    return found


def _true(oracle: Oracle, simulation: Simulation) -> tuple[Counter[Fate], Counter[Fate]]:
    """How many copies have a fate for certain, and how many may be said to have it."""
    promised = {key: any(each.promised for each in mine) for key, mine in oracle.records.publishes.items()}
    branched = taken_for_branched(oracle)
    low: Counter[Fate] = Counter()
    high: Counter[Fate] = Counter()
    for copy, truth in simulation.truth.copies.items():
        returned = bool(copy.first) and not truth.instances and Name(copy.key, "") in oracle.decisions
        if copy.key not in promised or returned:
            continue
        fates = _named(truth, promised=promised[copy.key])
        high.update(fates)
        if len(fates) == 1 and not unseen(copy, oracle) and name_of(copy) not in branched:
            low.update(fates)
    seen = set(simulation.truth.copies)
    for name in oracle.decisions:
        if not any((copy.key, copy.first, copy.branches) == name for copy in seen):
            fate = Fate.LOST if promised[name.key] else Fate.NEVER_PROMISED  # it never came to the broker
            low[fate] += 1
            high[fate] += 1
    return low, high


def _named(truth: CopyTruth, *, promised: bool) -> set[Fate]:
    fates = truth.fates(promised=promised)
    if "branched" in fates:
        return set()
    if fates == {"done"} and not promised:
        return {Fate.RECOVERED, Fate.RESURRECTED}
    return {OF_TRUTH[fate] for fate in fates}
