"""What took the lost messages, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from harness.checks.rules.evidence import Cause, Causes
from harness.checks.rules.last_seen import last_seen_ns
from harness.checks.rules.remedies import (
    BROKEN_PROMISE,
    CHANGED_BODY,
    NO_CAUSE,
    UNDECLARED_TAKER,
    Remedy,
    Ways,
)
from harness.checks.tally.fault_records import FaultRecord, fault_records, seen_striking_ns
from harness.checks.tally.message_table import MessageTable
from harness.events import Event
from harness.verdict.data import LossCause, Place, Seen
from harness.verdict.words import plural

SEEN_TIMES = 40
"""Most times at which the messages of one cause are told to have been last seen."""


def group_causes(
    causes: Causes, tally: MessageTable, events: Sequence[Event], not_looked_at: Sequence[str]
) -> tuple[LossCause, ...]:
    """Group the lost messages by place, holder, fault and remedy, with one sentence each; the largest group first."""
    titles = {fault_record.fault: fault_record for fault_record in fault_records(events)}
    ways: dict[str, Ways] = {}
    for cause in causes.causes:  # of several queues: what would have kept the messages of all of them
        text, own = cause.remedy.text, cause.remedy.ways
        ways[text] = tuple(way for way in ways.get(text, own) if way in own)
    keys = [
        (cause.place, cause.actor, cause.fault, replace(cause.remedy, ways=ways[cause.remedy.text]))
        for cause in causes.causes
    ]
    distinct = list(dict.fromkeys(keys))
    group = np.array([distinct.index(key) for key in keys], dtype=np.int64)[causes.of]
    counts = np.bincount(group, minlength=len(distinct)).tolist()
    seen_ns = last_seen_ns(causes.copies, tally)
    result = []
    for number, count in sorted(enumerate(counts), key=lambda item: -item[1]):
        place, actor, fault, remedy = distinct[number]
        fault_record = titles.get(fault) if fault is not None else None
        result.append(
            LossCause(
                place=place,
                actor=actor,
                fault=fault,
                fault_title=fault_record.title if fault_record else "",
                setting=remedy.text,
                settings=remedy.ways,
                count=count,
                sentence=_sentence(Cause(place, actor, fault, remedy), count, fault_record, tally, not_looked_at),
                last_seen=_put_together((seen_ns[group == number] - tally.zero_ns) / 1e9),
            )
        )
    return tuple(result)


def undeclared_effects(struck: Sequence[FaultRecord]) -> Iterator[str]:
    """Yield a note for each fault that declares no effects."""
    for each in struck:
        if not each.effects.declared:
            yield (
                f"step {each.fault + 1} ({each.action}) declares no effects: it may have cut every connection "
                "and taken any message, and is judged so"
            )


def _put_together(at_s: np.ndarray) -> tuple[Seen, ...]:
    """Put times together that are near each other: at most SEEN_TIMES, each the mean of its own."""
    counts, edges = np.histogram(at_s, bins=SEEN_TIMES)
    sums, _ = np.histogram(at_s, bins=edges, weights=at_s)
    return tuple(Seen(float(total / count), int(count)) for count, total in zip(counts, sums, strict=True) if count)


def _sentence(
    cause: Cause, count: int, fault_record: FaultRecord | None, tally: MessageTable, not_looked_at: Sequence[str]
) -> str:
    why = f". {cause.remedy.why}" if cause.remedy.why else ""
    were = f"{plural(count, *tally.unit)} {'was' if count == 1 else 'were'} lost"
    kept = ""
    if cause.remedy == BROKEN_PROMISE:
        them = "It was" if count == 1 else "They were"
        kept = f". {them} durable, persistent and confirmed: the broker broke its promise"
    elif cause.remedy == UNDECLARED_TAKER:
        kept = ". It declares no effects, so it may have taken anything"
    elif cause.remedy.source:
        kept = f". {cause.remedy.source} dead-letters at most once, which promises nothing"
        kept += _would_have_kept(cause.remedy, count) if cause.remedy.ways else ""
    elif cause.remedy not in (NO_CAUSE, CHANGED_BODY):
        kept = _would_have_kept(cause.remedy, count)
    elif cause.remedy == NO_CAUSE and not_looked_at:
        kept = f". Not looked at: {'; '.join(not_looked_at)}"
    elif cause.place is Place.UNKNOWN:
        kept = ". This is what a fault of the broker itself looks like"
    return f"{were} {how_lost(cause, count, fault_record, tally)}{why}{kept}."


def _would_have_kept(remedy: Remedy, count: int) -> str:
    return f". Would have kept {'it' if count == 1 else 'them'}: {remedy.text}"


def _what_was_away(remedy: Remedy) -> str:
    """Say what of the way to a queue was not there, by what would have kept it."""
    durable = [path for way in remedy.ways for path in way if path.endswith(".durable")]
    gone = [what for what in ("exchange", "queue") if any(path.startswith(f"{what}s.") for path in durable)]
    return f"the {' and the '.join(gone)} having gone" if gone else "the queue's home node being down"


def how_lost(cause: Cause, count: int, fault_record: FaultRecord | None, tally: MessageTable) -> str:
    """Say where messages were lost and when, as in "in a queue at n1 when `restart n1` struck at 2.1 s"."""
    holder = {
        Place.PUBLISHER: f"on the way from {cause.actor or 'a publisher'} to the queue",
        Place.EXCHANGE: "at the exchange, where no queue was there to take them"
        + (f", {_what_was_away(cause.remedy)}," if cause.fault is not None else ""),
        Place.BROKER: f"in a queue at {cause.actor or 'the broker'}",
        Place.WORKER: f"at {cause.actor or 'the workers'}, acknowledged and not done,",
        Place.UNKNOWN: "with no fault of this run to explain it",
    }[cause.place]
    if cause.remedy.source:
        holder = f"as {'a dead letter' if count == 1 else 'dead letters'} of {cause.remedy.source}"
    if cause.remedy == CHANGED_BODY:
        holder = f"at {cause.actor}: what it was sent is not what was published"
    when = ""
    if fault_record is not None:
        when = f" when `{fault_record.title}` struck at {tally.seconds(seen_striking_ns(fault_record, tally.sessions)):.1f} s"
    elif cause.remedy.failed_work:
        when = " as its work failed" if count == 1 else " as their work failed"
    elif cause.place is Place.WORKER:
        when = " when it died" if cause.actor else " when they died"
    return holder + when
