"""What became of each copy: exactly one fate, by the rules of `Fate`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from harness.checks.rules.refused import done_though_refused
from harness.checks.rules.taken import FATES, Reason, Taken
from harness.checks.rules.walk import what_took
from harness.checks.tally.message_table import AT_ONCE, MessageTable
from harness.checks.tally.topology import RunTopology
from harness.events import Event
from harness.verdict.data import Fate

ORDER: Final = tuple(Fate)
"""A fate's number in the arrays is its place here."""


def code(fate: Fate) -> int:
    """Return a fate's number in the arrays."""
    return ORDER.index(fate)


@dataclass(frozen=True, slots=True)
class Fates:
    """The fate of every copy."""

    codes: NDArray[np.int8]
    """By copy its fate's number in ORDER; -1 for one that does not exist."""
    taken: Taken
    """What became of the copies that were promised, and are neither done nor anywhere."""

    def of(self, fate: Fate) -> NDArray[np.int64]:
        """Return the copies that have a fate."""
        parts = [begin + np.flatnonzero(codes == code(fate)) for begin, codes in self._parts()]
        return np.concatenate([np.empty(0, dtype=np.int64), *parts])

    def counts(self) -> dict[Fate, int]:
        """Count the copies that have each fate."""
        counts = np.zeros(len(ORDER) + 1, dtype=np.int64)  # the last place is for -1
        for _, codes in self._parts():
            unusual = codes[codes != 0]
            counts[0] += len(codes) - len(unusual)
            np.add.at(counts, unusual, 1)
        return dict(zip(ORDER, counts.tolist(), strict=False))

    def possible(self, fate: Fate) -> int:
        """Count those of the copies with a fate that may as well have been lost, or have another one instead."""
        return int(np.count_nonzero(self.taken.possible & np.isin(self.taken.reason, _reasons(fate))))

    def instead(self, fate: Fate) -> int:
        """Count the copies that have a fate if they do not have the one that they seem to have."""
        return int(np.count_nonzero(self.taken.possible & np.isin(self.taken.instead, _reasons(fate))))

    def lost(self) -> Taken:
        """Return where the lost copies stood last."""
        return self.taken.chosen(self.taken.reason == Reason.NONE)

    def perhaps_lost(self) -> Taken:
        """Return where the copies stood last that may as well have been lost."""
        return self.taken.chosen(self.taken.perhaps_lost)

    def _parts(self) -> Iterator[tuple[int, NDArray[np.int8]]]:
        for begin in range(0, len(self.codes), AT_ONCE):
            yield begin, self.codes[begin : begin + AT_ONCE]


def _reasons(fate: Fate) -> list[Reason]:
    return [reason for reason, leads_to in FATES.items() if leads_to is fate]


def find_fates(tally: MessageTable, events: Sequence[Event]) -> Fates:
    """Find every copy's fate."""
    # The usual fate has the number 0, and pages of zeros that nobody writes to take no memory.
    codes = np.zeros(tally.total, dtype=np.int8)
    left = _left(tally)
    missing, unpromised = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for here in tally.slices():
        exists, done, promised = tally.published.some[here], tally.completions.some[here], tally.promised[here]
        if (exists & done & promised).all():
            continue
        missing.append(here.start + np.flatnonzero(exists & promised & ~done))
        unpromised.append(here.start + np.flatnonzero(done & ~promised & exists))
        codes[here][exists & ~done] = code(Fate.NEVER_PROMISED)
        codes[here][~exists] = -1
    came = np.concatenate(unpromised)
    codes[came] = code(Fate.RECOVERED)
    codes[came[done_though_refused(came, tally)]] = code(Fate.RESURRECTED)
    for fate, copies in left.items():
        codes[copies] = code(fate)
    found = np.concatenate([np.empty(0, dtype=np.int64), *left.values()])
    gone = np.setdiff1d(np.concatenate(missing), found)
    taken = what_took(gone, tally, events)
    codes[gone] = code(Fate.LOST)
    for reason, fate in FATES.items():
        codes[gone[taken.reason == reason]] = code(fate)
    return Fates(codes, taken)


def _left(tally: MessageTable) -> dict[Fate, NDArray[np.int64]]:
    """Return the copies that were found in a queue and never done; of several places of one copy, the last in this order counts."""
    found = tally.found
    open_ones = (
        (found.copy >= 0) & ~tally.completions.some[np.maximum(found.copy, 0)] if len(found.copy) else found.died
    )
    kinds = np.array([_kind(name, tally.topology) for name in tally.queues] or [0])
    at = kinds[found.queue] if len(found.queue) else found.queue
    return {
        fate: np.unique(found.copy[open_ones & (at == number)])
        for number, fate in enumerate((Fate.DEAD_LETTERED, Fate.IN_TRANSIT, Fate.STRANDED))
    }


def _kind(queue: str, topology: RunTopology) -> int:
    """Return 0 for a queue where messages come to rest, 1 for one that leads to a consumer by itself, 2 for a work queue."""
    if queue in topology.roles.resting:
        return 0
    return 1 if queue in topology.roles.delaying else 2
