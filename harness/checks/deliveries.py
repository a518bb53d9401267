"""Every delivery of a run, with what its worker did with it: arrays of one length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.checks.publishes import Publishes
from harness.checks.settlement import NEVER, Tags
from harness.history.read import Log
from harness.history.records import FOREIGN, Flag, Kind

KEPT, REJECTED, REQUEUED = 0, 1, 2
"""What `Deliveries.rejected` holds: not rejected, rejected for good, rejected with requeue."""


@dataclass(frozen=True, slots=True)
class Deliveries:
    """Every delivery, in the order of each log."""

    message: np.ndarray
    """-1 for what nobody published."""
    attempt: np.ndarray
    at_ns: np.ndarray
    session: np.ndarray
    """Index into `Tally.sessions`."""
    queue: np.ndarray
    """Index into `Tally.queues`."""
    redelivered: np.ndarray
    corrupt: np.ndarray
    completed_ns: np.ndarray
    """When its work was done; NEVER if it was not."""
    acked_ns: np.ndarray
    """When an ack for it was recorded, NEVER if none was: an intent, which may not have left a process that died."""
    rejected: np.ndarray

    @property
    def completed(self) -> np.ndarray:
        """Whether its work was done."""
        done: np.ndarray = self.completed_ns != NEVER
        return done

    @property
    def acked(self) -> np.ndarray:
        """Whether an ack for it was recorded."""
        acked: np.ndarray = self.acked_ns != NEVER
        return acked


_TYPES = {
    "message": np.int64,
    "attempt": np.uint16,
    "at_ns": np.int64,
    "session": np.int32,
    "queue": np.uint16,
    "redelivered": np.bool_,
    "corrupt": np.bool_,
    "completed_ns": np.int64,
    "acked_ns": np.int64,
    "rejected": np.int8,
}


class Numbering:
    """Message numbers of identities: a publisher's offset plus the sequence number, where that attempt was published."""

    def __init__(self, offsets: Mapping[int, int], sizes: Mapping[int, int], publishes: Publishes) -> None:
        """Remember what was published."""
        self._offsets = np.full(FOREIGN + 1, -1, dtype=np.int64)
        self._sizes = np.zeros(FOREIGN + 1, dtype=np.int64)
        for number, offset in offsets.items():
            self._offsets[number], self._sizes[number] = offset, sizes[number]
        first = publishes.attempt == 1
        self._published_once = np.zeros(sum(sizes.values()), dtype=bool)
        self._published_once[publishes.message[first]] = True
        self._again = np.unique(_key(publishes.message[~first], publishes.attempt[~first]))

    def of(self, publisher: np.ndarray, seq: np.ndarray, attempt: np.ndarray) -> np.ndarray:
        """Return message numbers, -1 for an identity that nobody published: another run's, a gap, an attempt never made."""
        offset = self._offsets[publisher]
        message = np.where((offset >= 0) & (seq < self._sizes[publisher]), offset + seq, -1)
        known = np.flatnonzero(message >= 0)
        first = attempt[known] == 1
        sent = np.zeros(len(known), dtype=bool)
        sent[first] = self._published_once[message[known[first]]]
        sent[~first] = np.isin(_key(message[known[~first]], attempt[known[~first]]), self._again)
        message[known[~sent]] = -1
        return message


def _key(message: np.ndarray, attempt: np.ndarray) -> np.ndarray:
    key: np.ndarray = message << 16 | attempt
    return key


def read_deliveries(logs: Sequence[Log], numbering: Numbering, sessions: Sequence[np.ndarray]) -> Deliveries:
    """Read the workers' logs. `sessions` translates each log's connection numbers."""
    parts = [_of_log(log, numbering, table) for log, table in zip(logs, sessions, strict=True)]
    return Deliveries(
        **{
            name: np.concatenate([part[name] for part in parts]) if parts else np.empty(0, dtype=kind)
            for name, kind in _TYPES.items()
        }
    )


def _of_log(log: Log, numbering: Numbering, sessions: np.ndarray) -> dict[str, np.ndarray]:
    records = log.records
    kinds = np.ascontiguousarray(records["kind"])
    rows = np.flatnonzero(kinds == Kind.DELIVERED)
    connection, flags, at_ns = records["connection"][rows], records["flags"][rows], records["at_ns"][rows]
    attempt = records["attempt"][rows]
    tags = Tags.of(connection, records["tag"][rows])
    completed = np.where((flags & Flag.DONE) != 0, at_ns, NEVER)
    done = np.flatnonzero(kinds == Kind.COMPLETED)
    place = tags.find(records["connection"][done], records["tag"][done])
    np.minimum.at(completed, place[place >= 0], records["at_ns"][done[place >= 0]])
    refused = np.flatnonzero(kinds == Kind.REJECTED)
    place = tags.find(records["connection"][refused], records["tag"][refused])
    rejected = np.zeros(len(rows), dtype=np.int8)
    requeue = (records["flags"][refused[place >= 0]] & Flag.REQUEUE) != 0
    rejected[place[place >= 0]] = np.where(requeue, REQUEUED, REJECTED)
    return {
        "message": numbering.of(records["publisher"][rows], records["seq"][rows], attempt),
        "attempt": attempt,
        "at_ns": at_ns,
        "session": sessions[connection],
        "queue": records["queue"][rows],
        "redelivered": (flags & Flag.REDELIVERED) != 0,
        "corrupt": (flags & Flag.CORRUPT) != 0,
        "completed_ns": completed,
        "acked_ns": tags.settled(records[kinds == Kind.ACKED]),
        "rejected": rejected,
    }
