"""What was not done and is not lost: expired, dropped, removed or retained, by which queue, and what would have kept it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.checks.rules.remedies import of_not_done
from harness.checks.rules.taken import FATES, Reason, Taken
from harness.checks.tally.fault_records import FaultRecord
from harness.checks.tally.message_table import MessageTable
from harness.checks.tally.topology import RunTopology
from harness.verdict.data import NotDone
from harness.verdict.words import plural

_VERBS = {
    Reason.TTL: "expired",
    Reason.LENGTH: "dropped",
    Reason.DELIVERY_LIMIT: "dropped",
    Reason.REJECTED: "dropped",
    Reason.NO_TARGET: "dropped",
    Reason.CYCLE: "dropped",
    Reason.PURGED: "removed",
    Reason.QUEUE_GONE: "removed",
    Reason.HELD: "retained",
    Reason.TAKEN: "removed",
}


def group_not_done(taken: Taken, tally: MessageTable, struck: Sequence[FaultRecord]) -> tuple[NotDone, ...]:
    """Group what was taken by queue, reason, fault and evidence; the largest group first."""
    rows = np.flatnonzero(taken.reason != Reason.NONE)
    keys = np.stack([taken.reason[rows], taken.queue[rows], taken.fault[rows], taken.possible[rows]], axis=1)
    distinct, counts = np.unique(keys.astype(np.int64), axis=0, return_counts=True)
    groups = sorted(zip(distinct.tolist(), counts.tolist(), strict=True), key=lambda group: -group[1])
    titles = {each.fault: each.title for each in struck}
    return tuple(_group(key, count, tally, titles) for key, count in groups)


def _group(key: Sequence[int], count: int, tally: MessageTable, titles: dict[int, str]) -> NotDone:
    number, place, fault, possible = key
    reason, queue = Reason(number), tally.queues[place] if place >= 0 else ""
    by = _by(reason, queue, titles.get(fault, ""), tally.topology)
    settings = tuple(remedy.text for remedy in of_not_done(reason, queue, tally.topology))
    verb = _verb(reason, count, possible=bool(possible))
    kept = f" Would have kept {'it' if count == 1 else 'them'}: {' or '.join(settings)}." if settings else ""
    return NotDone(
        fate=FATES[reason],
        queue=queue,
        fault=None if fault < 0 else fault,
        possible=bool(possible),
        by=by,
        settings=settings,
        count=count,
        sentence=f"{plural(count, *tally.unit)} {verb} {by}.{kept}",
    )


def _verb(reason: Reason, count: int, *, possible: bool) -> str:
    if reason is Reason.TTL:
        return "may have expired" if possible else "expired"
    return f"{'may have been' if possible else 'was' if count == 1 else 'were'} {_VERBS[reason]}"


_BY = {
    Reason.TTL: "by the time to live of {queue}",
    Reason.LENGTH: "by the length limit of {queue}",
    Reason.DELIVERY_LIMIT: "by the delivery limit of {queue}",
    Reason.REJECTED: "by a reject, and {queue} has no dead letter target",
    Reason.NO_TARGET: "as dead letters of {queue}, whose dead letter target leads to no queue",
    Reason.CYCLE: "in a dead letter cycle: with no reject on the way, {queue} led back to where they had died",
    Reason.PURGED: "from {queue} by `{fault}`",
    Reason.QUEUE_GONE: "with their queue {queue}",
    Reason.HELD: "by {queue} for its dead letter target, which refuses them",
    Reason.TAKEN: "from {queue} by a consumer that is not the run's",
}
_FIELDS = {Reason.TTL: "message_ttl_s", Reason.LENGTH: "max_length", Reason.DELIVERY_LIMIT: "delivery_limit"}


def _by(reason: Reason, queue: str, fault: str, topology: RunTopology) -> str:
    """Say by what, as in `dropped by the length limit of tasks`; a policy that set it is named."""
    policy = topology.policy_behind(queue, _FIELDS[reason]) if reason in _FIELDS else ""
    expired = ", which expired" if reason is Reason.QUEUE_GONE and topology.policy(queue).expires_s is not None else ""
    return _BY[reason].format(queue=queue, fault=fault) + expired + (f" (policy {policy})" if policy else "")
