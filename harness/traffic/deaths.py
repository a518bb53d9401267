"""How a delivery says that it was dead-lettered, and how often it was delivered before.

Each entry of x-death stands for a queue and a reason; the one that was updated last comes first. The same on 3.8.9, 3.10.8, 4.0.5 and
4.3.6, classic and quorum: a retry loop raises the counts of its entries, and x-first-death-queue names the queue of the first death.
x-delivery-count is a quorum queue's: from 3.8 to 3.10 it begins anew in the next queue, with 0 on the first delivery; from 4.0 on a
message keeps its count when it is dead-lettered, and a first delivery has none. It counts lost connections, and what was requeued by
basic.reject; what was requeued by basic.nack or basic.recover up to 4.0, on 4.3 not.
Headers are whatever their publisher wrote until the broker changes them, so all that is not of the form is passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.history.records import MOST_DEATHS, Death

_MOST_COUNT = 2**32 - 1


def death_of(headers: Mapping[str, Any] | None) -> Death | None:
    """Read how a message came to its queue by dead-lettering; None if it did not."""
    entries = (headers or {}).get("x-death")
    if headers is None or not isinstance(entries, list):
        return None
    path = tuple(found for entry in reversed(entries[:MOST_DEATHS]) if (found := _step(entry)) is not None)
    if not path:
        return None
    first = _text(headers.get("x-first-death-queue"))
    return Death(path[0][0] if first is None else first, path)


def _step(entry: object) -> tuple[str, str, int] | None:
    """Read an entry of x-death: queue, reason, count."""
    if not isinstance(entry, Mapping):
        return None
    queue, reason, count = _text(entry.get("queue")), _text(entry.get("reason")), entry.get("count")
    if queue is None or reason is None or not isinstance(count, int):
        return None
    return queue, reason, min(max(count, 1), MOST_DEATHS)


def _text(value: object) -> str | None:
    """Return a text as it is decoded: pika leaves what is no UTF-8 as bytes."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value if isinstance(value, str) else None


def delivery_count(headers: Mapping[str, Any] | None) -> int:
    """Return x-delivery-count; 0 without one."""
    count = (headers or {}).get("x-delivery-count", 0)
    return min(max(count, 0), _MOST_COUNT) if isinstance(count, int) else 0
