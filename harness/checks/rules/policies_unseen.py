"""What a policy may have taken from a queue of a broker that cannot be asked for its policies.

Asked after everything else, of what no fault of the run explains: a policy may have expired it, dropped it, or dead-lettered it to a queue
that is not the run's. Nothing shows that one did, so each of these copies is removed or lost.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.checks.rules.causes import find_causes
from harness.checks.rules.taken import Reason, Taken
from harness.checks.rules.taken_by_others import is_unexplained
from harness.checks.tally.message_table import MessageTable
from harness.events import Event


def perhaps_taken_by_policies(taken: Taken, tally: MessageTable, events: Sequence[Event]) -> None:
    """Say of what is missing unexplained that a policy may have taken it, in `taken` itself."""
    missing = (taken.reason == Reason.NONE) & (taken.queue >= 0)
    if not tally.topology.policies_unseen or not missing.any():
        return
    causes = find_causes(taken.chosen(missing), tally, events)
    unexplained = np.array([is_unexplained(cause) for cause in causes.causes])[causes.of]
    rows = np.flatnonzero(missing)[unexplained]
    taken.reason[rows] = Reason.BY_POLICY
    taken.possible[rows] = True
