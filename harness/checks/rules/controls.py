"""What shows a control: the losses that a setting would have prevented which the control takes away.

A control exists to show what its setting is good for. Losses for another reason show nothing of it, though they are losses. So where a
control expects some to be lost, dropped or expired, only those count of which a remedy is among its settings, and was in force without it:
acknowledgements that were early before they were automatic had kept nothing. That is asked of each cause:
of a remedy that takes several settings together, all must be the control's, for with one of them missing from the guarantee too, the loss
would have been there without the control. What a step took that the control itself brings in counts as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from harness.checks.rules.evidence import Cause, Causes
from harness.checks.rules.had_before import HadBefore
from harness.checks.rules.remedies import UNDECLARED_TAKER, Remedy, of_not_done
from harness.checks.rules.taken import FATES, Reason, Taken
from harness.checks.tally.message_table import MessageTable
from harness.scenario.routing import publishers_of, workers_of
from harness.scenario.scenario import Scenario
from harness.scenario.setting_paths import SettingPaths
from harness.verdict.data import Fate, Place

NOT_DONE: Final = {Fate.EXPIRED: "expired", Fate.DROPPED: "dropped"}
"""The expectations on what was not done that are shown by their remedies, beside those on losses."""


@dataclass(frozen=True, slots=True)
class Shown:
    """Of a count, what is owed to the control's settings: surely, and at the most."""

    least: int
    most: int


class TakenAway:
    """The settings that a control takes away."""

    def __init__(self, paths: Iterable[str], scenario: Scenario, before: Scenario | None, rabbitmq: str) -> None:
        """`paths` as in its `set`; `scenario` is what it makes of the one `before`, which counts for the better where it is not known."""
        self._scenario = scenario
        self._settings = SettingPaths(paths, scenario)
        self._before = None if before is None else HadBefore(before, scenario, rabbitmq)

    def shown(self, causes: Causes, taken: Taken, tally: MessageTable) -> Mapping[str, Shown]:
        """Return what of each count is owed to them, by the path of its expectation, such as `lost_at.worker`."""
        possible = int(np.count_nonzero(taken.possible & (taken.reason != Reason.NONE)))
        found: dict[str, Shown] = {}
        at = dict.fromkeys(Place, 0)
        for cause, copies in _each(causes):
            for group, count in self._by_publishers(copies, tally):
                if self._prevents(cause.remedy, cause.fault, workers=self._group_of(cause.actor), publishers=group):
                    at[cause.place] += count
        found["lost"] = Shown(sum(at.values()), sum(at.values()) + possible)
        found |= {f"lost_at.{place.value}": Shown(count, count) for place, count in at.items()}
        for fate, name in NOT_DONE.items():
            found[name] = self._not_done(fate, taken, tally)
        return found

    def _not_done(self, fate: Fate, taken: Taken, tally: MessageTable) -> Shown:
        mine = np.isin(taken.reason, [reason for reason, its in FATES.items() if its is fate])
        columns = np.stack([taken.reason[mine], taken.queue[mine]], axis=1).astype(np.int64)
        groups, of = np.unique(columns, axis=0, return_inverse=True)
        surely = np.bincount(of.reshape(-1)[~taken.possible[mine]], minlength=len(groups)).tolist()
        most = np.bincount(of.reshape(-1), minlength=len(groups)).tolist()
        owed = [
            any(
                self._prevents(remedy, None)
                for remedy in of_not_done(Reason(reason), tally.queues[queue], tally.topology)
            )
            for reason, queue in groups.tolist()
        ]
        return Shown(
            sum(count for count, own in zip(surely, owed, strict=True) if own),
            sum(count for count, own in zip(most, owed, strict=True) if own),
        )

    def _prevents(
        self, remedy: Remedy, fault: int | None, *, workers: str | None = None, publishers: str | None = None
    ) -> bool:
        """Whether a remedy is among them. `workers` and `publishers` name the groups that were concerned, where that is known."""
        groups = {"workers": workers, "publishers": publishers}
        before = self._before
        ways = (way for way in remedy.ways if before is None or all(before.has(path, groups) for path in way))
        if self._settings.have_all_of_one(ways, groups):
            return True
        named = bool(remedy.ways) or remedy == UNDECLARED_TAKER
        return named and fault is not None and self._settings.have(f"timeline.{fault}")

    def _by_publishers(self, copies: NDArray[np.int64], tally: MessageTable) -> Iterator[tuple[str | None, int]]:
        """Count copies by the group of their publisher; None for what was published by hand."""
        numbers, counts = np.unique(tally.messages.publisher_of(tally.message(copies)), return_counts=True)
        for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
            group = publishers_of(tally.messages.publisher_names[number], self._scenario)
            yield (None if group is None else group.name), count

    def _group_of(self, actor: str) -> str | None:
        group = workers_of(actor, self._scenario)
        return None if group is None else group.name


def _each(causes: Causes) -> Iterator[tuple[Cause, NDArray[np.int64]]]:
    """Yield each cause with the copies that were lost by it."""
    for number, cause in enumerate(causes.causes):
        yield cause, causes.copies[causes.of == number]
