"""What records count for, in the words of a scenario's progress triggers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from harness.history.records import Flag, Kind


def completed(records: np.ndarray) -> np.ndarray:
    """Return which records say that the work of a delivery is done."""
    kind, flags = records["kind"], records["flags"]
    done: np.ndarray = (kind == Kind.COMPLETED) | ((kind == Kind.DELIVERED) & ((flags & Flag.DONE) != 0))
    return done


def _range(kind: Kind) -> Callable[[np.ndarray], np.ndarray]:
    return lambda records: np.where(records["kind"] == kind, records["arg"].astype(np.int64), 0)


COUNTERS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "published": lambda records: (records["kind"] == Kind.PUBLISHED) & (records["attempt"] == 1),
    "confirmed": _range(Kind.CONFIRMED),
    "delivered": lambda records: records["kind"] == Kind.DELIVERED,
    "processed": completed,
    "acked": _range(Kind.ACKED),
}
"""By counter, how much each of some records adds to it."""
