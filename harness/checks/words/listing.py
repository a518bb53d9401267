"""The messages that a verdict names one by one, each with its life."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from harness.checks.rules.done_twice import NAMES, Reason
from harness.checks.rules.duplicates import Duplicates
from harness.checks.rules.evidence import Causes
from harness.checks.rules.fates import Fates
from harness.checks.rules.last_seen import last_seen_ns
from harness.checks.tally.message_table import MessageTable
from harness.history.history import History
from harness.history.narrow import narrowed
from harness.history.trace import Lives
from harness.verdict.data import LISTED_MESSAGES, Anomaly, Fate, LifeEvent, LostMessage, MessageId, RepeatedMessage

NOBODY = MessageId("nobody", 0)
"""Stands for a message without a publisher."""


class Listing:
    """Tells the lives of what was lost, done more than once, or is an anomaly: at most LISTED_MESSAGES of each kind, the first ones."""

    def __init__(
        self,
        history: History,
        tally: MessageTable,
        *,
        causes: Causes,
        fates: Fates,
        twice: Duplicates,
        kept: np.ndarray,
    ) -> None:
        """Choose the messages, and cut the history down to their records."""
        self._tally = tally
        self._causes = causes
        self._twice = twice
        self._unexplained = twice.unexplained[:LISTED_MESSAGES]
        self._kept = kept[:LISTED_MESSAGES]
        self._resurrected = fates.of(Fate.RESURRECTED)[:LISTED_MESSAGES]
        self._corrupt = corrupt_messages(tally)[:LISTED_MESSAGES]
        astray = np.array([each.message for each in tally.misrouted], dtype=np.int64)
        some_twice = twice.copy[:LISTED_MESSAGES]
        listed = (causes.copies[:LISTED_MESSAGES], some_twice, self._unexplained, self._kept, self._resurrected)
        copies = np.concatenate(listed)
        chosen = np.unique(np.concatenate([tally.message(copies), self._corrupt, astray]))
        numbers = {name: number for number, name in tally.messages.publisher_names.items()}
        names = (tally.messages.name(message) for message in chosen.tolist())
        logs = (log.log for logs in tally.irregular_logs for log in logs) if len(chosen) else ()
        history = replace(history, logs=(*logs, *history.of_role("collector")))
        self._lives = Lives(narrowed(history, [(numbers[publisher], seq) for publisher, seq in names]))

    def lost(self) -> Iterator[LostMessage]:
        """Name the lost messages."""
        tally, copies = self._tally, self._causes.copies[:LISTED_MESSAGES]
        seen_ns = last_seen_ns(copies, tally)
        messages, queues = tally.message(copies).tolist(), tally.first_queue(copies).tolist()
        for message, queue, place, at_ns in zip(
            messages, queues, self._causes.of.tolist(), seen_ns.tolist(), strict=False
        ):
            cause = self._causes.causes[place]
            yield LostMessage(
                message=MessageId(*tally.messages.name(message)),
                queue=self._queue(message, queue),
                place=cause.place,
                actor=cause.actor,
                fault=cause.fault,
                setting=cause.remedy.text,
                last_seen_s=self._tally.seconds(at_ns),
                life=self._life(message),
            )

    def done_twice(self) -> Iterator[RepeatedMessage]:
        """Name the messages of which a copy was done more than once."""
        tally, twice = self._tally, self._twice
        copies = twice.copy[:LISTED_MESSAGES]
        messages, queues = tally.message(copies).tolist(), tally.first_queue(copies).tolist()
        reasons, sessions, times = twice.reason.tolist(), twice.session.tolist(), twice.times.tolist()
        for message, queue, reason, session, often in zip(messages, queues, reasons, sessions, times, strict=False):
            yield RepeatedMessage(
                message=MessageId(*tally.messages.name(message)),
                queue=self._queue(message, queue),
                reason=NAMES[Reason(reason)],
                actor=tally.sessions[session].actor if session >= 0 else "",
                times=often,
                life=self._life(message),
            )

    def anomalies(self) -> Iterator[Anomaly]:
        """Name what was duplicated without a reason, corrupted, or invented."""
        tally, deliveries = self._tally, self._tally.deliveries
        done = deliveries.copy[deliveries.intact]
        for copy, message in zip(self._unexplained.tolist(), tally.message(self._unexplained).tolist(), strict=True):
            yield Anomaly(
                "duplicate",
                MessageId(*tally.messages.name(message)),
                f"processed {int(np.count_nonzero(done == copy))} times, with no redelivery or republish to explain it",
                self._life(message),
            )
        for message in self._corrupt.tolist():
            text = "its body and its checksum disagree"
            yield Anomaly("corrupt", MessageId(*tally.messages.name(message)), text, self._life(message))
        for kind, copies, text in (
            ("acknowledged and still there", self._kept, "acknowledged, and found in a queue at the end"),
            ("resurrected", self._resurrected, "nacked or returned, and processed all the same"),
        ):
            for message in tally.message(copies).tolist():
                yield Anomaly(kind, MessageId(*tally.messages.name(message)), text, self._life(message))
        for each in tally.misrouted:
            text = f"delivered from queue {each.queue}, where nothing leads it"
            yield Anomaly("misrouted", MessageId(*tally.messages.name(each.message)), text, self._life(each.message))
        for invention in tally.flow.inventions:
            actor, at_s = tally.sessions[invention.session].actor, tally.seconds(invention.completed_ns)
            publisher = tally.messages.publisher_names.get(invention.publisher)
            who = NOBODY if publisher is None else MessageId(publisher, invention.seq)
            yield Anomaly("phantom", who, f"{actor} processed a message that nobody published, at {at_s:.3f} s", ())

    def _queue(self, message: int, queue: int) -> str:
        """Return the name of the queue a copy was first put in; the route of one that reached none."""
        tally = self._tally
        return tally.queues[queue] if queue >= 0 else tally.routes[int(tally.messages.route[message])]

    def _life(self, message: int) -> tuple[LifeEvent, ...]:
        rows = self._lives.of(*self._tally.messages.name(message))
        return tuple(LifeEvent(self._tally.seconds(at_ns), what, actor, detail) for at_ns, what, actor, detail in rows)


def corrupt_messages(tally: MessageTable) -> np.ndarray:
    """Return the messages of which a worker or the collector saw a body that does not fit its checksum."""
    return np.union1d(tally.corrupt, tally.found.message[tally.found.corrupt])
