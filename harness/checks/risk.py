"""What each fault could have taken when it struck. A fault that met nothing at risk proves nothing."""

from __future__ import annotations

import numpy as np

from harness.checks.happenings import Happening
from harness.checks.tally import Tally

HARMLESS = frozenset({"scale", "declare", "publish", "resume"})


def at_risk(happening: Happening, tally: Tally) -> int | None:
    """Count the messages in reach of a fault; None for an action that puts none at risk.

    Broker faults, closed connections and purges: published and not completed when it struck. Workers: delivered to the
    incarnation that was struck and not completed. Publishers: published by it and not settled (without confirms: not yet delivered).
    A kill is looked at when it struck (it may have waited for a worker that holds something), the others when they began.
    """
    if happening.action in HARMLESS:
        return None
    if happening.family in ("broker", "connection", "topology"):
        begun = tally.first_published_ns <= happening.at_ns
        return int(np.count_nonzero(begun & (tally.first_completed_ns > happening.at_ns)))
    when = happening.struck_ns if happening.action == "kill" else happening.at_ns
    count = 0
    for index, session in enumerate(tally.sessions):
        if session.actor not in happening.targets or session.lost_ns < happening.at_ns:
            continue
        if session.role == "worker":
            deliveries = tally.deliveries
            held = (deliveries.session == index) & (deliveries.at_ns <= when) & (deliveries.completed_ns > when)
            count += int(np.count_nonzero(held & (deliveries.rejected == 0)))
        else:
            publishes = tally.publishes
            settled_ns = np.where(
                publishes.confirmable, publishes.confirmed_ns, tally.first_delivered_ns[publishes.message]
            )
            open_ = (publishes.session == index) & (publishes.at_ns <= when) & (settled_ns > when) & ~publishes.nacked
            count += int(np.count_nonzero(open_))
    return count
