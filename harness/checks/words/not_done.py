"""What was not done and is not lost: expired, dropped, removed, retained or held, by which queue, and what would have kept it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.checks.rules.evidence import Cause, Causes, accuses
from harness.checks.rules.remedies import of_not_done
from harness.checks.rules.taken import FATES, Reason, Taken
from harness.checks.tally.fault_records import FaultRecord
from harness.checks.tally.message_table import MessageTable
from harness.checks.tally.times import NEVER
from harness.checks.tally.topology import RunTopology
from harness.checks.words.sentences import how_lost
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
    Reason.UNCONFIRMED: "held",
    Reason.RECOVERY: "dropped",
    Reason.BY_OTHERS: "removed",
    Reason.HELD_BY_OTHERS: "held",
    Reason.BY_POLICY: "removed",
}


def group_not_done(
    taken: Taken, otherwise: Causes, tally: MessageTable, struck: Sequence[FaultRecord]
) -> tuple[NotDone, ...]:
    """Group what was taken by queue, reason, fault and evidence; the largest group first.

    `otherwise` is how those were lost that may as well have been lost, in the order of `taken`.
    """
    causes = [replace(cause, at_ns=NEVER) for cause in otherwise.causes]
    distinct_causes = list(dict.fromkeys(cause for cause in causes if not accuses(cause)))
    numbers = [distinct_causes.index(cause) if cause in distinct_causes else -1 for cause in causes]
    lost_by = np.full(len(taken.copy), -1, dtype=np.int64)
    if len(otherwise.of):
        lost_by[taken.perhaps_lost] = np.array(numbers, dtype=np.int64)[otherwise.of]
    rows = np.flatnonzero(taken.reason != Reason.NONE)
    instead = np.where(taken.possible, taken.instead, Reason.NONE)
    instead_queue = np.where(instead != Reason.NONE, taken.instead_queue, -1)
    columns = (taken.reason, taken.queue, taken.fault, taken.possible, lost_by, instead, instead_queue)
    keys = np.stack([column[rows] for column in columns], axis=1).astype(np.int64)
    distinct, counts = np.unique(keys, axis=0, return_counts=True)
    groups = sorted(zip(distinct.tolist(), counts.tolist(), strict=True), key=lambda group: -group[1])
    records: dict[int | None, FaultRecord] = {each.fault: each for each in struck}
    found = []
    names = [*tally.queues, ""]
    for (number, place, fault, possible, by, other, other_place), count in groups:
        group = _Group(
            Reason(number),
            names[place],
            records.get(fault),
            bool(possible),
            distinct_causes[by] if by >= 0 else None,
            count,
            Reason(other),
            names[other_place],
        )
        lost_when = records.get(group.or_lost.fault) if group.or_lost is not None else None
        found.append(_not_done(group, lost_when, tally))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Group:
    """Copies that were taken in the same way."""

    reason: Reason
    queue: str
    fault: FaultRecord | None
    possible: bool
    or_lost: Cause | None
    """How they were lost, if they were."""
    count: int
    instead: Reason
    """What else may have taken them, if they were not lost; NONE for nothing."""
    instead_queue: str


def _not_done(group: _Group, lost_when: FaultRecord | None, tally: MessageTable) -> NotDone:
    """Say it; `lost_when` is the fault by which they were lost, if they were."""
    by = _by(group.reason, group.queue, group.fault.title if group.fault is not None else "", tally.topology)
    settings = tuple(remedy.text for remedy in of_not_done(group.reason, group.queue, tally.topology))
    begin = f"{plural(group.count, *tally.unit)} {_verb(group.reason, group.count, possible=group.possible)} {by}"
    other = ""
    if group.instead is not Reason.NONE:
        by_other = _by(group.instead, group.instead_queue, "", tally.topology)
        begin += f", or {_verb(group.instead, group.count, possible=True)} {by_other}"
        others = (each.text for each in of_not_done(group.instead, group.instead_queue, tally.topology))
        other = " or ".join(text for text in others if text not in settings)
    elif group.or_lost is not None:
        begin += f", or may have been lost {how_lost(group.or_lost, group.count, lost_when, tally)}"
        other = group.or_lost.remedy.text if group.or_lost.remedy.ways else ""
    elif group.possible:
        begin += ", or may have been lost"
    kept = _kept("it" if group.count == 1 else "them", " or ".join(settings), other, possible=group.possible)
    return NotDone(
        fate=FATES[group.reason],
        queue=group.queue,
        fault=None if group.fault is None else group.fault.fault,
        possible=group.possible,
        by=by,
        settings=(*settings, other) if other else settings,
        count=group.count,
        sentence=f"{begin}.{kept}",
    )


def _kept(them: str, settings: str, other: str, *, possible: bool) -> str:
    """Say which settings would have kept them: those against what took them as it seems, and the other one if they were lost instead."""
    if settings and other:
        return f" Would have kept {them}: {settings} in the one case, {other} in the other."
    if other:
        return f" In the latter case would have kept {them}: {other}."
    if settings:
        return f" {'If so, would' if possible else 'Would'} have kept {them}: {settings}."
    return ""


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
    Reason.UNCONFIRMED: "by {queue} until its dead letter target has confirmed them",
    Reason.RECOVERY: "by the length limit of {queue} on recovery",
    Reason.BY_OTHERS: "from {queue} by a program that is not the run's",
    Reason.HELD_BY_OTHERS: "in {queue}, unacknowledged, by a consumer that is not the run's",
    Reason.BY_POLICY: "from {queue} by a policy that nobody could look at",
}
_FIELDS = {
    Reason.TTL: "message_ttl_s",
    Reason.LENGTH: "max_length",
    Reason.RECOVERY: "max_length",
    Reason.DELIVERY_LIMIT: "delivery_limit",
}


def _by(reason: Reason, queue: str, fault: str, topology: RunTopology) -> str:
    """Say by what, as in `dropped by the length limit of tasks`; a policy that set it is named."""
    if reason is Reason.HELD and (
        not topology.targets(queue) or any(map(topology.is_missing, topology.targets(queue)))
    ):
        return f"by {queue} for its dead letter target, which leads to no queue"
    policy = topology.policy_behind(queue, _FIELDS[reason]) if reason in _FIELDS else ""
    expired = ", which expired" if reason is Reason.QUEUE_GONE and topology.policy(queue).expires_s is not None else ""
    return _BY[reason].format(queue=queue, fault=fault) + expired + (f" (policy {policy})" if policy else "")
