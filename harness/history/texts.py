"""The tables of texts that a log defines while it is written: see harness.history.records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harness.errors import HistoryError
from harness.history.records import (
    NEVER_DIED,
    RECORD_BYTES,
    TEXT_BYTES,
    TEXT_OFFSET,
    Death,
    ForeignMessage,
    Kind,
    Table,
)

Records = Callable[[int, int], np.ndarray]
"""Returns some records of a log, by the place of the first one and how many (fewer where the log ends)."""


@dataclass(frozen=True, slots=True)
class LogTexts:
    """What a log has defined. Each tuple is indexed as the records do it."""

    names: tuple[str, ...] = ()
    """Queues, or routes, beyond those in the header: their indexes go on where those end."""
    deaths: tuple[Death, ...] = (NEVER_DIED,)
    reasons: tuple[str, ...] = ("",)
    """The first one stands for: none was given."""
    identities: tuple[ForeignMessage, ...] = ()
    last: int = 0
    """The place of the last entry, counted from 1; 0 where nothing was defined."""


NO_TEXTS = LogTexts()


def read_texts(records: Records, last: int) -> LogTexts:
    """Follow the chain of entries back from the last one. Raises HistoryError where it is broken."""
    texts: dict[Table, list[str]] = {table: [] for table in Table}
    place = last
    try:
        while place:
            entry = _entry(records, place)
            texts[Table(int(entry["queue"]))].append(_text(records, place, int(entry["arg"])))
            place = int(entry["seq"])
        for found in texts.values():
            found.reverse()
        return LogTexts(
            names=tuple(texts[Table.NAMES]),
            deaths=(NEVER_DIED, *map(Death.read, texts[Table.DEATHS])),
            reasons=("", *texts[Table.REASONS]),
            identities=tuple(map(ForeignMessage.read, texts[Table.IDENTITIES])),
            last=last,
        )
    except (ValueError, TypeError, IndexError, RecursionError, OverflowError) as error:
        raise HistoryError(f"the entry at record {place or last} cannot be read: {error}") from error


def _entry(records: Records, place: int) -> np.void:
    (entry,) = records(place - 1, 1)
    if entry["kind"] != Kind.DEFINED or entry["seq"] >= place:
        raise ValueError("it is not an entry")
    found: np.void = entry
    return found


def _text(records: Records, begin: int, size: int) -> str:
    """Return the text of `size` bytes whose records begin at a place."""
    count = -(-size // TEXT_BYTES)
    if len(records(begin + count - 1, 1)) < 1:
        raise ValueError("its text is not whole")
    rows = np.ascontiguousarray(records(begin, count))
    if len(rows) < count or (rows["kind"] != Kind.TEXT).any():
        raise ValueError("its text is not whole")
    octets = rows.view(np.uint8).reshape(-1, RECORD_BYTES)[:, TEXT_OFFSET : TEXT_OFFSET + TEXT_BYTES]
    return octets.tobytes()[:size].decode()
