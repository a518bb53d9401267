"""Every publish of a run, with what became of it on its connection: arrays of one length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.checks.settlement import NEVER, Tags
from harness.history.read import Log
from harness.history.records import Flag, Kind


@dataclass(frozen=True, slots=True)
class Publishes:
    """Every publish, in the order of each log, which is the order in which its connection carried them."""

    message: np.ndarray
    at_ns: np.ndarray
    attempt: np.ndarray
    route: np.ndarray
    """Index into `Tally.routes`."""
    persistent: np.ndarray
    session: np.ndarray
    """Index into `Tally.sessions`: the connection it went out on."""
    confirmable: np.ndarray
    """Whether its publisher asked for confirms."""
    confirmed_ns: np.ndarray
    """When it was confirmed; NEVER if it was not."""
    nacked: np.ndarray
    returned: np.ndarray

    @property
    def promised(self) -> np.ndarray:
        """Whether it had to arrive: confirmed, or sent with no confirms asked for; and not returned."""
        promised: np.ndarray = (~self.confirmable | (self.confirmed_ns != NEVER)) & ~self.returned
        return promised


_TYPES = {
    "message": np.int64,
    "at_ns": np.int64,
    "attempt": np.uint16,
    "route": np.uint16,
    "persistent": np.bool_,
    "session": np.int32,
    "confirmable": np.bool_,
    "confirmed_ns": np.int64,
    "nacked": np.bool_,
    "returned": np.bool_,
}


def read_publishes(
    logs: Sequence[Log], offsets: Mapping[int, int], routes: Sequence[str], sessions: Sequence[np.ndarray]
) -> Publishes:
    """Read the publishers' logs. `sessions` translates each log's connection numbers."""
    parts = [_of_log(log, offsets, routes, table) for log, table in zip(logs, sessions, strict=True)]
    return Publishes(
        **{
            name: np.concatenate([part[name] for part in parts]) if parts else np.empty(0, dtype=kind)
            for name, kind in _TYPES.items()
        }
    )


def _of_log(log: Log, offsets: Mapping[int, int], routes: Sequence[str], sessions: np.ndarray) -> dict[str, np.ndarray]:
    records = log.records
    kinds = np.ascontiguousarray(records["kind"])
    rows = np.flatnonzero(kinds == Kind.PUBLISHED)
    connection, tag, flags = records["connection"][rows], records["tag"][rows], records["flags"][rows]
    tags = Tags.of(connection, tag)
    names = [routes.index(name) for name in log.header.names] or [0]
    return {
        "message": records["seq"][rows].astype(np.int64) + offsets[log.header.number],
        "at_ns": records["at_ns"][rows],
        "attempt": records["attempt"][rows],
        "route": np.array(names, dtype=np.uint16)[records["queue"][rows]],
        "persistent": (flags & Flag.PERSISTENT) != 0,
        "session": sessions[connection],
        "confirmable": tag != 0,
        "confirmed_ns": tags.settled(records[kinds == Kind.CONFIRMED]),
        "nacked": tags.settled(records[kinds == Kind.NACKED]) != NEVER,
        "returned": _returned(records[kinds == Kind.RETURNED], records, rows),
    }


def _returned(returns: np.ndarray, records: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Tell which publishes came back: a return names the message and the attempt, not the tag."""
    if not len(returns):
        return np.zeros(len(rows), dtype=bool)
    sent = records["seq"][rows].astype(np.int64) << 16 | records["attempt"][rows]
    came_back: np.ndarray = np.isin(sent, returns["seq"].astype(np.int64) << 16 | returns["attempt"])
    return came_back
