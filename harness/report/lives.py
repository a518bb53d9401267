"""The messages that a page lists one by one, as its script reads them: every text once, lives as numbers of texts."""

from __future__ import annotations

from collections.abc import Sequence

from harness.plain import plain
from harness.report.figures import clock
from harness.verdict.data import Anomaly, LostMessage, RepeatedMessage

ListedMessage = LostMessage | RepeatedMessage | Anomaly
Listed = dict[str, list[str] | list[list[int | float]]]


def lives(messages: Sequence[ListedMessage]) -> Listed:
    """Return `texts`, and for each message a row of numbers: its name, what is said of it, then its life.

    A life is four numbers for each event: seconds since the release of the publishers, and the texts of what, who and detail.
    """
    texts: dict[str, int] = {}

    def number(text: str) -> int:
        return texts.setdefault(plain(text), len(texts))

    rows: list[list[int | float]] = []
    for message in messages:
        row: list[int | float] = [number(str(message.message)), number(_said(message))]
        for event in message.life:
            row += [round(event.at_s, 4), number(event.what), number(event.actor), number(event.detail)]
        rows.append(row)
    return {"texts": list(texts), "rows": rows}


def _said(message: ListedMessage) -> str:
    match message:
        case LostMessage():
            where = message.actor or message.place.value
            seen = clock(message.last_seen_s)
            return f"in {message.queue}, last seen at {seen}; where: {where}; would have kept it: {message.setting}"
        case RepeatedMessage():
            who = f", {message.actor}" if message.actor else ""
            return f"in {message.queue}, done {message.times} times: {message.reason.value}{who}"
        case Anomaly():
            return f"{message.kind}: {message.sentence}"
