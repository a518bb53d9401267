"""What was done more than once, in sentences: why, and which setting would have prevented it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from harness.checks.rules.done_twice import NAMES, Reason
from harness.checks.rules.duplicates import Duplicates
from harness.checks.tally.fault_records import FaultRecord, seen_striking_ns
from harness.checks.tally.message_table import MessageTable
from harness.checks.tally.sessions import Session
from harness.scenario.quantities import format_duration
from harness.verdict.data import DuplicateCause
from harness.verdict.words import plural

EARLY_ACKS: Final = "workers.acks: early"
"""Nothing is done twice that is acknowledged before it is done; it may be lost instead."""
DROP: Final = "publishers.unconfirmed: drop"
_TIMED_OUT = re.compile(r"delivery acknowledgement on channel \d+ timed out\. Timeout value used: (\d+) ms")
"""What RabbitMQ says when it closes a channel for its consumer timeout (3.8.15 and later)."""
_LONGEST_REASON = 120
NAMED: Final = 3
"""Of several connections that ended alike, whose are named."""


@dataclass(frozen=True, slots=True)
class _Group:
    """Copies of one reason."""

    reason: Reason
    holder: Session | None
    """The connection that they came back from; one of them, if there are several that ended alike."""
    names: tuple[str, ...]
    """Whose connections these were."""
    struck: FaultRecord | None
    sources: tuple[str, ...]
    """Of dead letters that are sent at least once, the queues that do so."""
    count: int
    times: int
    """How often the one was done that was done most often."""

    @property
    def who(self) -> str:
        more = len(self.names) - NAMED
        named = self.names if more < 1 else (*self.names[:NAMED], plural(more, "other"))
        return " and ".join([", ".join(named[:-1]), *named[-1:]] if len(named) > 1 else named)

    @property
    def several(self) -> bool:
        return len(self.names) > 1

    @property
    def them(self) -> str:
        return "it" if self.count == 1 else "them"


def group_duplicates(
    found: Duplicates, tally: MessageTable, struck: Sequence[FaultRecord]
) -> tuple[DuplicateCause, ...]:
    """Group what was done more than once by reason, fault and how its connection ended; the largest group first."""
    records = {each.fault: each for each in struck}
    ends = [(each.code, _reason(each), _ended(each, several=False), each.prefetch) for each in tally.sessions]
    first_of = {end: number for number, end in reversed(list(enumerate(ends)))}
    alike = np.array([first_of[end] for end in ends] or [-1], dtype=np.int64)[found.session]
    keys = np.stack([found.reason, np.where(found.session < 0, -1, alike), found.fault], axis=1).astype(np.int64)
    distinct, of, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    groups, sources = [], _dead_lettering_at_least_once(tally)
    for number, ((reason, holder, fault), count) in enumerate(zip(distinct.tolist(), counts.tolist(), strict=True)):
        mine = of.reshape(-1) == number
        sessions = (tally.sessions[each] for each in np.unique(found.session[mine]).tolist() if each >= 0)
        group = _Group(
            Reason(reason),
            tally.sessions[holder] if holder >= 0 else None,
            tuple(dict.fromkeys(session.actor for session in sessions)),
            records.get(fault),
            sources,
            count,
            int(found.times[mine].max()),
        )
        groups.append(group)
    return tuple(_cause(group, tally) for group in sorted(groups, key=lambda group: -group.count))


def _dead_lettering_at_least_once(tally: MessageTable) -> tuple[str, ...]:
    topology = tally.topology
    return tuple(name for name in topology.topology.queues if topology.policy(name).dead_letters_at_least_once)


def _cause(group: _Group, tally: MessageTable) -> DuplicateCause:
    drops = all(each.unconfirmed == "drop" for each in tally.topology.scenario.publishers)
    settings = tuple(each for each in _settings(group) if not (each == DROP and drops))
    often = "twice" if group.times == 2 else "more than once"
    were = f"{plural(group.count, 'task')} {'was' if group.count == 1 else 'were'} done {often}"
    why = _why(group, tally)
    prevented = f" Would have prevented it: {', or '.join(settings)}." if settings else ""
    if settings in ((EARLY_ACKS,), (DROP,)):
        prevented = f" Would have prevented it, and may have lost {group.them} instead: {settings[0]}."
    return DuplicateCause(
        reason=NAMES[group.reason],
        actor=group.who,
        fault=group.struck.fault if group.struck is not None else None,
        fault_title=group.struck.title if group.struck is not None else "",
        settings=settings,
        count=group.count,
        sentence=f"{were}: {why}.{prevented}",
    )


_WHY: Final = {
    Reason.NOTHING: "nothing of this run explains it",
    Reason.REPUBLISHED: "published again, as {the} first attempt was not confirmed",
    Reason.REQUEUED: "{who} requeued {them}",
    Reason.DIED: "{who} rejected {them}, and a dead letter queue brought {them} back",
    Reason.CONNECTION: "{who} {ended}{when} before the broker had {its} acknowledgement{s}",
    Reason.CHANNEL: "the broker closed {channel} ({reason}) while {it} held {them}",
    Reason.CANCELLED: "the broker cancelled {consumer} while {it} held {them}",
    Reason.UNWRITTEN: "the broker had not written the acknowledgement to disk{when}",
    Reason.DIED_AGAIN: "the queue that had dead-lettered {them} had not written that to disk{when}",
    Reason.CLUSTER: "a node of the cluster was struck{when} while {who} held {them}",
    Reason.AT_LEAST_ONCE: "dead-lettered at least once, and sent again{when}",
    Reason.UNDECLARED: "delivered again{when}, which declares no effects and so may have done anything",
}


def _why(group: _Group, tally: MessageTable) -> str:
    return _WHY[group.reason].format(
        who=group.who,
        them=group.them,
        the="the" if group.count == 1 else "their",
        when=_when(group.struck, tally),
        s="s" if group.several else "",
        channel=_of(group, "channel"),
        consumer=_of(group, "consumer"),
        its="their" if group.several else "its",
        it="they" if group.several else "it",
        ended=_ended(group.holder, several=group.several),
        reason=_reason(group.holder),
    )


def _of(group: _Group, what: str) -> str:
    return f"the {what}s of {group.who}" if group.several else f"{group.who}'s {what}"


def _when(fault_record: FaultRecord | None, tally: MessageTable) -> str:
    if fault_record is None:
        return ""
    return (
        f" when `{fault_record.title}` struck at {tally.seconds(seen_striking_ns(fault_record, tally.sessions)):.1f} s"
    )


def _ended(session: Session | None, *, several: bool) -> str:
    if session is None:
        return "was gone"
    if session.lost_ns == session.death_ns == session.over_ns:
        return "died"
    if session.lost_ns > session.over_ns:
        return "stopped"
    lost = "lost their connections" if several else "lost its connection"
    return lost + (f" ({_reason(session)})" if session.reason or session.code else "")


def _reason(session: Session | None) -> str:
    """Return code and reason with which the broker ended something."""
    if session is None:
        return "for no reason that it gave"
    timed_out = _TIMED_OUT.search(session.reason)
    if timed_out is not None:
        said = f"acknowledgement timed out after {format_duration(int(timed_out.group(1)) / 1000)}"
    else:
        said = session.reason[:_LONGEST_REASON]
    return ", ".join(part for part in (str(session.code or ""), said) if part) or "for no reason that it gave"


def _timed_out(session: Session) -> bool:
    """Whether it was the consumer timeout: the broker says so when it closes a channel, and gives no reason when it cancels a consumer."""
    return bool(session.cancelled_ns) or _TIMED_OUT.search(session.reason) is not None


def _settings(group: _Group) -> Iterator[str]:
    """Name what would have prevented it; nothing that is in force already."""
    match group.reason:
        case Reason.REPUBLISHED:
            yield DROP
        case Reason.CONNECTION:
            yield EARLY_ACKS
        case Reason.CHANNEL | Reason.CANCELLED if group.holder is not None and _timed_out(group.holder):
            if group.holder.prefetch != 1:
                yield "workers.prefetch: 1"
            yield "a longer consumer_timeout"
        case Reason.AT_LEAST_ONCE:
            for source in group.sources:
                yield f"queues.{source}.arguments.x-dead-letter-strategy: at-most-once"
        case _:
            return
