"""What programs that are not the run's did with copies that are missing: took them, hold them, or kept them from their queue.

Asked last, of what nothing else explains: what a stranger can have taken is no fault of the broker. The broker's own counts say how many
were taken for good; of more than that, a purge or a deletion by somebody who was seen is possible. Which copies these are is a guess.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.checks.rules.causes import find_causes
from harness.checks.rules.counted import Counters
from harness.checks.rules.evidence import Cause, accuses
from harness.checks.rules.latest import last_deliveries
from harness.checks.rules.remedies import CHANGED_BODY
from harness.checks.rules.strangers import Strangers
from harness.checks.rules.taken import Reason, Taken
from harness.checks.tally.message_table import MessageTable
from harness.events import Event
from harness.verdict.data import Place

Rows = NDArray[np.int64]
"""Places in `Taken`."""


def taken_by_others(taken: Taken, counters: Counters, tally: MessageTable, events: Sequence[Event]) -> None:
    """Say of missing copies what others did with them, in `taken` itself."""
    strangers = Strangers(tally, events)
    if len(taken.copy) and strangers.may_have_acted:
        _Others(taken, counters, strangers, tally, events).all()


class _Others:
    """Holds what is missing against what others did."""

    def __init__(
        self, taken: Taken, counters: Counters, strangers: Strangers, tally: MessageTable, events: Sequence[Event]
    ) -> None:
        self._taken, self._counters, self._strangers, self._tally = taken, counters, strangers, tally
        missing = ((taken.reason == Reason.NONE) & (taken.queue >= 0)) | (taken.reason == Reason.TAKEN)
        rows = np.flatnonzero(missing)
        causes = find_causes(taken.chosen(missing), tally, events)
        kinds = np.array([_kind(cause) for cause in causes.causes] or [0])[causes.of]
        self._unexplained: Rows = rows[kinds == 2]
        """Nothing else but a fault of the broker is left."""
        self._explained: Rows = rows[kinds == 1]
        """A fault of the run may have taken them from their queue."""

    def all(self) -> None:
        """Decide, in the order of what is known best."""
        for queue, held in self._strangers.holding():
            self._hold(self._tally.queues.index(queue), held)
        self._unroute()
        took = self._strangers.took
        seen_there = self._taken.reason[self._unexplained] == Reason.TAKEN
        if took is None:
            self._possibly(self._unexplained[~seen_there])
            self._taken.possible[self._explained[self._taken.reason[self._explained] == Reason.TAKEN]] = True
            return
        # Where one was lost, the broker counted one less: whoever took what came back then makes up for it.
        others = self._counters.others(self._tally.queues, acknowledged=False)
        least = max(0, took.least - others - len(self._explained))
        first, rest = self._unexplained[: took.most], self._unexplained[took.most :]
        self._take(first, least)
        self._possibly(rest)
        self._instead(took.counted - len(self._unexplained), took.least - others - len(self._unexplained))

    def _hold(self, place: int, held: int) -> None:
        """Say of copies that others hold them: they will be ready again when they are given back."""
        taken = self._taken
        rows = np.concatenate([self._unexplained, self._explained])
        rows = rows[taken.queue[rows] == place][:held]
        taken.put(rows, Reason.HELD_BY_OTHERS, place)
        published = self._strangers.published
        least = held - self._counters.others([self._tally.queues[place]]) - max(0, published or 0)
        taken.possible[rows] = np.arange(len(rows)) >= (least if published is not None else 0)
        self._drop(rows)

    def _unroute(self) -> None:
        """Say of copies that they went nowhere, as others had unbound their queue: as many of the last as were not routed."""
        places = [
            self._tally.queues.index(queue) for _, queue in self._strangers.unbound() if queue in self._tally.queues
        ]
        fewer = self._strangers.unrouted
        if not places or not fewer:
            return
        taken, tally = self._taken, self._tally
        rows = self._unexplained
        fresh = (last_deliveries(taken.copy[rows], tally) < 0) & np.isin(tally.published_to(taken.copy[rows]), places)
        rows = rows[fresh]
        rows = rows[np.argsort(tally.first_published_ns[taken.copy[rows]], kind="stable")][-fewer:]
        taken.put(rows, Reason.NONE, -1)
        self._drop(rows)

    def _take(self, rows: Rows, least: int) -> None:
        """Say of copies that others took them for good; of the first ones for certain."""
        self._taken.reason[rows] = Reason.TAKEN
        self._taken.possible[rows] = np.arange(len(rows)) >= least

    def _possibly(self, rows: Rows) -> None:
        """Say of copies that others may have removed them, if any were seen; else they are lost."""
        self._taken.reason[rows] = Reason.BY_OTHERS if self._strangers.seen else Reason.NONE
        self._taken.possible[rows] = self._strangers.seen

    def _instead(self, further: int, least: int) -> None:
        """Say of copies that a fault may have taken that others did, as far as they took more than what nothing else explains."""
        seen_there = self._taken.reason[self._explained] == Reason.TAKEN
        rows = np.concatenate([self._explained[seen_there], self._explained[~seen_there]])
        instead = rows[: max(0, further)]
        self._taken.reason[rows[len(instead) :]] = Reason.NONE
        self._taken.possible[rows[len(instead) :]] = False
        self._take(instead, least)

    def _drop(self, rows: Rows) -> None:
        """Leave copies out of what is still to be decided."""
        self._unexplained = np.setdiff1d(self._unexplained, rows)
        self._explained = np.setdiff1d(self._explained, rows)


def is_unexplained(cause: Cause) -> bool:
    """Whether nothing but a fault of the broker explains it, and it was in its queue: no worker of the run had it."""
    return accuses(cause) and not _was_at_worker(cause)


def _was_at_worker(cause: Cause) -> bool:
    return cause.remedy == CHANGED_BODY or (cause.place is Place.UNKNOWN and bool(cause.actor))


def _kind(cause: Cause) -> int:
    """Return 2 for what nothing but a fault of the broker explains, 1 for what a fault took from a queue, 0 for what others cannot have had."""
    if is_unexplained(cause):
        return 2
    return 1 if cause.place is Place.BROKER else 0
